//! Probes on threads of their own, beside the load and never in its way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::record::telemetry::TelemetrySample;
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Samples that wait for the writer; beyond that they are dropped and counted.
pub const QUEUE_LEN: usize = 4_096;
/// Time that a probe gets to finish its last sample; a library that hangs is left behind.
const FINISH_LIMIT: Duration = Duration::from_secs(2);

/// Samples probes at an interval and at asked-for instants.
pub struct Sampler {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What a finished sampler tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplerReport {
    /// Samples that found the queue full.
    pub n_dropped: u64,
    /// Samples that were due while their probe was still busy with an earlier one.
    pub n_missed: u64,
    /// Probes that did not come back in time; their threads are left behind.
    pub n_hung: u64,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    epoch: Instant,
    interval: Duration,
    n_dropped: AtomicU64,
    n_missed: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Counts the asked-for scrapes.
    n_scrapes: u64,
    is_over: bool,
}

impl Sampler {
    /// Starts a thread for each probe. Times in the samples are from `epoch`. The first sample
    /// is taken at once, further ones at whole intervals from it.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn start(
        probes: Vec<Box<dyn Probe>>,
        interval: Duration,
        epoch: Instant,
    ) -> std::io::Result<(Self, Receiver<TelemetrySample>)> {
        let (queue, receiver) = sync_channel(QUEUE_LEN);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            epoch,
            interval,
            n_dropped: AtomicU64::new(0),
            n_missed: AtomicU64::new(0),
        });
        let mut sampler = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for mut probe in probes {
            let (shared, queue) = (Arc::clone(&shared), queue.clone());
            let thread = thread::Builder::new()
                .name("telemetry".to_owned())
                .spawn(move || shared.follow(&mut *probe, &queue))?;
            sampler.threads.push(thread);
        }
        Ok((sampler, receiver))
    }

    /// Has every probe sampled now, as at the edges of the measured window; does not wait.
    pub fn scrape(&self) {
        self.shared.change(|state| state.n_scrapes += 1);
    }

    /// Ends the sampling; asked-for scrapes are still taken.
    pub fn finish(mut self) -> SamplerReport {
        let n_hung = self.end();
        SamplerReport {
            n_dropped: self.shared.n_dropped.load(Ordering::Relaxed),
            n_missed: self.shared.n_missed.load(Ordering::Relaxed),
            n_hung,
        }
    }

    fn end(&mut self) -> u64 {
        self.shared.change(|state| state.is_over = true);
        let deadline = Instant::now() + FINISH_LIMIT;
        let mut n_hung = 0;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            } else {
                n_hung += 1;
            }
        }
        n_hung
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no thread panics while it holds the state"));
        self.changed.notify_all();
    }

    fn follow(&self, probe: &mut dyn Probe, queue: &SyncSender<TelemetrySample>) {
        let begin = Instant::now();
        let mut n_taken = 0;
        let mut n_scrapes = 0;
        loop {
            for sample in probe.sample(Nanos::from(self.epoch.elapsed())) {
                if let Err(TrySendError::Full(_)) = queue.try_send(sample) {
                    self.n_dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            let n_due = (begin.elapsed().as_nanos() / self.interval.as_nanos().max(1)) as u64;
            // `n_taken` is the interval whose sample this was; later ones went by meanwhile.
            self.n_missed.fetch_add(n_due.saturating_sub(n_taken), Ordering::Relaxed);
            n_taken = n_due + 1;
            let next = begin + self.interval * u32::try_from(n_taken).unwrap_or(u32::MAX);
            let state = self.wait(next, n_scrapes);
            if state.is_over && state.n_scrapes == n_scrapes {
                return;
            }
            n_scrapes = state.n_scrapes;
        }
    }

    /// Waits until the next sample is due, a scrape is asked for, or all is over.
    fn wait(&self, until: Instant, n_scrapes: u64) -> State {
        let state = self.state.lock().expect("no thread panics while it holds the state");
        let limit = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, limit, |state| {
            state.n_scrapes == n_scrapes && !state.is_over
        });
        *waited.expect("no thread panics while it holds the state").0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::record::telemetry::TelemetrySource;

    fn sample(at: Nanos) -> TelemetrySample {
        TelemetrySample {
            at,
            source: TelemetrySource::Host,
            values: std::collections::BTreeMap::new(),
            absent: std::collections::BTreeMap::new(),
        }
    }

    /// Waits for a word of the test before each sample, as a library that hangs would.
    struct Slow(std::sync::mpsc::Receiver<()>);

    impl Probe for Slow {
        fn sample(&mut self, at: Nanos) -> Vec<TelemetrySample> {
            let _ = self.0.recv();
            vec![sample(at)]
        }
    }

    struct Many;

    impl Probe for Many {
        fn sample(&mut self, at: Nanos) -> Vec<TelemetrySample> {
            vec![sample(at); QUEUE_LEN + 10]
        }
    }

    #[test]
    fn an_asked_for_scrape_is_taken_between_the_intervals() {
        let (go, wait) = channel();
        let hour = Duration::from_hours(1);
        let (sampler, queue) =
            Sampler::start(vec![Box::new(Slow(wait))], hour, Instant::now()).unwrap();
        go.send(()).unwrap();
        let first = queue.recv().unwrap();
        sampler.scrape();
        go.send(()).unwrap();
        let second = queue.recv().unwrap();
        assert!(second.at > first.at);
        assert_eq!(sampler.finish(), SamplerReport::default());
        assert!(queue.recv().is_err(), "the channel is still open");
    }

    #[test]
    fn a_full_queue_drops_and_counts_instead_of_waiting() {
        let (sampler, queue) =
            Sampler::start(vec![Box::new(Many)], Duration::from_hours(1), Instant::now()).unwrap();
        // The first sample is in the queue once its first part can be read.
        queue.recv().unwrap();
        let report = sampler.finish();
        let n_read = 1 + queue.iter().count() as u64;
        assert!(report.n_dropped > 0);
        assert_eq!(n_read + report.n_dropped, QUEUE_LEN as u64 + 10);
    }

    #[test]
    fn a_probe_that_hangs_is_left_behind() {
        let (go, wait) = channel();
        let (sampler, queue) =
            Sampler::start(vec![Box::new(Slow(wait))], Duration::from_millis(1), Instant::now())
                .unwrap();
        let report = sampler.finish();
        assert_eq!(report.n_hung, 1);
        drop(go);
        assert!(queue.recv().is_ok(), "it ends once its library answers");
    }
}
