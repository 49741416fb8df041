//! The JSON body of a request: everything but the prompt is written once per cell.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::chat_template::Variables;
use crate::plan::cell::{Api, OutputLength, RequestPlan};
use crate::plan::launch::Launch;
use crate::workload::request::{Message, Prompt};

/// The field of a chat, and the column of a row, that defines functions which the model may call.
pub(crate) const TOOLS: &str = "tools";

/// A body with a gap for the prompt and for the output length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BodyTemplate {
    /// `{"model":"…",`
    head: Vec<u8>,
    /// `,"temperature":0.0,…}`
    tail: Vec<u8>,
    /// The field of the output length; none where the engine is sent none.
    limit_field: Option<&'static str>,
    /// `max_completion_tokens` of the scenario's own fields.
    other_limit: Option<u32>,
    /// Whether tools of a row's own are sent: not where all rows have the same, nor where the engine
    /// refuses them.
    sends_tools: bool,
}

impl BodyTemplate {
    /// Writes what all bodies of a cell have in common.
    ///
    /// Sampling parameters are always sent, so that no engine's default decides; those the
    /// engine refuses (`quirks.omit`) are left out.
    pub(super) fn new(request: &RequestPlan, launch: &Launch, variables: &Variables) -> Self {
        let mut fields = common_fields(request, launch.quirks.continuous_usage);
        fields.insert(0, ("model".to_owned(), json!(launch.model)));
        for (name, value) in &request.extra_body {
            match fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = value.clone(),
                None => fields.push((name.clone(), value.clone())),
            }
        }
        fields.retain(|(name, _)| !launch.quirks.omit.contains(name));
        let (model, rest): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|(name, _)| name == "model");
        let mut head = b"{".to_vec();
        for (name, value) in &model {
            write_field(&mut head, name, value);
            head.push(b',');
        }
        let is_sent = |name: &str| {
            !request.extra_body.contains_key(name)
                && !launch.quirks.omit.iter().any(|omitted| omitted == name)
        };
        let sends_tools = is_sent(TOOLS) && !variables.contains_key(TOOLS);
        let mut tail = Vec::new();
        for (name, value) in &rest {
            tail.push(b',');
            write_field(&mut tail, name, value);
        }
        if request.api == Api::Chat {
            for (name, value) in template_fields(variables).iter().filter(|(name, _)| is_sent(name))
            {
                tail.push(b',');
                write_field(&mut tail, name, value);
            }
        }
        tail.push(b'}');
        let quirks = &launch.quirks;
        let limit_field =
            if quirks.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        let limit_field =
            (!quirks.omit.iter().any(|name| name == limit_field)).then_some(limit_field);
        let other_limit = rest
            .iter()
            .find(|(name, _)| name == "max_completion_tokens")
            .and_then(|(_, value)| u32::try_from(value.as_u64()?).ok());
        Self { head, tail, limit_field, other_limit, sends_tools }
    }

    /// Writes one body.
    ///
    /// `asked` is the prompt in the form its API takes: [`asked`].
    pub(super) fn body(&self, asked: &Asked, max_tokens: Option<u32>) -> Bytes {
        let mut body = Vec::with_capacity(self.head.len() + self.tail.len() + asked.size() + 64);
        body.extend_from_slice(&self.head);
        match asked {
            Asked::Messages(messages, tools) => {
                write_field(&mut body, "messages", messages);
                if let Some(tools) = tools.as_ref().filter(|_| self.sends_tools) {
                    body.push(b',');
                    write_field(&mut body, TOOLS, tools);
                }
            }
            Asked::Text(text) => write_field(&mut body, "prompt", text),
            Asked::Tokens(tokens) => write_field(&mut body, "prompt", tokens),
        }
        if let (Some(max_tokens), Some(field)) = (max_tokens, self.limit_field) {
            body.push(b',');
            write_field(&mut body, field, &max_tokens);
        }
        body.extend_from_slice(&self.tail);
        body.into()
    }

    /// Returns the fields that all bodies share: those but the prompt and its limit.
    pub(super) fn shared_fields(&self) -> BTreeMap<String, Value> {
        let body = self.body(&Asked::Text(String::new()), None);
        let mut fields: BTreeMap<String, Value> =
            serde_json::from_slice(&body).expect("a body is a JSON object");
        fields.remove("prompt");
        fields
    }

    /// Returns the limit that a body names, where `max_tokens` is wanted.
    ///
    /// Where the engine is not sent that field, one that the scenario adds itself counts.
    pub(super) fn limit(&self, max_tokens: Option<u32>) -> Option<u32> {
        if self.limit_field.is_some() { max_tokens } else { self.other_limit }
    }
}

/// Returns the fields of a chat by which an engine tells its template variables: `tools` is the
/// API's own, all others are in a field that vLLM, `SGLang` and llama-server share.
pub(crate) fn template_fields(variables: &Variables) -> Vec<(&'static str, minijinja::Value)> {
    let (tools, others): (Variables, Variables) =
        variables.clone().into_iter().partition(|(name, _)| name == TOOLS);
    let tools = tools.into_values().map(|tools| (TOOLS, tools));
    let others = (!others.is_empty())
        .then(|| ("chat_template_kwargs", minijinja::Value::from_pairs(others)));
    tools.chain(others).collect()
}

/// A prompt in the form that an endpoint takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// For chat, with the functions that the row's own `tools` define.
    Messages(Vec<Message>, Option<minijinja::Value>),
    /// For completions.
    Text(String),
    /// For completions, by token ids.
    Tokens(Vec<u32>),
}

impl Asked {
    fn size(&self) -> usize {
        match self {
            Self::Messages(messages, _) => {
                messages.iter().map(|message| message.text().len() + 40).sum()
            }
            Self::Text(text) => text.len(),
            Self::Tokens(tokens) => tokens.len() * 6,
        }
    }

    /// Feeds what identifies the prompt to a hash.
    pub(super) fn hash_into(&self, hasher: &mut sha2::Sha256) {
        use sha2::Digest as _;
        let json = match self {
            Self::Messages(messages, None) => serde_json::to_vec(messages),
            Self::Messages(messages, Some(tools)) => serde_json::to_vec(&(messages, tools)),
            Self::Text(text) => serde_json::to_vec(text),
            Self::Tokens(tokens) => serde_json::to_vec(tokens),
        };
        hasher.update(json.expect("texts and numbers are JSON"));
        hasher.update(b"\n");
    }
}

/// Puts a turn into the form its endpoint takes.
///
/// `prefix` (worked examples) goes in front of a prompt of one text, `system` in front of all; `tools`
/// are the row's own.
///
/// # Errors
/// One sentence, when the endpoint cannot take this kind of prompt.
pub(super) fn asked(
    api: Api,
    system: Option<&str>,
    prefix: &str,
    turn: &Prompt,
    tools: Option<&minijinja::Value>,
) -> Result<Asked, &'static str> {
    match (api, turn) {
        (Api::Completions, _) if tools.is_some() => Err(
            "its `tools` go to the chat endpoint, or through the model's chat template; set api \
                 = \"chat\", or `chat-template` on the data set",
        ),
        (Api::Chat, Prompt::Tokens(_)) => {
            Err("token ids go to the completions endpoint alone; set api = \"completions\"")
        }
        (_, Prompt::OfLength(_)) => Err("a prompt of a length alone has to be made first"),
        (Api::Chat, turn) => {
            let mut messages = Vec::new();
            let brings_system = matches!(turn, Prompt::Messages(own)
                if own.first().is_some_and(|first| first.role == "system"));
            if let Some(system) = system.filter(|_| !brings_system) {
                messages.push(Message::new("system", system));
            }
            match turn {
                Prompt::Text(text) => {
                    messages.push(Message::new("user", format!("{prefix}{text}")));
                }
                Prompt::Messages(own) => messages.extend(own.iter().cloned()),
                Prompt::Tokens(_) | Prompt::OfLength(_) => {}
            }
            Ok(Asked::Messages(messages, tools.cloned()))
        }
        (Api::Completions, Prompt::Text(text)) => Ok(Asked::Text(match system {
            Some(system) => format!("{system}\n\n{prefix}{text}"),
            None => format!("{prefix}{text}"),
        })),
        (Api::Completions, Prompt::Tokens(tokens)) => Ok(Asked::Tokens(tokens.clone())),
        // What is set before a question stands in front of it, as `system` does.
        (Api::Completions, Prompt::Messages(own)) if asks_alone(own) => {
            let brings_system = own.iter().any(|message| message.role != "user");
            let system = system.filter(|_| !brings_system);
            let texts = own.iter().map(|message| match message.role.as_str() {
                "user" => format!("{prefix}{}", message.text()),
                _ => message.text().to_owned(),
            });
            let texts: Vec<String> = system.map(str::to_owned).into_iter().chain(texts).collect();
            Ok(Asked::Text(texts.join("\n\n")))
        }
        (Api::Completions, Prompt::Messages(_)) => {
            Err("messages go to the chat endpoint alone; set api = \"chat\"")
        }
    }
}

/// Whether messages are one of a user behind what is set before it.
fn asks_alone(messages: &[Message]) -> bool {
    let (Some(last), sets) = (messages.last(), &messages[..messages.len().saturating_sub(1)])
    else {
        return false;
    };
    let is_set = |message: &Message| matches!(message.role.as_str(), "system" | "developer");
    last.role == "user" && sets.iter().all(is_set)
}

fn common_fields(request: &RequestPlan, continuous_usage: bool) -> Vec<(String, Value)> {
    let sampling = &request.sampling;
    let mut fields =
        vec![("temperature", json!(sampling.temperature)), ("top_p", json!(sampling.top_p))];
    if let Some(seed) = sampling.seed {
        fields.push(("seed", json!(seed)));
    }
    if !sampling.stop.is_empty() {
        fields.push(("stop", json!(sampling.stop)));
    }
    if !matches!(request.output, OutputLength::Natural { .. }) {
        fields.push(("ignore_eos", json!(true)));
    }
    if request.logprobs {
        fields.push(match request.api {
            Api::Chat => ("logprobs", json!(true)),
            Api::Completions => ("logprobs", json!(1)),
        });
    }
    fields.push(("stream", json!(request.stream)));
    if request.stream {
        fields.push((
            "stream_options",
            if continuous_usage {
                json!({ "include_usage": true, "continuous_usage_stats": true })
            } else {
                json!({ "include_usage": true })
            },
        ));
    }
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn write_field(body: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(&mut *body, name).expect("a text is JSON");
    body.push(b':');
    serde_json::to_writer(body, value).expect("texts and finite numbers are JSON");
}
