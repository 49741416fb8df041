//! Generated prompts of exact token lengths, for grids of input and output lengths.

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use crate::ids::content_hash;
use crate::plan::cell::LengthRange;
use crate::workload::dataset::Load;
use crate::workload::error::DataError;
use crate::workload::request::{Prompt, Sample};
use crate::workload::samples::Samples;
use crate::workload::tokenizer::Tokenizer;

/// Rows when neither a limit nor the plan's needs say how many.
const ROWS: u64 = 1_000;
/// Column name by which a scenario asks for token ids rather than text.
const TOKEN_IDS: &str = "token-ids";
/// Times a text is cut or lengthened until it has its length.
const TRIES: u32 = 64;
/// Fewer whole words than this in the vocabulary, and all its tokens are used.
const WORDS_MIN: usize = 64;

/// Makes the samples.
///
/// Lengths are of the prompt's own tokens: what an engine puts around them (a begin-of-text
/// token, a chat template) comes on top.
pub(super) fn generate(load: &Load<'_>) -> Result<Samples, DataError> {
    let plan = load.plan;
    let unclear = |message: &str, help: &str| DataError::new(load.name, message, help);
    let tokenizer = load.tokenizer.ok_or_else(|| {
        unclear("prompts of exact lengths need a tokenizer", "set `tokenizer` on the data set")
    })?;
    let input = plan.input_tokens.ok_or_else(|| {
        unclear("no length of the prompts is given", "set `input-tokens` on the data set")
    })?;
    if input.min == 0 || input.min > input.max || input.min < plan.shared_prefix_tokens {
        return Err(unclear(
            "the prompts' lengths are empty, or shorter than their shared prefix",
            "`input-tokens` counts the shared prefix too",
        ));
    }
    let n_rows = match (plan.limit, load.needs) {
        (Some(limit), Some(needs)) => limit.min(needs),
        (limit, needs) => limit.or(needs).unwrap_or(ROWS),
    };
    let words = Words::of(tokenizer)?;
    let mut rng = load.seed.stream(&format!("dataset/{}/prefix", super::base_name(load.name)));
    let prefix = words.draw(plan.shared_prefix_tokens, &mut rng);
    let as_ids = plan.columns.get("prompt").is_some_and(|column| column == TOKEN_IDS);
    let mut rows = Vec::new();
    for row in 0..n_rows {
        // A stream per row: more rows do not change those there were.
        let mut rng =
            load.seed.stream(&format!("dataset/{}/row/{row}", super::base_name(load.name)));
        let n_tokens = draw_length(input, &mut rng);
        let mut tokens = prefix.clone();
        tokens.extend(words.draw(n_tokens - plan.shared_prefix_tokens, &mut rng));
        let prompt = if as_ids {
            Prompt::Tokens(tokens)
        } else {
            Prompt::Text(words.text(tokens, &mut rng)?)
        };
        rows.push(Sample {
            row,
            turns: vec![prompt],
            output_tokens: plan.output_tokens.map(|range| draw_length(range, &mut rng)),
            ..Sample::default()
        });
    }
    let n_distinct = super::n_distinct_prompts(&rows);
    let recipe = (
        (super::base_name(load.name), load.seed, n_rows, tokenizer.sha256(), as_ids),
        (input, plan.output_tokens, plan.shared_prefix_tokens),
    );
    Ok(Samples {
        reserve: usize::try_from(plan.reserve_for_warm_up).unwrap_or(usize::MAX / 2),
        system: plan.system.clone(),
        cycle: plan.cycle,
        n_samples: rows.len() as u64,
        n_distinct,
        recipe_sha256: Some(content_hash(&recipe)),
        rows,
        ..Samples::default()
    })
}

fn draw_length(range: LengthRange, rng: &mut ChaCha8Rng) -> u32 {
    rng.random_range(range.min..=range.max.max(range.min))
}

/// The tokens that prompts are drawn from.
struct Words<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
}

impl<'a> Words<'a> {
    /// Prefers tokens that are a space and a word: a text of them is cut at the spaces and
    /// gives the same tokens again.
    fn of(tokenizer: &'a Tokenizer) -> Result<Self, DataError> {
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

    fn draw(&self, n: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
        (0..n).map(|_| self.tokens[rng.random_range(0..self.tokens.len())]).collect()
    }

    /// Returns a text that has exactly as many tokens as were given, which it begins with
    /// as far as they survive being text.
    fn text(&self, mut tokens: Vec<u32>, rng: &mut ChaCha8Rng) -> Result<String, DataError> {
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
            "random",
            format!("no text of exactly {wanted} tokens was found in {TRIES} tries"),
            "send token ids: columns.prompt = \"token-ids\" with api = \"completions\"",
        ))
    }
}
