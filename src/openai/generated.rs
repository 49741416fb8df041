//! What in a delta the model generated, and what the server put beside it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// Whether a tool or function call holds words of the model: a part of a name or of arguments.
///
/// Read without keeping anything, by both readers of chunks. Ids, types and indexes are the
/// server's, and a call that has nothing else announces words or ends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CallWords(pub(super) bool);

impl<'de> Deserialize<'de> for CallWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Look { is_named: false }.deserialize(deserializer).map(Self)
    }
}

/// How names of a call's fields end whose text is the server's.
const OF_THE_SERVER: [&str; 8] =
    ["id", "index", "type", "role", "status", "state", "signature", "format"];

/// Looks for a text that is not empty under a name that is not one of the server's.
#[derive(Clone, Copy)]
struct Look {
    is_named: bool,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Look {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        Ok(self.is_named && !text.is_empty())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<bool, A::Error> {
        let mut has_words = false;
        while let Some(found) = parts.next_element_seed(self)? {
            has_words |= found;
        }
        Ok(has_words)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let mut has_words = false;
        while let Some(Name(name)) = fields.next_key()? {
            if OF_THE_SERVER.iter().any(|end| name.ends_with(end)) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                has_words |= fields.next_value_seed(Self { is_named: true })?;
            }
        }
        Ok(has_words)
    }
}

/// What texts of reasoning are called by those who have a word of their own for them.
const REASONING: [&str; 5] = ["reasoning", "think", "thinking", "thought", "thoughts"];
/// What may stand beside such a word in the name of a text.
const TEXT: [&str; 19] = [
    "chain", "chunk", "content", "delta", "hidden", "internal", "message", "model", "of", "output",
    "part", "process", "raw", "step", "steps", "summary", "text", "trace", "words",
];
/// Values of settings.
const SETTINGS: [&str; 18] = [
    "auto", "concise", "default", "detailed", "disabled", "enabled", "false", "full", "high",
    "low", "max", "medium", "minimal", "none", "null", "off", "on", "true",
];

/// Whether a text speaks of reasoning.
pub(super) fn speaks_of_reasoning(text: &str) -> bool {
    ["reasoning", "think", "thought"].iter().any(|stem| text.contains(stem))
}

/// Whether a field that is not one of the known ones holds text of reasoning: its name says so, and
/// nothing else, and its value is not that of a setting. `reasoning_effort`, `thinking_mode`,
/// `is_thinking` and `thought_signature` are the server's.
pub(super) fn is_reasoning(name: &str, value: &str) -> bool {
    let words = words(name);
    !value.is_empty()
        && !SETTINGS.contains(&value)
        && words.iter().any(|word| REASONING.contains(&word.as_str()))
        && words
            .iter()
            .map(String::as_str)
            .all(|word| REASONING.contains(&word) || TEXT.contains(&word))
}

/// Returns the words of a name, in lower case, however it joins them.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_words_where_its_name_or_arguments_have() {
        let check = |json: &str, expected: bool| {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::from_str(json).ok(), Some(CallWords(expected)), "{json}");
            assert_eq!(CallWords::deserialize(&value).ok(), Some(CallWords(expected)), "{json}");
        };
        for hollow in [
            "{}",
            "[]",
            "[{}]",
            "[null]",
            "null",
            "true",
            "\"auto\"",
            r#"[{"index":1}]"#,
            r#"[{"index":1,"id":"call-7","type":"function"}]"#,
            r#"[{"index":0,"id":null,"function":{"name":null,"arguments":""}}]"#,
            r#"[{"index":0,"function":{"arguments":""},"extra_content":{"thought_signature":"Zm8"}}]"#,
            r#"{"name":null,"arguments":""}"#,
        ] {
            check(hollow, false);
        }
        for call in [
            r#"{"name":"f"}"#,
            r#"[{"index":0,"id":"call-7","type":"function","function":{"name":"f","arguments":""}}]"#,
            r#"[{"index":0,"function":{"arguments":" "}}]"#,
            r#"[{"index":0},{"index":1,"function":{"arguments":"{"}}]"#,
            r#"[{"function":{"name":"f","arguments":{"a":1}}}]"#,
            r#"[{"type":"custom","custom":{"input":"SELECT"}}]"#,
        ] {
            check(call, true);
        }
    }

    #[test]
    fn reasoning_is_a_text_whose_name_says_so_and_nothing_else() {
        let check = |name: &str, expected| assert_eq!(is_reasoning(name, "hm"), expected, "{name}");
        for name in [
            "thought",
            "thoughts",
            "reasoning_text",
            "reasoningContent",
            "thinking-delta",
            "chain_of_thought",
            "thought_process",
            "internal_thoughts",
            "model_reasoning",
        ] {
            check(name, true);
        }
        for name in [
            "reasoning_effort",
            "thinking_mode",
            "is_thinking",
            "thinking_enabled",
            "thinkingBudget",
            "reasoning_status",
            "reasoning_state",
            "reasoning_level",
            "thinking_signature",
            "thoughtSignature",
            "reasoning_id",
            "reasoning_format",
            "reasoning_content_type",
            "reasoning_model_version",
            "encrypted_reasoning",
            "finish_reasoning",
            "thinker",
            "text",
        ] {
            check(name, false);
        }
        for setting in ["auto", "enabled", "high", "true", ""] {
            assert!(!is_reasoning("thought", setting) && !is_reasoning("thinking_output", setting));
        }
    }
}
