//! Server-sent events of one answer, encoded without a serialiser on the hot path.

use std::io::Write;

use serde::Serialize;

use super::truth::TruthRow;
use crate::clock::Moment;
use crate::openai::body::{ChatDelta, ChatDeltaChoice, Generation, TextChoice, UsageBody};

/// Placeholder for the text in a serialised chunk. The chunk is cut at it.
const MARK: &str = "\u{1}text\u{1}";
const MARK_JSON: &[u8] = br#""\u0001text\u0001""#;

/// What all chunks of one answer share.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Whether the request is a chat.
    pub chat: bool,
    /// The request's id.
    pub id: String,
    /// Unit: seconds since 1970.
    pub created: u64,
    /// Model id.
    pub model: String,
}

impl Identity {
    fn generation<C>(&self, choices: Vec<C>, usage: Option<UsageBody>) -> Generation<C> {
        let object = if self.chat { "chat.completion.chunk" } else { "text_completion" };
        Generation {
            id: self.id.clone(),
            object: object.to_owned(),
            created: self.created,
            model: self.model.clone(),
            choices,
            usage,
        }
    }

    /// Returns the JSON of a chunk with the role alone.
    pub(crate) fn role_chunk(&self) -> Vec<u8> {
        let delta = ChatDelta {
            role: Some("assistant".to_owned()),
            content: Some(String::new()),
            reasoning_content: None,
        };
        json(&self.generation(vec![ChatDeltaChoice { delta, ..ChatDeltaChoice::default() }], None))
    }

    /// Returns the JSON of a chunk with token counts and no choice.
    pub(crate) fn usage_chunk(&self, usage: UsageBody) -> Vec<u8> {
        json(&self.generation(Vec::<TextChoice>::new(), Some(usage)))
    }

    fn text_chunk(&self, kind: TextKind, finish_reason: Option<&str>) -> Vec<u8> {
        let finish_reason = finish_reason.map(str::to_owned);
        let text = MARK.to_owned();
        if !self.chat {
            let choice = TextChoice { text, finish_reason, ..TextChoice::default() };
            return json(&self.generation(vec![choice], None));
        }
        let mut delta = ChatDelta::default();
        match kind {
            TextKind::Answer => delta.content = Some(text),
            TextKind::Reasoning => delta.reasoning_content = Some(text),
        }
        let choice = ChatDeltaChoice { delta, finish_reason, ..ChatDeltaChoice::default() };
        json(&self.generation(vec![choice], None))
    }
}

/// Whether tokens belong to the answer or to the reasoning before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// Tokens of the answer.
    Answer,
    /// Tokens of the reasoning. Only chats have them.
    Reasoning,
}

/// A serialised chunk, cut at the place of its text.
#[derive(Clone, Debug)]
pub(crate) struct TextTemplate {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl TextTemplate {
    /// Makes the template by serialising a typed chunk, so the two cannot differ.
    pub(crate) fn new(identity: &Identity, kind: TextKind, finish_reason: Option<&str>) -> Self {
        let json = identity.text_chunk(kind, finish_reason);
        let cut = memchr::memmem::rfind(&json, MARK_JSON)
            .expect("the chunk was serialised with the mark as its text");
        Self { before: json[..cut].to_vec(), after: json[cut + MARK_JSON.len()..].to_vec() }
    }

    /// Appends the chunk with the tokens as its text.
    pub(crate) fn write<'a>(&self, tokens: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        out.push(b'"');
        for token in tokens {
            write_escaped(token, out);
        }
        out.push(b'"');
        out.extend_from_slice(&self.after);
    }
}

/// Adds token ids to the choice of the chunk just written. The id of a token is its position.
pub(crate) fn write_token_ids(ids: std::ops::Range<u32>, out: &mut Vec<u8>) {
    const END: &[u8] = b"}]}";
    debug_assert!(out.ends_with(END));
    out.truncate(out.len() - END.len());
    let ids: Vec<u32> = ids.collect();
    out.extend_from_slice(b",\"token_ids\":");
    out.extend_from_slice(&json(&ids));
    out.extend_from_slice(END);
}

/// Adds token counts to the chunk just written.
pub(crate) fn write_usage(usage: &UsageBody, out: &mut Vec<u8>) {
    debug_assert_eq!(out.last(), Some(&b'}'));
    out.pop();
    out.extend_from_slice(b",\"usage\":");
    out.extend_from_slice(&json(usage));
    out.push(b'}');
}

/// Adds what the engine knows of its first token to the chunk just written.
pub(crate) fn write_first_token(truth: &TruthRow, out: &mut Vec<u8>) {
    debug_assert_eq!(out.last(), Some(&b'}'));
    out.pop();
    let TruthRow { arrived_ns, first_write_ns, first_written_ns, .. } = truth;
    write!(
        out,
        ",\"first_token_monotonic_ns\":[{arrived_ns},{first_write_ns},{first_written_ns}]}}"
    )
    .expect("writing to a vector cannot fail");
}

fn write_escaped(token: &str, out: &mut Vec<u8>) {
    let is_plain = token.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if is_plain {
        out.extend_from_slice(token.as_bytes());
    } else {
        let quoted = json(&token);
        out.extend_from_slice(&quoted[1..quoted.len() - 1]);
    }
}

/// Serialises a value whose serialisation cannot fail.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("bodies have string keys and finite numbers")
}

/// How events are framed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    /// Whether lines end with CR LF.
    pub crlf: bool,
}

impl Framing {
    /// Appends one event as one chunk of the body; `payload` appends its JSON. `stamp` is the
    /// moment just before the write, where events are to hold it.
    pub(crate) fn write_event(
        self,
        stamp: Option<Moment>,
        out: &mut Vec<u8>,
        payload: impl FnOnce(&mut Vec<u8>),
    ) {
        // The size of the chunk is known only afterwards, so eight digits are reserved. Leading
        // zeros are allowed (RFC 9112, section 7.1).
        let size_at = out.len();
        out.extend_from_slice(b"00000000\r\ndata: ");
        let start = size_at + 10;
        payload(out);
        if let Some(stamp) = stamp
            && out.last() == Some(&b'}')
        {
            out.pop();
            write!(
                out,
                ",\"sent_realtime_ns\":{},\"sent_monotonic_ns\":{}}}",
                stamp.realtime.0, stamp.monotonic.0
            )
            .expect("writing to a vector cannot fail");
        }
        out.extend_from_slice(if self.crlf { b"\r\n\r\n" } else { b"\n\n" });
        let length = out.len() - start;
        write_hex(length, &mut out[size_at..size_at + 8]);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends a comment.
    pub(crate) fn write_comment(self, comment: &str, out: &mut Vec<u8>) {
        let end = if self.crlf { "\r\n\r\n" } else { "\n\n" };
        write_chunk(format!(": {comment}{end}").as_bytes(), out);
    }
}

/// Appends bytes as one chunk of the body.
pub(crate) fn write_chunk(bytes: &[u8], out: &mut Vec<u8>) {
    write!(out, "{:x}\r\n", bytes.len()).expect("writing to a vector cannot fail");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn write_hex(mut value: usize, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    fn identity(chat: bool) -> Identity {
        Identity { chat, id: "cmpl-1".into(), created: 5, model: "sim".into() }
    }

    fn event(template: &TextTemplate, tokens: &[&str], stamp: Option<Moment>) -> String {
        let mut out = Vec::new();
        Framing::default().write_event(stamp, &mut out, |out| {
            template.write(tokens.iter().copied(), out);
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_templated_event_is_the_typed_chunk() {
        let template = TextTemplate::new(&identity(false), TextKind::Answer, Some("stop"));
        let event = event(&template, &[" a", "\n\"b\"\\"], None);
        let json = event.lines().nth(1).unwrap().strip_prefix("data: ").unwrap();
        let chunk: Generation<TextChoice> = serde_json::from_str(json).unwrap();
        assert_eq!(chunk.choices[0].text, " a\n\"b\"\\");
        assert_eq!(chunk.choices[0].finish_reason.as_deref(), Some("stop"));
        assert_eq!(chunk, identity(false).generation(chunk.choices.clone(), None));
    }

    #[test]
    fn reasoning_has_its_own_field() {
        let template = TextTemplate::new(&identity(true), TextKind::Reasoning, None);
        assert!(event(&template, &["x"], None).contains(r#""delta":{"reasoning_content":"x"}"#));
    }

    #[test]
    fn a_chunk_is_as_long_as_it_says() {
        let template = TextTemplate::new(&identity(true), TextKind::Answer, None);
        let event = event(&template, &["x"], None);
        let (size, rest) = event.split_once("\r\n").unwrap();
        assert_eq!(usize::from_str_radix(size, 16).unwrap(), rest.len() - 2);
        assert!(rest.ends_with("\n\n\r\n"));
    }

    #[test]
    fn a_stamp_is_a_field_of_the_chunk() {
        let template = TextTemplate::new(&identity(true), TextKind::Answer, None);
        let stamp = Moment { realtime: Nanos(7), monotonic: Nanos(3) };
        let event = event(&template, &["x"], Some(stamp));
        assert!(event.contains(r#","sent_realtime_ns":7,"sent_monotonic_ns":3}"#), "{event}");
    }

    #[test]
    fn a_model_that_is_named_like_the_mark_does_no_harm() {
        let identity = Identity { model: MARK.into(), ..identity(false) };
        let template = TextTemplate::new(&identity, TextKind::Answer, None);
        assert!(event(&template, &["x"], None).contains(r#""text":"x""#));
    }
}
