//! Finds, while it happens, that a queue only grows.

/// Chance, over all looks together, that a queue without drift is called growing.
const ALPHA: f64 = 0.01;
/// Requests that came first and have to be gone before the first look: by then the places of a
/// server are filled, and the queue has what was to be expected anyway.
const SETTLING: u64 = 30;
/// Parts of a stretch of time. A server that finishes its work in batches shows as some large
/// steps back among many small ones forth, for which a stretch has to hold many parts.
const N_PARTS: usize = 32;
/// Share of what came by which a queue has to grow.
const MIN_SHARE: f64 = 0.05;
/// What is left, at least, of that share from one stretch to the next one, which is twice as long.
/// A queue on its way to a level, which may take long close to the limit of a server, slows down;
/// an over-saturated one does not.
const UNDIMINISHED: f64 = 0.8;

/// A queue whose arrivals are known in advance, and of which is told who left.
///
/// Looks are at times that double, from that on at which the first thirty that came are gone. Each
/// is at the stretch since the look before. It takes three things to call the queue growing:
///
/// - Its sum of changes over the parts of the stretch lies beyond what chance does to a queue
///   without drift: `S² > 2 ln(2 / α) V`, with `V` the sum of their squares. This bound holds
///   whatever their size is, as long as they are as likely to be positive as negative, and a
///   standstill of the server, which is one large step, does not meet it. The 2 is there because a
///   queue cannot fall below nothing: what has no drift is then as high as a random walk is far
///   from its start. Looks share an `α` of 1 %: the k-th has `1 / k(k + 1)` of it.
/// - It grew by 5 % of what came, or more.
/// - It grew no slower than in the stretch before: 80 % of its share is left at least.
///
/// Generated queues (see the tests), Poisson arrivals and exponential services: none of 300 with a
/// load of 0.9, 0.95 and 1.0 is called growing; half of those with a load of 2 are after 310 that
/// came, with 1.5 after 1,080, with 1.3 after 2,940.
///
/// Sources: B. Efron, "Student's t-test under symmetry conditions", Journal of the American
/// Statistical Association 64 (1969) 1278–1302; V. H. de la Peña, T. L. Lai and Q.-M. Shao,
/// "Self-Normalized Processes" (2009), section 2; P. Lévy's theorem on reflected Brownian motion.
#[derive(Debug)]
pub(crate) struct GrowingQueue<A> {
    /// When further ones come, ascending. All times are from the queue's start, in one unit that is
    /// small against the gaps between them.
    arrivals: A,
    next: Option<u64>,
    n_come: u64,
    n_gone: u64,
    /// Of the first that came those that are not gone.
    n_settling: u64,
    stretch: Option<Stretch>,
}

/// A stretch of time under way.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Number of the look at its end, from 0; the first is for comparison alone.
    look: u32,
    since: u64,
    n_come: u64,
    n_waiting: u64,
    /// Parts that are over, and how many waited at the end of the last.
    n_parts: usize,
    last: u64,
    squares: f64,
    /// Share by which the queue grew in the stretch before.
    share_before: f64,
}

/// A queue that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// The stretch in which it showed, from the queue's start.
    pub since: u64,
    /// Its end.
    pub until: u64,
    /// Those that came in it.
    pub n_come: u64,
    /// How many waited or were served at its begin.
    pub n_before: u64,
    /// How many at its end.
    pub n_after: u64,
}

impl<A: Iterator<Item = u64>> GrowingQueue<A> {
    /// Begins with an empty queue.
    pub(crate) fn new(mut arrivals: A) -> Self {
        let next = arrivals.next();
        Self { arrivals, next, n_come: 0, n_gone: 0, n_settling: SETTLING, stretch: None }
    }

    /// Takes in that the one which came as the `index`-th, from 0, was gone at an instant. Returns
    /// that the queue only grows, once that is known.
    pub(crate) fn gone(&mut self, index: u64, at: u64) -> Option<Growth> {
        let found = self.look(at);
        self.n_gone += 1;
        if index < SETTLING {
            self.n_settling = self.n_settling.saturating_sub(1);
            if self.n_settling == 0 {
                self.come_until(at);
                self.stretch = Some(Stretch::new(0, at, self.n_come, self.n_waiting(), 0.0));
            }
        }
        found
    }

    /// Closes every part that was over by an instant.
    fn look(&mut self, at: u64) -> Option<Growth> {
        loop {
            let mut stretch = self.stretch?;
            let end = stretch.end_of_part();
            if end > at {
                return None;
            }
            self.come_until(end);
            stretch.add(self.n_waiting());
            self.stretch = Some(stretch);
            if stretch.n_parts == N_PARTS {
                let growth = stretch.growth(self.n_come);
                if stretch.is_growing(growth) {
                    return Some(growth);
                }
                let share = growth.share();
                let next = Stretch::new(stretch.look + 1, end, self.n_come, stretch.last, share);
                self.stretch = Some(next);
            }
        }
    }

    fn come_until(&mut self, at: u64) {
        while self.next.is_some_and(|next| next <= at) {
            self.n_come += 1;
            self.next = self.arrivals.next();
        }
    }

    fn n_waiting(&self) -> u64 {
        self.n_come.saturating_sub(self.n_gone)
    }
}

impl Stretch {
    fn new(look: u32, since: u64, n_come: u64, n_waiting: u64, share_before: f64) -> Self {
        let (n_parts, last, squares) = (0, n_waiting, 0.0);
        Self { look, since, n_come, n_waiting, n_parts, last, squares, share_before }
    }

    /// Returns the end of the part under way. A stretch is as long as all the time before it.
    fn end_of_part(&self) -> u64 {
        let parts = u128::from(self.since) * (self.n_parts as u128 + 1) / N_PARTS as u128;
        self.since + parts as u64
    }

    fn add(&mut self, n_waiting: u64) {
        self.squares += (n_waiting as f64 - self.last as f64).powi(2);
        self.last = n_waiting;
        self.n_parts += 1;
    }

    fn growth(&self, n_come: u64) -> Growth {
        Growth {
            since: self.since,
            until: self.since + self.since,
            n_come: n_come - self.n_come,
            n_before: self.n_waiting,
            n_after: self.last,
        }
    }

    fn is_growing(&self, growth: Growth) -> bool {
        let look = f64::from(self.look);
        let alpha = ALPHA / (look * (look + 1.0));
        let grown = growth.n_after as f64 - growth.n_before as f64;
        let share = growth.share();
        self.look > 0
            && grown > 0.0
            && grown * grown > 2.0 * (2.0 / alpha).ln() * self.squares
            && share >= MIN_SHARE
            && share >= UNDIMINISHED * self.share_before
    }
}

impl Growth {
    /// Returns by how much the queue grew, as a share of those that came.
    pub(crate) fn share(&self) -> f64 {
        if self.n_come == 0 {
            return 0.0;
        }
        (self.n_after as f64 - self.n_before as f64) / self.n_come as f64
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use rand::RngExt as _;

    use super::*;
    use crate::seed::Seed;

    /// Times of arrival at one per unit of time, and how long the service of each takes.
    type Work = (Vec<f64>, Vec<f64>);

    fn nanos(at: f64) -> u64 {
        (at * 1e9) as u64
    }

    /// A Poisson process of one request per unit of time, whose services take so long on average,
    /// exponentially distributed.
    fn random_work(n: usize, mean_service: f64, seed: u64) -> Work {
        let mut rng = Seed(seed).stream("queue");
        let mut gap = move |mean: f64| -> f64 { -(1.0 - rng.random::<f64>()).ln() * mean };
        let mut at = 0.0;
        let arrivals = (0..n).map(|_| {
            at += gap(1.0);
            at
        });
        let arrivals = arrivals.collect::<Vec<_>>();
        (arrivals, (0..n).map(|_| gap(mean_service)).collect())
    }

    /// Returns when each one is gone, by servers that take them in order.
    fn served(work: &Work, n_servers: usize) -> Vec<(usize, f64)> {
        let mut free = BinaryHeap::from(vec![Reverse(0_u64); n_servers]);
        let mut gone: Vec<(usize, f64)> = Vec::new();
        for (index, (at, service)) in work.0.iter().zip(&work.1).enumerate() {
            let Reverse(free_at) = free.pop().unwrap();
            let end = free_at.max(nanos(*at)) + nanos(*service);
            free.push(Reverse(end));
            gone.push((index, end as f64 / 1e9));
        }
        gone.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        gone
    }

    /// Returns what is found until the last one has come.
    fn found(arrivals: &[f64], gone: &[(usize, f64)]) -> Option<Growth> {
        let last = *arrivals.last().unwrap();
        let due = arrivals.iter().map(|at| nanos(*at));
        let mut queue = GrowingQueue::new(due);
        let mut gone = gone.iter().take_while(|(_, at)| *at <= last);
        gone.find_map(|(index, at)| queue.gone(*index as u64, nanos(*at)))
    }

    fn n_found(n_seeds: u64, find: impl Fn(u64) -> Option<Growth>) -> usize {
        (0..n_seeds).filter_map(find).count()
    }

    #[test]
    fn a_server_that_keeps_up_is_called_over_saturated_in_less_than_one_run_of_a_hundred() {
        for (load, n_servers) in [(0.5, 1), (0.9, 1), (0.95, 1), (0.9, 16), (0.97, 16), (1.0, 4)] {
            let find = |seed| {
                let work = random_work(5_000, load * n_servers as f64, seed);
                found(&work.0, &served(&work, n_servers))
            };
            let n = n_found(300, find);
            assert!(n <= 3, "{n} of 300 at a load of {load} on {n_servers}");
        }
    }

    #[test]
    fn a_queue_that_only_grows_is_found_the_earlier_the_faster_it_grows() {
        for (load, n_servers, by) in
            [(1.3, 1, 7_000.0), (1.5, 16, 2_500.0), (2.0, 1, 800.0), (10.0, 16, 5_000.0)]
        {
            let find = |seed| {
                let work = random_work(8_000, load * n_servers as f64, seed);
                let found = found(&work.0, &served(&work, n_servers))?;
                (found.until as f64 / 1e9 <= by).then_some(found)
            };
            let mut shares: Vec<f64> =
                (0..100).filter_map(find).map(|found| found.share()).collect();
            shares.sort_by(f64::total_cmp);
            let n = shares.len();
            assert!(n >= 90, "{n} of 100 at a load of {load} on {n_servers}");
            let (median, expected) = (shares[n / 2], 1.0 - 1.0 / load);
            assert!((median - expected).abs() < 0.05, "{median} for {expected}");
        }
    }

    #[test]
    fn places_that_fill_and_a_level_that_is_near_are_no_growing_queue() {
        let even: Vec<f64> = (0..20_000).map(f64::from).collect();
        // Everyone stays for 500: the queue grows to that and no further.
        let gone: Vec<_> = even.iter().enumerate().map(|(index, at)| (index, at + 500.0)).collect();
        assert_eq!(found(&even, &gone), None);
        // The more are served at once, the more leave per unit of time, up to 1.1 of them: the level
        // is at 80 % of that and more, and is neared ever more slowly.
        for load in [0.8, 0.9, 0.95] {
            let (mut inside, mut left, mut gone) = (0.0_f64, 0.0_f64, Vec::new());
            for tick in 0..40_000_u32 {
                inside += 0.5;
                let out = 0.5 / load * inside / (inside + 40.0);
                inside -= out;
                left += out;
                while (gone.len() as f64) < left.floor() {
                    gone.push((gone.len(), f64::from(tick + 1) / 2.0));
                }
            }
            assert_eq!(found(&even, &gone), None, "at {load}");
        }
    }

    #[test]
    fn a_standstill_and_work_in_batches_are_no_growing_queue() {
        let even: Vec<f64> = (0..10_000).map(f64::from).collect();
        let at_once = |every: f64| -> Vec<(usize, f64)> {
            let out = |at: f64| ((at + 1.0) / every).ceil() * every;
            even.iter().enumerate().map(|(index, at)| (index, out(*at))).collect()
        };
        for every in [10.0, 64.0, 300.0] {
            assert_eq!(found(&even, &at_once(every)), None, "batches of {every}");
        }
        // A second of service each, but for one time of 400 in which nobody is served.
        let mut gone = Vec::new();
        let mut free_at = 0.0_f64;
        for (index, at) in even.iter().enumerate() {
            let begun = free_at.max(*at);
            let begun = if (1_000.0..1_400.0).contains(&begun) { 1_400.0 } else { begun };
            free_at = begun + 0.7;
            gone.push((index, free_at));
        }
        assert_eq!(found(&even, &gone), None);
    }
}
