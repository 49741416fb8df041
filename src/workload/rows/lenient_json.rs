//! JSON as Python and JavaScript write it where values are not JSON's.

/// The only member of the object that stands for a text with half of a surrogate pair.
pub(in crate::workload) const HALF_PAIR: &str = "half of a surrogate pair";

/// Returns a text in which `NaN` and `Infinity` are null, and texts with half of a surrogate pair
/// objects that say so; `None` when there are none.
pub(super) fn sayable(text: &[u8]) -> Option<Vec<u8>> {
    let mut made = Vec::with_capacity(text.len());
    let (mut at, mut is_changed) = (0, false);
    while at < text.len() {
        let rest = &text[at..];
        if rest[0] == b'"' {
            let (length, is_whole) = string(rest);
            let is_key = rest[length..].trim_ascii_start().starts_with(b":");
            if is_whole || is_key {
                made.extend_from_slice(&rest[..length]);
            } else {
                made.extend_from_slice(format!("{{\"{HALF_PAIR}\":null}}").as_bytes());
                is_changed = true;
            }
            at += length;
            continue;
        }
        let words: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
        if let Some(word) = words.into_iter().find(|word| rest.starts_with(word)) {
            made.extend_from_slice(b"null");
            is_changed = true;
            at += word.len();
        } else {
            made.push(rest[0]);
            at += 1;
        }
    }
    is_changed.then_some(made)
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
        check(r#"{"a":"\ud800"#, None);
    }
}
