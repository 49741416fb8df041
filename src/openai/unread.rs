//! Text in a chunk under a name that is not known: an answer that cannot be read is not empty.

use serde_json::{Map, Value};

/// Members that hold words which are no part of an answer, with all that is below them.
const WORDS_BESIDE: [&str; 23] = [
    "annotations",
    "citations",
    "created",
    "detail",
    "error",
    "event",
    "level",
    "logprobs",
    "message_id",
    "model",
    "msg",
    "name",
    "object",
    "provider",
    // What generated text they hold is read; encrypted reasoning is none.
    "reasoning_details",
    "role",
    "state",
    "status",
    "system_fingerprint",
    "service_tier",
    "type",
    "usage",
    "version",
];
/// How the names of such members end: `request_id`, `stop_reason`, `thought_signature`.
const ENDS_BESIDE: [&str; 5] = ["id", "reason", "signature", "stop", "filter_results"];

/// Whether a chunk in which no text was found holds some under another name, where such text stands:
/// in its choices. What stands beside them is the server's: padding, figures, sources.
pub(crate) fn has_unread_text(data: &[u8]) -> bool {
    match serde_json::from_slice(data) {
        Ok(Value::Object(fields)) => match fields.get("choices").filter(|it| !it.is_null()) {
            Some(choices) => is_text(choices),
            None => is_in(&fields),
        },
        Ok(_) | Err(_) => false,
    }
}

fn is_in(fields: &Map<String, Value>) -> bool {
    let is_beside = |name: &str| {
        WORDS_BESIDE.contains(&name) || ENDS_BESIDE.iter().any(|end| name.ends_with(end))
    };
    fields.iter().any(|(name, value)| !is_beside(&name.to_ascii_lowercase()) && is_text(value))
}

fn is_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(values) => values.iter().any(is_text),
        Value::Object(fields) => is_in(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_under_another_name_is_found_and_what_stands_beside_answers_is_not() {
        let check = |json: &str, expected: bool| {
            assert_eq!(has_unread_text(json.as_bytes()), expected, "{json}");
        };
        check(r#"{"choices":[{"index":0,"generated":"4","finish_reason":"stop"}]}"#, true);
        check(r#"{"choices":[{"delta":{"parts":[{"t":"4"}]}}]}"#, true);
        check(r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"4"}}"#, true);
        check(r#"{"generated_text":"4","usage":{"completion_tokens":1}}"#, true);
        check(
            r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[
                {"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],
                "system_fingerprint":"fp"}"#,
            false,
        );
        check(
            r#"{"choices":[{"delta":{},"finish_reason":"stop","native_finish_reason":"end_turn",
                "stop_reason":"</s>","matched_stop":"\n"}],"provider":"p","request_id":"r"}"#,
            false,
        );
        // Padding of OpenAI and Mistral, figures of Fireworks and NIM, sources of Perplexity.
        check(r#"{"choices":[{"delta":{"content":""}}],"obfuscation":"XyZ123","p":"abc"}"#, false);
        check(r#"{"choices":[],"usage":{"completion_tokens":4},"obfuscation":"abc"}"#, false);
        check(
            r#"{"choices":[{"delta":{}}],"perf_metrics":{"ttft":"0.05"},"nvext":{"w":"x"}}"#,
            false,
        );
        check(
            r#"{"choices":[{"delta":{"content":"","reasoning_details":[
                {"type":"reasoning.encrypted","data":"gAAA"}]}}]}"#,
            false,
        );
        check(r#"{"choices":null,"response":"4"}"#, true);
        check(r#"{"type":"ping"}"#, false);
        check(r#"{"event":"keepalive","status":"processing"}"#, false);
        check("not JSON", false);
    }
}
