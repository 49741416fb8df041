//! Turns a request's body into a submission for the batcher, or into the reason why it is wrong.

use rand::rngs::ChaCha8Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::batcher::{Event, Submission};
use super::files::Loaded;
use super::sampler::Sampling;
use crate::openai::body::{ErrorBody, GenerationRequest, PromptField};
use crate::seed::Seed;

/// What completions generate when they set no limit: the API's default.
const DEFAULT_COMPLETION_TOKENS: u32 = 16;

/// A submission, and the receiver of its events.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The part that goes to the batcher.
    pub submission: Submission,
    /// The receiver from which the answer is written.
    pub events: tokio::sync::mpsc::Receiver<Event>,
}

/// Checks and tokenises a request.
///
/// # Errors
/// The client's error, with status 400.
pub(crate) fn prepare(
    request: &GenerationRequest,
    chat: bool,
    loaded: &Loaded,
    rng: ChaCha8Rng,
) -> Result<Prepared, ErrorBody> {
    let wrong = |message: &str, param: &str| ErrorBody::new(400, message).about(param);
    if request.n.is_some_and(|n| n != 1) {
        return Err(wrong("one answer per request is all there is", "n"));
    }
    let sampling = Sampling {
        temperature: request.temperature.unwrap_or(1.0),
        top_p: request.top_p.unwrap_or(1.0),
    };
    if !sampling.temperature.is_finite() || sampling.temperature < 0.0 {
        return Err(wrong("temperature is a number from 0 upwards", "temperature"));
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return Err(wrong("top_p is above 0 and at most 1", "top_p"));
    }
    let prompt = prompt_tokens(request, chat, true, loaded)?;
    let max_tokens = token_limit(request, chat, prompt.len(), loaded.max_model_len)?;
    let (events, received) = tokio::sync::mpsc::channel(max_tokens as usize + 1);
    let submission = Submission {
        prompt,
        max_tokens,
        min_tokens: request.min_tokens.unwrap_or(0),
        sampling,
        rng: match request.seed {
            Some(seed) => Seed(seed.cast_unsigned()).stream("sampling"),
            None => rng,
        },
        stops: request.stop_strings().to_vec(),
        ignore_eos: request.ignore_eos.unwrap_or(false),
        events,
    };
    Ok(Prepared { submission, events: received })
}

/// Answers `/tokenize` as vLLM does: the tokens of a prompt, or of a chat.
///
/// # Errors
/// The client's error, with status 400.
pub(crate) fn tokenize(request: &TokenizeRequest, loaded: &Loaded) -> Result<Value, ErrorBody> {
    let chat = request.prompt.messages.is_some();
    let tokens = prompt_tokens(&request.prompt, chat, request.add_special_tokens, loaded)?;
    Ok(json!({
        "count": tokens.len(), "max_model_len": loaded.max_model_len, "tokens": tokens,
    }))
}

/// The body of `POST /tokenize`.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenizeRequest {
    /// What is cut into tokens, by the fields in which it is sent.
    #[serde(flatten)]
    prompt: GenerationRequest,
    /// Whether a prompt gets the tokens that stand in front of a completion.
    #[serde(default = "yes")]
    add_special_tokens: bool,
}

fn yes() -> bool {
    true
}

fn prompt_tokens(
    request: &GenerationRequest,
    chat: bool,
    has_front: bool,
    loaded: &Loaded,
) -> Result<Vec<u32>, ErrorBody> {
    let param = if chat { "messages" } else { "prompt" };
    let wrong = |message: String| ErrorBody::new(400, message).about(param);
    let several = || wrong("one prompt per request is all there is".to_owned());
    let encode = |text: &str, add_special_tokens: bool| {
        loaded
            .tokenizer
            .encode_fast(text, add_special_tokens)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| wrong(error.to_string()))
    };
    let tokens = if chat {
        let messages = request.messages.as_deref().unwrap_or_default();
        let template = loaded
            .chat_template
            .as_ref()
            .ok_or_else(|| wrong("this model has no chat template".to_owned()))?;
        if messages.is_empty() {
            return Err(wrong("there are no messages".to_owned()));
        }
        // The template already contains the special tokens.
        let messages: Vec<_> = messages
            .iter()
            .map(|message| json!({ "role": message.role, "content": message.text() }))
            .collect();
        let variables = request.template_variables();
        let text = template.render(&messages, &variables, true);
        encode(&text.map_err(|error| wrong(error.to_string()))?, false)?
    } else {
        match request.prompt.as_ref() {
            None => return Err(wrong("there is no prompt".to_owned())),
            Some(PromptField::Text(text)) => encode(text, has_front)?,
            Some(PromptField::Tokens(tokens)) => tokens.clone(),
            Some(PromptField::Texts(texts)) => match texts.as_slice() {
                [text] => encode(text, has_front)?,
                _ => return Err(several()),
            },
            Some(PromptField::TokenLists(lists)) => match lists.as_slice() {
                [tokens] => tokens.clone(),
                _ => return Err(several()),
            },
        }
    };
    if tokens.is_empty() {
        return Err(wrong("the prompt is empty".to_owned()));
    }
    let n_vocab = loaded.model.config().vocab;
    match tokens.iter().find(|token| **token as usize >= n_vocab) {
        Some(token) => Err(wrong(format!("token {token} is not among the {n_vocab} there are"))),
        None => Ok(tokens),
    }
}

/// Returns how many tokens may be generated. A limit that does not fit into the context is an
/// error: it is not cut silently. A chat without a limit may fill the context.
fn token_limit(
    request: &GenerationRequest,
    chat: bool,
    n_prompt: usize,
    max_model_len: usize,
) -> Result<u32, ErrorBody> {
    let n_left = max_model_len.saturating_sub(n_prompt) as u32;
    let asked = match request.token_limit() {
        Some(0) => return Err(ErrorBody::new(400, "max_tokens is at least 1").about("max_tokens")),
        Some(limit) => limit,
        None if chat => n_left,
        None => DEFAULT_COMPLETION_TOKENS.min(n_left),
    };
    if n_left == 0 || asked > n_left {
        let message = format!(
            "This model's maximum context length is {max_model_len} tokens. However, you \
             requested {} tokens ({n_prompt} in the prompt, {asked} in the answer).",
            n_prompt + asked as usize
        );
        return Err(ErrorBody::new(400, message).about("max_tokens"));
    }
    Ok(asked)
}
