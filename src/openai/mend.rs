//! Mends JSON that engines write and the grammar forbids, as far as nothing has to be guessed.

use std::fmt::Write as _;

use crate::record::request::Oddity;

/// Stands for half of a surrogate pair in mended text: the half is added to it.
///
/// Rust's strings hold no halves; these are characters of the last private plane.
const HALF: u32 = 0x10_0000;
const SURROGATES: std::ops::RangeInclusive<u32> = 0xd800..=0xdfff;

/// Returns the text with its mistakes replaced, and which mistakes they were.
///
/// Numbers that are not finite, in any spelling, become `null`; control characters in strings
/// are escaped; a lone half of a surrogate pair becomes a mark that [`Halves::take`] reads.
pub(crate) fn mend(data: &[u8]) -> (String, Vec<Oddity>) {
    let text = String::from_utf8_lossy(data);
    let mut odd = Vec::new();
    if matches!(text, std::borrow::Cow::Owned(_)) {
        odd.push(Oddity::Utf8);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            rest = mend_string(rest, &mut out, &mut odd);
        } else if c.is_ascii_alphanumeric() || matches!(c, '-' | '+') {
            let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            out.push_str(mend_word(&rest[..end], &mut odd));
            rest = &rest[end..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    odd.dedup();
    (out, odd)
}

fn mend_word<'a>(word: &'a str, odd: &mut Vec<Oddity>) -> &'a str {
    let mended = match word {
        "true" | "false" | "null" => return word,
        "True" => "true",
        "False" => "false",
        "None" | "undefined" => "null",
        _ => match word.parse::<f64>() {
            Ok(number) if number.is_finite() => return word,
            // Rust reads `NaN`, `inf`, `Infinity` and their like in any case, as numbers too
            // large for it.
            Ok(_) => {
                odd.push(Oddity::Number);
                return "null";
            }
            Err(_) => return word,
        },
    };
    odd.push(Oddity::Json);
    mended
}

/// Copies one string with its quotes; returns what follows it.
fn mend_string<'a>(text: &'a str, out: &mut String, odd: &mut Vec<Oddity>) -> &'a str {
    out.push('"');
    let mut rest = &text[1..];
    while let Some(c) = rest.chars().next() {
        match c {
            '"' => {
                out.push('"');
                return &rest[1..];
            }
            '\\' => {
                if let Some(half) = escaped_half(rest) {
                    let pair = escaped_half(&rest[6..]);
                    if half < 0xdc00 && pair.is_some_and(|low| low >= 0xdc00) {
                        out.push_str(&rest[..12]);
                        rest = &rest[12..];
                    } else {
                        odd.push(Oddity::Surrogate);
                        let mark = HALF + (half - SURROGATES.start());
                        out.push(char::from_u32(mark).expect("marks are in the last plane"));
                        rest = &rest[6..];
                    }
                } else {
                    let end = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
                    out.push_str(&rest[..end]);
                    rest = &rest[end..];
                }
            }
            c if c < ' ' => {
                odd.push(Oddity::Json);
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
                rest = &rest[1..];
            }
            c => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    rest
}

/// Returns the surrogate that a text begins with as `\ud83d`.
fn escaped_half(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok().filter(|code| SURROGATES.contains(code))
}

/// Halves of surrogate pairs at the ends of a text: two chunks may share a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Halves {
    /// The second half of a pair, at the beginning.
    pub leading: Option<u16>,
    /// The first half of a pair, at the end.
    pub trailing: Option<u16>,
}

impl Halves {
    /// Takes the halves out of a mended text; each leaves U+FFFD in its place.
    pub(super) fn take(text: &mut String) -> Self {
        let half = |c: char| u32::from(c).checked_sub(HALF).filter(|half| *half < 0x800);
        let code =
            |c: Option<char>| c.and_then(half).map(|half| (half + SURROGATES.start()) as u16);
        let found = Self {
            leading: code(text.chars().next()).filter(|code| *code >= 0xdc00),
            trailing: code(text.chars().next_back()).filter(|code| *code < 0xdc00),
        };
        if text.chars().any(|c| half(c).is_some()) {
            *text = text.chars().map(|c| if half(c).is_some() { '\u{fffd}' } else { c }).collect();
        }
        found
    }

    /// Appends a chunk's text to the text before it, whose last half is `open`.
    pub(crate) fn join(self, text: &mut String, open: Option<u16>, more: &str) {
        let pair = open
            .zip(self.leading)
            .and_then(|(high, low)| char::decode_utf16([high, low]).next().and_then(Result::ok));
        match pair {
            Some(c) => {
                text.pop();
                text.push(c);
                text.extend(more.chars().skip(1));
            }
            None => text.push_str(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_broken_is_changed() {
        let check = |text: &str, expected: &str, odd: &[Oddity]| {
            assert_eq!(mend(text.as_bytes()), (expected.to_owned(), odd.to_vec()), "{text}");
        };
        let good = r#"{"a":[1,-2.5e3,true,null],"NaN \" Infinity":"\u00e9 \ud83d\ude00 NaN"}"#;
        check(good, good, &[]);
        check(
            r#"{"a":NaN,"b":-Infinity,"c":1e999}"#,
            r#"{"a":null,"b":null,"c":null}"#,
            &[Oddity::Number],
        );
        check(r#"{"a":None,"b":True}"#, r#"{"a":null,"b":true}"#, &[Oddity::Json]);
        check("{\"a\":\"x\ny\"}", r#"{"a":"x\u000ay"}"#, &[Oddity::Json]);
        check("\"\\", "\"\\", &[]);
        assert_eq!(mend(b"\"\xff\"").1, [Oddity::Utf8]);
    }

    #[test]
    fn halves_of_one_character_in_two_chunks_are_joined() {
        let half = |json: &str| {
            let mut text: String = serde_json::from_str(&mend(json.as_bytes()).0).unwrap();
            let halves = Halves::take(&mut text);
            (text, halves)
        };
        let (mut text, first) = half(r#""a\ud83d""#);
        assert_eq!((text.as_str(), first.trailing), ("a\u{fffd}", Some(0xd83d)));
        let (more, second) = half(r#""\ude00b""#);
        second.join(&mut text, first.trailing, &more);
        assert_eq!(text, "a\u{1f600}b");
        let (text, alone) = half(r#""x\ude00y""#);
        assert_eq!((text.as_str(), alone), ("x\u{fffd}y", Halves::default()));
    }
}
