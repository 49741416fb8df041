//! Prompts made of random words, in exact numbers of tokens.

use std::cell::OnceCell;

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use crate::seed::Seed;
use crate::workload::error::DataError;
use crate::workload::request::Prompt;
use crate::workload::tokenizer::Tokenizer;

/// Column name by which a scenario asks for token ids rather than text.
pub(super) const TOKEN_IDS: &str = "token-ids";
/// Times a text is cut or lengthened until it has its length.
const TRIES: u32 = 64;
/// Fewer whole words than this in the vocabulary, and all its tokens are used.
const WORDS_MIN: usize = 64;

/// The length of a prompt that is to be made, and what of it others share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// Tokens.
    pub(super) n_tokens: u32,
    /// Blocks that it begins with: equal ids are equal tokens.
    pub(super) blocks: Vec<u64>,
    /// Tokens of a block.
    pub(super) block_tokens: u32,
}

impl Wanted {
    /// Whether a part of it is unlike all other prompts.
    pub(super) fn is_unique(&self) -> bool {
        self.blocks.len() as u64 * u64::from(self.block_tokens) < u64::from(self.n_tokens)
    }
}

/// Makes the prompts of a data set.
pub(super) struct Maker<'a> {
    tokenizer: &'a Tokenizer,
    words: OnceCell<Words<'a>>,
    seed: Seed,
    /// Name of the data set in random streams.
    name: &'a str,
    as_ids: bool,
}

impl<'a> Maker<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, seed: Seed, name: &'a str, as_ids: bool) -> Self {
        Self { tokenizer, words: OnceCell::new(), seed, name, as_ids }
    }

    /// Makes the prompt of a row's turn, from 0.
    pub(super) fn prompt(
        &self,
        wanted: &Wanted,
        row: u64,
        turn: usize,
    ) -> Result<Prompt, DataError> {
        if self.words.get().is_none() {
            let words = Words::of(self.tokenizer)?;
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
pub(super) struct Words<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
}

impl<'a> Words<'a> {
    /// Prefers tokens that are a space and a word: a text of them is cut at the spaces and
    /// gives the same tokens again.
    pub(super) fn of(tokenizer: &'a Tokenizer) -> Result<Self, DataError> {
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
        Ok(Self { tokenizer, tokens })
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
