//! A model's chat template, rendered as its own library does.

mod model;
mod python;

use std::collections::BTreeMap;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use serde::Serialize;

pub(crate) use crate::chat_template::model::ModelFiles;

/// Gives a template's texts, lists and dictionaries the methods of Python's.
pub(crate) fn add_methods(environment: &mut Environment<'_>) {
    python::add_methods(environment);
}

const FUEL: u64 = 5_000_000;
const NAME: &str = "chat_template";
/// The function by which a template asks for the day.
const DAY: &str = "strftime_now";

/// Values by name; tables in them keep their order, as templates write them out.
pub(crate) type Variables = BTreeMap<String, Value>;

/// What a template is told beside the messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// Its name, where a model has several; the default one when absent.
    pub(crate) name: Option<String>,
    /// Variables by name; `tools` and `documents` are none when they are not there.
    pub(crate) variables: Variables,
    /// What it is told as today's, such as 2026-11-29; empty for no day.
    pub(crate) day: String,
}

/// A template that cannot be read, or that refuses a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// Line of the template, from 1, where one is known.
    pub(crate) line: Option<usize>,
    /// The mistake.
    pub(crate) message: String,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        Self { line: None, message: message.into() }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A compiled chat template with the special tokens and the variables it speaks of.
///
/// `strftime_now` tells the day that the run was begun, at midnight: the prompts of a run stay the
/// same for as long as it is gone on with.
#[derive(Clone, Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    /// Special tokens and variables by name.
    names: Variables,
    day: String,
}

impl ChatTemplate {
    /// Compiles a template that is told these special tokens.
    fn new(source: String, special_tokens: Variables, told: &Told) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // As Hugging Face's transformers set up Jinja.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        python::extend(&mut environment);
        if let Ok(day) = told.day.parse::<jiff::civil::Date>() {
            environment.add_function(DAY, move |format: &str| strftime(day, format));
        }
        environment.add_template_owned(NAME, python::translated(&source)).map_err(|error| {
            TemplateError { line: Some(error.line().unwrap_or(1)), message: error.to_string() }
        })?;
        // Given by transformers in any case: templates ask whether they are none.
        let mut names: Variables =
            ["tools", "documents"].map(|name| (name.to_owned(), Value::from(()))).into();
        names.extend(special_tokens);
        names.extend(told.variables.clone());
        Ok(Self { environment, source, names, day: told.day.clone() })
    }

    /// Whether the template asks for the day.
    pub(crate) fn asks_for_day(&self) -> bool {
        self.source.contains(DAY)
    }

    /// Whether another template renders the same conversations to the same texts.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let day = |template: &Self| template.asks_for_day().then(|| template.day.clone());
        self.source == other.source && self.names == other.names && day(self) == day(other)
    }

    /// Renders a conversation as the text that the model continues; `more` are variables over those
    /// that are told in any case.
    pub(crate) fn render(
        &self,
        messages: &[impl Serialize],
        more: &Variables,
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let names = self.names.iter().chain(more);
        let context = context! {
            messages => Value::from(Serde(messages)),
            add_generation_prompt => add_generation_prompt,
            ..Value::from_pairs(names.map(|(name, value)| (name.clone(), value.clone())))
        };
        let template = self.environment.get_template(NAME);
        let rendered = template.and_then(|template| template.render(context));
        rendered.map_err(|error| TemplateError::new(error.to_string()))
    }
}

/// What Python writes for some letters without a language and a zone set, at midnight.
const WHOLE: [(&str, &str); 7] = [
    ("%c", "%a %b %e %H:%M:%S %Y"),
    ("%x", "%m/%d/%y"),
    ("%X", "%H:%M:%S"),
    ("%f", "000000"),
    ("%z", ""),
    ("%:z", ""),
    ("%Z", ""),
];

/// Writes a day as Python's `strftime` does.
fn strftime(day: jiff::civil::Date, format: &str) -> Result<String, Error> {
    let seconds = day.to_zoned(jiff::tz::TimeZone::UTC).map(|day| day.timestamp().as_second());
    let seconds =
        seconds.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let parts = format.split("%%").map(|part| {
        let part = part.replace("%s", &seconds.to_string());
        WHOLE.iter().fold(part, |part, (letter, whole)| part.replace(letter, whole))
    });
    jiff::fmt::strtime::format(parts.collect::<Vec<_>>().join("%%"), day.at(0, 0, 0, 0))
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn messages(pairs: &[(&str, &str)]) -> Vec<Json> {
        pairs.iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
    }

    fn template(source: &str, variables: &str, day: &str) -> ChatTemplate {
        let read = |json: &str| serde_json::from_str::<Variables>(json).unwrap();
        let tokens = read(r#"{"bos_token": "<s>", "eos_token": "</s>"}"#);
        let told = Told { name: None, variables: read(variables), day: day.to_owned() };
        ChatTemplate::new(source.to_owned(), tokens, &told).unwrap()
    }

    fn check(source: &str, pairs: &[(&str, &str)], expected: &str) {
        let template = template(source, "{}", "2026-11-05");
        assert_eq!(template.render(&messages(pairs), &Variables::new(), true).unwrap(), expected);
    }

    #[test]
    fn templates_of_the_usual_kinds_render_as_python_renders_them() {
        // The expected texts were rendered with Jinja2's ImmutableSandboxedEnvironment,
        // trim_blocks and lstrip_blocks on.
        check(
            "{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
             {{ message['content'] }}<|im_end|>\n{% endfor %}\
             {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
            &[("system", "S"), ("user", "Hi & \"bye\"")],
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi & \"bye\"<|im_end|>\n\
             <|im_start|>assistant\n",
        );
        check(
            "{{ bos_token }}\n{%- for m in messages %}\n    {%- if m.role == 'user' %}\n        \
             {{- '[INST] ' + m.content.strip() + ' [/INST]' }}\n    {%- elif m['role'] == \
             'assistant' %}\n        {{- ' ' ~ m.content ~ eos_token }}\n    {%- endif %}\n\
             {%- endfor %}",
            &[("user", "  one "), ("assistant", "two"), ("user", "three")],
            "<s>[INST] one [/INST] two</s>[INST] three [/INST]",
        );
        check(
            "{% for m in messages %}{% if m.get('tool') is none and m.content.startswith('a') %}\
             {{ m.content.split('-')[-1] | trim | upper }}\
             {{ {'a': [1, m.content]} | tojson }}{% endif %}{% endfor %}",
            &[("user", "a-<b>é")],
            "<B>É{\"a\": [1, \"a-<b>é\"]}",
        );
    }

    #[test]
    fn a_loop_through_a_text_knows_its_last_turn() {
        check(
            "{% for c in 'aé' %}{{ c }}{{ '-' if not loop.last }}{{ loop.length }}{{ loop.revindex }}\
             {% endfor %}",
            &[],
            "a-22é21",
        );
    }

    #[test]
    fn what_stands_in_a_raw_block_is_left_as_it_is() {
        check("{% raw %}\n b\n{% endraw %}\nc", &[], "\n b\nc");
        check("{% raw -%}\n b{{ x }}\n{%- endraw %}\nc", &[], "b{{ x }}c");
    }

    #[test]
    fn templates_with_headers_turns_and_thoughts_render_as_python_renders_them() {
        // In the manner of Llama 3: the template asks whether there are tools.
        let headers = "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}\
             {{- bos_token }}{%- if messages[0]['role'] == 'system' %}\
             {%- set system = messages[0]['content']|trim %}{%- set messages = messages[1:] %}\
             {%- else %}{%- set system = '' %}{%- endif %}\
             {%- if system or tools is not none %}\
             {{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + system + '<|eot_id|>' }}\
             {%- endif %}{%- for message in messages %}\
             {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' \
             + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}\
             {%- if add_generation_prompt %}\
             {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}";
        check(
            headers,
            &[("system", " Be brief. "), ("user", "Hi ")],
            "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
        );
        check(
            headers,
            &[("user", "Hi")],
            "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
        );
        // In the manner of Qwen: a system message of its own, thoughts are taken out.
        check(
            "{%- set ns = namespace(last=messages|length - 1) %}\
             {%- if messages[0].role != 'system' %}\
             {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{%- endif %}\
             {%- for m in messages %}{%- if m.role == 'assistant' and '</think>' in m.content %}\
             {%- set content = m.content.split('</think>')[-1].lstrip('\\n') %}\
             {%- else %}{%- set content = m.content %}{%- endif %}\
             {{- '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>' + '\\n' }}\
             {%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}\
             {%- if enable_thinking is defined and enable_thinking is false %}\
             {{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}",
            &[("user", "Hi"), ("assistant", "<think>x</think>\n\nyes"), ("user", "so?")],
            "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
             <|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nso?<|im_end|>\n\
             <|im_start|>assistant\n",
        );
        // In the manner of Zephyr and TinyLlama: blocks on lines of their own.
        check(
            "{% for message in messages %}\n{% if message['role'] == 'user' %}\n\
             {{ '<|user|>\\n' + message['content'] + eos_token }}\n\
             {% elif message['role'] == 'system' %}\n\
             {{ '<|system|>\\n' + message['content'] + eos_token }}\n{% endif %}\n\
             {% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n\
             {% endfor %}",
            &[("system", "S"), ("user", "Hi")],
            "<|system|>\nS</s>\n<|user|>\nHi</s>\n<|assistant|>\n",
        );
    }

    #[test]
    fn lines_that_go_on_and_blocks_of_the_models_own_words_are_read_as_python_reads_them() {
        // As above; the blocks are an extension of transformers.
        check(
            "{%- set known = \"You are S.\\\nThe date is unknown.\\n\\\nSay \\\"%} so\\\".\" %}\
             {{ known }}|{% for m in messages %}{% if m.role == 'assistant' %}\
             {%- generation -%}  {{ m.content.split(' ', 1)[1] }}{% endgeneration %}\
             {% endif %}{% endfor %}",
            &[("user", "one"), ("assistant", "a b c")],
            "You are S.The date is unknown.\nSay \"%} so\".|b c",
        );
    }

    #[test]
    fn the_day_is_that_of_the_run() {
        check(
            "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %} \
             {{ strftime_now('%A, %B %-d, %Y at %H:%M') }} {{ strftime_now('%x %%c %c') }} {{ strftime_now('%T.%f%z|%Z|%s %%f') }}",
            &[],
            "05 Nov 2026 Thursday, November 5, 2026 at 00:00 11/05/26 %c Thu Nov  5 00:00:00 2026 \
             00:00:00.000000||1793836800 %f",
        );
        let told_none = template("{{ strftime_now is defined }}", "{}", "");
        assert_eq!(told_none.render(&messages(&[]), &Variables::new(), true).unwrap(), "False");
        assert!(told_none.asks_for_day() && !template("{{ x }}", "{}", "").asks_for_day());
    }

    #[test]
    fn variables_are_told_by_name_and_lie_over_special_tokens() {
        let variables = r#"{
            "enable_thinking": false,
            "tools": [{ "type": "function", "function": { "name": "b", "arguments": {"z": 1} } }],
            "eos_token": "<end>"
        }"#;
        let source = "{{ bos_token }}{{ eos_token }}{% if enable_thinking is defined and not \
                      enable_thinking %}<think></think>{% endif %}{{ tools[0]|tojson }} \
                      {{ documents is none }}";
        assert_eq!(
            template(source, variables, "")
                .render(&messages(&[]), &Variables::new(), true)
                .unwrap(),
            "<s><end><think></think>{\"type\": \"function\", \"function\": {\"name\": \"b\", \
             \"arguments\": {\"z\": 1}}} True"
        );
    }

    #[test]
    fn a_day_tells_templates_apart_only_where_they_ask_for_it() {
        let is_same = |source: &str| {
            let day = |day| template(source, "{}", day);
            day("2026-11-05").is_same(&day("2026-11-06"))
        };
        assert!(is_same("{{ messages }}"));
        assert!(!is_same("{{ strftime_now('%d') }}"));
        let plain = template("a", "{}", "");
        assert!(!plain.is_same(&template("a", r#"{"b": 1}"#, "")));
    }

    #[test]
    fn a_template_that_refuses_says_why() {
        let source =
            "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}";
        let error = template(source, "{}", "").render(
            &messages(&[("system", "S")]),
            &Variables::new(),
            true,
        );
        assert!(error.unwrap_err().message.contains("user first"));
    }
}
