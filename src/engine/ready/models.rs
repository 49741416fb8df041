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

/// Returns the models of a list, as `OpenAI` (`data`) and Ollama (`models`) write it, or that is
/// nothing but a list. `None` of a body that is no such list.
pub(in crate::engine) fn listed(body: &str) -> Option<Vec<ListedModel>> {
    // A reader may ignore a byte order mark. Source: RFC 8259, section 8.1.
    let body: Value = serde_json::from_str(body.trim_start_matches('\u{feff}')).ok()?;
    let lists = [body.get("data"), body.get("models"), Some(&body)];
    let lists = lists.into_iter().flatten().filter_map(Value::as_array);
    let read = lists.map(|list| list.iter().filter_map(model).collect());
    // An empty list may stand beside the one that counts.
    let read: Vec<Vec<ListedModel>> = read.collect();
    let first = read.first().cloned();
    read.into_iter().find(|found| !found.is_empty()).or(first)
}

fn model(entry: &Value) -> Option<ListedModel> {
    if let Some(id) = entry.as_str() {
        return Some(ListedModel { id: id.to_owned(), others: Vec::new() });
    }
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
            listed(body).unwrap().into_iter().map(|model| model.id).collect()
        };
        assert_eq!(ids(r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#), ["a", "b"]);
        assert_eq!(ids(r#"{"models":[{"name":"llama3:8b"}]}"#), ["llama3:8b"]);
        assert_eq!(ids(r#"[{"id":"org/a"},{"id":"b"}]"#), ["org/a", "b"]);
        assert_eq!(ids(r#"{"data":["a"]}"#), ["a"]);
        assert_eq!(ids("\u{feff}{\"data\":[{\"id\":\"a\"}]}"), ["a"]);
        assert_eq!(ids(r#"{"data":[],"models":[{"name":"b"}]}"#), ["b"]);
        assert!(ids(r#"{"data":[{"object":"model"}]}"#).is_empty() && ids("[]").is_empty());
        for none in ["", "<html>", "{}", r#"{"data":{"models":[{"id":"a"}]}}"#] {
            assert_eq!(listed(none), None, "{none}");
        }
    }

    #[test]
    fn a_model_goes_by_its_tag_its_root_and_its_aliases() {
        let check = |entry: &str, name: &str, expected: bool| {
            let models = listed(&format!("{{\"data\":[{entry}]}}")).unwrap();
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
