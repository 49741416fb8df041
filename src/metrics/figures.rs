//! Single figures from the sums of trials.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::metrics::bounds::UNLIMITED;
use crate::metrics::capacity;
use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::distribution::LEVEL;
use crate::metrics::summary::{Figure, Note};
use crate::metrics::totals::{Edge, Totals};
use crate::stats::interval::Interval;
use crate::stats::mean::Moments;
use crate::stats::proportion::wilson;

/// Figures of a cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) by_key: BTreeMap<MetricKey, Figure>,
}

impl Figures {
    /// Sets a figure that has a value.
    pub(crate) fn set(
        &mut self,
        key: impl Into<MetricKey>,
        value: f64,
        n: u64,
        note: impl Into<Note>,
    ) {
        self.set_with_interval(key, value, n, None, note);
    }

    /// Sets a figure that has a value and an interval.
    pub(crate) fn set_with_interval(
        &mut self,
        key: impl Into<MetricKey>,
        value: f64,
        n: u64,
        interval: Option<Interval>,
        note: impl Into<Note>,
    ) {
        let key = key.into();
        if !value.is_finite() {
            self.absent(key, "not a finite number");
            return;
        }
        // A deviation that is taken to be the same both ways may reach below 0, where no figure lies.
        let least = if value < 0.0 { f64::NEG_INFINITY } else { 0.0 };
        let figure = Figure {
            value: Some(value),
            unit: key.metric.unit(),
            n,
            interval: interval.map(|it| (it.low.max(least), it.high)),
            note: note.into(),
            ..Figure::default()
        };
        self.by_key.insert(key, figure);
    }

    /// Sets a figure that cannot be had, and says why.
    pub(crate) fn absent(&mut self, key: impl Into<MetricKey>, reason: impl Into<Note>) {
        let key = key.into();
        let figure = Figure {
            value: None,
            unit: key.metric.unit(),
            n: 0,
            interval: None,
            note: reason.into(),
            ..Figure::default()
        };
        self.by_key.insert(key, figure);
    }

    /// Returns the value of a figure that was set.
    pub(crate) fn value(&self, metric: MetricId) -> Option<f64> {
        self.by_key.get(&metric.into())?.value
    }

    /// Sets an amount per second over all trials: the sum of amounts over the sum of seconds,
    /// never a mean of rates, with Student's interval over the rates of single trials.
    fn rate(&mut self, metric: MetricId, trials: &[Totals], of: impl Fn(&Totals) -> Rate) {
        let rates: Vec<Rate> = trials.iter().map(of).collect();
        let secs: f64 = rates.iter().map(|rate| rate.secs).sum();
        let n = rates.iter().map(|rate| rate.n).sum();
        if secs <= 0.0 {
            self.absent(metric, "the measured window has no duration");
            return;
        }
        if let Some(reason) = rates.iter().find_map(|rate| rate.unknown) {
            self.absent(metric, reason);
            return;
        }
        let value = rates.iter().map(|rate| rate.amount).sum::<f64>() / secs;
        let per_trial: Moments = rates.iter().map(|rate| rate.amount / rate.secs).collect();
        let interval = per_trial.t_interval(LEVEL);
        let note: Note = match per_trial.n() {
            1 => "one trial: no interval".into(),
            n => format!("Student's t over {n} trials, 95 %").into(),
        };
        self.set_with_interval(metric, value, n, interval, note);
        if let Some(figure) = self.by_key.get_mut(&metric.into()) {
            figure.bound = bound_of(&rates, value);
        }
    }

    /// Divides a figure and its interval, as another figure.
    fn divided(&mut self, whole: MetricId, part: MetricId, divisor: f64) {
        let Some(whole) = self.by_key.get(&whole.into()) else { return };
        let figure = Figure {
            value: whole.value.map(|value| value / divisor),
            interval: whole.interval.map(|(low, high)| (low / divisor, high / divisor)),
            bound: whole.bound.map(|(low, high)| (low / divisor, high / divisor)),
            unit: part.unit(),
            ..whole.clone()
        };
        self.by_key.insert(part.into(), figure);
    }

    /// Sets a share of requests in per cent, with Wilson's interval.
    pub(crate) fn share(&mut self, metric: MetricId, n_hits: u64, n: u64) {
        if n == 0 {
            self.absent(metric, "nothing was counted");
            return;
        }
        let interval = wilson(n_hits, n, LEVEL)
            .map(|interval| Interval::new(interval.low * 100.0, interval.high * 100.0));
        let value = n_hits as f64 / n as f64 * 100.0;
        self.set_with_interval(metric, value, n, interval, "Wilson, 95 %");
    }
}

/// An amount over a time.
struct Rate {
    amount: f64,
    secs: f64,
    n: u64,
    unknown: Option<&'static str>,
    /// What bench's own lateness leaves open; absent where that is not counted.
    open: Option<Open>,
}

/// What bench's own lateness leaves open of a rate.
#[derive(Clone, Copy)]
struct Open {
    /// The least and the most that the amount can be.
    least: f64,
    most: f64,
    /// Seconds in which bench kept the engine from working.
    lost_secs: f64,
}

/// Returns the ends between which a rate lies.
///
/// In a closed loop a stream that has no request under way takes its share from the rate: with
/// `lost` seconds of all streams together, the engine had `secs - lost` seconds, and would have
/// done at most so much more in all of them.
/// In an open loop the schedule sets the rate, and a late send moves its answer along: at most
/// what lies that far behind an edge of the window belongs to the other side of it.
fn bound_of(rates: &[Rate], value: f64) -> Option<(f64, f64)> {
    let secs: f64 = rates.iter().map(|rate| rate.secs).sum();
    let open: Vec<Open> = rates.iter().map(|rate| rate.open).collect::<Option<_>>()?;
    let sum = |of: fn(&Open) -> f64| open.iter().map(of).sum::<f64>();
    let working = secs - sum(|open| open.lost_secs);
    // Streams that never worked leave everything open.
    let high = if working > 0.0 { sum(|open| open.most) / working } else { UNLIMITED };
    Some(((sum(|open| open.least) / secs).min(value), high.max(value)))
}

const NO_COUNTS: &str =
    "no request has a token count: the engine sends no usage and no tokenizer is given";
const NO_TPOT: &str =
    "more than 1 % of the answers have no time per token, which is one of the objectives";
const FEW_COUNTS: &str =
    "more than 1 % of the answers have no token count, and their time is in the window";
/// Share of answers without a count up to which a rate of tokens is told, with a caveat: it is
/// too low by no more than that.
const UNKNOWN_SHARE: f64 = 0.01;

/// Returns why tokens per second cannot be told when so many of all answers have no count.
pub(crate) fn unknown(n_unknown: u64, n_ok: u64) -> Option<&'static str> {
    if n_ok == 0 {
        return Some("no answer was complete");
    }
    if n_unknown == n_ok {
        return Some(NO_COUNTS);
    }
    (n_unknown as f64 > UNKNOWN_SHARE * n_ok as f64).then_some(FEW_COUNTS)
}

/// Rates over the window, and over the whole run beside them.
pub(crate) fn throughput(figures: &mut Figures, trials: &[Totals], n_gpus: u32) {
    let no_output = |t: &Totals| unknown(t.n_output_unknown, t.n_ok);
    let no_prompt = |t: &Totals| unknown(t.n_prompt_unknown, t.n_ok);
    let either = |t: &Totals| no_output(t).or(no_prompt(t));
    let n = |t: &Totals| t.inside.n_completed;
    figures.rate(MetricId::RequestThroughput, trials, |t| {
        inside(t, t.inside.requests, n(t), None, |edge| edge.requests)
    });
    figures.rate(MetricId::OutputThroughput, trials, |t| {
        let tokens = t.inside.output_tokens;
        inside(t, tokens, tokens.round() as u64, no_output(t), |edge| edge.output_tokens)
    });
    figures.rate(MetricId::PromptThroughput, trials, |t| {
        let tokens = t.inside.prompt_tokens;
        inside(t, tokens as f64, tokens, no_prompt(t), |edge| edge.prompt_tokens as f64)
    });
    figures.rate(MetricId::TotalThroughput, trials, |t| {
        let total = t.inside.output_tokens + t.inside.prompt_tokens as f64;
        inside(t, total, total as u64, either(t), |edge| {
            edge.output_tokens + edge.prompt_tokens as f64
        })
    });
    let of_the_run = |t: &Totals, amount: f64, n| Rate {
        amount,
        secs: t.window_secs,
        n,
        unknown: None,
        open: None,
    };
    figures.rate(MetricId::AttemptedRate, trials, |t| {
        of_the_run(t, t.inside.n_scheduled as f64, t.inside.n_scheduled)
    });
    figures.rate(MetricId::InFlightMean, trials, |t| of_the_run(t, t.inside.in_flight_secs, n(t)));
    figures
        .rate(MetricId::RequestThroughputWhole, trials, |t| whole(t, t.n_ok as f64, t.n_ok, None));
    figures.rate(MetricId::OutputThroughputWhole, trials, |t| {
        whole(t, t.output_tokens as f64, t.output_tokens, no_output(t))
    });
    figures.rate(MetricId::PromptThroughputWhole, trials, |t| {
        whole(t, t.prompt_tokens as f64, t.prompt_tokens, no_prompt(t))
    });
    figures.rate(MetricId::TotalThroughputWhole, trials, |t| {
        let tokens = t.output_tokens + t.prompt_tokens;
        whole(t, tokens as f64, tokens, either(t))
    });
    for (of_all, per_gpu) in [
        (MetricId::RequestThroughput, MetricId::RequestThroughputPerGpu),
        (MetricId::OutputThroughput, MetricId::OutputThroughputPerGpu),
        (MetricId::PromptThroughput, MetricId::PromptThroughputPerGpu),
        (MetricId::TotalThroughput, MetricId::TotalThroughputPerGpu),
    ] {
        figures.divided(of_all, per_gpu, f64::from(n_gpus.max(1)));
    }
    let sum = |of: fn(&Totals) -> f64| trials.iter().map(of).sum::<f64>();
    let n_trials = trials.len() as u64;
    figures.set(MetricId::Window, sum(|t| t.window_secs), n_trials, "summed over trials");
    figures.set(MetricId::WholeRun, sum(|t| t.whole_secs), n_trials, "summed over trials");
}

/// Returns an amount inside the window as a rate; `of` reads it from sums that bench's lateness
/// leaves open.
fn inside(
    totals: &Totals,
    amount: f64,
    n: u64,
    unknown: Option<&'static str>,
    of: impl Fn(&Edge) -> f64,
) -> Rate {
    let (least, most) = (of(&totals.surely), of(&totals.perhaps));
    let open = Some(Open { least, most, lost_secs: totals.lost_secs() });
    Rate { amount, secs: totals.window_secs, n, unknown, open }
}

/// Returns an amount over the whole run as a rate. Late sends make an open loop's run longer, by
/// no more than the latest of them.
fn whole(totals: &Totals, amount: f64, n: u64, unknown: Option<&'static str>) -> Rate {
    let lost_secs = totals.lost_whole_secs + totals.late_max_secs;
    let open = Some(Open { least: amount, most: amount, lost_secs });
    Rate { amount, secs: totals.whole_secs, n, unknown, open }
}

/// Output throughput by stream of a closed loop.
pub(crate) fn per_stream(figures: &mut Figures, concurrency: u32) {
    let divisor = f64::from(concurrency.max(1));
    figures.divided(MetricId::OutputThroughput, MetricId::OutputThroughputPerStream, divisor);
}

/// Requests that met all objectives.
pub(crate) fn goodput(figures: &mut Figures, trials: &[Totals]) {
    let sum = |of: fn(&Totals) -> u64| trials.iter().map(of).sum::<u64>();
    if sum(|t| t.n_undecided) as f64 > UNKNOWN_SHARE * sum(|t| t.n_ok) as f64 {
        figures.absent(MetricId::Goodput, NO_TPOT);
        figures.absent(MetricId::GoodputShare, NO_TPOT);
        return;
    }
    figures.rate(MetricId::Goodput, trials, |t| {
        let good = t.inside.good;
        inside(t, good, good.round() as u64, None, |edge| edge.good)
    });
    figures.share(MetricId::GoodputShare, sum(|t| t.n_good), sum(|t| t.n_scheduled));
}

/// Machines and money that the output rate means.
pub(crate) fn derived_capacity(figures: &mut Figures, gpu_hour_price: Option<f64>) {
    let Some(rate) = figures.by_key.get(&MetricId::OutputThroughputPerGpu.into()).cloned() else {
        return;
    };
    let mut derive = |metric: MetricId, of: &dyn Fn(f64) -> Option<f64>| {
        let Some(value) = rate.value.and_then(of) else {
            let reason = match rate.value {
                Some(_) => "no output token in the window".into(),
                None => rate.note.clone(),
            };
            figures.absent(metric, reason);
            return;
        };
        // More tokens per second are fewer machines: the ends change places, and a rate that may be 0
        // has no most of them.
        let ends = rate
            .interval
            .and_then(|(low, high)| Some(Interval::new(of(high)?, of(low).unwrap_or(UNLIMITED))));
        figures.set_with_interval(metric, value, rate.n, ends, rate.note.clone());
        if let Some(figure) = figures.by_key.get_mut(&metric.into()) {
            figure.bound = rate.bound.and_then(|(low, high)| Some((of(high)?, of(low)?)));
        }
    };
    derive(MetricId::GpuDaysPer1bTokens, &capacity::gpu_days_per_1b_tokens);
    derive(MetricId::NodeDaysPer1bTokens, &capacity::node_days_per_1b_tokens);
    derive(MetricId::GpusFor1bTokensPerHour, &capacity::gpus_for_1b_tokens_per_hour);
    if let Some(price) = gpu_hour_price {
        derive(MetricId::CostPer1mTokens, &|rate| capacity::cost_per_1m_tokens(rate, price));
    }
}

/// Returns the rates of prompt and output tokens that another program told of `n` requests on
/// `n_gpus` devices, with the machines and money that they mean. `bounds` are the ends between which
/// they truly lie, where that is told too.
pub(crate) fn of_told_rates(
    rates: [Option<f64>; 2],
    bounds: [Option<(f64, f64)>; 2],
    n_gpus: u32,
    n: u64,
    gpu_hour_price: Option<f64>,
) -> IndexMap<MetricKey, Figure> {
    let mut figures = Figures::default();
    for (((all, per_gpu), rate), bound) in [
        (MetricId::PromptThroughput, MetricId::PromptThroughputPerGpu),
        (MetricId::OutputThroughput, MetricId::OutputThroughputPerGpu),
    ]
    .into_iter()
    .zip(rates)
    .zip(bounds)
    {
        match rate {
            Some(rate) => figures.set(all, rate, n, "told by another program"),
            None => figures.absent(all, "not told"),
        }
        if let Some(figure) = figures.by_key.get_mut(&all.into()) {
            figure.bound = bound;
        }
        figures.divided(all, per_gpu, f64::from(n_gpus.max(1)));
    }
    derived_capacity(&mut figures, gpu_hour_price);
    figures.by_key.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::totals::Inside;

    fn totals(window_secs: f64, output_tokens: f64) -> Totals {
        Totals {
            window_secs,
            whole_secs: 2.0 * window_secs,
            n_ok: 10,
            output_tokens: output_tokens as u64,
            prompt_tokens: 500,
            inside: Inside {
                output_tokens,
                n_completed: 10,
                requests: 10.0,
                prompt_tokens: 500,
                ..Inside::default()
            },
            ..Totals::default()
        }
    }

    #[test]
    fn trials_are_merged_and_not_averaged() {
        // 100 tokens in 1 s and 900 in 3 s are 250 tok/s, not the mean of 100 and 300.
        let mut figures = Figures::default();
        throughput(&mut figures, &[totals(1.0, 100.0), totals(3.0, 900.0)], 2);
        let rate = &figures.by_key[&MetricId::OutputThroughput.into()];
        assert_eq!((rate.value, rate.n, rate.unit), (Some(250.0), 1_000, "tok/s"));
        assert_eq!(rate.note, "Student's t over 2 trials, 95 %");
        assert_eq!(figures.value(MetricId::OutputThroughputPerGpu), Some(125.0));
        assert_eq!(figures.value(MetricId::OutputThroughputWhole), Some(125.0));
        assert_eq!(figures.value(MetricId::TotalThroughput), Some(500.0));
        // t(0.975, 1) = 12.7062; the rates' standard deviation is 141.42.
        let (low, high) = rate.interval.unwrap();
        assert!((high - 200.0 - 12.706_2 * 100.0).abs() < 0.1, "{rate:?}");
        assert!(low.abs() < 1e-9, "no rate is below 0: {rate:?}");
    }

    #[test]
    fn what_a_rate_that_may_be_0_costs_has_no_upper_end() {
        let mut figures = Figures::default();
        throughput(&mut figures, &[totals(1.0, 100.0), totals(3.0, 900.0)], 2);
        derived_capacity(&mut figures, Some(3.6));
        let cost = &figures.by_key[&MetricId::CostPer1mTokens.into()];
        let (low, high) = cost.interval.unwrap();
        assert!(low > 0.0 && low < cost.value.unwrap(), "{cost:?}");
        assert!(crate::metrics::bounds::is_unlimited(high), "{cost:?}");
        throughput(&mut figures, &[totals(1.0, 100.0), totals(1.0, 101.0)], 2);
        derived_capacity(&mut figures, Some(3.6));
        let cost = &figures.by_key[&MetricId::CostPer1mTokens.into()];
        let (low, high) = cost.interval.unwrap();
        assert!(low < cost.value.unwrap() && cost.value.unwrap() < high && high < 100.0);
    }

    #[test]
    fn a_rate_that_cannot_be_had_says_why() {
        let mut figures = Figures::default();
        throughput(&mut figures, &[totals(0.0, 0.0)], 1);
        let rate = &figures.by_key[&MetricId::OutputThroughput.into()];
        assert_eq!((rate.value, &*rate.note), (None, "the measured window has no duration"));
        let half = Totals { n_output_unknown: 5, ..totals(1.0, 50.0) };
        throughput(&mut figures, &[half], 1);
        assert_eq!(figures.by_key[&MetricId::OutputThroughput.into()].note, FEW_COUNTS);
        assert_eq!(figures.by_key[&MetricId::OutputThroughput.into()].value, None);
        let silent = Totals { n_output_unknown: 10, ..totals(1.0, 0.0) };
        throughput(&mut figures, &[silent], 1);
        assert_eq!(figures.value(MetricId::OutputThroughput), None);
        assert_eq!(figures.value(MetricId::RequestThroughput), Some(10.0));
        derived_capacity(&mut figures, None);
        assert_eq!(figures.by_key[&MetricId::GpuDaysPer1bTokens.into()].note, NO_COUNTS);
    }

    #[test]
    fn goodput_counts_over_all_that_were_due() {
        let trial = Totals {
            window_secs: 10.0,
            n_scheduled: 100,
            n_ok: 90,
            n_good: 80,
            inside: Inside { good: 70.0, ..Inside::default() },
            ..Totals::default()
        };
        let mut figures = Figures::default();
        goodput(&mut figures, &[trial]);
        assert_eq!(figures.value(MetricId::Goodput), Some(7.0));
        assert_eq!(figures.value(MetricId::GoodputShare), Some(80.0));
    }
}
