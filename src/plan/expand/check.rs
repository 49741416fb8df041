//! What can be wrong with cells that are right by themselves.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ids::{LaunchId, content_hash};
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, DatasetPlan, Phase, Source};
use crate::plan::launch::Launch;
use crate::plan::phases::extract;
use crate::record::trial::PhaseKind;
use crate::scenario::Scenario;
use crate::scenario::spec::SlurmSpec;

/// Two cells of one identity would be one measurement under two names.
pub(super) fn twins(scenario: &Scenario, twin: &Cell, cell: &Cell, found: &mut Diagnostics) {
    let differing: Vec<&String> = cell
        .keys
        .iter()
        .filter(|(key, value)| twin.keys.get(*key) != Some(value))
        .map(|(key, _)| key)
        .collect();
    let key = differing.first().map_or("engine", |key| key.as_str());
    // That one of several scores is to be chosen has been told.
    if key == "score" && scenario.at(&["matrix", key], "").is_none() {
        return;
    }
    let help = match key {
        "score" => "one score may have several extractors, each a row of its own accuracy: \
                    `extract = [\"number\", \"flexible\"]`"
            .to_owned(),
        "trials" => "`trials` says how often each cell is measured: it makes no other one, and \
                     stands in the phase or at the top"
            .to_owned(),
        _ => format!("use `{key}` in the engine, or leave one out with `exclude`"),
    };
    let message = format!("`{}` and `{}` are the same measurement", twin.name, cell.name);
    found.push(
        Diagnostic::error("scenario/same-cell", message)
            .label(scenario.at(&["matrix", key], format!("`{key}` changes nothing there")))
            .help(help),
    );
}

/// A precision that only labels the row would be a lie about it.
pub(super) fn same_command(
    scenario: &Scenario,
    launches: &IndexMap<LaunchId, Launch>,
    found: &mut Diagnostics,
) {
    let mut by_command: BTreeMap<String, &Launch> = BTreeMap::new();
    for launch in launches.values().filter(|launch| launch.is_started()) {
        let command = content_hash(&(&launch.engine, &launch.argv, &launch.env));
        let Some(other) = by_command.insert(command, launch) else { continue };
        if other.precision == launch.precision || launch.is_simulated() {
            continue;
        }
        let names = [&other.precision, &launch.precision]
            .map(|precision| precision.clone().unwrap_or_else(|| "none".into()));
        let message = format!(
            "engine `{}` runs the same command for precision `{}` and `{}`",
            launch.engine, names[0], names[1]
        );
        let label = scenario
            .at(&["matrix", "precision"], "swept here")
            .or_else(|| scenario.at(&["engine", &launch.engine], ""));
        found.push(Diagnostic::error("scenario/same-command", message).label(label).help(
            "name a model per precision: `model-path = \"./model-{{ precision }}.gguf\"`, or \
                 `model = \"org/name-{{ precision }}\"`",
        ));
    }
}

/// Load and data set must go together.
pub(super) fn load(
    scenario: &Scenario,
    phases: &[Phase],
    dataset: &DatasetPlan,
    name: &str,
    found: &mut Diagnostics,
) {
    for phase in phases {
        let place = ["phase", phase.name.as_str()];
        let is_trace = matches!(phase.arrivals, ArrivalsPlan::Trace { .. });
        if is_trace && dataset.shuffle {
            let message = format!("phase `{}` replays the times of shuffled rows", phase.name);
            found.push(
                Diagnostic::error("scenario/contradiction", message)
                    .label(scenario.at(&[place[0], place[1], "trace"], "goes by their times"))
                    .label(scenario.at(&["dataset", name, "shuffle"], "and this mixes them"))
                    .help("leave `shuffle` out"),
            );
        }
        if is_trace && !may_have_times(dataset) {
            found.push(
                Diagnostic::error(
                    "scenario/contradiction",
                    format!(
                        "phase `{}` replays time stamps that `{name}` does not have",
                        phase.name
                    ),
                )
                .label(scenario.at(&[place[0], place[1], "trace"], "needs time stamps"))
                .label(scenario.at(&["dataset", name], "this data set"))
                .help("use `source = \"trace\"`, or `columns = { timestamp = \"…\" }`"),
            );
        }
        let endless = dataset.cycle || dataset.source == Source::Random && dataset.limit.is_none();
        // That one says nothing of its end has been told.
        let all = scenario.at(&[place[0], place[1], "requests"], "").is_some()
            && phase.n_requests.is_none()
            && phase.duration.is_none()
            && !is_trace;
        if endless && all {
            found.push(
                Diagnostic::error("scenario/endless", format!("phase `{}` has no end", phase.name))
                    .label(scenario.at(&[place[0], place[1], "requests"], "all rows"))
                    .label(scenario.at(&["dataset", name], "and these never end"))
                    .help("give `requests` a number, or add a `duration`"),
            );
        }
    }
}

/// Fewer requests than streams leave streams idle: told once for a phase, of all its cells.
pub(super) fn few_requests(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    let mut idle: BTreeMap<(&str, u64), (u32, usize)> = BTreeMap::new();
    for phase in plan.cells.iter().flat_map(|cell| &cell.phases) {
        if let (ArrivalsPlan::Closed { concurrency }, Some(n)) = (&phase.arrivals, phase.n_requests)
            && phase.kind == PhaseKind::Measure
            && n < u64::from(*concurrency)
        {
            let (most, n_cells) = idle.entry((&phase.name, n)).or_default();
            (*most, *n_cells) = ((*concurrency).max(*most), *n_cells + 1);
        }
    }
    for ((phase, n), (most, n_cells)) in idle {
        let message = match n_cells {
            1 => format!("phase `{phase}` has {n} requests for {most} streams"),
            _ => format!(
                "phase `{phase}` has {n} requests for up to {most} streams: too few in {n_cells} cells"
            ),
        };
        found.push(
            Diagnostic::warning("scenario/few-requests", message)
                .label(scenario.at(&["phase", phase, "requests"], "streams stay idle"))
                .help(format!("use {} requests or more", u64::from(most) * 4)),
        );
    }
}

/// Whether rows of a source can have a time each.
fn may_have_times(dataset: &DatasetPlan) -> bool {
    match dataset.source {
        Source::Trace | Source::Jsonl | Source::Csv | Source::Parquet => true,
        Source::Sharegpt | Source::Ultrachat | Source::Random | Source::Text => false,
        _ => dataset.columns.contains_key("timestamp"),
    }
}

/// Answers can be graded only against golds.
pub(super) fn gold(
    scenario: &Scenario,
    dataset: (&str, &DatasetPlan),
    score: &str,
    found: &mut Diagnostics,
) {
    let (name, plan) = dataset;
    if plan.has_golds() {
        return;
    }
    let source = plan.source.word();
    let message = format!("score `{score}` grades against golds, and source `{source}` has none");
    found.push(
        Diagnostic::error("scenario/contradiction", message)
            .label(scenario.layers.value(&["dataset", name, "source"], "its rows hold no answer"))
            .label(scenario.at(&["score", score], "this score"))
            .help(
                "use `source = \"jsonl\"` with `columns = { prompt = \"…\", answer = \"…\" }`, or \
                 leave the score out",
            ),
    );
}

/// A published row without a cell compares with nothing.
pub(super) fn published(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    for (row, conditions) in plan.published.iter().flat_map(|published| &published.rows) {
        let matches =
            |cell: &Cell| conditions.iter().all(|(key, value)| cell.keys.get(key) == Some(value));
        if !plan.cells.is_empty() && !plan.cells.iter().any(matches) {
            found.push(
                Diagnostic::warning(
                    "scenario/published",
                    format!("no cell belongs to the published row `{row}`"),
                )
                .label(scenario.at(&["published", "rows", row], ""))
                .help("its keys and values are those of `[matrix]`"),
            );
        }
    }
}

/// What several clients cannot do together: each would judge its own part alone.
pub(super) fn clients(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    let mut told_elsewhere = Diagnostics::default();
    let slurm: Option<SlurmSpec> =
        extract(scenario, &scenario.tree, &["slurm"], &mut told_elsewhere);
    let place = match (&plan.clients, slurm.and_then(|slurm| slurm.further_clients())) {
        (Some(_), _) => &["clients"][..],
        (None, Some(_)) => &["slurm", "clients"],
        (None, None) => return,
    };
    let label = scenario.at(place, "the load is shared");
    let mut refuse = |message: String, label_there, help: &str| {
        found.push(
            Diagnostic::error("scenario/contradiction", message)
                .label(label_there)
                .label(label.clone())
                .help(help),
        );
    };
    let mut told = BTreeSet::new();
    for phase in plan.cells.iter().flat_map(|cell| &cell.phases) {
        let name = phase.name.as_str();
        if !told.insert(name) {
            continue;
        }
        if phase.until_steady.is_some() {
            let message =
                format!("phase `{name}` goes on until it is steady, and clients share it");
            let there = scenario.at(&["phase", name, "until-steady"], "judged by one client");
            refuse(message, there, "give the warm-up a fixed `requests` or `duration`");
        }
        if phase.over_saturation.is_some() {
            let message = format!("phase `{name}` ends by `over-saturation`, and clients share it");
            let there = scenario.at(&["phase", name, "over-saturation"], "judged by one client");
            refuse(message, there, "leave it out, or `[clients]`");
        }
        if let ArrivalsPlan::Batch { .. } = phase.arrivals {
            let message = format!("phase `{name}` sends batches, and clients share it");
            let there = scenario.at(&["phase", name], "a batch is sent by one client");
            refuse(message, there, "use `concurrency`, or leave `[clients]` out");
        }
    }
    for launch in plan.launches.values().filter(|launch| launch.http.proxy.is_some()) {
        let message =
            format!("engine `{}` is reached by a proxy, and clients share its load", launch.engine);
        let there = scenario.at(&["engine", &launch.engine, "proxy"], "");
        refuse(message, there, "let clients reach the engine directly: leave `proxy` out");
    }
}

/// A budget divides the time among engines that run one after the other.
pub(super) fn parallel(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    let (Some(parallel), Some(budget)) = (plan.parallel, plan.budget) else { return };
    let message = format!(
        "engines share a budget of {budget} one after the other, and `parallel = \"{}\"` has them \
         side by side",
        parallel.word()
    );
    found.push(
        Diagnostic::error("scenario/contradiction", message)
            .label(scenario.at(&["budget"], "time for all engines"))
            .label(scenario.at(&["parallel"], "and these run at once"))
            .help("leave one of them out"),
    );
}

/// A reference that no cell is compares with nothing.
pub(super) fn reference(scenario: &Scenario, plan: &Plan, found: &mut Diagnostics) {
    for (key, value) in &plan.reference {
        if plan.cells.is_empty() || plan.cells.iter().any(|cell| cell.keys.get(key) == Some(value))
        {
            continue;
        }
        let message = format!("no cell has `{key} = {value}`, which the reference is to have");
        found.push(
            Diagnostic::error("scenario/reference", message)
                .label(scenario.at(&["reference", key], ""))
                .help("its keys and values are those of `[matrix]`"),
        );
    }
}
