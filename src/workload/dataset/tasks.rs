//! Questions of multiple choice and of competitions, asked as lm-evaluation-harness 0.4 asks them.
//!
//! Source: its tasks `mmlu_*_generative`, `mmlu_pro`, `arc_challenge_chat`, `hendrycks_math500` and
//! `aime`.

use serde_json::Value;

use crate::plan::cell::Source;
use crate::workload::bad_rows::RowKind;
use crate::workload::dataset::Problem;

/// Letters of the choices, at most ten.
const LETTERS: [&str; 10] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];
/// What stands in front of MMLU-Pro's examples, and not of their answers here.
const STEPS: &str = "A: Let's think step by step. ";

/// The column in which MMLU-Pro has the number of the right option, from 0.
const INDEX: &str = "answer_index";

/// A question as it is asked; empty for rows of other sources.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) prompt: Option<String>,
    pub(super) gold: Option<String>,
    /// The answer that it has as a worked example, where that is not the gold.
    pub(super) example: Option<String>,
    /// What stands in front of all questions of its subject: their examples are its own.
    pub(super) subject: Option<String>,
}

/// Columns of competition questions, by the spellings of their published files.
const QUESTION: [&str; 4] = ["problem", "Problem", "question", "Question"];
const ANSWER: [&str; 2] = ["answer", "Answer"];

/// Reads the question of a row, behind worked examples or alone.
type Wording = fn(&Value, bool) -> Result<Task, Problem>;

/// Returns how the rows of one of these sources are worded; `None` for any other source.
pub(super) fn wording(source: Source) -> Option<Wording> {
    Some(match source {
        Source::Mmlu => |row, _| mmlu(row),
        Source::MmluPro => |row, _| mmlu_pro(row),
        Source::ArcChallenge | Source::ArcEasy => |row, _| arc(row),
        Source::Math500 => |row, has_examples| competition(row, has_examples.then_some("Problem")),
        Source::Aime => |row, has_examples| competition(row, has_examples.then_some("Question")),
        _ => return None,
    })
}

/// Returns the columns that these sources are worded by; none of any other source.
pub(super) fn columns(source: Source) -> &'static [&'static str] {
    match source {
        Source::Mmlu => &["question", "choices", "answer", "subject"],
        Source::MmluPro => &["question", "options", "answer", INDEX, "cot_content", "category"],
        Source::ArcChallenge | Source::ArcEasy => &["question", "choices", "answerKey"],
        Source::Math500 | Source::Aime => {
            &[QUESTION[0], QUESTION[1], QUESTION[2], QUESTION[3], ANSWER[0], ANSWER[1]]
        }
        _ => &[],
    }
}

fn mmlu(row: &Value) -> Result<Task, Problem> {
    let question = text(row, &["question"])?;
    let choices = texts(row, "choices")?;
    let gold = letter(row, "answer", &choices, 0)?;
    let subject = row.get("subject").and_then(Value::as_str).filter(|subject| !subject.is_empty());
    Ok(Task {
        prompt: Some(format!("{}\n{}\nAnswer:", question.trim(), listed(&choices))),
        gold: Some(gold.to_owned()),
        example: None,
        subject: subject.map(|subject| {
            let subject = subject.replace('_', " ");
            format!(
                "The following are multiple choice questions (with answers) about {subject}.\n\n"
            )
        }),
    })
}

fn mmlu_pro(row: &Value) -> Result<Task, Problem> {
    let question = text(row, &["question"])?;
    let options: Vec<String> =
        texts(row, "options")?.iter().map(|option| option.trim().to_owned()).collect();
    let gold = letter(row, "answer", &options, 0)?;
    // Each row says it twice, by its letter and by its number.
    if row.get(INDEX).is_some_and(|index| !index.is_null()) {
        let other = letter(row, INDEX, &options, 0)?;
        if other != gold {
            let message = format!("says {other}, and `answer` says {gold}");
            let (kind, column) = (RowKind::TwoGolds, Some(INDEX.to_owned()));
            return Err(Problem { kind, column, message });
        }
    }
    let steps = row.get("cot_content").and_then(Value::as_str).filter(|steps| !steps.is_empty());
    let subject = row.get("category").and_then(Value::as_str).filter(|subject| !subject.is_empty());
    Ok(Task {
        prompt: Some(format!(
            "Question:\n{question}\nOptions:\n{}\nAnswer: Let's think step by step.",
            listed(&options)
        )),
        gold: Some(gold.to_owned()),
        example: steps.map(|steps| steps.replace(STEPS, "")),
        subject: subject.map(|subject| {
            format!(
                "The following are multiple choice questions (with answers) about {subject}. Think \
                 step by step and then finish your answer with \"the answer is (X)\" where X is \
                 the correct letter choice.\n"
            )
        }),
    })
}

fn arc(row: &Value) -> Result<Task, Problem> {
    /// More are not offered, as the task says that there are four.
    const MAX_CHOICES: usize = 4;
    let question = text(row, &["question"])?;
    let choices = row.get("choices").ok_or_else(|| missing("choices"))?;
    let mut choices = texts(choices, "text")?;
    let gold = letter(row, "answerKey", &choices, 1)?;
    choices.truncate(MAX_CHOICES);
    Ok(Task {
        prompt: Some(format!(
            "Given the following question and four candidate answers (A, B, C and D), choose the \
             best answer.\nQuestion: {}\n{}\nYour response should end with \"The best answer is \
             [the_answer_letter]\" where the [the_answer_letter] is one of A, B, C or D.",
            question.trim(),
            listed(&choices)
        )),
        gold: Some(gold.to_owned()),
        example: Some(format!("The best answer is {gold}")),
        subject: None,
    })
}

/// `form` is what the question is called where worked examples stand in front of it.
fn competition(row: &Value, form: Option<&str>) -> Result<Task, Problem> {
    let question = text(row, &QUESTION)?;
    let gold = ANSWER.iter().find_map(|name| row.get(*name)).filter(|value| !value.is_null());
    let gold = match gold {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(wrong("answer", "is no text or number")),
        None => return Err(missing("answer")),
    };
    let prompt = match form {
        Some(form) => format!("{form}: {question}\nAnswer:"),
        None => question.to_owned(),
    };
    Ok(Task { prompt: Some(prompt), gold: Some(gold), ..Task::default() })
}

fn listed(choices: &[String]) -> String {
    let lines = LETTERS.iter().zip(choices);
    lines.map(|(letter, choice)| format!("{letter}. {choice}")).collect::<Vec<_>>().join("\n")
}

/// Returns the letter of the choice that a column names: by its letter, by its number, where the first
/// choice has that of `first`, or by its text.
fn letter(
    row: &Value,
    name: &str,
    choices: &[String],
    first: usize,
) -> Result<&'static str, Problem> {
    let value = row.get(name).filter(|value| !value.is_null()).ok_or_else(|| missing(name))?;
    let written = match value {
        Value::String(text) => text.trim().to_owned(),
        // Data frames with a gap write whole numbers as 1.0.
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        _ => value.to_string(),
    };
    let bare = written.trim_matches(['(', ')', '.', ' ']);
    let by_letter = LETTERS.iter().position(|letter| letter.eq_ignore_ascii_case(bare));
    let by_number = || written.parse::<usize>().ok()?.checked_sub(first);
    let by_text = || choices.iter().position(|choice| choice.trim() == written);
    let is_choice = |at: &usize| *at < choices.len().min(LETTERS.len());
    let at = by_letter.filter(is_choice).or_else(|| by_number().filter(is_choice)).or_else(by_text);
    at.and_then(|at| LETTERS.get(at)).copied().ok_or_else(|| {
        let shown: String = written.escape_debug().take(60).collect();
        let n = choices.len();
        let message = format!("`{shown}` is no letter, number or text of one of its {n} choices");
        Problem { kind: RowKind::NoChoice, column: Some(name.to_owned()), message }
    })
}

fn text<'r>(row: &'r Value, names: &[&str]) -> Result<&'r str, Problem> {
    let value = names.iter().find_map(|name| row.get(*name)).filter(|value| !value.is_null());
    let text = value.ok_or_else(|| missing(names[0]))?.as_str();
    match text.ok_or_else(|| wrong(names[0], "is not a text"))? {
        empty if empty.trim().is_empty() => Err(Problem {
            kind: RowKind::Empty,
            column: Some(names[0].to_owned()),
            message: "is empty".to_owned(),
        }),
        text => Ok(text),
    }
}

/// Returns a list of texts, or one that a text holds as JSON: so tables of texts alone have it.
fn texts(row: &Value, name: &str) -> Result<Vec<String>, Problem> {
    let value = row.get(name).ok_or_else(|| missing(name))?;
    let written = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let list = written.as_ref().unwrap_or(value).as_array().filter(|list| list.len() >= 2);
    let list = list.ok_or_else(|| wrong(name, "is not a list of choices"))?;
    let text = |it: &Value| it.as_str().map(str::to_owned);
    list.iter().map(|it| text(it).ok_or_else(|| wrong(name, "is not a list of texts"))).collect()
}

fn missing(name: &str) -> Problem {
    let message = "missing or null".to_owned();
    Problem { kind: RowKind::NoColumn, column: Some(name.to_owned()), message }
}

fn wrong(name: &str, message: &str) -> Problem {
    let kind = RowKind::WrongType;
    Problem { kind, column: Some(name.to_owned()), message: message.to_owned() }
}
