//! What a screen shows, as values.

use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;

use crate::cli::progress_line::Line;
use crate::ids::CellId;

/// Where a cell stands while the run goes on. What its numbers are worth is the report's to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CellState {
    #[default]
    Waiting,
    Running,
    Measured,
    Failed,
    Skipped,
    Interrupted,
}

impl fmt::Display for CellState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Measured => "measured",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        })
    }
}

/// A cell of the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct CellRow {
    /// What tells it from the others.
    pub(crate) name: String,
    pub(crate) state: CellState,
    /// Its key figures, or why it has none.
    pub(crate) told: String,
}

/// What one second was like; nothing where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Second {
    /// Tokens, or chunks where nobody counts tokens.
    pub(crate) n_tokens: Option<f64>,
    /// Medians of the answers that ended last, ms.
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) tpot_ms: Option<f64>,
}

/// What the events of a run say so far.
pub(crate) struct View<'a> {
    pub(crate) title: &'a str,
    pub(crate) rows: &'a IndexMap<CellId, CellRow>,
    /// The row that is or was measured last.
    pub(crate) current: usize,
    /// The trial that is being measured.
    pub(crate) line: Option<Line>,
    /// What is waited for where nothing is being measured.
    pub(crate) waiting: &'a str,
    /// Time since the run began, and what all of it will take.
    pub(crate) whole: Option<(Duration, Duration)>,
    pub(crate) elapsed: Duration,
}
