//! Reads a chunk field by field: odd fields are dropped and recorded, the rest is kept.

use std::borrow::Cow;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::openai::chunk::{Aside, Chunk, NotAChunk};
use crate::openai::finish::names_failure;
use crate::openai::generated::{CallWords, is_reasoning};
use crate::openai::mend::{Halves, mend};
use crate::record::request::{Oddity, Usage};

/// Reads a chunk that is not an ordinary one.
pub(super) fn parse(data: &[u8]) -> Result<Chunk<'static>, NotAChunk> {
    let mut chunk = Chunk::default();
    let value = match serde_json::from_slice(data) {
        Ok(value) => value,
        Err(error) => {
            let (mended, oddities) = mend(data);
            chunk.oddities = oddities;
            serde_json::from_str(&mended)
                .map_err(|_| NotAChunk { why: format!("invalid JSON: {error}") })?
        }
    };
    match &value {
        Value::Object(fields) => read(fields, &mut chunk),
        Value::Array(list) => match list.as_slice() {
            [] => chunk.oddities.push(Oddity::KeepAlive),
            [Value::Object(fields)] => {
                chunk.oddities.push(Oddity::Json);
                read(fields, &mut chunk);
            }
            _ => return Err(NotAChunk { why: "a list, not an object".to_owned() }),
        },
        Value::String(_) => return Err(NotAChunk { why: "a text, not an object".to_owned() }),
        Value::Null | Value::Bool(_) | Value::Number(_) => chunk.oddities.push(Oddity::KeepAlive),
    }
    Ok(chunk)
}

fn read(fields: &Map<String, Value>, chunk: &mut Chunk<'static>) {
    let choice = choice_of(fields.get("choices"), chunk);
    let of_groq = fields.get("x_groq").and_then(|groq| groq.get("usage"));
    let of_choice = choice.and_then(|choice| choice.get("usage"));
    for place in [fields.get("usage"), of_choice, of_groq] {
        if let Some(usage) = place.filter(|usage| !usage.is_null()) {
            read_usage(usage, chunk);
        }
    }
    if let Some(choice) = choice {
        read_choice(choice, chunk);
    }
    read_finish(fields, choice, chunk);
    // Some engines begin with an object of no choice: it is a chunk, unless it tells of an error.
    let is_bare = choice.is_none() && chunk.usage.is_none();
    let has_parts = fields.contains_key("choices") || fields.contains_key("usage");
    let part = |name: &str| choice.and_then(|choice| choice.get(name));
    let inside = || ["delta", "message"].into_iter().find_map(|name| part(name)?.get("error"));
    let sure = error_of(fields)
        .or_else(|| part("error").and_then(error_words))
        .or_else(|| inside().and_then(error_words));
    chunk.is_error_guessed = sure.is_none();
    let guessed = || if is_bare { guessed_error_of(fields) } else { None };
    if let Some(error) = sure.or_else(guessed) {
        chunk.error = Some(Cow::Owned(error));
    } else if !has_parts {
        chunk.oddities.push(Oddity::KeepAlive);
        // An object by that name is an answer of another API, and its whole form tells which.
        let message =
            message_of(fields).filter(|_| !fields.get("message").is_some_and(Value::is_object));
        let is_message = message.is_some();
        let words = message.unwrap_or_else(|| whole(fields));
        chunk.aside = Some(Aside { words, is_message });
    } else if choice.is_none() {
        chunk.aside = message_of(fields).map(|words| Aside { words, is_message: true });
    }
}

fn choice_of<'v>(
    choices: Option<&'v Value>,
    chunk: &mut Chunk<'static>,
) -> Option<&'v Map<String, Value>> {
    let list = match choices? {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        one => {
            chunk.oddities.push(Oddity::Field);
            std::slice::from_ref(one)
        }
    };
    if list.len() > 1 {
        chunk.oddities.push(Oddity::ChoiceIndex);
    }
    let mut all = list.iter().filter_map(Value::as_object).map(|choice| (index_of(choice), choice));
    let first = all.next()?;
    let (index, choice) =
        if first.0 == 0 { first } else { all.find(|(index, _)| *index == 0).unwrap_or(first) };
    if choice.get("index").and_then(Value::as_u64) != Some(0) {
        chunk.oddities.push(Oddity::ChoiceIndex);
    }
    chunk.index = Some(index);
    Some(choice)
}

fn index_of(choice: &Map<String, Value>) -> u32 {
    choice.get("index").and_then(whole_number).unwrap_or_default()
}

fn read_choice(choice: &Map<String, Value>, chunk: &mut Chunk<'static>) {
    let mut found = Found::default();
    let part = |name: &str| choice.get(name).filter(|part| !part.is_null());
    let mut refusal = "";
    chunk.is_whole = part("delta").is_none() && part("message").is_some();
    match part("delta").or(part("message")) {
        Some(Value::Object(delta)) => {
            found.answer_from(delta.get("content"));
            found.reasoning_among(delta, &mut chunk.oddities);
            refusal = delta.get("refusal").and_then(Value::as_str).unwrap_or_default();
            let mut calls =
                ["tool_calls", "function_call"].into_iter().filter_map(|it| delta.get(it));
            chunk.tool_call = calls.any(|calls| CallWords::deserialize(calls).is_ok_and(|it| it.0));
        }
        Some(other) => found.odd_answer_from(other),
        None => {}
    }
    found.reasoning_among(choice, &mut chunk.oddities);
    if found.text.is_empty() {
        found.answer_from(choice.get("text"));
        chunk.is_whole |= part("delta").is_some() && !found.text.is_empty();
    }
    if found.text.is_empty() {
        found.text.push_str(refusal);
    }
    chunk.halves = Halves::take(&mut found.text);
    Halves::take(&mut found.reasoning);
    chunk.text = Cow::Owned(found.text);
    chunk.reasoning = Cow::Owned(found.reasoning);
    if found.is_odd {
        chunk.oddities.push(Oddity::TextForm);
    }
    read_tokens(choice, chunk);
}

/// Reads the finish reason, which may stand in another place than in the choice.
fn read_finish(
    fields: &Map<String, Value>,
    choice: Option<&Map<String, Value>>,
    chunk: &mut Chunk<'static>,
) {
    let part = |name: &str| choice.and_then(|choice| choice.get(name)).filter(|it| !it.is_null());
    let inside = |name: &str| part(name).and_then(|part| part.get("finish_reason"));
    let elsewhere = || {
        let beside = fields.get("finish_reason").filter(|_| fields.contains_key("choices"));
        [part("finishReason"), inside("delta"), inside("message"), beside]
            .into_iter()
            .flatten()
            .find(|reason| !reason.is_null())
    };
    let own = part("finish_reason");
    let Some(reason) = own.or_else(elsewhere) else { return };
    let text = match reason {
        Value::Object(reason) => {
            ["type", "reason"].into_iter().find_map(|it| reason.get(it)?.as_str())
        }
        Value::Array(reasons) => reasons.first().and_then(Value::as_str),
        reason => reason.as_str(),
    };
    if own.is_none() || !reason.is_string() {
        chunk.oddities.push(Oddity::FinishReason);
    }
    if let Some(text) = text {
        chunk.finish_with(text);
    }
}

/// Reads what tells of single tokens: ids and log probabilities.
fn read_tokens(choice: &Map<String, Value>, chunk: &mut Chunk<'static>) {
    let list = |value: Option<&Value>, oddities: &mut Vec<Oddity>| match value {
        Some(Value::Array(list)) => list.clone(),
        None | Some(Value::Null) => Vec::new(),
        Some(_) => {
            oddities.push(Oddity::Field);
            Vec::new()
        }
    };
    let ids = list(choice.get("token_ids"), &mut chunk.oddities);
    let logprobs = choice.get("logprobs").and_then(Value::as_object);
    let of = |name: &str| logprobs.and_then(|logprobs| logprobs.get(name));
    let content = list(of("content"), &mut chunk.oddities);
    let n_logprobs;
    let values: Option<Vec<f32>> = if of("content").is_some_and(Value::is_array) {
        n_logprobs = content.len();
        content.iter().map(|token| finite(token.get("logprob"))).collect()
    } else {
        let values = list(of("token_logprobs"), &mut chunk.oddities);
        n_logprobs = values.len();
        // The first token of an echoed prompt has none.
        values.iter().filter(|value| !value.is_null()).map(|value| finite(Some(value))).collect()
    };
    if values.is_none() {
        // The rest would stand beside the wrong tokens.
        chunk.has_bad_logprobs = true;
        chunk.oddities.push(Oddity::Number);
    }
    chunk.logprobs = values.unwrap_or_default();
    let n_tokens = if ids.is_empty() { n_logprobs } else { ids.len() };
    chunk.n_tokens = u32::try_from(n_tokens).ok().filter(|n| *n > 0);
}

fn finite(value: Option<&Value>) -> Option<f32> {
    value.and_then(Value::as_f64).map(|value| value as f32).filter(|value| value.is_finite())
}

/// Generated text in whatever form it comes.
#[derive(Default)]
struct Found {
    text: String,
    reasoning: String,
    is_odd: bool,
}

impl Found {
    fn answer_from(&mut self, value: Option<&Value>) {
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.text.push_str(text),
            Some(other) => self.odd_answer_from(other),
        }
    }

    /// Takes reasoning from the first field that holds some, unless there is some already.
    fn reasoning_among(&mut self, fields: &Map<String, Value>, oddities: &mut Vec<Oddity>) {
        for name in ["reasoning_content", "reasoning", "thinking"] {
            if self.reasoning.is_empty() {
                self.reasoning_from(fields.get(name));
            }
        }
        if self.reasoning.is_empty() {
            self.reasoning = words_in(fields.get("reasoning_details"));
        }
        let mut texts = fields.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        if self.reasoning.is_empty()
            && let Some((_, words)) = texts.find(|(name, words)| is_reasoning(name, words))
        {
            words.clone_into(&mut self.reasoning);
            oddities.push(Oddity::FieldName);
        }
    }

    fn reasoning_from(&mut self, value: Option<&Value>) {
        // Whether, and how hard, a model is to think.
        let is_setting = match value {
            Some(Value::Bool(_)) => true,
            Some(Value::Object(fields)) => fields.contains_key("effort"),
            _ => false,
        };
        if is_setting {
            return;
        }
        let mut parts = Self::default();
        parts.answer_from(value);
        self.reasoning = parts.text + &parts.reasoning;
        self.is_odd |= parts.is_odd;
    }

    /// Takes text from a list of parts, a part, or a bare value.
    fn odd_answer_from(&mut self, value: &Value) {
        self.is_odd = true;
        match value {
            Value::Null => {}
            Value::String(text) => self.text.push_str(text),
            Value::Number(number) => self.text.push_str(&number.to_string()),
            Value::Bool(flag) => self.text.push_str(&flag.to_string()),
            Value::Array(parts) => parts.iter().for_each(|part| self.odd_answer_from(part)),
            Value::Object(part) => {
                for name in ["thinking", "reasoning"] {
                    self.reasoning.push_str(&words_in(part.get(name)));
                }
                for name in ["text", "content", "value", "summary"] {
                    if let Some(inner) = part.get(name) {
                        return self.odd_answer_from(inner);
                    }
                }
            }
        }
    }
}

fn words_in(value: Option<&Value>) -> String {
    let mut found = Found::default();
    found.answer_from(value);
    found.text
}

/// Reads token counts by any of their names, unless some were read before.
fn read_usage(usage: &Value, chunk: &mut Chunk<'static>) {
    let count = |place: &str| usage.pointer(place).and_then(whole_number);
    let first = |places: &[&str]| places.iter().find_map(|place| count(place));
    let completion = first(&[
        "/completion_tokens",
        "/output_tokens",
        "/completionTokens",
        "/outputTokens",
        "/generated_tokens",
    ]);
    let total = first(&["/total_tokens", "/totalTokens"]);
    let found = Usage {
        prompt: first(&["/prompt_tokens", "/promptTokens"])
            .or_else(|| input_of(&count, completion, total))
            .or_else(|| count("/inputTokens")),
        completion,
        cached: first(&[
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/cache_read_input_tokens",
            "/cached_tokens",
            "/prompt_cache_hit_tokens",
        ]),
        reasoning: first(&[
            "/completion_tokens_details/reasoning_tokens",
            "/output_tokens_details/reasoning_tokens",
        ]),
    };
    let is_plain = |place| usage.pointer(place).is_some_and(Value::is_u64);
    let is_ordinary = is_plain("/prompt_tokens") && is_plain("/completion_tokens");
    if !is_ordinary {
        chunk.oddities.push(Oddity::Usage);
    }
    if chunk.usage.is_none() && found != Usage::default() {
        chunk.count(found, total);
    }
}

/// Returns the tokens of a prompt by the name that Anthropic gives those alone that no cache had: the
/// whole is the sum of three counts, unless a total says that the first holds the others.
///
/// Source: Anthropic's Messages API, "Prompt caching": `total_input_tokens` is
/// `cache_read_input_tokens` + `cache_creation_input_tokens` + `input_tokens`.
fn input_of(
    count: &impl Fn(&str) -> Option<u32>,
    completion: Option<u32>,
    total: Option<u32>,
) -> Option<u32> {
    let input = count("/input_tokens")?;
    if total.is_some() && total == input.checked_add(completion.unwrap_or_default()) {
        return Some(input);
    }
    let cached = ["/cache_read_input_tokens", "/cache_creation_input_tokens"];
    cached.into_iter().filter_map(count).try_fold(input, u32::checked_add)
}

/// Returns a count that is written as a number of any kind, or as text.
fn whole_number(value: &Value) -> Option<u32> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let is_count = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    is_count.then_some(number as u32)
}

/// Fields that hold an error, whatever stands beside them.
const ERRORS: [&str; 3] = ["error", "errors", "exception"];
/// Fields that hold a message only where it is one of an error.
const ERROR_MESSAGES: [&str; 5] =
    ["error_msg", "error_message", "errorMessage", "err_msg", "status_msg"];
/// How the name of an object ends that says with a code how a call went: `base_resp` of `MiniMax`.
const RESULT: &str = "_resp";
/// Fields that hold a message, the most telling first.
const MESSAGES: [&str; 8] =
    ["message", "msg", "error_description", "detail", "reason", "title", "description", "text"];
const CODES: [&str; 7] =
    ["code", "status", "status_code", "statusCode", "error_code", "errorCode", "errcode"];

/// Returns the engine's words of an error, if the object tells of one.
///
/// OpenAI puts an error under `error`; older vLLM answers `{"object":"error","message":…}`, others a
/// message beside a code or a word that says so. What web frameworks put under `detail` may be
/// anything: the end of the answer tells whether it is an error.
fn error_of(fields: &Map<String, Value>) -> Option<String> {
    let told = |name: &&str| {
        let value = field(fields, name)?;
        Some((value, error_words(value)?))
    };
    if let Some((value, error)) = ERRORS.iter().find_map(told) {
        let is_flag = value.is_boolean() || value.is_number();
        return if is_flag { message_of(fields).or(Some(error)) } else { Some(error) };
    }
    let says_error = |name: &&str| word_of(fields, name).eq_ignore_ascii_case("error");
    let is_told = ["object", "type"].iter().any(says_error);
    is_told.then(|| message_of(fields).unwrap_or_else(|| "error".to_owned()))
}

/// Returns the words of an object of no known form from which an error can only be guessed.
fn guessed_error_of(fields: &Map<String, Value>) -> Option<String> {
    let nested = || {
        let inner = fields.values().filter_map(Value::as_object);
        inner
            .flat_map(|inner| ERRORS.iter().filter_map(|name| field(inner, name)))
            .find_map(error_words)
    };
    let names = |name: &&str| names_failure(&word_of(fields, name).to_ascii_lowercase());
    let is_denied = |name: &&str| field(fields, name) == Some(&Value::Bool(false));
    let is_told = ["object", "type", "status", "state", "code"].iter().any(names)
        || ["success", "ok"].iter().any(is_denied)
        || codes(fields).any(|code| (300..600).contains(&code));
    if is_told {
        let words = nested().or_else(|| error_message_of(fields));
        return Some(words.unwrap_or_else(|| whole(fields)));
    }
    let has_code = codes(fields).any(is_bad);
    nested()
        .or_else(|| fields.iter().find_map(|(name, value)| denied_call(name, value)))
        .or_else(|| words_of(fields, &ERROR_MESSAGES))
        .or_else(|| message_of(fields).filter(|_| has_code))
}

fn word_of<'v>(fields: &'v Map<String, Value>, name: &str) -> &'v str {
    field(fields, name).and_then(Value::as_str).unwrap_or_default()
}

fn is_bad(code: i64) -> bool {
    code != 0 && !(100..300).contains(&code)
}

/// Returns the words of an object that says that a call failed.
fn denied_call(name: &str, value: &Value) -> Option<String> {
    let result = value.as_object().filter(|_| name.ends_with(RESULT))?;
    let is_denied = codes(result).any(is_bad);
    is_denied.then(|| error_message_of(result).unwrap_or_else(|| whole(result)))
}

/// Returns the codes that an object tells how a call went with.
fn codes(fields: &Map<String, Value>) -> impl Iterator<Item = i64> {
    CODES.iter().filter_map(|name| field(fields, name).and_then(code_of))
}

/// Returns the message of an object that tells of an error, under any of its names.
fn error_message_of(fields: &Map<String, Value>) -> Option<String> {
    words_of(fields, &ERROR_MESSAGES).or_else(|| message_of(fields))
}

/// Returns the message of an object, under any of its names.
fn message_of(fields: &Map<String, Value>) -> Option<String> {
    words_of(fields, &MESSAGES)
}

fn words_of(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| field(fields, name).and_then(error_words))
}

/// Returns a field by its name, in whatever case it is written.
fn field<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let in_any_case =
        || fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    fields.get(name).or_else(in_any_case)
}

fn code_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        code => code.as_i64(),
    }
}

fn whole(fields: &Map<String, Value>) -> String {
    serde_json::to_string(fields).unwrap_or_default()
}

/// Returns the text of a known error: its message, or all of it.
pub(super) fn error_text(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let words = serde_json::from_slice(data).ok().and_then(|value: Value| error_words(&value));
    let words = words.unwrap_or_else(|| text.trim().to_owned());
    if words.is_empty() { "an error without words".to_owned() } else { words }
}

/// Returns the text of an error member; `None` when it is empty or says that all is well.
fn error_words(error: &Value) -> Option<String> {
    if is_harmless(error) {
        return None;
    }
    Some(match error {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let words = message_of(fields).or_else(|| error_of(fields));
            let words = words.unwrap_or_else(|| whole(fields));
            match place_of(fields) {
                Some(place) => format!("{place}: {words}"),
                None => words,
            }
        }
        Value::Array(list) => {
            let mut told = list.iter().filter_map(error_words);
            let is_located = |error: &Value| error.as_object().and_then(place_of).is_some();
            let are_located = !list.is_empty() && list.iter().all(is_located);
            if are_located { told.collect::<Vec<_>>().join("; ") } else { told.next()? }
        }
        _ => error.to_string(),
    })
}

/// Returns where in a request an error is, as pydantic tells it: `body.top_p`.
fn place_of(fields: &Map<String, Value>) -> Option<String> {
    let steps = fields.get("loc")?.as_array()?.iter().map(|step| match step {
        Value::String(name) => name.clone(),
        step => step.to_string(),
    });
    Some(steps.collect::<Vec<_>>().join(".")).filter(|place| !place.is_empty())
}

/// Whether text in the place of an error says that there is none.
pub(super) fn is_no_error(data: &[u8]) -> bool {
    let text = || Value::String(String::from_utf8_lossy(data).into_owned());
    is_harmless(&serde_json::from_slice(data).unwrap_or_else(|_| text()))
}

/// Whether a value in the place of an error says that there is none.
fn is_harmless(error: &Value) -> bool {
    match error {
        Value::String(text) => {
            let word = text.trim().trim_end_matches('.').to_ascii_lowercase();
            let is_zero = word.bytes().all(|digit| digit == b'0');
            let nothing =
                ["-", "n/a", "null", "none", "nil", "undefined", "false", "no error", "no errors"];
            let well = ["ok", "success", "succeeded", "successful", "no_error", "noerror"];
            is_zero || nothing.contains(&word.as_str()) || well.contains(&word.as_str())
        }
        Value::Array(list) => list.iter().all(is_harmless),
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let is_code = CODES.iter().any(|code| name.eq_ignore_ascii_case(code));
            let is_good = || code_of(value).is_some_and(|code| (100..300).contains(&code));
            is_harmless(value) || (is_code && is_good())
        }),
        other => is_empty(other),
    }
}

/// Whether a value says nothing, with all that it holds.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}
