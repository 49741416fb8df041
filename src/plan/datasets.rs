//! From data sets and scores as written to what `workload` and `score` read.

use std::path::PathBuf;

use toml::{Table, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::cell::{
    CompareHow, DatasetPlan, ExtractorPlan, LengthRange, Normalise, PromptForm, ScorePlan, Source,
    Take,
};
use crate::plan::launch::engine::variables_of;
use crate::plan::matrix::Combination;
use crate::plan::paths::{Places, is_path};
use crate::plan::phases::extract;
use crate::plan::template::{check_syntax, render};
use crate::scenario::Scenario;
use crate::scenario::spec::{DatasetSpec, RangeSpec, ScoreSpec};

/// Returns a cell's data set.
pub(crate) fn dataset(
    scenario: &Scenario,
    cell: &Combination,
    warm_up_requests: u64,
    places: &Places,
    found: &mut Diagnostics,
) -> Option<DatasetPlan> {
    let name = cell.dataset.as_str();
    let table = cell.tree.get("dataset").and_then(|datasets| datasets.get(name))?.as_table()?;
    let spec: DatasetSpec = extract(scenario, &["dataset", name], table, found)?;
    let context = variables_of(scenario, cell, found);
    let mut rendered = |key: &str, text: Option<String>| {
        let text = text?;
        match render(&text, &context) {
            Ok(text) => Some(text),
            Err(error) => {
                found.push(
                    Diagnostic::error("scenario/template", error.message)
                        .label(scenario.layers.value(&["dataset", name, key], "in this template"))
                        .help(error.help),
                );
                None
            }
        }
    };
    let location = rendered("location", spec.location);
    let fallback = rendered("fallback", spec.fallback);
    let tokenizer = rendered("tokenizer", spec.tokenizer);
    if let Some(prompt) = &spec.prompt
        && let Err(error) = check_syntax(prompt)
    {
        found.push(
            Diagnostic::error("scenario/template", error.message)
                .label(scenario.layers.value(&["dataset", name, "prompt"], "in this template"))
                .help("a prompt's template is over the columns of a row"),
        );
    }
    if spec.chat_template.is_some() && tokenizer.is_none() {
        found.push(
            Diagnostic::error("scenario/missing", format!("data set `{name}` has no `tokenizer`"))
                .label(scenario.at(&["dataset", name, "chat-template"], "a template is beside it"))
                .help("set `tokenizer` to the model's directory or repository"),
        );
    }
    let range = |range: Option<RangeSpec>| range.map(|r| LengthRange { min: r.min, max: r.max });
    Some(DatasetPlan {
        source: source(&spec.source)?,
        split: spec.split,
        location: location.map(|location| file_or_name(places, &location)),
        sha256: spec.sha256.map(|digest| digest.to_ascii_lowercase()),
        fallback: fallback.map(|fallback| PathBuf::from(places.file(&fallback))),
        columns: spec.columns,
        prompt: spec.prompt,
        system: spec.system,
        n_shots: spec.shots,
        shuffle: spec.shuffle,
        limit: spec.limit,
        reserve_for_warm_up: spec.reserve_for_warm_up.unwrap_or(warm_up_requests),
        cycle: spec.cycle,
        tokenizer: tokenizer.map(|tokenizer| file_or_name(places, &tokenizer)),
        chat_template: spec.chat_template.map(|form| match form.as_str() {
            "tokens" => PromptForm::Tokens,
            _ => PromptForm::Text,
        }),
        input_tokens: range(spec.input_tokens),
        output_tokens: range(spec.output_tokens),
        shared_prefix_tokens: spec.shared_prefix_tokens,
        multi_turn: spec.multi_turn,
        skip_bad_rows: spec.skip_bad_rows,
    })
}

/// Returns a path that begins with `./`, `../` or `/`; a URL or the name of a repository as it is.
fn file_or_name(places: &Places, text: &str) -> String {
    let looks_like_file = [".jsonl", ".json", ".csv", ".parquet", ".txt"]
        .iter()
        .any(|extension| text.ends_with(extension) && !text.contains("://"));
    if is_path(text) || looks_like_file { places.file(text) } else { text.to_string() }
}

fn source(name: &str) -> Option<Source> {
    Some(match name {
        "gsm8k" => Source::Gsm8k,
        "s1k" => Source::S1k,
        "s1k-1.1" => Source::S1k11,
        "sharegpt" => Source::Sharegpt,
        "ultrachat" => Source::Ultrachat,
        "random" => Source::Random,
        "jsonl" => Source::Jsonl,
        "csv" => Source::Csv,
        "parquet" => Source::Parquet,
        "text" => Source::Text,
        "trace" => Source::Trace,
        _ => return None,
    })
}

/// Returns how a cell's answers are graded.
pub(crate) fn score(
    scenario: &Scenario,
    tree: &Table,
    name: &str,
    source: Source,
    found: &mut Diagnostics,
) -> Option<ScorePlan> {
    let table = tree.get("score").and_then(|scores| scores.get(name))?.as_table()?;
    let spec: ScoreSpec = extract(scenario, &["score", name], table, found)?;
    let mut extractors: Vec<ExtractorPlan> = Vec::new();
    for value in &spec.extract {
        if let Some(extractor) = extractor(value, &extractors) {
            extractors.push(extractor);
        }
    }
    let gold = match &spec.gold {
        Some(value) => extractor(value, &[])?,
        // What the source writes behind `####` is its gold; elsewhere it is the whole column.
        None if source == Source::Gsm8k => ExtractorPlan::Strict,
        None => ExtractorPlan::Whole,
    };
    Some(ScorePlan {
        extractors,
        compare: match spec.compare.as_deref() {
            Some("numeric") => CompareHow::Numeric,
            Some("set") => CompareHow::Set,
            _ => CompareHow::Exact,
        },
        normalise: spec.normalise.iter().filter_map(normalise).collect(),
        gold,
        floor: spec.floor.map(|floor| floor.to_string()),
    })
}

fn extractor(value: &Value, others: &[ExtractorPlan]) -> Option<ExtractorPlan> {
    let regex = |pattern: &str, name: Option<&str>, take: Take| {
        let taken = |name: &str| {
            others.iter().any(
                |other| matches!(other, ExtractorPlan::Regex { name: other, .. } if other == name),
            )
        };
        let base: String = name.unwrap_or(pattern).chars().take(40).collect();
        let mut name = base.clone();
        for number in 2.. {
            if !taken(&name) {
                break;
            }
            name = format!("{base} ({number})");
        }
        ExtractorPlan::Regex { name, pattern: pattern.to_string(), take }
    };
    Some(match value {
        Value::String(word) => match word.as_str() {
            "strict" => ExtractorPlan::Strict,
            "flexible" => ExtractorPlan::Flexible,
            "answer-is" => ExtractorPlan::AnswerIs,
            "choice" => ExtractorPlan::Choice,
            "whole" => ExtractorPlan::Whole,
            pattern => regex(pattern, None, Take::First),
        },
        Value::Table(table) => {
            let text = |key: &str| table.get(key).and_then(Value::as_str);
            if let Some(field) = text("json-field") {
                ExtractorPlan::JsonField(field.to_string())
            } else {
                let take = if text("take") == Some("last") { Take::Last } else { Take::First };
                regex(text("regex")?, text("name"), take)
            }
        }
        _ => return None,
    })
}

fn normalise(value: &Value) -> Option<Normalise> {
    match value {
        Value::String(word) if word == "lowercase" => Some(Normalise::Lowercase),
        Value::String(word) if word == "trim" => Some(Normalise::Trim),
        Value::Table(table) => {
            table.get("delete")?.as_str().map(|pattern| Normalise::Delete(pattern.to_string()))
        }
        _ => None,
    }
}
