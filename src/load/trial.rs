//! Carries out one trial: its phases in order, over connections that persist between them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::sync::{Barrier, LazyLock};
use std::thread;

use crate::clock::thread_cpu;
use crate::load::assignment::{PhaseAssignment, Tally};
use crate::load::clock::{Epoch, wake_on_time};
use crate::load::driver::Driver;
use crate::load::feeder::{MADE_AHEAD, Queue, feed};
use crate::load::recorder::channel::{MAX_BATCHES, Message, Return, ThreadRecorder, run_recorder};
use crate::load::recorder::outcome::Asked;
use crate::load::recorder::{Reading, Recorder, RoundReport};
use crate::load::sentinel::{Cost, Edge, Sentinel, beat};
use crate::load::spec::{
    Control, Live, LoadError, LoadReport, PhaseLoad, RecordSink, Share, SteadyTest, Transport,
    TrialSpec,
};
use crate::load::transport::client::Client;
use crate::load::transport::epoll::EpollClient;
use crate::load::transport::hyper::HyperClient;
use crate::load::transport::target::{Endpoint, descriptors, preflight};
use crate::plan::cell::{ArrivalsPlan, Phase};
use crate::record::request::{CancelCause, RequestError};
use crate::record::trial::{PhaseKind, PhaseRecord, Steadiness};
use crate::units::Nanos;
use crate::workload::arrivals::{Gate, Outline};

/// Time between the last preparation and the first due request: that in which every load thread
/// wakes and finds its first requests made. It grows with what is due at once.
const LEAD: Nanos = Nanos(500_000);
const LEAD_PER_STREAM: Nanos = Nanos(200_000);
const LEAD_MAX: Nanos = Nanos::from_millis(20);
/// Connections opened in advance where the number of streams is not known.
const WARM_CONNECTIONS: u32 = 256;
/// Longest time for opening connections in advance. The others are opened when needed.
const WARM_TIMEOUT: Nanos = Nanos::from_secs(5);
/// Load threads at most, unless the spec says otherwise.
const MAX_THREADS: usize = 4;

/// Carries out a trial. Returns when every request of the trial has ended.
///
/// The call blocks its thread. Another thread passes each record to `sink` as the request ends.
///
/// # Errors
/// [`LoadError`] if `bench` could not do its work. What engines do wrong is in the records.
pub fn run_trial(
    spec: TrialSpec,
    sink: &mut dyn RecordSink,
    control: &Control,
    live: &Live,
) -> Result<LoadReport, LoadError> {
    run_share(spec, None, sink, control, live)
}

/// The other clients of a trial.
pub(crate) struct Others<'a> {
    /// The part that is sent from here.
    pub(crate) share: Share,
    /// Waits until every client is ready for a round. It takes the earliest instant at which this
    /// one can begin, from the trial's epoch, and returns the instant at which all do.
    pub(crate) meet: &'a (dyn Fn(Nanos) -> Nanos + Sync),
}

/// Carries out the share of a trial that is sent from here; all of it without others.
///
/// # Errors
/// As [`run_trial`].
pub(crate) fn run_share(
    spec: TrialSpec,
    others: Option<&Others<'_>>,
    sink: &mut dyn RecordSink,
    control: &Control,
    live: &Live,
) -> Result<LoadReport, LoadError> {
    let endpoint = Endpoint::new(&spec.target)?;
    preflight(max_streams(spec.phases.iter().map(|phase| &phase.plan)))?;
    let is_library = match spec.target.transport {
        Transport::Auto => endpoint.url.scheme() == "https",
        Transport::Direct if endpoint.url.scheme() == "https" => {
            let why = "the direct transport speaks no TLS".to_owned();
            return Err(LoadError::BadUrl { url: spec.target.base_url, why });
        }
        Transport::Direct => false,
        Transport::Library => true,
    };
    let n_threads = spec.n_threads.map_or_else(default_threads, |n| n.max(1) as usize);
    let epoch = spec.epoch;
    let address = endpoint.address()?;
    if is_library {
        let client = |_| HyperClient::new(epoch, &endpoint, address, &spec.target);
        let clients = (0..n_threads).map(client).collect::<Result<Vec<_>, _>>()?;
        carry_out(clients, spec, others, sink, control, live)
    } else {
        let head = endpoint.request_head(&spec.target)?;
        let reuse = !spec.target.no_reuse;
        let failed = |source| LoadError::System { what: "set up sockets", source };
        let client = |_| EpollClient::new(epoch, address, head.clone(), reuse).map_err(failed);
        let clients = (0..n_threads).map(client).collect::<Result<Vec<_>, _>>()?;
        carry_out(clients, spec, others, sink, control, live)
    }
}

/// Returns half of the CPUs, or one on small machines. The engine gets the others.
fn default_threads() -> usize {
    // The library reads the limits of this process's cgroup each time.
    static N_CPUS: LazyLock<usize> =
        LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));
    let n_cpus = *N_CPUS;
    if n_cpus <= 2 { 1 } else { (n_cpus / 2).min(MAX_THREADS) }
}

/// Makes sure that the load of a cell finds enough descriptors here, and changes nothing.
///
/// # Errors
/// [`LoadError::TooFewDescriptors`] if the hard limit does not allow it.
pub(crate) fn check_descriptors(phases: &[Phase]) -> Result<(), LoadError> {
    descriptors(max_streams(phases)).map(drop)
}

fn max_streams<'p>(phases: impl IntoIterator<Item = &'p Phase>) -> u64 {
    phases.into_iter().map(streams_of).max().unwrap_or(0)
}

/// Returns how many requests a phase may have in flight, as far as that is known.
fn streams_of(phase: &Phase) -> u64 {
    match Gate::new(&phase.arrivals, phase.max_in_flight) {
        Gate::Cap(n) | Gate::Batch(n) => u64::from(n),
        Gate::Open if phase.arrivals == ArrivalsPlan::AllAtOnce => phase.n_requests.unwrap_or(0),
        Gate::Open => phase.n_requests.unwrap_or(u64::MAX).min(1024),
    }
}

/// What the threads of a trial share.
struct TrialShared<'a> {
    epoch: Epoch,
    others: Option<&'a Others<'a>>,
    control: &'a Control,
    live: &'a Live,
    /// Set when the trial must end although nobody outside asked for it.
    gives_up: &'a Control,
    notes: SyncSender<Message>,
    /// The recorder's thread, for whom it keeps waiting while it rests.
    recorder: thread::Thread,
}

fn carry_out<C: Client + Send>(
    clients: Vec<C>,
    spec: TrialSpec,
    others: Option<&Others<'_>>,
    sink: &mut dyn RecordSink,
    control: &Control,
    live: &Live,
) -> Result<LoadReport, LoadError> {
    let TrialSpec { epoch, target, phases, is_steady, .. } = spec;
    let truth_epoch_ns = spec.reads_truth.then(|| epoch.monotonic_ns());
    let reading = Reading {
        asked: Asked { stream: target.stream, no_done: target.no_done },
        keep_outputs: spec.keep_outputs,
        token_counter: spec.token_counter,
        next_turn: spec.next_turn,
        limits: spec.limits,
        redactor: spec.redactor,
        truth_epoch_ns,
    };
    let is_prompt = reading.next_turn.is_some();
    let mut recorder = Recorder::new(reading, sink, live);
    let (notes, inbox) = sync_channel(MAX_BATCHES);
    let (mut drivers, ways_back) = drivers_of(clients, epoch, &notes, live);
    let mut sentinel = Sentinel::new(drivers.len() as u32);
    let stop_beats = AtomicBool::new(false);
    let gives_up = Control::default();
    let (phases, aborted, beats) = thread::scope(|scope| {
        let beats = scope.spawn(|| beat(epoch, &stop_beats));
        let (recorder, gives_up) = (&mut recorder, &gives_up);
        let recording = scope.spawn(move || {
            run_recorder(recorder, &inbox, &ways_back, is_prompt, || gives_up.interrupt());
        });
        let stop_beats = StopOnDrop(&stop_beats, beats.thread().clone());
        let recorder = recording.thread().clone();
        let hall = TrialShared { epoch, others, control, live, gives_up, notes, recorder };
        let is_steady = is_steady.as_ref();
        let (phases, aborted) = run_phases(&hall, &mut drivers, phases, is_steady, &mut sentinel);
        // The recorder ends when the last sender of messages is gone.
        drop((hall, drivers));
        recording.thread().unpark();
        recording.join().expect("the recorder does not panic");
        drop(stop_beats);
        (phases, aborted, beats.join().expect("the beat does not panic"))
    });
    let added_ns = recorder.into_added_ns().map_err(LoadError::Sink)?;
    Ok(LoadReport {
        epoch_unix_ns: epoch.unix_ns(),
        phases,
        sentinel: sentinel.into_record(beats, added_ns),
        aborted,
    })
}

/// Stops the beats even if a panic unwinds. The scope would otherwise wait for them for ever.
struct StopOnDrop<'a>(&'a AtomicBool, thread::Thread);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

type Drivers<'a, C> = Vec<Driver<'a, C, ThreadRecorder>>;

fn drivers_of<'a, C: Client>(
    clients: Vec<C>,
    epoch: Epoch,
    notes: &SyncSender<Message>,
    live: &'a Live,
) -> (Drivers<'a, C>, Vec<Return>) {
    clients
        .into_iter()
        .enumerate()
        .map(|(i, client)| {
            let (block_sender, blocks) = channel();
            let (follow_up_sender, follow_ups) = channel();
            let way_back = Return {
                blocks: block_sender,
                follow_ups: follow_up_sender,
                waker: client.waker(),
            };
            let recorder = ThreadRecorder { epoch, notes: notes.clone(), blocks, follow_ups };
            (Driver::new(client, recorder, live, i as u16), way_back)
        })
        .unzip()
}

fn run_phases<C: Client + Send>(
    hall: &TrialShared<'_>,
    drivers: &mut Drivers<'_, C>,
    phases: Vec<PhaseLoad>,
    is_steady: Option<&SteadyTest>,
    sentinel: &mut Sentinel,
) -> (Vec<PhaseRecord>, Option<String>) {
    let mut records = Vec::new();
    let mut round = 0;
    for (place, mut phase) in (0..).zip(phases) {
        hall.live.phases_begun.fetch_add(1, Ordering::Relaxed);
        let outline = phase.arrivals.outline();
        let max_rounds = phase.plan.until_steady.map_or(1, |until| until.max_rounds.max(1));
        let mut rounds = Vec::new();
        let mut whole: Option<RoundRun> = None;
        let mut steady = false;
        let mut first_failure = None;
        while !steady && (rounds.len() as u32) < max_rounds {
            round += 1;
            let run = run_round(hall, drivers, &mut phase, &outline, place, round);
            if phase.plan.kind == PhaseKind::Measure {
                sentinel.add(run.cost);
            }
            sentinel.note_stalls(run.tally.n_stalls);
            let report = round_report(&hall.notes, &hall.recorder);
            first_failure = first_failure.or(report.first_failure);
            let is_empty = run.tally.n_scheduled == 0;
            let interrupted = run.tally.interrupted;
            if !is_empty || rounds.is_empty() {
                rounds.push(report.stats);
                whole = Some(whole.map_or(run, |whole| whole.followed_by(run)));
            }
            if is_empty || interrupted {
                break;
            }
            steady = is_steady.is_none_or(|is_steady| is_steady(&rounds));
        }
        let Some(run) = whole else { continue };
        let steadiness =
            phase.plan.until_steady.map(|_| Steadiness { rounds: rounds.len() as u32, steady });
        records.push(run.into_record(&phase, outline, steadiness));
        let n_ok: u64 = rounds.iter().map(|round| round.n_ok).sum();
        let aborted = why_aborted(hall, run.tally.interrupted)
            .or_else(|| hopeless(&phase, n_ok, first_failure));
        if aborted.is_some() {
            return (records, aborted);
        }
    }
    (records, None)
}

fn why_aborted(hall: &TrialShared<'_>, interrupted: bool) -> Option<String> {
    match hall.control.cause().filter(|_| interrupted) {
        Some(CancelCause::EngineGone) => Some("the engine is gone".to_owned()),
        Some(_) => Some("interrupted by the user".to_owned()),
        None => interrupted.then(|| "records could not be stored".to_owned()),
    }
}

/// Returns why the rest of a trial is not worth trying: the engine refused every request of a
/// warm-up.
fn hopeless(phase: &PhaseLoad, n_ok: u64, failure: Option<RequestError>) -> Option<String> {
    match failure {
        Some(RequestError::Status(status, text))
            if phase.plan.kind == PhaseKind::WarmUp
                && n_ok == 0
                && (400..500).contains(&status)
                && status != 429 =>
        {
            Some(format!("the engine refused every warm-up request: status {status}: {text}"))
        }
        _ => None,
    }
}

/// One round of a phase, and its result.
#[derive(Clone, Copy, Debug)]
struct RoundRun {
    start: Nanos,
    stopped: Nanos,
    /// Whether there was no more request before its time was over.
    ran_out: bool,
    tally: Tally,
    cost: Cost,
}

impl RoundRun {
    fn followed_by(self, next: Self) -> Self {
        let n_scheduled = self.tally.n_scheduled + next.tally.n_scheduled;
        let stalls = self.tally.stalls.and(next.tally.stalls);
        Self { start: self.start, tally: Tally { n_scheduled, stalls, ..next.tally }, ..next }
    }

    fn into_record(
        self,
        phase: &PhaseLoad,
        outline: Outline,
        steadiness: Option<Steadiness>,
    ) -> PhaseRecord {
        PhaseRecord {
            name: phase.plan.name.clone(),
            kind: phase.plan.kind,
            started: self.start,
            stopped: self.stopped,
            ran_out: self.ran_out,
            drained: self.tally.drained,
            n_scheduled: self.tally.n_scheduled,
            steadiness,
            stalls: self.tally.stalls,
            schedule_hash: outline.hash,
            over_saturation: None,
            earlier: Vec::new(),
        }
    }
}

/// Waits until the recorder has decoded all of the round.
fn round_report(notes: &SyncSender<Message>, recorder: &thread::Thread) -> RoundReport {
    let (reply, report) = channel();
    // If the recorder is gone, the trial is ending and the report stays empty.
    let _ = notes.send(Message::RoundOver(reply));
    recorder.unpark();
    report.recv().unwrap_or_default()
}

fn run_round<C: Client + Send>(
    hall: &TrialShared<'_>,
    drivers: &mut Drivers<'_, C>,
    phase: &mut PhaseLoad,
    outline: &Outline,
    place: u16,
    round: u32,
) -> RoundRun {
    let plan = &phase.plan;
    let gate = Gate::new(&plan.arrivals, plan.max_in_flight);
    let share = hall.others.map_or(Share::WHOLE, |others| others.share);
    let (share, gate) = share.through(gate);
    let gates = split(gate, drivers.len());
    let n_threads = gates.len();
    let n_warm =
        (share.part_of(streams_of(plan)).min(u64::from(u32::MAX)) as u32).min(match gate {
            Gate::Open if plan.arrivals != ArrivalsPlan::AllAtOnce => WARM_CONNECTIONS,
            _ => u32::MAX,
        });
    // All streams of a round may end at once, and none may wait for its next request.
    let n_ahead = MADE_AHEAD + n_warm as usize;
    let is_driven_by_answers = phase.arrivals.is_driven_by_answers();
    let stop_after = plan.duration.filter(|_| is_driven_by_answers);
    let assigned_at = |start: Nanos, gate: Gate| PhaseAssignment {
        round,
        start,
        gate,
        stop_at: stop_after.map(|duration| start + duration),
        no_turn_from: plan.duration.map(|duration| start + duration),
        last_due: outline.last,
        is_closed: matches!(plan.arrivals, ArrivalsPlan::Closed { .. }),
        until_known: (plan.until.is_some() || plan.over_saturation.is_some()).then_some(place),
        drain: plan.drain,
        deadlines: plan.deadlines,
        cancel_after: plan.cancel_after,
    };
    let arrivals = phase.arrivals.from_start();
    let requests = &mut phase.requests;
    let barrier = Barrier::new(n_threads + 1);
    let start_ns = AtomicU64::new(0);
    let (tallies, start, cost, gave_all) = thread::scope(|scope| {
        let (senders, queues): (Vec<_>, Vec<_>) = (0..n_threads)
            .map(|_| sync_channel(n_ahead.div_ceil(n_threads)))
            .map(|(sender, receiver)| (sender, Queue(receiver)))
            .unzip();
        let feeder = scope.spawn(move || feed(arrivals, &mut **requests, share, &senders));
        let threads: Vec<_> = drivers
            .iter_mut()
            .zip(gates)
            .zip(queues)
            .map(|((driver, gate), mut queue)| {
                let (barrier, start_ns) = (&barrier, &start_ns);
                scope.spawn(move || {
                    wake_on_time();
                    let deadline = driver.client.now() + WARM_TIMEOUT;
                    driver.client.warm(n_warm.div_ceil(n_threads as u32), deadline);
                    barrier.wait();
                    barrier.wait();
                    let cpu_before = thread_cpu();
                    let assigned = assigned_at(Nanos(start_ns.load(Ordering::Acquire)), gate);
                    let control = [hall.control, hall.gives_up];
                    let tally = driver.run_phase(&assigned, &mut queue, &control);
                    (tally, thread_cpu().saturating_sub(cpu_before))
                })
            })
            .collect();
        barrier.wait();
        let agreed = hall.others.map(|others| (others.meet)(hall.epoch.elapsed() + lead(n_warm)));
        let begun = Edge::now(hall.epoch);
        let start = agreed.unwrap_or(begun.at + lead(n_warm));
        start_ns.store(start.0, Ordering::Release);
        barrier.wait();
        let tallies: Vec<(Tally, Nanos)> = threads.into_iter().map(joined).collect();
        let load_cpu = tallies.iter().map(|(_, cpu)| *cpu).sum();
        let cost = begun.cost_until(Edge::now(hall.epoch), load_cpu);
        (tallies, start, cost, joined(feeder))
    });
    let tally = tallies.iter().map(|(tally, _)| *tally).reduce(Tally::and).unwrap_or_default();
    let last_sent = tally.last_sent.unwrap_or(start);
    let planned = match (stop_after, outline.last) {
        (Some(duration), _) => start + duration,
        (None, Some(last_due)) => (start + last_due).max(tally.last_turn.unwrap_or(start)),
        (None, None) => last_sent,
    };
    // Without a request that it could send, a loop that is driven by answers is over with the last one.
    let is_over = stop_after.is_some() && gave_all && tally.drained < planned;
    // A schedule ends with the rows where these alone count its requests.
    let is_cut = outline.is_cut && plan.n_requests.is_none() && tally.known_at.is_none();
    let stopped = match tally.known_at {
        _ if tally.interrupted || is_over => tally.drained,
        Some(known_at) => known_at.min(planned),
        None => planned,
    };
    let ran_out = is_over || is_cut && !tally.interrupted;
    RoundRun { start, stopped, ran_out, tally, cost }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("a load thread does not panic")
}

fn lead(n_streams: u32) -> Nanos {
    Nanos(LEAD.0 + LEAD_PER_STREAM.0 * u64::from(n_streams)).min(LEAD_MAX)
}

/// Divides a gate among load threads. Small loads use fewer threads.
fn split(gate: Gate, n_threads: usize) -> Vec<Gate> {
    match gate {
        Gate::Open => vec![Gate::Open; n_threads],
        // Several threads would have to wait for each other between batches.
        Gate::Batch(_) => vec![gate],
        Gate::Cap(cap) => {
            let n_parts = n_threads.min(cap.max(1) as usize) as u32;
            (0..n_parts).map(|i| Gate::Cap(cap / n_parts + u32::from(i < cap % n_parts))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_split_evenly_and_none_is_lost() {
        assert_eq!(split(Gate::Cap(7), 3), [Gate::Cap(3), Gate::Cap(2), Gate::Cap(2)]);
        assert_eq!(split(Gate::Cap(2), 4), [Gate::Cap(1), Gate::Cap(1)]);
        assert_eq!(split(Gate::Batch(8), 4), [Gate::Batch(8)]);
        assert_eq!(split(Gate::Open, 2), [Gate::Open, Gate::Open]);
    }
}
