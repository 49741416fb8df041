//! The distributions of one cell, over all its trials.

use std::collections::BTreeMap;

use crate::metrics::catalogue::MetricId;
use crate::metrics::distribution::{Ends, NO_END, Samples, dependent};
use crate::metrics::evidence::{AtLeast, Lags};
use crate::metrics::request::{RequestMetrics, TokenEvent, TpotBound, token_events};
use crate::metrics::stream_tails::{Late, Tails};
use crate::metrics::summary::{Counts, Distribution, Note};
use crate::metrics::totals::censored_age;
use crate::record::request::{CancelCause, Outcome, RequestRecord};
use crate::record::trial::{PhaseRecord, SentinelRecord, TrialRecord};
use crate::seed::Seed;
use crate::stats::mean::Moments;
use crate::stats::quantile::{quantile, quantile_by};
use crate::stats::reservoir::Reservoir;
use crate::units::Nanos;

/// Chunk gaps that are kept; of more a uniform sample is. 40 MB, and a p99.9 of ten million is
/// known to a thousandth of its rank.
const MAX_GAPS: usize = 10_000_000;

/// The distributions of one cell. Latencies are of complete answers, and of what an over-saturated
/// phase left waiting.
#[derive(Debug)]
pub(crate) struct Latencies {
    by_metric: BTreeMap<MetricId, Samples>,
    /// For how long at most, in the open trial, something that had arrived waited to be read.
    wait: Nanos,
    /// What is known of how the engine ends its streams.
    tails: Tails,
    wake_lag_p99_worst: Option<Nanos>,
    icl: Gaps,
    /// Apart from `icl` only once an engine says how many tokens a chunk holds.
    itl: Option<Gaps>,
    /// The most that each request's TPOT can be, once one of them is not known for sure.
    tpot_most: Option<Samples>,
    n_tpot_open: u64,
    n_tpot_blocks: u64,
    n_tpot_fewer: u64,
    /// Whether every stream so far had one token per chunk, as far as its count says.
    one_token_per_chunk: bool,
    n_censored: u64,
    censored_age_max: Nanos,
    /// When each phase of the trial ended whose queue only grew.
    cut_at: Vec<Option<Nanos>>,
    /// How long what was under way then had waited at least, milliseconds.
    cut: Cut,
    seed: Seed,
}

/// Latencies of requests that ended with their phase, in milliseconds: the true ones are higher.
#[derive(Debug, Default)]
struct Cut {
    ttfts: Vec<Waited>,
    e2es: Vec<Waited>,
}

/// A latency that had not ended, and the ends between which the true one lies.
type Waited = (f64, (f64, f64));

/// Gaps between chunks, and their exact moments.
#[derive(Debug)]
struct Gaps {
    kept: Reservoir<f32>,
    moments: Moments,
    ends: Option<Box<GapEnds>>,
    /// Some stream does not say how far its stamps can be believed.
    has_no_ends: bool,
}

/// Ends between which the true gaps lie; the kept ones are those of the kept gaps.
#[derive(Debug)]
struct GapEnds {
    low: Vec<f32>,
    high: Vec<f32>,
    /// By how much all true gaps together may be less, and more.
    less: f64,
    more: f64,
}

impl Gaps {
    fn new(seed: Seed, stream: &str) -> Self {
        Self::of_capacity(MAX_GAPS, seed, stream)
    }

    fn of_capacity(capacity: usize, seed: Seed, stream: &str) -> Self {
        let kept = Reservoir::new(capacity, seed.stream(stream));
        Self { kept, moments: Moments::default(), ends: None, has_no_ends: false }
    }

    fn push_within(&mut self, millis: f64, (low, high): (f64, f64)) {
        if low < millis || high > millis {
            self.open();
        }
        if let Some(place) = self.kept.push(millis as f32)
            && let Some(ends) = &mut self.ends
        {
            for (kept, end) in [(&mut ends.low, low), (&mut ends.high, high)] {
                kept.resize(kept.len().max(place + 1), 0.0);
                kept[place] = end as f32;
            }
        }
        self.moments.push(millis);
    }

    fn open(&mut self) -> &mut GapEnds {
        let kept = || self.kept.kept().to_vec();
        self.ends.get_or_insert_with(|| {
            Box::new(GapEnds { low: kept(), high: kept(), less: 0.0, more: 0.0 })
        })
    }

    /// Takes note that the gaps of one stream together may be less or more: its first event may
    /// have come earlier, and so may its last.
    fn push_sum(&mut self, first_slack: Nanos, last_slack: Nanos) {
        if first_slack > Nanos::ZERO || last_slack > Nanos::ZERO {
            let ends = self.open();
            ends.more += first_slack.as_millis_f64();
            ends.less += last_slack.as_millis_f64();
        }
    }

    fn distribution(self, metric: MetricId, notes: &[&str]) -> Distribution {
        let mut notes: Vec<String> = notes.iter().map(|&note| note.to_owned()).collect();
        if self.kept.is_sampled() {
            notes.push(format!("percentiles from a uniform sample of {MAX_GAPS} gaps"));
        }
        notes.push("no intervals: gaps of one stream depend on each other".to_owned());
        let ends = if self.has_no_ends {
            Ends::default()
        } else {
            Ends::of(self.ends.map(|ends| [(ends.low, -ends.less), (ends.high, ends.more)]))
        };
        let note = Some(notes.join("; ").into());
        dependent(self.kept.into_kept(), self.moments, ends, metric.unit(), note)
    }
}

impl Latencies {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            by_metric: BTreeMap::new(),
            wait: Nanos(u64::MAX),
            tails: Tails::default(),
            wake_lag_p99_worst: None,
            icl: Gaps::new(seed, "icl-reservoir"),
            itl: None,
            tpot_most: None,
            n_tpot_open: 0,
            n_tpot_blocks: 0,
            n_tpot_fewer: 0,
            one_token_per_chunk: true,
            n_censored: 0,
            censored_age_max: Nanos::ZERO,
            cut_at: Vec::new(),
            cut: Cut::default(),
            seed,
        }
    }

    /// Takes what a trial's clients saw of themselves in.
    pub(crate) fn begin_trial(&mut self, record: &TrialRecord, wait: Nanos) {
        self.wait = wait;
        let cut_at = |phase: &PhaseRecord| phase.over_saturation.map(|_| phase.drained);
        self.cut_at = record.phases.iter().map(cut_at).collect();
        record.sentinels().for_each(|sentinel| self.take_sentinel(sentinel));
    }

    fn take_sentinel(&mut self, sentinel: &SentinelRecord) {
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

    /// Takes a measured request in, which bench sent `late` after it was due and could be sent.
    pub(crate) fn push(&mut self, record: &RequestRecord, metrics: &RequestMetrics, late: Nanos) {
        let millis = |nanos: Option<Nanos>| nanos.map(Nanos::as_millis_f64);
        // What the client did is known of failed requests too.
        self.sample(MetricId::SendLag, millis(metrics.send_lag));
        self.sample(MetricId::Connect, millis(metrics.connect));
        let cut_at = self.cut_at.get(usize::from(record.phase)).copied().flatten();
        let ended = cut_at.or(metrics.last_token_at).or(record.sent).unwrap_or_default();
        if let Some(age) = censored_age(record, ended) {
            if record.outcome == Outcome::Cancelled(CancelCause::OverSaturated) {
                let millis = Nanos::as_millis_f64;
                // What bench had not read yet may have come before the end.
                let low = millis(age.checked_sub(self.wait).unwrap_or_default());
                let waited = (millis(age), (low, NO_END));
                let told = |ttft| (millis(ttft), metrics.added.ends(ttft, metrics.added.first));
                self.cut.ttfts.push(metrics.ttft.map_or(waited, |ttft| {
                    let (ttft, ends) = told(ttft);
                    (ttft, ends.unwrap_or((ttft, ttft)))
                }));
                self.cut.e2es.push(waited);
            } else {
                self.n_censored += 1;
                self.censored_age_max = self.censored_age_max.max(age);
            }
        }
        if !metrics.is_ok {
            return;
        }
        let added = metrics.added;
        for (metric, latency, slack) in [
            (MetricId::Ttft, metrics.ttft, added.first),
            (MetricId::TtftScheduled, metrics.ttft_scheduled, added.first + late),
            (MetricId::Ttfr, metrics.ttfr, added.first_reasoning),
            (MetricId::Ttfa, metrics.ttfa, added.first_answer),
        ] {
            let Some(latency) = latency else { continue };
            let ends = added.ends(latency, slack);
            self.by_metric.entry(metric).or_default().push_within(latency.as_millis_f64(), ends);
        }
        let ended = record.done.zip(metrics.last_token_at);
        let apart = ended.and_then(|(done, last)| done.checked_sub(last)).filter(|at| at.0 > 0);
        match apart {
            Some(distance) => self.tails.saw_apart(distance),
            None => self.tails.saw_together(added.last),
        }
        // What came apart from the end is as old as its own reads tell.
        let before_the_end = if apart.is_some() { Nanos::ZERO } else { added.last };
        for (metric, latency, late) in [
            (MetricId::E2e, metrics.e2e, Nanos::ZERO),
            (MetricId::E2eScheduled, metrics.e2e_scheduled, late),
        ] {
            let Some(latency) = latency else { continue };
            let ends = added.ends(latency, added.last + late);
            self.push_to_the_end(metric, latency.as_millis_f64(), ends, (before_the_end, 1.0));
        }
        if let Some((least, most)) = metrics.tpot_bound_ns {
            if most > least {
                self.n_tpot_open += 1;
                self.n_tpot_blocks += u64::from(metrics.n_arrived_first > 1);
                let n_tokens = metrics.shown;
                self.n_tpot_fewer += u64::from(n_tokens < Some(metrics.n_token_events));
                let so_far = || self.by_metric.get(&MetricId::Tpot).cloned().unwrap_or_default();
                self.tpot_most.get_or_insert_with(so_far);
            }
            if let Some(samples) = &mut self.tpot_most {
                let more = metrics.tpot_ends().map_or(0.0, |(_, more)| more);
                let most = most / 1e6 * (1.0 + more);
                samples.push_within(most, Some((most, most)));
            }
        }
        if let Some((least, most)) = metrics.tpot_unseen_ns {
            let tpot = self.by_metric.entry(MetricId::Tpot).or_default();
            tpot.push_unseen((least / 1e6, most / 1e6));
        }
        if let Some(tpot) = metrics.tpot_ns {
            let tpot = tpot / 1e6;
            let ends = metrics.tpot_ends();
            let within = |(less, more): (f64, f64)| (tpot * (1.0 - less), tpot * (1.0 + more));
            let generating = metrics.generating().unwrap_or_default();
            let share = tpot / generating.as_millis_f64();
            let late = (before_the_end.min(generating), share);
            self.push_to_the_end(MetricId::Tpot, tpot, ends.map(within), late);
        }
        self.sample(MetricId::DoneLag, millis(metrics.done_lag));
        self.sample(MetricId::OutputTokens, metrics.output.tokens.map(f64::from));
        self.sample(MetricId::PromptTokens, metrics.prompt.tokens.map(f64::from));
        // An engine may count an end-of-sequence token that no chunk shows.
        let n_events = metrics.n_token_events;
        self.one_token_per_chunk &=
            metrics.shown.is_some_and(|n| n == n_events || n == n_events + 1);
        self.push_gaps(record, metrics);
    }

    /// Takes in a value that ends with the last token, which may be up to `slack` older than its
    /// stamp: per millisecond the value is less by `share`.
    fn push_to_the_end(
        &mut self,
        metric: MetricId,
        value: f64,
        ends: Option<(f64, f64)>,
        (slack, share): (Nanos, f64),
    ) {
        let samples = self.by_metric.entry(metric).or_default();
        if ends.is_some() && slack > Nanos::ZERO {
            let (place, slack_ms) = (samples.n() as u32, slack.as_millis_f64() as f32);
            self.tails.keep(metric, Late { place, slack_ms, share: share as f32 });
        }
        samples.push_within(value, ends);
    }

    fn push_gaps(&mut self, record: &RequestRecord, metrics: &RequestMetrics) {
        // What something held back says nothing of the time between tokens.
        let is_burst = metrics.burst.is_some();
        if is_burst && self.itl.is_none() {
            self.itl = Some(self.split_itl());
        }
        let wait = self.wait;
        let mut events =
            token_events(record).map(|event| TokenEvent { slack: event.slack.min(wait), ..event });
        let Some(mut last) = events.next() else { return };
        let mut open: Option<Arrivals> = None;
        for event in events {
            match &mut open {
                Some(group) if group.at == event.at => group.push(event),
                _ => {
                    if let Some(group) = open.replace(Arrivals::of(last, event)) {
                        self.push_arrivals(&group, is_burst);
                    }
                }
            }
            last = event;
        }
        if let Some(group) = open {
            self.push_arrivals(&group, is_burst);
        }
        let is_known = metrics.added.sending.is_some();
        for gaps in [Some(&mut self.icl), self.itl.as_mut()].into_iter().flatten() {
            gaps.has_no_ends |= !is_known;
            gaps.push_sum(metrics.added.first, metrics.added.last);
        }
    }

    fn push_arrivals(&mut self, group: &Arrivals, is_burst: bool) {
        if group.tokens.is_some() && self.itl.is_none() {
            self.itl = Some(self.split_itl());
        }
        let gap = group.gap.as_millis_f64();
        let most = group.most.as_millis_f64();
        for place in 0..group.n_events {
            // Events of one arrival are no gap apart, as far as the stamps tell.
            let (value, low) =
                if place == 0 { (gap, group.least.as_millis_f64()) } else { (0.0, 0.0) };
            self.icl.push_within(value, (low, most / f64::from(place + 1)));
        }
        let Some(itl) = self.itl.as_mut().filter(|_| !is_burst) else { return };
        let n_tokens = group.tokens.unwrap_or(group.n_events);
        let n_first = if group.tokens.is_some() { group.n_first } else { 1 };
        for place in 0..n_tokens {
            let of_first = |millis: f64| {
                if place < n_first { millis / f64::from(n_first) } else { 0.0 }
            };
            let high = if group.n_events == 1 { n_first } else { place + 1 };
            let low = of_first(group.least.as_millis_f64());
            itl.push_within(of_first(gap), (low, most / f64::from(high)));
        }
    }

    /// Begins ITL apart from ICL, with the gaps so far as gaps of one token.
    fn split_itl(&self) -> Gaps {
        let mut itl = Gaps::new(self.seed, "itl-reservoir");
        let ends = self.icl.ends.as_deref();
        for (place, &gap) in self.icl.kept.kept().iter().enumerate() {
            let gap = f64::from(gap);
            let end = |kept: &[f32]| f64::from(kept[place]);
            itl.push_within(gap, ends.map_or((gap, gap), |ends| (end(&ends.low), end(&ends.high))));
        }
        itl.has_no_ends = self.icl.has_no_ends;
        if let Some(ends) = ends {
            let open = itl.open();
            (open.less, open.more) = (ends.less, ends.more);
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
        let (n_open, n_blocks) = (self.n_tpot_open, self.n_tpot_blocks);
        Some(TpotBound { least_ms, most_ms, n_open, n_blocks, n_fewer: self.n_tpot_fewer })
    }

    /// Returns what the latencies are at least, where phases ended because their queue only grew:
    /// with what was under way then at the time that it had waited.
    pub(crate) fn at_least(&self) -> Option<AtLeast> {
        let with = |metric, cut: &[Waited]| {
            let values = self.by_metric.get(&metric).into_iter().flat_map(Samples::values);
            let mut all: Vec<f64> = values.chain(cut.iter().map(|(waited, _)| *waited)).collect();
            all.sort_unstable_by(f64::total_cmp);
            Some([quantile(&all, 0.5)?, quantile(&all, 0.99)?])
        };
        if self.cut.e2es.is_empty() {
            return None;
        }
        let (ttft, e2e) =
            (with(MetricId::Ttft, &self.cut.ttfts)?, with(MetricId::E2e, &self.cut.e2es)?);
        Some(AtLeast { ttft_ms: ttft, e2e_ms: e2e })
    }

    /// Counts what was under way as a phase was ended, since its queue only grew, at the time that
    /// it had waited: without it the latencies would be those of the requests that were first in
    /// the queue. Returns the samples in which nothing limits those, and their least answered value:
    /// what had just been sent had waited for no time at all.
    fn take_cut(&mut self) -> Vec<(MetricId, Samples, Option<f64>)> {
        let Cut { ttfts, e2es } = std::mem::take(&mut self.cut);
        let mut without_end = Vec::new();
        for (metrics, cut) in [
            ([MetricId::Ttft, MetricId::TtftScheduled], ttfts),
            ([MetricId::E2e, MetricId::E2eScheduled], e2es),
        ] {
            let as_waited: Vec<Waited> = cut
                .iter()
                .map(|&(value, (low, high))| {
                    (value, (low, if high < NO_END { high } else { value }))
                })
                .collect();
            for metric in metrics {
                let samples = self.by_metric.get_mut(&metric).filter(|_| !cut.is_empty());
                let Some(samples) = samples else { continue };
                let (mut open, least) = (samples.clone(), samples.min());
                open.extend_within(&cut);
                without_end.push((metric, open, least));
                samples.extend_within(&as_waited);
            }
        }
        without_end
    }

    /// Returns the samples by metric, however few: for judging, never for printing.
    pub(crate) fn into_samples(mut self) -> BTreeMap<MetricId, Samples> {
        drop(self.take_cut());
        let mut samples = self.by_metric;
        let gaps = self.itl.unwrap_or(self.icl);
        samples.insert(MetricId::Itl, Samples::of(gaps.kept.into_kept(), gaps.moments));
        samples
    }

    /// Returns all distributions, and what latencies can be beside their own bounds.
    pub(crate) fn distributions(
        mut self,
        counts: &Counts,
    ) -> (BTreeMap<MetricId, Distribution>, OpenEnds) {
        for (metric, place, by) in self.tails.raised() {
            if let Some(samples) = self.by_metric.get_mut(&metric) {
                samples.raise_low(place, by);
            }
        }
        let n_cut = self.cut.e2es.len();
        let cut = self.take_cut().into_iter().map(|(metric, samples, min)| {
            (metric, Distribution { min, ..samples.distribution(metric.unit(), 0, None) })
        });
        let cut = cut.collect();
        let tpot = |samples: Samples| samples.distribution(MetricId::Tpot.unit(), 0, None);
        let seen = self.by_metric.get(&MetricId::Tpot);
        let open = OpenEnds {
            n_unseen: seen.map_or(0, Samples::n_unseen),
            with_unseen: seen.and_then(Samples::with_unseen).map(tpot),
            most: self.tpot_most.map(tpot),
            cut,
        };
        let n_failed = counts.n_failed();
        let n_censored = self.n_censored;
        let notes = [
            (n_cut > 0)
                .then(|| format!("{n_cut} that were never answered count as they had waited")),
            (n_censored > 0).then(|| {
                let longest = self.censored_age_max;
                format!(
                    "requests that bench ended are not in it: {n_censored}; the longest had been \
                     under way for {longest}"
                )
            }),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        let note: Option<Note> = (!notes.is_empty()).then(|| notes.join("; ").into());
        let mut found: BTreeMap<MetricId, Distribution> = self
            .by_metric
            .into_iter()
            // Values that nobody saw can be told by those that were seen, if these are the most.
            .filter(|(_, samples)| samples.n() > samples.n_unseen())
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
        (found, open)
    }
}

/// What latencies can be beside what their own bounds say.
#[derive(Debug, Default)]
pub(crate) struct OpenEnds {
    /// Streams of which bench saw too little to tell their TPOT.
    pub n_unseen: u64,
    /// The distribution with bounds in which those streams count too, if there are any.
    pub with_unseen: Option<Distribution>,
    /// The distribution of the most that it can be, where nobody says how many tokens came first; its
    /// bounds are its values.
    pub most: Option<Distribution>,
    /// Latencies in which nothing limits what a phase left waiting as it was ended, since its queue
    /// only grew.
    pub(crate) cut: BTreeMap<MetricId, Distribution>,
}

/// Token events with one stamp, and what lies before them.
///
/// They arrived one after the other in one read, whose stamp is that of its last byte. The gaps
/// between them, and the one before them, add up to what is known; so the i-th longest of them is
/// no longer than an i-th of that.
#[derive(Debug)]
struct Arrivals {
    at: Nanos,
    n_events: u32,
    /// Tokens of all of them, and of the first, where somebody counted them.
    tokens: Option<u32>,
    n_first: u32,
    /// From the event before them to their stamp.
    gap: Nanos,
    /// The least that the first gap can be.
    least: Nanos,
    /// The most that all gaps together can be.
    most: Nanos,
}

impl Arrivals {
    fn of(before: TokenEvent, first: TokenEvent) -> Self {
        let gap = first.at.saturating_sub(before.at);
        Self {
            at: first.at,
            n_events: 1,
            tokens: first.tokens.map(|n| n.max(1)),
            n_first: first.tokens.map_or(1, |n| n.max(1)),
            gap,
            least: gap.saturating_sub(first.slack),
            most: gap + before.slack,
        }
    }

    fn push(&mut self, event: TokenEvent) {
        self.n_events += 1;
        self.tokens = self.tokens.zip(event.tokens).map(|(so_far, n)| so_far + n.max(1));
    }
}

fn as_itl(icl: &Distribution, one_token_per_chunk: bool) -> Distribution {
    let what = if one_token_per_chunk {
        "equal to ICL: one token per chunk by the requests' counts"
    } else {
        "equal to ICL: tokens per chunk are not known"
    };
    let note = icl.note.as_ref().map_or(what.to_owned(), |note| format!("{what}; {note}"));
    Distribution { note: Some(note.into()), ..icl.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::request::tests::request;
    use crate::metrics::summary::NumberState;
    use crate::record::request::{CancelCause, Outcome, RequestError};

    fn distributions(records: &[RequestRecord]) -> BTreeMap<MetricId, Distribution> {
        let mut latencies = Latencies::new(Seed(1));
        let mut counts = Counts::default();
        for record in records {
            counts.scheduled += 1;
            counts.ok += u64::from(record.outcome == Outcome::Ok);
            latencies.push(record, &RequestMetrics::of(record), Nanos::ZERO);
        }
        latencies.distributions(&counts).0
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
    fn a_last_token_is_as_old_as_streams_were_seen_to_end_after_it() {
        let bound_of_e2e = |n_at_once: u64, n_late: u64, n_apart: usize| {
            let stream = |index, slack| {
                let mut record = request(index, 0, 0, &[50, 60]);
                record.events.slacken(1, 1, Nanos(slack));
                record
            };
            let mut records: Vec<_> = (0..n_at_once).map(|index| stream(index, 90_000)).collect();
            records.extend((0..n_late).map(|index| stream(index, 8_000_000)));
            for record in records.iter_mut().take(n_apart) {
                record.done = Some(Nanos::from_millis(61));
            }
            distributions(&records)[&MetricId::E2e].percentiles[0].bound.unwrap()
        };
        let (low, high) = bound_of_e2e(120, 199, 0);
        assert!(low > 59.88 && high >= 60.0, "{low} to {high}: 90 us, or a little more");
        let (low, high) = bound_of_e2e(120, 199, 20);
        assert!(
            (58.8..59.01).contains(&low) && high >= 60.0,
            "{low} to {high}: many end 1 ms later"
        );
        assert_eq!(bound_of_e2e(0, 99, 0), (52.0, 60.0), "nothing is known");
    }

    #[test]
    fn tpot_is_told_by_the_streams_that_bench_saw_where_these_are_the_most() {
        let n_of = |n_seen: u64, n_late: u64| {
            let stream = |index, slack| {
                let mut record = request(index, 0, 0, &[50, 60, 70, 80]);
                record.events.slacken(0, 1, Nanos::from_millis(slack));
                record
            };
            let seen = (0..n_seen).map(|index| stream(index, 0));
            let late = (n_seen..n_seen + n_late).map(|index| stream(index, 15));
            let found = distributions(&seen.chain(late).collect::<Vec<_>>());
            found.get(&MetricId::Tpot).map(|tpot| tpot.n)
        };
        assert_eq!(n_of(3, 2), Some(3));
        assert_eq!(n_of(2, 2), None);
        assert_eq!(n_of(0, 1), None);
    }

    #[test]
    fn gaps_that_one_read_hides_are_bounded_together() {
        // 50 ms of silence, then five tokens in one read: the kernel had the last one by then.
        let mut record = request(0, 0, 0, &[10, 60, 60, 60, 60, 60]);
        record.events.slacken(1, 4, Nanos::from_millis(45));
        let found = &distributions(&[record.clone(), record.clone(), record])[&MetricId::Icl];
        assert!(found.n == 15 && (found.mean.unwrap() - 10.0).abs() < 1e-9);
        let (low, high) = found.mean_bound.unwrap();
        assert!(high - low < 1e-9, "their sum is known");
        // The longest gap is 50 ms at most, the second 25 ms, the third a third of that.
        let (low, high) = found.percentiles[0].bound.unwrap();
        assert!(low == 0.0 && (high - 50.0 / 3.0).abs() < 1e-4, "{low} {high}");
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
                let gap = if i == 5_000 { 987.5 } else { 0.25 };
                gaps.push_within(gap, (gap, gap));
            }
            gaps.push_within(0.125, (0.125, 0.125));
            let found = gaps.distribution(MetricId::Icl, &[]);
            assert_eq!((found.n, found.min, found.max), (10_001, Some(0.125), Some(987.5)));
        }
    }

    /// A hundred requests of a phase that was ended after so many milliseconds, of which so many were
    /// answered, each at two instants.
    fn over_saturated(cut_at: u64, n_answered: u64, at: impl Fn(u64) -> [u64; 2]) -> Latencies {
        let mut latencies = Latencies::new(Seed(1));
        latencies.wait = Nanos::ZERO;
        latencies.cut_at = vec![Some(Nanos::from_millis(cut_at))];
        for index in 0..100 {
            let record = if index < n_answered {
                request(index, 0, 0, &at(index))
            } else {
                let outcome = Outcome::Cancelled(CancelCause::OverSaturated);
                RequestRecord { outcome, done: None, ..request(index, 0, 0, &[]) }
            };
            latencies.push(&record, &RequestMetrics::of(&record), Nanos::ZERO);
        }
        latencies
    }

    fn judged_with_cut(latencies: Latencies) -> BTreeMap<MetricId, Distribution> {
        let (mut found, open) = latencies.distributions(&Counts::default());
        let limits = crate::metrics::tests::fixture::limits();
        crate::metrics::bounds::judge(&limits, &mut BTreeMap::new(), &mut found);
        crate::metrics::bounds::widen_by_cut(&limits, &mut found, &open);
        found
    }

    #[test]
    fn what_an_over_saturated_phase_left_waiting_makes_latencies_lower_bounds() {
        let latencies = over_saturated(3_000, 20, |_| [100, 110]);
        let least = latencies.at_least().unwrap();
        let found = judged_with_cut(latencies);
        let ttft = &found[&MetricId::Ttft];
        let median = ttft.percentile(50.0).unwrap();
        assert_eq!((ttft.n, median.value, median.interval), (100, Some(least.ttft_ms[0]), None));
        assert_eq!(median.value, Some(3_000.0));
        assert!(median.bound.is_some_and(|(_, high)| crate::metrics::bounds::is_unlimited(high)));
        assert_eq!(median.state, Some(NumberState::Doubtful));
        assert_eq!((median.with_failures, ttft.min), (None, Some(100.0)));
        // What was cut off has neither a longest wait nor a spread.
        assert_eq!((ttft.max, ttft.std), (None, None));
        let told = Some("80 that were never answered count as they had waited");
        assert_eq!(found[&MetricId::E2e].note.as_deref(), told);
    }

    /// Of a hundred requests thirty were never answered: those can be anywhere above what they had
    /// waited, so that the median lies below the longest answer, far above its value.
    #[test]
    fn what_an_over_saturated_phase_left_waiting_is_no_fault_of_the_instrument() {
        let latencies = over_saturated(10, 70, |index| [100 + 10 * index, 1_000]);
        let found = judged_with_cut(latencies);
        let ttft = &found[&MetricId::Ttft];
        let median = ttft.percentile(50.0).unwrap();
        let (low, high) = median.bound.unwrap();
        assert!(low < 300.0 && (500.0..700.0).contains(&high), "{median:?}");
        assert_eq!((median.state, median.interval), (Some(NumberState::Doubtful), None));
        assert_eq!((ttft.min, ttft.mean_state), (Some(100.0), Some(NumberState::Doubtful)));
        assert!(crate::metrics::bounds::is_unlimited(ttft.mean_bound.unwrap().1));
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
