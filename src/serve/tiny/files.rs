#![expect(clippy::disallowed_methods, reason = "edge: reads a model directory")]
//! The files of a model, from a directory or from this binary, and the model that they load to.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use tokenizers::Tokenizer;

use super::config::LlamaConfig;
use super::model::Model;
use super::precision::Precision;
use crate::chat_template::{ChatTemplate, ModelFiles as TemplateFiles, Told};
use crate::serve::ServeError;

/// The files of a model in Hugging Face's format.
#[derive(Clone, Debug)]
pub(crate) struct ModelFiles {
    /// `config.json`.
    pub config: Cow<'static, [u8]>,
    /// `generation_config.json`, if there is one.
    pub generation_config: Option<Cow<'static, [u8]>>,
    /// `model.safetensors`.
    pub weights: Cow<'static, [u8]>,
    /// `tokenizer.json`.
    pub tokenizer: Cow<'static, [u8]>,
    /// Those that say how the model is spoken to.
    pub template: TemplateFiles,
}

/// A model that is ready to answer.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Weights and shape.
    pub model: Model,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// Messages to text; a model without a template takes no chats.
    pub chat_template: Option<ChatTemplate>,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<u32>,
    /// Longest context.
    pub max_model_len: usize,
}

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<serde_json::Value>,
}

impl ModelFiles {
    /// Reads a model directory.
    ///
    /// # Errors
    /// [`ServeError::File`] with the file that is missing.
    pub(crate) fn read(directory: &Path) -> Result<Self, ServeError> {
        let read = |name: &str| {
            let path = directory.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(source) => Err(ServeError::File { path, source }),
            }
        };
        let read_if_there = |name: &str| match read(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ServeError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        };
        Ok(Self {
            config: read("config.json")?,
            generation_config: read_if_there("generation_config.json")?,
            weights: read("model.safetensors")?,
            tokenizer: read("tokenizer.json")?,
            template: TemplateFiles {
                jinja: read_if_there("chat_template.jinja")?.map(Cow::into_owned),
                json: read_if_there("chat_template.json")?.map(Cow::into_owned),
                config: read_if_there("tokenizer_config.json")?.map(Cow::into_owned),
                special_tokens_map: read_if_there("special_tokens_map.json")?.map(Cow::into_owned),
                ..TemplateFiles::default()
            },
        })
    }

    /// Loads a model from the files. `max_model_len` defaults to the model's own limit; `day` is told
    /// to the chat template.
    ///
    /// # Errors
    /// The name of the file that is wrong, and why.
    pub(crate) fn load(
        &self,
        precision: Precision,
        max_model_len: Option<usize>,
        day: &str,
    ) -> Result<Loaded, (&'static str, String)> {
        let config = LlamaConfig::parse(&self.config).map_err(|reason| ("config.json", reason))?;
        let max_model_len = max_model_len.unwrap_or(config.max_positions);
        let mut eos_token_ids = config.eos_token_ids.clone();
        if let Some(bytes) = &self.generation_config {
            let file: GenerationConfig = serde_json::from_slice(bytes)
                .map_err(|error| ("generation_config.json", error.to_string()))?;
            eos_token_ids.extend(ids_of(file.eos_token_id.as_ref()));
            eos_token_ids.sort_unstable();
            eos_token_ids.dedup();
        }
        let tokenizer = Tokenizer::from_bytes(&self.tokenizer)
            .map_err(|error| ("tokenizer.json", error.to_string()))?;
        let chat_template =
            self.template.template(&Told { day: day.to_owned(), ..Told::default() });
        let chat_template =
            chat_template.map_err(|error| ("chat_template.jinja", error.to_string()))?;
        let model = Model::load(config, &self.weights, precision, max_model_len)
            .map_err(|reason| ("model.safetensors", reason))?;
        Ok(Loaded { model, tokenizer, chat_template, eos_token_ids, max_model_len })
    }
}

fn ids_of(value: Option<&serde_json::Value>) -> Vec<u32> {
    match value {
        Some(serde_json::Value::Array(ids)) => {
            ids.iter().filter_map(|id| id.as_u64().map(|id| id as u32)).collect()
        }
        Some(id) => id.as_u64().map(|id| id as u32).into_iter().collect(),
        None => Vec::new(),
    }
}
