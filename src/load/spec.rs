//! The parts of a trial of load, as `run` orders it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};

use crate::load::clock::Epoch;
use crate::load::transport::proxy::Proxy;
use crate::plan::cell::Phase;
use crate::record::request::{CancelCause, OutputRecord, RequestRecord};
use crate::record::trial::{PhaseRecord, SentinelRecord};
use crate::secrets::Secret;
use crate::secrets::redact::Redactor;
use crate::units::Nanos;
use crate::workload::arrivals::{Arrivals, Gate};
use crate::workload::request::{NextTurn, Request};

/// One trial, ready to be carried out.
pub struct TrialSpec {
    /// Zero of all stamps. Taken by the caller, so that telemetry can share it.
    pub epoch: Epoch,
    /// Where requests go.
    pub target: Target,
    /// The phases, in order.
    pub phases: Vec<PhaseLoad>,
    /// Load threads; by the number of CPUs when absent.
    pub n_threads: Option<u32>,
    /// Whether the sink gets the text of answers.
    pub keep_outputs: bool,
    /// Counts the tokens of a text with the pinned tokenizer.
    pub token_counter: Option<TokenCounter>,
    /// Makes the body of a conversation's next turn.
    pub next_turn: Option<NextTurnBody>,
    /// Judges after each round of an extending warm-up whether the warm-up may end.
    pub is_steady: Option<SteadyTest>,
    /// Whether the engine puts its own stamps into its events, as the simulated one does.
    pub reads_truth: bool,
    /// Bounds on one answer.
    pub limits: Limits,
    /// Removes the secrets in use from the engine's words before they are shortened.
    pub redactor: Redactor,
}

/// Which part of a trial one of its clients sends: of every `of` requests in the order of the
/// schedule the one at `place`, and as much of each limit on requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// From 0.
    pub(crate) place: u32,
    /// Clients among which it is divided.
    pub(crate) of: u32,
}

impl Share {
    pub(crate) const WHOLE: Self = Self { place: 0, of: 1 };

    /// Returns this client's part of a gate, and of the requests behind it: with fewer streams than
    /// clients, some send nothing.
    pub(crate) fn through(self, gate: Gate) -> (Self, Gate) {
        match gate {
            Gate::Open | Gate::Batch(_) => (self, gate),
            Gate::Cap(cap) => {
                let of = self.of.min(cap.max(1));
                let n =
                    if self.place < of { cap / of + u32::from(self.place < cap % of) } else { 0 };
                (Self { of, ..self }, Gate::Cap(n))
            }
        }
    }

    /// Whether nothing is sent from here.
    pub(crate) fn is_empty(self) -> bool {
        self.place >= self.of
    }

    /// Returns this client's part of `n`, rounded up.
    pub(crate) fn part_of(self, n: u64) -> u64 {
        if self.is_empty() { 0 } else { n.div_ceil(u64::from(self.of)) }
    }
}

/// Counts the tokens of a text.
pub type TokenCounter = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// Makes the body of the next turn from the last turn's body, its answer and the next question. An
/// error ends the conversation.
pub type NextTurnBody = Arc<dyn Fn(&[u8], &str, &NextTurn) -> Result<Bytes, String> + Send + Sync>;

/// Judges whether rounds no longer show a trend.
pub type SteadyTest = Box<dyn Fn(&[RoundStats]) -> bool + Send>;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Target {
    /// Base URL of the engine, `http://127.0.0.1:8000`.
    pub base_url: String,
    /// URL path of the endpoint, after the base URL's own; with a query, if it has one.
    pub path: String,
    /// Headers that every request carries beside bench's own, the API key's among them. Readiness
    /// was probed with the same.
    pub headers: Vec<(String, Secret)>,
    /// Whether the answer is requested as a stream.
    pub stream: bool,
    /// Whether the engine's streams end without `[DONE]`. The missing `[DONE]` is then not an
    /// oddity.
    pub no_done: bool,
    /// Whether the engine closes connections after an answer without announcing it. No connection
    /// is then used twice.
    pub no_reuse: bool,
    /// The proxy in between, if there is one.
    pub proxy: Option<Proxy>,
    /// How connections are secured on `https`.
    pub tls: Option<Arc<ClientConfig>>,
    /// Which transport carries the requests.
    pub transport: Transport,
}

/// Transports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// `Direct` for `http://`, `Library` for `https://`.
    #[default]
    Auto,
    /// Own sockets with kernel stamps.
    Direct,
    /// The HTTP and TLS libraries. A stamp is taken when a read of theirs returns.
    Library,
}

/// One phase with its requests.
pub struct PhaseLoad {
    /// The phase.
    pub plan: Phase,
    /// When its requests are due, from the phase's start.
    pub arrivals: Arrivals,
    /// Its requests, in the order of the schedule. The phase ends early when they run out.
    pub requests: Box<dyn Iterator<Item = Request> + Send>,
}

/// Bounds on one answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest server-sent event, and largest JSON answer, in bytes.
    pub event_bytes: usize,
    /// An answer is cut at twice its `max_tokens`, but not below this many tokens.
    pub excess_tokens_floor: u32,
    /// An answer without `max_tokens` is cut here.
    pub tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event_bytes: 8 << 20, excess_tokens_floor: 256, tokens: 1 << 20 }
    }
}

/// Takes finished requests, in the order in which they end, on the recorder's thread.
pub trait RecordSink: Send {
    /// Takes one request, with its text if texts are kept.
    ///
    /// # Errors
    /// The record cannot be stored. The trial then ends.
    fn accept(&mut self, record: RequestRecord, output: Option<OutputRecord>) -> io::Result<()>;
}

impl<F> RecordSink for F
where
    F: FnMut(RequestRecord, Option<OutputRecord>) -> io::Result<()> + Send,
{
    fn accept(&mut self, record: RequestRecord, output: Option<OutputRecord>) -> io::Result<()> {
        self(record, output)
    }
}

/// Ends a trial from outside. The trial notices within 100 ms.
#[derive(Debug, Default)]
pub struct Control {
    cause: AtomicU8,
    /// The phase of which enough is known, counted from 1.
    known: AtomicU32,
    /// The phase whose queue only grows, likewise.
    over_saturated: AtomicU32,
}

impl Control {
    /// Ends the trial because the user interrupted it.
    pub fn interrupt(&self) {
        self.cause.store(1, Ordering::Relaxed);
    }

    /// Ends the trial because the engine is gone.
    pub fn engine_gone(&self) {
        self.cause.store(2, Ordering::Relaxed);
    }

    /// Ends the sending of a phase: what was asked of it is known. Its responses are waited for.
    pub fn known(&self, phase: u16) {
        self.known.store(u32::from(phase) + 1, Ordering::Relaxed);
    }

    /// Ends a phase whose queue only grows, and all its requests.
    pub(crate) fn over_saturated(&self, phase: u16) {
        self.over_saturated.store(u32::from(phase) + 1, Ordering::Relaxed);
    }

    /// Whether the queue of a phase only grows.
    pub(crate) fn is_over_saturated(&self, phase: u16) -> bool {
        self.over_saturated.load(Ordering::Relaxed) == u32::from(phase) + 1
    }

    /// Returns the phase of which enough is known.
    pub(crate) fn known_phase(&self) -> Option<u16> {
        self.known.load(Ordering::Relaxed).checked_sub(1).map(|phase| phase as u16)
    }

    /// Whether enough is known of a phase.
    pub fn is_known(&self, phase: u16) -> bool {
        self.known_phase() == Some(phase)
    }

    /// Returns why the trial has to end; `None` if it may go on.
    pub fn cause(&self) -> Option<CancelCause> {
        match self.cause.load(Ordering::Relaxed) {
            1 => Some(CancelCause::Signal),
            2 => Some(CancelCause::EngineGone),
            _ => None,
        }
    }
}

/// Counts that add up over the clients of a trial, at one moment; [`Live`] knows which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts([u64; 6]);

/// Counts for progress displays. They lag behind by a fraction of a second.
#[derive(Debug, Default)]
pub struct Live {
    /// Phases that have begun.
    pub phases_begun: AtomicU64,
    /// Requests sent.
    pub sent: AtomicU64,
    /// Requests that have ended, with any outcome.
    pub done: AtomicU64,
    /// Requests that have ended without success.
    pub failed: AtomicU64,
    /// Token events received; of answers that have ended the tokens, where somebody counted them.
    pub tokens: AtomicU64,
    /// Answers whose tokens nobody counted: then `tokens` holds events.
    pub uncounted: AtomicU64,
    /// Bytes of bodies received.
    pub bytes: AtomicU64,
    /// The complete answers that ended last. The recorder writes them; no load thread comes near.
    pub recent: Mutex<RecentAnswers>,
}

impl Live {
    /// Returns the counts that add up over clients.
    fn shared(&self) -> [&AtomicU64; 6] {
        [&self.sent, &self.done, &self.failed, &self.tokens, &self.uncounted, &self.bytes]
    }

    /// Returns what has been counted so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts(self.shared().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Adds what another client has counted since it last said so.
    pub(crate) fn add(&self, before: Counts, now: Counts) {
        for ((count, before), now) in self.shared().into_iter().zip(before.0).zip(now.0) {
            count.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        }
    }

    /// Takes note of how many tokens an answer had whose events were counted as they came.
    pub(crate) fn note_count(&self, counted: Option<u64>, n_events: u64) {
        match counted {
            Some(n) => self.tokens.fetch_add(n.saturating_sub(n_events), Ordering::Relaxed),
            None if n_events > 0 => self.uncounted.fetch_add(1, Ordering::Relaxed),
            None => 0,
        };
    }
}

/// Answers whose latencies a progress display shows.
const RECENT_MAX: usize = 256;

/// Latencies of the answers that ended last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentAnswers {
    ttfts: VecDeque<Nanos>,
    tpots: VecDeque<Nanos>,
}

impl RecentAnswers {
    /// Takes note of an answer; one of a single token has no time per further token.
    pub fn push(&mut self, ttft: Nanos, tpot: Option<Nanos>) {
        push_bounded(&mut self.ttfts, ttft);
        if let Some(tpot) = tpot {
            push_bounded(&mut self.tpots, tpot);
        }
    }

    /// Returns the median time to first token.
    pub fn ttft_p50(&self) -> Option<Nanos> {
        median(&self.ttfts)
    }

    /// Returns the median time per output token after the first.
    pub fn tpot_p50(&self) -> Option<Nanos> {
        median(&self.tpots)
    }
}

fn push_bounded(values: &mut VecDeque<Nanos>, value: Nanos) {
    if values.len() == RECENT_MAX {
        values.pop_front();
    }
    values.push_back(value);
}

fn median(values: &VecDeque<Nanos>) -> Option<Nanos> {
    let mut sorted: Vec<Nanos> = values.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// One round of an extending warm-up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundStats {
    /// Complete answers.
    pub n_ok: u64,
    /// All other requests.
    pub n_failed: u64,
    /// Times from sending to the first token, of complete answers; some thousand at most.
    pub ttfts: Vec<Nanos>,
    /// Output tokens per second of the same answers, from sending to the last byte. In a closed
    /// loop this is the throughput of a stream, without the ramp and the drain of a short round.
    pub token_rates: Vec<f64>,
}

/// The result of a trial besides its request records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadReport {
    /// Wall-clock time of the epoch, nanoseconds since the Unix epoch.
    pub epoch_unix_ns: u64,
    /// The phases that were begun, in order.
    pub phases: Vec<PhaseRecord>,
    /// The sentinel's measurements of the instrument.
    pub sentinel: SentinelRecord,
    /// Why the trial ended early, if it did.
    pub aborted: Option<String>,
}

/// Why `bench` could not do its work. What engines do wrong is in the records instead.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The base URL is not one.
    #[error("{url:?} is not a usable base URL: {why}")]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The host has no address.
    #[error("no address for host {host:?}: {why}")]
    Resolve {
        /// Host name.
        host: String,
        /// The resolver's error.
        why: String,
    },
    /// A header is not one.
    #[error("header {name:?} has a name or value that HTTP does not allow")]
    BadHeader {
        /// The header's name. Its value may be a secret and is never shown.
        name: String,
    },
    /// Too few file descriptors for the load.
    #[error("the load needs {needed} file descriptors, but the limit is {limit}")]
    TooFewDescriptors {
        /// Needed.
        needed: u64,
        /// Hard limit.
        limit: u64,
    },
    /// A system call that every trial needs failed.
    #[error("failed to {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The sink refused a record.
    #[error("a record could not be stored: {0}")]
    Sink(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_all_streams_between_them_and_none_has_a_request_without_one() {
        let streams = |cap: u32, of: u32| {
            let parts = (0..of).map(|place| Share { place, of }.through(Gate::Cap(cap)));
            let parts = parts.map(|(share, gate)| (share.is_empty(), share.of, gate));
            parts.collect::<Vec<_>>()
        };
        assert_eq!(
            streams(7, 3),
            [(false, 3, Gate::Cap(3)), (false, 3, Gate::Cap(2)), (false, 3, Gate::Cap(2))]
        );
        assert_eq!(streams(1, 2), [(false, 1, Gate::Cap(1)), (true, 1, Gate::Cap(0))]);
        let second = Share { place: 1, of: 2 };
        assert_eq!(second.through(Gate::Open), (second, Gate::Open));
        assert_eq!((second.part_of(5), Share { place: 1, of: 1 }.part_of(5)), (3, 0));
    }

    #[test]
    fn progress_counts_the_tokens_of_answers_and_not_their_events() {
        let live = Live::default();
        live.tokens.store(6, Ordering::Relaxed);
        live.note_count(Some(21), 6);
        assert_eq!(live.tokens.load(Ordering::Relaxed), 21, "events held several tokens");
        assert_eq!(live.uncounted.load(Ordering::Relaxed), 0);
        live.note_count(None, 0);
        assert_eq!(live.uncounted.load(Ordering::Relaxed), 0, "a failed request had none");
        live.note_count(None, 4);
        assert_eq!(live.uncounted.load(Ordering::Relaxed), 1);
    }
    #[test]
    fn what_another_client_counted_is_added_once() {
        let (here, there) = (Live::default(), Live::default());
        let mut counted = Counts::default();
        for n_sent in [2, 5, 5] {
            there.sent.store(n_sent, Ordering::Relaxed);
            there.bytes.store(10 * n_sent, Ordering::Relaxed);
            here.add(counted, there.counts());
            counted = there.counts();
        }
        assert_eq!(here.counts(), there.counts());
    }
}
