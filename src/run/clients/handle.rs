//! One further client as this process holds it: a child process, its pipe, and what it says.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Moment;
use crate::engine::start::this_program;
use crate::load::spec::{Counts, Live, LoadError, LoadReport, RecordSink};
use crate::record::trial::ClientRecord;
use crate::run::clients::clock::{Asked, N_ASKED, Offset};
use crate::run::clients::meeting::Meeting;
use crate::run::clients::wire::{Answer, Order, Preparation, Speaker};
use crate::run::clients::{ClientsError, LOOK_EVERY, SUBCOMMAND};
use crate::units::Nanos;

/// Silence after which a client is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Last lines of a client's standard error that are kept.
const LAST_LINES: usize = 5;

/// What a client said, and when that arrived by the wall clock.
type Heard = (Answer, u64);

/// A further client. It ends when this is dropped.
pub(super) struct ClientHandle {
    command: Vec<String>,
    /// Its machine, once it has said so.
    pub(super) host: String,
    child: Child,
    pub(super) orders: Arc<Speaker<ChildStdin>>,
    heard: Receiver<Heard>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl ClientHandle {
    /// Starts a client, and has it read the data.
    pub(super) fn start(
        command: &[String],
        preparation: Preparation,
    ) -> Result<Self, ClientsError> {
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

    /// Tells the client something.
    pub(super) fn say(&self, order: &Order) -> Result<(), ClientsError> {
        self.orders.say(order).map_err(|error| self.lost(&format!("it is gone: {error}")))
    }

    /// Returns the next word of the client, if one comes in time.
    pub(super) fn hear(&self, within: Duration) -> Result<Option<Heard>, ClientsError> {
        match self.heard.recv_timeout(within) {
            Ok((Answer::Failed(why), _)) => Err(self.lost(&why)),
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.lost("it ended")),
        }
    }

    /// Says why the client is given up, with the last lines that it wrote.
    pub(super) fn lost(&self, why: &str) -> ClientsError {
        // What it wrote last may still be on its way.
        thread::sleep(LOOK_EVERY);
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let words = [why].into_iter().chain(lines.iter().map(String::as_str));
        let why = words.collect::<Vec<_>>().join("; ");
        ClientsError::Client { command: self.command.join(" "), why }
    }

    /// Measures how far its wall clock is from this machine's.
    pub(super) fn offset(&self) -> Result<Offset, ClientsError> {
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
    pub(super) fn serve(
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
                Answer::Counts(counts) => {
                    live.add(counted, counts);
                    counted = counts;
                }
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

    /// Returns what is to be known of it in a trial.
    pub(super) fn record(
        &self,
        before: Offset,
        after: Offset,
        report: &LoadReport,
    ) -> ClientRecord {
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

impl Drop for ClientHandle {
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
