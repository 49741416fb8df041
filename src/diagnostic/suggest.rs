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

/// Words that a sentence offers at most.
const OFFERED_MAX: usize = 5;
/// Letters of a word that others may be looked for by.
const PART_MIN: usize = 4;

/// Returns the known words that a word is a part of, if they are few.
fn with_part<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    let Some(part) = fold(word).filter(|word| word.chars().count() >= PART_MIN) else {
        return Vec::new();
    };
    let has_it = |known: &&&str| fold(known).is_some_and(|known| known.contains(&part));
    let found: Vec<&str> = known.iter().filter(has_it).copied().collect();
    if found.len() > OFFERED_MAX { Vec::new() } else { found }
}

/// Returns the sentence for [`nearest`], for the words that the given one is a part of, or a list of
/// what is known.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let offered = match nearest(word, known.iter().copied()) {
        Some(candidate) => vec![candidate],
        None => with_part(word, &known),
    };
    match offered.as_slice() {
        [] if known.is_empty() => None,
        [] => Some(format!("{what}: {}", list(known))),
        [first @ .., last] if !first.is_empty() => {
            Some(format!("did you mean {} or `{last}`?", list(first.iter().copied())))
        }
        _ => Some(format!("did you mean {}?", list(offered))),
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
    fn a_word_that_is_a_part_of_known_ones_stands_for_them() {
        let known = ["ttft", "output_throughput", "request_throughput", "e2e"];
        let check = |word: &str, expected: &str| {
            assert_eq!(did_you_mean(word, known, "metrics are").as_deref(), Some(expected));
        };
        check("throughput", "did you mean `output_throughput` or `request_throughput`?");
        check("output", "did you mean `output_throughput`?");
        check("put", "metrics are: `ttft`, `output_throughput`, `request_throughput`, `e2e`");
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
