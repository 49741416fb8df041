//! How far the wall clock of another machine is from this one's.

use crate::units::Nanos;

/// Questions for the time; the one that was answered soonest counts.
pub(super) const N_ASKED: usize = 32;

/// Another machine's wall clock against this one's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset {
    /// What its clock shows more than this one's, nanoseconds.
    pub(super) by_ns: i64,
    /// How far that may be off: half of the time that question and answer took.
    pub(super) error: Nanos,
}

/// A question for the time, all by wall clocks: when it was asked, what the other said, and when
/// the answer was there. Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: u64,
    pub(super) said: u64,
    pub(super) answered: u64,
}

impl Offset {
    /// Returns the offset by the question that was answered soonest: the other read its clock at
    /// some instant between question and answer.
    ///
    /// Source: Cristian, "Probabilistic clock synchronization", 1989.
    pub(super) fn of(asked: &[Asked]) -> Option<Self> {
        let took = |asked: &&Asked| asked.answered.saturating_sub(asked.at);
        let soonest = asked.iter().min_by_key(took)?;
        let half = took(&soonest) / 2;
        let by_ns = (i128::from(soonest.said) - i128::from(soonest.at + half)) as i64;
        Some(Self { by_ns, error: Nanos(half + 1) })
    }

    /// Returns what the other clock shows when this one shows `here`.
    pub(super) fn there(self, here: u64) -> u64 {
        here.saturating_add_signed(self.by_ns)
    }

    /// Returns what this clock shows when the other one shows `there`.
    pub(super) fn here(self, there: u64) -> u64 {
        there.saturating_add_signed(-self.by_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_that_came_soonest_tells_most() {
        let asked = [
            Asked { at: 1_000, said: 51_000, answered: 9_000 },
            Asked { at: 10_000, said: 60_150, answered: 10_200 },
        ];
        let offset = Offset::of(&asked).unwrap();
        assert_eq!(offset, Offset { by_ns: 50_050, error: Nanos(101) });
        assert_eq!(offset.here(offset.there(7)), 7);
        assert_eq!(Offset::of(&[]), None);
    }

    #[test]
    fn a_clock_that_is_behind_is_found_as_well() {
        let offset = Offset::of(&[Asked { at: 10_000, said: 4_000, answered: 10_400 }]).unwrap();
        assert_eq!(offset.by_ns, -6_200);
        assert_eq!(offset.there(10_200), 4_000);
    }
}
