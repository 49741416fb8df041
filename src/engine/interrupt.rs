//! The user's wish to end the run, as a count of signals that every wait looks at.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use procfs::FromRead as _;
use procfs::process::Status;
use signal_hook::iterator::Signals;

/// Signals that end a run.
const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
/// Signals that would end the program and ask for nothing: a batch system warns by the first two, and
/// a write beyond the largest file fails by itself. Caught rather than ignored: an engine inherits
/// what is ignored.
const PASSING: [i32; 3] = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGXFSZ];
/// Time in which somebody who can end the run in order has to notice a signal. Waits look every
/// 50 ms; what looks at nothing for a second computes, or hangs.
const NOTICE_LIMIT: Duration = Duration::from_secs(1);
/// Time that a second signal leaves for engines to be killed and records to be flushed.
const URGENT_LIMIT: Duration = Duration::from_millis(300);
/// How often an interrupted program is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Counts the signals that ask the run to end; clones share the count.
///
/// One: stop issuing, take engines down, keep what is there; if nobody notices it, the program
/// is left. Two: engines are killed, and the program is left at once. What it leaves behind is
/// what a SIGKILL would leave: guardians take the engines down, and a resume goes on.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    count: AtomicU32,
    signal: AtomicI32,
    /// Somebody has seen the last count and ends the run.
    is_noticed: AtomicBool,
    when_urgent: Mutex<Vec<Weak<Urgent>>>,
}

/// What is done as soon as the user will wait no longer, on the thread of the signals.
pub(crate) struct Urgent(pub(super) Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Urgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Urgent")
    }
}

impl Interrupt {
    /// Returns a count that only [`Interrupt::raise`] moves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to catch SIGINT, SIGTERM, SIGHUP and SIGQUIT, on a thread of its own. `leave` ends
    /// the program when it does not end by itself; it gets the signal.
    ///
    /// A signal that the program was started with as ignored (`nohup`) stays ignored.
    ///
    /// # Errors
    /// When the thread or its signal handlers cannot be had.
    pub fn install(leave: impl Fn(i32) + Send + 'static) -> io::Result<Self> {
        let interrupt = Self::new();
        let ignored = Status::from_file("/proc/self/status").map_err(io::Error::other)?.sigign;
        let all = ENDING.into_iter().chain(PASSING);
        let caught = all.filter(|number| ignored & (1 << (number - 1)) == 0);
        let mut signals = Signals::new(caught)?;
        let (raised, watched) = (interrupt.clone(), interrupt.clone());
        let (first, came) = channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever().filter(|signal| !PASSING.contains(signal)) {
                raised.raise(signal);
                // Later ones are counted, and the other thread looks at the count.
                let _ = first.send(());
            }
        })?;
        // It sleeps until there is a signal: nothing but the load runs beside the load.
        thread::Builder::new().name("leave".to_owned()).spawn(move || {
            if came.recv().is_ok() {
                watched.wait_until_left_behind();
                leave(watched.signal().unwrap_or(libc::SIGINT));
            }
        })?;
        Ok(interrupt)
    }

    /// Returns when the program must be left: nobody noticed the signal, or another one came.
    fn wait_until_left_behind(&self) {
        let (mut noticed, mut calm) = (Instant::now(), Instant::now());
        loop {
            let now = Instant::now();
            if self.0.is_noticed.load(Ordering::SeqCst) {
                noticed = now;
            }
            if !self.is_urgent() {
                calm = now;
            }
            if now - noticed >= NOTICE_LIMIT || now - calm >= URGENT_LIMIT || self.count() > 2 {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Counts one signal.
    pub fn raise(&self, signal: i32) {
        self.0.signal.store(signal, Ordering::SeqCst);
        if self.0.count.fetch_add(1, Ordering::SeqCst) > 0 {
            let waiting = self.0.when_urgent.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for urgent in waiting.iter().filter_map(Weak::upgrade) {
                (urgent.0)();
            }
        }
    }

    /// Has something done at the second signal, whatever the other threads are busy with, for as
    /// long as `urgent` lives.
    pub(crate) fn when_urgent(&self, urgent: &Arc<Urgent>) {
        let mut waiting = self.0.when_urgent.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|known| known.strong_count() > 0);
        waiting.push(Arc::downgrade(urgent));
    }

    /// Returns how many signals came.
    pub fn count(&self) -> u32 {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Whether the run is to end. Whoever is told so ends it.
    pub fn is_raised(&self) -> bool {
        let is_raised = self.count() > 0;
        if is_raised {
            self.0.is_noticed.store(true, Ordering::SeqCst);
        }
        is_raised
    }

    /// Says that nobody looks from here on: a signal that came, or comes, leaves the program.
    pub fn no_longer_noticed(&self) {
        self.0.is_noticed.store(false, Ordering::SeqCst);
    }

    /// Whether engines are to be killed without grace.
    pub fn is_urgent(&self) -> bool {
        self.count() > 1
    }

    /// Returns the number of the last signal, if one came.
    pub fn signal(&self) -> Option<i32> {
        (self.count() > 0).then(|| self.0.signal.load(Ordering::SeqCst))
    }

    /// Returns the name of the last signal, `SIGINT`, if one came.
    pub fn signal_name(&self) -> Option<String> {
        let number = self.signal()?;
        Some(match nix::sys::signal::Signal::try_from(number) {
            Ok(signal) => signal.as_str().to_owned(),
            Err(_) => format!("signal {number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_count_and_the_last_signal() {
        let interrupt = Interrupt::new();
        assert_eq!(interrupt.signal(), None);
        let other = interrupt.clone();
        other.raise(libc::SIGTERM);
        assert!(interrupt.is_raised() && !interrupt.is_urgent());
        other.raise(libc::SIGINT);
        assert!(interrupt.is_urgent());
        assert_eq!(interrupt.signal_name().as_deref(), Some("SIGINT"));
    }

    #[test]
    fn a_signal_that_nobody_notices_leaves_the_program_and_a_second_one_does_so_sooner() {
        let unnoticed = Interrupt::new();
        unnoticed.raise(libc::SIGINT);
        let begin = Instant::now();
        unnoticed.wait_until_left_behind();
        assert!(begin.elapsed() >= NOTICE_LIMIT);

        let urgent = Interrupt::new();
        urgent.raise(libc::SIGINT);
        assert!(urgent.is_raised(), "noticed");
        urgent.raise(libc::SIGINT);
        urgent.wait_until_left_behind();

        // What was noticed and then is looked at by nobody any more is left as well.
        let reporting = Interrupt::new();
        reporting.raise(libc::SIGINT);
        assert!(reporting.is_raised());
        reporting.no_longer_noticed();
        reporting.wait_until_left_behind();
    }

    #[test]
    fn what_waits_for_the_second_signal_is_done_by_it_and_only_while_it_lives() {
        let interrupt = Interrupt::new();
        let n_done = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&n_done);
        let count = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let urgent = Arc::new(Urgent(Box::new(count)));
        interrupt.when_urgent(&urgent);
        interrupt.raise(libc::SIGINT);
        assert_eq!(n_done.load(Ordering::SeqCst), 0);
        interrupt.raise(libc::SIGINT);
        assert_eq!(n_done.load(Ordering::SeqCst), 1);
        drop(urgent);
        interrupt.raise(libc::SIGINT);
        assert_eq!(n_done.load(Ordering::SeqCst), 1);
    }
}
