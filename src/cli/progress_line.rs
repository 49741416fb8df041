//! One line on a running cell: as much as the terminal is wide, and never more.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// What is known of a cell that is being measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// Cells that are over, and all of them: `[1/3]`.
    pub(crate) position: String,
    /// Short name of the cell.
    pub(crate) name: String,
    pub(crate) phase: String,
    /// Share of the phase that is over, where it has a known end.
    pub(crate) share: Option<f64>,
    pub(crate) elapsed: Duration,
    /// Time that the phase still takes.
    pub(crate) left: Option<Duration>,
    pub(crate) rate: Rate,
    /// Medians of the answers that ended last, ms.
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) tpot_ms: Option<f64>,
    pub(crate) n_errors: u64,
    /// Time since the run began, and what all of it will take.
    pub(crate) whole: Option<(Duration, Duration)>,
}

/// What comes in each second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_s: f64,
    /// Whether nobody counts tokens: a chunk may hold any number of them.
    pub(crate) is_of_chunks: bool,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.is_of_chunks { "chunks/s" } else { "tok/s" };
        write!(f, "{:.0} {unit}", self.per_s)
    }
}

/// Stands in front of what goes on from the line before.
const INDENT: &str = "      ";

/// Widths of the bar, the first that fits.
const BARS: [usize; 3] = [24, 12, 0];

impl Line {
    /// Returns the line for a terminal of so many columns. What matters least goes first: the
    /// estimate of the whole run, the length of the bar, TPOT, TTFT, the phase.
    pub(crate) fn fitted(&self, columns: usize) -> String {
        let shapes = BARS.map(|bar| (bar, 4)).into_iter().chain([(0, 2), (0, 1), (0, 0)]);
        let mut text = self.shaped(BARS[0], 5);
        for (bar, n_parts) in shapes {
            if text.chars().count() <= columns {
                return text;
            }
            text = self.shaped(bar, n_parts);
        }
        cut(text, columns)
    }

    /// Returns what is known as a value, times in seconds.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "running": {
            "position": self.position,
            "cell": self.name,
            "phase": self.phase,
            "share": self.share,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "left_s": self.left.map(|left| left.as_secs_f64()),
            "output_tokens_per_s": (!self.rate.is_of_chunks).then_some(self.rate.per_s),
            "chunks_per_s": self.rate.is_of_chunks.then_some(self.rate.per_s),
            "ttft_p50_ms": self.ttft_ms,
            "tpot_p50_ms": self.tpot_ms,
            "errors": self.n_errors,
            "run_elapsed_s": self.whole.map(|(elapsed, _)| elapsed.as_secs_f64()),
            "run_about_s": self.whole.map(|(_, all)| all.as_secs_f64()),
        } })
    }

    /// Returns the line with a bar so long and the first so many of the parts that may be left out.
    fn shaped(&self, bar: usize, n_parts: u32) -> String {
        let mut parts = vec![format!("{} {}", self.position, self.name)];
        let mut optional = |at: u32, part: Option<String>| {
            parts.extend(part.filter(|_| n_parts >= at));
        };
        optional(1, Some(self.phase.clone()).filter(|phase| !phase.is_empty()));
        let bar = self.share.filter(|_| bar > 0).map(|share| drawn(share, bar));
        optional(0, bar);
        let time = match self.left {
            Some(left) => format!("{} of {}", shown(self.elapsed), shown(self.elapsed + left)),
            None => shown(self.elapsed),
        };
        optional(0, Some(time));
        optional(0, Some(self.rate.to_string()));
        optional(2, self.ttft_ms.map(|ms| format!("TTFT {} ms", figures(ms))));
        optional(3, self.tpot_ms.map(|ms| format!("TPOT {} ms", figures(ms))));
        optional(0, (self.n_errors > 0).then(|| format!("{} errors", self.n_errors)));
        let whole = self.whole.map(|(elapsed, all)| {
            format!("run {} of about {}", shown(elapsed), shown(all.max(elapsed)))
        });
        optional(5, whole);
        parts.join("  ")
    }
}

/// Returns a text that is no wider than so many columns, and says where it goes on.
pub(crate) fn cut(text: String, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text;
    }
    let kept = text.chars().take(columns.saturating_sub(1));
    kept.chain(['…']).take(columns).collect()
}

/// Returns a text in lines of at most so many columns. They end at spaces where there are some, and
/// those after the first are indented.
pub(crate) fn folded(text: &str, columns: usize) -> String {
    let columns = columns.max(INDENT.len() + 1);
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.to_owned();
    while let Some((at, _)) = rest.char_indices().nth(columns) {
        let indent = rest.len() - rest.trim_start().len();
        let space = rest[..at].rfind(' ').filter(|space| *space > indent);
        let end = if rest[at..].starts_with(' ') { at } else { space.unwrap_or(at) };
        lines.push(rest[..end].trim_end().to_owned());
        rest = format!("{INDENT}{}", rest[end..].trim_start());
    }
    lines.push(rest);
    lines.join("\n")
}

fn drawn(share: f64, columns: usize) -> String {
    let n_full = ((share.clamp(0.0, 1.0) * columns as f64) as usize).min(columns);
    format!("[{}{}]", "=".repeat(n_full), " ".repeat(columns - n_full))
}

/// Returns a time as people say it: `7s`, `1m20s`, `2h05m`.
pub(crate) fn shown(time: Duration) -> String {
    let s = time.as_secs_f64().round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}

/// Returns a number with three figures.
pub(crate) fn figures(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            position: "[1/3]".to_owned(),
            name: "c=8".to_owned(),
            phase: "load".to_owned(),
            share: Some(0.5),
            elapsed: Duration::from_secs(10),
            left: Some(Duration::from_secs(10)),
            rate: Rate { per_s: 1536.2, is_of_chunks: false },
            ttft_ms: Some(30.12),
            tpot_ms: Some(5.0),
            n_errors: 2,
            whole: Some((Duration::from_secs(80), Duration::from_mins(4))),
        }
    }

    #[test]
    fn what_nobody_counted_is_no_rate_of_tokens() {
        let line = Line { rate: Rate { per_s: 149.2, is_of_chunks: true }, ..line() };
        assert!(line.fitted(100).contains("  149 chunks/s  "), "{}", line.fitted(100));
        let json = &line.to_json()["running"];
        assert_eq!(
            (&json["output_tokens_per_s"], &json["chunks_per_s"]),
            (&Value::Null, &json!(149.2))
        );
    }

    #[test]
    fn a_line_is_never_wider_than_the_terminal_and_says_what_fits() {
        let check = |columns: usize, expected: &str| {
            assert_eq!(line().fitted(columns), expected, "{columns}");
        };
        let whole = "[1/3] c=8  load  [============            ]  10s of 20s  1536 tok/s  \
                     TTFT 30.1 ms  TPOT 5.00 ms  2 errors  run 1m20s of about 4m00s";
        check(200, whole);
        check(
            100,
            "[1/3] c=8  load  [======      ]  10s of 20s  1536 tok/s  TTFT 30.1 ms  TPOT 5.00 ms  \
             2 errors",
        );
        check(80, "[1/3] c=8  load  10s of 20s  1536 tok/s  TTFT 30.1 ms  TPOT 5.00 ms  2 errors");
        check(60, "[1/3] c=8  load  10s of 20s  1536 tok/s  2 errors");
        check(40, "[1/3] c=8  10s of 20s  1536 tok/s  2 er…");
        let long = Line { name: "engine=a-very-long-name ".repeat(9), ..line() };
        for columns in 1..=200 {
            for line in [line(), long.clone(), Line::default()] {
                assert!(line.fitted(columns).chars().count() <= columns, "{columns}");
            }
        }
    }

    #[test]
    fn a_long_text_is_folded_at_its_spaces() {
        assert_eq!(folded("! short", 40), "! short");
        assert_eq!(folded("! two words", 8), "! two\n      wo\n      rd\n      s");
        assert_eq!(folded("! engine failed: waited", 20), "! engine failed:\n      waited");
        for columns in 1..60 {
            let text = folded(
                "  | a line of a log, and a_word_that_is_longer_than_the_terminal ö",
                columns,
            );
            let width = columns.max(INDENT.len() + 1);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{columns}: {text}");
        }
    }

    #[test]
    fn times_are_as_people_say_them() {
        let shown = |s| shown(Duration::from_secs(s));
        assert_eq!([shown(7), shown(80), shown(7_500)], ["7s", "1m20s", "2h05m"]);
    }
}
