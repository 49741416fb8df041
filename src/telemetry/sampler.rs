//! Probes on threads of their own, beside the load and never in its way.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::record::telemetry::{ProbeName, ProbeRecord, TelemetryRecord, TelemetrySample};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Samples that wait for the writer; beyond that they are dropped and counted.
pub const QUEUE_LEN: usize = 4_096;
/// Time that a probe gets to finish its last sample; a library that hangs is left behind.
const FINISH_LIMIT: Duration = Duration::from_secs(2);
/// Time that probes get for their first samples, which show the machine before the load.
const FIRST_LIMIT: Duration = Duration::from_secs(1);

/// Samples probes at an interval and at asked-for instants.
pub struct Sampler {
    shared: Arc<Shared>,
    queue: Sender<Message>,
    threads: Vec<ProbeThread>,
    begin: Instant,
    interval: Duration,
}

struct ProbeThread {
    name: ProbeName,
    counts: Arc<ProbeCounts>,
    thread: JoinHandle<()>,
}

enum Message {
    Sample(TelemetrySample),
    /// The sampler is finished; only a probe that hangs may send after this.
    End,
}

/// Samples on their way to the writer: ends when the sampler is finished, whether or not a probe
/// still hangs.
pub struct Samples {
    queue: Receiver<Message>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Told after each sample and at the end of each probe's thread.
    sampled: Condvar,
    /// Samples that wait for the writer, [`QUEUE_LEN`] at most. A channel with a bound would make
    /// room for all of them at the start of each trial: 400 kB, which short trials never use.
    n_waiting: AtomicUsize,
    /// Set once no sample counts any more.
    is_closed: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Counts the asked-for scrapes.
    n_scrapes: u64,
    is_over: bool,
}

#[derive(Default)]
struct ProbeCounts {
    /// The next interval to sample: those before are sampled, or known to be missed.
    next_interval: AtomicU64,
    /// Its thread is at its end, or as good as.
    is_over: AtomicBool,
    n_dropped: AtomicU64,
    n_missed: AtomicU64,
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
    ) -> std::io::Result<(Self, Samples)> {
        let (queue, receiver) = channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            sampled: Condvar::new(),
            n_waiting: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        });
        let reader = Samples { queue: receiver, shared: Arc::clone(&shared) };
        let mut sampler =
            Self { shared, queue, threads: Vec::new(), begin: Instant::now(), interval };
        for mut probe in probes {
            let counts = Arc::new(ProbeCounts::default());
            let name = probe.name();
            let follower = Follower {
                shared: Arc::clone(&sampler.shared),
                counts: Arc::clone(&counts),
                queue: sampler.queue.clone(),
                begin: sampler.begin,
                interval,
                epoch,
            };
            let thread = thread::Builder::new()
                .name("telemetry".to_owned())
                .spawn(move || follower.follow(&mut *probe))?;
            sampler.threads.push(ProbeThread { name, counts, thread });
        }
        Ok((sampler, reader))
    }

    /// Waits until every probe has been sampled once, a second at most: a probe that hangs keeps
    /// no engine waiting.
    pub fn wait_for_first(&self) {
        let has_sampled = |probe: &ProbeThread| {
            probe.counts.is_over() || probe.counts.next_interval.load(Ordering::Relaxed) > 0
        };
        self.shared.wait_for_probes(FIRST_LIMIT, || self.threads.iter().all(has_sampled));
    }

    /// Has every probe sampled now, as at the edges of the measured window; does not wait.
    pub fn scrape(&self) {
        self.shared.change(|state| state.n_scrapes += 1);
    }

    /// Ends the sampling and closes the queue; asked-for scrapes are still taken, but a probe
    /// that hangs is left behind. Returns what was sampled and what was not.
    pub fn finish(mut self) -> TelemetryRecord {
        let probes = self.end();
        let interval = Nanos::from(self.interval);
        TelemetryRecord { interval, probes, ..TelemetryRecord::default() }
    }

    fn end(&mut self) -> Vec<ProbeRecord> {
        self.shared.change(|state| state.is_over = true);
        self.shared.wait_for_probes(FINISH_LIMIT, || {
            self.threads.iter().all(|probe| probe.counts.is_over())
        });
        let n_due = intervals(self.begin, self.interval) + 1;
        let mut records = Vec::new();
        for ProbeThread { name, counts, thread } in self.threads.drain(..) {
            // A probe that panicked is as gone as one that hangs.
            let is_gone = !counts.is_over() || thread.join().is_err();
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let n_open =
                if is_gone { n_due.saturating_sub(count(&counts.next_interval)) } else { 0 };
            records.push(ProbeRecord {
                probe: name,
                n_due,
                n_missed: (count(&counts.n_missed) + n_open).min(n_due),
                n_dropped: count(&counts.n_dropped),
                is_gone,
            });
        }
        self.shared.is_closed.store(true, Ordering::Release);
        // Without a reader nobody waits for the end.
        let _ = self.queue.send(Message::End);
        records
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

impl Iterator for Samples {
    type Item = TelemetrySample;

    fn next(&mut self) -> Option<TelemetrySample> {
        if !self.shared.is_closed.load(Ordering::Acquire) {
            match self.queue.recv() {
                Ok(Message::Sample(sample)) => return Some(self.shared.taken(sample)),
                Ok(Message::End) | Err(_) => {}
            }
        }
        match self.queue.try_recv() {
            Ok(Message::Sample(sample)) => Some(self.shared.taken(sample)),
            Ok(Message::End) | Err(_) => None,
        }
    }
}

/// Returns how many whole intervals have gone by.
fn intervals(begin: Instant, interval: Duration) -> u64 {
    (begin.elapsed().as_nanos() / interval.as_nanos().max(1)) as u64
}

impl ProbeCounts {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// Says that a probe's thread is at its end, also when it panics.
struct OverOnDrop<'a>(&'a Follower);

impl Drop for OverOnDrop<'_> {
    fn drop(&mut self) {
        self.0.counts.is_over.store(true, Ordering::Release);
        self.0.shared.tell_sampled();
    }
}

impl Shared {
    /// Takes a place in the queue; `false` where none is free.
    fn queues(&self) -> bool {
        let next = |n: usize| (n < QUEUE_LEN).then_some(n + 1);
        self.n_waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Frees the place of a sample.
    fn taken(&self, sample: TelemetrySample) -> TelemetrySample {
        self.n_waiting.fetch_sub(1, Ordering::Relaxed);
        sample
    }

    /// Wakes those who wait for probes.
    fn tell_sampled(&self) {
        // Whoever looked before the count changed waits by now, and is woken.
        drop(self.state.lock());
        self.sampled.notify_all();
    }

    /// Waits until the probes are so far, at most so long.
    fn wait_for_probes(&self, limit: Duration, are_so_far: impl Fn() -> bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.sampled.wait_timeout_while(state, limit, |_| !are_so_far()));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until the next sample is due, a scrape is asked for, or all is over.
    fn wait(&self, until: Instant, n_scrapes: u64) -> State {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, limit, |state| {
            state.n_scrapes == n_scrapes && !state.is_over
        });
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A probe's thread.
struct Follower {
    shared: Arc<Shared>,
    counts: Arc<ProbeCounts>,
    queue: Sender<Message>,
    begin: Instant,
    interval: Duration,
    epoch: Instant,
}

impl Follower {
    fn follow(&self, probe: &mut dyn Probe) {
        let _over = OverOnDrop(self);
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        let mut n_taken = 0;
        let mut n_scrapes = 0;
        loop {
            let found = probe.sample(&|| Nanos::from(self.epoch.elapsed()));
            if self.shared.is_closed.load(Ordering::Acquire) {
                return;
            }
            for sample in found {
                if self.shared.queues() {
                    // Without a reader no sample counts.
                    let _ = self.queue.send(Message::Sample(sample));
                } else {
                    add(&self.counts.n_dropped, 1);
                }
            }
            let n_due = intervals(self.begin, self.interval);
            // `n_taken` is the interval whose sample this was; later ones went by meanwhile.
            add(&self.counts.n_missed, n_due.saturating_sub(n_taken));
            n_taken = n_due + 1;
            self.counts.next_interval.store(n_taken, Ordering::Relaxed);
            self.shared.tell_sampled();
            let next = self.begin + self.interval * u32::try_from(n_taken).unwrap_or(u32::MAX);
            let state = self.shared.wait(next, n_scrapes);
            if state.is_over && state.n_scrapes == n_scrapes {
                return;
            }
            n_scrapes = state.n_scrapes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

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

    /// Says that it is asked, and waits for a word of the test before each sample, as a library that
    /// hangs would.
    struct Slow(Sender<()>, Receiver<()>);

    impl Probe for Slow {
        fn name(&self) -> ProbeName {
            ProbeName::Gpus
        }

        fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            vec![sample(now())]
        }
    }

    struct Many;

    impl Probe for Many {
        fn name(&self) -> ProbeName {
            ProbeName::Host
        }

        fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
            vec![sample(now()); QUEUE_LEN + 10]
        }
    }

    struct Panicking;

    impl Probe for Panicking {
        fn name(&self) -> ProbeName {
            ProbeName::EngineLog
        }

        fn sample(&mut self, _now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
            panic!("a probe's defect");
        }
    }

    #[test]
    fn an_asked_for_scrape_is_taken_between_the_intervals() {
        let (go, wait) = channel();
        let hour = Duration::from_hours(1);
        let (sampler, mut queue) =
            Sampler::start(vec![Box::new(Slow(channel().0, wait))], hour, Instant::now()).unwrap();
        go.send(()).unwrap();
        let first = queue.next().unwrap();
        sampler.scrape();
        go.send(()).unwrap();
        let second = queue.next().unwrap();
        assert!(second.at > first.at);
        let found = &sampler.finish().probes[0];
        assert_eq!((found.n_due, found.n_missed, found.n_dropped, found.is_gone), (1, 0, 0, false));
        assert!(queue.next().is_none(), "the queue is still open");
    }

    #[test]
    fn a_full_queue_drops_and_counts_instead_of_waiting() {
        let (sampler, mut queue) =
            Sampler::start(vec![Box::new(Many)], Duration::from_hours(1), Instant::now()).unwrap();
        // The first sample is in the queue once its first part can be read.
        queue.next().unwrap();
        let n_dropped = sampler.finish().probes[0].n_dropped;
        let n_read = 1 + queue.count() as u64;
        assert!(n_dropped > 0);
        assert_eq!(n_read + n_dropped, QUEUE_LEN as u64 + 10);
    }

    #[test]
    fn a_probe_that_hangs_keeps_neither_the_trial_nor_the_writer_and_its_samples_are_missed() {
        let ((ask, asked), (go, wait)) = (channel(), channel());
        let interval = Duration::from_millis(1);
        let probes: Vec<Box<dyn Probe>> = vec![Box::new(Slow(ask, wait)), Box::new(Many)];
        let (sampler, queue) = Sampler::start(probes, interval, Instant::now()).unwrap();
        let writer = thread::spawn(move || queue.count());
        go.send(()).unwrap();
        // The second sample hangs.
        (0..2).for_each(|_| asked.recv().unwrap());
        thread::sleep(Duration::from_millis(20));
        let [hung, other] = sampler.finish().probes.try_into().unwrap();
        assert!(writer.join().unwrap() > 0, "the writer ends while the probe still hangs");
        assert_eq!((hung.probe, hung.is_gone, other.is_gone), (ProbeName::Gpus, true, false));
        assert!(hung.n_missed > 0 && hung.n_missed < hung.n_due, "{hung:?}");
        drop(go);
    }

    #[test]
    fn a_probe_that_panics_is_gone_and_told() {
        let (sampler, queue) =
            Sampler::start(vec![Box::new(Panicking)], Duration::from_hours(1), Instant::now())
                .unwrap();
        sampler.wait_for_first();
        let found = &sampler.finish().probes[0];
        assert!(found.is_gone && found.n_missed == 1, "{found:?}");
        assert_eq!(queue.count(), 0);
    }
}
