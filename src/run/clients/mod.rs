//! Further clients of a run: the load of each trial is shared among them and this process.
//!
//! Each is this program again ([`client`]), started by a command of the scenario such as
//! `ssh node7`. It reads the same data, makes the same schedule, and sends every n-th request of
//! it. All begin a round at one instant; how far their clocks are from this one's is measured
//! before and after each trial. Their records arrive through the pipe with the stamps of this
//! process's epoch.

pub(crate) mod client;

mod clock;
mod handle;
mod meeting;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reqwest::Url;

use crate::engine::interrupt::Interrupt;
use crate::load::spec::{Control, Live, LoadError, LoadReport, RecordSink, Share, TrialSpec};
use crate::load::transport::url::is_loopback;
use crate::load::trial::{Others, run_share};
use crate::plan::cell::Cell;
use crate::plan::{ClientsSpec, Plan};
use crate::record::trial::ClientRecord;
use crate::run::clients::clock::Offset;
use crate::run::clients::handle::ClientHandle;
use crate::run::clients::meeting::{Meeting, Seat};
use crate::run::clients::wire::{Answer, Order, Preparation, TrialOrder};
use crate::run::prepare::Begun;
use crate::secrets::Secret;
use crate::store::lock::host_name;

/// The hidden subcommand under which this program is a further client.
pub(crate) const SUBCOMMAND: &str = "__client";

/// How often a client says that it lives.
const COUNTS_EVERY: Duration = Duration::from_millis(100);
/// How often this side looks whether the trial has to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why a trial that several clients share could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientsError {
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
    all: Vec<ClientHandle>,
    /// Name under which they find engines of this machine; the URL is theirs too when absent.
    host: Option<String>,
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
        let start = |command: &Vec<String>| ClientHandle::start(command, preparation());
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
        let seat = |(offset, client): (&Offset, &ClientHandle)| Seat {
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
        phase.ran_out &= theirs.ran_out;
        phase.n_scheduled += theirs.n_scheduled;
        phase.stalls = phase.stalls.and(theirs.stalls);
    }
    whole.aborted = whole.aborted.take().or(other.aborted);
    Ok(())
}
