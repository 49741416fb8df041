//! Keys and values of the tokens that a sequence has seen.

/// The cache of one sequence.
#[derive(Clone, Debug)]
pub(crate) struct KvCache {
    layers: Vec<LayerCache>,
    n_tokens: usize,
}

/// The cache of one layer: per head, one row per token.
#[derive(Clone, Debug)]
pub(crate) struct LayerCache {
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

impl KvCache {
    /// Returns an empty cache.
    pub(crate) fn new(n_layers: usize, n_kv_heads: usize) -> Self {
        let layer =
            LayerCache { keys: vec![Vec::new(); n_kv_heads], values: vec![Vec::new(); n_kv_heads] };
        Self { layers: vec![layer; n_layers], n_tokens: 0 }
    }

    /// Returns the number of tokens that all layers have seen.
    pub(crate) fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Counts `n_tokens` more as seen by all layers.
    pub(crate) fn advance(&mut self, n_tokens: usize) {
        self.n_tokens += n_tokens;
    }

    /// Returns one layer's cache.
    pub(crate) fn layer(&mut self, layer_idx: usize) -> &mut LayerCache {
        &mut self.layers[layer_idx]
    }
}

impl LayerCache {
    /// Appends one token's keys and values, `[n_kv_heads, head_dim]` each.
    pub(crate) fn push(&mut self, keys: &[f32], values: &[f32]) {
        let head_dim = keys.len() / self.keys.len();
        let heads = keys.chunks_exact(head_dim).zip(values.chunks_exact(head_dim));
        for (head_idx, (key, value)) in heads.enumerate() {
            self.keys[head_idx].extend_from_slice(key);
            self.values[head_idx].extend_from_slice(value);
        }
    }

    /// Returns the keys of one head, one row per token.
    pub(crate) fn keys(&self, head_idx: usize) -> &[f32] {
        &self.keys[head_idx]
    }

    /// Returns the values of one head, one row per token.
    pub(crate) fn values(&self, head_idx: usize) -> &[f32] {
        &self.values[head_idx]
    }
}
