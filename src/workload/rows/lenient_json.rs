//! JSON as Python and JavaScript write it where values are not JSON's, or not all parsers'.

use serde_json::{Value, json};

/// What a value is that cannot be read as it stands. It does no harm in a column that is not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workload) enum Unsayable {
    /// A text with half of a surrogate pair.
    HalfPair,
    /// Two values of one key: parsers disagree about which is meant.
    Twice,
    /// Lists and objects inside of each other.
    Deep,
}

/// Levels of lists and objects inside of each other that are read.
const DEPTH_MAX: usize = 100;

impl Unsayable {
    const ALL: [Self; 3] = [Self::HalfPair, Self::Twice, Self::Deep];

    /// Returns the only member of the object that stands for such a value.
    fn member(self) -> &'static str {
        match self {
            Self::HalfPair => "half of a surrogate pair",
            Self::Twice => "a key that occurs twice",
            Self::Deep => "more than 100 levels",
        }
    }

    /// Returns what such a value is, as a sentence about its column.
    pub(in crate::workload) fn words(self) -> &'static str {
        match self {
            Self::HalfPair => "holds half of a surrogate pair, which no text in UTF-8 has",
            Self::Twice => "occurs twice in the row, with two values",
            Self::Deep => "has more than 100 levels of lists and objects",
        }
    }

    /// Returns what a value stands for, if it does.
    pub(in crate::workload) fn of(value: &Value) -> Option<Self> {
        let members = value.as_object().filter(|members| members.len() == 1)?;
        Self::ALL.into_iter().find(|kind| members.contains_key(kind.member()))
    }

    /// Returns what stands for such a value.
    pub(super) fn value(self) -> Value {
        json!({ self.member(): null })
    }
}

/// Returns a text in which numbers that JSON has no words for are null, and texts with half of a
/// surrogate pair and values that are too deep are objects that say so; `None` when there are none.
pub(super) fn sayable(text: &[u8]) -> Option<Vec<u8>> {
    let mut made = Vec::with_capacity(text.len());
    let (mut at, mut depth, mut is_changed) = (0, 0_usize, false);
    while at < text.len() {
        let rest = &text[at..];
        let (length, other) = match rest[0] {
            b'"' => {
                let (length, is_whole) = string(rest);
                let is_key = rest[length..].trim_ascii_start().starts_with(b":");
                let other = (!is_whole && !is_key).then(|| Unsayable::HalfPair.value());
                (length, other)
            }
            b'{' | b'[' if depth == DEPTH_MAX => (nested(rest), Some(Unsayable::Deep.value())),
            byte => {
                match byte {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                match number(rest) {
                    Some((length, is_sayable)) => (length, (!is_sayable).then_some(Value::Null)),
                    None => (1, None),
                }
            }
        };
        match other {
            Some(other) => {
                made.extend_from_slice(other.to_string().as_bytes());
                is_changed = true;
            }
            None => made.extend_from_slice(&rest[..length]),
        }
        at += length;
    }
    is_changed.then_some(made)
}

/// Returns the length of the number that a text begins with, and whether JSON's parser reads it: not
/// `NaN`, `Infinity`, and what is infinite as a float, such as `1e999`.
fn number(text: &[u8]) -> Option<(usize, bool)> {
    let words: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    if let Some(word) = words.into_iter().find(|word| text.starts_with(word)) {
        return Some((word.len(), false));
    }
    let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    digits.first().filter(|byte| byte.is_ascii_digit())?;
    let length = text.iter().take_while(is_part).count();
    let number = std::str::from_utf8(&text[..length]).ok().and_then(|it| it.parse::<f64>().ok());
    Some((length, number.is_none_or(f64::is_finite)))
}

/// Returns the length of the list or object that a text begins with.
fn nested(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        match text[at] {
            b'"' => at += string(&text[at..]).0,
            byte => {
                at += 1;
                match byte {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
            }
        }
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

/// Returns the length of the string that a text begins with, and whether its surrogates are
/// pairs.
fn string(text: &[u8]) -> (usize, bool) {
    let (mut at, mut is_whole) = (1, true);
    let mut high = false;
    while at < text.len() {
        let unit = (text[at] == b'\\' && text.get(at + 1) == Some(&b'u'))
            .then(|| text.get(at + 2..at + 6))
            .flatten()
            .and_then(|digits| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let is_low = matches!(unit, Some(0xdc00..=0xdfff));
        is_whole &= high == is_low;
        high = matches!(unit, Some(0xd800..=0xdbff));
        match (text[at], unit) {
            (b'"', _) => return (at + 1, is_whole),
            (_, Some(_)) => at += 6,
            (b'\\', None) => at += 2,
            _ => at += 1,
        }
    }
    (text.len(), is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_say_is_null_or_says_what_it_was() {
        let check = |text: &str, expected: Option<&str>| {
            let half = r#"{"half of a surrogate pair":null}"#;
            let expected = expected.map(|text| text.replace("HALF", half));
            let expected = expected.as_deref();
            let made = sayable(text.as_bytes()).map(|made| String::from_utf8(made).unwrap());
            assert_eq!(made.as_deref(), expected);
        };
        check(r#"{"a":NaN,"b":[-Infinity,Infinity]}"#, Some(r#"{"a":null,"b":[null,null]}"#));
        check(r#"{"a":"NaN","b":1}"#, None);
        check(r#"{"a":"x\ud800y","b":"c"}"#, Some(r#"{"a":HALF,"b":"c"}"#));
        check(r#"{"a":"\ud83d\ude00"}"#, None);
        check(r#"{"a":"\ude00"}"#, Some(r#"{"a":HALF}"#));
        check(r#"{"a":"\ud83d\ud83d\ude00"}"#, Some(r#"{"a":HALF}"#));
        check(r#"{"a":"\\ud800"}"#, None);
        check(r#"{"a":1e999,"b":[-1e999,1e300]}"#, Some(r#"{"a":null,"b":[null,1e300]}"#));
        check(r#"{"a":"\ud800"#, None);
        let deep = |n: usize| format!("{}\"]}}\"{}", "[".repeat(n), "]".repeat(n));
        check(&format!(r#"{{"a":{},"b":1}}"#, deep(99)), None);
        let told = sayable(format!(r#"{{"a":{},"b":1}}"#, deep(100)).as_bytes()).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["b"], 1);
        let innermost = (0..99).fold(&told["a"], |value, _| &value[0]);
        assert_eq!(Unsayable::of(innermost), Some(Unsayable::Deep));
    }
}
