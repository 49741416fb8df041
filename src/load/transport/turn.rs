//! What a loop that reads sockets knows of the arrival of bytes that have no stamp of their own.

use crate::units::Nanos;

/// The turns of a loop that asks the kernel for arrivals and then reads them.
///
/// The kernel stamps the last byte of a read. The bytes before it arrived earlier, but after the
/// kernel answered the question of the turn before: it would have told of them otherwise, and they
/// would have been read. When it answered is not known exactly, but not before the question, and
/// not before the first arrival that it told of.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Nothing that is read in this turn arrived before this instant.
    since: Nanos,
    /// When the kernel was asked.
    asked: Nanos,
    /// The first of what it told of.
    first: Option<Nanos>,
    /// It had no room to tell of everything.
    is_partial: bool,
}

impl Turn {
    /// Begins a turn, in which the kernel is asked at `now`.
    pub(crate) fn begin(&mut self, now: Nanos) {
        if !std::mem::take(&mut self.is_partial) {
            self.since = self.first.map_or(self.asked, |first| first.max(self.asked));
        }
        self.asked = now;
        self.first = None;
    }

    /// Takes note of something that the kernel told of, and of when it happened: before it
    /// answered. The stamp of a read does not say so by itself. A thread that stands still after
    /// the answer reads what came meanwhile as well, and the stamp is that of the last byte.
    pub(crate) fn told(&mut self, at: Nanos) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
    }

    /// Takes note that the kernel may have had more to tell.
    pub(crate) fn was_partial(&mut self) {
        self.is_partial = true;
    }

    /// Returns an instant before which nothing arrived that is read in this turn.
    pub(crate) fn since(&self) -> Nanos {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_in_a_turn_came_after_the_answer_of_the_turn_before() {
        let mut turn = Turn::default();
        turn.begin(Nanos(100));
        // The thread slept until bytes arrived at 150, and read them late, at 170.
        turn.told(Nanos(160));
        turn.told(Nanos(150));
        turn.begin(Nanos(200));
        assert_eq!(turn.since(), Nanos(150));
        // Nothing was told of: the question itself is all that is known.
        turn.begin(Nanos(300));
        assert_eq!(turn.since(), Nanos(200));
        // What had come before the question is no later for having been asked for.
        turn.told(Nanos(250));
        turn.was_partial();
        turn.begin(Nanos(400));
        assert_eq!(turn.since(), Nanos(200), "what was not told of may be as old");
        turn.begin(Nanos(500));
        assert_eq!(turn.since(), Nanos(400));
    }
}
