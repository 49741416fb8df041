//! The engine's count of output tokens, and what arrived in the same time.

use crate::metrics::engine_counters::EngineLog;
use crate::metrics::request::{token_arrivals, token_events};
use crate::metrics::window::Window;
use crate::record::gauge::Gauge;
use crate::record::request::{Outcome, RequestRecord};
use crate::units::Nanos;

/// How much later than its stamp the engine may have taken a sample: it is asked then, and answers
/// behind its work.
const SAMPLE_TAKES: Nanos = Nanos::from_millis(100);

/// Output tokens of all phases that arrived between the samples of the engine's counter next to
/// the window's edges.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArrivedTokens {
    spans: Vec<(Nanos, Nanos)>,
    sum: Range,
    /// Whether a complete answer has tokens that nobody counted.
    is_unknown: bool,
}

/// Tokens: as stamped, and the least and the most, as nobody knows when in [`SAMPLE_TAKES`] the
/// engine took its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Range {
    stamped: f64,
    least: f64,
    most: f64,
}

impl Range {
    /// Adds tokens to those of the sums, in order, to which they belong.
    fn add(&mut self, tokens: f64, counts: [bool; 3]) {
        for (sum, counts) in
            [&mut self.stamped, &mut self.least, &mut self.most].into_iter().zip(counts)
        {
            *sum += if counts { tokens } else { 0.0 };
        }
    }
}

/// Two counts of the tokens of the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TokenCounts {
    engine: f64,
    arrived: Range,
    secs: f64,
}

impl ArrivedTokens {
    /// Creates an empty count for the samples of a trial's engine.
    pub(crate) fn between(log: &EngineLog, window: &Window) -> Self {
        let edges = log.edges(Gauge::OutputTokens, window).unwrap_or_default();
        let spans = edges.iter().map(|[before, after]| (before.0, after.0)).collect();
        Self { spans, ..Self::default() }
    }

    /// Takes a request in, of whatever phase and outcome: the engine's counter knows neither.
    pub(crate) fn push(&mut self, record: &RequestRecord) {
        if self.spans.is_empty() {
            return;
        }
        let counted = record.usage.and_then(|usage| usage.completion);
        let n_tokens = match (counted.or(record.output_tokens_counted), &record.outcome) {
            (Some(n), _) => n,
            (None, Outcome::Ok) => {
                self.is_unknown = true;
                return;
            }
            // Of an answer that broke off, what came of it.
            (None, _) => token_events(record).map(|event| event.tokens.unwrap_or(1)).sum(),
        };
        let under_way = record.sent.zip(record.end());
        for &(start, end) in &self.spans {
            let (surely, perhaps) = (start + SAMPLE_TAKES, end + SAMPLE_TAKES);
            match under_way {
                Some((sent, ended)) if ended < start || sent > perhaps => {}
                Some((sent, ended)) if sent >= surely && ended <= end => {
                    self.sum.add(f64::from(n_tokens), [true; 3]);
                }
                _ => {
                    for (event, tokens) in token_arrivals(record, n_tokens) {
                        let is_between = |from, to| from <= event.at && event.at <= to;
                        let counts = [(start, end), (surely, end), (start, perhaps)]
                            .map(|(from, to)| is_between(from, to));
                        self.sum.add(tokens, counts);
                    }
                }
            }
        }
    }

    /// Returns both counts; `None` where one of them is not known.
    pub(crate) fn beside(&self, log: &EngineLog, window: &Window) -> Option<TokenCounts> {
        let growth = log.growth(Gauge::OutputTokens, window).filter(|_| !self.is_unknown)?;
        Some(TokenCounts { engine: growth.amount, arrived: self.sum, secs: growth.secs })
    }
}

impl TokenCounts {
    /// Adds those of another trial.
    pub(crate) fn add(&mut self, other: &Self) {
        self.engine += other.engine;
        self.secs += other.secs;
        self.arrived.stamped += other.arrived.stamped;
        self.arrived.least += other.arrived.least;
        self.arrived.most += other.arrived.most;
    }

    /// Returns by which share of what arrived the engine counts more, or fewer, at least.
    pub(crate) fn divergence(&self) -> f64 {
        let Range { stamped, least, most } = self.arrived;
        let off = (self.engine - most).max(0.0) - (least - self.engine).max(0.0);
        if off == 0.0 { 0.0 } else { off / stamped }
    }

    /// Returns both as rates, tokens per second: the engine's, and that of what arrived.
    pub(crate) fn rates(&self) -> (f64, f64) {
        (self.engine / self.secs, self.arrived.stamped / self.secs)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::metrics::engine_counters::tests::{log_of, window};
    use crate::metrics::request::tests::request;
    use crate::record::request::RequestError;

    /// Counts over one second.
    pub(crate) fn counts(engine: f64, arrived: f64) -> TokenCounts {
        let arrived = Range { stamped: arrived, least: arrived, most: arrived };
        TokenCounts { engine, arrived, secs: 1.0 }
    }

    /// Measured from 1 s to 2 s; the engine was asked at these times, in milliseconds.
    fn found(samples: &[(u64, f64)], records: &[RequestRecord]) -> Option<TokenCounts> {
        let (log, window) = (log_of(Gauge::OutputTokens, samples), window());
        let mut arrived = ArrivedTokens::between(&log, &window);
        for record in records {
            arrived.push(record);
        }
        arrived.beside(&log, &window)
    }

    #[test]
    fn what_arrived_between_the_samples_is_held_against_the_counter() {
        // A ramp of ten requests with eight tokens each, most of which come behind the window.
        let ramp: Vec<_> = (0..10_u64)
            .map(|i| {
                let at: Vec<u64> = (1..=8).map(|n| 1_000 + 100 * i + 100 * n).collect();
                request(i, 1_000 + 100 * i, 1_000 + 100 * i, &at)
            })
            .collect();
        let counts = found(&[(900, 0.0), (3_000, 80.0)], &ramp).unwrap();
        assert!(counts.divergence().abs() < 1e-9, "{counts:?}");
        let (engine, arrived) = counts.rates();
        assert!((engine - 80.0 / 2.1).abs() < 1e-9 && (arrived - engine).abs() < 1e-9);
        // The engine takes its time to answer, and counts what came meanwhile.
        let busy = found(&[(900, 0.0), (2_000, 58.0)], &ramp).unwrap();
        assert!(busy.divergence().abs() < 1e-9, "{busy:?}");
        // A tenth is lost on the way; then, the engine leaves a tenth out.
        let lost = found(&[(900, 0.0), (3_000, 88.0)], &ramp).unwrap().divergence();
        let hidden = found(&[(900, 0.0), (3_000, 72.0)], &ramp).unwrap().divergence();
        assert!((lost - 0.1).abs() < 1e-9 && (hidden + 0.1).abs() < 1e-9, "{lost} {hidden}");
        assert!(found(&[(900, 0.0)], &ramp).is_none());
    }

    #[test]
    fn tokens_of_answers_that_broke_off_arrived_and_unknown_counts_are_not_zero() {
        let mut broken = request(0, 1_100, 1_100, &[1_200, 1_300, 1_400]);
        (broken.usage, broken.outcome) = (None, Outcome::Error(RequestError::TotalTimeout));
        let warm_up = request(1, 500, 500, &[950, 960]);
        let records = [broken.clone(), warm_up];
        let samples = [(800, 0.0), (2_100, 5.0)];
        let all = found(&samples, &records).unwrap();
        assert!(all.divergence().abs() < 1e-9, "{all:?}");
        broken.outcome = Outcome::Ok;
        assert_eq!(found(&samples, &[broken]), None);
    }
}
