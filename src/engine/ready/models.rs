//! The names of the models that an engine lists.

use serde_json::Value;

/// The tag that Ollama gives a model without one.
const USUAL_TAG: &str = ":latest";

/// One model of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct ListedModel {
    /// The id under which it is listed.
    pub(in crate::engine) id: String,
    /// Further names: `root`, `aliases`, and `name` or `model` beside an id.
    pub(in crate::engine) others: Vec<String>,
}

impl ListedModel {
    /// Whether the model goes by this name, with or without the usual tag.
    pub(in crate::engine) fn is_called(&self, name: &str) -> bool {
        let name = name.strip_suffix(USUAL_TAG).unwrap_or(name);
        let is_it = |known: &String| known.strip_suffix(USUAL_TAG).unwrap_or(known) == name;
        is_it(&self.id) || self.others.iter().any(is_it)
    }
}

/// Returns the models of a list, as `OpenAI` (`data`) and Ollama (`models`) write it.
pub(in crate::engine) fn listed(body: &str) -> Vec<ListedModel> {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return Vec::new() };
    let of = |list: &str| -> Vec<ListedModel> {
        body.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(model).collect()
    };
    let found = of("data");
    if found.is_empty() { of("models") } else { found }
}

fn model(entry: &Value) -> Option<ListedModel> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut names = ["id", "name", "model", "root"].into_iter().filter_map(text);
    let id = names.next()?;
    let aliases = entry.get("aliases").and_then(Value::as_array).into_iter().flatten();
    let aliases = aliases.filter_map(Value::as_str).map(str::to_owned);
    let mut others: Vec<String> = names.chain(aliases).filter(|name| *name != id).collect();
    others.dedup();
    Some(ListedModel { id, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_from_both_kinds_of_lists() {
        let ids = |body: &str| -> Vec<String> {
            listed(body).into_iter().map(|model| model.id).collect()
        };
        assert_eq!(ids(r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#), ["a", "b"]);
        assert_eq!(ids(r#"{"models":[{"name":"llama3:8b"}]}"#), ["llama3:8b"]);
        assert!(ids("<html>").is_empty() && ids(r#"{"data":[{"object":"model"}]}"#).is_empty());
    }

    #[test]
    fn a_model_goes_by_its_tag_its_root_and_its_aliases() {
        let check = |entry: &str, name: &str, expected: bool| {
            let models = listed(&format!("{{\"data\":[{entry}]}}"));
            assert_eq!(models[0].is_called(name), expected, "{entry} {name}");
        };
        check(r#"{"id":"llama3:latest"}"#, "llama3", true);
        check(r#"{"id":"llama3"}"#, "llama3:latest", true);
        check(r#"{"id":"llama3:8b"}"#, "llama3", false);
        check(r#"{"id":"served","root":"org/name"}"#, "org/name", true);
        check(r#"{"id":"a.gguf","aliases":["small","a"]}"#, "small", true);
        check(r#"{"id":"a","aliases":null,"root":null}"#, "b", false);
    }
}
