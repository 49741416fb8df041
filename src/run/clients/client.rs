//! What a further client does: it makes the same requests from the same data, and sends its share.
//!
//! It is this program again, started as a hidden subcommand by the command that the scenario
//! names. Standard input delivers orders, standard output takes answers.

use std::io::{self, BufRead, Stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::Moment;
use crate::engine::credentials::Access;
use crate::engine::http::trust::tls;
use crate::load::clock::Epoch;
use crate::load::spec::{Control, Live};
use crate::load::trial::{Others, run_share};
use crate::plan::Plan;
use crate::record::request::{CancelCause, OutputRecord, RequestRecord};
use crate::run::clients::COUNTS_EVERY;
use crate::run::clients::wire::{Answer, Order, Preparation, Speaker, TrialOrder};
use crate::run::prepare::{Begun, Listener, Prepared, prepare};
use crate::run::trial_spec::{Aim, trial_spec};
use crate::secrets::Secret;
use crate::secrets::redact::Redactor;
use crate::store::lock::host_name;
use crate::units::Nanos;

/// How often a client that waits for its start looks whether the trial has been ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Serves a run until its pipe ends.
pub(crate) fn main() -> ExitCode {
    let desk = Arc::new(Desk { answers: Speaker::new(io::stdout()), control: Mutex::default() });
    let (to_work, work) = channel();
    let (to_start, mut starts) = channel();
    thread::spawn({
        let desk = Arc::clone(&desk);
        move || read_orders(&desk, &to_work, &to_start)
    });
    match serve(&desk, &work, &mut starts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // If nobody hears it, the run is gone.
            let _ = desk.answers.say(&Answer::Failed(why));
            ExitCode::from(70)
        }
    }
}

/// What the thread that reads orders and the one that carries them out share.
struct Desk {
    answers: Speaker<Stdout>,
    /// That of the trial under way.
    control: Mutex<Arc<Control>>,
}

impl Desk {
    fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Passes orders on. What cannot wait is done here.
fn read_orders(desk: &Desk, work: &Sender<Order>, starts: &Sender<u64>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        // Whoever receives is gone when the program ends, and nobody needs the order then.
        match serde_json::from_str(&line) {
            Ok(Order::Time) => {
                let _ = desk.answers.say(&Answer::Time(Moment::now().realtime.0));
            }
            Ok(Order::Start { at_unix_ns }) => {
                let _ = starts.send(at_unix_ns);
            }
            Ok(Order::Known { phase }) => desk.control().known(phase),
            Ok(Order::End(CancelCause::EngineGone)) => desk.control().engine_gone(),
            Ok(Order::End(_)) => desk.control().interrupt(),
            Ok(order @ (Order::Prepare(_) | Order::Trial(_))) => {
                let _ = work.send(order);
            }
            Err(error) => {
                let _ = desk.answers.say(&Answer::Failed(format!("read an order: {error}")));
            }
        }
    }
    // The run is gone. A trial under way ends its requests; reading data ends with the program.
    desk.control().interrupt();
    thread::sleep(Duration::from_secs(1));
    end_program();
}

#[expect(clippy::exit, reason = "the thread that reads data cannot be asked to stop")]
fn end_program() {
    std::process::exit(0);
}

fn serve(desk: &Desk, work: &Receiver<Order>, starts: &mut Receiver<u64>) -> Result<(), String> {
    let Ok(Order::Prepare(preparation)) = work.recv() else { return Ok(()) };
    let mut preparation = *preparation;
    let prepared = read_data(&mut preparation)?;
    let host = host_name();
    desk.answers.say(&Answer::Prepared { host }).map_err(|error| error.to_string())?;
    while let Ok(Order::Trial(order)) = work.recv() {
        // What was said about an earlier trial is old.
        while starts.try_recv().is_ok() {}
        let control = Arc::new(Control::default());
        *desk.control.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&control);
        carry_out(desk, &preparation.plan, &prepared, *order, &control, starts)?;
    }
    Ok(())
}

fn read_data(preparation: &mut Preparation) -> Result<Prepared, String> {
    let Preparation { version, plan, scenario, cwd, template_date } = preparation;
    let own = env!("CARGO_PKG_VERSION");
    if version != own {
        return Err(format!("bench {own} is here, and {version} on the machine of the run"));
    }
    std::env::set_current_dir(&*cwd)
        .map_err(|error| format!("change to {}: {error}", cwd.display()))?;
    let begun = Begun { scenario, template_date };
    let mut listener = Listener { tell: &mut |_| (), on_taking: &|_| () };
    let prepared = prepare(plan, begun, &mut listener).map_err(|error| error.to_string())?;
    prepared.date(plan, template_date);
    Ok(prepared)
}

fn carry_out(
    desk: &Desk,
    plan: &Plan,
    prepared: &Prepared,
    order: TrialOrder,
    control: &Control,
    starts: &mut Receiver<u64>,
) -> Result<(), String> {
    let launch = plan.launches.get(&order.launch).ok_or("an engine that is not in the plan")?;
    let workload = prepared
        .workload(&order.cell, launch, plan.seed, order.trial)
        .map_err(|error| error.to_string())?;
    let prompts_hash = workload.record.prompts_hash.clone();
    let requests = workload.requests();
    let secret = |(name, value): (String, String)| Some((name, Secret::new(&value)?));
    let access = Access {
        headers: order.headers.into_iter().filter_map(secret).collect(),
        proxy: None,
        redactor: Redactor::new(order.secrets.iter().filter_map(|form| Secret::new(form))),
    };
    let ca = launch.ca.as_deref();
    let tls = tls(&order.base_url, ca).map_err(|error| error.to_string())?;
    let aim = Aim { base_url: order.base_url, access, tls };
    let epoch = Epoch::now();
    let mut spec = trial_spec(plan, &order.cell, launch, workload, epoch, aim);
    // The engine's clock may be that of another machine.
    spec.reads_truth = false;
    let live = Live::default();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let beating = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // A run that is gone is noticed where its orders are read.
                let _ = desk.answers.say(&Answer::Counts(live.counts()));
                thread::park_timeout(COUNTS_EVERY);
            }
        });
        let starts = Mutex::new(starts);
        let meet = |earliest: Nanos| {
            let epoch_unix_ns = epoch.unix_ns();
            let prompts_hash = prompts_hash.clone();
            let _ = desk.answers.say(&Answer::Ready { epoch_unix_ns, earliest, prompts_hash });
            let starts = starts.lock().unwrap_or_else(PoisonError::into_inner);
            awaited(&starts, control).map_or(earliest, |at| Nanos(at.saturating_sub(epoch_unix_ns)))
        };
        let mut sink = |record: RequestRecord, output: Option<OutputRecord>| {
            desk.answers.say(&Answer::Ended(Box::new(record), output))
        };
        let others = Others { share: order.share, meet: &meet };
        let report = run_share(spec, Some(&others), &mut sink, control, &live);
        is_over.store(true, Ordering::Relaxed);
        beating.thread().unpark();
        let report = report.map_err(|error| error.to_string())?;
        if let Some(error) = requests.failure() {
            return Err(error.to_string());
        }
        let _ = desk.answers.say(&Answer::Counts(live.counts()));
        desk.answers.say(&Answer::Report(Box::new(report))).map_err(|error| error.to_string())
    })
}

/// Waits for the start of a round; `None` when the trial has been ended.
fn awaited(starts: &Receiver<u64>, control: &Control) -> Option<u64> {
    loop {
        match starts.recv_timeout(LOOK_EVERY) {
            Ok(at) => return Some(at),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if control.cause().is_some() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
