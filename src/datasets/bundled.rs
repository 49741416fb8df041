//! The questions that come with the program, so that an installed one has some to ask.

use std::io::{Seek as _, Write as _};
use std::path::Path;

use crate::datasets::dataset::{DatasetError, Opened};
use crate::ids::sha256_hex;

/// Texts by the path that they have in the project.
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

/// Opens a file of the project that the program carries; `None` for any other path.
pub(crate) fn bundled(path: &Path, reason: &str) -> Result<Option<Opened>, DatasetError> {
    let Some((name, text)) = BUNDLED.iter().find(|(name, _)| Path::new(name) == path) else {
        return Ok(None);
    };
    let unreadable = |source| DatasetError::Unreadable { path: path.to_owned(), source };
    let mut file = tempfile::tempfile().map_err(unreadable)?;
    file.write_all(text.as_bytes()).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    Ok(Some(Opened {
        files: vec![((*name).to_owned(), file)],
        shots: Vec::new(),
        paths: Vec::new(),
        origin: format!("{name}, which comes with bench"),
        fallback: Some(reason.to_owned()),
        sha256: sha256_hex(text.as_bytes()),
    }))
}
