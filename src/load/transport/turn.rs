//! What a loop that reads sockets knows of the arrival of bytes that have no stamp of their own.

use nix::sys::resource::{Usage, UsageWho, getrusage};

use crate::units::Nanos;

/// From the kernel's look at the sockets to the next stamp of a thread that runs straight on: a few
/// microseconds, and what an interrupt takes.
const READING_THE_CLOCK: Nanos = Nanos(50_000);

/// The turns of a loop that asks the kernel for arrivals and then reads them.
///
/// The kernel stamps the last byte of a read. The bytes before it arrived earlier, but after the
/// kernel answered the question of the turn before: it would have told of them otherwise, and they
/// would have been read. When it answered is known where the thread ran straight on to its next
/// stamp; else no more is known than when it was asked. The stamps of what was read then do not
/// say it: a thread that stood still after the answer also reads what came meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Nothing that is read in this turn arrived before this instant.
    since: Nanos,
    /// When the kernel was asked, or had not answered yet.
    unanswered: Nanos,
    /// It had no room to tell of everything.
    is_partial: bool,
}

impl Turn {
    /// Begins a turn, in which the kernel is asked at `now`.
    pub(crate) fn begin(&mut self, now: Nanos) {
        if !std::mem::take(&mut self.is_partial) {
            self.since = self.unanswered;
        }
        self.unanswered = now;
    }

    /// Takes note of when the kernel had answered, by a thread that ran straight on from there.
    pub(crate) fn answered(&mut self, at: Nanos) {
        self.unanswered = self.unanswered.max(at.saturating_sub(READING_THE_CLOCK));
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

/// How often the calling thread has given its CPU away, and how often it was taken from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switches {
    given: i64,
    taken: i64,
}

impl Switches {
    /// Returns those up to now; none where the kernel does not count them.
    pub(crate) fn now() -> Option<Self> {
        let usage: Usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
        Some(Self {
            given: usage.voluntary_context_switches(),
            taken: usage.involuntary_context_switches(),
        })
    }

    /// Whether others took the thread's CPU since `before`, and it did not wait by itself.
    pub(crate) fn was_preempted_since(self, before: Self) -> bool {
        self.taken > before.taken && self.given == before.given
    }

    /// Whether the thread slept once since `before` at most, and nobody took its CPU.
    pub(crate) fn ran_on_since(self, before: Self) -> bool {
        self.taken == before.taken && self.given - before.given <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_in_a_turn_came_after_the_answer_of_the_turn_before() {
        let micros = |n: u64| Nanos(n * 1_000);
        let mut turn = Turn::default();
        turn.begin(micros(100));
        // The thread slept until bytes arrived, and ran on.
        turn.answered(micros(1_150));
        turn.begin(micros(2_000));
        assert_eq!(turn.since(), micros(1_100));
        // It stood still somewhere: the question itself is all that is known.
        turn.begin(micros(3_000));
        assert_eq!(turn.since(), micros(2_000));
        turn.answered(micros(3_010));
        turn.was_partial();
        turn.begin(micros(4_000));
        assert_eq!(turn.since(), micros(2_000), "what was not told of may be as old");
        turn.begin(micros(5_000));
        assert_eq!(turn.since(), micros(4_000));
    }

    #[test]
    fn a_thread_that_sleeps_once_runs_on_and_one_that_sleeps_twice_does_not() {
        let sleep = || std::thread::sleep(std::time::Duration::from_millis(1));
        let before = Switches::now().unwrap();
        sleep();
        sleep();
        assert!(!Switches::now().unwrap().ran_on_since(before));
        let at = Switches { given: 7, taken: 3 };
        assert!(Switches { given: 8, taken: 3 }.ran_on_since(at));
        assert!(!Switches { given: 7, taken: 4 }.ran_on_since(at));
    }

    #[test]
    fn a_thread_that_waits_or_stands_still_with_its_cpu_was_not_preempted() {
        let before = Switches { given: 7, taken: 3 };
        assert!(Switches { given: 7, taken: 5 }.was_preempted_since(before));
        assert!(!Switches { given: 8, taken: 5 }.was_preempted_since(before));
        assert!(!before.was_preempted_since(before), "the hypervisor had the CPU");
    }
}
