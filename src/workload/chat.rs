//! Prompts as a model reads them: its chat template rendered here, sent as text or token ids.

use std::sync::Arc;

use serde_json::Value;

use crate::workload::body::Asked;
use crate::workload::chat_template::ChatTemplate;
use crate::workload::error::DataError;
use crate::workload::tokenizer::Tokenizer;

/// Renders messages as the text or the token ids that a model goes on from.
#[derive(Clone, Debug)]
pub struct Chat {
    template: ChatTemplate,
    /// Present when token ids are sent.
    tokenizer: Option<Arc<Tokenizer>>,
}

impl Chat {
    /// Takes a model's template from its files; with a tokenizer, prompts become token ids.
    ///
    /// `name` is what messages call the model by, `config` its `tokenizer_config.json`, `day` what
    /// the template is told as today's.
    ///
    /// # Errors
    /// When the model has no template, or one that cannot be read.
    pub fn of_model(
        name: &str,
        jinja: Option<&str>,
        config: Option<&[u8]>,
        day: &str,
        tokenizer: Option<Arc<Tokenizer>>,
    ) -> Result<Self, DataError> {
        let config: Option<Value> =
            config.map(serde_json::from_slice).transpose().map_err(|error| {
                let help = "restore the model's tokenizer_config.json";
                DataError::new(name, format!("tokenizer_config.json is not JSON: {error}"), help)
            })?;
        let template = ChatTemplate::of_model(jinja, config.as_ref(), day)?.ok_or_else(|| {
            DataError::new(
                name,
                "has no chat template",
                "name a model with a chat_template.jinja as `tokenizer`, or leave `chat-template` out",
            )
        })?;
        Ok(Self { template, tokenizer })
    }

    /// Renders a prompt of messages; others stay as they are.
    pub(super) fn rendered(&self, asked: Asked) -> Result<Asked, String> {
        let Asked::Messages(messages) = asked else { return Ok(asked) };
        let text = self.template.render(&messages, true).map_err(|error| error.to_string())?;
        match &self.tokenizer {
            None => Ok(Asked::Text(text)),
            Some(tokenizer) => {
                let tokens = tokenizer.encode(&text).map_err(|error| error.to_string())?;
                Ok(Asked::Tokens(tokens))
            }
        }
    }
}

impl PartialEq for Chat {
    fn eq(&self, other: &Self) -> bool {
        let tokenizer = |chat: &Self| chat.tokenizer.as_ref().map(|t| t.sha256().to_owned());
        self.template.sha256() == other.template.sha256() && tokenizer(self) == tokenizer(other)
    }
}
