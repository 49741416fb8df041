//! Generated prompts of known lengths, for grids of input and output lengths.

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use crate::ids::content_hash;
use crate::plan::cell::LengthRange;
use crate::workload::dataset::Load;
use crate::workload::dataset::generated::{TOKEN_IDS, Words};
use crate::workload::error::DataError;
use crate::workload::request::{Prompt, Sample};
use crate::workload::samples::Samples;
use crate::workload::words;

/// Rows to measure with when neither a limit nor the plan's needs say how many.
const ROWS: u64 = 1_000;

/// What prompts are made of.
enum Vocabulary {
    /// Tokens of a tokenizer; the prompts are sent as token ids, or as text.
    Tokens { words: Words, as_ids: bool },
    /// Common English words.
    Words,
}

/// Makes the samples.
///
/// Lengths are of the prompt's own tokens or words: what an engine puts around them (a
/// begin-of-text token, a chat template) comes on top.
pub(super) fn generate(load: &Load<'_>) -> Result<Samples, DataError> {
    let plan = load.plan;
    let unclear = |message: &str, help: &str| DataError::new(load.name, message, help);
    let as_ids = plan.columns.get("prompt").is_some_and(|column| column == TOKEN_IDS);
    let (input, vocabulary) = match (plan.input_words, plan.input_tokens, load.tokenizer) {
        (Some(_), ..) if as_ids => {
            return Err(unclear(
                "token ids need a tokenizer",
                "set `tokenizer` and `input-tokens`",
            ));
        }
        (Some(input), ..) => (input, Vocabulary::Words),
        (None, Some(input), Some(tokenizer)) => {
            (input, Vocabulary::Tokens { words: Words::of(tokenizer)?, as_ids })
        }
        (None, Some(_), None) => {
            return Err(unclear(
                "prompts of exact lengths need a tokenizer",
                "set `tokenizer` on the data set, or give lengths in words: `input-words`",
            ));
        }
        (None, None, _) => {
            return Err(unclear(
                "no length of the prompts is given",
                "set `input-tokens` or `input-words` on the data set",
            ));
        }
    };
    if input.min == 0 || input.min > input.max || input.min < plan.shared_prefix_tokens {
        return Err(unclear(
            "the prompts' lengths are empty, or shorter than their shared prefix",
            "the length of a prompt counts its shared prefix too",
        ));
    }
    let (n_rows, reserve) = match (plan.limit, load.needs) {
        (Some(limit), Some(needs)) => (limit.min(needs), plan.reserve_for_warm_up),
        // A warm-up that time ends has as many prompts of its own as what it warms up for.
        (None, None) if plan.reserve_for_warm_up == 0 => (2 * ROWS, ROWS),
        (limit, needs) => (limit.or(needs).unwrap_or(ROWS), plan.reserve_for_warm_up),
    };
    let base_name = super::base_name(load.name);
    let stream = |part: &str| load.seed.stream(&format!("dataset/{base_name}/{part}"));
    let shared = |number: u32| {
        // The first one is what it was when there was no other.
        let part = if number == 0 { "prefix".to_owned() } else { format!("prefix/{number}") };
        vocabulary.draw(plan.shared_prefix_tokens, &mut stream(&part))
    };
    let prefixes: Vec<Vec<u32>> = (0..plan.shared_prefixes.unwrap_or(1)).map(shared).collect();
    let mut rows = Vec::new();
    for row in 0..n_rows {
        // A stream per row: more rows do not change those there were.
        let mut rng = stream(&format!("row/{row}"));
        let n = draw_length(input, &mut rng);
        let mut drawn = if is_warm(row, plan.warm.unwrap_or(1.0)) {
            let which = stream(&format!("row/{row}/prefix")).random_range(0..prefixes.len());
            prefixes[which].clone()
        } else {
            vocabulary.draw(plan.shared_prefix_tokens, &mut stream(&format!("row/{row}/prefix")))
        };
        drawn.extend(vocabulary.draw(n - plan.shared_prefix_tokens, &mut rng));
        rows.push(Sample {
            row,
            turns: vec![vocabulary.prompt(drawn, &mut rng)?],
            output_tokens: plan.output_tokens.map(|range| draw_length(range, &mut rng)),
            ..Sample::default()
        });
    }
    let n_distinct = super::n_distinct_prompts(&rows);
    let prefixes = plan.shared_prefixes.map(|n| (n, plan.warm)).or(plan.warm.map(|w| (1, Some(w))));
    let lengths = (input, plan.output_tokens, plan.shared_prefix_tokens);
    let recipe = match load.tokenizer.filter(|_| plan.input_words.is_none()) {
        Some(tokenizer) => {
            content_hash(&((base_name, load.seed, n_rows, tokenizer.sha256(), as_ids), lengths))
        }
        None => content_hash(&((base_name, load.seed, n_rows, "words"), lengths)),
    };
    let recipe = match prefixes {
        Some(prefixes) => content_hash(&(recipe, prefixes)),
        None => recipe,
    };
    Ok(Samples {
        reserve: usize::try_from(reserve).unwrap_or(usize::MAX / 2),
        system: plan.system.clone(),
        cycle: plan.cycle,
        n_samples: rows.len() as u64,
        n_distinct,
        recipe_sha256: Some(recipe),
        rows,
        ..Samples::default()
    })
}

/// Whether a row begins with a shared prefix: so many of every stretch of rows do, to one.
fn is_warm(row: u64, share: f64) -> bool {
    let n_before = |rows: u64| (rows as f64 * share).floor();
    n_before(row + 1) > n_before(row)
}

impl Vocabulary {
    fn draw(&self, n: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
        match self {
            Self::Tokens { words, .. } => words.draw(n, rng),
            Self::Words => words::draw(n, rng),
        }
    }

    /// Returns a prompt in the form in which it is sent.
    fn prompt(&self, drawn: Vec<u32>, rng: &mut ChaCha8Rng) -> Result<Prompt, DataError> {
        match self {
            Self::Tokens { as_ids: true, .. } => Ok(Prompt::Tokens(drawn)),
            Self::Tokens { words, as_ids: false } => words.text(drawn, rng).map(Prompt::Text),
            Self::Words => Ok(Prompt::Text(words::spelled(&drawn))),
        }
    }
}

fn draw_length(range: LengthRange, rng: &mut ChaCha8Rng) -> u32 {
    rng.random_range(range.min..=range.max.max(range.min))
}
