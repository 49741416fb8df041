//! Turns tokens into text that can be sent: whole characters, without any part of a stop string.

use tokenizers::Tokenizer;

/// How many tokens before the new ones decide how the new ones are written.
const CONTEXT: usize = 4;

/// Turns tokens into text one by one.
///
/// Some tokenizers write a token differently at the beginning, and several tokens may share one
/// character. A token's text is therefore the text that it adds to that of the tokens before it.
/// It is held back while it ends within a character.
#[derive(Clone, Debug)]
pub(crate) struct Detokenizer {
    tokens: Vec<u32>,
    context_start: usize,
    sent_end: usize,
}

impl Detokenizer {
    /// Returns a detokenizer for the tokens after a prompt.
    pub(crate) fn new(prompt: &[u32]) -> Self {
        let tokens = prompt[prompt.len().saturating_sub(CONTEXT)..].to_vec();
        Self { sent_end: tokens.len(), tokens, context_start: 0 }
    }

    /// Adds a token, and returns the text that became complete.
    pub(crate) fn push(&mut self, token: u32, tokenizer: &Tokenizer) -> String {
        self.tokens.push(token);
        let (before, whole) = self.texts(tokenizer);
        if whole.ends_with('\u{fffd}') {
            return String::new();
        }
        self.context_start = self.sent_end;
        self.sent_end = self.tokens.len();
        added(&before, &whole)
    }

    /// Returns the text of tokens that are still held back, incomplete characters included.
    pub(crate) fn finish(&mut self, tokenizer: &Tokenizer) -> String {
        if self.sent_end == self.tokens.len() {
            return String::new();
        }
        let (before, whole) = self.texts(tokenizer);
        self.sent_end = self.tokens.len();
        added(&before, &whole)
    }

    fn texts(&self, tokenizer: &Tokenizer) -> (String, String) {
        let decode = |tokens: &[u32]| tokenizer.decode(tokens, true).unwrap_or_default();
        (
            decode(&self.tokens[self.context_start..self.sent_end]),
            decode(&self.tokens[self.context_start..]),
        )
    }
}

fn added(before: &str, whole: &str) -> String {
    whole.strip_prefix(before).unwrap_or_default().to_owned()
}

/// Looks for stop strings in text that comes piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct StopWatch {
    stops: Vec<String>,
    held: String,
}

impl StopWatch {
    /// Returns a watch for these strings; empty ones are ignored.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new() }
    }

    /// Adds text. Returns the text that can be sent, and whether a stop string was found. The stop
    /// string itself is not sent.
    pub(crate) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let met = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(at) = met {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let n_held = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - n_held);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// Returns the text that was held back because it might have begun a stop string.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Returns the length of the longest end of `text` with which `stop` begins.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .rev()
        .find(|length| text.ends_with(&stop[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watch(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut watch = StopWatch::new(&stops);
        let mut sent = String::new();
        for piece in pieces {
            let (text, met) = watch.push(piece);
            sent.push_str(&text);
            if met {
                return (sent, true);
            }
        }
        (sent + &watch.finish(), false)
    }

    #[test]
    fn a_stop_string_is_found_across_pieces_and_not_sent() {
        let check = |stops: &[&str], pieces: &[&str], expected: &str, met: bool| {
            assert_eq!(watch(stops, pieces), (expected.to_owned(), met), "{stops:?} {pieces:?}");
        };
        check(&["\n\n"], &["a", "\n", "\n", "b"], "a", true);
        check(&["\n\n"], &["a\n", "b"], "a\nb", false);
        check(&["é!"], &["aé", "!"], "a", true);
        check(&["abc", "b"], &["aab"], "aa", true);
        check(&["aab"], &["aa", "ab"], "a", true);
        check(&["", "x"], &["ab"], "ab", false);
        check(&["END"], &["the EN"], "the EN", false);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[ab]{0,12}", stop in "[ab]{1,3}", cut in 0_usize..12) {
            let cut = cut.min(text.len());
            let whole = watch(&[&stop], &[&text]);
            prop_assert_eq!(watch(&[&stop], &[&text[..cut], &text[cut..]]), whole.clone());
            let letters: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
            prop_assert_eq!(watch(&[&stop], &letters), whole);
        }
    }
}
