//! One real token: the last proof that an engine serves, and the end of its load time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::monotonic;
use crate::engine::http::{Check, Http, HttpError};
use crate::plan::cell::Api;
use crate::plan::launch::Launch;
use crate::secrets::redact::Redactor;
use crate::units::Nanos;

/// The sentence that every engine is asked; its token count tells chat templates apart.
pub const PROBE_TEXT: &str = "The quick brown fox jumps over the lazy dog.";

/// Tokens asked for: more than one, as the first may be half a character and so no text.
const PROBE_TOKENS: u32 = 4;

/// Where the probe request goes: the endpoint that the cells will use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Endpoint.
    pub api: Api,
    /// URL path.
    pub path: String,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Monotonic time of the first token; absent when none came.
    pub first_token_at: Option<Nanos>,
    /// Prompt tokens that the engine counted.
    pub prompt_tokens: Option<u32>,
    /// HTTP status.
    pub status: u16,
    /// Beginning of the body, or of the error in the stream, when no token came.
    pub error: Option<String>,
}

/// Asks for some tokens, and returns when the answer is complete.
///
/// # Errors
/// As [`Http::get`].
pub fn ask<E>(
    http: &Http,
    launch: &Launch,
    request: &ProbeRequest,
    limit: Duration,
    check: Check<'_, E>,
) -> Result<Result<ProbeAnswer, HttpError>, E> {
    let mut reader = ProbeReader { redactor: http.redactor().clone(), ..ProbeReader::default() };
    let body = body(launch, request.api).to_string();
    let result = http.post_stream(&request.path, body, limit, check, &mut |chunk| {
        reader.take(chunk, monotonic());
    })?;
    Ok(match result {
        Ok(answer) if answer.is_success() => Ok(reader.finish(answer.status)),
        Ok(answer) => Ok(ProbeAnswer {
            status: answer.status,
            error: Some(answer.body.chars().take(300).collect()),
            ..ProbeAnswer::default()
        }),
        Err(error) => Err(error),
    })
}

fn body(launch: &Launch, api: Api) -> Value {
    let mut body = json!({
        "model": launch.model,
        "max_tokens": PROBE_TOKENS,
        "temperature": 0.0,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let fields = body.as_object_mut().expect("the body is an object");
    match api {
        Api::Chat => {
            fields.insert("messages".to_owned(), json!([{"role": "user", "content": PROBE_TEXT}]))
        }
        Api::Completions => fields.insert("prompt".to_owned(), json!(PROBE_TEXT)),
    };
    for name in &launch.quirks.omit {
        fields.remove(name);
    }
    body
}

/// Reads the answer line by line. It has its own small reader of event streams because it
/// needs less than the load's: no event kinds, no continuation lines, only the first token.
#[derive(Default)]
struct ProbeReader {
    rest: Vec<u8>,
    whole: Vec<u8>,
    answer: ProbeAnswer,
    redactor: Redactor,
}

impl ProbeReader {
    fn take(&mut self, chunk: &[u8], at: Nanos) {
        self.rest.extend_from_slice(chunk);
        if self.whole.len() < 65_536 {
            self.whole.extend_from_slice(chunk);
        }
        while let Some(end) = memchr::memchr(b'\n', &self.rest) {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            if let Some(event) = line.strip_prefix(b"data:")
                && let Ok(event) = serde_json::from_slice::<Value>(event.trim_ascii())
            {
                self.see(&event, at);
            }
        }
    }

    fn finish(mut self, status: u16) -> ProbeAnswer {
        // An engine that cannot stream answers with one JSON text.
        if let Ok(answer) = serde_json::from_slice::<Value>(&self.whole) {
            self.see(&answer, monotonic());
        }
        self.answer.status = status;
        if self.answer.first_token_at.is_none() && self.answer.error.is_none() {
            let text = String::from_utf8_lossy(&self.whole);
            self.answer.error = Some(self.redactor.text(&text).chars().take(300).collect());
        }
        self.answer
    }

    fn see(&mut self, event: &Value, at: Nanos) {
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            let text = error.to_string();
            self.answer.error = Some(self.redactor.text(&text).chars().take(300).collect());
        }
        let usage = |name: &str| event.pointer(name).and_then(Value::as_u64);
        if let Some(n_tokens) = usage("/usage/prompt_tokens") {
            self.answer.prompt_tokens = u32::try_from(n_tokens).ok();
        }
        let choice = event.pointer("/choices/0");
        let has_text = choice.is_some_and(|choice| {
            [
                "/text",
                "/delta/content",
                "/delta/reasoning",
                "/delta/reasoning_content",
                "/message/content",
                "/message/reasoning_content",
            ]
            .iter()
            .any(|place| {
                choice.pointer(place).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
            })
        });
        // A model may end at once: then the usage alone tells of a token, its end marker.
        let is_counted = usage("/usage/completion_tokens").is_some_and(|n_tokens| n_tokens > 0);
        if has_text || is_counted {
            self.answer.first_token_at.get_or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&str]) -> ProbeAnswer {
        let mut reader = ProbeReader::default();
        for (at, chunk) in chunks.iter().enumerate() {
            reader.take(chunk.as_bytes(), Nanos(at as u64 + 1));
        }
        reader.finish(200)
    }

    #[test]
    fn a_role_alone_is_no_token_and_a_split_line_is_read_whole() {
        let answer = read(&[
            ": ping\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"con",
            "tent\":\"Hi\"}}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":17,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n",
        ]);
        assert_eq!(answer.first_token_at, Some(Nanos(3)));
        assert_eq!(answer.prompt_tokens, Some(17));
        assert_eq!(answer.error, None);
    }

    #[test]
    fn success_without_a_token_carries_what_came_instead() {
        let answer =
            read(&["data: {\"error\":{\"message\":\"CUDA error\"}}\n\n", "data: [DONE]\n\n"]);
        assert_eq!(answer.first_token_at, None);
        assert_eq!(answer.error.as_deref(), Some(r#"{"message":"CUDA error"}"#));
        assert_eq!(read(&["<html>"]).error.as_deref(), Some("<html>"));
    }

    #[test]
    fn an_answer_that_is_not_streamed_counts() {
        let answer = read(&[r#"{"choices":[{"text":"x"}],"usage":{"prompt_tokens":9}}"#]);
        assert!(answer.first_token_at.is_some());
        assert_eq!(answer.prompt_tokens, Some(9));
    }
}
