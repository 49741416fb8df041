//! Requests that are served, and the queue of those that wait.

use std::collections::VecDeque;

/// A limit on simultaneous requests, with a queue in front of it.
#[derive(Clone, Debug)]
pub(crate) struct Slots<K> {
    limit: usize,
    queue_limit: usize,
    n_running: usize,
    waiting: VecDeque<K>,
}

/// The result of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The request is served at once.
    Served,
    /// The request waits.
    Queued,
    /// The queue is full, and the request is refused.
    Refused,
}

impl<K: PartialEq> Slots<K> {
    /// Returns `limit` free slots and an empty queue that takes `queue_limit` requests.
    pub(crate) fn new(limit: usize, queue_limit: usize) -> Self {
        Self { limit, queue_limit, n_running: 0, waiting: VecDeque::new() }
    }

    /// Takes a slot, or joins the queue.
    pub(crate) fn arrive(&mut self, key: K) -> Admission {
        if self.n_running < self.limit {
            self.n_running += 1;
            return Admission::Served;
        }
        if self.waiting.len() >= self.queue_limit {
            return Admission::Refused;
        }
        self.waiting.push_back(key);
        Admission::Queued
    }

    /// Frees a slot. Returns the waiting request that takes it over.
    pub(crate) fn release(&mut self) -> Option<K> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.n_running -= 1;
        }
        next
    }

    /// Removes a request that stopped waiting.
    pub(crate) fn leave(&mut self, key: &K) {
        self.waiting.retain(|other| other != key);
    }

    /// Returns the number of requests being served.
    pub(crate) fn n_running(&self) -> usize {
        self.n_running
    }

    /// Returns the number of requests that wait.
    pub(crate) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Admission::{Queued, Refused, Served};

    #[test]
    fn requests_beyond_the_slots_wait_in_order_and_beyond_the_queue_are_refused() {
        let mut slots = Slots::new(1, 2);
        let admissions = [1, 2, 3, 4].map(|key| slots.arrive(key));
        assert_eq!(admissions, [Served, Queued, Queued, Refused]);
        assert_eq!(slots.release(), Some(2));
        assert_eq!((slots.n_running(), slots.n_waiting()), (1, 1));
        assert_eq!(slots.release(), Some(3));
        assert_eq!(slots.release(), None);
        assert_eq!((slots.n_running(), slots.n_waiting()), (0, 0));
    }

    #[test]
    fn who_leaves_the_queue_is_not_served() {
        let mut slots = Slots::new(1, 9);
        for key in [1, 2, 3] {
            slots.arrive(key);
        }
        slots.leave(&2);
        assert_eq!(slots.release(), Some(3));
    }
}
