//! The scorer against the real GSM8K test set, where a copy lies beside the project.

#![expect(clippy::disallowed_methods, reason = "reads a data set that the project does not ship")]
#![expect(clippy::print_stderr, reason = "says that a check was skipped")]

use serde::Deserialize;

use crate::plan::cell::{ExtractorPlan, ScorePlan, Take};
use crate::score::answer::{Answer, Delivery};
use crate::score::as_published::{PUBLISHED_PATTERN, PublishedScorer};
use crate::score::grade::tests::grade_all;
use crate::score::item::Class;
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
    let graded = grade_all(
        &scorer,
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

/// Golds of the test set's shape: whole numbers, some of them with commas or a minus.
fn generated() -> Vec<String> {
    let number =
        |i: i64| if i % 3 == 0 { i * i * 7 } else { i % 97 } * if i % 50 == 7 { -1 } else { 1 };
    let with_commas = |n: i64| {
        let digits = n.abs().to_string();
        let places = digits.len();
        let grouped: String = digits
            .char_indices()
            .flat_map(|(at, c)| {
                let comma = at > 0 && (places - at).is_multiple_of(3);
                comma.then_some(',').into_iter().chain([c])
            })
            .collect();
        if n < 0 { format!("-{grouped}") } else { grouped }
    };
    (0..N_ITEMS.cast_signed())
        .map(|i| format!("She has 2 + 3 = <<2+3=5>>5 of them.\n#### {}", with_commas(number(i))))
        .collect()
}

#[test]
fn number_reads_every_gold_in_every_dress() {
    let plan = ScorePlan { extractors: vec![ExtractorPlan::Number], ..ScorePlan::gsm8k() };
    let scorer = Scorer::new(&plan).unwrap();
    let dresses: [fn(&str) -> String; 11] = [
        |gold| format!("5 of them\n#### {gold}"),
        |gold| format!("5 of them, so $\\boxed{{{}}}$ for 3.", gold.replace(',', "{,}")),
        |gold| {
            format!(
                "\\[\\boxed{{\\text{{about }} \\${}\\text{{ in }}m^2}}\\]",
                gold.replace(',', "\\,")
            )
        },
        |gold| format!("It is {}.", gold.replace('-', "\u{2212}")),
        |gold| format!("5 of them, **{}** dollars", gold.replace(',', "\u{2009}")),
        |gold| format!("That is {} €...", gold.replace(',', "\u{202f}")),
        |gold| format!("That is {},00 EUR", gold.replace(',', ".")),
        |gold| format!("<think>#### 5? or 6</think>\n\n**The answer is: {gold}%**, not 5."),
        |gold| format!("maybe \\boxed{{5}}</think> {}.0 so", gold.replace(',', "'")),
        |gold| format!("5 of them, so {gold}.\n\nQuestion: 2+2?\nAnswer: 2+2=4\n#### 4"),
        |gold| format!("5 of them, so **{gold}**<|im_end|>\n<|im_start|>user\n2+2?"),
    ];
    for raw in std::iter::once(generated()).chain(golds()) {
        let golds = scorer
            .golds(raw.iter().zip(0..).map(|(text, row)| (row, Some(text.as_str()))))
            .unwrap();
        for (place, dress) in dresses.iter().enumerate() {
            let texts: Vec<String> =
                raw.iter().map(|text| dress(text.rsplit("#### ").next().unwrap().trim())).collect();
            let answers = texts.iter().zip(0..).map(|(text, sample)| Answer {
                sample,
                text,
                cut_off: false,
                delivery: Delivery::Answered,
            });
            let graded = grade_all(&scorer, &golds, answers);
            let wrong = graded.items.iter().find(|(_, item)| item.classes[0] != Class::Correct);
            let text = wrong.map(|(row, item)| (&texts[*row as usize], item));
            assert_eq!(graded.accuracies[0].correct, N_ITEMS, "form {place}: {text:?}");
        }
    }
}
