//! A model's chat template, rendered as its own library does.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value as Json;

use crate::ids::sha256_hex;
use crate::workload::error::DataError;
use crate::workload::python_jinja;
use crate::workload::request::Message;

const FUEL: u64 = 5_000_000;
const NAME: &str = "chat_template";
/// The tokens that transformers hands to a template, by their names in `tokenizer_config.json`.
const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A compiled chat template with the special tokens it speaks of.
///
/// `strftime_now` tells the day that the run was begun, at midnight: the prompts of a run stay the
/// same for as long as it is gone on with.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Json,
    sha256: String,
}

impl ChatTemplate {
    /// Compiles a template; `config` is the model's `tokenizer_config.json`, if it has one, `day`
    /// what it is told as today's. Without a day it is told none.
    pub fn new(template: &str, config: Option<&Json>, day: &str) -> Result<Self, DataError> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // As Hugging Face's transformers set up Jinja.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        python_jinja::extend(&mut environment);
        if let Ok(day) = day.parse::<jiff::civil::Date>() {
            environment.add_function("strftime_now", move |format: &str| strftime(day, format));
        }
        environment.add_template_owned(NAME, python_jinja::translated(template)).map_err(
            |error| {
                DataError::new(NAME, error.to_string(), "send messages instead of rendered text")
                    .at(format_args!("line {}", error.line().unwrap_or(1)))
            },
        )?;
        let mut special_tokens = serde_json::Map::new();
        for name in SPECIAL_TOKENS {
            let token = config.and_then(|config| config.get(name));
            let text = token.map(|token| token.get("content").unwrap_or(token));
            if let Some(text) = text.and_then(Json::as_str) {
                special_tokens.insert(name.to_owned(), Json::from(text));
            }
        }
        Ok(Self {
            environment,
            special_tokens: Json::Object(special_tokens),
            sha256: sha256_hex(template.as_bytes()),
        })
    }

    /// Finds the template of a model: its `chat_template.jinja`, else the one in its
    /// `tokenizer_config.json`.
    pub fn of_model(
        jinja: Option<&str>,
        config: Option<&Json>,
        day: &str,
    ) -> Result<Option<Self>, DataError> {
        let in_config = config.and_then(|config| config.get("chat_template"));
        let named = |name: &str| {
            in_config?.as_array()?.iter().find(|template| template["name"] == name)?["template"]
                .as_str()
        };
        let template = jinja.or_else(|| in_config?.as_str()).or_else(|| named("default"));
        template.map(|template| Self::new(template, config, day)).transpose()
    }

    /// Returns the SHA-256 of the template's text.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Renders a conversation as the text that the model continues.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, DataError> {
        let context = context! {
            messages => Value::from(Serde(messages)),
            add_generation_prompt => add_generation_prompt,
            // Given by transformers in any case: templates ask whether they are none.
            tools => (),
            documents => (),
            ..Value::from(Serde(&self.special_tokens))
        };
        self.environment.get_template(NAME).and_then(|template| template.render(context)).map_err(
            |error| {
                DataError::new(NAME, error.to_string(), "send messages instead of rendered text")
            },
        )
    }
}

/// Writes a day as Python's `strftime` does.
fn strftime(day: jiff::civil::Date, format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, day.at(0, 0, 0, 0))
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn messages(pairs: &[(&str, &str)]) -> Vec<Message> {
        pairs
            .iter()
            .map(|(role, content)| Message {
                role: (*role).to_owned(),
                content: (*content).to_owned(),
            })
            .collect()
    }

    fn check(template: &str, pairs: &[(&str, &str)], expected: &str) {
        let config = json!({
            "bos_token": "<s>",
            "eos_token": { "content": "</s>", "lstrip": false },
        });
        let template = ChatTemplate::new(template, Some(&config), "2026-11-05").unwrap();
        assert_eq!(template.render(&messages(pairs), true).unwrap(), expected);
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
             {{ strftime_now('%A, %B %-d, %Y at %H:%M') }}",
            &[],
            "05 Nov 2026 Thursday, November 5, 2026 at 00:00",
        );
        let told_none = ChatTemplate::new("{{ strftime_now is defined }}", None, "").unwrap();
        assert_eq!(told_none.render(&[], true).unwrap(), "False");
    }

    #[test]
    fn a_template_that_refuses_says_why() {
        let template = ChatTemplate::new(
            "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}",
            None,
            "",
        )
        .unwrap();
        let error = template.render(&messages(&[("system", "S")]), true).unwrap_err();
        assert!(error.message.contains("user first"), "{error}");
    }

    #[test]
    fn the_template_is_found_in_either_file() {
        let config = json!({ "chat_template": [
            { "name": "tool_use", "template": "t" },
            { "name": "default", "template": "d" },
        ]});
        let find = |jinja, config: Option<&Json>| {
            let found = ChatTemplate::of_model(jinja, config, "").unwrap();
            found.map(|template| template.render(&[], false).unwrap())
        };
        assert_eq!(find(None, Some(&config)).as_deref(), Some("d"));
        assert_eq!(find(Some("j"), Some(&config)).as_deref(), Some("j"));
        assert_eq!(find(None, Some(&json!({ "chat_template": "s" }))).as_deref(), Some("s"));
        assert_eq!(find(None, None), None);
    }
}
