//! Where the clients of a trial wait for each other.

use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::load::clock::Epoch;
use crate::load::spec::Control;
use crate::record::request::CancelCause;
use crate::run::clients::LOOK_EVERY;
use crate::run::clients::clock::Offset;
use crate::run::clients::wire::{Order, Speaker};
use crate::units::Nanos;

/// Time between the agreement on a round's start and the start, in which every client hears of it.
const NOTICE: Nanos = Nanos::from_millis(50);

/// Where the clients of a trial wait for each other before each round.
pub(super) struct Meeting<'a> {
    pub(super) epoch: Epoch,
    pub(super) control: &'a Control,
    pub(super) seats: Vec<Seat>,
    /// For each of the others, when it could begin the round, from this process's epoch.
    earliest: Mutex<Vec<Option<Nanos>>>,
    changed: Condvar,
    /// Whether a client has left: no round begins any more.
    has_left: AtomicBool,
    /// Whether a part of the trial cannot go on.
    is_over: AtomicBool,
}

/// One of the others.
pub(super) struct Seat {
    pub(super) offset: Offset,
    pub(super) orders: Arc<Speaker<ChildStdin>>,
}

impl<'a> Meeting<'a> {
    pub(super) fn new(epoch: Epoch, control: &'a Control, seats: Vec<Seat>) -> Self {
        Self {
            epoch,
            control,
            earliest: Mutex::new(vec![None; seats.len()]),
            seats,
            changed: Condvar::new(),
            has_left: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// Takes note that one of the others can begin the round at an instant, from this process's
    /// epoch.
    pub(super) fn arrive(&self, seat: usize, earliest: Nanos) {
        self.earliest.lock().unwrap_or_else(PoisonError::into_inner)[seat] = Some(earliest);
        self.changed.notify_all();
    }

    /// Waits until all others can begin, tells them when, and returns that instant.
    pub(super) fn agree(&self, own: Nanos) -> Nanos {
        let mut earliest = self.earliest.lock().unwrap_or_else(PoisonError::into_inner);
        while earliest.iter().any(Option::is_none) {
            if self.has_left.load(Ordering::Relaxed) {
                drop(earliest);
                self.break_up();
                return own;
            }
            if self.cause().is_some() {
                return own;
            }
            let waited = self.changed.wait_timeout(earliest, LOOK_EVERY);
            earliest = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let start = earliest.iter_mut().filter_map(Option::take).fold(own, Nanos::max);
        let start = start.max(self.epoch.elapsed()) + NOTICE;
        for seat in &self.seats {
            let at_unix_ns = seat.offset.there(self.epoch.unix_ns() + start.0);
            // One that is gone is found by the thread that serves it.
            let _ = seat.orders.say(&Order::Start { at_unix_ns });
        }
        start
    }

    /// Takes note that a client is no longer there: nobody may wait for it.
    pub(super) fn leave(&self, has_done_its_part: bool) {
        self.has_left.store(true, Ordering::Relaxed);
        if has_done_its_part {
            self.changed.notify_all();
        } else {
            self.break_up();
        }
    }

    /// Ends the trial for all: a part of it cannot go on.
    pub(super) fn break_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.control.interrupt();
        self.changed.notify_all();
    }

    /// Returns why the others have to end their part.
    pub(super) fn cause(&self) -> Option<CancelCause> {
        let is_over = self.is_over.load(Ordering::Relaxed);
        self.control.cause().or(is_over.then_some(CancelCause::Signal))
    }
}
