//! Entries by due time, and the one timer that wakes the reactor for the first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::epoll::EpollTimeout;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock;
use crate::serve::ServeError;
use crate::units::Nanos;

/// An entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The instant at which it is due.
    pub due: Nanos,
    /// Entries of one instant keep the order in which they were planned.
    number: u64,
    /// The slot of the connection.
    pub slot: usize,
    /// The connection's id: another connection may use the slot by then.
    pub conn_id: u64,
    /// The number of the request on its connection.
    pub n_requests: u64,
    /// The action that is due.
    pub kind: EntryKind,
}

/// An action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntryKind {
    /// Write the next events of an answer.
    Work,
    /// Write a comment into a stream.
    Heartbeat,
    /// Close an idle connection.
    Idle,
    /// Write the next byte of a dripping response.
    Drip,
}

/// Entries by instant, and an absolute timer for the first of them.
#[derive(Debug)]
pub(crate) struct TimerQueue {
    entries: BinaryHeap<Reverse<Entry>>,
    n_planned: u64,
    timer: TimerFd,
    armed: Option<Nanos>,
    spin: Nanos,
}

impl TimerQueue {
    /// Returns an empty queue. It wakes `spin` before an entry is due, and the caller spins for
    /// the rest.
    ///
    /// # Errors
    /// [`ServeError::System`] if the system has no timer left.
    pub(crate) fn new(spin: Nanos) -> Result<Self, ServeError> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(ServeError::system::<
            nix::Error,
        >(
            "cannot make a timer",
        ))?;
        Ok(Self { entries: BinaryHeap::new(), n_planned: 0, timer, armed: None, spin })
    }

    /// Returns the timer, to be watched edge-triggered: an expiry needs no read, and a new
    /// deadline makes a new edge.
    pub(crate) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Notes that the timer has expired.
    pub(crate) fn timer_expired(&mut self) {
        self.armed = None;
    }

    /// Plans an entry for a connection and its present request.
    pub(crate) fn plan(
        &mut self,
        due: Nanos,
        slot: usize,
        (conn_id, n_requests): (u64, u64),
        kind: EntryKind,
    ) {
        self.n_planned += 1;
        let number = self.n_planned;
        self.entries.push(Reverse(Entry { due, number, slot, conn_id, n_requests, kind }));
    }

    /// Removes and returns the first entry if it is due.
    pub(crate) fn pop_due(&mut self) -> Option<Entry> {
        let Reverse(first) = self.entries.peek()?;
        if first.due > clock::monotonic() {
            return None;
        }
        self.entries.pop().map(|Reverse(entry)| entry)
    }

    /// Arms the timer for the first entry, and returns how to wait.
    ///
    /// # Errors
    /// [`ServeError::System`] if the timer cannot be set.
    pub(crate) fn time_to_wait(&mut self) -> Result<EpollTimeout, ServeError> {
        let Some(Reverse(first)) = self.entries.peek() else { return Ok(EpollTimeout::NONE) };
        let wake = first.due.saturating_sub(self.spin);
        if wake <= clock::monotonic() {
            return Ok(EpollTimeout::ZERO);
        }
        if self.armed != Some(wake) {
            let at = TimeSpec::nanoseconds(i64::try_from(wake.0).unwrap_or(i64::MAX));
            self.timer
                .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
                .map_err(ServeError::system::<nix::Error>("cannot set the timer"))?;
            self.armed = Some(wake);
        }
        Ok(EpollTimeout::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(timers: &mut TimerQueue) -> Vec<usize> {
        std::iter::from_fn(|| timers.pop_due()).map(|entry| entry.slot).collect()
    }

    #[test]
    fn entries_come_by_instant_and_then_in_the_order_of_planning() {
        let mut timers = TimerQueue::new(Nanos::ZERO).unwrap();
        for (due, slot) in [(30, 0), (10, 1), (30, 2), (20, 3)] {
            timers.plan(Nanos(due), slot, (0, 0), EntryKind::Work);
        }
        assert_eq!(slots(&mut timers), [1, 3, 0, 2]);
    }

    #[test]
    fn what_is_not_due_stays_and_is_waited_for() {
        let mut timers = TimerQueue::new(Nanos::ZERO).unwrap();
        assert_eq!(timers.time_to_wait().unwrap(), EpollTimeout::NONE);
        let later = clock::monotonic() + Nanos::from_secs(1_000);
        timers.plan(later, 0, (0, 0), EntryKind::Idle);
        assert!(slots(&mut timers).is_empty());
        assert_eq!(timers.time_to_wait().unwrap(), EpollTimeout::NONE);
        assert_eq!(timers.armed, Some(later));
        timers.plan(Nanos(1), 1, (0, 0), EntryKind::Work);
        assert_eq!(timers.time_to_wait().unwrap(), EpollTimeout::ZERO);
        assert_eq!(slots(&mut timers), [1]);
    }
}
