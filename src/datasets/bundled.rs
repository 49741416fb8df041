//! The questions that come with the program, so that an installed program has some to ask.

use std::path::Path;

/// Texts by their path in the project.
const BUNDLED: [(&str, &str); 2] = [
    (
        "fixtures/datasets/word_problems.jsonl",
        include_str!("../../fixtures/datasets/word_problems.jsonl"),
    ),
    (
        "fixtures/datasets/word_problems.train.jsonl",
        include_str!("../../fixtures/datasets/word_problems.train.jsonl"),
    ),
];

/// Returns the name and the text of a file of the project that the program carries.
///
/// A scenario may lie anywhere, so a path is recognised by its end.
pub(crate) fn bundled(path: &Path) -> Option<(&'static str, &'static str)> {
    BUNDLED.into_iter().find(|(name, _)| path.ends_with(name))
}
