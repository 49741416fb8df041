//! One load thread's part of a phase, and its result.

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

/// Supplies requests in the order of the schedule.
pub(crate) trait Supply {
    fn next(&mut self) -> Supplied;
}

pub(crate) enum Supplied {
    Due(Box<Due>),
    /// The next request is not made yet.
    NotYet,
    Over,
}

/// One load thread's share of a phase.
#[derive(Clone, Debug)]
pub(crate) struct PhaseAssignment {
    /// Number of the round. A message of an earlier round is dropped.
    pub(crate) round: u32,
    pub(crate) start: Nanos,
    pub(crate) gate: Gate,
    /// The end of sending; set for loops that answers drive and time bounds.
    pub(crate) stop_at: Option<Nanos>,
    /// From when on no further turn of a conversation is sent; set where time bounds the phase.
    pub(crate) no_turn_from: Option<Nanos>,
    /// The last due instant; set for loops that the clock drives.
    pub(crate) last_due: Option<Nanos>,
    /// Whether a stream's next request is due when its last answer has ended.
    pub(crate) is_closed: bool,
    /// The phase, where it ends once enough is known of it.
    pub(crate) until_known: Option<u16>,
    pub(crate) drain: Nanos,
    pub(crate) deadlines: Deadlines,
    pub(crate) cancel_after: Option<Nanos>,
}

/// The result of one load thread in a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) n_scheduled: u64,
    pub(crate) last_sent: Option<Nanos>,
    /// The last instant at which a turn behind the first of a conversation was due.
    pub(crate) last_turn: Option<Nanos>,
    /// When sending ended because enough was known.
    pub(crate) known_at: Option<Nanos>,
    pub(crate) drained: Nanos,
    pub(crate) n_stalls: u64,
    pub(crate) stalls: Stalls,
    pub(crate) interrupted: bool,
}

impl Tally {
    /// Returns the result of two threads together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            n_scheduled: self.n_scheduled + other.n_scheduled,
            last_sent: self.last_sent.max(other.last_sent),
            last_turn: self.last_turn.max(other.last_turn),
            known_at: self.known_at.max(other.known_at),
            drained: self.drained.max(other.drained),
            n_stalls: self.n_stalls + other.n_stalls,
            stalls: self.stalls.and(other.stalls),
            interrupted: self.interrupted || other.interrupted,
        }
    }
}
