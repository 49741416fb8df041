//! Multiple choice and competition problems, asked and graded as by lm-evaluation-harness.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::{jsonl, python, script};

/// Lines of {task, row, examples, prompt, gold}; the library's tests hold our prompts against them.
#[test]
fn the_prompts_that_ours_are_held_against_are_the_harness_s_own() {
    let Some(python) = python() else { return };
    let file = script("prompts.jsonl");
    let theirs = jsonl(Command::new(python).arg(script("tasks.py")).arg("prompts").arg(&file));
    let text = fs::read_to_string(file).unwrap();
    let kept: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(theirs.len(), kept.len());
    for (kept, theirs) in kept.iter().zip(&theirs) {
        let prompt = theirs["prompt"].as_str().unwrap();
        // The file of this task has `\n` between single quotes, which YAML keeps as two letters.
        let is_arc = kept["task"] == "arc-challenge";
        let prompt = if is_arc { prompt.replace("\\n", "\n") } else { prompt.to_owned() };
        assert_eq!((&kept["prompt"], &kept["gold"]), (&json!(prompt), &theirs["gold"]));
    }
}

/// Answers to a question of multiple choice; `{}` is a letter.
const LETTERS: [&str; 20] = [
    "{}",
    " {}",
    "{}.",
    "({})",
    "**{}**",
    "{} ",
    "{} .",
    "{}\nbecause",
    "\n{}",
    "",
    "{}. Paris",
    "I think {}",
    "The answer is {}",
    "the answer is ({}).",
    "answer is {}, no: answer is (D)",
    "The answer is: {}",
    "Answer: {}",
    "So the answer is **{}**",
    "<think>the answer is (D)</think>the answer is ({})",
    "none",
];

/// Numbers as they are written where both readers know the form, and their values.
const NUMBERS: [(&str, &str); 9] = [
    ("72", "72"),
    ("-5", "-5"),
    ("1000", "1000"),
    ("0.5", "0.5"),
    ("\\frac{1}{2}", "0.5"),
    ("\\dfrac{3}{4}", "\\frac{3}{4}"),
    ("\\frac34", "\\frac{3}{4}"),
    ("3/4", "\\frac{3}{4}"),
    ("204", "204"),
];

#[test]
fn answers_of_choice_and_number_are_graded_as_the_harness_grades_them() {
    let Some(python) = python() else { return };
    let mut lines: Vec<[String; 4]> = Vec::new();
    let mut add = |task: &str, extractor: &str, output: String, gold: &str| {
        lines.push([task.to_owned(), extractor.to_owned(), output, gold.to_owned()]);
    };
    for form in LETTERS {
        for letter in ["A", "b", "D", "J"] {
            for gold in ["A", "B", "J"] {
                let output = form.replace("{}", letter);
                add("mmlu", "first-line", output.clone(), gold);
                add("mmlu-pro", "answer-letter", output, gold);
            }
        }
    }
    for end in ["", " A", " B", "B", " (B)", " b", " C.", " b."] {
        for gold in ["A", "B", "C"] {
            add("arc-challenge", "choice", end.to_owned(), gold);
        }
    }
    for (written, _) in NUMBERS {
        for (_, gold) in NUMBERS {
            add("math-500", "number", written.to_owned(), gold);
            add("math-500", "number", format!("It is ${written}$."), gold);
            add("aime", "number", format!("So it is $\\boxed{{{written}}}$."), gold);
            add("aime", "number", format!("So ${written}$"), gold);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let of = |[task, _, output, gold]: &[String; 4]| json!({ "task": task, "output": output, "gold": gold });
    let theirs_in = dir.path().join("answers.jsonl");
    write(&theirs_in, lines.iter().map(of));
    let theirs = jsonl(Command::new(python).arg(script("tasks.py")).arg("answers").arg(&theirs_in));
    let mut n_right = 0;
    for (task, extractor) in [
        ("mmlu", "first-line"),
        ("mmlu-pro", "answer-letter"),
        ("arc-challenge", "choice"),
        ("math-500", "number"),
        ("aime", "number"),
    ] {
        let mine: Vec<_> = lines.iter().zip(&theirs).filter(|(line, _)| line[0] == task).collect();
        // The harness puts these words in front of the model's answer itself.
        let front = if task == "arc-challenge" { "The best answer is" } else { "" };
        let ours_in = dir.path().join(format!("{task}.jsonl"));
        write(&ours_in, mine.iter().map(|([_, _, output, gold], _)| {
            json!({ "output": format!("{front}{output}"), "gold": gold })
        }));
        let gold = if extractor == "number" { "number" } else { "whole" };
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        command.arg("score").arg(&ours_in).args(["--format", "jsonl", "--extract", extractor]);
        let punctuation = r"[!-/:-@\[-`{-~]";
        let normalise = if gold == "number" { ["trim"; 2] } else { [punctuation, "lowercase"] };
        command.args(["--gold", gold]);
        command.args(normalise.iter().flat_map(|step| ["--normalise", step]));
        let ours = jsonl(&mut command);
        assert_eq!(ours.len(), mine.len());
        for (ours, ([_, _, output, gold], theirs)) in ours.iter().zip(mine) {
            let is_right = ours["extractors"][extractor]["class"] == "correct";
            assert_eq!(json!(is_right), theirs["right"], "{task}: {output:?}, gold {gold:?}");
            n_right += u32::from(is_right);
        }
    }
    println!("{} answers graded alike, {n_right} of them right", lines.len());
    assert!(n_right > 100);
}

fn write(path: &std::path::Path, lines: impl Iterator<Item = Value>) {
    let text = lines.map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
    fs::write(path, text + "\n").unwrap();
}
