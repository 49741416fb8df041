//! "Did you mean": the nearest known word by edit distance.

/// Words longer than this are not compared: distance costs the product of both lengths.
const MAX_CHARS: usize = 64;

/// Returns the known word nearest to `word`, if one is near enough to be meant.
///
/// Near enough is a third of the word's length, at least one edit. `_` and `-` count as the
/// same letter, as do upper and lower case.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word)?;
    let limit = (folded.len() / 3).max(1);
    known
        .into_iter()
        .filter_map(|candidate| {
            let chars = fold(candidate)?;
            let distance = edit_distance(&folded, &chars);
            // `modle` is `model` with two letters swapped rather than `mode` and one more.
            let by_length = chars.len().abs_diff(folded.len());
            (distance <= limit).then_some((distance, by_length, candidate))
        })
        .min()
        .map(|(.., candidate)| candidate)
}

/// Returns the sentence for [`nearest`], or a list of what is known.
pub fn did_you_mean<'a>(
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

/// Returns words in back quotes, separated by commas.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn fold(word: &str) -> Option<Vec<char>> {
    let folded: Vec<char> = word
        .chars()
        .take(MAX_CHARS + 1)
        .map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() })
        .collect();
    (folded.len() <= MAX_CHARS).then_some(folded)
}

/// Returns the least number of insertions, deletions, replacements and swaps of neighbours.
///
/// Source: F. Damerau, "A technique for computer detection and correction of spelling
/// errors", CACM 7 (1964); the restricted form, in which no piece is edited twice.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut cost = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        let check = |a: &str, b: &str, expected: usize| {
            let chars = |word: &str| word.chars().collect::<Vec<_>>();
            assert_eq!(edit_distance(&chars(a), &chars(b)), expected, "{a} {b}");
        };
        check("", "abc", 3);
        check("phase", "phase", 0);
        check("pahse", "phase", 1);
        check("concurency", "concurrency", 1);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["concurrency", "rate", "requests", "max-tokens"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(nearest(word, known), expected);
        check("max_tokens", Some("max-tokens"));
        check("concurrancy", Some("concurrency"));
        check("Rate", Some("rate"));
        check("elephant", None);
        assert_eq!(nearest("modle", ["mode", "model"]), Some("model"));
        check(&"x".repeat(10_000), None);
    }
}
