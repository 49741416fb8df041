//! What an engine's own tokenizer makes of a prompt: `/tokenize` of vLLM, `SGLang` and llama-server.

use std::collections::BTreeMap;
use std::time::Duration;

use minijinja::Value;
use serde_json::Value as Json;

use crate::engine::http::{Answer, Http};

/// Time that one such call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// A prompt whose tokens are asked for.
#[derive(Clone, Debug)]
pub(crate) enum Prompt<'a> {
    /// A text, cut alone or as a completion cuts it, with the tokens that stand in front of all.
    Text {
        /// The text.
        text: &'a str,
        /// Whether the tokens in front are asked for.
        has_front: bool,
    },
    /// A chat, by the fields of its request: messages, tools, variables of the template.
    Chat(&'a [(&'static str, Value)]),
}

/// Returns the tokens of a prompt; `None` where the engine does not tell, or tells none.
pub(super) fn tokens(http: &Http, model: &str, prompt: &Prompt<'_>) -> Option<Vec<u32>> {
    match prompt {
        Prompt::Text { text, has_front } => {
            told(cut(http, model, text, *has_front)?.get("tokens")?)
        }
        Prompt::Chat(fields) => {
            let mut body = BTreeMap::from([
                ("model", Value::from(model)),
                ("add_generation_prompt", Value::from(true)),
            ]);
            body.extend(fields.iter().cloned());
            let direct = post(http, "/tokenize", &body);
            direct.and_then(|answer| told(answer.get("tokens")?)).or_else(|| {
                // llama-server's way: the text first.
                let answer = post(http, "/apply-template", &body)?;
                let text = answer.get("prompt")?.as_str()?;
                tokens(http, model, &Prompt::Text { text, has_front: false })
            })
        }
    }
}

/// Returns how many tokens a text alone has; `None` where the engine does not tell. Some count and
/// list nothing.
pub(super) fn count(http: &Http, model: &str, text: &str) -> Option<u32> {
    let answer = cut(http, model, text, false)?;
    let counted = answer.get("count").and_then(Json::as_u64).filter(|&n| n > 0);
    let n = counted.or_else(|| Some(told(answer.get("tokens")?)?.len() as u64));
    n.and_then(|n| u32::try_from(n).ok())
}

fn cut(http: &Http, model: &str, text: &str, has_front: bool) -> Option<Json> {
    // vLLM and SGLang read `prompt`, llama-server reads `content`; each ignores the rest.
    let body = BTreeMap::from([
        ("model", Value::from(model)),
        ("prompt", Value::from(text)),
        ("add_special_tokens", Value::from(has_front)),
        ("content", Value::from(text)),
        ("add_special", Value::from(has_front)),
        ("parse_special", Value::from(true)),
    ]);
    post(http, "/tokenize", &body)
}

fn post(http: &Http, path: &str, body: &BTreeMap<&str, Value>) -> Option<Json> {
    let body = serde_json::to_string(body).ok()?;
    let answer = http.post_plain(path, body, CALL_LIMIT).ok().filter(Answer::is_success)?;
    serde_json::from_str(&answer.body).ok()
}

/// Reads a list of ids; an empty one is llama-server's answer to what it does not know.
fn told(list: &Json) -> Option<Vec<u32>> {
    let ids = list.as_array().filter(|list| !list.is_empty())?.iter();
    ids.map(|id| u32::try_from(id.as_u64()?).ok()).collect()
}
