//! Rates that vLLM and SGLang write into their logs: tokens of prompts and answers over one window.
//!
//! Each line tells the mean rate since the line before it. The source of the published lineup takes
//! prompts from the lines in which prompts were read and answers from the others, so that its two rates
//! are of times that share no second; here both are of all lines from the first to the last with work.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use regex::Regex;

use crate::stats::quantile::quantile;

/// vLLM's line, with the replica where there are several, and SGLang's of a decode batch.
/// Sources: `vllm/v1/metrics/loggers.py` of vLLM 0.32, `metrics.py` of 0.6;
/// `sglang/srt/managers/scheduler_metrics_mixin.py` of SGLang 0.5.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?:Engine\ (?P<rank>\d+):\ )?Avg\ prompt\ throughput:\ (?P<prompt>[\d.]+)\ tokens/s,
            \ Avg\ generation\ throughput:\ (?P<output>[\d.]+)
        |(?:(?P<dp>DP\d+)\b.*)?Decode\ batch.*\ gen\ throughput\ \(token/s\):\ (?P<decoded>[\d.]+)",
    )
    .expect("the pattern is right")
});
/// Date and time of a line; vLLM tells no year.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\b(\d{4})-)?\b(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)")
        .expect("the pattern is right")
});

/// A pause this many times the usual one between two lines is one without work, of which vLLM writes
/// nothing.
const PAUSE: f64 = 3.0;
/// Stands for the year where none is told: it has all days that there are.
const LEAP_YEAR: i16 = 2_000;
const SECS_PER_LEAP_YEAR: f64 = 366.0 * 86_400.0;

/// Mean rates of an engine, tokens per second, over all of its replicas that write into the log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LoggedRates {
    /// Prompt tokens; absent where the log does not tell them.
    pub(crate) prompt: Option<f64>,
    /// Output tokens.
    pub(crate) output: Option<f64>,
    /// Replicas that they are the sum of.
    pub(crate) n_replicas: u32,
}

#[derive(Clone, Copy)]
struct Told {
    secs: Option<f64>,
    prompt: Option<f64>,
    output: f64,
    /// vLLM writes nothing while it is idle, but its clock goes on: a line tells of one interval
    /// whatever lies before it. SGLang's tells of all the time since its last line, the first one
    /// since the server's start.
    is_since_last_line: bool,
}

/// Tokens of a stretch of time.
struct Span {
    from: f64,
    to: f64,
    prompt: Option<f64>,
    output: f64,
}

/// Reads a log; `None` where no line has a rate above 0 over a known time.
pub(crate) fn rates(log: &str) -> Option<LoggedRates> {
    let mut by_rank: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    let (mut year, mut before) = (0.0, f64::NEG_INFINITY);
    for line in log.lines() {
        let Some(found) = LINE.captures(line) else { continue };
        let number = |name| found.name(name).and_then(|it| it.as_str().parse::<f64>().ok());
        let decoded = number("decoded");
        let Some(output) = number("output").or(decoded) else { continue };
        let rank = found.name("rank").or_else(|| found.name("dp"));
        let secs = secs(line).map(|secs| {
            if secs < before - SECS_PER_LEAP_YEAR / 2.0 {
                year += SECS_PER_LEAP_YEAR;
            }
            before = secs;
            year + secs
        });
        let is_since_last_line = decoded.is_some();
        let told = Told { secs, prompt: number("prompt"), output, is_since_last_line };
        by_rank.entry(rank.map_or("", |it| it.as_str()).to_owned()).or_default().push(told);
    }
    let gaps = by_rank.values().flat_map(|told| (1..told.len()).filter_map(|at| gap(told, at)));
    let mut gaps: Vec<f64> = gaps.collect();
    gaps.sort_by(f64::total_cmp);
    let usual = quantile(&gaps, 0.5).filter(|usual| *usual > 0.0).unwrap_or(1.0);
    let spans: Vec<Span> = by_rank.values().flat_map(|told| of_rank(told, usual)).collect();
    let secs = covered(&spans);
    let mean = |sum: f64| (secs > 0.0).then(|| sum / secs);
    let prompt: Option<f64> = spans.iter().map(|span| span.prompt).sum();
    (!spans.is_empty()).then(|| LoggedRates {
        prompt: prompt.and_then(mean),
        output: mean(spans.iter().map(|span| span.output).sum()),
        n_replicas: by_rank.len() as u32,
    })
}

/// Returns the time between a line and the one before it.
fn gap(told: &[Told], at: usize) -> Option<f64> {
    let since = told[at].secs? - told.get(at.checked_sub(1)?)?.secs?;
    Some(since.max(0.0))
}

/// Returns what the lines of one replica tell of, from the first to the last with work.
fn of_rank(told: &[Told], usual: f64) -> Vec<Span> {
    let works = |it: &Told| it.output > 0.0 || it.prompt.is_some_and(|rate| rate > 0.0);
    let first = told.iter().position(works).unwrap_or(told.len());
    let last = told.iter().rposition(works).unwrap_or(0);
    let highest = told.iter().map(|it| it.output).fold(0.0, f64::max);
    let span = |(at, line): (usize, &Told)| {
        // How long the server was idle before its first line is not known.
        if at == 0 && line.is_since_last_line {
            return None;
        }
        let gap = gap(told, at).unwrap_or(usual);
        let secs = gap.min(PAUSE * usual);
        let told_of = if line.is_since_last_line { gap } else { secs };
        let to = line.secs.unwrap_or(at as f64 * usual);
        Some(Span {
            from: to - secs,
            to,
            prompt: line.prompt.map(|rate| rate * secs),
            // No stretch is faster than the fastest, whatever the clock of the server did.
            output: (line.output * told_of).min(highest * secs),
        })
    };
    told.iter().enumerate().take(last + 1).skip(first).filter_map(span).collect()
}

/// Returns how long at least one replica tells of: the one window of all.
fn covered(spans: &[Span]) -> f64 {
    let mut ends: Vec<(f64, f64)> = spans.iter().map(|span| (span.from, span.to)).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut secs, mut until) = (0.0, f64::NEG_INFINITY);
    for (from, to) in ends {
        secs += (to - from.max(until)).max(0.0);
        until = until.max(to);
    }
    secs
}

/// Returns the time of a line in seconds since some instant, which is in its year where it tells none.
fn secs(line: &str) -> Option<f64> {
    let found = TIME.captures(line)?;
    let part = |at: usize| found.get(at)?.as_str().parse::<i8>().ok();
    let year = found.get(1).and_then(|year| year.as_str().parse().ok()).unwrap_or(LEAP_YEAR);
    let date = Date::new(year, part(2)?, part(3)?).ok()?;
    let time = Time::new(part(4)?, part(5)?, part(6)?, 0).ok()?;
    let at = DateTime::from_parts(date, time).to_zoned(TimeZone::UTC).ok()?;
    Some(at.timestamp().as_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vllm(at: &str, rank: &str, prompt: f64, output: f64) -> String {
        format!(
            "(APIServer pid=1) INFO 11-22 {at} [loggers.py:335] {rank}Avg prompt throughput: {prompt} \
             tokens/s, Avg generation throughput: {output} tokens/s, Running: 4 reqs\n"
        )
    }

    fn check(log: &str, prompt: Option<f64>, output: f64) {
        let found = rates(log).unwrap();
        let is_near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(is_near(found.output.unwrap(), output), "{found:?}");
        assert!(
            found.prompt.zip(prompt).map_or(prompt == found.prompt, |(a, b)| is_near(a, b)),
            "{found:?}"
        );
    }

    #[test]
    fn both_rates_are_of_one_window_and_each_line_counts_by_its_time() {
        let log = [
            "noise\n".to_owned(),
            vllm("13:00:00", "Engine 000: ", 0.0, 0.0),
            vllm("13:00:10", "Engine 000: ", 600.0, 30.0),
            vllm("13:00:30", "Engine 000: ", 0.0, 90.0),
            vllm("13:00:40", "Engine 000: ", 0.0, 0.0),
        ];
        // 6,000 prompt tokens and 300 + 1,800 output tokens in 30 s.
        check(&log.concat(), Some(200.0), 70.0);
    }

    #[test]
    fn replicas_add_up_older_lines_are_read_and_an_idle_night_is_no_work() {
        let two = [
            vllm("13:00:10", "Engine 000: ", 10.0, 30.0),
            vllm("13:00:10", "Engine 001: ", 20.0, 40.0),
        ];
        check(&two.concat(), Some(30.0), 70.0);
        let idle = [
            vllm("13:00:00", "", 0.0, 10.0),
            vllm("13:00:10", "", 0.0, 10.0),
            vllm("13:00:20", "", 0.0, 10.0),
            vllm("23:00:20", "", 0.0, 60.0),
        ];
        // Ten seconds for each line, and thirty at most for the last.
        check(&idle.concat(), Some(0.0), (3.0 * 10.0 * 10.0 + 30.0 * 60.0) / 60.0);
    }

    #[test]
    fn replicas_are_added_over_one_window() {
        let mut log: String = (1..=6)
            .map(|nth| vllm(&format!("13:00:{nth}0"), "Engine 000: ", 0.0, 1_000.0))
            .collect();
        log = log.replace("13:00:60", "13:01:00");
        log.push_str(&vllm("13:00:10", "Engine 001: ", 0.0, 1_000.0));
        // 60,000 and 10,000 tokens in 60 s.
        check(&log, Some(0.0), 7_000.0 / 6.0);
    }

    #[test]
    fn a_night_between_days_months_and_years_is_as_long_as_any() {
        for [last, first] in [
            ["11-22", "11-23"],
            ["11-30", "12-01"],
            ["12-31", "01-01"],
            ["02-28", "02-29"],
            ["2026-02-28", "2026-03-01"],
            ["2026-12-31", "2027-01-01"],
        ] {
            let line = |date: &str, time: &str, output: f64| {
                vllm(time, "", 0.0, output).replace("11-22", date)
            };
            let log = [
                line(last, "23:59:40", 90.0),
                line(last, "23:59:50", 90.0),
                line(first, "00:00:00", 30.0),
                line(first, "00:00:10", 30.0),
            ];
            check(&log.concat(), Some(0.0), 60.0);
        }
        // Without a year the last of February may be a day further away: a pause, at most.
        let log = [("02-27", 60.0), ("02-28", 60.0), ("03-01", 60.0)];
        let log = log.map(|(date, rate)| vllm("00:00:00", "", 0.0, rate).replace("11-22", date));
        check(&log.concat(), Some(0.0), 60.0);
    }

    #[test]
    fn sglang_tells_what_is_decoded_alone_and_a_silent_log_tells_nothing() {
        let line = |at: &str, rate: f64| {
            format!(
                "[2026-11-22 {at} DP0 TP0] Decode batch. #running-req: 1, gen throughput (token/s): {rate}, #queue-req: 0\n"
            )
        };
        // The first line tells of the time since the server's start, which is not known.
        let start = [line("13:00:00", 2.0), line("13:00:01", 100.0), line("13:00:02", 300.0)];
        check(&start.concat(), None, 200.0);
        assert_eq!(rates(&start[0]), None);
        // 400 tokens in each stretch; the last has 100 s, of which 3 s count.
        let idle = [
            line("13:00:00", 400.0),
            line("13:00:01", 400.0),
            line("13:00:02", 400.0),
            line("13:01:42", 4.0),
        ];
        check(&idle.concat(), None, 1_200.0 / 5.0);
        // A clock that began again after the pause counts no token twice.
        let begun = [&idle[..3], &[line("13:01:42", 400.0)]].concat();
        check(&begun.concat(), None, 400.0);
        assert_eq!(rates("nothing\n"), None);
        assert_eq!(rates(&vllm("13:00:00", "", 0.0, 0.0)), None);
    }
}
