//! Multiple choice and competition problems, in the columns of their published files.

use serde::Deserialize as _;
use serde_json::Value;

use crate::plan::cell::{BadRows, DatasetPlan, Source};
use crate::workload::dataset::tests::sources::{asked, plan, texts};
use crate::workload::dataset::{Load, load, load_with_shots};
use crate::workload::input::Input;
use crate::workload::samples::Samples;

/// The prompts as they are sent, with what stands in front, and their golds.
fn whole(samples: &Samples) -> Vec<(String, &str)> {
    let rows = samples.rows();
    let prompts = rows.iter().zip(texts(rows));
    prompts
        .map(|(row, text)| {
            (format!("{}{text}", samples.prefix_of(row)), row.gold.as_deref().unwrap())
        })
        .collect()
}

fn read(source: Source, n_shots: u32, rows: &str, examples: &str) -> Samples {
    let plan = DatasetPlan { n_shots, ..plan(source) };
    let shots = match examples {
        "" => Vec::new(),
        text => vec![Input::bytes("dev.jsonl", text.to_owned())],
    };
    load_with_shots(&asked(&plan), vec![Input::bytes("x.jsonl", rows.to_owned())], shots).unwrap()
}

#[test]
fn prompts_and_golds_are_those_of_lm_evaluation_harness() {
    // `tests/lm_eval` holds the file against the harness itself.
    let lines = include_str!("../../../../tests/lm_eval/prompts.jsonl").lines();
    for line in lines.map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let source = Source::deserialize(line["task"].clone()).unwrap();
        let examples = line["examples"].as_array().unwrap();
        let text: Vec<String> = examples.iter().map(Value::to_string).collect();
        let samples =
            read(source, examples.len() as u32, &line["row"].to_string(), &text.join("\n"));
        let expected = (line["prompt"].as_str().unwrap(), line["gold"].as_str().unwrap());
        let found = whole(&samples);
        assert_eq!((found[0].0.as_str(), found[0].1), expected);
    }
}

#[test]
fn mmlu_has_its_subject_and_the_examples_of_that_in_front() {
    let rows = r#"{"question":" Two? ","subject":"high_school_physics","choices":["1","2","3","4"],"answer":1}
{"question":"Law?","subject":"law","choices":["a","b","c","d"],"answer":"D"}"#;
    let examples = r#"{"question":"One?","subject":"high_school_physics","choices":["1","2","3","4"],"answer":0}
{"question":"More?","subject":"high_school_physics","choices":["1","2","3","4"],"answer":0}
{"question":"No law?","subject":"law","choices":["e","f","g","h"],"answer":2}"#;
    let samples = read(Source::Mmlu, 1, rows, examples);
    let [physics, law] = whole(&samples).try_into().unwrap();
    insta::assert_snapshot!(physics.0, @r"
    The following are multiple choice questions (with answers) about high school physics.

    One?
    A. 1
    B. 2
    C. 3
    D. 4
    Answer: A

    Two?
    A. 1
    B. 2
    C. 3
    D. 4
    Answer:
    ");
    assert_eq!((physics.1, law.1), ("B", "D"));
    assert!(law.0.contains("about law.\n\nNo law?\nA. e") && law.0.contains("Answer: C\n\nLaw?"));
    let bare = read(Source::Mmlu, 0, rows, "");
    assert!(whole(&bare)[1].0.starts_with("The following are") && whole(&bare)[1].0.len() < 120);
    // Without a file of them, each subject gives its own first rows.
    let own = read(Source::Mmlu, 1, &format!("{examples}\n{rows}"), "");
    assert_eq!(own.n_samples, 3);
}

#[test]
fn a_gold_is_a_letter_of_the_rows_choices_or_the_row_is_bad() {
    let row = |source: Source, gold: &str| {
        let row = match source {
            Source::Mmlu => {
                format!(r#"{{"question":"?","choices":["1","x","y"],"answer":{gold}}}"#)
            }
            Source::MmluPro => {
                format!(r#"{{"question":"?","options":["1 "," x","y"],"answer":{gold}}}"#)
            }
            _ => format!(
                r#"{{"question":"?","choices":{{"text":["1","x","y"]}},"answerKey":{gold}}}"#
            ),
        };
        load(&asked(&plan(source)), vec![Input::bytes("x.jsonl", row)])
    };
    for source in [Source::Mmlu, Source::MmluPro, Source::ArcEasy] {
        let from_one = source == Source::ArcEasy;
        let second = if from_one { ["2", "\"2\"", "2.0"] } else { ["1", "\"1\"", "1.0"] };
        for gold in ["\"B\"", "\" b\"", "\"(B)\"", "\"x\""].into_iter().chain(second) {
            let samples = row(source, gold).unwrap();
            assert_eq!(samples.rows()[0].gold.as_deref(), Some("B"), "{source:?} {gold}");
        }
        for gold in ["\"D\"", "7", "\"7\"", "-1", "\"z\"", "0.5", "[1]", "true", "\"\""] {
            let error = row(source, gold).unwrap_err();
            let message = "is no letter, number or text of one of its 3 choices";
            assert!(error.message.contains(message), "{source:?} {gold}: {error}");
        }
        assert!(row(source, "null").unwrap_err().message.contains("missing or null"));
    }
    // A choice that lm-evaluation-harness does not offer keeps its letter, and is never met.
    let five = r#"{"question":"?","choices":{"text":["1","2","3","4","5"]},"answerKey":"E"}"#;
    assert_eq!(whole(&read(Source::ArcEasy, 0, five, ""))[0].1, "E");
}

#[test]
fn a_letter_and_a_number_that_contradict_each_other_are_no_gold() {
    let read = |index: &str| {
        let row = format!(
            r#"{{"question":"?","options":["a","b","c"],"answer":"B","answer_index":{index}}}"#
        );
        load(&asked(&plan(Source::MmluPro)), vec![Input::bytes("x.jsonl", row)])
    };
    for index in ["1", "1.0", "\"1\"", "null"] {
        assert_eq!(read(index).unwrap().rows()[0].gold.as_deref(), Some("B"), "{index}");
    }
    for index in ["0", "2"] {
        let error = read(index).unwrap_err();
        assert_eq!(error.place, "line 1, column `answer_index`");
        assert!(error.message.ends_with(", and `answer` says B"), "{error}");
    }
    assert!(read("3").unwrap_err().message.contains("of one of its 3 choices"));
    // Counted by its kind where bad rows are left out.
    let rows = r#"{"question":"?","options":["a","b"],"answer":"B","answer_index":1}
{"question":"!","options":["a","b"],"answer":"B","answer_index":0}"#;
    let plan = DatasetPlan { bad_rows: BadRows::Skip, ..plan(Source::MmluPro) };
    let samples = load(&asked(&plan), vec![Input::bytes("x.jsonl", rows.as_bytes())]).unwrap();
    assert_eq!(samples.left_out, [("two golds that contradict each other".to_owned(), 1)]);
}

#[test]
fn mmlu_pro_shows_steps_in_its_examples() {
    let rows = r#"{"question":"Two?","options":["1 "," 2","3"],"answer":"B","category":"math","cot_content":""}"#;
    let examples = r#"{"question":"One?","options":["1","2"],"answer":"A","category":"math","cot_content":"A: Let's think step by step. One is 1. The answer is (A)."}"#;
    let samples = read(Source::MmluPro, 1, rows, examples);
    insta::assert_snapshot!(whole(&samples)[0].0, @r#"
    The following are multiple choice questions (with answers) about math. Think step by step and then finish your answer with "the answer is (X)" where X is the correct letter choice.
    Question:
    One?
    Options:
    A. 1
    B. 2
    Answer: Let's think step by step. One is 1. The answer is (A).

    Question:
    Two?
    Options:
    A. 1
    B. 2
    C. 3
    Answer: Let's think step by step.
    "#);
    assert_eq!(whole(&samples)[0].1, "B");
}

#[test]
fn arc_offers_at_most_four_choices_with_letters_for_numbers() {
    let rows = r#"{"id":"1","question":"Why?","choices":{"text":["a","b","c"],"label":["1","2","3"]},"answerKey":"2"}
{"id":"2","question":"How?","choices":{"text":["a","b","c","d","e"],"label":["A","B","C","D","E"]},"answerKey":"D"}"#;
    let samples = read(Source::ArcChallenge, 0, rows, "");
    let [why, how] = whole(&samples).try_into().unwrap();
    insta::assert_snapshot!(why.0, @r#"
    Given the following question and four candidate answers (A, B, C and D), choose the best answer.
    Question: Why?
    A. a
    B. b
    C. c
    Your response should end with "The best answer is [the_answer_letter]" where the [the_answer_letter] is one of A, B, C or D.
    "#);
    assert_eq!((why.1, how.1), ("B", "D"));
    assert!(how.0.contains("D. d\nYour response"));
}

#[test]
fn competition_problems_are_found_by_each_spelling_of_their_columns() {
    let math = r#"{"problem":"1+1?","solution":"It is $\\boxed{2}$.","answer":"2","subject":"Algebra","level":1}"#;
    let aime = r#"{"ID":"2024-I-1","Problem":"2+2?","Solution":"…","Answer":4}
{"ID":"1983-1","Question":"3+3?","Answer":"6"}
{"id":"0","problem":"4+4?","answer":"8"}"#;
    assert_eq!(whole(&read(Source::Math500, 0, math, "")), [("1+1?".to_owned(), "2")]);
    let found = read(Source::Aime, 0, aime, "");
    let golds: Vec<_> = whole(&found).into_iter().map(|(_, gold)| gold).collect();
    assert_eq!(golds, ["4", "6", "8"]);
    let found = read(Source::Aime, 1, aime, "");
    assert_eq!(whole(&found)[0].0, "Question: 2+2?\nAnswer: 4\n\nQuestion: 3+3?\nAnswer:");
}

#[test]
fn rows_whose_gold_no_score_reads_are_left_out_by_that_kind() {
    let rows = r#"{"problem":"1+1?","answer":"2"}
{"problem":"x?","answer":"x+1"}
{"problem":"Half?","answer":"\\frac{1}{2}"}"#;
    let plan = plan(Source::Math500);
    let reads = |gold: &str| gold != "x+1";
    let asked = Load { reads_gold: Some(&reads), ..asked(&plan) };
    let samples = load(&asked, vec![Input::bytes("test.jsonl", rows.as_bytes())]).unwrap();
    assert_eq!(samples.n_samples, 2);
    assert_eq!(samples.left_out, [("a gold that the score cannot read".to_owned(), 1)]);
}
