//! Durations as people write them on a command line: `50ms`, `1.5s`, `250us`.

use crate::units::Nanos;

/// Reads a duration: a number and one of `ns`, `us`, `ms`, `s`, `min`, or `0`.
///
/// # Errors
/// A sentence that lists the accepted forms.
pub(crate) fn parse(text: &str) -> Result<Nanos, String> {
    let text = text.trim();
    let n_digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(n_digits);
    let value: f64 = number.parse().map_err(|_| wrong(text))?;
    let ns_per_unit = match unit.trim() {
        "" if value == 0.0 => 1.0,
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 60e9,
        _ => return Err(wrong(text)),
    };
    Ok(Nanos((value * ns_per_unit).round() as u64))
}

fn wrong(text: &str) -> String {
    format!("`{text}` is not a duration; write a number and a unit, as in 250us, 50ms, 1.5s, 2min")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let check =
            |text: &str, expected: u64| assert_eq!(parse(text), Ok(Nanos(expected)), "{text}");
        check("0", 0);
        check("7ns", 7);
        check("250us", 250_000);
        check("250µs", 250_000);
        check("1.5s", 1_500_000_000);
        check("2min", 120_000_000_000);
        check(" 50 ms ", 50_000_000);
    }

    #[test]
    fn anything_else_is_refused_with_the_accepted_forms() {
        for text in ["", "5", "ms", "-1s", "1h", "1.2.3s", "inf", "5 0ms"] {
            assert!(parse(text).is_err_and(|message| message.contains("250us")), "{text}");
        }
    }
}
