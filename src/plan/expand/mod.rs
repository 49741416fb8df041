//! From a scenario to a plan: every cell, its engine's launch, its phases, its identity.

mod check;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;
use toml::Value;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ids::{CellId, LaunchId, content_hash};
use crate::plan::cell::{ArrivalsPlan, Cell, DatasetPlan, Phase, RequestPlan, ScorePlan, Source};
use crate::plan::gate::GatePlan;
use crate::plan::launch::{Launch, build};
use crate::plan::matrix::{Combination, combinations, text};
use crate::plan::name::{cell_name, with_hash};
use crate::plan::paths::{Host, Places};
use crate::plan::phases::{extract, typed};
use crate::plan::search::SearchPlan;
use crate::plan::{Plan, PublishedPlan, datasets, phases};
use crate::record::trial::PhaseKind;
use crate::scenario::Scenario;
use crate::scenario::spec::{CostSpec, GateSpec, PublishedSpec, ScenarioSpec};
use crate::seed::Seed;

/// Version of what a cell's identity is made of; raised when the same scenario would come to
/// measure something else.
const IDENTITY_VERSION: u32 = 1;

/// What could be made of a scenario.
#[derive(Debug)]
pub struct Expanded {
    /// The plan; whole when nothing was found.
    pub plan: Plan,
    /// Every mistake that shows only when engines, data and load come together.
    pub found: Diagnostics,
    /// What can be looked at although its cell is wrong.
    pub parts: Parts,
}

/// Engines and data sets that are known whole, of cells that are not.
#[derive(Debug, Default)]
pub struct Parts {
    /// Launches, each once.
    pub launches: Vec<Launch>,
    /// Data sets by the scenario's name, with the score that grades their answers; each once.
    pub datasets: Vec<(String, DatasetPlan, Option<ScorePlan>)>,
    /// Content of what is there already.
    seen: BTreeSet<String>,
}

/// Expands a scenario, and returns what is doubtful about it beside the plan.
///
/// # Errors
/// Every mistake that shows only when engines, data and load come together.
pub fn expand(scenario: &Scenario, host: &Host) -> Result<(Plan, Diagnostics), Diagnostics> {
    let mut found = Diagnostics::default();
    let expanded = expand_in_part(scenario, host, &mut found);
    let Some(Expanded { plan, found, .. }) = expanded else { return Err(found) };
    found.unless_errors(plan)
}

/// Expands what can be expanded; `None` when not even the keys at the top are known, which
/// `told` then says.
pub fn expand_in_part(
    scenario: &Scenario,
    host: &Host,
    told: &mut Diagnostics,
) -> Option<Expanded> {
    let mut found = Diagnostics::default();
    let tree = Value::Table(scenario.tree.clone());
    let top: ScenarioSpec = typed(scenario, tree, &[], told)?;
    let combinations = combinations(scenario, &mut found);
    // What stands in for a mistake is no reason for another one.
    let is_sound = !found.has_errors() && scenario.mends.is_empty();
    let mut making = Making {
        scenario,
        is_sound,
        real: Places::real(host, &scenario.dir),
        top,
        search: phases::search(scenario, &mut found),
        drafts: IndexMap::new(),
        launches: IndexMap::new(),
        parts: Parts::default(),
    };
    for combination in combinations {
        making.cell(combination, &mut found);
    }
    let parts = std::mem::take(&mut making.parts);
    if is_sound {
        check::same_command(scenario, &making.launches, &mut found);
    }
    let plan = making.plan(&mut found);
    check::few_requests(scenario, &plan, &mut found);
    check::parallel(scenario, &plan, &mut found);
    if is_sound {
        check::published(scenario, &plan, &mut found);
        check::reference(scenario, &plan, &mut found);
        check::clients(scenario, &plan, &mut found);
    }
    found.sort();
    Some(Expanded { plan, found, parts })
}

impl Parts {
    fn add(
        &mut self,
        name: String,
        dataset: Option<DatasetPlan>,
        score: Option<ScorePlan>,
        launch: Option<Launch>,
    ) {
        if let Some(launch) = launch.filter(|launch| self.seen.insert(content_hash(launch))) {
            self.launches.push(launch);
        }
        if let Some(dataset) = dataset
            && self.seen.insert(content_hash(&(&name, &dataset, &score)))
        {
            self.datasets.push((name, dataset, score));
        }
    }
}

/// A plan in the making.
struct Making<'a> {
    scenario: &'a Scenario,
    /// Whether all swept keys and values are what was written.
    is_sound: bool,
    real: Places,
    /// The scenario without its swept values.
    top: ScenarioSpec,
    search: Option<SearchPlan>,
    /// By identity, in the order of the matrix.
    drafts: IndexMap<CellId, Draft>,
    launches: IndexMap<LaunchId, Launch>,
    parts: Parts,
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
        let phases = phases::phases(
            scenario,
            &combination.tree,
            self.search.as_ref(),
            self.top.trials,
            found,
        );
        let wanted = phases.as_ref().map_or_else(datasets::Use::default, |(phases, _)| {
            let is_trace = |phase: &Phase| matches!(phase.arrivals, ArrivalsPlan::Trace { .. });
            datasets::Use {
                warm_up_requests: warm_up_requests(phases),
                is_replayed: phases.iter().any(is_trace),
            }
        });
        let data = |places: &Places, found: &mut Diagnostics| {
            datasets::dataset(scenario, &combination, wanted, places, found)
        };
        let dataset_as_written = data(&identity, &mut Diagnostics::default());
        let dataset_plan = data(&self.real, found);
        let score_plan = combination.score.as_ref().and_then(|name| {
            let dataset = dataset_plan.as_ref()?;
            let source = dataset.source;
            check::gold(scenario, (&combination.dataset, dataset), name, found);
            datasets::score(scenario, &combination.tree, name, source, found)
        });
        // What is wrong with it has been told of the launch as written.
        let launch =
            || build::launch(scenario, &combination, &self.real, &mut Diagnostics::default());
        if launch_as_written.is_none()
            || request.is_none()
            || phases.is_none()
            || dataset_plan.is_none()
        {
            let launch = launch_as_written.and_then(|_| launch());
            self.parts.add(combination.dataset, dataset_plan, score_plan, launch);
            return;
        }
        let (Some(launch_as_written), Some(request)) = (launch_as_written, request) else { return };
        let Some((phases, n_trials)) = phases else { return };
        let (Some(dataset_plan), Some(dataset_as_written)) = (dataset_plan, dataset_as_written)
        else {
            return;
        };
        let launch_id = build::identity(&launch_as_written);
        if !self.launches.contains_key(&launch_id) {
            let Some(launch) = launch() else { return };
            self.launches.insert(launch_id.clone(), launch);
        }
        let Combination { mut keys, dataset, score, tree, .. } = combination;
        if let Some(search) = &self.search {
            keys.insert(search.over.key().to_owned(), search.from.to_string());
        }
        check::load(scenario, &phases, &dataset_plan, &dataset, found);
        // Whether its template asks for the day is known when it has been read: see `Plan::date`.
        let day = dataset_as_written.template_date.clone();
        let undated = DatasetPlan { template_date: None, ..dataset_as_written.clone() };
        let identity = Identity {
            version: identity_version(&dataset_as_written),
            seed: Seed(self.top.seed),
            launch: &launch_id,
            dataset: &undated,
            request: &request,
            phases: &phases,
        };
        let mut id = CellId(content_hash(&identity));
        if self.drafts.get(&id).is_some_and(|twin| twin.dataset_as_written.template_date != day) {
            id = CellId(content_hash(&(&id, &day)));
        }
        let cell = Cell {
            id,
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
            row: None,
        };
        if let Some(twin) = self.drafts.get(&cell.id) {
            if self.is_sound {
                check::twins(scenario, &twin.cell, &cell, found);
            }
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
        let Self { scenario, top, .. } = self;
        if top.report.is_empty() {
            found.push(
                Diagnostic::error("scenario/missing", "`report` is empty")
                    .label(scenario.value_at(&["report"]))
                    .help("name a report, or leave the key out"),
            );
        }
        let cost: Option<CostSpec> = extract(scenario, &scenario.tree, &["cost"], found);
        let validity = extract(scenario, &scenario.tree, &["validity"], found);
        Plan {
            title: if top.title.is_empty() { scenario.name.clone() } else { top.title },
            description: top.description,
            name: scenario.name.clone(),
            report: top.report,
            seed: Seed(top.seed),
            order: top.order,
            launches: self.launches,
            cells: self.drafts.into_values().map(|draft| draft.cell).collect(),
            datasets,
            scores,
            published: published(scenario, found),
            reference: conditions(&top.reference),
            search: self.search,
            max_failures: top.max_failures,
            skip_after: top.skip_after,
            budget: top.budget,
            prefetch: top.prefetch == Some(true),
            parallel: top.parallel,
            clients: extract(scenario, &scenario.tree, &["clients"], found),
            gate: top.gate.map(gate),
            compare: extract(scenario, &scenario.tree, &["compare"], found),
            // Absent after a mistake alone, which has been told.
            validity: validity.unwrap_or_default(),
            gpu_hour_price: cost.and_then(|cost| cost.gpu_hour_price),
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

fn gate(spec: GateSpec) -> GatePlan {
    GatePlan {
        steady: spec.steady,
        must: spec.must,
        must_not: Vec::new(),
        undecided: spec.undecided,
        baseline: None,
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

/// Returns swept keys and values that a cell has to have, as names show them.
fn conditions(written: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    written.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn published(scenario: &Scenario, found: &mut Diagnostics) -> Option<PublishedPlan> {
    let spec: PublishedSpec = extract(scenario, &scenario.tree, &["published"], found)?;
    let rows = spec.rows.iter().map(|(row, written)| (row.clone(), conditions(written)));
    let names = spec.names.iter().map(|(published, value)| (published.clone(), text(value)));
    Some(PublishedPlan {
        table: spec.table,
        rows: rows.collect(),
        names: names.collect(),
        stand_ins: spec.stand_ins.unwrap_or_default(),
    })
}
