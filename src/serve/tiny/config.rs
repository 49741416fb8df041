//! A Llama model's shape, from its `config.json`.

use serde::Deserialize;

/// Sizes and constants of a Llama model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LlamaConfig {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Layers.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f32,
    /// Base of the rotary embedding's wavelengths.
    pub rope_theta: f64,
    /// Whether the embedding is the output layer too.
    pub tie_word_embeddings: bool,
    /// Longest context.
    pub max_positions: usize,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<u32>,
}

#[derive(Deserialize)]
struct ConfigFile {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    rms_norm_eps: f32,
    rope_theta: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<RopeParameters>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    hidden_act: Option<String>,
    max_position_embeddings: usize,
    eos_token_id: Option<TokenIds>,
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenIds {
    One(u32),
    Many(Vec<u32>),
}

impl LlamaConfig {
    /// Reads `config.json`.
    ///
    /// `rope_theta` is at the top level or, since transformers 5, in `rope_parameters`.
    ///
    /// # Errors
    /// The key that is missing, or the feature that this engine does not compute.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let file: ConfigFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let rope = file.rope_parameters.as_ref().or(file.rope_scaling.as_ref());
        let rope_type = rope.and_then(|rope| rope.rope_type.as_deref()).unwrap_or("default");
        let refuse = |what: &str| Err(format!("{what} is not supported"));
        match () {
            () if file.model_type != "llama" => {
                return refuse(&format!("model type `{}`", file.model_type));
            }
            () if rope_type != "default" => return refuse(&format!("rope type `{rope_type}`")),
            () if file.attention_bias || file.mlp_bias => return refuse("bias in linear layers"),
            () if file.hidden_act.as_deref().is_some_and(|act| act != "silu") => {
                return refuse("another activation than silu");
            }
            () => {}
        }
        let n_heads = file.num_attention_heads;
        let n_kv_heads = file.num_key_value_heads.unwrap_or(n_heads);
        let head_dim = file.head_dim.unwrap_or(file.hidden_size / n_heads.max(1));
        if n_kv_heads == 0
            || !n_heads.is_multiple_of(n_kv_heads)
            || head_dim == 0
            || !head_dim.is_multiple_of(2)
        {
            return Err(format!(
                "{n_heads} heads of width {head_dim} cannot share {n_kv_heads} key-value heads"
            ));
        }
        Ok(Self {
            hidden: file.hidden_size,
            n_layers: file.num_hidden_layers,
            n_heads,
            n_kv_heads,
            head_dim,
            intermediate: file.intermediate_size,
            vocab: file.vocab_size,
            rms_norm_eps: file.rms_norm_eps,
            rope_theta: file
                .rope_theta
                .or_else(|| rope.and_then(|rope| rope.rope_theta))
                .unwrap_or(10_000.0),
            tie_word_embeddings: file.tie_word_embeddings,
            max_positions: file.max_position_embeddings,
            eos_token_ids: match file.eos_token_id {
                None => Vec::new(),
                Some(TokenIds::One(id)) => vec![id],
                Some(TokenIds::Many(ids)) => ids,
            },
        })
    }

    /// Returns the width of all query heads together.
    pub(crate) fn q_width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Returns the width of all key heads together, which is that of the value heads too.
    pub(crate) fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(extra: &str) -> Result<LlamaConfig, String> {
        let json = format!(
            r#"{{"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,
            "intermediate_size":96,"vocab_size":100,"rms_norm_eps":1e-5,"max_position_embeddings":128{extra}}}"#
        );
        LlamaConfig::parse(json.as_bytes())
    }

    #[test]
    fn rope_theta_is_found_in_both_places() {
        let theta = |extra| parse(extra).unwrap().rope_theta;
        assert!((theta("") - 10_000.0).abs() < 1e-9);
        assert!((theta(r#","rope_theta":5e5"#) - 5e5).abs() < 1e-9);
        assert!(
            (theta(r#","rope_parameters":{"rope_theta":7e4,"rope_type":"default"}"#) - 7e4).abs()
                < 1e-9
        );
    }

    #[test]
    fn the_end_of_sequence_is_one_token_or_several_or_none() {
        let eos = |extra| parse(extra).unwrap().eos_token_ids;
        assert_eq!(eos(r#","eos_token_id":2"#), [2]);
        assert_eq!(eos(r#","eos_token_id":[2,3]"#), [2, 3]);
        assert!(eos("").is_empty());
    }

    #[test]
    fn what_would_be_computed_wrongly_is_refused() {
        for extra in [
            r#","rope_scaling":{"rope_type":"llama3"}"#,
            r#","attention_bias":true"#,
            r#","hidden_act":"gelu""#,
            r#","num_key_value_heads":3"#,
        ] {
            assert!(parse(extra).is_err(), "{extra}");
        }
    }
}
