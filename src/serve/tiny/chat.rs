//! A model's chat template.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, context};

use crate::openai::body::ChatMessage;

const NAME: &str = "chat_template";

/// Renders messages to a prompt, as Hugging Face's tokenizers do.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// The syntax error of the template.
    pub(crate) fn parse(
        source: String,
        bos_token: String,
        eos_token: String,
    ) -> Result<Self, String> {
        let mut environment = Environment::new();
        // These are the Jinja settings of transformers.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| format!("{error:#}"))?);
        environment.add_function("raise_exception", |message: String| -> Result<String, _> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, source).map_err(|error| format!("{error:#}"))?;
        Ok(Self { environment, bos_token, eos_token })
    }

    /// Returns the prompt that makes a model answer these messages.
    ///
    /// # Errors
    /// The error that the template raised.
    pub(crate) fn render(&self, messages: &[ChatMessage]) -> Result<String, String> {
        let messages: Vec<_> = messages
            .iter()
            .map(|message| context! { role => message.role.as_str(), content => message.text() })
            .collect();
        let template = self.environment.get_template(NAME).map_err(|error| format!("{error:#}"))?;
        template
            .render(context! {
                messages,
                add_generation_prompt => true,
                bos_token => self.bos_token.as_str(),
                eos_token => self.eos_token.as_str(),
            })
            .map_err(|error| format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::body::ContentField;

    fn render(source: &str) -> Result<String, String> {
        let message = |role: &str, text: &str| ChatMessage {
            role: role.into(),
            content: Some(ContentField::Text(text.into())),
        };
        ChatTemplate::parse(source.into(), "<s>".into(), "</s>".into())?
            .render(&[message("user", "Hi"), message("assistant", "Ho")])
    }

    #[test]
    fn a_template_sees_messages_and_special_tokens() {
        let source = "{{ bos_token }}{% for m in messages %}\n  {% if m['role'] == 'user' %}\nQ: {{ m.content }}\n{% endif %}\n{% endfor %}{% if add_generation_prompt %}A:{% endif %}{{ eos_token }}";
        assert_eq!(render(source).unwrap(), "<s>Q: Hi\nA:</s>");
    }

    #[test]
    fn a_template_may_refuse() {
        assert!(
            render("{{ raise_exception('no such role') }}").unwrap_err().contains("no such role")
        );
        assert!(render("{% for %}").is_err());
    }
}
