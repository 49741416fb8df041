//! One view of a run, all of it strings: every face prints the same ones.

pub(crate) mod alternatives;
pub(crate) mod blocks;
pub(crate) mod bounds;
pub(crate) mod caveats;
pub(crate) mod cells;
pub(crate) mod client_overhead;
pub(crate) mod compatibility;
pub(crate) mod conditions;
pub(crate) mod decision;
pub(crate) mod details;
pub(crate) mod gates;
pub(crate) mod headline;
pub(crate) mod long_list;
pub(crate) mod own_shape;
pub(crate) mod published;
mod records;
pub(crate) mod references;
pub(crate) mod results;
pub(crate) mod setup;
pub(crate) mod table;
pub(crate) mod wall_time;

use indexmap::IndexMap;
use serde::Serialize;

use crate::metrics::summary::{CellStatus, Summary};
use crate::report::figure::{self, FigureView};
use crate::report::input::Input;
use crate::report::untrusted::line;
use crate::report::view::blocks::BlockView;
use crate::report::view::caveats::{CaveatView, RemedyView};
use crate::report::view::cells::CellView;
use crate::report::view::conditions::{Conditions, Fact};
use crate::report::view::decision::DecisionView;
use crate::report::view::gates::GateView;
use crate::report::view::long_list::LongList;
use crate::report::view::own_shape::ShapeView;
use crate::report::view::published::PublishedView;
use crate::report::view::setup::{DatasetView, EngineView};
use crate::report::view::table::{Table, TableCell};

/// Everything a report says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ReportView {
    /// Title of the scenario.
    pub title: String,
    /// What the scenario is for; may be empty.
    pub description: String,
    /// Stem of the template that the scenario asks for.
    pub template: String,
    /// Said in large letters when the run did not reach its end; else empty.
    pub watermark: String,
    /// Which run this is: name, start, seed.
    pub run: Vec<Fact>,
    /// Where its wall time went, in a sentence; empty for a run without time.
    pub wall_time: String,
    /// The answer, one sentence per question.
    pub headline: Vec<String>,
    /// Which cell is to be taken, where the scenario says what is wanted of it.
    pub decision: Option<DecisionView>,
    /// How many cells are in which state, the best first: `6 ok`, `1 INVALID`.
    pub states: Vec<TableCell>,
    /// The leader beside each other alternative at each load.
    pub alternatives: Table,
    /// What that table is called.
    pub alternatives_title: String,
    /// Measured, failed and unfinished cells.
    pub results: Table,
    /// Cells that could not run, and why.
    pub skipped: Vec<SkippedView>,
    /// The same in one line.
    pub skipped_line: String,
    /// Cells whose numbers are not to be believed, or that failed, and why.
    pub troubled: LongList<TroubleView>,
    /// Gates, those that were not passed first.
    pub gates: LongList<GateView>,
    /// Numbers that are doubtful or INVALID, with the ends between which they lie.
    pub bounds: Table,
    /// Percentiles in which failed requests are slower than all others.
    pub with_failures: Table,
    /// The published table beside the measured rows.
    pub published: Option<PublishedView>,
    /// The measured cells in the shape of the published table.
    pub shapes: Vec<ShapeView>,
    /// Devices that are too old for an engine of the plan, one sentence each.
    pub compatibility: Vec<String>,
    /// Doubts, numbered.
    pub caveats: Vec<CaveatView>,
    /// The same by what helps against them.
    pub remedies: Vec<RemedyView>,
    /// Every number of the first cells by its name, where the template chooses its columns: see
    /// [`Self::with_cells`].
    pub cells: LongList<CellView>,
    /// Result blocks of vLLM's serving benchmark.
    pub serving: Vec<BlockView>,
    /// Result blocks of an offline job.
    pub offline: Vec<BlockView>,
    /// Single figures.
    pub figures: Table,
    /// Distributions.
    pub distributions: Table,
    /// Answers by class.
    pub accuracy: Table,
    /// Answers beside those of reference cells.
    pub references: Table,
    /// Requests by their end.
    pub counts: Table,
    /// Starts of engines.
    pub load: Table,
    /// Where the records of each cell and trial lie.
    pub records: Table,
    /// Under which conditions cells were measured.
    pub conditions: LongList<Conditions>,
    /// The machine.
    pub environment: Vec<Fact>,
    /// Engines.
    pub engines: Vec<EngineView>,
    /// Data sets.
    pub datasets: Vec<DatasetView>,
    /// Charts.
    pub charts: Vec<FigureView>,
    /// What bench itself adds on this machine.
    pub instrument: String,
    /// Whether Markdown says everything, rather than what a person looks at first.
    pub full: bool,
    /// Rows of each table in Markdown at most; 0 for all.
    pub rows_max: usize,
    /// Caveats in Markdown at most; 0 for all.
    pub caveats_max: usize,
    /// Where a person finds the report; for the terminal alone.
    #[serde(skip)]
    pub report_at: String,
}

/// A cell that could not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SkippedView {
    /// Its name.
    pub cell: String,
    /// Why, and how to change it.
    pub reason: String,
}

/// A cell that failed or whose numbers are not to be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TroubleView {
    /// Its name.
    pub cell: String,
    /// `INVALID`, `FAILED`, `incomplete`.
    pub status: String,
    /// Why.
    pub reasons: Vec<String>,
}

impl ReportView {
    /// Makes the view of a run. The same input gives the same strings.
    pub(crate) fn new(input: &Input<'_>) -> Self {
        let Input { summary, plan, .. } = *input;
        let (caveats, marks) = caveats::collect(summary);
        let results = results::main_table(summary, plan, &marks);
        let skipped = skipped(input);
        let instrument = client_overhead::of_run(plan, &summary.cells, input.environment);
        Self {
            title: line(&summary.title),
            description: line(&plan.description),
            template: plan.report.clone(),
            watermark: watermark(input),
            run: run_facts(input),
            wall_time: wall_time::sentence(&summary.wall_time).unwrap_or_default(),
            headline: headline::headline(summary, plan, input.comparison)
                .into_iter()
                .chain(references::sentences(summary))
                .collect(),
            decision: decision::of_report(plan, summary),
            states: states(summary),
            alternatives: alternatives::alternatives(input.comparison),
            alternatives_title: alternatives::title(input.comparison),
            results,
            skipped_line: skipped_line(&skipped),
            skipped,
            troubled: troubled(input),
            gates: gates::gates(&summary.gates).into(),
            bounds: bounds::bounds(summary),
            with_failures: details::with_failures(summary, plan),
            published: input.published.map(|published| {
                published::beside(published, plan.published.as_ref(), summary, &marks)
            }),
            remedies: caveats::by_remedy(&caveats),
            caveats,
            cells: LongList::default(),
            serving: blocks::serving(summary, input.environment),
            offline: blocks::offline(summary, input.environment),
            shapes: own_shape::shapes(input, &marks),
            compatibility: compatibility::alerts(plan, input.environment),
            figures: details::figures(summary, &marks),
            distributions: details::distributions(summary, &marks),
            accuracy: details::accuracy(summary, &marks),
            references: references::references(summary),
            counts: details::counts(summary),
            load: details::load(summary),
            records: details::records(summary, plan),
            conditions: conditions::conditions(plan).into(),
            environment: setup::environment(input.environment, &instrument),
            engines: setup::engines(plan, input.engines),
            datasets: setup::datasets(input.datasets),
            charts: figure::charts(input),
            instrument: line(&instrument),
            full: false,
            rows_max: 0,
            caveats_max: 0,
            report_at: line(&input.run.report_at),
        }
    }
}

impl ReportView {
    /// Returns the view with every number of the first cells, whatever its template shows.
    #[must_use]
    pub(crate) fn with_cells(self, summary: &Summary) -> Self {
        let (_, marks) = caveats::collect(summary);
        Self { cells: cells::cells(summary, &marks), ..self }
    }
}

fn watermark(input: &Input<'_>) -> String {
    if input.summary.complete {
        return String::new();
    }
    let (n_measured, n_cells) = input.summary.progress();
    if n_measured == n_cells {
        return format!(
            "INCOMPLETE: the run did not come to its end; all {n_cells} cells have ended"
        );
    }
    format!("INCOMPLETE: {n_measured} of {n_cells} cells measured")
}

fn run_facts(input: &Input<'_>) -> Vec<Fact> {
    let wall_time = wall_time::sentence(&input.summary.wall_time);
    let facts = vec![
        Fact::new("run", &input.run.name),
        Fact::new("scenario", &input.plan.name),
        Fact::new("started", utc(input.run.started_unix_ns)),
        Fact::new("seed", input.plan.seed.0.to_string()),
        Fact::new("bench", &input.environment.bench_version),
    ];
    facts.into_iter().chain(wall_time.map(|said| Fact::new("wall time", said))).collect()
}

/// Prints a wall-clock instant to the second, in UTC so that no time zone can change it.
pub(crate) fn utc(unix_ns: u64) -> String {
    let secs = i64::try_from(unix_ns / 1_000_000_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(secs).map_or_else(|_| "unknown".to_owned(), |at| at.to_string())
}

fn states(summary: &Summary) -> Vec<TableCell> {
    let states = [
        CellStatus::Ok,
        CellStatus::Doubtful,
        CellStatus::Invalid,
        CellStatus::Failed,
        CellStatus::Incomplete,
        CellStatus::Skipped,
    ];
    let counted = states.map(|status| {
        let cells = || summary.cells.iter().filter(move |cell| cell.validity.status == status);
        let state = results::status_cell(cells().next()?, &caveats::Marks::default());
        let text = format!("{} {}", cells().count(), state.text);
        Some(TableCell { tone: state.tone, ..TableCell::text(text) })
    });
    counted.into_iter().flatten().collect()
}

fn skipped(input: &Input<'_>) -> Vec<SkippedView> {
    let cells = input.summary.cells.iter().filter(|cell| results::is_skipped(cell));
    cells
        .map(|cell| SkippedView {
            cell: line(&cell.name),
            reason: results::reasons(cell).join("; "),
        })
        .collect()
}

/// Tells each reason once, with how many cells it keeps from running.
fn skipped_line(skipped: &[SkippedView]) -> String {
    let mut by_reason: IndexMap<&str, usize> = IndexMap::new();
    for cell in skipped {
        *by_reason.entry(&cell.reason).or_default() += 1;
    }
    let told = by_reason.into_iter().map(|(reason, n)| match n {
        1 => reason.to_owned(),
        n => format!("{reason} ({n} cells)"),
    });
    told.collect::<Vec<_>>().join(" · ")
}

fn troubled(input: &Input<'_>) -> LongList<TroubleView> {
    let cells = input.summary.cells.iter().filter(|cell| !results::is_skipped(cell));
    cells
        .filter(|cell| !results::reasons(cell).is_empty())
        .map(|cell| TroubleView {
            cell: line(&cell.name),
            status: results::status_cell(cell, &caveats::Marks::default()).text.into(),
            reasons: results::reasons(cell),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::report::tests::sample_run;
    use crate::report::{csv, html, json, markdown, terminal};

    #[test]
    fn no_face_shows_the_value_of_an_environment_variable() {
        let view = sample_run::view();
        let faces = [
            terminal::render(&view, None, true),
            markdown::render(&view).unwrap(),
            html::render(&view).unwrap(),
            json::render(&sample_run::summary()),
            csv::render_summary(&sample_run::summary()),
        ];
        for face in faces {
            assert!(!face.contains("canary-secret"), "{face}");
        }
    }

    #[test]
    fn no_face_but_json_holds_a_raw_control_character() {
        let view = sample_run::view();
        for face in [
            terminal::render(&view, None, false),
            markdown::render(&view).unwrap(),
            html::render(&view).unwrap(),
        ] {
            let treacherous = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert_eq!(face.chars().find(|c| treacherous(*c)), None);
        }
    }
}
