//! The distributions of one cell, over all its trials.

use std::collections::BTreeMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::distribution::{Samples, dependent};
use crate::metrics::evidence::Lags;
use crate::metrics::request::{RequestMetrics, TpotBound, token_events};
use crate::metrics::summary::{Counts, Distribution};
use crate::metrics::totals::censored_age;
use crate::record::request::RequestRecord;
use crate::record::trial::SentinelRecord;
use crate::seed::Seed;
use crate::stats::mean::Moments;
use crate::stats::quantile::quantile_by;
use crate::stats::reservoir::Reservoir;
use crate::units::Nanos;

/// Chunk gaps that are kept; of more a uniform sample is. 40 MB, and a p99.9 of ten million is
/// known to a thousandth of its rank.
const MAX_GAPS: usize = 10_000_000;

/// The distributions of one cell. Latencies are of complete answers alone.
#[derive(Debug)]
pub(crate) struct Latencies {
    by_metric: BTreeMap<MetricId, Samples>,
    wake_lag_p99_worst: Option<Nanos>,
    icl: Gaps,
    /// Apart from `icl` only once an engine says how many tokens a chunk holds.
    itl: Option<Gaps>,
    /// The most that each request's TPOT can be, once one of them is not known for sure.
    tpot_most: Option<Samples>,
    n_tpot_open: u64,
    /// Whether every stream so far had one token per chunk, as far as its count says.
    one_token_per_chunk: bool,
    n_censored: u64,
    censored_age_max: Nanos,
    seed: Seed,
}

/// Gaps between chunks, and their exact moments.
#[derive(Debug)]
struct Gaps {
    kept: Reservoir<f32>,
    moments: Moments,
}

impl Gaps {
    fn new(seed: Seed, stream: &str) -> Self {
        Self::of_capacity(MAX_GAPS, seed, stream)
    }

    fn of_capacity(capacity: usize, seed: Seed, stream: &str) -> Self {
        Self { kept: Reservoir::new(capacity, seed.stream(stream)), moments: Moments::default() }
    }

    fn push(&mut self, millis: f64) {
        self.kept.push(millis as f32);
        self.moments.push(millis);
    }

    fn distribution(self, metric: MetricId, notes: &[&str]) -> Distribution {
        let mut notes: Vec<String> = notes.iter().map(|&note| note.to_owned()).collect();
        if self.kept.is_sampled() {
            notes.push(format!("percentiles from a uniform sample of {MAX_GAPS} gaps"));
        }
        notes.push("no intervals: gaps of one stream depend on each other".to_owned());
        dependent(self.kept.into_kept(), self.moments, metric.unit(), Some(notes.join("; ")))
    }
}

impl Latencies {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            by_metric: BTreeMap::new(),
            wake_lag_p99_worst: None,
            icl: Gaps::new(seed, "icl-reservoir"),
            itl: None,
            tpot_most: None,
            n_tpot_open: 0,
            one_token_per_chunk: true,
            n_censored: 0,
            censored_age_max: Nanos::ZERO,
            seed,
        }
    }

    /// Takes a trial's sentinel in.
    pub(crate) fn begin_trial(&mut self, sentinel: &SentinelRecord) {
        let wake_lag = &sentinel.wake_lag;
        for lag in wake_lag {
            self.sample(MetricId::WakeLag, Some(lag.as_millis_f64()));
        }
        for added_ns in &sentinel.added_ns {
            self.sample(MetricId::AddedLatency, Some(*added_ns as f64 / 1e6));
        }
        let p99 = quantile_by(wake_lag.len(), 0.99, |rank| wake_lag[rank].0 as f64);
        let p99 = p99.map(|nanos| Nanos(nanos as u64));
        self.wake_lag_p99_worst = self.wake_lag_p99_worst.max(p99);
    }

    /// Takes a measured request in.
    pub(crate) fn push(&mut self, record: &RequestRecord, metrics: &RequestMetrics) {
        let millis = |nanos: Option<Nanos>| nanos.map(Nanos::as_millis_f64);
        // What the client did is known of failed requests too.
        self.sample(MetricId::SendLag, millis(metrics.send_lag));
        self.sample(MetricId::Connect, millis(metrics.connect));
        let ended = metrics.last_token_at.or(record.sent).unwrap_or_default();
        if let Some(age) = censored_age(record, ended) {
            self.n_censored += 1;
            self.censored_age_max = self.censored_age_max.max(age);
        }
        if !metrics.is_ok {
            return;
        }
        self.sample(MetricId::Ttft, millis(metrics.ttft));
        self.sample(MetricId::TtftScheduled, millis(metrics.ttft_scheduled));
        self.sample(MetricId::Ttfr, millis(metrics.ttfr));
        self.sample(MetricId::Ttfa, millis(metrics.ttfa));
        self.sample(MetricId::E2e, millis(metrics.e2e));
        self.sample(MetricId::E2eScheduled, millis(metrics.e2e_scheduled));
        if let Some((least, most)) = metrics.tpot_bound_ns {
            if most > least {
                self.n_tpot_open += 1;
                let so_far = || self.by_metric.get(&MetricId::Tpot).cloned().unwrap_or_default();
                self.tpot_most.get_or_insert_with(so_far);
            }
            if let Some(samples) = &mut self.tpot_most {
                samples.push(most / 1e6);
            }
        }
        self.sample(MetricId::Tpot, metrics.tpot_ns.map(|nanos| nanos / 1e6));
        self.sample(MetricId::DoneLag, millis(metrics.done_lag));
        self.sample(MetricId::OutputTokens, metrics.output.tokens.map(f64::from));
        self.sample(MetricId::PromptTokens, metrics.prompt.tokens.map(f64::from));
        // An engine may count an end-of-sequence token that no chunk shows.
        let n_events = metrics.n_token_events;
        self.one_token_per_chunk &=
            metrics.output.tokens.is_some_and(|n| n == n_events || n == n_events + 1);
        self.push_gaps(record, metrics.burst.is_some());
    }

    fn push_gaps(&mut self, record: &RequestRecord, is_burst: bool) {
        if is_burst && self.itl.is_none() {
            self.itl = Some(self.split_itl());
        }
        let mut last: Option<Nanos> = None;
        for event in token_events(record) {
            if let Some(last) = last {
                let gap = event.at.saturating_sub(last).as_millis_f64();
                if event.tokens.is_some() && self.itl.is_none() {
                    self.itl = Some(self.split_itl());
                }
                self.icl.push(gap);
                // What something held back says nothing of the time between tokens.
                if let Some(itl) = self.itl.as_mut().filter(|_| !is_burst) {
                    let n_tokens = event.tokens.unwrap_or(1).max(1);
                    for _ in 0..n_tokens {
                        itl.push(gap / f64::from(n_tokens));
                    }
                }
            }
            last = Some(event.at);
        }
    }

    /// Begins ITL apart from ICL, with the gaps so far as gaps of one token.
    fn split_itl(&self) -> Gaps {
        let mut itl = Gaps::new(self.seed, "itl-reservoir");
        for &gap in self.icl.kept.kept() {
            itl.push(f64::from(gap));
        }
        itl
    }

    fn sample(&mut self, metric: MetricId, value: Option<f64>) {
        if let Some(value) = value {
            self.by_metric.entry(metric).or_default().push(value);
        }
    }

    /// Returns the lags of the instrument and the latency to hold them against.
    pub(crate) fn lags(&mut self) -> Lags {
        let send_mean_ms = self.by_metric.get(&MetricId::SendLag).and_then(Samples::mean);
        let mut quantile =
            |metric, p| self.by_metric.get_mut(&metric).and_then(|found| found.quantile(p));
        Lags {
            send_p99_ms: quantile(MetricId::SendLag, 0.99),
            send_mean_ms,
            ttft_median_ms: quantile(MetricId::Ttft, 0.5),
            e2e_median_ms: quantile(MetricId::E2e, 0.5),
            wake_p99_ms: self.wake_lag_p99_worst.map(Nanos::as_millis_f64),
        }
    }

    /// Returns what TPOT can be in the median, where it is not known for sure.
    pub(crate) fn tpot_bound(&mut self) -> Option<TpotBound> {
        let most_ms = self.tpot_most.as_mut()?.quantile(0.5)?;
        let least_ms = self.by_metric.get_mut(&MetricId::Tpot)?.quantile(0.5)?;
        Some(TpotBound { least_ms, most_ms, n_open: self.n_tpot_open })
    }

    /// Returns the samples by metric, however few: for judging, never for printing.
    pub(crate) fn into_samples(self) -> BTreeMap<MetricId, Samples> {
        let mut samples = self.by_metric;
        let gaps = self.itl.unwrap_or(self.icl);
        samples.insert(MetricId::Itl, Samples::of(gaps.kept.into_kept(), gaps.moments));
        samples
    }

    /// Returns all distributions.
    pub(crate) fn distributions(self, counts: &Counts) -> BTreeMap<MetricId, Distribution> {
        let n_failed = counts.n_failed();
        let note = (self.n_censored > 0).then(|| {
            format!(
                "requests that bench ended are not in it: {}; the longest had been under way for {}",
                self.n_censored, self.censored_age_max
            )
        });
        let mut found: BTreeMap<MetricId, Distribution> = self
            .by_metric
            .into_iter()
            .map(|(metric, samples)| {
                let (n_failed, note) =
                    if metric.row().counts_failures { (n_failed, note.clone()) } else { (0, None) };
                (metric, samples.distribution(metric.unit(), n_failed, note))
            })
            .collect();
        let icl = self.icl.distribution(MetricId::Icl, &[]);
        let itl = match self.itl {
            Some(itl) => itl.distribution(
                MetricId::Itl,
                &["chunk gaps divided by the chunk's tokens, weighted by them"],
            ),
            None => as_itl(&icl, self.one_token_per_chunk),
        };
        if icl.n > 0 {
            found.insert(MetricId::Icl, icl);
            found.insert(MetricId::Itl, itl);
        }
        found
    }
}

fn as_itl(icl: &Distribution, one_token_per_chunk: bool) -> Distribution {
    let what = if one_token_per_chunk {
        "equal to ICL: one token per chunk by the requests' counts"
    } else {
        "equal to ICL: tokens per chunk are not known"
    };
    let note = icl.note.as_ref().map_or(what.to_owned(), |note| format!("{what}; {note}"));
    Distribution { note: Some(note), ..icl.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::request;
    use crate::record::request::{CancelCause, Outcome, RequestError};

    fn distributions(records: &[RequestRecord]) -> BTreeMap<MetricId, Distribution> {
        let mut latencies = Latencies::new(Seed(1));
        let mut counts = Counts::default();
        for record in records {
            counts.scheduled += 1;
            counts.ok += u64::from(record.outcome == Outcome::Ok);
            latencies.push(record, &RequestMetrics::of(record));
        }
        latencies.distributions(&counts)
    }

    #[test]
    fn latencies_are_of_complete_answers_and_lags_of_all() {
        let mut failed = request(1, 0, 10, &[60, 70]);
        failed.outcome = Outcome::Error(RequestError::Truncated("cut".to_owned()));
        let found = distributions(&[request(0, 0, 0, &[50, 60]), failed]);
        assert_eq!((found[&MetricId::Ttft].n, found[&MetricId::SendLag].n), (1, 2));
        assert_eq!(found[&MetricId::Ttft].mean, Some(50.0));
    }

    #[test]
    fn gaps_are_weighted_by_tokens_where_these_are_known() {
        let mut record = request(0, 0, 0, &[50, 80, 90]);
        record.events.tokens = vec![1, 3, 1];
        let found = distributions(&[record]);
        assert_eq!((found[&MetricId::Icl].n, found[&MetricId::Icl].mean), (2, Some(20.0)));
        // Three tokens of 10 ms and one of 10 ms.
        assert_eq!((found[&MetricId::Itl].n, found[&MetricId::Itl].mean), (4, Some(10.0)));
    }

    #[test]
    fn unknown_tokens_per_chunk_are_said_to_be_so() {
        let mut record = request(0, 0, 0, &[50, 80]);
        record.usage.as_mut().unwrap().completion = Some(8);
        let note = |record| distributions(&[record])[&MetricId::Itl].note.clone().unwrap();
        assert!(note(record).starts_with("equal to ICL: tokens per chunk are not known"));
        let one_each = note(request(0, 0, 0, &[50, 80]));
        assert!(one_each.starts_with("equal to ICL: one token per chunk"), "{one_each}");
    }

    #[test]
    fn the_longest_gap_is_told_even_when_the_sample_of_gaps_misses_it() {
        for seed in 0..4 {
            let mut gaps = Gaps::of_capacity(10, Seed(seed), "icl-reservoir");
            for i in 0..10_000 {
                gaps.push(if i == 5_000 { 987.5 } else { 0.25 });
            }
            gaps.push(0.125);
            let found = gaps.distribution(MetricId::Icl, &[]);
            assert_eq!((found.n, found.min, found.max), (10_001, Some(0.125), Some(987.5)));
        }
    }

    #[test]
    fn a_request_that_bench_ended_is_told_with_its_age() {
        let mut record = request(0, 0, 0, &[50]);
        record.outcome = Outcome::Cancelled(CancelCause::Deadline);
        record.done = Some(Nanos::from_secs(3));
        let found = distributions(&[record, request(1, 0, 0, &[50])]);
        let note = found[&MetricId::E2e].note.as_ref().unwrap();
        assert_eq!(
            note,
            "requests that bench ended are not in it: 1; the longest had been under way for 3.00 s"
        );
    }
}
