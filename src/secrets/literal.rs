//! Finds secrets that are written out in a text, by what stands around them.

use std::ops::Range;

use crate::secrets::HIDDEN;
use crate::secrets::name::is_secret_name;

/// Fewest characters behind `sk-` that make a key: `sk-learn` is a library.
const SK_CHARS_MIN: usize = 6;
/// Fewest characters behind `hf_` that make a token; the hub's own have 34.
const HF_CHARS_MIN: usize = 8;
/// From this length on, text without a digit or a capital is taken for a token, too.
const LONG_CHARS: usize = 16;
/// Numbers of fewer digits are counts.
const NUMBER_DIGITS_MIN: usize = 6;
/// Values that are switches and stand-ins, whatever the name in front of them says.
const SWITCHES: [&str; 8] = ["true", "false", "yes", "no", "none", "null", "auto", "empty"];

/// Returns the secrets in any text: user and password of URLs, members of their queries,
/// and what begins as keys do (`sk-`, `hf_`, `Bearer `).
pub fn in_text(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = prefixed(text);
    found.extend(in_urls(text));
    merged(found)
}

/// Returns the secrets in a piece of a command or of a configuration: those of any text, and
/// what is given to a name that says so (`KEY=…`, `--api-key …`, `X-Api-Key: …`, `"token": "…"`).
pub fn in_command(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = in_text(text);
    found.extend(assigned(text));
    found.extend(options(text));
    merged(found)
}

/// Returns the secrets in a command: the argument's number and the place in it.
pub fn in_argv<T: AsRef<str>>(argv: &[T]) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    for (idx, argument) in argv.iter().enumerate() {
        let argument = argument.as_ref();
        let before = idx.checked_sub(1).map(|before| argv[before].as_ref());
        if before.is_some_and(is_secret_option)
            && !argument.starts_with('-')
            && is_written_out(argument)
        {
            found.push((idx, 0..argument.len()));
        } else {
            found.extend(in_command(argument.as_bytes()).into_iter().map(|span| (idx, span)));
        }
    }
    found
}

/// Whether a value under a secret's name is one, rather than a switch, a stand-in or the place
/// where the value will come from.
pub fn is_written_out(value: &str) -> bool {
    let value = value.trim();
    let is_elsewhere = ["$", "{{", "{%", HIDDEN].iter().any(|start| value.starts_with(start));
    let is_count =
        value.len() < NUMBER_DIGITS_MIN && value.bytes().all(|byte| byte.is_ascii_digit());
    !is_elsewhere && !is_count && !SWITCHES.contains(&value.to_ascii_lowercase().as_str())
}

/// Returns a text without the secrets that any text may hold.
pub fn hide(text: &str) -> String {
    without(text, &in_text(text.as_bytes()))
}

/// Returns a command line in one text without the secrets that are written out in it.
pub fn hide_command(text: &str) -> String {
    without(text, &in_command(text.as_bytes()))
}

/// Returns a command without the secrets that are written out in it.
pub fn hide_argv(argv: &[String]) -> Vec<String> {
    let found = in_argv(argv);
    let spans = |idx: usize| -> Vec<Range<usize>> {
        found.iter().filter(|(at, _)| *at == idx).map(|(_, span)| span.clone()).collect()
    };
    argv.iter().enumerate().map(|(idx, argument)| without(argument, &spans(idx))).collect()
}

/// Returns a text with every one of these places, in order, hidden.
pub(super) fn without(text: &str, spans: &[Range<usize>]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for span in spans {
        shown.push_str(&text[end..span.start]);
        shown.push_str(HIDDEN);
        end = span.end;
    }
    shown.push_str(&text[end..]);
    shown
}

/// Sorts places and joins those that touch.
pub(super) fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// Returns what begins as keys do.
pub(super) fn prefixed(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (prefix, is_token) in [("sk-", is_sk as fn(&[u8]) -> bool), ("hf_", is_hf)] {
        for start in memchr::memmem::find_iter(text, prefix.as_bytes()) {
            let inside = start + prefix.len();
            let end = inside + run(&text[inside..], is_token_byte);
            let joins = |byte: &u8| is_token_byte(*byte) || matches!(byte, b'/' | b'.');
            let is_inner = start.checked_sub(1).is_some_and(|before| joins(&text[before]));
            if !is_inner && !goes_on_as_path(&text[end..]) && is_token(&text[inside..end]) {
                found.push(start..end);
            }
        }
    }
    for at in memchr::memmem::find_iter(text, b"earer ") {
        let Some(first) = at.checked_sub(1) else { continue };
        let inside = at + b"earer ".len();
        let end = inside + run(&text[inside..], is_value_byte);
        let token = &text[inside..end];
        let is_inner = first.checked_sub(1).is_some_and(|at| is_token_byte(text[at]));
        let is_whole = first == 0 && end == text.len();
        let is_token = is_whole
            || token.len() >= 20
            || token.len() >= SK_CHARS_MIN && token.iter().any(u8::is_ascii_digit);
        if matches!(text[first], b'B' | b'b') && !is_inner && is_token && is_secret_value(token) {
            found.push(inside..end);
        }
    }
    found
}

fn is_sk(token: &[u8]) -> bool {
    token.len() >= SK_CHARS_MIN
}

/// Names in this field begin with `hf_` as well (`hf_model_7b`); tokens mix what names do not.
fn is_hf(token: &[u8]) -> bool {
    let has_digit = token.iter().any(u8::is_ascii_digit);
    let is_one_word = token.iter().all(u8::is_ascii_alphanumeric);
    token.len() >= HF_CHARS_MIN
        && (token.iter().any(u8::is_ascii_uppercase)
            || has_digit && (is_one_word || token.len() >= LONG_CHARS))
}

/// Whether a word is the beginning of a file's name or path.
fn goes_on_as_path(rest: &[u8]) -> bool {
    rest.first() == Some(&b'/')
        || rest.first() == Some(&b'.') && rest.get(1).is_some_and(u8::is_ascii_alphanumeric)
}

/// Returns user and password of URLs, and the secret members of their queries.
fn in_urls(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for at in memchr::memmem::find_iter(text, b"://") {
        let start = at + 3;
        let end = start + run(&text[start..], |byte| !is_url_end(byte));
        let authority = start + run(&text[start..end], |byte| !matches!(byte, b'/' | b'?' | b'#'));
        if let Some(host) = memchr::memrchr(b'@', &text[start..authority])
            && host > 0
            && is_secret_value(&text[start..start + host])
        {
            found.push(start..start + host);
        }
        let Some(query) = memchr::memchr(b'?', &text[start..end]) else { continue };
        let mut member = start + query + 1;
        while member < end {
            let stop = member + run(&text[member..end], |byte| !matches!(byte, b'&' | b';' | b'#'));
            if let Some(equals) = memchr::memchr(b'=', &text[member..stop]) {
                let value = member + equals + 1..stop;
                let name = &text[member..member + equals];
                if is_name(name) && is_secret_value(&text[value.clone()]) {
                    found.push(value);
                }
            }
            member = stop + 1;
        }
    }
    found
}

/// Returns what is given to a secret's name behind `=` or `:`.
fn assigned(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for at in memchr::memchr2_iter(b'=', b':', text) {
        let before = trim_end(&text[..at], |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'));
        let name = &before[trim_end(before, is_name_byte).len()..];
        if !is_name(name) || text[at + 1..].starts_with(b"//") {
            continue;
        }
        let mut value = value_at(text, at + 1);
        // A header's scheme is no secret, what follows it is.
        let scheme = text[value.clone()].to_ascii_lowercase();
        if matches!(&*scheme, b"bearer" | b"basic" | b"token") {
            value = value_at(text, value.end);
        } else if let Some(scheme) =
            ["bearer ", "basic ", "token "].iter().find(|s| scheme.starts_with(s.as_bytes()))
        {
            value.start += scheme.len();
        }
        if is_secret_value(&text[value.clone()]) {
            found.push(value);
        }
    }
    found
}

/// Returns what follows a secret's option within one text: `sh -c "serve --api-key …"`.
fn options(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for at in memchr::memmem::find_iter(text, b"--") {
        let end = at + run(&text[at..], is_name_byte);
        let is_inner = at.checked_sub(1).is_some_and(|before| is_name_byte(text[before]));
        if is_inner || !is_name(&text[at..end]) || !text[end..].starts_with(b" ") {
            continue;
        }
        let value = value_at(text, end);
        if !text[value.clone()].starts_with(b"-") && is_secret_value(&text[value.clone()]) {
            found.push(value);
        }
    }
    found
}

/// Returns the place of the value that begins here, behind spaces and within its quotes.
fn value_at(text: &[u8], from: usize) -> Range<usize> {
    let start = from + run(&text[from..], |byte| matches!(byte, b' ' | b'\t' | b'\\' | b'['));
    match text.get(start) {
        Some(quote @ (b'"' | b'\'')) => {
            let start = start + 1;
            start..start + run(&text[start..], |byte| byte != *quote && byte != b'\\')
        }
        _ => start..start + run(&text[start..], is_value_byte),
    }
}

fn is_secret_option(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && is_name(argument.as_bytes())
}

fn is_secret_value(value: &[u8]) -> bool {
    !value.is_empty() && std::str::from_utf8(value).is_ok_and(is_written_out)
}

fn is_name(name: &[u8]) -> bool {
    // Of `engine.x.env.HF_TOKEN` the last part counts.
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    std::str::from_utf8(last).is_ok_and(is_secret_name)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_name_byte(byte: u8) -> bool {
    is_token_byte(byte) || byte == b'.'
}

fn is_value_byte(byte: u8) -> bool {
    !byte.is_ascii_whitespace()
        && !matches!(byte, b'"' | b'\'' | b'\\' | b',' | b';' | b'&' | b'}' | b']' | b')')
}

fn is_url_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\' | b'<' | b'>' | b'`')
}

/// Returns how many bytes from the start are of a kind.
fn run(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !is(*byte)).unwrap_or(text.len())
}

fn trim_end(text: &[u8], is: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().rposition(|byte| !is(*byte)).map_or(0, |last| last + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str, expected: &str) {
        assert_eq!(hide(text), expected);
    }

    fn check_command(text: &str, expected: &str) {
        assert_eq!(hide_command(text), expected);
    }

    #[test]
    fn urls_lose_user_and_password() {
        check_text("https://user:pass@host:1/a@b", "https://***@host:1/a@b");
        check_text("https://host/a?b=c@d", "https://host/a?b=c@d");
        check_text("a http://u@h and http://v:w@i/", "a http://***@h and http://***@i/");
        check_text("--url=postgres://me:p@db", "--url=postgres://***@db");
        check_text("://", "://");
    }

    #[test]
    fn queries_lose_their_keys() {
        check_text("http://h/v1?api_key=X1&n=2", "http://h/v1?api_key=***&n=2");
        check_text("http://h/v1?n=2&token=abc#f", "http://h/v1?n=2&token=***#f");
        check_text("http://h/v1?max_tokens=12", "http://h/v1?max_tokens=12");
    }

    #[test]
    fn what_begins_as_keys_do_is_hidden() {
        check_text("key sk-canary-1.", "key ***.");
        check_text("hf_AbCdEfGh12345678", "***");
        check_text("hf_canary0123456789 and", "*** and");
        check_text("Authorization: Bearer abc123def, x", "Authorization: Bearer ***, x");
        check_text("Bearer canary", "Bearer ***");
    }

    #[test]
    fn ordinary_words_stay() {
        for text in [
            "sk-learn",
            "task-oriented-dialogue",
            "hf_batch_server.py",
            "/assets-0.1.0/hf_batch_server.py",
            "hf_model_7b",
            "hf_transfer",
            "the bearer of good news",
            "a bearer certificate is",
            "https://huggingface.co/org/model",
        ] {
            check_text(text, text);
        }
    }

    #[test]
    fn what_is_given_to_a_secrets_name_is_hidden() {
        check_command("--hf-token=s3cret", "--hf-token=***");
        check_command("API_KEY=s3cret serve", "API_KEY=*** serve");
        check_command("serve --api-key s3cret --port 1", "serve --api-key *** --port 1");
        check_command("X-Api-Key: s3cret", "X-Api-Key: ***");
        check_command("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic ***");
        check_command(r#"{"api_key": "s3 cret", "n": 1}"#, r#"{"api_key": "***", "n": 1}"#);
        check_command(r#"{\"token\":\"s3cret\"}"#, r#"{\"token\":\"***\"}"#);
    }

    #[test]
    fn switches_counts_and_references_are_not_secrets() {
        for text in [
            "--api-key $KEY",
            "--api-key={{ key }}",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN=1",
            "OPENAI_API_KEY=EMPTY",
            "--max-num-batched-tokens=8192",
            "--api-key --port",
            "--tokenizer x",
            "time: 12:30",
            "api_key=***",
        ] {
            check_command(text, text);
        }
    }

    #[test]
    fn a_commands_secret_options_lose_their_values() {
        let check = |given: &[&str], expected: &[&str]| {
            let given: Vec<String> = given.iter().map(ToString::to_string).collect();
            assert_eq!(hide_argv(&given), expected);
        };
        check(&["--api-key", "s3cret", "--port", "1"], &["--api-key", "***", "--port", "1"]);
        check(&["--hf-token=s3cret"], &["--hf-token=***"]);
        check(&["--max-num-batched-tokens", "8192"], &["--max-num-batched-tokens", "8192"]);
        check(&["--tokenizer", "x"], &["--tokenizer", "x"]);
        check(&["--api-key", "--port"], &["--api-key", "--port"]);
        check(&["--url=http://u:p@h/x"], &["--url=http://***@h/x"]);
        check(
            &["--header", "Authorization: Bearer canary"],
            &["--header", "Authorization: Bearer ***"],
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_search_panic(text in "\\PC{0,60}|[-a-z_=:/@?&\"'\\\\ skhf{}]{0,60}") {
            let hidden = hide_command(&text);
            let _ = (hide(&text), hide_argv(&[text.clone(), hidden]));
        }
    }
}
