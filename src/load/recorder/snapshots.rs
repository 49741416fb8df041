//! Frames of a stream that each hold the whole text so far.

use std::borrow::Cow;

use crate::openai::chunk::Chunk;

/// What the `message`s of a stream hold: further parts, as some servers call them, or each the whole
/// text so far, as gateways over APIs with such frames send them.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The ends of the text in the frames that each began with the one before.
    ends: Vec<usize>,
    /// Whether a frame did not begin with all the text so far.
    are_parts: bool,
}

/// What a frame was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A part of the text.
    Part,
    /// All the text so far; only what is new was left in it.
    Snapshot,
    /// A part, after which those before it were parts as well.
    Refuting,
}

impl Snapshots {
    /// Takes the text of a frame; leaves in it what is new to the text so far.
    ///
    /// A part may begin with all the text so far as well: `2` and then `22`. The next frame tells, and
    /// the text so far is put right then. One that only repeats a single frame is another equal
    /// token, unless the answer ends with it.
    pub(super) fn take(
        &mut self,
        so_far: &mut String,
        frame: &mut Cow<'_, str>,
        is_last: bool,
    ) -> Frame {
        if frame.is_empty() || so_far.is_empty() {
            return Frame::Part;
        }
        let rest = frame.strip_prefix(so_far.as_str());
        let repeats = is_last || !self.ends.is_empty();
        let is_snapshot = rest.is_some_and(|rest| repeats || !rest.is_empty());
        if is_snapshot && (!self.are_parts || (is_last && frame.len() == so_far.len())) {
            if self.ends.is_empty() {
                self.ends.push(so_far.len());
            }
            self.ends.push(frame.len());
            *frame = match std::mem::take(frame) {
                Cow::Borrowed(text) => Cow::Borrowed(&text[so_far.len()..]),
                Cow::Owned(mut text) => Cow::Owned(text.split_off(so_far.len())),
            };
            return Frame::Snapshot;
        }
        let is_new = !std::mem::replace(&mut self.are_parts, true) && !self.ends.is_empty();
        if is_new {
            *so_far = self.ends.drain(..).map(|end| &so_far[..end]).collect();
        }
        if is_new { Frame::Refuting } else { Frame::Part }
    }

    /// Whether further frames are parts without a look at the text so far.
    pub(super) fn are_parts(&self) -> bool {
        self.are_parts
    }
}

/// Takes away what a snapshot says of its tokens: of which of them is not known.
pub(super) fn without_tokens(chunk: &mut Chunk<'_>) {
    chunk.has_bad_logprobs |= !chunk.logprobs.is_empty();
    (chunk.logprobs, chunk.n_tokens) = Default::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text that frames add up to, and what the last of them was.
    fn read(frames: &[&str]) -> (String, Frame) {
        let (mut snapshots, mut text) = (Snapshots::default(), String::new());
        let mut last = Frame::Part;
        for (i, frame) in frames.iter().enumerate() {
            let mut new = Cow::Borrowed(*frame);
            last = snapshots.take(&mut text, &mut new, i + 1 == frames.len());
            text.push_str(&new);
        }
        (text, last)
    }

    #[test]
    fn frames_that_grow_are_read_once_and_parts_are_joined() {
        let check = |frames: &[&str], text: &str, last: Frame| {
            assert_eq!(read(frames), (text.to_owned(), last), "{frames:?}");
        };
        check(&["2", "2+", "2+2", "2+2"], "2+2", Frame::Snapshot);
        check(&["A", "A"], "A", Frame::Snapshot);
        check(&["2", "+", "2"], "2+2", Frame::Part);
        check(&["2", "22", "+"], "222+", Frame::Refuting);
        check(&["2", "22", "222", "!"], "222222!", Frame::Refuting);
        check(&["a", "a", "b"], "aab", Frame::Part);
        check(&["2", "+", "2+"], "2+", Frame::Snapshot);
        check(&["2", "+", "2+2"], "2+2+2", Frame::Part);
        check(&["", "2", "", "2+"], "2+", Frame::Snapshot);
    }
}
