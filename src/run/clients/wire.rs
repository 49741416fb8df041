//! The messages between a run and a further client, one JSON text per line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ids::LaunchId;
use crate::load::spec::{Counts, LoadReport, Share};
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::record::request::{CancelCause, OutputRecord, RequestRecord};
use crate::units::Nanos;

/// What a client is told. The end of the pipe means that the run is gone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// Read the data of the plan. This order comes first, and once.
    Prepare(Box<Preparation>),
    /// Say the time.
    Time,
    /// Carry out a share of a trial.
    Trial(Box<TrialOrder>),
    /// The round that was said to be ready begins.
    Start {
        /// When, by the client's own wall clock, nanoseconds since the Unix epoch.
        at_unix_ns: u64,
    },
    /// Enough is known of a phase.
    Known {
        /// Index into the trial's phases.
        phase: u16,
    },
    /// End the trial.
    End(CancelCause),
}

/// The data of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Preparation {
    /// Version of bench; another one may schedule otherwise.
    pub(super) version: String,
    pub(super) plan: Plan,
    /// The scenario file, as the user named it.
    pub(super) scenario: PathBuf,
    /// Working directory of the run.
    pub(super) cwd: PathBuf,
    /// Day that chat templates are told where a data set says none.
    pub(super) template_date: String,
}

/// A share of one trial.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TrialOrder {
    pub(super) cell: Cell,
    pub(super) launch: LaunchId,
    pub(super) trial: u32,
    pub(super) share: Share,
    pub(super) base_url: String,
    /// Headers that every request carries; the pipe is the only way that their values take.
    pub(super) headers: Vec<(String, String)>,
    /// The forms of the secrets in use.
    pub(super) secrets: Vec<String>,
}

/// What a client says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// The data are read.
    Prepared {
        /// Name of its machine.
        host: String,
    },
    /// Its wall clock, nanoseconds since the Unix epoch.
    Time(u64),
    /// The next round can begin.
    Ready {
        /// Wall-clock time of the trial's epoch.
        epoch_unix_ns: u64,
        /// The earliest instant, from that epoch.
        earliest: Nanos,
        /// SHA-256 over all prompts in the order sent, first twelve digits.
        prompts_hash: String,
    },
    /// Counts of the trial so far. Their coming says that the client lives.
    Counts(Counts),
    /// A request has ended.
    Ended(Box<RequestRecord>, Option<OutputRecord>),
    /// The trial is over.
    Report(Box<LoadReport>),
    /// It cannot go on, and why.
    Failed(String),
}

/// The end of a pipe that takes messages from several threads.
pub(super) struct Speaker<W>(Mutex<Option<W>>);

impl<W: Write> Speaker<W> {
    pub(super) fn new(pipe: W) -> Self {
        Self(Mutex::new(Some(pipe)))
    }

    /// Writes a message.
    ///
    /// # Errors
    /// The other side is gone.
    pub(super) fn say(&self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.write_all(&line)?;
        pipe.flush()
    }

    /// Closes the pipe.
    pub(super) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
