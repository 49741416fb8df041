//! An untrained model for tests. It has every part of a real one.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use rand::RngExt;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::super::files::{Loaded, ModelFiles};
use super::super::precision::Precision;
use crate::chat_template::ModelFiles as TemplateFiles;
use crate::seed::Seed;

const HIDDEN: usize = 32;
const HEAD_DIM: usize = 8;
const N_HEADS: usize = 4;
const N_KV_HEADS: usize = 2;
const INTERMEDIATE: usize = 64;
const N_LAYERS: usize = 2;
/// One token per byte, and the end of sequence.
const VOCAB: usize = 257;
/// The end of sequence.
pub(crate) const EOS: u32 = 256;

/// Returns the files of the toy model.
pub(crate) fn files() -> ModelFiles {
    let config = format!(
        r#"{{"model_type":"llama","hidden_size":{HIDDEN},"num_hidden_layers":{N_LAYERS},
        "num_attention_heads":{N_HEADS},"num_key_value_heads":{N_KV_HEADS},"head_dim":{HEAD_DIM},
        "intermediate_size":{INTERMEDIATE},"vocab_size":{VOCAB},"rms_norm_eps":1e-5,
        "max_position_embeddings":128,"eos_token_id":{EOS}}}"#
    );
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";
    ModelFiles {
        config: Cow::Owned(config.into_bytes()),
        generation_config: None,
        weights: Cow::Owned(weights()),
        tokenizer: Cow::Owned(tokenizer().to_string().into_bytes()),
        template: TemplateFiles {
            jinja: Some(template.as_bytes().to_vec()),
            ..TemplateFiles::default()
        },
    }
}

/// Returns the toy model, loaded.
pub(crate) fn load(precision: Precision) -> Loaded {
    files().load(precision, None, "").unwrap()
}

/// Returns the toy model in FP32, the same for all tests.
pub(crate) fn shared() -> Arc<Loaded> {
    static SHARED: LazyLock<Arc<Loaded>> = LazyLock::new(|| Arc::new(load(Precision::Fp32)));
    Arc::clone(&SHARED)
}

fn weights() -> Vec<u8> {
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCAB, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
        ("lm_head.weight".to_owned(), vec![VOCAB, HIDDEN]),
    ];
    for layer_idx in 0..N_LAYERS {
        for (name, shape) in [
            ("input_layernorm", vec![HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![N_HEADS * HEAD_DIM, HIDDEN]),
            ("self_attn.k_proj", vec![N_KV_HEADS * HEAD_DIM, HIDDEN]),
            ("self_attn.v_proj", vec![N_KV_HEADS * HEAD_DIM, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, N_HEADS * HEAD_DIM]),
            ("mlp.gate_proj", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.up_proj", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INTERMEDIATE]),
        ] {
            shapes.push((format!("model.layers.{layer_idx}.{name}.weight"), shape));
        }
    }
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let mut rng = Seed(1).stream(&name);
            let (centre, spread) = if shape.len() == 1 { (1.0, 0.2) } else { (0.0, 0.5) };
            let bytes = (0..shape.iter().product())
                .flat_map(|_| (centre + rng.random_range(-spread..spread) as f32).to_le_bytes())
                .collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    serialize(views, None).unwrap()
}

/// Returns a byte-level tokenizer without merges: a token per byte.
fn tokenizer() -> serde_json::Value {
    let mut alphabet: Vec<char> =
        tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut vocab: serde_json::Map<String, serde_json::Value> = alphabet
        .iter()
        .enumerate()
        .map(|(id, character)| (character.to_string(), id.into()))
        .collect();
    vocab.insert("<eos>".to_owned(), EOS.into());
    let byte_level = serde_json::json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false
    });
    serde_json::json!({
        "version": "1.0",
        "added_tokens": [{
            "id": EOS, "content": "<eos>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true
        }],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": []}
    })
}
