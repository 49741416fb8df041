//! A Llama model, and its forward pass over the new tokens of many sequences at once.

use safetensors::{Dtype, SafeTensors};

use super::attention::{Rope, attend};
use super::config::LlamaConfig;
use super::kv_cache::KvCache;
use super::linear::Linear;
use super::precision::{Precision, Weights};

/// A model in memory.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    config: LlamaConfig,
    precision: Precision,
    /// `[vocab, hidden]`, rounded to the format and expanded to 32 bits: its rows are looked up,
    /// not multiplied.
    embedding: Vec<f32>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Linear,
    rope: Rope,
}

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    /// Queries, keys and values in one product.
    qkv: Linear,
    attention_out: Linear,
    mlp_norm: Vec<f32>,
    /// Gate and up projection in one product.
    gate_up: Linear,
    down: Linear,
}

/// The new tokens of one sequence in a step.
#[derive(Debug)]
pub(crate) struct Span<'a> {
    /// The tokens.
    pub tokens: &'a [u32],
    /// Keys and values of the tokens before them. The pass appends those of the new tokens.
    pub cache: &'a mut KvCache,
    /// Whether the pass returns logits for the token that follows.
    pub wants_logits: bool,
}

/// Memory that forward passes share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    hidden: Vec<f32>,
    normed: Vec<f32>,
    projected: Vec<f32>,
    mixed: Vec<f32>,
    expanded: Vec<f32>,
    scores: Vec<f32>,
}

impl Model {
    /// Reads a model from the bytes of `model.safetensors`, for contexts of up to `max_model_len`.
    ///
    /// # Errors
    /// The tensor that is missing, or whose shape differs from the configuration.
    pub(crate) fn load(
        config: LlamaConfig,
        safetensors: &[u8],
        precision: Precision,
        max_model_len: usize,
    ) -> Result<Self, String> {
        let file = SafeTensors::deserialize(safetensors).map_err(|error| error.to_string())?;
        let tensor = |name: &str, shape: &[usize]| read_tensor(&file, name, shape);
        let linear = |names: &[String], n_in: usize, n_outs: &[usize]| {
            let mut weights = Vec::new();
            for (name, n_out) in names.iter().zip(n_outs) {
                weights.extend(tensor(name, &[*n_out, n_in])?);
            }
            Linear::new(n_in, n_outs.iter().sum(), weights, precision)
                .map_err(|reason| format!("{}: {reason}", names.join(", ")))
        };
        let norm = |name: &str| {
            let mut weights = tensor(name, &[config.hidden])?;
            precision.round(&mut weights);
            Ok::<_, String>(weights)
        };
        let (q_width, kv_width) = (config.q_width(), config.kv_width());
        let layers = (0..config.n_layers)
            .map(|layer_idx| {
                let named = |name: &str| format!("model.layers.{layer_idx}.{name}.weight");
                Ok(Layer {
                    attention_norm: norm(&named("input_layernorm"))?,
                    qkv: linear(
                        &["q", "k", "v"].map(|name| named(&format!("self_attn.{name}_proj"))),
                        config.hidden,
                        &[q_width, kv_width, kv_width],
                    )?,
                    attention_out: linear(&[named("self_attn.o_proj")], q_width, &[config.hidden])?,
                    mlp_norm: norm(&named("post_attention_layernorm"))?,
                    gate_up: linear(
                        &["gate", "up"].map(|name| named(&format!("mlp.{name}_proj"))),
                        config.hidden,
                        &[config.intermediate; 2],
                    )?,
                    down: linear(&[named("mlp.down_proj")], config.intermediate, &[config.hidden])?,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        let embedding_name = "model.embed_tokens.weight";
        let head_name = if config.tie_word_embeddings { embedding_name } else { "lm_head.weight" };
        let head = linear(&[head_name.to_owned()], config.hidden, &[config.vocab])?;
        let embedding = tensor(embedding_name, &[config.vocab, config.hidden])?;
        let embedding = Weights::new(embedding, precision).expand(&mut Vec::new()).to_vec();
        let norm = norm("model.norm.weight")?;
        let rope = Rope::new(&config, max_model_len);
        Ok(Self { config, precision, embedding, layers, norm, head, rope })
    }

    /// Returns the model's shape.
    pub(crate) fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Returns an empty cache for one sequence.
    pub(crate) fn new_cache(&self) -> KvCache {
        KvCache::new(self.config.n_layers, self.config.n_kv_heads)
    }

    /// Returns the bytes that the linear layers' weights take.
    pub(crate) fn n_weight_bytes(&self) -> usize {
        let of_layer = |layer: &Layer| {
            [&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down]
                .iter()
                .map(|linear| linear.n_bytes())
                .sum::<usize>()
        };
        self.layers.iter().map(of_layer).sum::<usize>() + self.head.n_bytes()
    }

    /// Runs the new tokens of all spans through the model, and returns the logits of those that
    /// want them, `[n_wanted, vocab]` in the order of the spans.
    ///
    /// All tokens of all sequences share one product per layer. Attention alone is computed per
    /// sequence.
    pub(crate) fn forward(&self, spans: &mut [Span<'_>], scratch: &mut Scratch) -> Vec<f32> {
        let width = self.config.hidden;
        let Scratch { hidden, normed, projected, mixed, expanded, scores } = scratch;
        hidden.clear();
        for token in spans.iter().flat_map(|span| span.tokens) {
            let start = *token as usize * width;
            hidden.extend_from_slice(&self.embedding[start..start + width]);
        }
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            self.normalise(hidden, &layer.attention_norm, normed);
            layer.qkv.apply(normed, projected, expanded);
            self.attend_all(layer_idx, spans, projected, mixed, scores);
            layer.attention_out.apply(mixed, projected, expanded);
            self.add(hidden, projected);
            self.normalise(hidden, &layer.mlp_norm, normed);
            layer.gate_up.apply(normed, projected, expanded);
            self.gate(projected, mixed);
            layer.down.apply(mixed, projected, expanded);
            self.add(hidden, projected);
        }
        let mut last_rows = Vec::new();
        let mut row_idx = 0;
        for span in spans {
            row_idx += span.tokens.len();
            span.cache.advance(span.tokens.len());
            if span.wants_logits {
                last_rows.extend_from_slice(&hidden[(row_idx - 1) * width..row_idx * width]);
            }
        }
        self.normalise(&last_rows, &self.norm, normed);
        let mut logits = Vec::new();
        self.head.apply(normed, &mut logits, expanded);
        logits
    }

    /// Divides each row by its root mean square and multiplies it by the weights.
    fn normalise(&self, rows: &[f32], weights: &[f32], out: &mut Vec<f32>) {
        out.clear();
        for row in rows.chunks_exact(weights.len()) {
            let mean_square = row.iter().map(|value| value * value).sum::<f32>() / row.len() as f32;
            let factor = 1.0 / (mean_square + self.config.rms_norm_eps).sqrt();
            out.extend(row.iter().zip(weights).map(|(value, weight)| value * factor * weight));
        }
        self.precision.round(out);
    }

    /// Adds a layer's result to the residual stream.
    fn add(&self, hidden: &mut [f32], change: &[f32]) {
        for (hidden, change) in hidden.iter_mut().zip(change) {
            *hidden += change;
        }
        self.precision.round(hidden);
    }

    /// Writes `silu(gate) * up` for rows of gate and up side by side.
    fn gate(&self, gate_up: &[f32], out: &mut Vec<f32>) {
        out.clear();
        for row in gate_up.chunks_exact(2 * self.config.intermediate) {
            let (gate, up) = row.split_at(self.config.intermediate);
            out.extend(gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up));
        }
        self.precision.round(out);
    }

    /// Appends keys and values of the new tokens to their caches, and attends from each new token.
    fn attend_all(
        &self,
        layer_idx: usize,
        spans: &mut [Span<'_>],
        qkv: &mut [f32],
        out: &mut Vec<f32>,
        scores: &mut Vec<f32>,
    ) {
        let (q_width, kv_width) = (self.config.q_width(), self.config.kv_width());
        out.clear();
        out.resize(qkv.len() / (q_width + 2 * kv_width) * q_width, 0.0);
        let mut rows =
            qkv.chunks_exact_mut(q_width + 2 * kv_width).zip(out.chunks_exact_mut(q_width));
        for span in spans {
            let n_before = span.cache.n_tokens();
            let cache = span.cache.layer(layer_idx);
            for position in n_before..n_before + span.tokens.len() {
                let Some((row, out)) = rows.next() else { return };
                let (queries_keys, values) = row.split_at_mut(q_width + kv_width);
                self.rope.rotate(queries_keys, position);
                self.precision.round(queries_keys);
                let (queries, keys) = queries_keys.split_at(q_width);
                cache.push(keys, values);
                attend(&self.config, queries, cache, position + 1, out, scores);
            }
        }
        self.precision.round(out);
    }
}

fn read_tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let tensor = file.tensor(name).map_err(|_| format!("tensor `{name}` is missing"))?;
    if tensor.shape() != shape {
        return Err(format!("tensor `{name}` is {:?}, not {shape:?}", tensor.shape()));
    }
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => {
            Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        Dtype::F16 => Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| half::f16::from_le_bytes(*bytes).to_f32())
            .collect()),
        Dtype::BF16 => Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32())
            .collect()),
        other => Err(format!("tensor `{name}` is {other:?}, not F32, F16 or BF16")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toy;
    use super::*;

    const PROMPTS: [&[u32]; 4] =
        [&[1, 2, 3, 4, 5, 6, 7], &[200, 100], &[42], &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 11, 12]];

    fn spans<'a>(prompts: &[&'a [u32]], caches: &'a mut [KvCache]) -> Vec<Span<'a>> {
        prompts
            .iter()
            .zip(caches)
            .map(|(tokens, cache)| Span { tokens, cache, wants_logits: true })
            .collect()
    }

    fn logits(model: &Model, prompts: &[&[u32]]) -> Vec<f32> {
        let mut caches = vec![model.new_cache(); prompts.len()];
        model.forward(&mut spans(prompts, &mut caches), &mut Scratch::default())
    }

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn logits_of_a_batch_are_those_of_its_sequences_alone() {
        for precision in [Precision::Fp32, Precision::Bf16, Precision::Int4] {
            let model = toy::load(precision).model;
            let alone: Vec<f32> =
                PROMPTS.iter().flat_map(|prompt| logits(&model, &[prompt])).collect();
            assert_eq!(logits(&model, &PROMPTS), alone, "{precision:?}");
        }
    }

    #[test]
    fn a_cached_prefix_gives_what_the_whole_prompt_gives() {
        let model = toy::load(Precision::Fp32).model;
        let whole = logits(&model, &[PROMPTS[3]]);
        for cut in 1..PROMPTS[3].len() {
            let mut cache = model.new_cache();
            let mut scratch = Scratch::default();
            let (first, second) = PROMPTS[3].split_at(cut);
            let mut span = [Span { tokens: first, cache: &mut cache, wants_logits: false }];
            assert!(model.forward(&mut span, &mut scratch).is_empty());
            let mut span = [Span { tokens: second, cache: &mut cache, wants_logits: true }];
            assert_eq!(model.forward(&mut span, &mut scratch), whole, "{cut}");
        }
    }

    #[test]
    fn every_token_of_a_prompt_counts_and_so_does_its_place() {
        let model = toy::load(Precision::Fp32).model;
        let base = logits(&model, &[&[1, 2, 3, 4]]);
        for other in [[9, 2, 3, 4], [1, 9, 3, 4], [1, 3, 2, 4]] {
            assert!(largest_difference(&base, &logits(&model, &[&other])) > 1e-3, "{other:?}");
        }
    }

    #[test]
    fn formats_change_the_arithmetic_in_the_order_of_their_bits() {
        let reference = logits(&toy::load(Precision::Fp32).model, &PROMPTS);
        let spread = largest_difference(&reference, &vec![0.0; reference.len()]);
        let difference = |precision| {
            largest_difference(&reference, &logits(&toy::load(precision).model, &PROMPTS)) / spread
        };
        let fp16 = difference(Precision::Fp16);
        let bf16 = difference(Precision::Bf16);
        let int8 = difference(Precision::Int8);
        let int4 = difference(Precision::Int4);
        // Units of the last place: 2^-11 and 2^-8; two layers add up some of them.
        assert!(fp16 > 1e-6 && fp16 < 0.01, "{fp16}");
        assert!(bf16 > fp16 && bf16 < 0.08, "{bf16} {fp16}");
        assert!(int8 > 1e-6 && int8 < 0.08, "{int8}");
        assert!(int4 > int8 && int4 < 1.0, "{int4} {int8}");
    }

    #[test]
    fn a_missing_or_misshapen_tensor_is_named() {
        let files = toy::files();
        let config = LlamaConfig::parse(&files.config).unwrap();
        let other = LlamaConfig { n_layers: 3, ..config.clone() };
        let error = Model::load(other, &files.weights, Precision::Fp32, 64).unwrap_err();
        assert!(error.contains("model.layers.2.") && error.contains("missing"), "{error}");
        let other = LlamaConfig { vocab: 300, ..config };
        let error = Model::load(other, &files.weights, Precision::Fp32, 64).unwrap_err();
        assert!(error.contains("[257, 32], not [300, 32]"), "{error}");
    }
}
