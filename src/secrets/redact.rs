//! One redaction for all that is stored or shown: it knows every secret value in use.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::secrets::literal::{in_text, merged, prefixed, without};
use crate::secrets::{HIDDEN, Secret};

/// Values of fewer bytes cannot be told from ordinary text.
const BYTES_MIN: usize = 6;
/// Neither can one plain word, or a number, of fewer: `ollama` is a usual key and an engine.
const PLAIN_BYTES_MIN: usize = 12;

/// Takes the secrets in use out of texts. Clones share what is searched for.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<Known>>);

struct Known {
    search: AhoCorasick,
    forms: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_forms = self.0.as_ref().map_or(0, |known| known.search.patterns_len());
        write!(f, "Redactor({n_forms} forms)")
    }
}

impl Redactor {
    /// Knows these secrets, as they are and as JSON and URLs write them.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut forms: Vec<String> = secrets
            .into_iter()
            .filter(|secret| is_distinct(secret.expose()))
            .flat_map(|secret| forms(&secret))
            .collect();
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self::default();
        }
        // The longest: a secret that begins with another must go as a whole.
        let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
        let search = search.expect("some keys of some hundred bytes make a small automaton");
        Self(Some(Arc::new(Known { search, forms })))
    }

    /// Returns the secrets that it knows, in every form: for another process that redacts.
    pub(crate) fn forms(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |known| &known.forms)
    }

    /// Returns text without the secrets in use, and without what looks like one: for words of
    /// engines and machines, and for what people wrote.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = self.known(text.as_bytes());
        found.extend(in_text(text.as_bytes()));
        hidden(text, found)
    }

    /// Returns text without the secrets in use and with nothing else changed: for what is
    /// measured.
    pub fn values<'t>(&self, text: &'t str) -> Cow<'t, str> {
        hidden(text, self.known(text.as_bytes()))
    }

    /// Takes the secrets in use out of the strings of a JSON text that begins at `from`.
    ///
    /// Numbers and the names of fields stay, so that the text can be read as before.
    pub fn json(&self, text: &mut Vec<u8>, from: usize) {
        if self.known(&text[from..]).is_empty() {
            return;
        }
        let json = text.split_off(from);
        let mut end = 0;
        while let Some(start) = memchr::memchr(b'"', &json[end..]).map(|at| end + at + 1) {
            text.extend_from_slice(&json[end..start]);
            end = start + string_bytes(&json[start..]);
            let content = &json[start..end];
            let after = json[end..].iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
            let mut shown = 0;
            for secret in self.known(content) {
                // The letter of an escape (`\n`) is not the first one of a secret.
                let n_escapes = content[..secret.start].iter().rev().take_while(|b| **b == b'\\');
                if after == Some(&b':') || n_escapes.count() % 2 == 1 {
                    continue;
                }
                text.extend_from_slice(&content[shown..secret.start]);
                text.extend_from_slice(HIDDEN.as_bytes());
                shown = secret.end;
            }
            text.extend_from_slice(&content[shown..]);
            // The closing quote.
            text.extend_from_slice(&json[end..(end + 1).min(json.len())]);
            end = (end + 1).min(json.len());
        }
        text.extend_from_slice(&json[end..]);
    }

    /// Returns the places in an engine's log that must be overwritten.
    pub fn in_log(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = self.known(text);
        found.extend(prefixed(text));
        merged(found)
    }

    /// Returns how many bytes the longest secret in use has.
    pub fn longest(&self) -> usize {
        self.forms().iter().map(String::len).max().unwrap_or(0)
    }

    fn known(&self, text: &[u8]) -> Vec<Range<usize>> {
        let Some(known) = &self.0 else { return Vec::new() };
        known.search.find_iter(text).map(|found| found.range()).collect()
    }
}

fn hidden(text: &str, found: Vec<Range<usize>>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(without(text, &merged(found)))
}

/// Whether a value can be told from ordinary text.
fn is_distinct(value: &str) -> bool {
    let is_word =
        value.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'));
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let least = if is_word || is_number { PLAIN_BYTES_MIN } else { BYTES_MIN };
    value.len() >= least
}

/// Returns a secret as it is, as JSON escapes it once and twice, and as URLs encode it.
fn forms(secret: &Secret) -> Vec<String> {
    let plain = secret.expose().to_owned();
    let escaped = escaped(&plain);
    let percent: String = plain
        .bytes()
        .map(|byte| match byte {
            b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    vec![self::escaped(&escaped), escaped, percent, plain]
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

/// Returns the bytes of a JSON string up to its closing quote.
fn string_bytes(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().filter_map(|text| Secret::new(text)))
    }

    #[test]
    fn every_form_of_a_value_is_hidden() {
        let redactor = knows(&["CANARY/\"1+2\""]);
        let check = |text: &str, expected: &str| assert_eq!(redactor.values(text), expected);
        check("a CANARY/\"1+2\" b", "a *** b");
        check(r#"{"e":"CANARY/\"1+2\""}"#, r#"{"e":"***"}"#);
        check(r#""{\"e\":\"CANARY/\\\"1+2\\\"\"}""#, r#""{\"e\":\"***\"}""#);
        check("?k=CANARY%2F%221%2B2%22&n", "?k=***&n");
        check("nothing", "nothing");
    }

    #[test]
    fn a_secret_that_begins_with_another_goes_as_a_whole() {
        assert_eq!(knows(&["abc-123", "abc-123-456"]).values("x abc-123-456"), "x ***");
    }

    #[test]
    fn words_and_short_values_are_not_searched_for() {
        for value in ["EMPTY", "ollama", "lm-studio", "100000"] {
            assert_eq!(knows(&[value]).values(value), value);
        }
        for value in ["canary-secret", "Canary", "a1b2c3", "123456789012"] {
            assert_eq!(knows(&[value]).values(value), HIDDEN, "{value}");
        }
    }

    #[test]
    fn json_keeps_its_numbers_and_names() {
        let redactor = knows(&["123456789012", "Canary1"]);
        let mut text = br#"x{"Canary1":123456789012,"a":["Canary1","\\"," \"Canary1"]}"#.to_vec();
        redactor.json(&mut text, 1);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, r#"x{"Canary1":123456789012,"a":["***","\\"," \"***"]}"#);
    }

    #[test]
    fn an_escape_in_json_is_not_the_beginning_of_a_secret() {
        let mut text = br#"{"a":"\n123abc n123abc"}"#.to_vec();
        knows(&["n123abc"]).json(&mut text, 0);
        assert_eq!(String::from_utf8(text).unwrap(), r#"{"a":"\n123abc ***"}"#);
    }

    #[test]
    fn a_log_loses_values_and_what_looks_like_a_key() {
        let redactor = knows(&["canary-secret-1"]);
        let text = b"key=canary-secret-1 hf_AbCdEfGh1 \xff";
        assert_eq!(redactor.in_log(text), [4..19, 20..32]);
    }

    #[test]
    fn the_debug_form_holds_no_secret() {
        assert_eq!(format!("{:?}", knows(&["abc-123"])), "Redactor(1 forms)");
    }

    proptest::proptest! {
        #[test]
        fn a_record_with_secrets_stays_json(texts in proptest::collection::vec("[a-zA-Z\"\\\\ ]{0,12}", 0..4)) {
            let with: Vec<String> = texts.iter().map(|text| format!("{text}CANARY\"\\1{text}")).collect();
            let mut line = serde_json::to_vec(&with).unwrap();
            knows(&["CANARY\"\\1"]).json(&mut line, 0);
            let read: Vec<String> = serde_json::from_slice(&line).unwrap();
            let expected: Vec<String> = texts.iter().map(|text| format!("{text}***{text}")).collect();
            proptest::prop_assert_eq!(read, expected);
        }
    }
}
