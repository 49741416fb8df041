//! Further clients of a run: the load of each trial is shared among them and this process.
//!
//! Each is this program again ([`client`]), started by a command of the scenario such as
//! `ssh node7`. It reads the same data, makes the same schedule, and sends every n-th request of
//! it. All begin a round at one instant; how far their clocks are from this one's is measured
//! before and after each trial. Their records arrive through the pipe with the stamps of this
//! process's epoch.

pub mod client;

mod clock;
mod meeting;
mod wire;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Url;

use crate::clock::Moment;
use crate::engine::interrupt::Interrupt;
use crate::engine::start::this_program;
use crate::load::spec::{Control, Live, LoadError, LoadReport, RecordSink, Share, TrialSpec};
use crate::load::transport::url::is_loopback;
use crate::load::trial::{Others, run_share};
use crate::plan::cell::Cell;
use crate::plan::{ClientsSpec, Plan};
use crate::record::trial::ClientRecord;
use crate::run::clients::clock::{Asked, N_ASKED, Offset};
use crate::run::clients::meeting::{Meeting, Seat};
use crate::run::clients::wire::{Answer, Counts, Order, Preparation, Speaker, TrialOrder};
use crate::run::prepare::Begun;
use crate::secrets::Secret;
use crate::store::lock::host_name;
use crate::units::Nanos;

/// The hidden subcommand under which this program is a further client.
pub const SUBCOMMAND: &str = "__client";

/// How often a client says that it lives.
const COUNTS_EVERY: Duration = Duration::from_millis(100);
/// Silence after which a client is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often this side looks whether the trial has to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Last lines of a client's standard error that are kept.
const LAST_LINES: usize = 5;

/// Why a trial that several clients share could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// This process could not do its part.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A client could not do its part.
    #[error("client `{command}`: {why}")]
    Client {
        /// The command that started it.
        command: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The further clients of a run. They end when this is dropped.
pub(super) struct Clients {
    all: Vec<Client>,
    /// Name under which they find engines of this machine; the URL is theirs too when absent.
    host: Option<String>,
}

/// What a client said, and when that arrived by the wall clock.
type Heard = (Answer, u64);

struct Client {
    command: Vec<String>,
    host: String,
    child: Child,
    orders: Arc<Speaker<ChildStdin>>,
    heard: Receiver<Heard>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Clients {
    /// Starts the clients of a plan, and waits until each has read the data. Nothing where the user
    /// leaves meanwhile.
    ///
    /// # Errors
    /// A client that does not start, or cannot read the data.
    pub(super) fn start(
        wanted: &ClientsSpec,
        plan: &Plan,
        begun: Begun<'_>,
        interrupt: &Interrupt,
    ) -> Result<Option<Self>, ClientsError> {
        let preparation = || Preparation {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            plan: plan.clone(),
            scenario: begun.scenario.to_owned(),
            cwd: std::env::current_dir().unwrap_or_default(),
            template_date: begun.template_date.to_owned(),
        };
        let start = |command: &Vec<String>| Client::start(command, preparation());
        let mut all = wanted.commands.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        for client in &mut all {
            while client.host.is_empty() {
                if interrupt.is_raised() {
                    return Ok(None);
                }
                if let Some((Answer::Prepared { host }, _)) = client.hear(LOOK_EVERY)? {
                    client.host = host;
                }
            }
        }
        let host = wanted.host.as_ref().map(|host| host.replace("%h", &host_name()));
        Ok(Some(Self { all, host }))
    }

    /// Carries out a trial together with the others. Returns the report of all, and what is to be
    /// known of each of the others.
    ///
    /// # Errors
    /// What this process or a client could not do. The trial is over then.
    pub(super) fn run_trial(
        &mut self,
        (cell, trial, prompts_hash): (&Cell, u32, &str),
        spec: TrialSpec,
        sink: &mut dyn RecordSink,
        control: &Control,
        live: &Live,
    ) -> Result<(LoadReport, Vec<ClientRecord>), ClientsError> {
        let of = self.all.len() as u32 + 1;
        let base_url = self.url_there(&spec.target.base_url);
        let mut before = Vec::new();
        for (place, client) in (1..).zip(&mut self.all) {
            before.push(client.offset()?);
            let exposed =
                |(name, value): &(String, Secret)| (name.clone(), value.expose().to_owned());
            client.say(&Order::Trial(Box::new(TrialOrder {
                cell: cell.clone(),
                launch: cell.launch.clone(),
                trial,
                share: Share { place, of },
                base_url: base_url.clone(),
                headers: spec.target.headers.iter().map(exposed).collect(),
                secrets: spec.redactor.forms().to_vec(),
            })))?;
        }
        let seat = |(offset, client): (&Offset, &Client)| Seat {
            offset: *offset,
            orders: Arc::clone(&client.orders),
        };
        let seats = before.iter().zip(&self.all).map(seat).collect();
        let meeting = Meeting::new(spec.epoch, control, seats);
        let sink = Mutex::new(sink);
        let all = &mut self.all;
        let (own, theirs) = thread::scope(|scope| {
            let (meeting, sink) = (&meeting, &sink);
            let serving: Vec<_> = (0..)
                .zip(all.iter_mut())
                .map(|(seat, client)| {
                    scope.spawn(move || {
                        let report = client.serve(seat, meeting, prompts_hash, sink, live);
                        meeting.leave(report.is_ok());
                        report
                    })
                })
                .collect();
            let meet = |earliest| meeting.agree(earliest);
            let others = Others { share: Share { place: 0, of }, meet: &meet };
            let mut own_sink = |record, output| {
                sink.lock().unwrap_or_else(PoisonError::into_inner).accept(record, output)
            };
            let own = run_share(spec, Some(&others), &mut own_sink, control, live);
            if own.as_ref().map_or(true, |report| report.aborted.is_some()) {
                meeting.break_up();
            }
            let theirs: Vec<_> = serving
                .into_iter()
                .map(|thread| thread.join().expect("a thread that serves a client does not panic"))
                .collect();
            (own, theirs)
        });
        let theirs = theirs.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut whole = own?;
        let mut records = Vec::new();
        for ((client, before), report) in self.all.iter_mut().zip(before).zip(theirs) {
            let after = client.offset()?;
            records.push(client.record(before, after, &report));
            join(&mut whole, report).map_err(|why| client.lost(&why))?;
        }
        Ok((whole, records))
    }

    /// Returns a URL of this machine's as the others find it.
    fn url_there(&self, url: &str) -> String {
        let there = || {
            let mut there = Url::parse(url).ok()?;
            there.set_host(Some(self.host.as_deref()?)).ok()?;
            Some(there.to_string().trim_end_matches('/').to_owned())
        };
        is_loopback(url).then(there).flatten().unwrap_or_else(|| url.to_owned())
    }
}

/// Takes the report of another client into that of all.
fn join(whole: &mut LoadReport, other: LoadReport) -> Result<(), String> {
    for (phase, theirs) in whole.phases.iter_mut().zip(other.phases) {
        if phase.schedule_hash != theirs.schedule_hash {
            return Err(format!("it made another schedule for phase {}", phase.name));
        }
        phase.stopped = phase.stopped.max(theirs.stopped);
        phase.drained = phase.drained.max(theirs.drained);
        phase.n_scheduled += theirs.n_scheduled;
        phase.stalls = phase.stalls.and(theirs.stalls);
    }
    whole.aborted = whole.aborted.take().or(other.aborted);
    Ok(())
}

impl Client {
    fn start(command: &[String], preparation: Preparation) -> Result<Self, ClientsError> {
        // By its path: other programs start it, maybe on another machine.
        let own = std::env::current_exe().unwrap_or_else(|_| this_program());
        let mut words = command.iter().map(OsStr::new).chain([own.as_os_str()]);
        let mut child = Command::new(words.next().expect("bench's own path is one of them"))
            .args(words)
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for this process alone, which then ends them in order.
            .process_group(0)
            .spawn()
            .map_err(|error| ClientsError::Client {
                command: command.join(" "),
                why: format!("start it: {error}"),
            })?;
        let orders = child.stdin.take().expect("standard input is a pipe");
        let answers = child.stdout.take().expect("standard output is a pipe");
        let words = child.stderr.take().expect("standard error is a pipe");
        let last_lines = Arc::default();
        thread::spawn({
            let last_lines = Arc::clone(&last_lines);
            move || keep_last_lines(words, &last_lines)
        });
        let (speak, heard) = channel();
        thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                let arrived = Moment::now().realtime.0;
                let answer = serde_json::from_str(&line).unwrap_or_else(|_| {
                    let line: String = line.chars().take(200).collect();
                    Answer::Failed(format!("it says what no client of bench says: {line:?}"))
                });
                if speak.send((answer, arrived)).is_err() {
                    break;
                }
            }
        });
        let client = Self {
            command: command.to_vec(),
            host: String::new(),
            child,
            orders: Arc::new(Speaker::new(orders)),
            heard,
            last_lines,
        };
        client.say(&Order::Prepare(Box::new(preparation)))?;
        Ok(client)
    }

    fn say(&self, order: &Order) -> Result<(), ClientsError> {
        self.orders.say(order).map_err(|error| self.lost(&format!("it is gone: {error}")))
    }

    /// Returns the next word of the client, if one comes in time.
    fn hear(&self, within: Duration) -> Result<Option<Heard>, ClientsError> {
        match self.heard.recv_timeout(within) {
            Ok((Answer::Failed(why), _)) => Err(self.lost(&why)),
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.lost("it ended")),
        }
    }

    fn lost(&self, why: &str) -> ClientsError {
        // What it wrote last may still be on its way.
        thread::sleep(LOOK_EVERY);
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let words = [why].into_iter().chain(lines.iter().map(String::as_str));
        let why = words.collect::<Vec<_>>().join("; ");
        ClientsError::Client { command: self.command.join(" "), why }
    }

    /// Measures how far its wall clock is from this machine's.
    fn offset(&self) -> Result<Offset, ClientsError> {
        let mut asked = Vec::with_capacity(N_ASKED);
        let deadline = Instant::now() + SILENCE_MAX;
        while asked.len() < N_ASKED {
            let at = Moment::now().realtime.0;
            self.say(&Order::Time)?;
            let (said, answered) = loop {
                // Counts of a trial that is over may come before.
                if let Some((Answer::Time(said), answered)) = self.hear(LOOK_EVERY)? {
                    break (said, answered);
                }
                if Instant::now() > deadline {
                    return Err(self.lost(&silent()));
                }
            };
            asked.push(Asked { at, said, answered });
        }
        Ok(Offset::of(&asked).expect("it was asked more than once"))
    }

    /// Takes what the client says in a trial, until it reports.
    fn serve(
        &self,
        seat: usize,
        meeting: &Meeting<'_>,
        prompts_hash: &str,
        sink: &Mutex<&mut dyn RecordSink>,
        live: &Live,
    ) -> Result<LoadReport, ClientsError> {
        let offset = meeting.seats[seat].offset;
        let (mut shift, mut counted, mut last_heard) = (0, Counts::default(), Instant::now());
        let (mut told_end, mut told_known) = (false, None);
        loop {
            if let Some(cause) = meeting.cause().filter(|_| !told_end) {
                self.say(&Order::End(cause))?;
                told_end = true;
            }
            if let Some(phase) = meeting.control.known_phase().filter(|at| told_known != Some(*at))
            {
                self.say(&Order::Known { phase })?;
                told_known = Some(phase);
            }
            let Some((answer, _)) = self.hear(LOOK_EVERY)? else {
                if last_heard.elapsed() > SILENCE_MAX {
                    return Err(self.lost(&silent()));
                }
                continue;
            };
            last_heard = Instant::now();
            match answer {
                Answer::Ready { epoch_unix_ns, earliest, prompts_hash: theirs } => {
                    if theirs != prompts_hash {
                        let why = "it makes other prompts: the data sets or tokenizers on its \
                                   machine differ";
                        return Err(self.lost(why));
                    }
                    let here = offset.here(epoch_unix_ns);
                    shift = (i128::from(here) - i128::from(meeting.epoch.unix_ns())) as i64;
                    meeting.arrive(seat, Nanos(earliest.0.saturating_add_signed(shift)));
                }
                Answer::Ended(mut record, output) => {
                    record.shift(shift);
                    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                    sink.accept(*record, output).map_err(LoadError::Sink)?;
                }
                Answer::Counts(counts) => add(live, counted, counts, &mut counted),
                Answer::Report(mut report) => {
                    for phase in &mut report.phases {
                        phase.shift(shift);
                    }
                    return Ok(*report);
                }
                Answer::Prepared { .. } | Answer::Time(_) | Answer::Failed(_) => {}
            }
        }
    }

    fn record(&self, before: Offset, after: Offset, report: &LoadReport) -> ClientRecord {
        ClientRecord {
            command: self.command.clone(),
            host: self.host.clone(),
            n_scheduled: report.phases.iter().map(|phase| phase.n_scheduled).sum(),
            clock_offset_ns: before.by_ns,
            clock_error: before.error.max(after.error),
            clock_drift_ns: after.by_ns - before.by_ns,
            sentinel: report.sentinel.clone(),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The end of its pipe ends the client, wherever it is; what started it ends with it.
        self.orders.end();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
        // Nothing else is left to try; a zombie is reaped with this process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn silent() -> String {
    format!("it has said nothing for {} s", SILENCE_MAX.as_secs())
}

fn keep_last_lines(from: impl Read, into: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let mut lines = into.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Adds what a client has counted since it last said so.
fn add(live: &Live, before: Counts, now: Counts, counted: &mut Counts) {
    let pairs = [
        (&live.sent, before.sent, now.sent),
        (&live.done, before.done, now.done),
        (&live.failed, before.failed, now.failed),
        (&live.tokens, before.tokens, now.tokens),
        (&live.uncounted, before.uncounted, now.uncounted),
        (&live.bytes, before.bytes, now.bytes),
    ];
    for (count, before, now) in pairs {
        count.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
    }
    *counted = now;
}
