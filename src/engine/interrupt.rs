//! The user's wish to end the run, as a count of signals that every wait looks at.

use std::fs;
use std::io;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::thread;

use nix::libc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that end a run.
const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Counts the signals that ask the run to end; clones share the count.
///
/// One: stop issuing, take engines down, keep what is there. Two: kill engines now.
/// Three: the program ends at once, and the guardians finish the kill.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    count: AtomicU32,
    signal: AtomicI32,
}

impl Interrupt {
    /// Returns a count that only [`Interrupt::raise`] moves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to catch SIGINT, SIGTERM, SIGHUP and SIGQUIT, on a thread of its own.
    ///
    /// A signal that the program was started with as ignored (`nohup`) stays ignored.
    ///
    /// # Errors
    /// When the thread or its signal handlers cannot be had.
    pub fn install() -> io::Result<Self> {
        let interrupt = Self::new();
        let raised = interrupt.clone();
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status")?);
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                let streams = match listen(ignored) {
                    Ok(streams) => streams,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                if ready.send(Ok(())).is_ok() {
                    raised.follow(streams).await;
                }
            });
        })?;
        is_ready.recv().map_err(|_| io::Error::other("the signal thread ended"))??;
        Ok(interrupt)
    }

    /// Counts one signal.
    pub fn raise(&self, signal: i32) {
        self.0.signal.store(signal, Ordering::SeqCst);
        self.0.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns how many signals came.
    pub fn count(&self) -> u32 {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Whether the run is to end.
    pub fn is_raised(&self) -> bool {
        self.count() > 0
    }

    /// Whether engines are to be killed without grace.
    pub fn is_urgent(&self) -> bool {
        self.count() > 1
    }

    /// Returns the number of the last signal, if one came.
    pub fn signal(&self) -> Option<i32> {
        self.is_raised().then(|| self.0.signal.load(Ordering::SeqCst))
    }

    /// Returns the name of the last signal, `SIGINT`, if one came.
    pub fn signal_name(&self) -> Option<String> {
        let number = self.signal()?;
        Some(match nix::sys::signal::Signal::try_from(number) {
            Ok(signal) => signal.as_str().to_owned(),
            Err(_) => format!("signal {number}"),
        })
    }

    async fn follow(&self, mut streams: Vec<(i32, Signal)>) {
        loop {
            let number = std::future::poll_fn(|context| {
                for (number, stream) in &mut streams {
                    if stream.poll_recv(context).is_ready() {
                        return std::task::Poll::Ready(*number);
                    }
                }
                std::task::Poll::Pending
            })
            .await;
            self.raise(number);
            if self.count() > 2 {
                exit(128 + number);
            }
        }
    }
}

fn listen(ignored: u64) -> io::Result<Vec<(i32, Signal)>> {
    ENDING
        .into_iter()
        .filter(|number| ignored & (1 << (number - 1)) == 0)
        .map(|number| Ok((number, signal(SignalKind::from_raw(number))?)))
        .collect()
}

/// Returns the `SigIgn` mask of a `/proc/PID/status` text; bit 0 is signal 1.
fn ignored_signals(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
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
    fn the_mask_of_a_program_under_nohup_has_sighup_in_it() {
        let mask = ignored_signals("Name:\tx\nSigBlk:\t0\nSigIgn:\t0000000000001001\n");
        assert_eq!(mask & 1, 1, "SIGHUP is signal 1");
        assert_eq!(mask & (1 << (libc::SIGINT - 1)), 0);
    }
}
