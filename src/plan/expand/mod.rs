//! From a scenario to a plan: every cell, its engine's launch, its phases, its identity.

mod check;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;
use toml::{Table, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ids::{CellId, LaunchId, content_hash};
use crate::plan::cell::{Cell, DatasetPlan, Phase, RequestPlan, ScorePlan, Source};
use crate::plan::launch::{Launch, build};
use crate::plan::matrix::{Combination, combinations, text};
use crate::plan::name::{cell_name, with_hash};
use crate::plan::paths::{Host, Places};
use crate::plan::search::SearchPlan;
use crate::plan::{Plan, PublishedPlan, TrialOrder, datasets, phases};
use crate::record::trial::PhaseKind;
use crate::scenario::Scenario;
use crate::seed::Seed;

/// Version of what a cell's identity is made of; raised when the same scenario would come to
/// measure something else.
const IDENTITY_VERSION: u32 = 1;

/// Expands a scenario, and returns what is doubtful about it beside the plan.
///
/// # Errors
/// Every mistake that shows only when engines, data and load come together.
pub fn expand(scenario: &Scenario, host: &Host) -> Result<(Plan, Diagnostics), Diagnostics> {
    let mut found = Diagnostics::default();
    let combinations = combinations(scenario, &mut found);
    let mut making = Making {
        scenario,
        real: Places::real(host, &scenario.dir),
        search: phases::search(&scenario.tree),
        drafts: IndexMap::new(),
        launches: IndexMap::new(),
    };
    for combination in combinations {
        making.cell(combination, &mut found);
    }
    check::same_command(scenario, &making.launches, &mut found);
    let plan = making.plan(&mut found);
    check::published(scenario, &plan, &mut found);
    check::reference(scenario, &plan, &mut found);
    found.sort();
    found.unless_errors(plan)
}

/// A plan in the making.
struct Making<'a> {
    scenario: &'a Scenario,
    real: Places,
    search: Option<SearchPlan>,
    /// By identity, in the order of the matrix.
    drafts: IndexMap<CellId, Draft>,
    launches: IndexMap<LaunchId, Launch>,
}

/// A cell whose data set and score have no name in the plan yet.
struct Draft {
    cell: Cell,
    dataset: DatasetPlan,
    /// The same with paths as written: variants are named after it, the same in every checkout.
    dataset_as_written: DatasetPlan,
    score: Option<ScorePlan>,
}

impl Making<'_> {
    fn cell(&mut self, combination: Combination, found: &mut Diagnostics) {
        let scenario = self.scenario;
        let identity = Places::identity();
        let launch_as_written = build::launch(scenario, &combination, &identity, found);
        let request = phases::request(scenario, &combination.tree, found);
        let phases = phases::phases(scenario, &combination.tree, self.search.as_ref(), found);
        let Some(launch_as_written) = launch_as_written else { return };
        let (Some(request), Some((phases, n_trials))) = (request, phases) else { return };
        let warm_up = warm_up_requests(&phases);
        let data = |places: &Places, found: &mut Diagnostics| {
            datasets::dataset(scenario, &combination, warm_up, places, found)
        };
        let dataset_as_written = data(&identity, &mut Diagnostics::default());
        let dataset_plan = data(&self.real, found);
        let (Some(dataset_plan), Some(dataset_as_written)) = (dataset_plan, dataset_as_written)
        else {
            return;
        };
        let launch_id = build::identity(&launch_as_written);
        if !self.launches.contains_key(&launch_id) {
            // What is wrong with it has been told of the launch as written.
            let quiet = &mut Diagnostics::default();
            let launch = build::launch(scenario, &combination, &self.real, quiet);
            let Some(launch) = launch else { return };
            self.launches.insert(launch_id.clone(), launch);
        }
        let Combination { mut keys, dataset, score, tree, .. } = combination;
        if let Some(search) = &self.search {
            keys.insert(search.over.key().to_owned(), search.from.to_string());
        }
        check::load(scenario, &phases, &dataset_plan, &dataset, found);
        let score_plan = score
            .as_ref()
            .and_then(|name| datasets::score(scenario, &tree, name, dataset_plan.source, found));
        let identity = Identity {
            version: identity_version(&dataset_as_written),
            seed: seed(&scenario.tree),
            launch: &launch_id,
            dataset: &dataset_as_written,
            request: &request,
            phases: &phases,
        };
        let cell = Cell {
            id: CellId(content_hash(&identity)),
            name: cell_name(&keys),
            keys,
            launch: launch_id,
            dataset,
            score,
            request,
            phases,
            n_trials,
            slo: phases::slo(scenario, &tree, found),
            skip: None,
        };
        if let Some(twin) = self.drafts.get(&cell.id) {
            check::twins(scenario, &twin.cell, &cell, found);
            return;
        }
        let draft = Draft { cell, dataset: dataset_plan, dataset_as_written, score: score_plan };
        self.drafts.insert(draft.cell.id.clone(), draft);
    }

    fn plan(mut self, found: &mut Diagnostics) -> Plan {
        self.tell_names_apart();
        let datasets = name_variants(&mut self.drafts, |draft| {
            Some((&mut draft.cell.dataset, &draft.dataset, &draft.dataset_as_written))
        });
        let scores = name_variants(&mut self.drafts, |draft| {
            let score = draft.score.as_ref()?;
            Some((draft.cell.score.as_mut()?, score, score))
        });
        let tree = &self.scenario.tree;
        let string = |key: &str| tree.get(key).and_then(Value::as_str).unwrap_or_default();
        let title = if string("title").is_empty() { &self.scenario.name } else { string("title") };
        if string("report").is_empty() {
            found.push(Diagnostic::error("scenario/missing", "`report` is empty"));
        }
        Plan {
            title: title.to_string(),
            description: string("description").to_string(),
            name: self.scenario.name.clone(),
            report: string("report").to_string(),
            seed: seed(tree),
            order: match string("order") {
                "interleaved" => TrialOrder::Interleaved,
                _ => TrialOrder::Grouped,
            },
            launches: self.launches,
            cells: self.drafts.into_values().map(|draft| draft.cell).collect(),
            datasets,
            scores,
            published: published(tree),
            reference: conditions(tree.get("reference")),
            search: self.search,
            gpu_hour_price: tree.get("cost").and_then(|cost| cost.get("gpu-hour-price")).and_then(
                |price| price.as_float().or_else(|| price.as_integer().map(|price| price as f64)),
            ),
        }
    }

    /// Some file systems ignore case: names that differ in case alone get a hash.
    fn tell_names_apart(&mut self) {
        let mut seen = BTreeSet::new();
        for draft in self.drafts.values_mut() {
            if !seen.insert(draft.cell.name.to_ascii_lowercase()) {
                let stem: String = draft.cell.name.chars().take(100).collect();
                draft.cell.name = with_hash(&stem, &draft.cell.name);
                seen.insert(draft.cell.name.to_ascii_lowercase());
            }
        }
    }
}

/// Everything that shapes what a cell measures. Left out: titles, scores and objectives, which
/// can be applied again, and the number of trials, which may grow.
#[derive(Serialize)]
struct Identity<'a> {
    version: u32,
    seed: Seed,
    launch: &'a LaunchId,
    dataset: &'a DatasetPlan,
    request: &'a RequestPlan,
    phases: &'a [Phase],
}

/// The random order of ShareGPT's rows is drawn before they are filtered since version 2.
fn identity_version(dataset: &DatasetPlan) -> u32 {
    let is_reordered = dataset.source == Source::Sharegpt && dataset.shuffle;
    if is_reordered { IDENTITY_VERSION + 1 } else { IDENTITY_VERSION }
}

fn seed(tree: &Table) -> Seed {
    Seed(tree.get("seed").and_then(Value::as_integer).unwrap_or_default().unsigned_abs())
}

/// Returns the rows that a cell's warm-up takes.
fn warm_up_requests(phases: &[Phase]) -> u64 {
    phases
        .iter()
        .filter(|phase| phase.kind == PhaseKind::WarmUp)
        .filter_map(|phase| phase.n_requests)
        .sum()
}

/// Gives each variant of a data set or score a name of its own: the scenario's name while there
/// is one variant, else with a hash behind.
fn name_variants<T: Clone + PartialEq + Serialize>(
    drafts: &mut IndexMap<CellId, Draft>,
    mut of: impl FnMut(&mut Draft) -> Option<(&mut String, &T, &T)>,
) -> BTreeMap<String, T> {
    // The first variant of each name, and whether there is another.
    let mut variants: BTreeMap<String, (T, bool)> = BTreeMap::new();
    for draft in drafts.values_mut() {
        if let Some((name, plan, _)) = of(draft) {
            match variants.get_mut(name.as_str()) {
                Some((first, several)) => *several |= first != plan,
                None => drop(variants.insert(name.clone(), (plan.clone(), false))),
            }
        }
    }
    let mut named = BTreeMap::new();
    for draft in drafts.values_mut() {
        if let Some((name, plan, as_written)) = of(draft) {
            if variants[name.as_str()].1 {
                *name = format!("{name}~{}", &content_hash(as_written)[..6]);
            }
            named.insert(name.clone(), plan.clone());
        }
    }
    named
}

/// Reads swept keys and values that a cell has to have.
fn conditions(table: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = table.and_then(Value::as_table).into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn published(tree: &Table) -> Option<PublishedPlan> {
    let table = tree.get("published").and_then(Value::as_table)?;
    let rows = table.get("rows").and_then(Value::as_table);
    Some(PublishedPlan {
        table: table.get("table")?.as_str()?.to_string(),
        rows: rows
            .into_iter()
            .flatten()
            .map(|(row, table)| (row.clone(), conditions(Some(table))))
            .collect(),
    })
}
