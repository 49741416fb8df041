//! What came in the place of tokens, kept until the first of them.

use crate::openai::unread::has_unread_text;

/// Bytes that are kept: some chunks.
const KEPT_BYTES: usize = 4 << 10;

/// The chunks without a token that came before any token.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// Joined with LF.
    chunks: Vec<u8>,
}

impl Unread {
    /// Keeps a chunk, while there is room.
    pub(crate) fn keep(&mut self, chunk: &[u8]) {
        if self.chunks.len() + chunk.len() < KEPT_BYTES {
            self.chunks.extend_from_slice(chunk);
            self.chunks.push(b'\n');
        } else if self.chunks.is_empty() {
            self.chunks.extend_from_slice(&chunk[..KEPT_BYTES]);
        }
    }

    /// Forgets all: a token came.
    pub(crate) fn clear(&mut self) {
        self.chunks = Vec::new();
    }

    /// Returns the first chunk with text under a name that is not known.
    pub(crate) fn text(&self) -> Option<String> {
        self.chunks().find(|chunk| has_unread_text(chunk)).map(words)
    }

    /// Returns the first chunk, one with such text rather than another.
    pub(crate) fn any(&self) -> Option<String> {
        self.text().or_else(|| self.chunks().next().map(words))
    }

    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.split(|byte| *byte == b'\n').filter(|chunk| !chunk.trim_ascii().is_empty())
    }
}

fn words(chunk: &[u8]) -> String {
    String::from_utf8_lossy(chunk.trim_ascii()).into_owned()
}
