//! Finds texts that repeat themselves to the end.

/// Bytes at the end of a text that are looked at.
const TAIL: usize = 2_000;
/// Times that something must be repeated.
const MIN_REPEATS: usize = 4;
/// Bytes that all repeats together must fill: `1000000` is a number, not a loop.
const MIN_LENGTH: usize = 64;

/// Whether the end of a text is one short piece over and over again.
///
/// Looks for the longest stretch at the very end that has a period: at least four repeats that
/// fill at least 64 bytes. Greedy decoding at low precision is prone to such loops.
pub(crate) fn is_degenerate(text: &str) -> bool {
    let bytes = text.trim_end().as_bytes();
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    (1..=tail.len() / MIN_REPEATS).any(|period| {
        let needed = MIN_LENGTH.max(period * MIN_REPEATS);
        needed <= tail.len() && has_period(&tail[tail.len() - needed..], period)
    })
}

fn has_period(bytes: &[u8], period: usize) -> bool {
    bytes[period..] == bytes[..bytes.len() - period]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_at_the_end_is_degenerate() {
        let check = |text: &str, expected| assert_eq!(is_degenerate(text), expected, "{text}");
        check(&format!("Let us see. {}", "I think so. ".repeat(10)), true);
        check(&"0".repeat(100), true);
        check(&format!("{}#### 5", "I think so. ".repeat(10)), false);
        check("It is 1000000000000000.", false);
        check("", false);
        check("She has 3 apples and 4 pears, so 3 + 4 = 7.\n#### 7", false);
    }
}
