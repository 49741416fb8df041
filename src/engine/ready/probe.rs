//! One real token: the last proof that an engine serves, and the end of its load time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::clock::monotonic;
use crate::engine::http::{Check, Http, HttpError};
use crate::load::recorder::single_answer::{AnswerReader, ReadAnswer};
use crate::openai::body::{ChatMessage, ContentField, GenerationRequest, PromptField};
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
/// Tokens asked for in the place of a load's, where that has not one number for all: more than the
/// least that servers demand (16).
const LOAD_TOKENS: u32 = 64;

/// Where the probe request goes: the endpoint that the cells will use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Endpoint.
    pub api: Api,
    /// URL path.
    pub path: String,
    /// Whether the answer is asked for as a stream.
    pub stream: bool,
    /// What the requests of the load carry beside the prompt and its limit, by name.
    pub fields: BTreeMap<String, Value>,
    /// Tokens that they ask for at most; absent where it is not one number for all.
    pub max_tokens: Option<u32>,
}

/// How much of an answer a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Extent {
    /// Some tokens, all of which are waited for.
    Short,
    /// As much as a request of the load; the first token is enough.
    AsLoad,
    /// A request of the load, all of which is waited for.
    Whole,
}

impl Extent {
    /// Returns what is asked for after a refusal. A server refuses a short answer where its own least,
    /// or another field, asks for more: a budget of reasoning, the fewest tokens.
    pub(in crate::engine) fn after_refusal(self) -> Self {
        if self == Self::Short { Self::AsLoad } else { self }
    }
}

/// The answer of an engine that is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Monotonic time of the first token.
    pub first_token_at: Nanos,
    /// Monotonic time at which nothing more was waited for.
    pub ended_at: Nanos,
    /// Prompt tokens that the engine counted.
    pub prompt_tokens: Option<u32>,
    /// Output tokens that it counted.
    pub output_tokens: Option<u32>,
}

/// An answer that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct NoToken {
    pub(in crate::engine) status: u16,
    /// What a load would have recorded, in words.
    pub(in crate::engine) why: String,
    /// Where a redirect points to.
    pub(in crate::engine) location: Option<String>,
    /// How much is asked for next: what begins and does not end is no refusal of a short answer.
    pub(in crate::engine) next: Extent,
}

/// Asks for tokens after a text, and returns when the answer is complete, or, where its first token
/// is enough, when it has begun. What a load would record as a complete answer is a proof, and nothing
/// else.
///
/// # Errors
/// Outside: what `check` returned. Inside: why there is no answer.
pub(in crate::engine) fn ask<E>(
    http: &Http,
    launch: &Launch,
    request: &ProbeRequest,
    text: &str,
    extent: Extent,
    limit: Duration,
    check: Check<'_, E>,
) -> Result<Result<Result<ProbeAnswer, NoToken>, HttpError>, E> {
    let body = body(launch, request, text, extent).to_string();
    let mut reader =
        AnswerReader::new(request.stream, launch.quirks.no_done, http.redactor().clone());
    if extent == Extent::AsLoad {
        reader = reader.until_first_token();
    }
    Ok(match http.post(&request.path, body, limit, check, &mut reader)? {
        Ok(ending) => {
            let ended = monotonic();
            let stops = request.fields.contains_key("stop");
            Ok(judged(reader.finish(&ending, ended), ended, extent, stops))
        }
        Err(HttpError::TimedOut(url, limit)) => Err(match reader.begun() {
            Some((status, n_bytes)) => HttpError::Unfinished { url, limit, status, n_bytes },
            None => HttpError::TimedOut(url, limit),
        }),
        Err(error) => Err(error),
    })
}

/// Returns the field of the scenario's own that a refusal speaks of, if it is the first one that it
/// speaks of.
pub(super) fn blamed_own<'r>(why: &str, request: &'r ProbeRequest) -> Option<&'r str> {
    let place = |name: &str| {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let mut places = why.match_indices(name).map(|(at, _)| at);
        places.find(|at| {
            let (before, after) = (&why[..*at], &why[at + name.len()..]);
            !is_part(before.chars().next_back()) && !is_part(after.chars().next())
        })
    };
    let names = request.fields.keys().map(String::as_str).chain(OPTIONAL);
    let (_, first) = names.filter_map(|name| Some((place(name)?, name))).min()?;
    let (own, _) = request.fields.get_key_value(first)?;
    let is_ours = OPTIONAL.contains(&own.as_str()) || ["model", "stream"].contains(&own.as_str());
    (!is_ours).then_some(own)
}

/// Returns the fields of [`OPTIONAL`] that a refusal names by their places in the body, as a server
/// does that tells of each; else the first one that it speaks of.
pub(super) fn all_blamed(why: &str) -> Vec<&'static str> {
    let is_located = |field: &&str| why.contains(&format!("body.{field}: "));
    let located: Vec<_> = OPTIONAL.into_iter().filter(is_located).collect();
    if located.is_empty() { blamed(why, |_| true).into_iter().collect() } else { located }
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

fn judged(
    read: ReadAnswer,
    ended: Nanos,
    extent: Extent,
    stops: bool,
) -> Result<ProbeAnswer, NoToken> {
    // A model may end at once: its end marker is a token, which the engine counts and nobody sees,
    // and so is a text at which it is to stop.
    let is_end_alone =
        read.is_counted_unseen() || (stops && read.outcome == Outcome::Error(RequestError::Empty));
    let has_begun = extent == Extent::AsLoad
        && read.first_token_at.is_some()
        && matches!(read.outcome, Outcome::Error(RequestError::Truncated(_)));
    if read.outcome == Outcome::Ok || is_end_alone || has_begun {
        return Ok(ProbeAnswer {
            first_token_at: read.first_token_at.unwrap_or(ended),
            ended_at: ended,
            prompt_tokens: read.usage.and_then(|usage| usage.prompt),
            output_tokens: read.usage.and_then(|usage| usage.completion),
        });
    }
    let status = read.status.unwrap_or_default();
    let why = match &read.outcome {
        Outcome::Error(RequestError::Empty) => "an answer without a token".to_owned(),
        Outcome::Error(error) => error.words().unwrap_or_default().to_owned(),
        Outcome::Ok | Outcome::Cancelled(_) => String::new(),
    };
    let next = if read.first_token_at.is_some() { extent } else { extent.after_refusal() };
    Err(NoToken { status, why, location: read.location, next })
}

fn asked(api: Api, model: &str, text: &str, max_tokens: u32) -> GenerationRequest {
    let mut request = GenerationRequest {
        model: Some(model.to_owned()),
        max_tokens: Some(max_tokens),
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

/// Returns the body of a request of the load, with a text for a prompt.
pub(in crate::engine) fn body(
    launch: &Launch,
    request: &ProbeRequest,
    text: &str,
    extent: Extent,
) -> Value {
    let max_tokens = match extent {
        Extent::Short => PROBE_TOKENS,
        Extent::AsLoad | Extent::Whole => request.max_tokens.unwrap_or(LOAD_TOKENS),
    };
    let asked = GenerationRequest {
        stream: Some(request.stream),
        ..asked(request.api, &launch.model, text, max_tokens)
    };
    let mut body = serde_json::to_value(asked).expect("texts and finite numbers are JSON");
    let fields = body.as_object_mut().expect("the body is an object");
    let limit = fields.remove("max_tokens");
    fields.extend(request.fields.clone());
    if extent == Extent::Short {
        let limits = |(name, _): &(&String, &mut Value)| {
            (name.starts_with("max_") || name.starts_with("min_")) && name.ends_with("tokens")
        };
        for (_, value) in fields.iter_mut().filter(limits) {
            if value.as_u64().is_some_and(|tokens| tokens > u64::from(PROBE_TOKENS)) {
                *value = Value::from(PROBE_TOKENS);
            }
        }
    }
    let name =
        if launch.quirks.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    fields.extend(limit.map(|limit| (name.to_owned(), limit)));
    for name in &launch.quirks.omit {
        fields.remove(name);
    }
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::launch::Quirks;

    fn request(fields: &Value) -> ProbeRequest {
        ProbeRequest {
            api: Api::Completions,
            path: String::new(),
            stream: true,
            fields: serde_json::from_value(fields.clone()).unwrap(),
            max_tokens: Some(64),
        }
    }

    #[test]
    fn a_probe_carries_what_the_load_carries_and_asks_for_a_few_tokens() {
        let launch = Launch { model: "m".to_owned(), ..Launch::default() };
        let request = request(&json!({
            "model": "m", "stream": true, "logprobs": 1, "min_tokens": 50,
            "thinking": { "budget_tokens": 32 }
        }));
        let short = body(&launch, &request, PROBE_TEXT, Extent::Short);
        assert_eq!(
            short,
            json!({
                "model": "m", "stream": true, "logprobs": 1, "min_tokens": 4, "max_tokens": 4,
                "thinking": { "budget_tokens": 32 }, "prompt": PROBE_TEXT
            })
        );
        let whole = body(&launch, &request, PROBE_TEXT, Extent::AsLoad);
        assert_eq!((&whole["min_tokens"], &whole["max_tokens"]), (&json!(50), &json!(64)));
    }

    #[test]
    fn a_limit_is_called_as_the_load_calls_it() {
        let quirks = Quirks { omit: vec!["max_tokens".to_owned()], ..Quirks::default() };
        let launch = Launch { quirks, ..Launch::default() };
        let short = body(
            &launch,
            &request(&json!({ "max_completion_tokens": 64 })),
            PROBE_TEXT,
            Extent::Short,
        );
        assert_eq!((short.get("max_tokens"), &short["max_completion_tokens"]), (None, &json!(4)));
        let quirks = Quirks { max_completion_tokens: true, ..Quirks::default() };
        let short = body(
            &Launch { quirks, ..Launch::default() },
            &request(&json!({})),
            PROBE_TEXT,
            Extent::Short,
        );
        assert_eq!((short.get("max_tokens"), &short["max_completion_tokens"]), (None, &json!(4)));
    }

    #[test]
    fn a_refusal_names_the_field_of_the_scenario_that_it_speaks_of_first() {
        let request =
            request(&json!({ "top_q": 1, "n": 1, "seed": 1, "temperature": 0, "model": "m" }));
        let check = |why: &str, expected: Option<&str>| {
            assert_eq!(blamed_own(why, &request), expected, "{why}");
        };
        check("unknown field `top_q`, known are temperature and seed", Some("top_q"));
        check("unsupported parameter: 'temperature', not seed", None);
        check("ignore_eos: extra fields not permitted, unlike seed", None);
        check("the model is reseeded", None);
        check("no", None);
    }
}
