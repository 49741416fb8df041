//! Response bodies from a batcher's events: the chunks of a stream, or one whole answer.

use tokenizers::Tokenizer;

use super::batcher::{Event, Finish};
use super::sampler::Sampled;
use crate::openai::body::{
    ChatChoice, ChatDelta, ChatDeltaChoice, ChatLogprobs, Generation, TextChoice, TextLogprobs,
    TokenLogprob, UsageBody,
};

/// What all bodies of one answer share.
#[derive(Clone, Debug)]
pub(crate) struct AnswerShape {
    /// Whether the request is a chat.
    pub chat: bool,
    /// The request's id.
    pub id: String,
    /// Unit: seconds since 1970.
    pub created: u64,
    /// Model id.
    pub model: String,
    /// Tokens of the prompt.
    pub n_prompt: u32,
    /// Whether the request asks for log probabilities.
    pub wants_logprobs: bool,
    /// Whether the stream ends with token counts.
    pub wants_usage: bool,
}

impl AnswerShape {
    fn generation<C>(
        &self,
        object: &str,
        choices: Vec<C>,
        usage: Option<UsageBody>,
    ) -> Generation<C> {
        Generation {
            id: self.id.clone(),
            object: object.to_owned(),
            created: self.created,
            model: self.model.clone(),
            choices,
            usage,
        }
    }

    fn chunk_object(&self) -> &'static str {
        if self.chat { "chat.completion.chunk" } else { "text_completion" }
    }

    fn logprobs(&self, sampled: &[Sampled], tokenizer: &Tokenizer) -> Option<Vec<TokenLogprob>> {
        self.wants_logprobs.then(|| {
            sampled
                .iter()
                .map(|sampled| TokenLogprob {
                    token: tokenizer.decode(&[sampled.token], false).unwrap_or_default(),
                    logprob: sampled.logprob,
                    top_logprobs: Vec::new(),
                })
                .collect()
        })
    }
}

/// An answer that is being streamed.
#[derive(Clone, Debug)]
pub(crate) struct ChunkWriter {
    shape: AnswerShape,
    n_generated: u32,
    /// Tokens whose text is not complete yet.
    held: Vec<Sampled>,
}

impl ChunkWriter {
    /// Returns a writer at the beginning of an answer.
    pub(crate) fn new(shape: AnswerShape) -> Self {
        Self { shape, n_generated: 0, held: Vec::new() }
    }

    /// Appends the stream's events for one token. Returns whether the token was the last.
    ///
    /// A token that adds no complete text makes no chunk, as in vLLM: a chunk is not a token.
    pub(crate) fn write(&mut self, event: Event, tokenizer: &Tokenizer, out: &mut Vec<u8>) -> bool {
        let Event::Token { text, sampled, finish } = event;
        if self.n_generated == 0 && self.shape.chat {
            let delta = ChatDelta {
                role: Some("assistant".to_owned()),
                content: Some(String::new()),
                reasoning_content: None,
            };
            self.write_choice(ChatDeltaChoice { delta, ..ChatDeltaChoice::default() }, out);
        }
        self.n_generated += 1;
        self.held.push(sampled);
        if text.is_empty() && finish.is_none() {
            return false;
        }
        let logprobs = self.shape.logprobs(&std::mem::take(&mut self.held), tokenizer);
        let finish_reason = finish.map(|finish| finish.name().to_owned());
        if self.shape.chat {
            let delta = ChatDelta { content: Some(text), ..ChatDelta::default() };
            let logprobs = logprobs.map(|content| ChatLogprobs { content });
            self.write_choice(ChatDeltaChoice { index: 0, delta, logprobs, finish_reason }, out);
        } else {
            let logprobs = logprobs.map(text_logprobs);
            self.write_choice(TextChoice { index: 0, text, logprobs, finish_reason }, out);
        }
        if finish.is_some() {
            if self.shape.wants_usage {
                let usage = UsageBody::new(self.shape.n_prompt, self.n_generated, 0);
                let object = self.shape.chunk_object();
                write_event(
                    &self.shape.generation(object, Vec::<TextChoice>::new(), Some(usage)),
                    out,
                );
            }
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
        finish.is_some()
    }

    fn write_choice<C: serde::Serialize>(&self, choice: C, out: &mut Vec<u8>) {
        write_event(&self.shape.generation(self.shape.chunk_object(), vec![choice], None), out);
    }
}

/// An answer that is collected and then sent whole.
#[derive(Clone, Debug)]
pub(crate) struct WholeWriter {
    shape: AnswerShape,
    text: String,
    sampled: Vec<Sampled>,
    finish: Option<Finish>,
}

impl WholeWriter {
    /// Returns a writer at the beginning of an answer.
    pub(crate) fn new(shape: AnswerShape) -> Self {
        Self { shape, text: String::new(), sampled: Vec::new(), finish: None }
    }

    /// Takes one token. Returns whether it was the last.
    pub(crate) fn take(&mut self, event: Event) -> bool {
        let Event::Token { text, sampled, finish } = event;
        self.text.push_str(&text);
        self.sampled.push(sampled);
        self.finish = finish;
        finish.is_some()
    }

    /// Returns the body.
    pub(crate) fn into_body(self, tokenizer: &Tokenizer) -> Vec<u8> {
        let usage = UsageBody::new(self.shape.n_prompt, self.sampled.len() as u32, 0);
        let logprobs = self.shape.logprobs(&self.sampled, tokenizer);
        let finish_reason = self.finish.map(|finish| finish.name().to_owned());
        if self.shape.chat {
            let message = ChatDelta {
                role: Some("assistant".to_owned()),
                content: Some(self.text),
                reasoning_content: None,
            };
            let logprobs = logprobs.map(|content| ChatLogprobs { content });
            let choice = ChatChoice { index: 0, message, logprobs, finish_reason };
            json(&self.shape.generation("chat.completion", vec![choice], Some(usage)))
        } else {
            let logprobs = logprobs.map(text_logprobs);
            let choice = TextChoice { index: 0, text: self.text, logprobs, finish_reason };
            json(&self.shape.generation("text_completion", vec![choice], Some(usage)))
        }
    }
}

fn text_logprobs(tokens: Vec<TokenLogprob>) -> TextLogprobs {
    let token_logprobs = tokens.iter().map(|token| token.logprob).collect();
    TextLogprobs { tokens: tokens.into_iter().map(|token| token.token).collect(), token_logprobs }
}

fn write_event(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend(json(value));
    out.extend_from_slice(b"\n\n");
}

/// Serialises a value whose serialisation cannot fail.
pub(crate) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("bodies have string keys")
}
