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
}

#[derive(Clone, Copy)]
struct Told {
    secs: Option<f64>,
    prompt: Option<f64>,
    output: f64,
}

/// Reads a log; `None` where no line has a rate above 0.
pub(crate) fn rates(log: &str) -> Option<LoggedRates> {
    let mut by_rank: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    for line in log.lines() {
        let Some(found) = LINE.captures(line) else { continue };
        let number = |name| found.name(name).and_then(|it| it.as_str().parse::<f64>().ok());
        let Some(output) = number("output").or_else(|| number("decoded")) else { continue };
        let rank = found.name("rank").or_else(|| found.name("dp"));
        let told = Told { secs: secs(line), prompt: number("prompt"), output };
        by_rank.entry(rank.map_or("", |it| it.as_str()).to_owned()).or_default().push(told);
    }
    let ranks: Vec<LoggedRates> = by_rank.values().filter_map(|told| of_rank(told)).collect();
    let sum = |of: fn(&LoggedRates) -> Option<f64>| ranks.iter().map(of).sum::<Option<f64>>();
    (!ranks.is_empty())
        .then(|| LoggedRates { prompt: sum(|it| it.prompt), output: sum(|it| it.output) })
}

/// Returns the means over the window of one replica, each line weighted by the time that it tells of.
fn of_rank(told: &[Told]) -> Option<LoggedRates> {
    let works = |it: &Told| it.output > 0.0 || it.prompt.is_some_and(|rate| rate > 0.0);
    let (first, last) = (told.iter().position(works)?, told.iter().rposition(works)?);
    let gap = |at: usize| {
        let since = told[at].secs? - told.get(at.checked_sub(1)?)?.secs?;
        Some(if since < 0.0 { since + SECS_PER_LEAP_YEAR } else { since })
    };
    let mut gaps: Vec<f64> = (first..=last).filter_map(gap).collect();
    gaps.sort_by(f64::total_cmp);
    let usual = quantile(&gaps, 0.5).filter(|usual| *usual > 0.0).unwrap_or(1.0);
    let (mut secs, mut prompt, mut output) = (0.0, Some(0.0), 0.0);
    for (at, line) in told.iter().enumerate().take(last + 1).skip(first) {
        let weight = gap(at).unwrap_or(usual).min(PAUSE * usual);
        secs += weight;
        prompt = prompt.zip(line.prompt).map(|(sum, rate)| sum + weight * rate);
        output += weight * line.output;
    }
    let mean = |sum: f64| (secs > 0.0).then(|| sum / secs);
    Some(LoggedRates { prompt: prompt.and_then(mean), output: mean(output) })
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
        check(&[line("13:00:00", 100.0), line("13:00:01", 300.0)].concat(), None, 200.0);
        assert_eq!(rates("nothing\n"), None);
        assert_eq!(rates(&vllm("13:00:00", "", 0.0, 0.0)), None);
    }
}
