//! Generated prompts of exact token lengths, for grids of input and output lengths.

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use crate::ids::content_hash;
use crate::plan::cell::LengthRange;
use crate::workload::dataset::Load;
use crate::workload::dataset::generated::{TOKEN_IDS, Words};
use crate::workload::error::DataError;
use crate::workload::request::{Prompt, Sample};
use crate::workload::samples::Samples;

/// Rows when neither a limit nor the plan's needs say how many.
const ROWS: u64 = 1_000;

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
