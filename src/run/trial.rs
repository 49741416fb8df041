//! One trial: the load on one side, a watch over engine and user on the other.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::monotonic;
use crate::engine::interrupt::Interrupt;
use crate::engine::running::Engine;
use crate::engine::running::watch::EngineWatch;
use crate::load::clock::Epoch;
use crate::load::spec::{Control, Live, LoadError, LoadReport};
use crate::load::trial::run_trial;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::launch::Launch;
use crate::record::event::{EngineFailure, FailureClass, RunEvent};
use crate::record::request::{OutputRecord, RequestRecord};
use crate::record::telemetry::TelemetryRecord;
use crate::record::trial::{ClientRecord, DatasetRecord, Idle, TrialRecord};
use crate::run::clients::{Clients, ClientsError};
use crate::run::disk_watch::DiskWatch;
use crate::run::engine_tokens::engine_tokens;
use crate::run::prepare::{CellWorkload, KnownPrompts};
use crate::run::stall::{Progress, Stall, StallWatch};
use crate::run::telemetry::RunSampling;
use crate::run::trial_spec::{Aim, trial_spec};
use crate::run::until::UntilKnown;
use crate::run::{Notice, RunError, disk_watch, telemetry};
use crate::store::error::StoreError;
use crate::store::trial_sync::TrialSync;
use crate::store::writer::TrialWriter;
use crate::telemetry::sampler::Sampler;
use crate::units::Nanos;

/// How often the watch looks at engine, user and progress.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Longest wait for a token where no phase names one.
const NO_DEADLINE: Nanos = Nanos::from_secs(120);

/// Time from which a write of one record is a wait for the disk.
const DISK_IS_SLOW: Nanos = Nanos::from_millis(100);

/// Age of an answer to whether the engine is idle that is as good as a new one.
const JUST_NOW: Duration = Duration::from_millis(50);

/// Time that an engine gets to finish what others asked of it, or what was cancelled.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What one trial needs.
pub(super) struct TrialContext<'a> {
    pub(super) plan: &'a Plan,
    pub(super) cell: &'a Cell,
    pub(super) launch: &'a Launch,
    pub(super) trial: u32,
    pub(super) engine: &'a Engine,
    pub(super) interrupt: &'a Interrupt,
    pub(super) notify: &'a (dyn Fn(Notice) + Sync),
    pub(super) sampling: &'a RefCell<RunSampling>,
    /// The further clients that share the load, if there are any.
    pub(super) clients: &'a RefCell<Option<Clients>>,
    /// The trials before this one that may not be on the disk.
    pub(super) syncing: &'a RefCell<TrialSync>,
}

impl TrialContext<'_> {
    fn failed(&self, failure: &EngineFailure) -> RunEvent {
        RunEvent::EngineFailed { launch: self.cell.launch.clone(), failure: failure.clone() }
    }

    /// Whether the engine has no open request before the trial, as far as its metrics tell. What
    /// they told at the end of a trial that ended just now still holds.
    fn is_idle(&self) -> Option<bool> {
        if self.engine.was_drained_within(JUST_NOW) { Some(true) } else { self.drained() }
    }

    /// As [`Self::drained`]; what the last sample told behind the load is not asked again.
    fn drained_behind(&self, is_drained: bool) -> Option<bool> {
        if is_drained {
            self.engine.note_drained();
            return Some(true);
        }
        self.drained()
    }

    /// Waits until the engine has no open request, as far as its metrics tell.
    fn drained(&self) -> Option<bool> {
        self.engine.drained(DRAIN_LIMIT, &|| self.interrupt.is_raised())
    }
}

/// How a trial ended.
pub(super) enum TrialEnd {
    /// All its records are written; once they are synced it is complete.
    Complete {
        /// Whether a phase ended because its queue only grew.
        over_saturated: bool,
    },
    /// The user ended it; what was measured is kept, but does not count.
    Interrupted,
    /// The engine ended it.
    EngineFailed(Box<EngineFailure>),
}

/// Carries out one trial and writes its records.
pub(super) fn carry_out(
    context: &TrialContext<'_>,
    mut workload: CellWorkload,
    writer: TrialWriter,
    tell: &mut dyn FnMut(RunEvent) -> Result<(), RunError>,
) -> Result<TrialEnd, RunError> {
    reset_prefix_cache(context, tell)?;
    let in_cell = |source| of_load(&context.cell.name, source);
    let mut dataset = workload.record.clone();
    dataset.engine_tokens = engine_tokens(&workload.questions, &mut |asked| {
        (!context.interrupt.is_raised()).then(|| context.engine.tokens(asked)).flatten()
    });
    let mut idle = Idle { before: context.is_idle(), after: None };
    let epoch = Epoch::now();
    let n_requests = workload.n_requests.clone();
    let until = UntilKnown::of(&workload.phases);
    let known = workload.known.take();
    let requests = workload.requests();
    let engine = context.engine;
    let aim = Aim {
        base_url: engine.base_url().to_owned(),
        access: engine.access().clone(),
        tls: Arc::clone(engine.tls()),
    };
    let spec = trial_spec(context.plan, context.cell, context.launch, workload, epoch, aim);
    let control = Control::default();
    let live = Arc::new(Live::default());
    (context.notify)(Notice::Live(Arc::clone(&live)));
    let (disk, records) = (DiskWatch::new(), writer.path().to_owned());
    let writer = Arc::new(Mutex::new(writer));
    let run_sampling = &mut *context.sampling.borrow_mut();
    let clients = &mut *context.clients.borrow_mut();
    let what = (context.cell, context.trial, dataset.prompts_hash.as_str());
    let (sampling, samples) =
        telemetry::start(context.engine, context.launch, epoch.instant(), run_sampling);
    let notify = context.notify;
    let (report, failure, telemetry, written) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| match samples {
            Some(samples) => telemetry::write(samples, &writer, notify),
            None => Ok(None),
        });
        let (done, is_done) = sync_channel::<()>(1);
        let thread = scope.spawn(|| {
            let mut until = until;
            let mut sink = sink(&writer, &disk, known, until.as_mut().map(|it| (it, &control)));
            let mut report = match clients {
                None => run_trial(spec, &mut sink, &control, &live)
                    .map(|report| (report, Vec::new()))
                    .map_err(ClientsError::Load),
                Some(clients) => clients.run_trial(what, spec, &mut sink, &control, &live),
            };
            drop((done, sink));
            if let (Some(until), Ok((report, _))) = (&until, &mut report) {
                until.tell(report);
            }
            report
        });
        let disk = (&disk, records.as_path());
        let mut watch = Watch::new(context, &live, n_requests, sampling.sampler.as_ref(), disk);
        let told = loop {
            match is_done.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    watch.load_is_over = true;
                    break watch.look(&control, tell);
                }
            }
            if let Err(error) = watch.look(&control, tell) {
                control.interrupt();
                break Err(error);
            }
        };
        let report = thread.join().expect("the load generator does not panic");
        let over_at = Nanos::from(epoch.instant().elapsed());
        let failure = watch.failure.take();
        if let (None, Some(sampler)) = (&failure, &sampling.sampler) {
            sampler.scrape();
        }
        let telemetry = sampling.finish(run_sampling);
        let written = writing.join().expect("the writer of samples does not panic");
        told.map(|()| (report, failure, telemetry, written.map(|at| at >= Some(over_at))))
    })?;
    let is_drained = written?;
    let (report, clients) = report.map_err(in_cell)?;
    if let Some(error) = requests.failure() {
        let (cell, why) = (context.cell.name.clone(), error.to_string());
        return Err(RunError::Workload { cell, why });
    }
    let writer = Arc::into_inner(writer).expect("the load thread has ended");
    let writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
    // An engine that died after the last look is found here.
    let is_told = failure.is_some();
    let failure = failure.or_else(|| context.engine.failure_after_load().map(Box::new));
    if failure.is_none() {
        idle.after = context.drained_behind(is_drained);
    }
    let end = finish(context, (dataset, idle, telemetry), writer, (report, clients), failure)?;
    if let TrialEnd::EngineFailed(failure) = &end
        && !is_told
    {
        tell(context.failed(failure))?;
    }
    Ok(end)
}

fn reset_prefix_cache(
    context: &TrialContext<'_>,
    tell: &mut dyn FnMut(RunEvent) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let Some(Err(why)) = context.engine.reset_prefix_cache() else { return Ok(()) };
    let engine = &context.launch.engine;
    tell(RunEvent::Caveat {
        what: format!("the prefix cache of {engine} could not be reset: {why}"),
        advice: "Set `salt = true` in [request], or take the cache reset out of the preset.".into(),
    })
}

fn finish(
    context: &TrialContext<'_>,
    (dataset, idle, telemetry): (DatasetRecord, Idle, TelemetryRecord),
    writer: TrialWriter,
    (report, clients): (LoadReport, Vec<ClientRecord>),
    failure: Option<Box<EngineFailure>>,
) -> Result<TrialEnd, RunError> {
    let is_interrupted = context.interrupt.is_raised();
    let aborted = match &failure {
        Some(failure) => Some(failure.message.clone()),
        None if is_interrupted => Some("interrupted".to_owned()),
        None => report.aborted.clone(),
    };
    let over_saturated = report.phases.iter().any(|phase| phase.over_saturation.is_some());
    let ended = writer.finish(&TrialRecord {
        cell: context.cell.id.clone(),
        trial: context.trial,
        epoch_unix_ns: report.epoch_unix_ns,
        phases: report.phases,
        sentinel: report.sentinel,
        clients,
        dataset: Some(dataset),
        aborted: aborted.clone(),
        idle,
        telemetry,
    })?;
    context.syncing.borrow_mut().push(ended)?;
    Ok(match (failure, aborted) {
        (Some(failure), _) => TrialEnd::EngineFailed(failure),
        (None, Some(_)) if is_interrupted => TrialEnd::Interrupted,
        // The engine lives, but answers nothing as it should.
        (None, Some(message)) => TrialEnd::EngineFailed(Box::new(EngineFailure {
            class: FailureClass::Server,
            message,
            exit: None,
            after: Nanos::ZERO,
            log_tail: Vec::new(),
        })),
        (None, None) => TrialEnd::Complete { over_saturated },
    })
}

/// Returns what takes finished requests to the disk.
fn sink(
    writer: &Mutex<TrialWriter>,
    disk: &DiskWatch,
    mut known: Option<KnownPrompts>,
    mut until: Option<(&mut UntilKnown, &Control)>,
) -> impl FnMut(RequestRecord, Option<OutputRecord>) -> io::Result<()> + Send {
    move |mut record, output| {
        if let Some((until, control)) = &mut until {
            until.push(&record, control);
        }
        if let Some(known) = &mut known {
            known.tell(&mut record, output.as_ref().map(|output| output.text.as_str()));
        }
        disk.during(|| {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.request(&record).map_err(to_io)?;
            if let Some(output) = output {
                writer.output(&output).map_err(to_io)?;
            }
            writer.flush_if_due().map_err(to_io)
        })
    }
}

fn to_io(error: StoreError) -> io::Error {
    io::Error::other(error)
}

/// Returns why a load ended early. What the store said travels through the load as it is, so
/// that a full disk ends the run as a full disk does anywhere else.
fn of_load(cell: &str, source: ClientsError) -> RunError {
    let source = match source {
        ClientsError::Client { .. } => return RunError::Clients { cell: cell.to_owned(), source },
        ClientsError::Load(LoadError::Sink(error)) => match error.downcast::<StoreError>() {
            Ok(error) => return RunError::Store(error),
            Err(error) => LoadError::Sink(error),
        },
        ClientsError::Load(source) => source,
    };
    RunError::Load { cell: cell.to_owned(), source }
}

/// Looks at engine, user and progress while the load runs.
struct Watch<'a> {
    context: &'a TrialContext<'a>,
    live: &'a Live,
    n_requests: Vec<Option<u64>>,
    sampler: Option<&'a Sampler>,
    /// The disk that takes the records, and where they lie.
    disk: (&'a DiskWatch, &'a Path),
    engine: EngineWatch,
    n_announced: u64,
    load_is_over: bool,
    stall: StallWatch,
    failure: Option<Box<EngineFailure>>,
}

impl<'a> Watch<'a> {
    fn new(
        context: &'a TrialContext<'a>,
        live: &'a Live,
        n_requests: Vec<Option<u64>>,
        sampler: Option<&'a Sampler>,
        disk: (&'a DiskWatch, &'a Path),
    ) -> Self {
        let deadlines = context
            .cell
            .phases
            .iter()
            .map(|phase| phase.deadlines.first_token.max(phase.deadlines.between_tokens));
        Self {
            context,
            live,
            n_requests,
            sampler,
            disk,
            engine: context.engine.watch(),
            n_announced: 0,
            load_is_over: false,
            stall: StallWatch::new(deadlines.max().unwrap_or(NO_DEADLINE), monotonic()),
            failure: None,
        }
    }

    fn look(
        &mut self,
        control: &Control,
        tell: &mut dyn FnMut(RunEvent) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        if self.context.interrupt.is_raised() {
            control.interrupt();
        }
        if let Some(silent) = disk_watch::hangs(self.disk.0.writing_for()) {
            let path = self.disk.1.to_owned();
            (self.context.notify)(Notice::DiskHangs { path, silent });
        }
        if self.failure.is_none() {
            self.failure = self.engine.failure().map(Box::new).or_else(|| self.stalled());
            if let Some(failure) = &self.failure {
                control.engine_gone();
                // At once: what the trial still has to close may take seconds.
                tell(self.context.failed(failure))?;
            }
        }
        self.context.syncing.borrow_mut().look()?;
        self.announce_phases(tell)
    }

    /// Announces every phase that has begun since the last look.
    fn announce_phases(
        &mut self,
        tell: &mut dyn FnMut(RunEvent) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let begun = self.live.phases_begun.load(Ordering::Relaxed);
        for idx in self.n_announced as usize..begun as usize {
            let phase = &self.context.cell.phases[idx];
            // Counters at the edges of the window: from their difference follow shares and rates.
            // Those of a phase that is over by now are the last ones, which are read anyway.
            if let Some(sampler) = self.sampler.filter(|_| !self.load_is_over) {
                sampler.scrape();
            }
            tell(RunEvent::PhaseStarted {
                cell: self.context.cell.id.clone(),
                trial: self.context.trial,
                phase: phase.name.clone(),
                n_requests: self.n_requests[idx],
            })?;
        }
        self.n_announced = begun;
        Ok(())
    }

    /// Returns a failure when the engine hangs: each further request would too.
    fn stalled(&mut self) -> Option<Box<EngineFailure>> {
        // While the disk takes a record, no token is counted, and no engine is to blame for that.
        let waits_for_disk = self.disk.0.writing_for().is_some_and(|for_| for_ > DISK_IS_SLOW);
        let Stall { silent, n_out } =
            self.stall.look(Progress::of(self.live), monotonic(), waits_for_disk)?;
        Some(Box::new(EngineFailure {
            class: FailureClass::Stalled,
            message: format!("no token for {silent} with {n_out} requests in flight"),
            exit: None,
            after: silent,
            log_tail: Vec::new(),
        }))
    }
}
