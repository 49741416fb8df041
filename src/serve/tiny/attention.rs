//! Attention of one token over the tokens before it, and the rotation that encodes positions.

use super::config::LlamaConfig;
use super::kv_cache::LayerCache;

/// Lanes of the sums: as many as give the compiler whole vectors.
const LANES: usize = 8;

/// Cosines and sines of every position.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    half_dim: usize,
    /// `[n_positions, half_dim]`, cosine and sine.
    turns: Vec<(f32, f32)>,
}

impl Rope {
    /// Returns the table for a model and its longest context.
    pub(crate) fn new(config: &LlamaConfig, n_positions: usize) -> Self {
        let half_dim = config.head_dim / 2;
        let mut turns = Vec::with_capacity(n_positions * half_dim);
        for position in 0..n_positions {
            for idx in 0..half_dim {
                let exponent = -2.0 * idx as f64 / config.head_dim as f64;
                let angle = position as f64 * config.rope_theta.powf(exponent);
                turns.push((angle.cos() as f32, angle.sin() as f32));
            }
        }
        Self { half_dim, turns }
    }

    /// Rotates heads, each `[head_dim]` wide, to a position. The first half of a head pairs with
    /// the second half, which is how Hugging Face orders the weights.
    pub(crate) fn rotate(&self, heads: &mut [f32], position: usize) {
        let turns = &self.turns[position * self.half_dim..(position + 1) * self.half_dim];
        for head in heads.chunks_exact_mut(2 * self.half_dim) {
            let (first, second) = head.split_at_mut(self.half_dim);
            for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

/// Writes the attention of one token over the first `n_visible` tokens of the cache.
///
/// `queries` and `out` are `[n_heads, head_dim]`.
pub(crate) fn attend(
    config: &LlamaConfig,
    queries: &[f32],
    cache: &LayerCache,
    n_visible: usize,
    out: &mut [f32],
    scores: &mut Vec<f32>,
) {
    let head_dim = config.head_dim;
    let heads_per_kv = config.n_heads / config.n_kv_heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let heads = queries.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim));
    for (head_idx, (query, out)) in heads.enumerate() {
        let keys = cache.keys(head_idx / heads_per_kv).chunks_exact(head_dim).take(n_visible);
        scores.clear();
        scores.extend(keys.map(|key| dot(query, key) * scale));
        softmax(scores);
        out.fill(0.0);
        let values = cache.values(head_idx / heads_per_kv).chunks_exact(head_dim);
        for (weight, value) in scores.iter().zip(values) {
            for (out, value) in out.iter_mut().zip(value) {
                *out += weight * value;
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LlamaConfig {
        let json = br#"{"model_type":"llama","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
            "num_key_value_heads":1,"intermediate_size":8,"vocab_size":8,"rms_norm_eps":1e-5,
            "max_position_embeddings":32}"#;
        LlamaConfig::parse(json).unwrap()
    }

    fn cache(rows: &[[f32; 4]]) -> LayerCache {
        let mut cache = super::super::kv_cache::KvCache::new(1, 1);
        for row in rows {
            cache.layer(0).push(row, row);
        }
        cache.layer(0).clone()
    }

    #[test]
    fn one_visible_token_is_gathered_whole() {
        let mut out = [0.0; 8];
        let cache = cache(&[[1.0, 2.0, 3.0, 4.0], [9.0; 4]]);
        attend(&config(), &[0.3; 8], &cache, 1, &mut out, &mut Vec::new());
        assert_eq!(out.as_slice(), [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0].as_slice());
    }

    #[test]
    fn a_query_gathers_what_resembles_it() {
        let mut out = [0.0; 8];
        let cache = cache(&[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]);
        let queries = [40.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        attend(&config(), &queries, &cache, 2, &mut out, &mut Vec::new());
        assert!(out[0] > 0.999 && out[1] < 0.001);
        // The second head asks for nothing in particular.
        assert!((out[4] - 0.5).abs() < 1e-6 && (out[5] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_product_of_rotated_vectors_depends_on_their_distance_alone() {
        let rope = Rope::new(&config(), 32);
        let product = |at_a: usize, at_b: usize| {
            let (mut a, mut b) = ([0.3, -1.2, 0.7, 2.0], [1.1, 0.4, -0.6, 0.9]);
            rope.rotate(&mut a, at_a);
            rope.rotate(&mut b, at_b);
            dot(&a, &b)
        };
        assert!((product(3, 1) - product(12, 10)).abs() < 1e-5);
        let by_distance: Vec<f32> = (0..6).map(|distance| product(9 + distance, 9)).collect();
        let largest = by_distance.iter().copied().fold(f32::MIN, f32::max);
        let smallest = by_distance.iter().copied().fold(f32::MAX, f32::min);
        assert!(largest - smallest > 0.5, "{by_distance:?}");
        let mut unmoved = [0.3, -1.2, 0.7, 2.0];
        rope.rotate(&mut unmoved, 0);
        assert_eq!(unmoved.as_slice(), [0.3, -1.2, 0.7, 2.0].as_slice());
    }
}
