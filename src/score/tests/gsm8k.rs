//! The scorer against the real GSM8K test set, where a copy lies beside the project.

#![expect(clippy::disallowed_methods, reason = "reads a data set that the project does not ship")]
#![expect(clippy::print_stderr, reason = "says that a check was skipped")]

use serde::Deserialize;

use crate::plan::cell::{ExtractorPlan, Take};
use crate::score::answer::{Answer, Delivery};
use crate::score::as_published::{PUBLISHED_PATTERN, PublishedScorer};
use crate::score::scorer::Scorer;
use crate::score::scorer::tests::gsm8k;

const TEST_SET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/gsm8k/test.jsonl");
const N_ITEMS: u64 = 1_319;

#[derive(Deserialize)]
struct Row {
    answer: String,
}

/// Returns the gold texts, or `None` where the test set is not to be had.
fn golds() -> Option<Vec<String>> {
    let Ok(text) = std::fs::read_to_string(TEST_SET) else {
        eprintln!("skipped: no GSM8K test set at {TEST_SET}");
        return None;
    };
    let read = |line| serde_json::from_str::<Row>(line).unwrap().answer;
    Some(text.lines().map(read).collect())
}

#[test]
fn strict_and_flexible_read_every_gold_of_gsm8k() {
    let Some(raw) = golds() else { return };
    let scorer = Scorer::new(&gsm8k()).unwrap();
    let rows = || raw.iter().zip(0..).map(|(text, row)| (row, text.as_str()));
    let golds = scorer.golds(rows().map(|(row, text)| (row, Some(text)))).unwrap();
    let graded = scorer.grade(
        &golds,
        rows().map(|(sample, text)| Answer {
            sample,
            text,
            cut_off: false,
            delivery: Delivery::Answered,
        }),
    );
    for accuracy in &graded.accuracies[..2] {
        assert_eq!((accuracy.correct, accuracy.n), (N_ITEMS, N_ITEMS), "{}", accuracy.extractor);
    }
    let marked = |text: &String| text.rsplit("#### ").next().unwrap().to_owned();
    assert_eq!(raw.iter().filter(|text| marked(text).contains(',')).count(), 14);
    assert_eq!(raw.iter().filter(|text| marked(text).starts_with('-')).count(), 2);
}

#[test]
fn the_published_pattern_reads_no_gold_of_gsm8k() {
    let Some(raw) = golds() else { return };
    let mut published = PublishedScorer::new();
    for text in &raw {
        published.push(text, "Janet makes 18 dollars.");
    }
    let found = published.finish();
    assert_eq!((found.golds_parsed, found.correct_by_absence, found.n), (0, N_ITEMS, N_ITEMS));

    let mut plan = gsm8k();
    plan.gold = ExtractorPlan::Regex {
        name: "published".to_owned(),
        pattern: PUBLISHED_PATTERN.to_owned(),
        take: Take::First,
    };
    let samples = raw.iter().zip(0..).map(|(text, row)| (row, Some(text.as_str())));
    assert_eq!(Scorer::new(&plan).unwrap().golds(samples).unwrap_err().n_bad, N_ITEMS);
}
