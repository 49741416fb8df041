//! Reads the simulated engine's own send stamps, with which bench's stamps are compared.

use memchr::memmem;

/// Field that `bench serve sim --stamps` puts into every event: the time of `CLOCK_MONOTONIC` just
/// before the event's write.
const SENT: &[u8] = b"\"sent_monotonic_ns\":";

/// Returns the engine's send stamp of an event, on the kernel's monotonic clock.
pub(crate) fn sent_ns(data: &[u8]) -> Option<u64> {
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
