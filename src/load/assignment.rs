//! What one load thread has to send in a phase, and what it did.

use crate::plan::cell::Deadlines;
use crate::record::trial::Stalls;
use crate::units::Nanos;
use crate::workload::arrivals::Gate;
use crate::workload::request::Request;

/// A request and when it is due, from the phase's start.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) offset: Nanos,
    pub(crate) request: Request,
}

/// Gives requests in the order of the schedule.
pub(crate) trait Supply {
    fn next(&mut self) -> Supplied;
}

pub(crate) enum Supplied {
    Due(Box<Due>),
    /// The next one is not made yet.
    NotYet,
    Over,
}

/// One load thread's share of a phase.
#[derive(Clone, Debug)]
pub(crate) struct PhaseAssignment {
    /// Number of the round; what belongs to an earlier one is dropped.
    pub(crate) round: u32,
    pub(crate) start: Nanos,
    pub(crate) gate: Gate,
    /// No request is sent from here on. Set for loops that answers drive and time bounds.
    pub(crate) stop_at: Option<Nanos>,
    /// The last due instant, for loops that the clock drives.
    pub(crate) last_due: Option<Nanos>,
    /// A stream's next request is due when its last answer is over.
    pub(crate) is_closed: bool,
    pub(crate) drain: Nanos,
    pub(crate) deadlines: Deadlines,
    pub(crate) cancel_after: Option<Nanos>,
}

/// What one load thread did in a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) n_scheduled: u64,
    pub(crate) last_sent: Option<Nanos>,
    pub(crate) drained: Nanos,
    pub(crate) n_stalls: u64,
    pub(crate) stalls: Stalls,
    pub(crate) interrupted: bool,
}

impl Tally {
    /// Returns what two threads did.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            n_scheduled: self.n_scheduled + other.n_scheduled,
            last_sent: self.last_sent.max(other.last_sent),
            drained: self.drained.max(other.drained),
            n_stalls: self.n_stalls + other.n_stalls,
            stalls: self.stalls.and(other.stalls),
            interrupted: self.interrupted || other.interrupted,
        }
    }
}
