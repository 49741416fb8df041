//! One trial of a cell: its phases, its instrument, its data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::CellId;
use crate::record::request::RequestRecord;
use crate::record::telemetry::TelemetryRecord;
use crate::units::Nanos;

/// Observations of one trial besides its requests. Written when the trial is over:
/// a trial without this record was interrupted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRecord {
    /// The cell.
    pub cell: CellId,
    /// The trial's number, from 1.
    pub trial: u32,
    /// Wall-clock time of the trial's epoch, nanoseconds since the Unix epoch: the one
    /// anchor between monotonic stamps and the world. In a trial that was interrupted and went on
    /// it holds for the stamps of the last attempt.
    pub epoch_unix_ns: u64,
    /// The phases, in order.
    pub phases: Vec<PhaseRecord>,
    /// How the instrument itself fared.
    pub sentinel: SentinelRecord,
    /// The further clients among which its load was shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientRecord>,
    /// Where the prompts came from.
    pub dataset: Option<DatasetRecord>,
    /// Why the trial ended early, if it did.
    pub aborted: Option<String>,
    /// Whether the engine worked for others.
    #[serde(default, skip_serializing_if = "Idle::is_unknown")]
    pub idle: Idle,
    /// What the sampling beside the load took in and what it lost.
    #[serde(default)]
    pub telemetry: TelemetryRecord,
}

/// Whether the engine had neither running nor waiting requests by its own metrics; absent where
/// these do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// When the trial began.
    pub before: Option<bool>,
    /// When its last response was over.
    pub after: Option<bool>,
}

impl Idle {
    fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there was a request that is not the trial's, or one that it left behind.
    pub fn is_denied(self) -> bool {
        self.before == Some(false) || self.after == Some(false)
    }
}

/// One phase as it was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseRecord {
    /// The phase's name in the scenario.
    pub name: String,
    /// Whether its requests count.
    pub kind: PhaseKind,
    /// When its first request was due.
    pub started: Nanos,
    /// When no more was sent: the last scheduled send (open loop) or the stop (closed loop).
    pub stopped: Nanos,
    /// When the last response was over.
    pub drained: Nanos,
    /// Requests that became due in it, later turns of conversations among them: a turn becomes due
    /// when the answer before it is over and the phase still sends. Each has exactly one record.
    pub n_scheduled: u64,
    /// How often an extending warm-up went round, and whether it found a steady state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steadiness: Option<Steadiness>,
    /// Times in which load threads stood still because the recorder had no room.
    #[serde(default, skip_serializing_if = "Stalls::is_none")]
    pub stalls: Stalls,
    /// SHA-256 of the schedule (instants as little-endian nanoseconds), first twelve digits.
    pub schedule_hash: String,
    /// Whether it was to last for a time, and there was no more request to send before that was over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ran_out: bool,
    /// What ended it, where that was a queue that only grew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_saturation: Option<OverSaturationRecord>,
    /// The stretches before an interruption whose finished requests stayed, in order. `started`,
    /// `stopped` and `drained` are those of the stretch after the last of them, and `n_scheduled`
    /// counts the requests of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Stretch>,
}

/// A stretch of a phase that an interruption ended, as far as its requests stayed.
///
/// Its stamps are those of its own attempt. The epoch of the next attempt stands where the stretch
/// ends, so that stamps of a trial never go back: how long the interruption was is not in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// When its first request was due.
    pub started: Nanos,
    /// The last stamp of a request that stayed.
    pub ended: Nanos,
    /// Requests that stayed.
    pub n: u64,
}

impl Stretch {
    /// Returns the stretch of one request.
    pub(crate) fn of(request: &RequestRecord) -> Self {
        Self { started: request.scheduled, ended: request.last_stamp(), n: 1 }
    }

    /// Returns the stretch of the requests of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            started: self.started.min(other.started),
            ended: self.ended.max(other.ended),
            n: self.n + other.n,
        }
    }
}

/// A stretch of a phase in which requests came faster than they were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverSaturationRecord {
    /// Its begin, from the trial's epoch.
    pub since: Nanos,
    /// Its end.
    pub until: Nanos,
    /// Requests that became due in it.
    pub n_due: u64,
    /// Requests that were due and not over at its begin.
    pub n_open_before: u64,
    /// Those at its end.
    pub n_open_after: u64,
}

impl PhaseRecord {
    /// Turns stamps from another epoch into those from one that is `by` nanoseconds earlier.
    pub(crate) fn shift(&mut self, by: i64) {
        for at in
            [&mut self.started, &mut self.stopped, &mut self.drained, &mut self.stalls.longest_from]
        {
            at.0 = at.0.saturating_add_signed(by);
        }
    }

    /// Returns the number of requests that stayed from before an interruption.
    pub(crate) fn n_stayed(&self) -> u64 {
        self.earlier.iter().map(|stretch| stretch.n).sum()
    }
}

/// Whether a phase's requests count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseKind {
    /// Sent to bring the engine to its working state; never in a figure.
    WarmUp,
    /// Measured.
    Measure,
}

/// Times in which load threads stood still, neither sending nor reading, because the recorder
/// had no room: its disk or its CPU did not keep up. Summed over load threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stalls {
    /// How many there were.
    pub n: u64,
    /// How long they lasted together.
    pub total: Nanos,
    /// How long the longest lasted.
    pub longest: Nanos,
    /// When the longest began, from the trial's epoch.
    pub longest_from: Nanos,
}

impl Stalls {
    fn is_none(&self) -> bool {
        self.n == 0
    }

    /// Takes one in.
    pub(crate) fn add(&mut self, from: Nanos, until: Nanos) {
        let took = until.saturating_sub(from);
        *self = self.and(Self { n: 1, total: took, longest: took, longest_from: from });
    }

    /// Returns these and others.
    pub(crate) fn and(self, other: Self) -> Self {
        let longer = if other.longest > self.longest { other } else { self };
        Self { n: self.n + other.n, total: self.total + other.total, ..longer }
    }
}

/// What an extending warm-up found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steadiness {
    /// Rounds of requests that were sent.
    pub rounds: u32,
    /// Whether throughput and TTFT showed no trend before the cap.
    pub steady: bool,
}

/// How long arrivals gather, while many streams are active, before a load thread asks for them. The
/// kernel stamps them all the same, and one wake-up then serves many sockets. Measured with 500
/// streams, 10 ms between tokens, in CPU seconds per million chunks: 8.1 without, 5.4 with 0.3 ms,
/// 4.9 with 0.6 ms and 5.0 with 1 ms, against 5.5 for a reader that only counts.
pub const GATHER: Nanos = Nanos(500_000);

/// Period of the sentinel's beats.
pub const BEAT: Nanos = Nanos::from_millis(5);

/// A further client of a trial, beside the process that ran it.
///
/// The stamps of its requests are those of its own monotonic clock, moved by the offset: latencies
/// are as exact as any, and only what compares instants of two machines has the clocks' error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    /// The command that started it.
    pub command: Vec<String>,
    /// Name of its machine.
    pub host: String,
    /// Requests that became due at it.
    pub n_scheduled: u64,
    /// What its wall clock showed more than that of the run's machine before the trial,
    /// nanoseconds.
    pub clock_offset_ns: i64,
    /// How far that may be off.
    pub clock_error: Nanos,
    /// How much the offset had grown when the trial was over, nanoseconds.
    pub clock_drift_ns: i64,
    /// How it fared itself.
    pub sentinel: SentinelRecord,
}

impl TrialRecord {
    /// Returns where the epoch of the attempt that ended it stands in its stamps: 0 unless the
    /// trial was interrupted and went on.
    pub(crate) fn last_attempt_at(&self) -> Nanos {
        let stretches = self.phases.iter().flat_map(|phase| &phase.earlier);
        stretches.map(|stretch| stretch.ended).max().unwrap_or_default()
    }

    /// Returns how every client of the trial fared, that of the run's machine first.
    pub(crate) fn sentinels(&self) -> impl Iterator<Item = &SentinelRecord> {
        let others = self.clients.iter().map(|client| &client.sentinel);
        std::iter::once(&self.sentinel).chain(others)
    }
}

/// How the instrument fared during a trial: raw quantities, judged by `metrics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentinelRecord {
    /// How late a timer thread woke that asked for a fixed cadence, one value per beat, sorted.
    /// At most a few thousand values: a uniform sample when there were more.
    pub wake_lag: Vec<Nanos>,
    /// The longest gap between two beats.
    pub wake_gap_max: Nanos,
    /// CPU time of the load threads during the measured phases.
    pub load_cpu: Nanos,
    /// CPU time of the whole process during the measured phases.
    pub process_cpu: Nanos,
    /// Wall time of the measured phases.
    pub wall: Nanos,
    /// Load threads.
    pub n_load_threads: u32,
    /// Times a finished exchange had to wait for the recorder.
    pub recorder_stalls: u64,
    /// Peak resident memory of the process, bytes.
    pub rss_max: u64,
    /// CPU time that the hypervisor took from this machine during the measured phases, summed
    /// over CPUs.
    pub steal: Nanos,
    /// Drift of the wall clock against the monotonic clock over the measured phases, nanoseconds.
    pub wall_drift_ns: i64,
    /// From the moment just before the engine wrote an event, as the engine itself says, to our
    /// stamp of its arrival, nanoseconds, ascending: known of the simulated engine alone. At most
    /// some ten thousand values: a uniform sample when there were more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added_ns: Vec<i64>,
}

/// The times of a trace that is replayed, at its own speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceRecord {
    /// Its requests.
    pub n: u64,
    /// From its first request to its last.
    pub span: Nanos,
    /// What its times are, and how that is known: `in ms, as in Mooncake's traces`.
    pub unit: String,
}

impl fmt::Display for TraceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span_s = self.span.as_secs_f64();
        let requests = if self.n == 1 { "request" } else { "requests" };
        write!(f, "{} {requests} over {span_s} s", self.n)?;
        if span_s > 0.0 {
            let gaps = self.n.saturating_sub(1) as f64;
            match gaps / span_s {
                rate if rate >= 0.01 => {
                    write!(f, ", {} per s", (rate * 1000.0).round() / 1000.0)?;
                }
                _ => write!(f, ", one every {} s", (span_s / gaps).round())?,
            }
        }
        write!(f, "; times {}", self.unit)
    }
}

/// The tokens that the engine's own tokenizer makes of a prompt, beside the data set's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineTokens {
    /// Row of the data set.
    pub row: u64,
    /// Tokens by the data set's tokenizer.
    pub n: u32,
    /// Tokens that the engine puts in front of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<u32>,
    /// Its tokens behind these.
    pub n_engine: u32,
    /// How many of those are the same from the first on.
    pub n_same: u32,
    /// Whether the prompt itself begins with what the engine puts in front.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begins_twice: bool,
}

impl EngineTokens {
    /// Whether the engine reads what was meant.
    pub fn agrees(&self) -> bool {
        self.n == self.n_same && self.n == self.n_engine && !self.begins_twice
    }
}

/// Which data a trial used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetRecord {
    /// The data set's name in the scenario.
    pub name: String,
    /// Where it came from, as a person would say it: path, cache entry or URL.
    pub origin: String,
    /// The reason why the fallback was taken; absent when the asked-for source was found.
    pub fallback: Option<String>,
    /// SHA-256 of the file; of the recipe for generated data.
    pub sha256: String,
    /// Rows that could be used.
    pub n_samples: u64,
    /// Distinct prompts among them.
    pub n_distinct: u64,
    /// Rows that these numbers are of, where more rows would have changed nothing that is sent
    /// and were not looked at; absent when all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_looked_at: Option<u64>,
    /// Rows left out, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<(String, u64)>,
    /// Rows sent with a change, by what was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<(String, u64)>,
    /// What is known of the rows' times, where they are replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceRecord>,
    /// SHA-256 over all prompts in the order sent, first twelve digits.
    pub prompts_hash: String,
    /// What the engine's own tokenizer makes of some prompts; empty where it does not tell, or
    /// where the data set has no tokenizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engine_tokens: Vec<EngineTokens>,
    /// Rows that warm-up and measured phases both send, because there are too few.
    #[serde(default)]
    pub n_shared_with_warm_up: u64,
}
