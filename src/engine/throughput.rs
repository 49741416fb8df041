//! The engine's own rates in its log, a cross-check of ours.

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::plan::launch::LogPatterns;

/// Rates that one line of the log gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRates {
    /// Prompt tokens per second.
    pub prompt_tps: Option<f64>,
    /// Generated tokens per second.
    pub output_tps: Option<f64>,
}

/// Returns the rates of every throughput line of a log, in order; none without a pattern.
pub fn log_rates(log: &str, patterns: &LogPatterns) -> Vec<LogRates> {
    let Some(pattern) = patterns.throughput.as_deref().and_then(|text| Regex::new(text).ok())
    else {
        return Vec::new();
    };
    log.lines()
        .filter_map(|line| {
            let captures = pattern.captures(line)?;
            let rate = |group: &str| {
                captures.name(group)?.as_str().parse().ok().filter(|rate: &f64| rate.is_finite())
            };
            Some(LogRates { prompt_tps: rate("prompt_tps"), output_tps: rate("output_tps") })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vllm_and_sglang_lines_give_their_rates() {
        let check = |pattern: &str, line: &str, expected: LogRates| {
            let patterns =
                LogPatterns { throughput: Some(pattern.to_owned()), ..LogPatterns::default() };
            assert_eq!(log_rates(&format!("noise\n{line}\n"), &patterns), [expected]);
        };
        // The lines are those that vLLM 0.32 and SGLang 0.5 print.
        check(
            r"Avg prompt throughput: (?<prompt_tps>[\d.]+) tokens/s, Avg generation throughput: (?<output_tps>[\d.]+)",
            "INFO Engine 000: Avg prompt throughput: 11.1 tokens/s, Avg generation throughput: 7.0 tokens/s, Running: 1 reqs",
            LogRates { prompt_tps: Some(11.1), output_tps: Some(7.0) },
        );
        check(
            r"gen throughput \(token/s\): (?<output_tps>[\d.]+)",
            "Decode batch. #running-req: 1, gen throughput (token/s): 123.45, #queue-req: 0",
            LogRates { prompt_tps: None, output_tps: Some(123.45) },
        );
    }
}
