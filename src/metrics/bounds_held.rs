//! How often the bounds of a calibration held, by what the simulated engine saw.

use crate::metrics::bounds::RESOLUTION_MS;
use crate::metrics::request::RequestMetrics;
use crate::record::request::RequestRecord;

/// Answers whose TTFT the engine knows, and those among them whose bound holds it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BoundsHeld {
    n: u64,
    n_held: u64,
}

impl BoundsHeld {
    /// Takes in a complete answer, if the engine says what its TTFT was.
    pub(crate) fn push(&mut self, record: &RequestRecord, metrics: &RequestMetrics) {
        let bound = metrics.ttft.and_then(|ttft| metrics.added.ends(ttft, metrics.added.first));
        let (Some((least, most)), Some((low, high)), true) =
            (record.true_ttft, bound, metrics.is_ok)
        else {
            return;
        };
        let holds = low - RESOLUTION_MS <= most.as_millis_f64()
            && least.as_millis_f64() <= high + RESOLUTION_MS;
        self.n += 1;
        self.n_held += u64::from(holds);
    }

    /// Returns how many of a hundred hold, and of how many; nothing of none.
    pub(crate) fn percent(self) -> Option<(f64, u64)> {
        (self.n > 0).then(|| (100.0 * self.n_held as f64 / self.n as f64, self.n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::request;
    use crate::units::Nanos;

    /// TTFT is 60 ms by bench, which may have added up to 10 ms to it.
    fn percent(truths: &[Option<(u64, u64)>]) -> Option<(f64, u64)> {
        let mut found = BoundsHeld::default();
        for truth in truths {
            let mut record = request(0, 100, 100, &[160, 170]);
            record.written = Some(Nanos::from_millis(110));
            record.true_ttft =
                truth.map(|(least, most)| (Nanos::from_millis(least), Nanos::from_millis(most)));
            found.push(&record, &RequestMetrics::of(&record));
        }
        found.percent()
    }

    #[test]
    fn a_bound_holds_where_it_and_the_truth_have_an_instant_in_common() {
        assert_eq!(percent(&[None]), None, "an engine that does not say");
        assert_eq!(percent(&[Some((50, 50)), Some((60, 61)), Some((40, 50))]), Some((100.0, 3)));
        assert_eq!(percent(&[Some((48, 49)), Some((61, 62))]), Some((0.0, 2)));
        assert_eq!(percent(&[Some((55, 56)), Some((62, 63)), None]), Some((50.0, 2)));
    }
}
