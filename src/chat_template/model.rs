//! Finds the template of a model in its files, and the special tokens it speaks of.
//!
//! As `PreTrainedTokenizerBase` of transformers 4.57 does; source: its `_from_pretrained`,
//! `get_chat_template` and `special_tokens_map`.

use std::collections::BTreeMap;

use minijinja::Value;
use serde_json::{Map, Value as Json};

use crate::chat_template::{ChatTemplate, TemplateError, Told, Variables};

/// The tokens that transformers hands to a template, by their names in `tokenizer_config.json`.
const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// A list of further ones.
const ADDITIONAL: &str = "additional_special_tokens";
/// Further ones by name.
const EXTRA: &str = "extra_special_tokens";
/// The names of the templates that are meant where none is named, with and without tools.
const WITH_TOOLS: &str = "tool_use";
const DEFAULT: &str = "default";

/// The files of a model that say how it is spoken to; each is absent where the model has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelFiles {
    /// `chat_template.jinja`.
    pub(crate) jinja: Option<Vec<u8>>,
    /// Those of `additional_chat_templates`, by their names without `.jinja`.
    pub(crate) named: BTreeMap<String, Vec<u8>>,
    /// `chat_template.json`, which processors of images and sound have.
    pub(crate) json: Option<Vec<u8>>,
    /// `tokenizer_config.json`.
    pub(crate) config: Option<Vec<u8>>,
    /// `special_tokens_map.json`.
    pub(crate) special_tokens_map: Option<Vec<u8>>,
}

/// The templates of a model.
enum Templates {
    One(String),
    Several(BTreeMap<String, String>),
}

impl ModelFiles {
    /// Compiles the model's template; `None` where it has none.
    ///
    /// # Errors
    /// When a file cannot be read as what it should be, or no template has the name.
    pub(crate) fn template(&self, told: &Told) -> Result<Option<ChatTemplate>, TemplateError> {
        let config = object("tokenizer_config.json", self.config.as_deref())?.unwrap_or_default();
        let Some(templates) = self.templates(&config)? else { return Ok(None) };
        let source = templates.chosen(told)?;
        ChatTemplate::new(source, self.special_tokens(config)?, told).map(Some)
    }

    /// Files of their own come before the configuration, that before a processor's.
    fn templates(&self, config: &Map<String, Json>) -> Result<Option<Templates>, TemplateError> {
        let text = |name: &str, bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map(str::to_owned);
            text.map_err(|error| TemplateError::new(format!("{name} is not UTF-8: {error}")))
        };
        let mut files = BTreeMap::new();
        for (name, bytes) in &self.named {
            files.insert(name.clone(), text(&format!("{name}.jinja"), bytes)?);
        }
        if let Some(bytes) = &self.jinja {
            files.insert(DEFAULT.to_owned(), text("chat_template.jinja", bytes)?);
        }
        if !files.is_empty() {
            return Ok(Some(match (files.len(), files.get(DEFAULT)) {
                (1, Some(only)) => Templates::One(only.clone()),
                _ => Templates::Several(files),
            }));
        }
        if let Some(found) = config.get("chat_template").and_then(Templates::of) {
            return Ok(Some(found));
        }
        let json = object("chat_template.json", self.json.as_deref())?.unwrap_or_default();
        Ok(json.get("chat_template").and_then(Templates::of))
    }

    fn special_tokens(&self, mut config: Map<String, Json>) -> Result<Variables, TemplateError> {
        // Files of this form are of the time before the tokens stood in the configuration.
        if !config.contains_key("added_tokens_decoder") {
            let map = object("special_tokens_map.json", self.special_tokens_map.as_deref())?;
            let mut map = map.unwrap_or_default();
            // It replaces single tokens, and adds to the list of further ones.
            if let Some(more) = map.remove(ADDITIONAL) {
                let known = config.get(ADDITIONAL).and_then(Json::as_array);
                let mut list = known.cloned().unwrap_or_default();
                let has = |list: &[Json], one| list.iter().any(|known| token(known) == token(one));
                for one in more.as_array().into_iter().flatten() {
                    if !has(&list, one) {
                        list.push(one.clone());
                    }
                }
                map.insert(ADDITIONAL.to_owned(), Json::from(list));
            }
            config.extend(map);
        }
        let extra = config.get(EXTRA).and_then(Json::as_object);
        let named = SPECIAL_TOKENS.iter().filter_map(|name| Some((*name, config.get(*name)?)));
        let extra = extra.into_iter().flatten().map(|(name, value)| (name.as_str(), value));
        let mut tokens: Variables = named
            .chain(extra)
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(token(value)?))))
            .collect();
        let list = config.get(ADDITIONAL).and_then(Json::as_array).into_iter().flatten();
        let list: Vec<String> = list.filter_map(token).map(str::to_owned).collect();
        if !list.is_empty() {
            tokens.insert(ADDITIONAL.to_owned(), Value::from(list));
        }
        Ok(tokens)
    }
}

impl Templates {
    /// Reads a template, a list of named ones, or a table of them.
    fn of(value: &Json) -> Option<Self> {
        let named = |(name, template): (&str, &str)| (name.to_owned(), template.to_owned());
        Some(match value {
            Json::String(only) => Self::One(only.clone()),
            Json::Array(list) => {
                let entry = |entry: &Json| {
                    Some(named((entry["name"].as_str()?, entry["template"].as_str()?)))
                };
                Self::Several(list.iter().filter_map(entry).collect())
            }
            Json::Object(table) => {
                let entry =
                    |(name, template): (&String, &Json)| Some(named((name, template.as_str()?)));
                Self::Several(table.iter().filter_map(entry).collect())
            }
            _ => return None,
        })
    }

    fn chosen(self, told: &Told) -> Result<String, TemplateError> {
        let mut named = match (self, &told.name) {
            (Self::One(only), None) => return Ok(only),
            (Self::One(_), Some(name)) => {
                let message = format!("no template is named `{name}`: the model has one alone");
                return Err(TemplateError::new(message));
            }
            (Self::Several(named), _) => named,
        };
        let has_tools = told.variables.get("tools").is_some_and(|tools| !tools.is_none());
        let wanted = match &told.name {
            Some(name) => name.as_str(),
            None if has_tools && named.contains_key(WITH_TOOLS) => WITH_TOOLS,
            None => DEFAULT,
        };
        named.remove(wanted).ok_or_else(|| {
            let known: Vec<_> = named.into_keys().collect();
            let known = known.join(", ");
            TemplateError::new(format!("no template is named `{wanted}`: there are {known}"))
        })
    }
}

/// Returns the text of a special token, which may be written with how it is cut.
fn token(value: &Json) -> Option<&str> {
    value.get("content").unwrap_or(value).as_str().filter(|text| !text.is_empty())
}

fn object(name: &str, bytes: Option<&[u8]>) -> Result<Option<Map<String, Json>>, TemplateError> {
    let read = |bytes| {
        serde_json::from_slice(bytes)
            .map_err(|error| TemplateError::new(format!("{name} is not a JSON object: {error}")))
    };
    bytes.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bytes(value: &Json) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn rendered(files: &ModelFiles, told: &Told) -> Result<Option<String>, String> {
        let template = files.template(told).map_err(|error| error.to_string())?;
        Ok(template
            .map(|template| template.render(&[] as &[Json], &Variables::new(), false).unwrap()))
    }

    #[test]
    fn a_template_is_found_in_whichever_file_has_it() {
        let told = Told::default();
        let mut files = ModelFiles::default();
        let mut check = |change: &dyn Fn(&mut ModelFiles), expected: Option<&str>| {
            change(&mut files);
            assert_eq!(rendered(&files, &told).unwrap().as_deref(), expected);
        };
        check(&|_| (), None);
        check(&|files| files.json = Some(bytes(&json!({ "chat_template": "p" }))), Some("p"));
        check(&|files| files.config = Some(bytes(&json!({ "chat_template": "c" }))), Some("c"));
        check(&|files| files.jinja = Some(b"j".to_vec()), Some("j"));
    }

    #[test]
    fn of_several_templates_one_is_named_or_fits_the_tools() {
        let list = json!({ "chat_template": [
            { "name": "tool_use", "template": "t" },
            { "name": "default", "template": "d" },
            { "name": "rag", "template": "r" },
        ]});
        let files = ModelFiles { config: Some(bytes(&list)), ..ModelFiles::default() };
        let named = |name: &str| Told { name: Some(name.to_owned()), ..Told::default() };
        let tools: Variables = [("tools".to_owned(), Value::from(Vec::<i64>::new()))].into();
        assert_eq!(rendered(&files, &Told::default()).unwrap().unwrap(), "d");
        assert_eq!(rendered(&files, &named("rag")).unwrap().unwrap(), "r");
        let with_tools = Told { variables: tools, ..Told::default() };
        assert_eq!(rendered(&files, &with_tools).unwrap().unwrap(), "t");
        insta::assert_snapshot!(
            rendered(&files, &named("x")).unwrap_err(),
            @"no template is named `x`: there are default, rag, tool_use"
        );
        let named_alone = ModelFiles {
            named: [("rag".to_owned(), b"r".to_vec())].into(),
            ..ModelFiles::default()
        };
        insta::assert_snapshot!(
            rendered(&named_alone, &Told::default()).unwrap_err(),
            @"no template is named `default`: there are rag"
        );
    }

    #[test]
    fn special_tokens_come_from_the_map_where_the_configuration_is_older() {
        let template = "{{ bos_token }}|{{ eos_token }}|{{ image_token }}|\
                        {{ additional_special_tokens }}";
        let check = |config: Json, map: Json, expected: &str| {
            let files = ModelFiles {
                jinja: Some(template.as_bytes().to_vec()),
                config: Some(bytes(&config)),
                special_tokens_map: Some(bytes(&map)),
                ..ModelFiles::default()
            };
            assert_eq!(rendered(&files, &Told::default()).unwrap().unwrap(), expected);
        };
        let map = json!({ "bos_token": { "content": "<b>", "lstrip": false }, "eos_token": "<e>",
                          "additional_special_tokens": ["<x>", { "content": "<y>" }] });
        check(json!({ "eos_token": "old" }), map.clone(), "<b>|<e>||['<x>', '<y>']");
        let has_some = json!({ "additional_special_tokens": ["<z>", "<y>"] });
        check(has_some, map.clone(), "<b>|<e>||['<z>', '<y>', '<x>']");
        let config = json!({ "eos_token": "</s>", "bos_token": null, "added_tokens_decoder": {},
                             "extra_special_tokens": { "image_token": "<img>" } });
        check(config, map, "|</s>|<img>|");
    }
}
