//! The written forms: each key of a scenario with its type, its range and its meaning, once.
//!
//! A new key is one line here, its default or a comment in `defaults.toml`, and its use.

mod dataset;
mod engine;
mod gate;
mod phase;
mod request;
mod score;
mod slurm;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::scenario::grammar::Kind::{
    Above, Anything, Either, Integer, List, Map, Named, Number, Scalar, Text,
};
use crate::scenario::grammar::{Field, Grammar, Kind, table, words};
pub use crate::scenario::spec::dataset::{
    BadRows, LengthRange, PromptForm, SameRole, Source, TimeUnit,
};
pub(crate) use crate::scenario::spec::dataset::{DatasetSpec, Locations};
pub(crate) use crate::scenario::spec::engine::{
    EngineSpec, FlagSpec, GpusSpec, OPTIONS, RequiresSpec, SpeculativeSpec, SpeculativeTable,
};
pub use crate::scenario::spec::engine::{LogPatterns, MetricsEndpoint, Quirks};
pub(crate) use crate::scenario::spec::gate::GateSpec;
pub(crate) use crate::scenario::spec::gate::Undecided;
pub(crate) use crate::scenario::spec::phase::{
    AllRows, ArrivalSpec, CountSpec, LOADS, MIN_ROUNDS, PhaseSpec, RoundsSpec, SteadySpec,
    UntilSpec,
};
pub use crate::scenario::spec::phase::{Deadlines, OverSaturation, RampShape};
pub use crate::scenario::spec::request::{Api, SearchOver, SearchPlan, Slo, ValidityLimits};
pub(crate) use crate::scenario::spec::request::{FromData, MaxTokensSpec, RequestSpec};
pub use crate::scenario::spec::score::{CompareHow, Normalise, Take, Think};
pub(crate) use crate::scenario::spec::score::{ExtractorSpec, ExtractorWord, ScoreSpec};
pub(crate) use crate::scenario::spec::slurm::SlurmSpec;
use crate::units::Nanos;

/// A count of which there is at least one.
const ONE_UP: Kind = Integer(1, 10_000_000);

table! {
    /// A scenario file.
    #[expect(dead_code, reason = "sections whose values may be swept are read per cell")]
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct ScenarioSpec {
        /// Heading of the report.
        pub(crate) title: String,
        /// What the scenario is for, in prose.
        pub(crate) description: String,
        /// Report template: file stem in `reports/`.
        pub(crate) report: String,
        /// The only source of randomness.
        pub(crate) seed: u64,
        /// Scenario files beneath this one, relative to it; later ones win.
        pub(crate) extends: Option<Value> = Either(&[Text, List(&Text)]),
        /// How often each cell is measured.
        pub(crate) trials: u32 = Integer(1, 1000),
        /// All trials of an engine in a row, or engines alternating A B B A.
        pub(crate) order: TrialOrder,
        /// Share of requests that may fail or never come; more of them and the cell is FAILED.
        pub(crate) max_failures: Option<f64> = Number(0.0, 1.0),
        /// After which failures a configuration is not tried at this load or a higher one.
        pub(crate) skip_after: Option<SkipAfter>,
        /// Time for all cells of a run; what does not fit is left out.
        pub(crate) budget: Option<Nanos>,
        /// Read the model files of the next engine into the page cache while one is measured.
        pub(crate) prefetch: Option<bool>,
        /// Engines that need different GPUs side by side; each alone when absent.
        pub(crate) parallel: Option<Parallel>,
        /// Names for `{{ … }}` in engines, data sets and further variables.
        pub(crate) vars [default]: Table = Named("variable", &Scalar),
        /// Engines, each on top of a preset.
        pub(crate) engine [default]: Table = Named("engine", &Kind::Engine),
        /// Swept keys and their values: lists become the cartesian product.
        pub(crate) matrix [default]: Table = Map(&Anything),
        /// Where prompts come from.
        pub(crate) dataset [default]: Table = Named("data set", &DatasetSpec::KIND),
        /// How answers are graded.
        pub(crate) score [default]: Table = Named("score", &ScoreSpec::KIND),
        /// Stretches of load, in the order of the file.
        pub(crate) phase [default]: Table = Named("phase", &PhaseSpec::KIND),
        /// Form of the requests.
        pub(crate) request: Table = RequestSpec::KIND,
        /// Objectives: a request is good when it meets all of them.
        pub(crate) slo: Option<Table> = Slo::KIND,
        /// How wide the bound of a number may be before the number is doubtful or INVALID.
        pub(crate) validity: Table = ValidityLimits::KIND,
        /// A published table to show beside the measured rows.
        pub(crate) published: Option<Table> = PublishedSpec::KIND,
        /// Swept keys and values of the cell that answers are held against.
        pub(crate) reference [default]: BTreeMap<String, Value> = Map(&Scalar),
        /// Looks for the highest load that meets the objectives.
        pub(crate) search: Option<Table> = SearchPlan::KIND,
        /// What is required of the numbers.
        pub(crate) gate: Option<GateSpec>,
        /// How comparisons of this run are judged.
        pub(crate) compare: Option<Table> = CompareSpec::KIND,
        /// Prices.
        pub(crate) cost: Option<Table> = CostSpec::KIND,
        /// Further processes that share the load of each trial.
        pub(crate) clients: Option<Table> = ClientsSpec::KIND,
        /// What `bench run --slurm` asks Slurm for.
        pub(crate) slurm: Table = SlurmSpec::KIND,
        /// Overrides, chosen by `--profile NAME`.
        pub(crate) profile [default]: Table = Named("profile", &Kind::Profile),
    }
}

words! {
    /// In which order trials are run.
    #[derive(Default)]
    pub enum TrialOrder {
        /// All trials of a launch's cells, then the next launch: one start per launch.
        #[default]
        Grouped = "grouped",
        /// Trials alternate between launches, A B B A, so that slow changes of the machine
        /// fall on all alike. Engines are restarted in between.
        Interleaved = "interleaved",
    }
}

words! {
    /// What tells engines apart that may be measured side by side.
    pub enum Parallel {
        /// Each start of an engine has GPUs of its own, as many as it is spread over.
        ByGpu = "by-gpu",
    }
}

words! {
    /// After which failures a configuration is not tried at this load or a higher one.
    pub enum SkipAfter {
        /// The engine ran out of memory.
        Oom = "oom",
        /// It failed, however.
        Failure = "failure",
    }
}

table! {
    /// `[published]`.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct PublishedSpec {
        /// File stem in `fixtures/published/`.
        pub(crate) table: String,
        /// Published row → the cell it belongs to, by swept keys.
        pub(crate) rows [default]: IndexMap<String, BTreeMap<String, Value>> =
            Map(&Map(&Scalar)),
        /// What the published table calls a swept value → that value.
        pub(crate) names [default]: BTreeMap<String, Value> = Map(&Scalar),
        /// Other engines than the published ones are measured: rows bear the names of their cells.
        pub(crate) stand_ins: Option<bool>,
    }
}

table! {
    /// `[cost]`.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct CostSpec {
        /// Price of one hour of one GPU.
        pub(crate) gpu_hour_price: Option<f64> = Number(0.0, 1e9),
    }
}

table! {
    /// `[compare]`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct CompareSpec {
        /// Chance that any verdict of a comparison calls a difference that is not there.
        pub alpha: Option<f64> = Above(0.0, 0.5),
        /// Share within which figures are equivalent; of accuracies the difference.
        pub margin: Option<f64> = Above(0.0, 1.0),
    }
}

table! {
    /// `[clients]`: further processes that share the load of each trial. No part of any cell's
    /// identity, since all send one schedule together.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct ClientsSpec {
        /// A command for each, such as `["ssh", "node7"]`; the path of bench and a word follow it.
        pub commands: Vec<Vec<String>> = List(&List(&Text)),
        /// Name under which they find engines of this machine; `%h` is its own host name.
        pub host: Option<String>,
    }
}

/// Keys of `[matrix]` that are not swept.
pub(crate) const MATRIX: &[Field] = &[
    Field {
        key: "zip",
        kind: Kind::List(&Kind::List(&Kind::Text)),
        optional: true,
        doc: "Groups of swept keys that advance together.",
    },
    Field {
        key: "exclude",
        kind: Kind::List(&Kind::Map(&Kind::Anything)),
        optional: true,
        doc: "Cells that are left out: swept keys, each with the value or values of such a cell.",
    },
];

/// Returns the keys of a section, or of each table in it; none where users name the keys.
pub(crate) fn section(name: &str) -> &'static [Field] {
    let field = ScenarioSpec::FIELDS.iter().find(|field| field.key == name);
    match field.map(|field| &field.kind) {
        Some(Kind::Table(fields) | Kind::Named(_, Kind::Table(fields))) => fields,
        Some(Kind::Named(_, Kind::Engine)) => EngineSpec::FIELDS,
        _ => &[],
    }
}
