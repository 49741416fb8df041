//! Which names files of rows have.

use crate::plan::cell::Source;

/// What stands behind them when a file is packed.
const PACKED: [&str; 5] = [".gz", ".zst", ".zstd", ".bz2", ".xz"];

/// Returns a file's name without what says how it is packed.
pub(crate) fn plain_name(name: &str) -> &str {
    PACKED.iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(name)
}

/// Whether a file of this name holds rows, packed or not.
pub(crate) fn is_data_file(name: &str) -> bool {
    let (_, ending) = plain_name(name).rsplit_once('.').unwrap_or_default();
    Source::of_ending(ending).is_some()
}

/// Whether a name is that of several files: `*` is any text and `?` any character.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a name fits a pattern.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            fits(rest, name)
                || name.char_indices().any(|(at, c)| fits(rest, &name[at + c.len_utf8()..]))
        }
        Some('?') => {
            let mut name = name.chars();
            name.next().is_some() && fits(pattern_chars.as_str(), name.as_str())
        }
        Some(c) => name.strip_prefix(c).is_some_and(|name| fits(pattern_chars.as_str(), name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_rows_are_known_by_their_names() {
        for name in ["a.jsonl", "a.JSON", "b/train.csv.gz", "x.jsonl.zst", "x.parquet"] {
            assert!(is_data_file(name), "{name}");
        }
        for name in ["README.md", "jsonl", "a.gz", "owner/name", ".gitattributes"] {
            assert!(!is_data_file(name), "{name}");
        }
    }

    #[test]
    fn patterns_fit_as_a_shell_has_them() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        };
        check("train-*.parquet", "train-00000-of-00002.parquet", true);
        check("train-*.parquet", "test-00000-of-00002.parquet", false);
        check("*", "", true);
        check("a?c", "aßc", true);
        check("a?c", "ac", false);
        check("*.json*", "a.jsonl.gz", true);
    }
}
