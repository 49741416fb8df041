#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads the answer file, waits for signals on a thread"
)]
//! The simulated engine. Its timing is known exactly, and it fails on demand.

pub(crate) mod answer;
pub(crate) mod args;
pub(crate) mod conn;
pub(crate) mod engine;
pub(crate) mod event;
pub(crate) mod head;
pub(crate) mod latency;
pub(crate) mod port;
pub(crate) mod process_faults;
pub(crate) mod reactor;
pub(crate) mod response;
pub(crate) mod slots;
pub(crate) mod stall;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;
pub(crate) mod timer_queue;
pub(crate) mod tls;
pub(crate) mod truth;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use nix::sys::eventfd::EventFd;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

use answer::AnswerBook;
use args::Role;
pub(crate) use args::SimArgs;
use engine::Engine;
use reactor::{Reactor, Stopped, WriteFaults};
use truth::TruthLog;

use crate::clock;
use crate::seed::Seed;
use crate::serve::ServeError;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] if the port, a file or a system resource is not available.
pub(crate) fn run(args: &SimArgs) -> Result<(), ServeError> {
    match args.process.role {
        Some(role @ (Role::Worker | Role::SetsidWorker)) => {
            return process_faults::work(role, &args.process);
        }
        None if args.process.daemonise => return process_faults::daemonise(),
        Some(Role::Server) | None => {}
    }
    // Signals are blocked before the first thread starts, since threads inherit the mask.
    let signals = process_faults::block_signals(&[Signal::SIGTERM, Signal::SIGINT])?;
    let stopper: Arc<OnceLock<Arc<EventFd>>> = Arc::default();
    if !args.process.ignore_term {
        let stopper = Arc::clone(&stopper);
        std::thread::spawn(move || {
            // If waiting fails, no signal can reach the engine any more, so it stops at once.
            let _ = signals.wait();
            match stopper.get() {
                Some(stopper) if stopper.write(1).is_ok() => {}
                // The reactor is not running yet.
                _ => process_faults::exit(0),
            }
        });
    }
    raise_descriptor_limit();
    process_faults::misbehave_at_start(&args.process)?;
    let reactor = bind(args)?;
    // This is the only place that sets it.
    let _ = stopper.set(reactor.stopper());
    // The default slack of 50 µs would be added to every wait of the reactor.
    prctl::set_timerslack(1)
        .map_err(ServeError::system::<nix::Error>("cannot set the timer slack"))?;
    match reactor.run()? {
        Stopped::Asked => Ok(()),
        Stopped::Die => {
            std::thread::sleep(args.process.dying_takes.into());
            process_faults::exit(args.process.exit_code)
        }
    }
}

/// Opens the port, reports it on stdout, and returns the reactor that serves it.
///
/// # Errors
/// [`ServeError`] if the port or a file cannot be opened.
pub(crate) fn bind(args: &SimArgs) -> Result<Reactor, ServeError> {
    let book = match &args.answers.answer_from {
        None => AnswerBook::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ServeError::File { path: path.clone(), source })?;
            AnswerBook::parse(&text, args.answers.wrong_rate, Seed(args.seed))
                .map_err(|reason| ServeError::Format { path: path.clone(), reason })?
        }
    };
    let secured = args.tls.as_deref().map(tls::config).transpose()?;
    let truth = args.truth_log.as_deref().map(TruthLog::create).transpose()?;
    let listener = port::listen(SocketAddr::new(args.host, args.port))?;
    let address =
        listener.local_addr().map_err(ServeError::system("cannot tell the address of the port"))?;
    process_faults::start_children(&args.process, &listener)?;
    let created = clock::realtime().0 / 1_000_000_000;
    let engine = Engine::new(args, book, clock::monotonic(), created);
    let write_faults = WriteFaults {
        split_bytes: args.faults.split_bytes,
        drip: args.faults.drip,
        heartbeat: args.faults.heartbeat,
        close_idle: args.faults.close_idle,
        crlf: args.faults.crlf,
    };
    let mut reactor = Reactor::new(listener, engine, write_faults, args.timing.spin, truth)?;
    let scheme = if secured.is_some() { "https" } else { "http" };
    if let Some(config) = secured {
        reactor.secure(config);
    }
    crate::serve::announce(scheme, address);
    Ok(reactor)
}

/// Raises the soft limit of descriptors, which is often 1,024: each stream needs one.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        process_faults::log(&format!("cannot raise the limit of open files: {error}"));
    }
}
