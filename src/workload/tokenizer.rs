//! Counts, cuts and joins tokens as a model's own `tokenizer.json` does.

use crate::ids::sha256_hex;
use crate::workload::container::foreign;
use crate::workload::error::DataError;

/// A pinned tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    name: String,
    sha256: String,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`; `name` is what messages call it by.
    ///
    /// Truncation and padding that the file sets are switched off: they would falsify counts.
    pub fn from_json(name: &str, json: &[u8]) -> Result<Self, DataError> {
        let bad = |message: String| {
            DataError::new(name, message, "give the tokenizer.json of the `tokenizers` library")
        };
        if let Some((what, help)) = foreign(json) {
            return Err(DataError::new(name, format!("its tokenizer.json is {what}"), help));
        }
        let mut inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| bad(format!("not a tokenizer: {error}")))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| bad(error.to_string()))?;
        Ok(Self { inner, name: name.to_owned(), sha256: sha256_hex(json) })
    }

    /// Returns the SHA-256 of its file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns the number of tokens of a text, without special tokens around it.
    pub fn count(&self, text: &str) -> Result<u32, DataError> {
        Ok(self.encode(text)?.len() as u32)
    }

    /// Returns where each token of a text ends in it, in bytes, without special tokens around it.
    pub fn ends(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.inner
            .encode(text, false)
            .map(|encoding| encoding.get_offsets().iter().map(|(_, end)| *end as u32).collect())
            .map_err(|error| DataError::new(&self.name, format!("cannot encode: {error}"), ""))
    }

    /// Returns the tokens of a text, without special tokens around it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.inner
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| DataError::new(&self.name, format!("cannot encode: {error}"), ""))
    }

    /// Returns the text of tokens; special ones are kept.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, DataError> {
        self.inner
            .decode(tokens, false)
            .map_err(|error| DataError::new(&self.name, format!("cannot decode: {error}"), ""))
    }

    /// Returns the ordinary tokens, ascending: neither special nor added.
    pub fn ordinary_tokens(&self) -> Vec<u32> {
        let added = self.inner.get_added_tokens_decoder();
        let mut tokens: Vec<u32> = self
            .inner
            .get_vocab(false)
            .into_values()
            .filter(|token| !added.contains_key(token))
            .collect();
        tokens.sort_unstable();
        tokens
    }
}
