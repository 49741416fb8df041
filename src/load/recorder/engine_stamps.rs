//! Reads the simulated engine's own stamps, with which bench's stamps are compared.

use std::sync::LazyLock;

use memchr::memmem::{Finder, FinderRev};

use crate::units::Nanos;

/// Field that `bench serve sim --stamps` puts into every event: the time of `CLOCK_MONOTONIC` just
/// before the event's write. To make a searcher takes longer than to search one event.
static SENT: LazyLock<FinderRev<'_>> = LazyLock::new(|| FinderRev::new("\"sent_monotonic_ns\":"));

/// Field that it puts into the last event with a token: on the same clock its kernel's stamp of
/// the request, and the times just before and just after the write of the first token.
static FIRST_TOKEN: LazyLock<Finder<'_>> =
    LazyLock::new(|| Finder::new("\"first_token_monotonic_ns\":["));

/// Returns the engine's send stamp of an event, on the kernel's monotonic clock.
pub(crate) fn sent_ns(data: &[u8]) -> Option<u64> {
    let start = SENT.rfind(data)? + SENT.needle().len();
    number(data[start..].split(|byte| !byte.is_ascii_digit()).next()?)
}

/// Returns the least and the most that TTFT was, as the engine saw it, from its last event.
pub(crate) fn true_ttft(data: &[u8]) -> Option<(Nanos, Nanos)> {
    let start = FIRST_TOKEN.find(data)? + FIRST_TOKEN.needle().len();
    let end = start + memchr::memchr(b']', &data[start..])?;
    let mut stamps = data[start..end].split(|byte| *byte == b',').map(number);
    let mut next = || stamps.next().flatten();
    let (arrived, write, written) = (next()?, next()?, next()?);
    Some((Nanos(write.checked_sub(arrived)?), Nanos(written.checked_sub(arrived)?)))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
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

    #[test]
    fn the_last_event_says_what_ttft_was() {
        let event = br#"{"choices":[],"first_token_monotonic_ns":[100,150,157],"sent":4200}"#;
        assert_eq!(true_ttft(event), Some((Nanos(50), Nanos(57))));
        assert_eq!(true_ttft(br#"{"choices":[]}"#), None);
    }
}
