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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;
    use crate::engine::credentials::Access;
    use crate::engine::http::trust;

    /// Answers each call by its path and body, with a status and a body.
    fn client(answer: fn(&str, &Json) -> (u16, Json)) -> Http {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut reader = BufReader::new(socket.try_clone().unwrap());
                let mut lines = Vec::new();
                let head = reader.by_ref().lines().map(Result::unwrap);
                lines.extend(head.take_while(|line| !line.is_empty()));
                let Some(first) = lines.first() else { continue };
                let length = lines.iter().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                });
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                let path = first.split(' ').nth(1).unwrap();
                let (status, told) = answer(path, &serde_json::from_slice(&body).unwrap());
                let told = told.to_string();
                let n = told.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {n}");
                write!(socket, "{head}\r\n\r\n{told}").unwrap();
            }
        });
        let tls = trust::tls(&url, None).unwrap();
        Http::new(&url, Access::default(), &tls).unwrap()
    }

    /// A token for each letter, behind a 1 where the tokens in front are asked for.
    fn letters(text: &Json, has_front: &Json) -> Vec<u32> {
        let front = has_front.as_bool().unwrap().then_some(1);
        front.into_iter().chain(text.as_str().unwrap().chars().map(u32::from)).collect()
    }

    fn templated(body: &Json) -> Json {
        assert_eq!(body["add_generation_prompt"], true);
        format!("<{}>", body["messages"][0]["content"].as_str().unwrap()).into()
    }

    /// vLLM 0.32, entrypoints/serve/tokenize: messages or a prompt.
    fn vllm(path: &str, body: &Json) -> (u16, Json) {
        if path != "/tokenize" || body["model"] != "m" {
            return (404, json!({ "detail": "Not Found" }));
        }
        let tokens = match body.get("messages") {
            Some(_) => letters(&templated(body), &false.into()),
            None => letters(&body["prompt"], &body["add_special_tokens"]),
        };
        (200, json!({ "count": tokens.len(), "max_model_len": 99, "tokens": tokens }))
    }

    /// `SGLang`, `docs/basic_usage/native_api`: a prompt alone, and no other way to a template.
    fn sglang(path: &str, body: &Json) -> (u16, Json) {
        match (path, body.get("prompt")) {
            ("/tokenize", Some(prompt)) => {
                let tokens = letters(prompt, &body["add_special_tokens"]);
                (200, json!({ "tokens": tokens, "count": tokens.len(), "max_model_len": 99 }))
            }
            ("/tokenize", None) => (400, json!({ "object": "error", "message": "prompt" })),
            _ => (404, json!({ "detail": "Not Found" })),
        }
    }

    /// llama-server, tools/server/README: `content`, no tokens of what it does not know, and the
    /// text of messages elsewhere.
    fn llama_server(path: &str, body: &Json) -> (u16, Json) {
        match (path, body.get("content")) {
            ("/tokenize", Some(content)) => {
                assert_eq!(body["parse_special"], true);
                (200, json!({ "tokens": letters(content, &body["add_special"]) }))
            }
            ("/tokenize", None) => (200, json!({ "tokens": [] })),
            ("/apply-template", _) => (200, json!({ "prompt": templated(body) })),
            _ => (404, json!({ "error": { "code": 404 } })),
        }
    }

    #[test]
    fn each_engine_is_asked_in_its_own_words() {
        let messages =
            Value::from(minijinja::value::Serde(json!([{ "role": "user", "content": "ab" }])));
        let chat = [("messages", messages)];
        let of_chat = [60, 97, 98, 62];
        let check = |answer, told: Option<&[u32]>| {
            let http = client(answer);
            let text = |has_front| tokens(&http, "m", &Prompt::Text { text: "ab", has_front });
            assert_eq!(text(true).as_deref(), Some(&[1, 97, 98][..]));
            assert_eq!(text(false).as_deref(), Some(&[97, 98][..]));
            assert_eq!(tokens(&http, "m", &Prompt::Chat(&chat)).as_deref(), told);
            assert_eq!(count(&http, "m", "abc"), Some(3));
        };
        check(vllm, Some(&of_chat));
        check(sglang, None);
        check(llama_server, Some(&of_chat));
        let silent = client(|_, _| (404, json!({})));
        assert_eq!(count(&silent, "m", "abc"), None);
    }
}
