//! Periods in which the whole engine stands still.

use crate::units::Nanos;

/// A pause at the end of every period. Work neither begins nor proceeds in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stalls {
    /// Time from the beginning of one period to the beginning of the next.
    pub every: Nanos,
    /// Length of the pause; less than `every`.
    pub length: Nanos,
}

impl Stalls {
    /// Returns the instant at which work of length `service` ends that began at `start`.
    ///
    /// Instants are distances from the engine's start. An instant within a stall moves to the
    /// stall's end even if `service` is zero, since a stalled engine emits nothing.
    pub(crate) fn after(self, start: Nanos, service: Nanos) -> Nanos {
        let work_per_period = self.every.0 - self.length.0;
        let worked_in_period = (start.0 % self.every.0).min(work_per_period);
        let worked = start.0 / self.every.0 * work_per_period + worked_in_period + service.0;
        Nanos(worked / work_per_period * self.every.0 + worked % work_per_period)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STALLS: Stalls = Stalls { every: Nanos(10), length: Nanos(1) };

    #[test]
    fn work_goes_on_after_the_stall() {
        let check = |start, service, expected| {
            assert_eq!(STALLS.after(Nanos(start), Nanos(service)), Nanos(expected));
        };
        check(0, 5, 5);
        check(8, 0, 8);
        check(8, 1, 10);
        check(9, 0, 10);
        check(5, 5, 11);
        check(5, 23, 31);
    }

    proptest! {
        #[test]
        fn nothing_is_due_within_a_stall(start in 0_u64..1_000, service in 0_u64..1_000) {
            let due = STALLS.after(Nanos(start), Nanos(service));
            prop_assert!(due.0 % 10 < 9);
            prop_assert!(due.0 >= start + service);
        }

        #[test]
        fn waiting_in_two_parts_is_waiting_in_one(start in 0_u64..100, a in 0_u64..100, b in 0_u64..100) {
            let whole = STALLS.after(Nanos(start), Nanos(a + b));
            prop_assert_eq!(STALLS.after(STALLS.after(Nanos(start), Nanos(a)), Nanos(b)), whole);
        }
    }
}
