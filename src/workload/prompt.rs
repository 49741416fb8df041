//! The prompt as a template over a row's columns.

use std::io;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};

use crate::chat_template::add_methods;
use crate::workload::error::{DataError, PROMPT_TEMPLATE};
use crate::workload::rows::ROW_MAX;

/// Steps that one prompt's template may take.
const FUEL: u64 = 200_000;
const NAME: &str = "prompt";

/// A compiled template.
#[derive(Debug)]
pub(super) struct PromptTemplate {
    environment: Environment<'static>,
}

impl PromptTemplate {
    pub(super) fn new(source: &str) -> Result<Self, DataError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        add_methods(&mut environment);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| {
            let line = error.line().unwrap_or(1);
            DataError::new("scenario", error.to_string(), format!("mend {PROMPT_TEMPLATE}"))
                .at(format_args!("`prompt`, line {line}"))
        })?;
        Ok(Self { environment })
    }

    /// Whether the template names a column.
    pub(super) fn names(&self, column: &str) -> bool {
        let template = self.environment.get_template(NAME);
        template.is_ok_and(|template| template.undeclared_variables(false).contains(column))
    }

    /// Whether the template may read a column: its name stands in it. What a branch sets makes no name
    /// one that all branches have.
    pub(super) fn may_read(&self, column: &str) -> bool {
        let template = self.environment.get_template(NAME);
        template.is_ok_and(|template| template.source().contains(column))
    }

    /// Renders the prompt of one row; the error is one sentence.
    pub(super) fn render(&self, fields: &serde_json::Value) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|error| error.to_string())?;
        let mut text = Capped(Vec::new());
        template.render_captured_to(Value::from(Serde(fields)), &mut text).map_err(|error| {
            match error.kind() {
                minijinja::ErrorKind::UndefinedError => {
                    let name = error.detail().and_then(|detail| detail.split('`').nth(1));
                    let name = name.map_or_else(String::new, |name| format!(" `{name}`,"));
                    format!("{PROMPT_TEMPLATE} names{name} a column that the row does not have")
                }
                _ => format!("{PROMPT_TEMPLATE} fails: {error}"),
            }
        })?;
        String::from_utf8(text.0).map_err(|error| error.to_string())
    }
}

/// Steps alone do not bound what a template writes.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > ROW_MAX {
            return Err(io::Error::other("the prompt is longer than 64 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_has_pythons_methods() {
        let fields = json!({ "q": " Why? ", "opts": { "A": "x" } });
        let template =
            "{{ q.strip() }}{% for k, v in opts.items() %} {{ k }}. {{ v.upper() }}{% endfor %}";
        let template = PromptTemplate::new(template).unwrap();
        assert_eq!(template.render(&fields).unwrap(), "Why? A. X");
    }
}
