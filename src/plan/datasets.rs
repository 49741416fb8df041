//! From data sets and scores as written to what `workload` and `score` read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Table;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::cell::{DatasetPlan, ExtractorPlan, ScorePlan, Source, TEMPLATE_FILES};
use crate::plan::data_files::is_data_file;
use crate::plan::launch::engine::variables_of;
use crate::plan::matrix::Combination;
use crate::plan::paths::{Places, is_path};
use crate::plan::phases::extract;
use crate::plan::template::{check_syntax, render};
use crate::scenario::Scenario;
use crate::scenario::spec::{DatasetSpec, ExtractorSpec, ExtractorWord, Locations, ScoreSpec};

/// What a chat template is told of the data, and of no variable.
const TEMPLATE_OURS: [&str; 2] = ["messages", "add_generation_prompt"];

/// What a cell's phases want of its data set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    /// Rows that warm-up takes.
    pub(crate) warm_up_requests: u64,
    /// Whether a phase replays the rows' times.
    pub(crate) is_replayed: bool,
}

/// Returns a cell's data set; none where it is not known what it is.
pub(crate) fn dataset(
    scenario: &Scenario,
    cell: &Combination,
    wanted: Use,
    places: &Places,
    found: &mut Diagnostics,
) -> Option<DatasetPlan> {
    let mut mine = Diagnostics::default();
    let dataset = made(scenario, cell, wanted, places, &mut mine);
    let dataset = dataset.filter(|_| !mine.has_errors());
    found.extend(mine);
    dataset
}

fn made(
    scenario: &Scenario,
    cell: &Combination,
    wanted: Use,
    places: &Places,
    found: &mut Diagnostics,
) -> Option<DatasetPlan> {
    let name = cell.dataset.as_str();
    // That it has none is told of the data set, whatever its cells.
    cell.tree.get("dataset")?.get(name)?.get("source")?;
    let spec: DatasetSpec = extract(scenario, &cell.tree, &["dataset", name], found)?;
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
    let written: Vec<String> = spec.location.map(Locations::places).unwrap_or_default();
    let locations = written.into_iter().filter_map(|place| rendered("location", Some(place)));
    let locations: Vec<String> = locations.map(|place| file_or_name(places, &place)).collect();
    let mut locations = locations.into_iter();
    let location = locations.next();
    let more_locations: Vec<String> = locations.collect();
    let fallback = rendered("fallback", spec.fallback);
    let tokenizer = rendered("tokenizer", spec.tokenizer);
    if let Some(date) = &spec.template_date
        && date.parse::<jiff::civil::Date>().is_err()
    {
        found.push(
            Diagnostic::error("scenario/value", format!("`{date}` is not a day"))
                .label(scenario.layers.value(&["dataset", name, "template-date"], "not a day"))
                .help("write it as 2026-11-29"),
        );
    }
    if let (Some(after), Some(before)) = (spec.after, spec.before)
        && after >= before
    {
        let message = format!("no row is {after} behind the first and before {before}");
        let key = |key: &str, says| scenario.layers.value(&["dataset", name, key], says);
        found.push(
            Diagnostic::error("scenario/value", message)
                .label(key("before", "it ends here"))
                .label(key("after", "and begins here"))
                .help("make `before` later than `after`"),
        );
    }
    let variables = template_variables(scenario, name, spec.chat_template_kwargs, places, found);
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
    Some(DatasetPlan {
        source: spec.source,
        split: spec.split,
        location,
        more_locations,
        sha256: spec.sha256.map(|digest| digest.to_ascii_lowercase()),
        fallback: fallback.map(|fallback| PathBuf::from(places.file(&fallback))),
        columns: spec.columns,
        prompt: spec.prompt,
        system: spec.system,
        n_shots: spec.shots,
        shuffle: spec.shuffle,
        limit: spec.limit,
        reserve_for_warm_up: spec.reserve_for_warm_up.unwrap_or(wanted.warm_up_requests),
        cycle: spec.cycle,
        tokenizer: tokenizer.map(|tokenizer| file_or_name(places, &tokenizer)),
        chat_template: spec.chat_template,
        template_name: spec.template_name,
        chat_template_kwargs: variables,
        template_date: spec.template_date,
        input_tokens: spec.input_tokens,
        input_words: spec.input_words,
        output_tokens: spec.output_tokens,
        shared_prefix_tokens: spec.shared_prefix_tokens,
        shared_prefixes: spec.shared_prefixes,
        warm: spec.warm,
        is_replayed: wanted.is_replayed,
        time_unit: spec.time_unit,
        block_tokens: spec.block_tokens,
        after: spec.after,
        before: spec.before,
        multi_turn: spec.multi_turn,
        turns: spec.turns,
        bad_rows: spec.bad_rows,
        max_bad_rows: spec.max_bad_rows,
    })
}

/// Returns the variables of a chat template, with files where the scenario's are.
fn template_variables(
    scenario: &Scenario,
    name: &str,
    mut variables: BTreeMap<String, minijinja::Value>,
    places: &Places,
    found: &mut Diagnostics,
) -> BTreeMap<String, minijinja::Value> {
    for ours in TEMPLATE_OURS.iter().filter(|ours| variables.contains_key(**ours)) {
        let message = format!("`{ours}` is what bench itself tells a chat template");
        found.push(
            Diagnostic::error("scenario/value", message)
                .label(scenario.at(&["dataset", name, "chat-template-kwargs"], "here"))
                .help("take it out; the data set decides it"),
        );
    }
    for (variable, value) in &mut variables {
        if let Some(file) = value.as_str().filter(|_| TEMPLATE_FILES.contains(&variable.as_str())) {
            *value = places.file(file).into();
        }
    }
    variables
}

/// Returns a path that begins with `./`, `../` or `/`; a URL or the name of a repository as it is.
fn file_or_name(places: &Places, text: &str) -> String {
    let looks_like_file = is_data_file(text) && !text.contains("://");
    if is_path(text) || looks_like_file { places.file(text) } else { text.to_string() }
}

/// Returns how a cell's answers are graded.
pub(crate) fn score(
    scenario: &Scenario,
    tree: &Table,
    name: &str,
    source: Source,
    found: &mut Diagnostics,
) -> Option<ScorePlan> {
    let spec: ScoreSpec = extract(scenario, tree, &["score", name], found)?;
    let usual = ScorePlan::of(source);
    let mut extractors: Vec<ExtractorPlan> = Vec::new();
    for written in spec.extract.iter().flatten() {
        extractors.push(extractor(written, &extractors));
    }
    Some(ScorePlan {
        extractors: if spec.extract.is_some() { extractors } else { usual.extractors },
        compare: spec.compare.unwrap_or(usual.compare),
        normalise: spec.normalise.unwrap_or(usual.normalise),
        gold: spec.gold.as_ref().map_or(usual.gold, |written| extractor(written, &[])),
        think: spec.think,
        tolerance: spec.tolerance,
    })
}

/// Returns an extractor; a pattern without a name of its own gets one that no other has.
fn extractor(written: &ExtractorSpec, others: &[ExtractorPlan]) -> ExtractorPlan {
    match written {
        ExtractorSpec::Word(word) => match word {
            ExtractorWord::Strict => ExtractorPlan::Strict,
            ExtractorWord::Flexible => ExtractorPlan::Flexible,
            ExtractorWord::Number => ExtractorPlan::Number,
            ExtractorWord::AnswerIs => ExtractorPlan::AnswerIs,
            ExtractorWord::Choice => ExtractorPlan::Choice,
            ExtractorWord::FirstLine => ExtractorPlan::FirstLine,
            ExtractorWord::AnswerLetter => ExtractorPlan::AnswerLetter,
            ExtractorWord::Whole => ExtractorPlan::Whole,
        },
        ExtractorSpec::JsonField(field) => ExtractorPlan::JsonField(field.clone()),
        ExtractorSpec::Regex { pattern, name, take } => {
            let taken = |name: &str| {
                others.iter().any(|other| {
                    matches!(other, ExtractorPlan::Regex { name: other, .. } if other == name)
                })
            };
            let base: String = name.as_deref().unwrap_or(pattern).chars().take(40).collect();
            let numbered = (2..).map(|number| format!("{base} ({number})"));
            let mut names = std::iter::once(base.clone()).chain(numbered);
            let name = names.find(|name| !taken(name)).unwrap_or(base.clone());
            ExtractorPlan::Regex { name, pattern: pattern.clone(), take: *take }
        }
    }
}
