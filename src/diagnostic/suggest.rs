//! "Did you mean": the nearest known word by edit distance.

use strsim::osa_distance;

/// Words that a list names.
const LIST_MAX: usize = 40;
/// Words longer than this are not compared: distance costs the product of both lengths.
const MAX_CHARS: usize = 64;

/// Returns the known word nearest to `word`, if one is near enough to be meant.
///
/// Near enough is a third of the word's length, at least one edit; a swap of neighbours is one.
/// `_` and `-` count as the same letter, as do upper and lower case.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word)?;
    let n_chars = folded.chars().count();
    let limit = (n_chars / 3).max(1);
    known
        .into_iter()
        .filter_map(|candidate| {
            let known = fold(candidate)?;
            let distance = osa_distance(&folded, &known);
            // `modle` is `model` with two letters swapped rather than `mode` and one more.
            let by_length = known.chars().count().abs_diff(n_chars);
            (distance <= limit).then_some((distance, by_length, candidate))
        })
        .min()
        .map(|(.., candidate)| candidate)
}

/// Returns the sentence for [`nearest`], or a list of what is known.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if known.is_empty() => None,
        None => Some(format!("{what}: {}", list(known))),
    }
}

/// Returns words in back quotes, separated by commas; of very many the first ones and their number.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut words = words.into_iter();
    let mut told: Vec<String> =
        words.by_ref().take(LIST_MAX).map(|word| format!("`{word}`")).collect();
    let n_more = words.count();
    if n_more > 0 {
        told.push(format!("and {n_more} more"));
    }
    told.join(", ")
}

fn fold(word: &str) -> Option<String> {
    let is_short = word.chars().nth(MAX_CHARS).is_none();
    is_short.then(|| word.to_ascii_lowercase().replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_no_more_than_a_person_reads() {
        assert_eq!(list(["a", "b"]), "`a`, `b`");
        assert!(list(["a"; 400]).ends_with("`a`, and 360 more"));
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["concurrency", "rate", "requests", "max-tokens"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(nearest(word, known), expected);
        check("max_tokens", Some("max-tokens"));
        check("concurrancy", Some("concurrency"));
        check("reuqests", Some("requests"));
        check("Rate", Some("rate"));
        check("elephant", None);
        assert_eq!(nearest("modle", ["mode", "model"]), Some("model"));
        check(&"x".repeat(10_000), None);
    }
}
