//! What a report is made from: values only, read from the run directory by others.

use std::collections::BTreeMap;

use crate::analysis::input::{CellSeries, EngineStart, RunFacts};
use crate::analysis::run::RunAnalysis;
use crate::ids::CellId;
use crate::metrics::compare::Comparison;
use crate::metrics::summary::Summary;
use crate::plan::Plan;
use crate::published::PublishedTable;
use crate::record::environment::Environment;
use crate::record::trial::DatasetRecord;

/// Everything a report says, as values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// The numbers.
    pub summary: &'a Summary,
    /// The alternatives at equal load; absent where there are no two.
    pub comparison: Option<&'a Comparison>,
    /// The plan.
    pub plan: &'a Plan,
    /// The machine and the program, as recorded when the run began.
    pub environment: &'a Environment,
    /// Which run this is.
    pub run: &'a RunFacts,
    /// Starts of engines, from the run's events.
    pub engines: &'a [EngineStart],
    /// Data sets as they were used, one each.
    pub datasets: &'a [DatasetRecord],
    /// The published table of the scenario.
    pub published: Option<&'a PublishedTable>,
    /// What figures draw, by cell; cells may be missing.
    pub series: &'a BTreeMap<CellId, CellSeries>,
}

impl<'a> Input<'a> {
    /// Returns what a report says of a run that was read, beside a published table.
    pub(crate) fn of(analysis: &'a RunAnalysis, published: Option<&'a PublishedTable>) -> Self {
        Self {
            summary: &analysis.summary,
            comparison: analysis.comparison.as_ref(),
            plan: &analysis.plan,
            environment: &analysis.environment,
            run: &analysis.run,
            engines: &analysis.engines,
            datasets: &analysis.datasets,
            published,
            series: &analysis.series,
        }
    }
}
