//! Holds the stamps of arrival against the simulated engine's own stamps of sending.

use memchr::memmem;

use crate::load::spec::{Control, Live, LoadError, LoadReport, RecordSink, TrialSpec};
use crate::load::trial::run_with;

/// Field that `bench serve sim --stamps` puts into every event: `CLOCK_MONOTONIC` just before
/// its write.
const SENT: &[u8] = b"\"sent_monotonic_ns\":";

/// What the instrument adds, measured.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The trial as any other.
    pub report: LoadReport,
    /// From the engine's stamp just before it wrote an event to our stamp of its arrival, one per
    /// event, in nanoseconds, sorted. Contains the kernel's way through the loopback device.
    pub added_ns: Vec<i64>,
}

/// Carries out a trial against `bench serve sim --stamps` on this machine.
///
/// # Errors
/// As [`crate::load::trial::run_trial`].
pub fn run_against_truth(
    spec: TrialSpec,
    sink: &mut dyn RecordSink,
    control: &Control,
    live: &Live,
) -> Result<Calibration, LoadError> {
    let truth_epoch_ns = Some(spec.epoch.monotonic_ns());
    let (report, mut added_ns) = run_with(spec, truth_epoch_ns, sink, control, live)?;
    added_ns.sort_unstable();
    Ok(Calibration { report, added_ns })
}

/// Returns when the engine says it sent an event, on the kernel's monotonic clock.
pub(super) fn sent_ns(data: &[u8]) -> Option<u64> {
    let start = memmem::rfind(data, SENT)? + SENT.len();
    let digits = data[start..].iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|byte| u64::from(byte - b'0'))
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_stamp_is_found_in_an_event() {
        let event = br#"{"choices":[],"sent_realtime_ns":17,"sent_monotonic_ns":4200}"#;
        assert_eq!(sent_ns(event), Some(4200));
        assert_eq!(sent_ns(br#"{"choices":[]}"#), None);
    }
}
