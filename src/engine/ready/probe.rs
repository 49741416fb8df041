//! One real token: the last proof that an engine serves, and the end of its load time.

use std::time::Duration;

use serde_json::Value;

use crate::clock::monotonic;
use crate::engine::http::{Check, Http, HttpError};
use crate::load::recorder::single_answer::{AnswerReader, ReadAnswer};
use crate::openai::body::{
    ChatMessage, ContentField, GenerationRequest, PromptField, StreamOptions,
};
use crate::plan::cell::Api;
use crate::plan::launch::Launch;
use crate::record::request::{Outcome, RequestError};
use crate::units::Nanos;

/// The sentence that every engine is asked; its token count tells chat templates apart.
pub const PROBE_TEXT: &str = "The quick brown fox jumps over the lazy dog.";

/// Fields of a request that a server may refuse and be measured without, the least common first.
pub const OPTIONAL: [&str; 4] = ["ignore_eos", "stream_options", "top_p", "temperature"];

/// Tokens asked for: more than one, as the first may be half a character and so no text.
const PROBE_TOKENS: u32 = 4;

/// Where the probe request goes: the endpoint that the cells will use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Endpoint.
    pub api: Api,
    /// URL path.
    pub path: String,
    /// Whether the answer is asked for as a stream.
    pub stream: bool,
}

/// The answer of an engine that is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Monotonic time of the first token.
    pub first_token_at: Nanos,
    /// Prompt tokens that the engine counted.
    pub prompt_tokens: Option<u32>,
}

/// An answer that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoToken {
    pub(super) status: u16,
    /// What a load would have recorded, in words.
    pub(super) why: String,
    /// Where a redirect points to.
    pub(super) location: Option<String>,
}

/// Asks for some tokens, and returns when the answer is complete. What a load would record as a
/// complete answer is a proof, and nothing else.
///
/// # Errors
/// Outside: what `check` returned. Inside: why there is no answer.
pub(super) fn ask<E>(
    http: &Http,
    launch: &Launch,
    request: &ProbeRequest,
    limit: Duration,
    check: Check<'_, E>,
) -> Result<Result<Result<ProbeAnswer, NoToken>, HttpError>, E> {
    Ok(post(http, launch, request, &body(launch, request), limit, check)?
        .map(|(read, ended)| judged(read, ended)))
}

/// Posts a body to where a probe goes; returns the answer as a load would record it, and the
/// monotonic time of its end.
///
/// # Errors
/// As [`ask`].
pub(in crate::engine) fn post<E>(
    http: &Http,
    launch: &Launch,
    request: &ProbeRequest,
    body: &Value,
    limit: Duration,
    check: Check<'_, E>,
) -> Result<Result<(ReadAnswer, Nanos), HttpError>, E> {
    let redactor = http.redactor().clone();
    let mut reader = AnswerReader::new(request.stream, launch.quirks.no_done, redactor);
    let ending = http.post(&request.path, body.to_string(), limit, check, &mut reader)?;
    Ok(ending.map(|ending| {
        let ended = monotonic();
        (reader.finish(&ending, ended), ended)
    }))
}

/// Returns the first field of [`OPTIONAL`] that a refusal speaks of, of those that were sent.
pub(in crate::engine) fn blamed(
    why: &str,
    was_sent: impl Fn(&str) -> bool,
) -> Option<&'static str> {
    let sent = OPTIONAL.into_iter().filter(|field| was_sent(field));
    sent.filter_map(|field| Some((why.find(field)?, field))).min().map(|(_, field)| field)
}

/// Whether a refusal speaks of the older name of an answer's limit.
pub(in crate::engine) fn blames_limit(why: &str) -> bool {
    why.contains("max_tokens")
}

fn judged(read: ReadAnswer, ended: Nanos) -> Result<ProbeAnswer, NoToken> {
    // A model may end at once: its end marker is a token, which the engine counts and nobody sees.
    let is_counted = read.usage.is_some_and(|usage| usage.completion > Some(0));
    let is_end_alone = read.outcome == Outcome::Error(RequestError::Empty) && is_counted;
    if read.outcome == Outcome::Ok || is_end_alone {
        return Ok(ProbeAnswer {
            first_token_at: read.first_token_at.unwrap_or(ended),
            prompt_tokens: read.usage.and_then(|usage| usage.prompt),
        });
    }
    let status = read.status.unwrap_or_default();
    let why = match &read.outcome {
        Outcome::Error(RequestError::Empty) => "an answer without a token".to_owned(),
        Outcome::Error(error) => error.words().unwrap_or_default().to_owned(),
        Outcome::Ok | Outcome::Cancelled(_) => String::new(),
    };
    Err(NoToken { status, why, location: read.location })
}

/// Returns a request for some tokens after one text, the same ones at each time.
pub(in crate::engine) fn greedy(
    api: Api,
    model: &str,
    text: &str,
    max_tokens: u32,
) -> GenerationRequest {
    let mut request = GenerationRequest {
        model: Some(model.to_owned()),
        max_tokens: Some(max_tokens),
        temperature: Some(0.0),
        // As a load sends it: who refuses the field is found out here.
        top_p: Some(1.0),
        ..GenerationRequest::default()
    };
    match api {
        Api::Chat => {
            let content = Some(ContentField::Text(text.to_owned()));
            request.messages = Some(vec![ChatMessage { role: "user".to_owned(), content }]);
        }
        Api::Completions => request.prompt = Some(PromptField::Text(text.to_owned())),
    }
    request
}

fn body(launch: &Launch, request: &ProbeRequest) -> Value {
    let continuous_usage_stats = launch.quirks.continuous_usage;
    let options = StreamOptions { include_usage: true, continuous_usage_stats };
    let asked = GenerationRequest {
        stream: Some(request.stream),
        stream_options: request.stream.then_some(options),
        ..greedy(request.api, &launch.model, PROBE_TEXT, PROBE_TOKENS)
    };
    let mut body = serde_json::to_value(asked).expect("texts and finite numbers are JSON");
    let fields = body.as_object_mut().expect("the body is an object");
    if launch.quirks.max_completion_tokens
        && let Some(limit) = fields.remove("max_tokens")
    {
        fields.insert("max_completion_tokens".to_owned(), limit);
    }
    for name in &launch.quirks.omit {
        fields.remove(name);
    }
    body
}
