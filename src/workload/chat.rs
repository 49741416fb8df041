//! Prompts as a model reads them: its chat template rendered here, sent as text or token ids.

use std::sync::Arc;

use crate::chat_template::{ChatTemplate, ModelFiles, TemplateError, Told, Variables};
use crate::plan::cell::{DatasetPlan, PromptForm};
use crate::workload::body::{Asked, TOOLS};
use crate::workload::error::DataError;
use crate::workload::request::Message;
use crate::workload::tokenizer::Tokenizer;

/// Renders messages as the text or the token ids that a model goes on from.
#[derive(Clone, Debug)]
pub struct Chat {
    template: ChatTemplate,
    /// Present when token ids are sent.
    tokenizer: Option<Arc<Tokenizer>>,
}

/// How the prompts of a data set are rendered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spoken {
    /// Renders them here, when they are to be sent so.
    pub(crate) chat: Option<Chat>,
    /// The template that an engine is taken to render messages by.
    pub(crate) template: Option<Chat>,
    /// Variables that it tells the template.
    pub(crate) variables: Variables,
}

impl Spoken {
    /// Takes the template of a model, as a data set wants it; `tokenizer` is the model's.
    ///
    /// # Errors
    /// When prompts are to be rendered here and the model has no template, or one that cannot be
    /// read. Where the engine renders them, a template that cannot be read is not known.
    pub(crate) fn of(
        plan: &DatasetPlan,
        files: &ModelFiles,
        told: &Told,
        tokenizer: &Arc<Tokenizer>,
    ) -> Result<Self, DataError> {
        let name = plan.tokenizer.as_deref().unwrap_or("tokenizer");
        let variables = told.variables.clone();
        let Some(form) = plan.chat_template else {
            let template = Chat::of_model(name, files, told, None).ok().flatten();
            return Ok(Self { chat: None, template, variables });
        };
        let encoder = (form == PromptForm::Tokens).then(|| Arc::clone(tokenizer));
        let chat = Chat::of_model(name, files, told, encoder)?.ok_or_else(|| {
            let help = "name a model with a chat_template.jinja as `tokenizer`, or leave \
                        `chat-template` out";
            DataError::new(name, "has no chat template", help)
        })?;
        Ok(Self { chat: Some(chat), template: None, variables })
    }

    /// Whether a prompt depends on the day that its template is told.
    pub(crate) fn asks_for_day(&self) -> bool {
        self.chat.as_ref().is_some_and(|chat| chat.template.asks_for_day())
    }
}

impl Chat {
    /// Takes a model's template from its files; with a tokenizer, prompts become token ids.
    ///
    /// `name` is what messages call the model by; `None` for a model without a template.
    ///
    /// # Errors
    /// When the template, or a file beside it, cannot be read.
    fn of_model(
        name: &str,
        files: &ModelFiles,
        told: &Told,
        tokenizer: Option<Arc<Tokenizer>>,
    ) -> Result<Option<Self>, DataError> {
        let template = files.template(told).map_err(|TemplateError { line, message }| {
            let error = DataError::new(name, message, "restore the model's files, or mend them");
            match line {
                Some(line) => error.at(format_args!("chat template, line {line}")),
                None => error.at("chat template"),
            }
        })?;
        Ok(template.map(|template| Self { template, tokenizer }))
    }

    /// Renders a prompt of messages; others stay as they are.
    pub(super) fn rendered(&self, asked: Asked) -> Result<Asked, TemplateError> {
        let Asked::Messages(messages, tools) = asked else { return Ok(asked) };
        let text = self.text(&messages, tools.as_ref())?;
        match &self.tokenizer {
            None => Ok(Asked::Text(text)),
            Some(tokenizer) => {
                let encoded = tokenizer.encode(&text);
                let failed =
                    |error: DataError| TemplateError { line: None, message: error.message };
                encoded.map(Asked::Tokens).map_err(failed)
            }
        }
    }

    /// Returns the text that a model goes on from, told the tools of a row's own.
    pub(super) fn text(
        &self,
        messages: &[Message],
        tools: Option<&minijinja::Value>,
    ) -> Result<String, TemplateError> {
        let more: Variables =
            tools.map(|tools| (TOOLS.to_owned(), tools.clone())).into_iter().collect();
        self.template.render(messages, &more, true)
    }
}

impl PartialEq for Chat {
    fn eq(&self, other: &Self) -> bool {
        let tokenizer = |chat: &Self| chat.tokenizer.as_ref().map(|t| t.sha256().to_owned());
        self.template.is_same(&other.template) && tokenizer(self) == tokenizer(other)
    }
}
