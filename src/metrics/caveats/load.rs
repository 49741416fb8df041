//! Doubts about the load: what failed, what was not steady, what is too few.

use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats::{Case, caveat, counted, pct, share};
use crate::metrics::failures::{self, FailureLimit};
use crate::metrics::quantity::{Quantity, Statistic};
use crate::metrics::steady;
use crate::metrics::summary::Caveat;
use crate::metrics::window::ToTheEnd;

/// Share of an open loop's answers that may end behind its window before that is told.
const RAMP_SHARE: f64 = 0.02;
/// Share of requests that waited for a place under a cap from which it is the cap that the engine's
/// rate shows.
const HELD_BACK: f64 = 0.5;
/// Quantile of the normal distribution for an interval of 95 %.
const Z_95: f64 = 1.959_964;

pub(super) fn failures(case: &Case<'_>) -> Option<Caveat> {
    let n: u64 = case.counts.errors.values().sum();
    (n > 0).then(|| {
        let told = failures::told(case.counts.errors.iter(), case.counts);
        let what = format!("{n} of {} requests failed: {told}", case.counts.scheduled);
        let advice =
            "Latencies are of complete answers alone; read the failure-inflated percentiles.";
        caveat("failures", what, advice, &[])
    })
}

pub(super) fn cancelled_at_deadline(case: &Case<'_>) -> Option<Caveat> {
    let n = case.counts.cancelled.values().sum::<u64>()
        - case.counts.n_cancelled_as_planned()
        - case.counts.n_over_saturated();
    (n > 0).then(|| {
        let causes =
            case.counts.failures().filter(|(kind, _)| !case.counts.errors.contains_key(*kind));
        let causes: Vec<String> = causes.map(|(cause, n)| format!("{n} by {cause}")).collect();
        let scheduled = case.counts.scheduled;
        let what = format!("bench ended {n} of {scheduled} requests: {}", causes.join(", "));
        let advice = "The slowest answers are missing; lengthen the drain or lower the load.";
        caveat("cancelled", what, advice, &[MetricId::Ttft, MetricId::E2e, MetricId::Tpot])
    })
}

pub(super) fn cancelled_as_planned(case: &Case<'_>) -> Option<Caveat> {
    let n = case.counts.n_cancelled_as_planned();
    (n > 0).then(|| {
        let scheduled = case.counts.scheduled;
        let what = format!("`cancel-after` ended {n} of {scheduled} requests, as asked for");
        let advice = "Latencies and rates are of the answers that were complete before.";
        let touched = [MetricId::Ttft, MetricId::E2e, MetricId::Tpot, MetricId::OutputThroughput];
        caveat("cancelled-as-planned", what, advice, &touched)
    })
}

pub(super) fn over_saturated(case: &Case<'_>) -> Option<Caveat> {
    let queue = steady::over_saturated(case.evidence)?;
    let n = case.counts.n_over_saturated();
    let known = case.evidence.at_least.map_or(String::new(), |known| {
        let told = |[p50, p99]: [f64; 2]| format!("p50 at least {p50:.1} ms, p99 {p99:.1} ms");
        format!("; with them TTFT {}, E2E {}", told(known.ttft_ms), told(known.e2e_ms))
    });
    let what = format!("{queue}; {} without an answer{known}", counted(n, "request"));
    let advice = "Latencies are lower bounds, and grow with the time for which such a load goes on: \
                  read the throughput, and measure latencies at lower rates.";
    let touched = [MetricId::Ttft, MetricId::E2e, MetricId::Tpot];
    Some(caveat("over-saturated", what, advice, &touched))
}

pub(super) fn aborted(case: &Case<'_>) -> Option<Caveat> {
    let first = case.evidence.aborted.first()?;
    let what =
        format!("{} ended early: {first}", counted(case.evidence.aborted.len() as u64, "trial"));
    Some(caveat("aborted", what, "Run the cell again.", &[]))
}

pub(super) fn went_on(case: &Case<'_>) -> Option<Caveat> {
    let (n_stayed, n) = case.evidence.stayed;
    let mut touched = vec![MetricId::Ttft, MetricId::E2e, MetricId::Tpot];
    let of_all = if case.evidence.stayed_in_rates { "answers and rates" } else { "answers" };
    if !case.evidence.stayed_in_rates {
        touched.extend([MetricId::OutputThroughput, MetricId::RequestThroughput]);
    }
    (n_stayed > 0).then(|| {
        let what = format!(
            "{n_stayed} of {n} answers come from an attempt that was interrupted: {of_all} are of \
             all, everything else is of the {} behind it",
            n - n_stayed
        );
        let advice = "Where latencies matter, measure the cell in a run of its own.";
        caveat("went-on", what, advice, &touched)
    })
}

pub(super) fn not_steady(case: &Case<'_>) -> Option<Caveat> {
    let what = steady::window_not_steady(case.evidence)?;
    let advice = "Lengthen the warm-up, or lower a rate that the engine cannot hold.";
    let touched = [MetricId::OutputThroughput, MetricId::Ttft, MetricId::E2e];
    Some(caveat("not-steady", what, advice, &touched))
}

pub(super) fn warm_up_not_steady(case: &Case<'_>) -> Option<Caveat> {
    let what = steady::warm_up_not_steady(case.evidence)?;
    Some(caveat("warm-up-not-steady", what, "Allow it more rounds.", &[]))
}

/// Says that a warm-up cannot have warmed: more of it failed than a measured phase may have fail.
pub(super) fn warm_up_failed(case: &Case<'_>) -> Option<Caveat> {
    let counts = &case.evidence.warm_up;
    let (n, of) = (counts.n_failed(), counts.scheduled);
    FailureLimit::Usual.is_exceeded(n, of).then(|| {
        let told = failures::told(counts.failures(), counts);
        let what = format!("{n} of {of} requests of the warm-up failed: {told}");
        let advice = "The engine may have been cold: look into its log, and warm it up at a load \
                      that it answers.";
        let touched = [MetricId::Ttft, MetricId::OutputThroughput];
        caveat("warm-up-failed", what, advice, &touched)
    })
}

/// Says that a phase ended before its time, for want of rows.
pub(super) fn ran_out(case: &Case<'_>) -> Option<Caveat> {
    let (lasted, asked) = case.evidence.ran_out?;
    let is_to_the_end = case.evidence.to_the_end == Some(ToTheEnd::RanOut);
    let rates = if is_to_the_end { ": ramp and drain are in the rates" } else { "" };
    let what = format!("there was no more request to send after {lasted} of {asked}{rates}");
    let advice =
        "Set `cycle = true` in the data set, or give it more rows or the phase more requests.";
    let touched: &[MetricId] = if is_to_the_end {
        &[MetricId::OutputThroughput, MetricId::RequestThroughput]
    } else {
        &[]
    };
    Some(caveat("ran-out", what, advice, touched))
}

/// Says that the ramp, or ramp and drain, are in the rates.
pub(super) fn no_steady_state(case: &Case<'_>) -> Option<Caveat> {
    let Some(why) = case.evidence.to_the_end else { return began_idle(case) };
    let what = match why {
        // What was asked for is no doubt, and rows that ran out are told themselves.
        ToTheEnd::Batch | ToTheEnd::RanOut => return None,
        ToTheEnd::FewWaves => {
            "fewer than two waves of requests: there is no steady state, and ramp and drain are in the rates"
        }
        ToTheEnd::NoDuration => "all requests were due at once: ramp and drain are in the rates",
    };
    let advice = "Send several times as many requests as there are streams.";
    Some(caveat(
        "no-steady-state",
        what.to_owned(),
        advice,
        &[MetricId::OutputThroughput, MetricId::RequestThroughput],
    ))
}

/// An open loop that begins with an idle engine ends with requests under way: what came behind its
/// window is about what a steady state would have had at its beginning.
fn began_idle(case: &Case<'_>) -> Option<Caveat> {
    let evidence = case.evidence;
    // A queue that grows is what the engine cannot do, and no ramp. One that a cap holds back waits
    // in bench: the engine had as much as the cap lets it have, and its TTFT does not grow.
    let is_held_back = evidence.is_capped && share(evidence.n_late, evidence.n_sent) > HELD_BACK;
    let has_queue =
        evidence.over_saturation.is_some() || !evidence.ttft_trends.is_empty() || is_held_back;
    if !evidence.begins_idle || evidence.stayed.0 > 0 || has_queue {
        return None;
    }
    let missing = |metric: MetricId, all: f64| {
        let rate = case.figures.by_key.get(&metric.into()).filter(|rate| rate.value.is_some())?;
        Some((1.0 - rate.n as f64 / all).clamp(0.0, 1.0))
    };
    let answers = missing(MetricId::RequestThroughput, case.counts.ok as f64)?;
    let tokens = case.distributions.get(&MetricId::OutputTokens).and_then(|found| {
        let all = found.mean? * found.n as f64;
        missing(MetricId::OutputThroughput, all)
    });
    (answers > RAMP_SHARE).then(|| {
        let of_tokens =
            tokens.map_or(String::new(), |missing| format!(", output throughput {}", pct(missing)));
        let what = format!(
            "the window began with an idle engine, and answers ended behind it: request throughput \
             may be up to {} low{of_tokens}",
            pct(answers)
        );
        let advice = "Measure for many times as long as one answer takes; at a rate that the engine \
                      cannot hold answers take ever longer.";
        let touched = [MetricId::OutputThroughput, MetricId::RequestThroughput];
        caveat("no-steady-state", what, advice, &touched)
    })
}

pub(super) fn partial_wave(case: &Case<'_>) -> Option<Caveat> {
    let (n, size) = case.evidence.partial_wave?;
    let waves = vec![size.to_string(); (n / size) as usize].join(" + ");
    let sum = if waves.is_empty() { n.to_string() } else { format!("{waves} + {}", n % size) };
    let what = format!("{n} requests at {size} at a time are {sum}: the last wave is not full");
    let advice = "Send a multiple, or many times, of the concurrency.";
    Some(caveat(
        "partial-wave",
        what,
        advice,
        &[MetricId::OutputThroughput, MetricId::RequestThroughput],
    ))
}

pub(super) fn not_known(case: &Case<'_>) -> Option<Caveat> {
    let until = case.evidence.until.as_ref()?;
    let quantity = Quantity::try_from(until.metric.clone()).ok()?;
    let found = case.distributions.get(&quantity.id())?;
    let known_to = match quantity.statistic {
        Statistic::Percentile(p) => found.percentile(p).and_then(|at| {
            let (low, high) = at.interval?;
            Some((high - low) / 2.0 / at.value?)
        }),
        // Of a mean no interval is told; its standard error is.
        Statistic::Mean => {
            found.std.zip(found.mean).map(|(std, mean)| Z_95 * std / (found.n as f64).sqrt() / mean)
        }
        Statistic::Value => return None,
    };
    if known_to.is_some_and(|known_to| known_to <= until.half_width) {
        return None;
    }
    let known_to =
        known_to.map_or("not known at all".to_owned(), |it| format!("known to {}", pct(it)));
    let what = format!(
        "{} is {known_to} at the cap of its phase, and {} was asked for",
        quantity.label(),
        pct(until.half_width)
    );
    Some(caveat(
        "until-not-reached",
        what,
        "Raise the cap of the phase, or ask for less.",
        &[quantity.id()],
    ))
}

pub(super) fn few_answers(case: &Case<'_>) -> Option<Caveat> {
    let ttft = case.distributions.get(&MetricId::Ttft)?;
    let missing: Vec<String> = ttft
        .percentiles
        .iter()
        .filter(|percentile| percentile.value.is_none() && percentile.p <= 99.0)
        .map(|percentile| format!("p{} needs {}", percentile.p, percentile.n_floor))
        .collect();
    (!missing.is_empty()).then(|| {
        let what = format!("{}: {}", counted(ttft.n, "answer"), missing.join(", "));
        let advice = "Send more requests or repeat trials.";
        caveat("n-too-small", what, advice, &[MetricId::Ttft, MetricId::E2e, MetricId::Tpot])
    })
}

pub(super) fn single_trial(case: &Case<'_>) -> Option<Caveat> {
    (case.evidence.n_trials == 1).then(|| {
        let what = "one trial: nothing is known of the spread between runs";
        let advice = "Set trials to 5 before calling a small difference real.";
        caveat(
            "single-trial",
            what,
            advice,
            &[MetricId::OutputThroughput, MetricId::RequestThroughput],
        )
    })
}
