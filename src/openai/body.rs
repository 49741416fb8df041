//! Request and response bodies of the OpenAI-compatible endpoints, as clients write and servers answer them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The body of `POST /v1/completions` and `POST /v1/chat/completions`.
///
/// One type for both: they differ in [`prompt`](Self::prompt) and [`messages`](Self::messages)
/// alone. Fields that this program does not know are ignored, as engines do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GenerationRequest {
    /// Model id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What to continue; completions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptField>,
    /// The conversation so far; chat only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<ChatMessage>>,
    /// The most tokens to generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The newer name of `max_tokens` in chat; wins when both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u32>,
    /// The fewest tokens to generate before an end of sequence counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u32>,
    /// 0 for greedy decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Share of probability that is sampled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Seed of the sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Texts that end the answer and are not part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopField>,
    /// Answer as server-sent events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Settings of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// Generate past the end-of-sequence token; an extension that engines share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_eos: Option<bool>,
    /// Return log probabilities of the generated tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<LogprobsField>,
    /// Answers per prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Functions that the model may call, as its template writes them out; chat only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<minijinja::Value>,
    /// Variables that the chat template is told; an extension that engines share.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chat_template_kwargs: BTreeMap<String, minijinja::Value>,
}

impl GenerationRequest {
    /// Returns the limit of generated tokens, by whichever name it was given.
    pub(crate) fn token_limit(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Whether the answer is to be streamed.
    pub(crate) fn is_stream(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    /// Whether the stream is to end with a chunk of token counts.
    pub(crate) fn wants_usage(&self) -> bool {
        self.stream_options.is_some_and(|options| options.include_usage)
    }

    /// Whether every chunk is to count the tokens so far.
    pub(crate) fn wants_continuous_usage(&self) -> bool {
        self.stream_options.is_some_and(|options| options.continuous_usage_stats)
    }

    /// Whether log probabilities were asked for.
    pub(crate) fn wants_logprobs(&self) -> bool {
        match self.logprobs {
            None | Some(LogprobsField::Flag(false)) => false,
            Some(LogprobsField::Flag(true) | LogprobsField::Top(_)) => true,
        }
    }

    /// Returns all variables that the chat template is told, the tools among them.
    pub(crate) fn template_variables(&self) -> BTreeMap<String, minijinja::Value> {
        let tools = self.tools.clone().map(|tools| ("tools".to_owned(), tools));
        self.chat_template_kwargs.clone().into_iter().chain(tools).collect()
    }

    /// Returns the stop strings.
    pub(crate) fn stop_strings(&self) -> &[String] {
        match &self.stop {
            None => &[],
            Some(StopField::One(stop)) => std::slice::from_ref(stop),
            Some(StopField::Many(stops)) => stops,
        }
    }
}

/// The prompt of a completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum PromptField {
    /// Text.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
    /// A batch of texts; servers here take a batch of one.
    Texts(Vec<String>),
    /// A batch of token ids; servers here take a batch of one.
    TokenLists(Vec<Vec<u32>>),
}

/// One message of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text of the message; absent in an assistant's tool call.
    #[serde(default)]
    pub content: Option<ContentField>,
}

impl ChatMessage {
    /// Returns the message's text, parts joined.
    pub(crate) fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(ContentField::Text(text)) => text.clone(),
            Some(ContentField::Parts(parts)) => {
                parts.iter().filter_map(|part| part.text.as_deref()).collect()
            }
        }
    }
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ContentField {
    /// Text.
    Text(String),
    /// Parts, of which only text is understood here.
    Parts(Vec<ContentPart>),
}

/// One part of a message's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContentPart {
    /// `text`, `image_url` …
    #[serde(rename = "type")]
    pub kind: String,
    /// The text of a part of type `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// One stop string or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StopField {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// `logprobs`: a flag in chat, the number of alternatives in completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum LogprobsField {
    /// Chat.
    Flag(bool),
    /// Completions.
    Top(u32),
}

/// Settings of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamOptions {
    /// End with a chunk that has no choices and the token counts.
    #[serde(default)]
    pub include_usage: bool,
    /// Count tokens in every chunk; an extension that engines share.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continuous_usage_stats: bool,
}

/// Token counts of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UsageBody {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Generated tokens, the end-of-sequence token included.
    pub completion_tokens: u32,
    /// Their sum.
    pub total_tokens: u32,
    /// How the prompt's tokens came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// What the generated tokens were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<CompletionTokensDetails>,
}

impl UsageBody {
    /// Returns the counts of a request whose prompt met `cached` tokens in the prefix cache.
    pub(crate) fn new(prompt: u32, completion: u32, cached: u32) -> Self {
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt + completion,
            prompt_tokens_details: Some(PromptTokensDetails { cached_tokens: cached }),
            completion_tokens_details: None,
        }
    }
}

/// How the prompt's tokens came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PromptTokensDetails {
    /// Tokens found in the prefix cache.
    #[serde(default)]
    pub cached_tokens: u32,
}

/// What the generated tokens were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompletionTokensDetails {
    /// Tokens of reasoning.
    #[serde(default)]
    pub reasoning_tokens: u32,
}

/// A whole answer, or one chunk of it; `C` is the kind of choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Generation<C> {
    /// The request's id, the same in all its chunks.
    pub id: String,
    /// `text_completion`, `chat.completion` or `chat.completion.chunk`.
    pub object: String,
    /// When the answer began. Unit: seconds since 1970.
    pub created: u64,
    /// Model id.
    pub model: String,
    /// Exactly one, or none in a chunk of token counts.
    pub choices: Vec<C>,
    /// Token counts; in a stream only in the last chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageBody>,
}

/// The choice of a completion, whole or chunk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TextChoice {
    /// Always 0 here.
    pub index: u32,
    /// Generated text.
    pub text: String,
    /// Log probabilities, if asked for.
    pub logprobs: Option<TextLogprobs>,
    /// `stop` or `length`, once.
    pub finish_reason: Option<String>,
}

/// Log probabilities of a completion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TextLogprobs {
    /// The tokens' texts.
    pub tokens: Vec<String>,
    /// Their log probabilities.
    pub token_logprobs: Vec<f32>,
}

/// The choice of a chat chunk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChatDeltaChoice {
    /// Always 0 here.
    pub index: u32,
    /// The added text.
    pub delta: ChatDelta,
    /// Log probabilities, if asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// `stop` or `length`, once.
    pub finish_reason: Option<String>,
}

/// What a chat chunk adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChatDelta {
    /// `assistant`, in the first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Text of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Text of the reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
}

/// The choice of a whole chat answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChatChoice {
    /// Always 0 here.
    pub index: u32,
    /// The answer.
    pub message: ChatDelta,
    /// Log probabilities, if asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// `stop` or `length`.
    pub finish_reason: Option<String>,
}

/// Log probabilities of a chat answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChatLogprobs {
    /// One entry per token.
    pub content: Vec<TokenLogprob>,
}

/// The log probability of one token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// Alternatives; always empty here.
    pub top_logprobs: Vec<TokenLogprob>,
}

/// The body of an error response, or of an error event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorDetail {
    /// A sentence for people.
    pub message: String,
    /// A class for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The field that is to blame.
    pub param: Option<String>,
    /// The HTTP status.
    pub code: Option<u16>,
}

impl ErrorBody {
    /// Returns an error of that status, its class chosen as engines do.
    pub(crate) fn new(code: u16, message: impl Into<String>) -> Self {
        let kind = match code {
            400 | 413 | 422 => "BadRequestError",
            401 => "AuthenticationError",
            404 => "NotFoundError",
            429 => "RateLimitError",
            503 => "ServiceUnavailableError",
            _ => "InternalServerError",
        };
        let error = ErrorDetail {
            message: message.into(),
            kind: kind.into(),
            param: None,
            code: Some(code),
        };
        Self { error }
    }

    /// Returns the same error with the field that is to blame.
    #[must_use]
    pub(crate) fn about(mut self, param: &str) -> Self {
        self.error.param = Some(param.to_owned());
        self
    }
}

/// The answer of `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelList {
    /// `list`.
    pub object: String,
    /// Served models.
    pub data: Vec<ModelCard>,
}

/// One served model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelCard {
    /// Model id.
    pub id: String,
    /// `model`.
    pub object: String,
    /// The owner of the model.
    pub owned_by: String,
    /// Longest context, where the server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_model_len: Option<u32>,
}

impl ModelList {
    /// Returns the list of one model.
    pub(crate) fn of(id: &str, owned_by: &str, max_model_len: Option<u32>) -> Self {
        let card = ModelCard {
            id: id.to_owned(),
            object: "model".to_owned(),
            owned_by: owned_by.to_owned(),
            max_model_len,
        };
        Self { object: "list".to_owned(), data: vec![card] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> GenerationRequest {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let request = parse(r#"{"prompt":"Hi","guided_regex":".*","max_tokens":3}"#);
        assert_eq!(request.prompt, Some(PromptField::Text("Hi".into())));
        assert_eq!(request.token_limit(), Some(3));
    }

    #[test]
    fn a_prompt_is_text_or_token_ids_or_a_batch() {
        let check = |json: &str, expected: PromptField| {
            assert_eq!(parse(&format!(r#"{{"prompt":{json}}}"#)).prompt, Some(expected));
        };
        check(r#""a""#, PromptField::Text("a".into()));
        check("[1,2]", PromptField::Tokens(vec![1, 2]));
        check(r#"["a"]"#, PromptField::Texts(vec!["a".into()]));
        check("[[1],[2]]", PromptField::TokenLists(vec![vec![1], vec![2]]));
    }

    #[test]
    fn the_newer_name_of_the_token_limit_wins() {
        assert_eq!(parse(r#"{"max_tokens":1,"max_completion_tokens":2}"#).token_limit(), Some(2));
    }

    #[test]
    fn a_message_is_text_or_parts_or_nothing() {
        let check = |json: &str, expected: &str| {
            let message: ChatMessage = serde_json::from_str(json).unwrap();
            assert_eq!(message.text(), expected);
        };
        check(r#"{"role":"user","content":"a"}"#, "a");
        check(
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]}"#,
            "ab",
        );
        check(r#"{"role":"assistant","content":null}"#, "");
    }

    #[test]
    fn logprobs_are_a_flag_or_a_count() {
        assert!(parse(r#"{"logprobs":true}"#).wants_logprobs());
        assert!(parse(r#"{"logprobs":0}"#).wants_logprobs());
        assert!(!parse(r#"{"logprobs":false}"#).wants_logprobs());
        assert!(!parse(r#"{"logprobs":null}"#).wants_logprobs());
    }

    #[test]
    fn one_stop_string_reads_like_a_list_of_one() {
        assert_eq!(parse(r#"{"stop":"."}"#).stop_strings(), ["."]);
        assert_eq!(parse(r#"{"stop":[".","!"]}"#).stop_strings(), [".", "!"]);
        assert!(parse("{}").stop_strings().is_empty());
    }

    #[test]
    fn what_was_not_set_is_not_sent() {
        let request = GenerationRequest {
            prompt: Some(PromptField::Tokens(vec![7])),
            stream: Some(true),
            stream_options: Some(StreamOptions { include_usage: true, ..StreamOptions::default() }),
            ..GenerationRequest::default()
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"prompt":[7],"stream":true,"stream_options":{"include_usage":true}}"#
        );
    }

    #[test]
    fn an_error_names_class_field_and_status() {
        assert_eq!(
            serde_json::to_string(&ErrorBody::new(400, "too long").about("prompt")).unwrap(),
            r#"{"error":{"message":"too long","type":"BadRequestError","param":"prompt","code":400}}"#
        );
    }
}
