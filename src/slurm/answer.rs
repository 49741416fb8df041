//! What `sbatch`, `squeue` and `sacct` answer.

/// Fields that `squeue` is asked for. The comment is the last one: it may hold anything.
pub(crate) const SQUEUE_FORMAT: &str = "%F|%K|%T|%S|%e|%N|%r|%j|%k";

/// Fields that `sacct` is asked for.
pub(crate) const SACCT_FORMAT: &str = "JobID,JobName,State,ExitCode,End,NodeList";

/// A task of an array, as Slurm tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// The array's job id.
    pub(crate) job: u64,
    /// Its place in the array.
    pub(crate) index: usize,
    /// The submission that it is of, as name and comment say.
    pub(crate) name: String,
    /// Comment of the job; empty where it is not known.
    pub(crate) comment: String,
    /// State, such as `RUNNING`.
    pub(crate) state: String,
    /// Why it waits, or how it ended; empty where Slurm says none.
    pub(crate) reason: String,
    /// Start, or the expected one; empty where it is not known.
    pub(crate) start: String,
    /// End, or the limit; empty where it is not known.
    pub(crate) end: String,
    /// Node.
    pub(crate) node: String,
}

impl Task {
    /// Whether it may still measure. A state that is not known is not an end.
    pub(crate) fn is_live(&self) -> bool {
        !ENDED.contains(&self.state.as_str())
    }

    /// Returns its id as people give it to `scancel`.
    pub(crate) fn id(&self) -> String {
        format!("{}_{}", self.job, self.index)
    }

    /// Whether it belongs to a submission.
    pub(crate) fn is_of(&self, submission: &str) -> bool {
        self.comment.split_whitespace().any(|word| word == format!("bench:{submission}"))
            || self.name.ends_with(&format!("-{submission}"))
    }
}

/// States after which a job does nothing any more.
const ENDED: &[&str] = &[
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
];

/// Returns the job id that `sbatch --parsable` prints: `123`, or `123;cluster`.
pub(crate) fn job_id(stdout: &str) -> Option<u64> {
    let text = stdout.trim();
    text.split_once(';').map_or(text, |(id, _)| id).parse().ok()
}

/// Reads the answer of `squeue --array` in [`SQUEUE_FORMAT`]; jobs that are no arrays are none of
/// ours.
pub(crate) fn of_squeue(stdout: &str) -> Vec<Task> {
    let task = |line: &str| {
        let fields: Vec<&str> = line.splitn(9, '|').collect();
        let [job, index, state, start, end, node, reason, name, comment] =
            fields.try_into().ok()?;
        Some(Task {
            job: job.trim().parse().ok()?,
            index: index.trim().parse().ok()?,
            name: name.to_owned(),
            comment: known(comment),
            state: state.trim().to_owned(),
            reason: known(reason),
            start: known(start),
            end: known(end),
            node: known(node),
        })
    };
    stdout.lines().filter_map(task).collect()
}

/// Reads the answer of `sacct --parsable2` in [`SACCT_FORMAT`]. Tasks that were cancelled before any of
/// them began are one line, `4_[0-3,7%2]`.
pub(crate) fn of_sacct(stdout: &str) -> Vec<Task> {
    let tasks = |line: &str| {
        let fields: Vec<&str> = line.split('|').collect();
        let [id, name, state, code, end, node] = fields.try_into().ok()?;
        let (job, indexes) = id.split_once('_')?;
        // `CANCELLED by 1000`.
        let (state, by) = state.split_once(' ').unwrap_or((state, ""));
        let reason = match (by, code) {
            ("", "0:0" | "") => String::new(),
            ("", code) => format!("exit code {code}"),
            (by, _) => by.to_owned(),
        };
        let task = Task {
            job: job.parse().ok()?,
            index: 0,
            name: name.to_owned(),
            comment: String::new(),
            state: state.to_owned(),
            reason,
            start: String::new(),
            end: known(end),
            node: known(node),
        };
        let of_index = move |index| Task { index, ..task.clone() };
        Some(of_indexes(indexes)?.into_iter().map(of_index))
    };
    stdout.lines().filter_map(tasks).flatten().collect()
}

/// Returns the places in an array that are written as `3`, or `[0-3,7%2]`.
fn of_indexes(text: &str) -> Option<Vec<usize>> {
    /// The most that Slurm gives an array.
    const INDEX_MAX: usize = 4_000_000;
    let Some(list) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Some(vec![text.parse().ok()?]);
    };
    let list = list.split_once('%').map_or(list, |(list, _at_once)| list);
    let mut indexes = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        indexes.extend(from..=to.min(INDEX_MAX));
    }
    Some(indexes)
}

/// Returns a field, empty where Slurm has nothing to say.
fn known(field: &str) -> String {
    match field.trim() {
        "None" | "NONE" | "N/A" | "Unknown" | "(null)" | "None assigned" => String::new(),
        text => text.to_owned(),
    }
}

/// Whether Slurm was not to be reached, or answered too late: the same command may work later,
/// and what was asked for may have happened.
pub(crate) fn is_out_of_reach(stderr: &str) -> bool {
    let told = stderr.to_ascii_lowercase();
    [
        "unable to contact",
        "timed out",
        "connection refused",
        "connect failure",
        "temporarily unable",
        "slurmctld",
        "communication",
    ]
    .iter()
    .any(|word| told.contains(word))
}

/// Whether Slurm's commands know no cluster: nothing is wrong with what was asked for.
pub(crate) fn has_no_cluster(stderr: &str) -> bool {
    let told = stderr.to_ascii_lowercase();
    ["configuration source", "fetch_config", "slurm.conf"].iter().any(|word| told.contains(word))
}
