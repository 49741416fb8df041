//! The engine's own rates in its log, a cross-check of ours.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;

use crate::engine::log::follow::LogFollower;
use crate::plan::launch::LogPatterns;
use crate::record::gauge::Gauge;

/// The rates; their tags are the groups of a throughput pattern.
const RATES: [Gauge; 2] = [Gauge::PromptTps, Gauge::OutputTps];

/// Follows a log and reads the rates out of its throughput lines.
///
/// A rate is that of the time since the line before it. Replicas write lines of their own, told
/// apart by the pattern's group `rank`; their rates add up.
#[derive(Debug)]
pub struct LogRates {
    log: LogFollower,
    pattern: Regex,
    by_rank: BTreeMap<String, BTreeMap<Gauge, f64>>,
}

impl LogRates {
    /// Follows the log from its present end; `None` if the preset knows no throughput lines.
    pub fn follow(path: &Path, patterns: &LogPatterns) -> Option<Self> {
        let pattern = Regex::new(patterns.throughput.as_deref()?).ok()?;
        Some(Self { log: LogFollower::from_end(path), pattern, by_rank: BTreeMap::new() })
    }

    /// Returns the rates of all replicas together, in tokens per second, if the log has
    /// a new line with some.
    pub fn look(&mut self) -> Option<BTreeMap<Gauge, f64>> {
        let mut is_new = false;
        for line in self.log.lines() {
            let Some(captures) = self.pattern.captures(&line) else { continue };
            let rate = |gauge: &Gauge| {
                let rate: f64 = captures.name(gauge.tag())?.as_str().parse().ok()?;
                rate.is_finite().then_some((*gauge, rate))
            };
            let rank = captures.name("rank").map_or("", |rank| rank.as_str());
            self.by_rank.insert(rank.to_owned(), RATES.iter().filter_map(rate).collect());
            is_new = true;
        }
        is_new.then(|| {
            let mut sum = BTreeMap::new();
            for (gauge, rate) in self.by_rank.values().flatten() {
                *sum.entry(*gauge).or_insert(0.0) += rate;
            }
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The patterns are those of the presets.
    const VLLM: &str = r"Engine (?P<rank>\d+): Avg prompt throughput: (?P<prompt_tps>[\d.]+) tokens/s, Avg generation throughput: (?P<output_tps>[\d.]+)";
    const SGLANG: &str = r"(?:(?P<rank>DP\d+)\b.*)?Decode batch.* gen throughput \(token/s\): (?P<output_tps>[\d.]+)";

    fn check(pattern: &str, lines: &[&str], expected: &[(Gauge, f64)]) {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        writeln!(log, "{}", lines[0]).unwrap();
        let patterns =
            LogPatterns { throughput: Some(pattern.to_owned()), ..LogPatterns::default() };
        let mut rates = LogRates::follow(log.path(), &patterns).unwrap();
        assert_eq!(rates.look(), None, "a line from before is not of this trial");
        for line in lines {
            writeln!(log, "noise\n{line}").unwrap();
        }
        assert_eq!(rates.look(), Some(expected.iter().copied().collect()));
        assert_eq!(rates.look(), None);
    }

    #[test]
    fn vllm_and_sglang_lines_give_their_rates() {
        // The lines are those that vLLM 0.32 and SGLang 0.5 print.
        check(
            VLLM,
            &[
                "(APIServer pid=1) INFO 11-22 13:03:15 [loggers.py:335] Engine 000: Avg prompt throughput: 11.1 tokens/s, Avg generation throughput: 7.0 tokens/s, Running: 1 reqs, Waiting: 0 reqs, CPU KV cache usage: 0.0%, Prefix cache hit rate: 0.0%",
            ],
            &[(Gauge::PromptTps, 11.1), (Gauge::OutputTps, 7.0)],
        );
        check(
            SGLANG,
            &[
                "[2026-11-22 13:00:00] Decode batch. #running-req: 1, #token: 9, token usage: 0.00, gen throughput (token/s): 123.45, #queue-req: 0",
            ],
            &[(Gauge::OutputTps, 123.45)],
        );
    }

    #[test]
    fn rates_of_replicas_add_up_and_the_last_line_of_each_counts() {
        check(
            SGLANG,
            &[
                "[2026-11-22 13:00:00 DP0 TP0] Decode batch. gen throughput (token/s): 1.0, x",
                "[2026-11-22 13:00:01 DP1 TP0] Decode batch. gen throughput (token/s): 20.0, x",
                "[2026-11-22 13:00:02 DP0 TP0] Decode batch. gen throughput (token/s): 300.0, x",
            ],
            &[(Gauge::OutputTps, 320.0)],
        );
    }
}
