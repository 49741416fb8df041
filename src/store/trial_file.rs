//! The files of a trial, and `trial.json`, which proves that they are whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::trial::TrialRecord;
use crate::store::file_sum::FileSum;

/// File names of a trial.
pub(super) const REQUESTS: &str = "requests.jsonl";
pub(super) const OUTPUTS: &str = "outputs.jsonl";
pub(super) const TELEMETRY: &str = "telemetry.jsonl";
pub(super) const TRIAL: &str = "trial.json";
/// What the trial was begun with; there where something stays when it is interrupted.
pub(super) const BEGUN: &str = "begun.json";
/// The name of `trial.json` until all files of the trial are on the disk.
pub(super) const PENDING: &str = "trial.json.pending";

/// The content of `trial.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialFile {
    /// [`crate::record::FORMAT_VERSION`].
    pub(super) format: u32,
    /// What was observed.
    pub(super) record: TrialRecord,
    /// Sums of the trial's files by name.
    pub(super) files: BTreeMap<String, FileSum>,
}
