//! Reads chunks of a stream and whole JSON answers.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::openai::chunk::{Chunk, NotAChunk};
use crate::openai::generated::{CallWords, speaks_of_reasoning};
use crate::openai::lenient;
use crate::record::request::{EventKind, Oddity, Usage};

/// Reads one chunk or one whole answer.
///
/// Of several choices the one with index 0 is looked at, or the first: `bench` never asks for
/// another. What is ordinary is read without a detour; for all else every field is read by
/// itself, and one that is odd is dropped and told.
///
/// # Errors
/// [`NotAChunk`] for a text that is not a JSON object even when it is mended.
pub(crate) fn parse(data: &[u8]) -> Result<Chunk<'_>, NotAChunk> {
    // As before a stream, a byte order mark says nothing. Source: RFC 8259, section 8.1.
    let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let text = std::str::from_utf8(data).ok();
    let ordinary = text
        .and_then(|text| serde_json::from_str::<Wire<'_>>(text).ok())
        .and_then(Wire::into_chunk)
        // One that seems empty may have reasoning under a name that is not looked for here.
        .filter(|chunk| chunk.kind() != EventKind::Other || !text.is_some_and(speaks_of_reasoning));
    ordinary.map_or_else(|| lenient::parse(data), Ok)
}

/// Returns the text of a known error: its message, or all of it.
pub(crate) fn error_text(data: &[u8]) -> String {
    lenient::error_text(data)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<UsageWire>,
    #[serde(default)]
    x_groq: Option<IgnoredAny>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<Text<'a>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    message: Option<Delta<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow, default, rename = "finishReason")]
    misnamed_finish: Option<Text<'a>>,
    #[serde(borrow, default)]
    logprobs: Option<Logprobs<'a>>,
    #[serde(default)]
    token_ids: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    usage: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(default)]
    reasoning_details: Option<Vec<IgnoredAny>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    tool_calls: Option<CallWords>,
    #[serde(default)]
    function_call: Option<CallWords>,
}

/// A string that is borrowed where it holds no escapes; serde copies an `Option<Cow<str>>`.
#[derive(Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Logprobs<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<TokenLogprob<'a>>>,
    #[serde(default)]
    token_logprobs: Option<Vec<Option<f32>>>,
}

#[derive(Deserialize)]
struct TokenLogprob<'a> {
    logprob: f32,
    #[serde(borrow, default, rename = "token")]
    _token: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct UsageWire {
    prompt_tokens: u32,
    completion_tokens: u32,
    #[serde(default)]
    total_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
    /// The name of Moonshot, and that of `DeepSeek`.
    #[serde(default, alias = "prompt_cache_hit_tokens")]
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
}

impl<'a> Wire<'a> {
    /// Returns the chunk; `None` when it is not an ordinary one.
    fn into_chunk(self) -> Option<Chunk<'a>> {
        // Counts may have the server's words beside them.
        let is_bare = self.choices.as_ref().is_none_or(Vec::is_empty);
        let is_error = |word: &Text<'_>| word.0.eq_ignore_ascii_case("error");
        let says_error = [&self.object, &self.kind].into_iter().flatten().any(is_error);
        // Groq's first and last chunks have more in a field of their own.
        let is_bare = is_bare || self.x_groq.is_some();
        if is_bare || says_error || self.error.is_some_and(|raw| raw.get() != "null") {
            return None;
        }
        let mut chunk = Chunk::default();
        if let Some(usage) = self.usage {
            let reasoning = usage.completion_tokens_details.and_then(|it| it.reasoning_tokens);
            let counts = Usage {
                prompt: Some(usage.prompt_tokens),
                completion: Some(usage.completion_tokens),
                cached: usage
                    .prompt_tokens_details
                    .and_then(|details| details.cached_tokens)
                    .or(usage.cached_tokens),
                reasoning,
            };
            chunk.count(counts, usage.total_tokens);
        }
        let mut choices = self.choices.unwrap_or_default();
        if !choices.is_empty() {
            if choices.len() > 1 {
                chunk.oddities.push(Oddity::ChoiceIndex);
            }
            let zero = choices.iter().position(|choice| choice.index.unwrap_or_default() == 0);
            let choice = choices.swap_remove(zero.unwrap_or_default());
            choice.fill(self.finish_reason, &mut chunk)?;
        }
        Some(chunk)
    }
}

/// Returns the first text that holds something.
fn first_of<const N: usize>(texts: [Option<Text<'_>>; N]) -> Cow<'_, str> {
    let mut texts = texts.into_iter().flatten().map(|text| text.0);
    texts.find(|text| !text.is_empty()).unwrap_or_default()
}

impl<'a> Choice<'a> {
    /// Fills a chunk, of which a finish reason may stand beside the choice.
    fn fill(self, finish_beside: Option<Text<'a>>, chunk: &mut Chunk<'a>) -> Option<()> {
        if self.usage.is_some() || self.error.is_some() {
            return None;
        }
        if self.index != Some(0) {
            chunk.oddities.push(Oddity::ChoiceIndex);
        }
        chunk.index = Some(self.index.unwrap_or_default());
        let has_delta = self.delta.is_some();
        let delta = self.delta.or(self.message);
        chunk.is_whole = delta.is_some() && !has_delta;
        let delta = delta.unwrap_or_default();
        if delta.error.is_some() {
            return None;
        }
        let is_beside = has_delta
            && self.text.as_ref().is_some_and(|text| !text.0.is_empty())
            && delta.content.as_ref().is_none_or(|text| text.0.is_empty());
        chunk.is_whole |= is_beside;
        chunk.text = first_of([delta.content, self.text, delta.refusal]);
        chunk.reasoning = first_of([
            delta.reasoning_content,
            delta.reasoning,
            delta.thinking,
            self.reasoning_content,
            self.reasoning,
        ]);
        if chunk.reasoning.is_empty()
            && delta.reasoning_details.is_some_and(|parts| !parts.is_empty())
        {
            return None;
        }
        let mut calls = [delta.tool_calls, delta.function_call].into_iter().flatten();
        chunk.tool_call = calls.any(|CallWords(has_words)| has_words);
        let elsewhere = || self.misnamed_finish.or(delta.finish_reason).or(finish_beside);
        if let Some(Text(reason)) = self.finish_reason {
            chunk.finish_with(&reason);
        } else if let Some(Text(reason)) = elsewhere() {
            chunk.oddities.push(Oddity::FinishReason);
            chunk.finish_with(&reason);
        }
        let n_ids = self.token_ids.map(|ids| ids.len() as u32);
        let mut n_logprobs = None;
        if let Some(logprobs) = self.logprobs {
            chunk.logprobs = match (logprobs.content, logprobs.token_logprobs) {
                (Some(content), _) => content.iter().map(|token| token.logprob).collect(),
                // The first token of an echoed prompt has none.
                (None, Some(values)) => values.into_iter().flatten().collect(),
                (None, None) => Vec::new(),
            };
            n_logprobs = Some(chunk.logprobs.len() as u32);
            // A number too large for `f32` became infinite.
            if chunk.logprobs.iter().any(|logprob| !logprob.is_finite()) {
                return None;
            }
        }
        let some = |n: &u32| *n > 0;
        chunk.n_tokens = n_ids.filter(some).or(n_logprobs.filter(some));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::openai::chunk::{Aside, ChunkShape};

    fn kind_of(json: &str) -> EventKind {
        parse(json.as_bytes()).unwrap().kind()
    }

    #[test]
    fn a_chunk_counts_as_what_it_carries() {
        let check = |json: &str, expected: EventKind| assert_eq!(kind_of(json), expected, "{json}");
        let delta = |inner: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{{inner}}}}}]}}"#);
        check(&delta(r#""content":"a""#), EventKind::Content);
        check(&delta(r#""content":"""#), EventKind::Other);
        check(&delta(r#""role":"assistant","content":null"#), EventKind::Other);
        check(&delta(r#""reasoning_content":"hm""#), EventKind::Reasoning);
        check(&delta(r#""reasoning":"hm","content":"""#), EventKind::Reasoning);
        check(&delta(r#""tool_calls":[{"index":0,"function":{"name":"f"}}]"#), EventKind::ToolCall);
        check(&delta(r#""tool_calls":[]"#), EventKind::Other);
        check(&delta(r#""function_call":{"name":"f"}"#), EventKind::ToolCall);
        // What announces a call, or ends it, is the same to both readers.
        for hollow in [
            r#""tool_calls":[{"index":1,"id":"c","function":{"name":null,"arguments":""}}]"#,
            r#""role":"assistant","content":"","function_call":{}"#,
        ] {
            check(&delta(hollow), EventKind::Other);
            check(&delta(&format!(r#"{hollow},"content_type":NaN"#)), EventKind::Other);
        }
        check(&delta(r#""refusal":"no","content":null"#), EventKind::Content);
        check(&delta(r#""thinking":"hm""#), EventKind::Reasoning);
        check(&delta(r#""thought":"hm""#), EventKind::Reasoning);
        check(&delta(r#""content":"","reasoning_text":"hm""#), EventKind::Reasoning);
        for other in ["thinking_signature", "reasoning_effort", "thinking_mode"] {
            check(&delta(&format!(r#""content":"","{other}":"hm""#)), EventKind::Other);
        }
        check(&delta(r#""role":"assistant","content":"","thinking":true"#), EventKind::Other);
        let setting = r#""content":"","reasoning":{"effort":"high","summary":"auto"}"#;
        check(&delta(setting), EventKind::Other);
        let details =
            |inner: &str| delta(&format!(r#""content":"","reasoning_details":[{inner}]"#));
        check(&details(r#"{"type":"reasoning.text","text":"hm"}"#), EventKind::Reasoning);
        check(&details(r#"{"type":"reasoning.summary","summary":"hm"}"#), EventKind::Reasoning);
        check(&details(""), EventKind::Other);
        check(r#"{"choices":[{"text":" b"}]}"#, EventKind::Content);
        // Gateways put reasoning beside the text of the completions API.
        for beside in [
            r#""reasoning":"hm""#,
            r#""reasoning_content":"hm""#,
            r#""thought":"hm""#,
            r#""reasoning_details":[{"type":"reasoning.text","text":"hm"}]"#,
            r#""reasoning":"hm","x":NaN"#,
        ] {
            check(&format!(r#"{{"choices":[{{"text":"",{beside}}}]}}"#), EventKind::Reasoning);
        }
        check(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, EventKind::Other);
        check(r#"{"choices":[{"index":1,"delta":{"content":"x"}}]}"#, EventKind::Content);
        check(r#"{"choices":[{"index":1,"text":"x"},{"index":0,"text":""}]}"#, EventKind::Other);
    }

    #[test]
    fn errors_are_found_in_every_dress() {
        let check = |json: &str, expected: &str| {
            assert_eq!(parse(json.as_bytes()).unwrap().error.as_deref(), Some(expected), "{json}");
        };
        check(r#"{"error":{"message":"no \"memory\"","code":500}}"#, "no \"memory\"");
        check(r#"{"error":"plain"}"#, "plain");
        check(r#"{"object":"error","message":"old","code":400}"#, "old");
        check(r#"{"error":{"code":3}}"#, r#"{"code":3}"#);
        check(r#"{"text":"no network","error_code":50001}"#, "no network");
        check(r#"{"success":false,"message":"it died"}"#, "it died");
        check(r#"{"status":"failed","reason":"it died"}"#, "it died");
        check(r#"{"choices":[],"code":500,"message":"it died"}"#, "it died");
        check(r#"{"exception":"it died"}"#, "it died");
        check(r#"{"Error":{"Message":"it died","Code":"Throttled"}}"#, "it died");
        check(r#"{"type":"about:blank","title":"it died","status":503}"#, "it died");
        check(r#"{"code":"InternalError","message":"it died"}"#, "it died");
        check(r#"{"code":503}"#, r#"{"code":503}"#);
        check(r#"{"choices":[{"delta":{"error":{"message":"it died"}}}]}"#, "it died");
        check(
            r#"{"type":"response.failed","response":{"error":{"message":"it died"}}}"#,
            "it died",
        );
        for odd in [r#""object":"error""#, r#""x":NaN,"object":"error""#, r#""type":"error""#] {
            check(&format!(r#"{{"choices":[{{"text":"it died"}}],{odd}}}"#), "error");
        }
        assert_eq!(kind_of(r#"{"error":null,"choices":[]}"#), EventKind::Other);
    }

    #[test]
    fn what_is_surely_no_error_is_an_aside() {
        let check = |json: &str, expected: &str, is_message: bool| {
            let chunk = parse(json.as_bytes()).unwrap();
            let expected = Aside { words: expected.to_owned(), is_message };
            assert_eq!((chunk.error, chunk.aside), (None, Some(expected)), "{json}");
        };
        check(r#"{"detail":"Not Found"}"#, "Not Found", true);
        check(r#"{"detail":"position 3 in queue"}"#, "position 3 in queue", true);
        check(r#"{"code":102,"message":"processing"}"#, "processing", true);
        check(r#"{"code":"200","message":"started"}"#, "started", true);
        let job = r#"{"id":"job-7","status":"queued"}"#;
        check(job, job, false);
        for harmless in
            [r#"{"code":0,"message":"success"}"#, r#"{"code":200,"message":"OK"}"#, "\"None\""]
        {
            let json = format!(r#"{{"choices":[{{"text":"a"}}],"error":{harmless}}}"#);
            let chunk = parse(json.as_bytes()).unwrap();
            assert_eq!((chunk.error, chunk.text.as_ref()), (None, "a"), "{json}");
        }
    }

    #[test]
    fn usage_may_stand_in_groqs_field_beside_the_end() {
        let json = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],
            "x_groq":{"id":"a","usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}}"#;
        let chunk = parse(json.as_bytes()).unwrap();
        let usage = Usage { prompt: Some(9), completion: Some(4), ..Usage::default() };
        assert_eq!((chunk.finish, chunk.usage), (Some("stop"), Some(usage)));
        let first = r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"x_groq":{"id":"a"}}"#;
        assert_eq!(kind_of(first), EventKind::Content);
    }

    #[test]
    fn usage_keeps_cached_and_reasoning_tokens() {
        let json = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,
            "prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":2}}}"#;
        let expected =
            Usage { prompt: Some(9), completion: Some(4), cached: Some(8), reasoning: Some(2) };
        assert_eq!(parse(json.as_bytes()).unwrap().usage, Some(expected));
    }

    #[test]
    fn cached_tokens_have_other_names() {
        let check = |name: &str| {
            for completion in ["4", "\"4\""] {
                let json = format!(
                    r#"{{"choices":[],"usage":{{"prompt_tokens":9,"completion_tokens":{completion},{name}}}}}"#
                );
                let usage = parse(json.as_bytes()).unwrap().usage.unwrap();
                assert_eq!((usage.completion, usage.cached), (Some(4), Some(8)), "{json}");
            }
        };
        check(r#""cached_tokens":8"#);
        check(r#""prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":1"#);
        check(r#""prompt_tokens_details":{"cached_tokens":8},"prompt_cache_hit_tokens":8"#);
    }

    #[test]
    fn reasoning_that_is_counted_apart_is_a_part_of_the_completion() {
        let check = |counts: &str, completion: u32| {
            for odd in ["", ",\"estimated\":1.5"] {
                let json = format!(r#"{{"choices":[],"usage":{{{counts}{odd}}}}}"#);
                let usage = parse(json.as_bytes()).unwrap().usage.unwrap();
                assert_eq!(usage.completion, Some(completion), "{json}");
            }
        };
        let apart = r#""completion_tokens_details":{"reasoning_tokens":50}"#;
        check(&format!(r#""prompt_tokens":9,"completion_tokens":10,{apart}"#), 60);
        check(
            &format!(r#""prompt_tokens":9,"completion_tokens":60,"total_tokens":69,{apart}"#),
            60,
        );
        check(
            &format!(r#""prompt_tokens":9,"completion_tokens":60,"total_tokens":119,{apart}"#),
            110,
        );
        check(
            &format!(r#""prompt_tokens":9,"completion_tokens":"10","total_tokens":69,{apart}"#),
            60,
        );
        // Only the sum says it of the third, and what is seen of the answer may deny that.
        let of_sum = |total: u32| {
            let counts =
                format!(r#""prompt_tokens":9,"completion_tokens":60,"total_tokens":{total}"#);
            let json = format!(r#"{{"choices":[],"usage":{{{counts},{apart}}}}}"#);
            parse(json.as_bytes()).unwrap().reasoning_is_added
        };
        assert!(of_sum(119) && !of_sum(69));
        // Thoughts that are in the total alone, as Gemini has them, are nobody's.
        let contradicts = |counts: &str| {
            let json = format!(r#"{{"choices":[],"usage":{{{counts}}}}}"#);
            parse(json.as_bytes()).unwrap().oddities.contains(&Oddity::Usage)
        };
        for (total, expected) in [(17, false), (517, true), (12, true)] {
            let counts =
                format!(r#""prompt_tokens":9,"completion_tokens":8,"total_tokens":{total}"#);
            assert_eq!(contradicts(&counts), expected, "{counts}");
        }
        for total in [69, 119] {
            let counts = format!(
                r#""prompt_tokens":9,"completion_tokens":60,"total_tokens":{total},{apart}"#
            );
            assert!(!contradicts(&counts), "{counts}");
        }
        let none = r#""completion_tokens_details":{"reasoning_tokens":0}"#;
        check(&format!(r#""prompt_tokens":9,"completion_tokens":10,"total_tokens":19,{none}"#), 10);
    }

    #[test]
    fn a_prompt_counted_without_its_cached_part_is_counted_whole() {
        let check = |counts: &str, prompt: u32, cached: Option<u32>| {
            let json = format!(r#"{{"choices":[],"usage":{{{counts},"output_tokens":8}}}}"#);
            let usage = parse(json.as_bytes()).unwrap().usage.unwrap();
            assert_eq!((usage.prompt, usage.cached), (Some(prompt), cached), "{counts}");
        };
        let cache = r#""cache_creation_input_tokens":20,"cache_read_input_tokens":1000"#;
        check(&format!(r#""input_tokens":9,{cache}"#), 1_029, Some(1_000));
        check(r#""input_tokens":9,"cache_read_input_tokens":null"#, 9, None);
        check(r#""input_tokens":9,"input_tokens_details":{"cached_tokens":5}"#, 9, Some(5));
        // Who has OpenAI's name, or a total that adds up, counted them in.
        check(&format!(r#""prompt_tokens":1029,{cache}"#), 1_029, Some(1_000));
        check(&format!(r#""input_tokens":1029,"total_tokens":1037,{cache}"#), 1_029, Some(1_000));
    }

    #[test]
    fn a_finish_reason_is_read_wherever_it_stands() {
        let check = |json: &str| {
            for odd in ["", r#""x":NaN,"#] {
                let json = json.replacen('{', &format!("{{{odd}"), 1);
                let chunk = parse(json.as_bytes()).unwrap();
                assert_eq!(chunk.finish, Some("length"), "{json}");
                assert!(chunk.oddities.contains(&Oddity::FinishReason), "{json}");
            }
        };
        check(r#"{"choices":[{"index":0,"delta":{},"finishReason":"length"}]}"#);
        check(r#"{"choices":[{"index":0,"delta":{"finish_reason":"length"}}]}"#);
        check(
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":null}],"finish_reason":"length"}"#,
        );
    }

    #[test]
    fn tokens_are_counted_from_ids_or_log_probabilities() {
        let check = |json: &str, n_tokens: Option<u32>, logprobs: &[f32]| {
            let chunk = parse(json.as_bytes()).unwrap();
            assert_eq!((chunk.n_tokens, chunk.logprobs.as_slice()), (n_tokens, logprobs), "{json}");
        };
        check(r#"{"choices":[{"text":"ab","token_ids":[5,6]}]}"#, Some(2), &[]);
        let chat = r#"{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.5}]}}]}"#;
        check(chat, Some(1), &[-0.5]);
        let completion = r#"{"choices":[{"text":"ab","logprobs":{"token_logprobs":[null,-1.5]}}]}"#;
        check(completion, Some(1), &[-1.5]);
        check(r#"{"choices":[{"text":"ab","logprobs":null}]}"#, None, &[]);
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let chunk = parse(br#"{"choices":[{"delta":{"content":"plain"}}]}"#).unwrap();
        assert!(matches!(chunk.text, Cow::Borrowed("plain")));
    }

    #[test]
    fn a_whole_answer_reads_like_a_chunk() {
        let json = br#"{"choices":[{"message":{"role":"assistant","content":"42"},"finish_reason":"stop"}]}"#;
        let chunk = parse(json).unwrap();
        assert_eq!((chunk.text.as_ref(), chunk.finish), ("42", Some("stop")));
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        let deep = "[".repeat(10_000);
        for garbage in [
            &b"{"[..],
            b"<html>",
            b"{'choices':[{'text':'a'}]}",
            b"[1,2]",
            b"\"text\"",
            deep.as_bytes(),
        ] {
            assert!(parse(garbage).is_err(), "{}", String::from_utf8_lossy(garbage));
        }
    }

    fn stream_chunk(text: &str, extra: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        format!(
            r#"{{"id":"x","choices":[{{"index":0,"delta":{{"content":{text}}}{extra},"finish_reason":null}}]}}"#
        )
    }

    #[test]
    fn a_shape_knows_chunks_that_differ_in_their_text_alone() {
        let first = stream_chunk("one", "");
        let shape = ChunkShape::of(first.as_bytes(), &parse(first.as_bytes()).unwrap()).unwrap();
        assert_eq!(shape.text(stream_chunk(" twö", "").as_bytes()), Some(" twö"));
        assert_eq!(shape.text(stream_chunk("", "").as_bytes()), None);
        assert_eq!(shape.text(stream_chunk("a\n", "").as_bytes()), None);
        assert_eq!(shape.text(stream_chunk("a", r#","logprobs":null"#).as_bytes()), None);
        // Were the quote not looked for, this would read as one long text.
        let two = stream_chunk("a", "").replace(r#""a""#, r#""a","content":"b""#);
        assert_eq!(shape.text(two.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn whatever_a_shape_reads_the_parser_reads_alike(
            first in "[a-z]{1,4}|[ -~é]{0,6}",
            middle in prop::collection::vec(any::<u8>(), 0..12),
            text in "\\PC{0,12}",
            cut in any::<prop::sample::Index>(),
            template in prop::sample::select(vec![
                r#"{"choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#,
                r#"{"choices":[{"delta":{"role":"assistant","content":"","reasoning_content":"@"}}]}"#,
                r#"{"object":"c","choices":[{"text":"@","token_ids":[1,2]}],"usage":null}"#,
                r#"{"choices":[{"text":"@"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
                r#"{"choices":[{"index":1,"text":"no"},{"index":0,"text":"@"}]}"#,
            ]),
        ) {
            let (before, after) = template.split_once('@').unwrap();
            let learned = [before, &first, after].concat();
            let Ok(chunk) = parse(learned.as_bytes()) else { return Ok(()) };
            let Some(shape) = ChunkShape::of(learned.as_bytes(), &chunk) else { return Ok(()) };
            let mut wild = [before.as_bytes(), &middle, after.as_bytes()].concat();
            let tame = [before, &text, after].concat().into_bytes();
            for data in [tame, wild.clone(), { wild.truncate(cut.index(wild.len())); wild }] {
                if let Some(text) = shape.text(&data) {
                    let parsed = parse(&data).unwrap();
                    prop_assert_eq!(parsed.kind(), shape.kind);
                    prop_assert_eq!(parsed.n_tokens, shape.n_tokens);
                    let (generated, other) = match shape.kind {
                        EventKind::Content => (&parsed.text, &parsed.reasoning),
                        _ => (&parsed.reasoning, &parsed.text),
                    };
                    prop_assert_eq!(generated.as_ref(), text);
                    prop_assert!(other.is_empty() && parsed.usage.is_none());
                    prop_assert!(parsed.finish.is_none() && parsed.error.is_none());
                }
            }
        }
    }
}
