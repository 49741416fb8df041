//! Prompts made of random words, in exact numbers of tokens.

use std::sync::{Arc, OnceLock};

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use crate::ids::content_hash;
use crate::seed::Seed;
use crate::workload::error::DataError;
use crate::workload::request::{Prompt, PromptLength};
use crate::workload::tokenizer::Tokenizer;

/// Column name by which a scenario asks for token ids rather than text.
pub(super) const TOKEN_IDS: &str = "token-ids";
/// Times a text is cut or lengthened until it has its length.
const TRIES: u32 = 64;
/// Fewer whole words than this in the vocabulary, and all its tokens are used.
const WORDS_MIN: usize = 64;

/// Makes the prompts of a data set that has their lengths alone.
#[derive(Debug)]
pub(in crate::workload) struct Maker {
    tokenizer: Arc<Tokenizer>,
    words: OnceLock<Words>,
    seed: Seed,
    /// Name of the data set in random streams.
    name: String,
    as_ids: bool,
}

impl PartialEq for Maker {
    fn eq(&self, other: &Self) -> bool {
        self.recipe() == other.recipe()
    }
}

impl Maker {
    pub(super) fn new(tokenizer: &Arc<Tokenizer>, seed: Seed, name: &str, as_ids: bool) -> Self {
        let tokenizer = Arc::clone(tokenizer);
        Self { tokenizer, words: OnceLock::new(), seed, name: name.to_owned(), as_ids }
    }

    /// Returns what all its prompts depend on beside their rows.
    pub(in crate::workload) fn recipe(&self) -> String {
        content_hash(&(self.tokenizer.sha256(), self.seed, &self.name, self.as_ids))
    }

    /// Makes the prompt of a row's turn, from 0.
    pub(in crate::workload) fn prompt(
        &self,
        wanted: &PromptLength,
        row: u64,
        turn: usize,
    ) -> Result<Prompt, DataError> {
        if self.words.get().is_none() {
            let words = Words::of(&self.tokenizer)?;
            self.words.get_or_init(|| words);
        }
        let words = self.words.get().expect("they were found above");
        let mut tokens = Vec::new();
        for id in &wanted.blocks {
            if tokens.len() as u32 >= wanted.n_tokens {
                break;
            }
            let mut rng = self.seed.stream(&format!("dataset/{}/block/{id}", self.name));
            tokens.extend(words.draw(wanted.block_tokens, &mut rng));
        }
        tokens.truncate(wanted.n_tokens as usize);
        // A stream per row: more rows do not change those there were.
        let of_turn = if turn == 0 { String::new() } else { format!("/{turn}") };
        let mut rng = self.seed.stream(&format!("dataset/{}/row/{row}{of_turn}", self.name));
        let missing = wanted.n_tokens - tokens.len() as u32;
        tokens.extend(words.draw(missing, &mut rng));
        if self.as_ids {
            Ok(Prompt::Tokens(tokens))
        } else {
            words.text(tokens, &mut rng).map(Prompt::Text)
        }
    }
}

/// The tokens that prompts are drawn from.
#[derive(Debug)]
pub(super) struct Words {
    tokenizer: Arc<Tokenizer>,
    tokens: Vec<u32>,
}

impl Words {
    /// Prefers tokens that are a space and a word: a text of them is cut at the spaces and
    /// gives the same tokens again.
    pub(super) fn of(tokenizer: &Arc<Tokenizer>) -> Result<Self, DataError> {
        let ordinary = tokenizer.ordinary_tokens();
        let mut words = Vec::new();
        for token in &ordinary {
            let text = tokenizer.decode(&[*token, *token])?;
            let word = text.strip_prefix(' ').unwrap_or(&text);
            let is_word = word.split(' ').count() == 2
                && word.split(' ').all(|half| {
                    half.len() > 1 && half.bytes().all(|byte| byte.is_ascii_alphabetic())
                });
            if is_word && tokenizer.encode(&text)? == [*token, *token] {
                words.push(*token);
            }
        }
        let tokens = if words.len() >= WORDS_MIN { words } else { ordinary };
        Ok(Self { tokenizer: Arc::clone(tokenizer), tokens })
    }

    pub(super) fn draw(&self, n: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
        (0..n).map(|_| self.tokens[rng.random_range(0..self.tokens.len())]).collect()
    }

    /// Returns a text that has exactly as many tokens as were given, which it begins with
    /// as far as they survive being text.
    pub(super) fn text(
        &self,
        mut tokens: Vec<u32>,
        rng: &mut ChaCha8Rng,
    ) -> Result<String, DataError> {
        let wanted = tokens.len();
        for _ in 0..TRIES {
            let text = self.tokenizer.decode(&tokens)?;
            let read = self.tokenizer.encode(&text)?;
            if read.len() == wanted {
                return Ok(text);
            }
            tokens = read;
            tokens.truncate(wanted);
            let missing = wanted - tokens.len();
            tokens.extend(self.draw(missing as u32, rng));
        }
        Err(DataError::new(
            "generated prompts",
            format!("no text of exactly {wanted} tokens was found in {TRIES} tries"),
            "send token ids: columns.prompt = \"token-ids\" with api = \"completions\"",
        ))
    }
}
