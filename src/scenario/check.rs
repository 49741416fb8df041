//! Contradictions: keys that are each right and together wrong.

use serde::Deserialize as _;
use toml::{Table, Value};

use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::record::trial::PhaseKind;
use crate::scenario::Scenario;
use crate::scenario::spec::{ExtractorWord, LOADS, Source};

/// Checks the scenario as a whole.
pub(crate) fn scenario(scenario: &Scenario, found: &mut Diagnostics) {
    let swept = Swept::of(scenario);
    sections(scenario, found);
    phases(scenario, &swept, found);
    for name in scenario.names("dataset") {
        dataset(scenario, &name, found);
    }
    for name in scenario.names("score") {
        score(scenario, &name, found);
    }
    objectives(scenario, &swept, found);
    profiles(scenario, found);
}

/// Finds names of a profile that are near those of the scenario and stand for nothing by themselves:
/// what was meant would stay as it is.
fn profiles(scenario: &Scenario, found: &mut Diagnostics) {
    let sections: [(&str, &[&str]); 4] = [
        ("engine", &["preset", "argv", "url"]),
        ("dataset", &["source"]),
        ("phase", LOADS),
        ("score", &["extract"]),
    ];
    for profile in scenario.names("profile") {
        for (section, makers) in sections {
            // A chosen profile adds its names to the scenario's.
            let of_layers = scenario.layers.list.iter().filter(|layer| layer.part.is_empty());
            let known: Vec<&str> =
                of_layers.flat_map(|layer| layer.document.keys(&[section])).collect();
            for name in scenario.layers.names(&["profile", &profile, section]) {
                let path = ["profile", &profile, section, &name];
                let is_made = makers
                    .iter()
                    .any(|key| scenario.layers.find(&[&path[..], &[*key]].concat()).is_some());
                let near = nearest(&name, known.iter().copied());
                let Some(near) = near.filter(|_| !is_made && !known.contains(&name.as_str()))
                else {
                    continue;
                };
                found.push(
                    Diagnostic::error(
                        "scenario/unknown-name",
                        format!("there is no {section} `{name}`"),
                    )
                    .label(scenario.at(&path, "a profile changes what is there"))
                    .help(format!("did you mean `{near}`?")),
                );
            }
        }
    }
}

/// Which keys the matrix gives, so that they are not missed elsewhere.
struct Swept {
    keys: Vec<String>,
}

impl Swept {
    fn of(scenario: &Scenario) -> Self {
        Self { keys: scenario.names("matrix") }
    }

    fn gives(&self, phase: &str, key: &str) -> bool {
        let dotted = format!("phase.{phase}.{key}");
        self.keys.iter().any(|swept| swept == key || *swept == dotted)
    }
}

fn sections(scenario: &Scenario, found: &mut Diagnostics) {
    for (section, what, help) in [
        ("engine", "an engine", "add `[engine.tiny]`, the built-in model, or one of your own"),
        ("dataset", "a data set", "add `[dataset.questions]` with `source = …`"),
        ("phase", "a phase", "add `[phase.load]` with `concurrency` or `rate`, and `requests`"),
    ] {
        if scenario.names(section).is_empty() {
            let message = format!("the scenario names no {section}");
            found.push(
                Diagnostic::error("scenario/missing", message)
                    .help(format!("a scenario needs {what}: {help}")),
            );
        }
    }
    for section in ["dataset", "score"] {
        let names = scenario.names(section);
        if names.len() > 1 && !scenario.names("matrix").iter().any(|key| key == section) {
            let message = format!("there are {} {section}s and no choice among them", names.len());
            let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            let sweep = format!("`{section} = [{}]` to `[matrix]`", quoted.join(", "));
            let help = match section {
                // Two scores of the same answers are no two measurements.
                "score" => format!(
                    "name all extractors in one score, `extract = [\"number\", \"flexible\"]`; \
                     or, for a data set each, add {sweep} and leave the other pairs out with \
                     `exclude`"
                ),
                _ => format!("add {sweep}"),
            };
            found.push(
                Diagnostic::error("scenario/ambiguous", message)
                    .label(scenario.at(&[section, &names[1]], "the second one"))
                    .help(help),
            );
        }
    }
}

fn phases(scenario: &Scenario, swept: &Swept, found: &mut Diagnostics) {
    let names = scenario.names("phase");
    let searched = scenario.tree.contains_key("search");
    if !names.is_empty()
        && names.iter().all(|name| is_warm_up(name, table(scenario, "phase", name)))
    {
        found.push(
            Diagnostic::error("scenario/no-measured-phase", "no phase is measured")
                .label(scenario.at(&["phase", &names[0]], "warms up"))
                .help("add a phase, `[phase.load]` for example, or `kind = \"measure\"`"),
        );
    }
    let mut measured =
        names.iter().filter(|name| !is_warm_up(name, table(scenario, "phase", name)));
    if let (true, Some(first), Some(second)) = (searched, measured.next(), measured.next()) {
        found.push(
            Diagnostic::error("scenario/contradiction", "a search measures one phase")
                .label(scenario.at(&["phase", second], "measured, too"))
                .label(scenario.at(&["phase", first], "measured"))
                .help("make one of them a warm-up, or search each in a scenario of its own"),
        );
    }
    for name in &names {
        let phase = table(scenario, "phase", name);
        let warm_up = is_warm_up(name, phase);
        let at = |key: &str, text: &str| scenario.at(&["phase", name, key], text);
        let has = |key: &str| phase.contains_key(key) || swept.gives(name, key) && !warm_up;
        let loads: Vec<&str> = LOADS.iter().copied().filter(|load| has(load)).collect();
        if let [first, second, ..] = loads[..] {
            let message = format!("phase `{name}` has both `{first}` and `{second}`");
            found.push(
                Diagnostic::error("scenario/contradiction", message)
                    .label(at(second, "one of them"))
                    .label(at(first, "and the other"))
                    .help("a phase sends in one way: streams that wait for answers, or a rate"),
            );
        }
        if loads.is_empty() && !warm_up && !searched {
            found.push(
                Diagnostic::error("scenario/no-load", format!("phase `{name}` sends nothing"))
                    .label(scenario.at(&["phase", name], "has no load"))
                    .help("add `concurrency`, `rate`, `ramp`, `batch`, `all-at-once` or `trace`"),
            );
        }
        if let (true, Some(other)) =
            (has("iterations"), ["requests", "duration"].into_iter().find(|key| has(key)))
        {
            let message = format!("phase `{name}` has both `iterations` and `{other}`");
            found.push(
                Diagnostic::error("scenario/contradiction", message)
                    .label(at("iterations", "one of them"))
                    .label(at(other, "and the other"))
                    .help("`iterations = 10` are ten batches of the load's size"),
            );
        }
        if ["requests", "iterations", "duration", "trace"].iter().all(|key| !has(key)) {
            found.push(
                Diagnostic::error("scenario/endless", format!("phase `{name}` has no end"))
                    .label(scenario.at(&["phase", name], "neither `requests` nor `duration`"))
                    .help("add `requests = 64`, `requests = \"all\"` or `duration = \"60s\"`"),
            );
        }
        if has("arrival") && !has("rate") {
            found.push(
                Diagnostic::error("scenario/contradiction", "`arrival` needs a `rate`")
                    .label(at("arrival", "spreads the gaps of a rate"))
                    .help("add `rate = 4.0`, requests per second"),
            );
        }
        if has("ramp") && !has("duration") {
            found.push(
                Diagnostic::error("scenario/contradiction", "`ramp` needs a `duration`")
                    .label(at("ramp", "changes over the time of the phase"))
                    .help("add `duration = \"60s\"`"),
            );
        }
        if warm_up && phase.get("requests").and_then(Value::as_str) == Some("all") {
            found.push(
                Diagnostic::error("scenario/contradiction", "a warm-up cannot take all rows")
                    .label(at("requests", "leaves none to measure"))
                    .help("give it a number, 16 for example"),
            );
        }
        if !warm_up && has("until-steady") {
            found.push(
                Diagnostic::error("scenario/contradiction", "only a warm-up repeats itself")
                    .label(at("until-steady", "in a measured phase"))
                    .help("put it into `[phase.warm_up]`"),
            );
        }
        until(scenario, name, phase, warm_up, found);
        over_saturation(scenario, name, (has("rate") || searched, warm_up), phase, found);
        if phase.get("all-at-once").and_then(Value::as_bool) == Some(false) {
            found.push(
                Diagnostic::error("scenario/contradiction", "`all-at-once = false` sends nothing")
                    .label(at("all-at-once", ""))
                    .help("leave it out, and say how requests are sent"),
            );
        }
    }
}

/// Finds phases that cannot end once a number is known.
fn until(scenario: &Scenario, name: &str, phase: &Table, warm_up: bool, found: &mut Diagnostics) {
    let at = |key: &str, text: &str| scenario.at(&["phase", name, key], text);
    if warm_up && phase.contains_key("until") {
        found.push(
            Diagnostic::error("scenario/contradiction", "a warm-up has no number to wait for")
                .label(at("until", "in a warm-up"))
                .help("put it into a measured phase; `until-steady` repeats a warm-up"),
        );
    }
    if let (true, Some(other)) = (
        phase.contains_key("until"),
        ["batch", "all-at-once"].into_iter().find(|key| phase.contains_key(*key)),
    ) {
        let message = format!("phase `{name}` has `until`, and sends all that it has anyway");
        found.push(
            Diagnostic::error("scenario/contradiction", message)
                .label(at("until", "ends a loop that goes on"))
                .label(at(other, "is sent as a whole"))
                .help("use `concurrency` or `rate`"),
        );
    }
}

/// Finds phases whose queue says nothing of the engine.
fn over_saturation(
    scenario: &Scenario,
    name: &str,
    (has_rate, warm_up): (bool, bool),
    phase: &Table,
    found: &mut Diagnostics,
) {
    if phase.contains_key("over-saturation") && (warm_up || !has_rate) {
        let what = if warm_up { "warms up" } else { "has no `rate`" };
        let message = format!("phase `{name}` has `over-saturation` and {what}");
        let at = scenario.at(&["phase", name, "over-saturation"], "of a queue before the engine");
        found.push(Diagnostic::error("scenario/contradiction", message).label(at).help(
            "put it into a measured phase with a `rate`: in other loops answers hold requests back",
        ));
    }
}

/// Returns the kind of a phase that does not say it.
pub(crate) fn kind_by_name(name: &str) -> PhaseKind {
    let warms_up = matches!(name, "warm_up" | "warm-up");
    if warms_up { PhaseKind::WarmUp } else { PhaseKind::Measure }
}

/// Whether a phase warms up: by its kind, else by its name.
pub(crate) fn is_warm_up(name: &str, phase: &Table) -> bool {
    let kind = phase.get("kind").and_then(|kind| PhaseKind::deserialize(kind.clone()).ok());
    kind.unwrap_or_else(|| kind_by_name(name)) == PhaseKind::WarmUp
}

fn dataset(scenario: &Scenario, name: &str, found: &mut Diagnostics) {
    let dataset = table(scenario, "dataset", name);
    let here = |text: &str| scenario.at(&["dataset", name], text);
    let swept = |key: &str| scenario.names("matrix").iter().any(|swept| swept.ends_with(key));
    let Some(source) = dataset.get("source") else {
        if !swept("source") {
            found.push(
                Diagnostic::error("scenario/missing", format!("data set `{name}` has no `source`"))
                    .label(here("this data set"))
                    .help("add `source = \"jsonl\"`, or another of the kinds of sources"),
            );
        }
        return;
    };
    let Ok(source) = Source::deserialize(source.clone()) else { return };
    let is_file = match source {
        Source::Jsonl | Source::Csv | Source::Parquet | Source::Text | Source::Trace => true,
        Source::Sharegpt | Source::Ultrachat | Source::Random => false,
        task => !task.is_task(),
    };
    if is_file && !dataset.contains_key("location") && !swept("location") {
        let message = format!("data set `{name}` of source `{}` has no `location`", source.word());
        found.push(
            Diagnostic::error("scenario/missing", message).label(here("this data set")).help(
                "add `location = \"./rows.jsonl\"`: a file, an https URL or a hub repository",
            ),
        );
    }
    let has = |key: &str| dataset.contains_key(key) || swept(key);
    if has("input-words") && has("input-tokens") {
        found.push(
            Diagnostic::error(
                "scenario/contradiction",
                format!("data set `{name}` has two lengths"),
            )
            .label(here("its prompts have `input-tokens` and `input-words`"))
            .help("keep `input-tokens` with a `tokenizer`, `input-words` without one"),
        );
    }
    if source == Source::Random && !has("tokenizer") && !has("input-words") {
        let message = format!("generated prompts of `{name}` have no `tokenizer`");
        found.push(
            Diagnostic::error("scenario/missing", message).label(here("this data set")).help(
                "add `tokenizer = \"./model\"`: exact lengths are counted by it; or give the \
                     lengths in words, `input-words = 512`",
            ),
        );
    }
    idle_keys(scenario, name, source, found);
    // Answers of a fixed length need none of their own; rows are looked at again before a run.
    let from_data = scenario.layers.text(&["request", "max-tokens"]) == Some("from-data");
    for key in ["input-tokens", "input-words", "output-tokens"] {
        let is_given = match key {
            "input-tokens" => has(key) || has("input-words"),
            "input-words" => true,
            _ => !from_data || has(key),
        };
        if source == Source::Random && !is_given {
            let message = format!("generated prompts of `{name}` have no `{key}`");
            found.push(
                Diagnostic::error("scenario/missing", message)
                    .label(here("this data set"))
                    .help(format!("add `{key} = 128`, or `{{ min = 64, max = 256 }}`")),
            );
        }
        check_range(scenario, &["dataset", name, key], dataset.get(key), found);
    }
    let location = dataset.get("location").and_then(Value::as_str).unwrap_or_default();
    let remote = location.starts_with("https://");
    if location.starts_with("http://") || location.starts_with("ftp://") {
        found.push(
            Diagnostic::error("scenario/value", "a data set is fetched by https alone")
                .label(scenario.layers.value(&["dataset", name, "location"], ""))
                .help("use an https URL with `sha256`, or a local file"),
        );
    }
    match dataset.get("sha256").and_then(Value::as_str) {
        None if remote => found.push(
            Diagnostic::error("scenario/missing", format!("data set `{name}` has no `sha256`"))
                .label(scenario.at(&["dataset", name, "location"], "a URL may change its content"))
                .help("add `sha256 = \"…\"`, the checksum of the file you mean"),
        ),
        Some(digest) if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            found.push(
                Diagnostic::error("scenario/value", "a SHA-256 has 64 hexadecimal digits")
                    .label(scenario.layers.value(&["dataset", name, "sha256"], ""))
                    .help("`sha256sum FILE` prints it"),
            );
        }
        _ => {}
    }
}

/// Finds keys of a data set that would do nothing.
fn idle_keys(scenario: &Scenario, name: &str, source: Source, found: &mut Diagnostics) {
    let dataset = table(scenario, "dataset", name);
    let mut idle = |path: &[&str], message: String, help: String| {
        let label = scenario.at(&[&["dataset", name], path].concat(), "does nothing");
        found.push(Diagnostic::error("scenario/contradiction", message).label(label).help(help));
    };
    let word = source.word();
    let columns = dataset.get("columns").and_then(Value::as_table);
    for part in columns.into_iter().flat_map(Table::keys) {
        let Some(parts) = source.parts().filter(|parts| !parts.contains(&part.as_str())) else {
            continue;
        };
        let message = format!("no column of source `{word}` plays the part `{part}`");
        let help = format!(
            "its columns play {}; `source = \"jsonl\"`, \"csv\" and \"parquet\" know all parts",
            parts.join(", ")
        );
        idle(&["columns", part], message, help);
    }
    // A row asks in one way. `token-ids` stands in place of a column.
    let is_named = |part: &str| {
        let column = columns.and_then(|columns| columns.get(part)).and_then(Value::as_str);
        column.is_some_and(|column| part != "prompt" || column != "token-ids")
    };
    let rivals = [("messages", "prompt"), ("prompt", "input-length"), ("prompt", "hash-ids")];
    for (one, other) in rivals.into_iter().filter(|(one, other)| is_named(one) && is_named(other)) {
        let message = format!("`{one}` and `{other}` are both columns of data set `{name}`");
        let help = format!("a row asks in one way: take `{one}` or `{other}` out");
        idle(&["columns", other], message, help);
    }
    if dataset.contains_key("prompt") && (source.is_conversations() || source == Source::Random) {
        let message = format!("prompts of source `{word}` are not made by a template");
        let help = "leave `prompt` out, or read the rows with `source = \"jsonl\"`".to_string();
        idle(&["prompt"], message, help);
    }
    let swept =
        scenario.names("matrix").iter().any(|swept| swept.ends_with("shared-prefix-tokens"));
    let n_shared = dataset.get("shared-prefix-tokens").and_then(Value::as_integer).unwrap_or(0);
    if n_shared == 0 && !swept {
        for key in ["shared-prefixes", "warm"].into_iter().filter(|key| dataset.contains_key(*key))
        {
            let message = format!("data set `{name}` has `{key}`, and its prompts share nothing");
            let help =
                "add `shared-prefix-tokens = 512`, the length of what they share".to_string();
            idle(&[key], message, help);
        }
    }
}

fn check_range(scenario: &Scenario, path: &[&str], value: Option<&Value>, found: &mut Diagnostics) {
    let Some(Value::Table(range)) = value else { return };
    let bound = |key: &str| range.get(key).and_then(Value::as_integer);
    match (bound("min"), bound("max")) {
        (Some(min), Some(max)) if min <= max && max > 0 => {}
        (Some(_), Some(_)) => found.push(
            Diagnostic::error("scenario/range", "a range goes from `min` up to `max`, above 0")
                .label(scenario.layers.value(path, ""))
                .help("write `{ min = 64, max = 256 }`"),
        ),
        _ => found.push(
            Diagnostic::error("scenario/missing", "a range needs `min` and `max`")
                .label(scenario.layers.value(path, ""))
                .help("write `{ min = 64, max = 256 }`"),
        ),
    }
}

fn score(scenario: &Scenario, name: &str, found: &mut Diagnostics) {
    let score = table(scenario, "score", name);
    let extract = score.get("extract").and_then(Value::as_array);
    if extract.is_some_and(Vec::is_empty) {
        found.push(
            Diagnostic::error("scenario/missing", format!("score `{name}` has no extractor"))
                .label(scenario.at(&["score", name, "extract"], ""))
                .help("name at least one, `\"flexible\"` for example"),
        );
    }
    for (idx, value) in extract.into_iter().flatten().enumerate() {
        extractor(scenario, &["score", name, "extract", &idx.to_string()], value, found);
    }
    if let Some(gold) = score.get("gold") {
        extractor(scenario, &["score", name, "gold"], gold, found);
    }
    let normalise = score.get("normalise").and_then(Value::as_array);
    for (idx, value) in normalise.into_iter().flatten().enumerate() {
        if let Some(pattern) = value.get("delete").and_then(Value::as_str) {
            let path = ["score", name, "normalise", &idx.to_string()];
            check_pattern(scenario, &path, pattern, found);
        }
    }
}

fn extractor(scenario: &Scenario, path: &[&str], value: &Value, found: &mut Diagnostics) {
    match value {
        Value::String(text) if ExtractorWord::WORDS.contains(&text.as_str()) => {}
        // A misspelt word would be a pattern that matches next to nothing, silently.
        Value::String(text) if !text.contains('(') => {
            let help = nearest(text, ExtractorWord::WORDS.iter().copied()).map_or_else(
                || "a regular expression has a group, `Answer: (\\d+)`".to_string(),
                |word| format!("did you mean `{word}`?"),
            );
            found.push(
                Diagnostic::error("scenario/value", format!("`{text}` is not an extractor"))
                    .label(scenario.layers.value(path, "neither a known word nor a pattern"))
                    .help(help),
            );
        }
        Value::String(pattern) => check_pattern(scenario, path, pattern, found),
        Value::Table(table) => match (table.get("regex"), table.get("json-field")) {
            (Some(Value::String(pattern)), None) => check_pattern(scenario, path, pattern, found),
            (None, Some(_)) => {}
            _ => found.push(
                Diagnostic::error("scenario/value", "an extractor has `regex` or `json-field`")
                    .label(scenario.layers.value(path, ""))
                    .help("write `{ regex = 'Answer: (\\d+)', take = \"last\" }`"),
            ),
        },
        _ => {}
    }
}

fn check_pattern(scenario: &Scenario, path: &[&str], pattern: &str, found: &mut Diagnostics) {
    if let Err(error) = fancy_regex::Regex::new(pattern) {
        let message = format!("this pattern cannot be used: {error}");
        found.push(
            Diagnostic::error("scenario/pattern", message)
                .label(scenario.layers.value(path, ""))
                .help("patterns are regular expressions; single quotes keep backslashes"),
        );
    }
}

fn objectives(scenario: &Scenario, swept: &Swept, found: &mut Diagnostics) {
    let get = |section: &str| scenario.tree.get(section).and_then(Value::as_table);
    let slo = get("slo");
    if slo.is_some_and(Table::is_empty) {
        found.push(
            Diagnostic::error("scenario/contradiction", "`[slo]` has no objective")
                .label(scenario.at(&["slo"], ""))
                .help("add `ttft`, `tpot` or `e2e`, or leave the section out"),
        );
    }
    let request = get("request");
    let streams = request.and_then(|request| request.get("stream")).and_then(Value::as_bool);
    for key in ["ttft", "tpot"] {
        if streams == Some(false) && slo.is_some_and(|slo| slo.contains_key(key)) {
            let message = format!("`{key}` cannot be seen in answers that are not streamed");
            found.push(
                Diagnostic::error("scenario/contradiction", message)
                    .label(scenario.at(&["slo", key], "this objective"))
                    .label(scenario.at(&["request", "stream"], "and this"))
                    .help("set `stream = true`, or use `e2e`"),
            );
        }
    }
    let from_data = request.and_then(|request| request.get("max-tokens")).and_then(Value::as_str);
    let ignore = request.and_then(|request| request.get("ignore-eos")).and_then(Value::as_bool);
    if from_data == Some("from-data") && ignore == Some(false) {
        found.push(
            Diagnostic::error(
                "scenario/contradiction",
                "answers as long as the data set's need `ignore-eos`",
            )
            .label(scenario.at(&["request", "ignore-eos"], "this"))
            .label(scenario.at(&["request", "max-tokens"], "and this"))
            .help("leave `ignore-eos` out, or give `max-tokens` a number"),
        );
    }
    let Some(search) = get("search") else { return };
    if slo.is_none() {
        found.push(
            Diagnostic::error("scenario/contradiction", "`[search]` needs objectives to meet")
                .label(scenario.at(&["search"], "searches for the highest load that meets …"))
                .help("add `[slo]` with `ttft`, `tpot` or `e2e`"),
        );
    }
    let number = |key: &str| match search.get(key) {
        Some(Value::Integer(number)) => Some(*number as f64),
        Some(Value::Float(number)) => Some(*number),
        _ => None,
    };
    if number("from").zip(number("to")).is_some_and(|(from, to)| from >= to) {
        found.push(
            Diagnostic::error("scenario/range", "the search goes from `from` up to `to`")
                .label(scenario.at(&["search", "to"], "not above `from`"))
                .help("raise `to`"),
        );
    }
    if swept.keys.iter().any(|key| LOADS.contains(&key.as_str())) {
        found.push(
            Diagnostic::error("scenario/contradiction", "the load is both swept and searched")
                .label(scenario.at(&["search"], "searched here"))
                .help("remove the load from `[matrix]`, or remove `[search]`"),
        );
    }
}

fn table<'a>(scenario: &'a Scenario, section: &str, name: &str) -> &'a Table {
    static EMPTY: std::sync::OnceLock<Table> = std::sync::OnceLock::new();
    scenario
        .tree
        .get(section)
        .and_then(|section| section.get(name))
        .and_then(Value::as_table)
        .unwrap_or_else(|| EMPTY.get_or_init(Table::new))
}
