//! Doubts about one cell, one small function each, with the measured value and advice.

use std::collections::BTreeMap;

use crate::metrics::evidence::{Evidence, LATE};
use crate::metrics::figures::Figures;
use crate::metrics::summary::{Caveat, Counts, Distribution};
use crate::metrics::window::ToTheEnd;
use crate::stats::trend::Trend;
use crate::units::bytes_for_people;

/// Share of late sends that deserves a word.
const LATE_SHARE: f64 = 0.001;
/// CPU share of load threads from which queueing for them begins to show.
const CLIENT_CPU_HIGH: f64 = 0.7;
/// Share by which two counts of the same tokens may differ.
const COUNTS_DIFFER: f64 = 0.01;
/// Share of chunk gaps that may be hidden in one read.
const COALESCED: f64 = 0.01;
/// Tokens per chunk from which chunks are no longer tokens.
const TOKENS_PER_CHUNK: f64 = 1.05;
/// Prefix cache hits, per cent, that a cold workload does not have.
const PREFIX_HITS_PCT: f64 = 1.0;
/// Difference of the engine's own rate from ours that deserves a look.
const ENGINE_DIFFERS: f64 = 0.05;
/// Drift of the wall clock that no synchronisation makes by itself.
const DRIFT: f64 = 0.01;
/// Share of stolen CPU time that deserves a word.
const STEAL: f64 = 0.02;
/// Complete answers below which even a median has no interval.
const MIN_ANSWERS: u64 = 11;

/// What the caveats of a cell are made from.
struct Case<'a> {
    evidence: &'a Evidence,
    counts: &'a Counts,
    distributions: &'a BTreeMap<String, Distribution>,
    figures: &'a Figures,
}

/// Returns the doubts about one cell, in a fixed order.
pub(crate) fn of_cell(
    evidence: &Evidence,
    counts: &Counts,
    distributions: &BTreeMap<String, Distribution>,
    figures: &Figures,
) -> Vec<Caveat> {
    if counts.scheduled == 0 {
        return Vec::new();
    }
    let case = Case { evidence, counts, distributions, figures };
    let doubts: [fn(&Case<'_>) -> Option<Caveat>; 29] = [
        late_sends,
        client_cpu,
        recorder_stalled,
        steal,
        wall_drift,
        failures,
        cancelled_at_deadline,
        aborted,
        not_steady,
        warm_up_not_steady,
        to_the_end,
        partial_wave,
        few_answers,
        single_trial,
        output_counts_differ,
        prompt_counts_differ,
        unknown_counts,
        multi_token_chunks,
        coalesced,
        userspace_stamps,
        prefix_hits,
        prompts_repeat,
        engine_differs,
        truncated,
        fallback,
        duplicates,
        odd_streams,
        answers_changed,
        not_answered,
    ];
    let environment = [foreign_processes(evidence), survivors(evidence), gave_up(evidence)];
    doubts
        .iter()
        .filter_map(|doubt| doubt(&case))
        .chain(environment.into_iter().flatten())
        .collect()
}

/// Makes a caveat.
pub(crate) fn caveat(code: &str, what: String, advice: &str, metrics: &[&str]) -> Caveat {
    Caveat {
        code: code.to_owned(),
        what,
        advice: advice.to_owned(),
        metrics: metrics.iter().map(|&tag| tag.to_owned()).collect(),
    }
}

fn pct(share: f64) -> String {
    let pct = share * 100.0;
    if pct < 1.0 { format!("{pct:.2} %") } else { format!("{pct:.1} %") }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

fn late_sends(case: &Case<'_>) -> Option<Caveat> {
    let late = share(case.evidence.n_late, case.evidence.n_sent);
    (late > LATE_SHARE).then(|| {
        let p99 = case.evidence.lags.send_p99_ms.unwrap_or_default();
        let what =
            format!("{} of requests left more than {LATE} late (p99 lag {p99:.1} ms)", pct(late));
        if case.evidence.is_capped {
            let advice =
                "The cap on requests in flight made them wait: read the scheduled latencies.";
            caveat(
                "late-sends",
                format!("requests waited for a place: {what}"),
                advice,
                &["ttft", "e2e"],
            )
        } else {
            let advice = "Lower the rate, or give bench its own cores.";
            caveat(
                "late-sends",
                format!("the generator fell behind: {what}"),
                advice,
                &["ttft", "e2e"],
            )
        }
    })
}

fn client_cpu(case: &Case<'_>) -> Option<Caveat> {
    let busy = case.evidence.client_cpu_max.filter(|&share| share > CLIENT_CPU_HIGH)?;
    let what = format!("load threads were busy {} of the time", pct(busy));
    Some(caveat("client-cpu", what, "Give bench more cores, or lower the load.", &[]))
}

fn recorder_stalled(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.recorder_stalls;
    (n > 0).then(|| {
        let what = format!("{n} finished exchanges had to wait for the disk");
        caveat("recorder-stalled", what, "Write the run directory to a faster disk.", &[])
    })
}

fn steal(case: &Case<'_>) -> Option<Caveat> {
    let stolen = case.evidence.steal_share_max;
    (stolen > STEAL).then(|| {
        let what = format!("the hypervisor took {} of a CPU", pct(stolen));
        caveat("steal", what, "Measure on a machine of your own.", &[])
    })
}

fn wall_drift(case: &Case<'_>) -> Option<Caveat> {
    let drift = case.evidence.drift_share_max;
    (drift > DRIFT).then(|| {
        let what = format!("the wall clock moved by {} against the monotonic clock", pct(drift));
        let advice = "Latencies are not touched; times of day in the events are.";
        caveat("wall-drift", what, advice, &[])
    })
}

fn failures(case: &Case<'_>) -> Option<Caveat> {
    let n: u64 = case.counts.errors.values().sum();
    (n > 0).then(|| {
        let kinds: Vec<String> =
            case.counts.errors.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let what =
            format!("{n} of {} requests failed: {}", case.counts.scheduled, kinds.join(", "));
        let advice =
            "Latencies are of complete answers alone; read the failure-inflated percentiles.";
        caveat("failures", what, advice, &[])
    })
}

fn cancelled_at_deadline(case: &Case<'_>) -> Option<Caveat> {
    let n: u64 = case.counts.cancelled.values().sum();
    (n > 0).then(|| {
        let causes: Vec<String> =
            case.counts.cancelled.iter().map(|(cause, n)| format!("{n} by {cause}")).collect();
        let scheduled = case.counts.scheduled;
        let what = format!("bench ended {n} of {scheduled} requests: {}", causes.join(", "));
        let advice = "The slowest answers are missing; lengthen the drain or lower the load.";
        caveat("cancelled", what, advice, &["ttft", "e2e", "tpot"])
    })
}

fn aborted(case: &Case<'_>) -> Option<Caveat> {
    let first = case.evidence.aborted.first()?;
    let what = format!("{} trials ended early: {first}", case.evidence.aborted.len());
    Some(caveat("aborted", what, "Run the cell again.", &[]))
}

fn not_steady(case: &Case<'_>) -> Option<Caveat> {
    let largest = |trends: &[Trend]| {
        trends
            .iter()
            .copied()
            .max_by(|a, b| a.relative_change.abs().total_cmp(&b.relative_change.abs()))
    };
    let told = |name: &str, trend: Trend| {
        format!(
            "{name} changed by {:+.0} % (p = {:.4})",
            trend.relative_change * 100.0,
            trend.p_value
        )
    };
    let found: Vec<String> = [
        largest(&case.evidence.output_trends).map(|trend| told("output throughput", trend)),
        largest(&case.evidence.ttft_trends).map(|trend| told("TTFT", trend)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!found.is_empty()).then(|| {
        let what = format!("not steady inside the window: {}", found.join(", "));
        let advice = "Lengthen the warm-up, or lower a rate that the engine cannot hold.";
        caveat("not-steady", what, advice, &["output_throughput", "ttft", "e2e"])
    })
}

fn warm_up_not_steady(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_unsteady_warm_ups;
    (n > 0).then(|| {
        let what = format!(
            "the warm-up of {n} of {} trials found no steady state",
            case.evidence.n_trials
        );
        caveat("warm-up-not-steady", what, "Allow it more rounds.", &[])
    })
}

fn to_the_end(case: &Case<'_>) -> Option<Caveat> {
    let what = match case.evidence.to_the_end? {
        // What was asked for is no doubt.
        ToTheEnd::Batch => return None,
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
        &["output_throughput", "request_throughput"],
    ))
}

fn partial_wave(case: &Case<'_>) -> Option<Caveat> {
    let (n, size) = case.evidence.partial_wave?;
    let waves = vec![size.to_string(); (n / size) as usize].join(" + ");
    let sum = if waves.is_empty() { n.to_string() } else { format!("{waves} + {}", n % size) };
    let what = format!("{n} requests at {size} at a time are {sum}: the last wave is not full");
    let advice = "Send a multiple, or many times, of the concurrency.";
    Some(caveat("partial-wave", what, advice, &["output_throughput", "request_throughput"]))
}

fn few_answers(case: &Case<'_>) -> Option<Caveat> {
    let missing: Vec<String> = case
        .distributions
        .get("ttft")?
        .percentiles
        .iter()
        .filter(|percentile| percentile.value.is_none() && percentile.p <= 99.0)
        .map(|percentile| format!("p{} needs {}", percentile.p, percentile.n_floor))
        .collect();
    (!missing.is_empty()).then(|| {
        let code = if case.counts.ok < MIN_ANSWERS { "few-answers" } else { "n-too-small" };
        let what = format!("{} answers: {}", case.counts.ok, missing.join(", "));
        caveat(code, what, "Send more requests or repeat trials.", &["ttft", "e2e", "tpot"])
    })
}

fn single_trial(case: &Case<'_>) -> Option<Caveat> {
    (case.evidence.n_trials == 1).then(|| {
        let what = "one trial: nothing is known of the spread between runs".to_owned();
        let advice = "Set trials to 3 or more before calling a small difference real.";
        caveat("single-trial", what, advice, &["output_throughput", "request_throughput"])
    })
}

fn output_counts_differ(case: &Case<'_>) -> Option<Caveat> {
    let off = case.evidence.output_counts.divergence().filter(|off| off.abs() > COUNTS_DIFFER)?;
    let what =
        format!("the tokenizer counts {:+.1} % output tokens against the engine", off * 100.0);
    let advice = "Check that the tokenizer is the model's; the engine's count is used.";
    Some(caveat("counts-differ", what, advice, &["output_throughput", "tpot"]))
}

fn prompt_counts_differ(case: &Case<'_>) -> Option<Caveat> {
    let off = case.evidence.prompt_counts.divergence().filter(|off| off.abs() > COUNTS_DIFFER)?;
    let what =
        format!("the tokenizer counts {:+.1} % prompt tokens against the engine", off * 100.0);
    let advice = "The engine may add a chat template or special tokens; its count is used.";
    Some(caveat("prompt-counts-differ", what, advice, &["prompt_throughput"]))
}

fn unknown_counts(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_unknown;
    (n > 0).then(|| {
        let what = format!(
            "{n} of {} answers have no token count and are not in token rates",
            case.counts.ok
        );
        let advice = "Give the data set a tokenizer, or an engine that sends usage.";
        caveat("unknown-counts", what, advice, &["output_throughput", "tpot"])
    })
}

fn multi_token_chunks(case: &Case<'_>) -> Option<Caveat> {
    let per_chunk =
        case.evidence.n_counted_tokens as f64 / case.evidence.n_counted_events.max(1) as f64;
    (case.evidence.n_counted_events > 0 && per_chunk > TOKENS_PER_CHUNK).then(|| {
        let what = format!("chunks hold {per_chunk:.2} tokens in the mean");
        let advice = "Compare TPOT, not the gaps between chunks.";
        caveat("multi-token-chunks", what, advice, &["icl", "itl"])
    })
}

fn coalesced(case: &Case<'_>) -> Option<Caveat> {
    let hidden = share(case.evidence.n_coalesced, case.evidence.n_gaps);
    (hidden > COALESCED).then(|| {
        let what = format!("{} of chunks arrived in one read with the chunk before", pct(hidden));
        let advice = "Their gap is 0 by reading, not by the engine: compare TPOT.";
        caveat("coalesced", what, advice, &["icl", "itl"])
    })
}

fn userspace_stamps(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_userspace;
    (n > 0).then(|| {
        let what =
            format!("{n} of {} answers were stamped by bench, not by the kernel", case.counts.ok);
        let advice = "Stamps are late by bench's own lag; use http:// and no proxy.";
        caveat("userspace-stamps", what, advice, &["ttft", "icl", "itl"])
    })
}

fn prefix_hits(case: &Case<'_>) -> Option<Caveat> {
    let hits =
        case.figures.value("prefix_cache_hit_rate").filter(|&hits| hits > PREFIX_HITS_PCT)?;
    let what = format!("{hits:.1} % of the prefix cache's lookups were hits");
    let advice =
        "Unless shared prefixes are what you measure, reset the cache or salt the prompts.";
    Some(caveat("prefix-cache", what, advice, &["ttft", "prompt_throughput"]))
}

fn prompts_repeat(case: &Case<'_>) -> Option<Caveat> {
    case.evidence.prompts_repeat.then(|| {
        let what =
            "the same prompts are sent again and nothing empties the prefix cache".to_owned();
        let advice = "Salt the prompts, or use an engine whose cache can be reset.";
        caveat("prompts-repeat", what, advice, &["ttft", "prompt_throughput"])
    })
}

fn engine_differs(case: &Case<'_>) -> Option<Caveat> {
    let theirs = case.figures.value("engine_output_throughput")?;
    let ours = case.figures.value("output_throughput").filter(|&ours| ours > 0.0)?;
    let off = theirs / ours - 1.0;
    (off.abs() > ENGINE_DIFFERS).then(|| {
        let what = format!("the engine says {theirs:.1} tok/s where {ours:.1} arrived ({:+.0} %)", off * 100.0);
        let advice = "Its window differs from ours by up to a sampling interval; look closer if that is not all.";
        caveat("engine-differs", what, advice, &["output_throughput"])
    })
}

fn truncated(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_truncated;
    (case.evidence.is_natural && n > 0).then(|| {
        let what = format!("{n} of {} answers were cut off at the length limit", case.counts.ok);
        caveat(
            "truncated",
            what,
            "Raise max_tokens where accuracy or natural lengths matter.",
            &["e2e"],
        )
    })
}

fn fallback(case: &Case<'_>) -> Option<Caveat> {
    let dataset = case.evidence.dataset.as_ref()?;
    let reason = dataset.fallback.as_ref()?;
    let what = format!(
        "data set `{}` was not to be had ({reason}); {} was used",
        dataset.name, dataset.origin
    );
    Some(caveat(
        "fallback",
        what,
        "Fetch it with `bench data fetch` to compare with the published rows.",
        &[],
    ))
}

fn duplicates(case: &Case<'_>) -> Option<Caveat> {
    let dataset = case.evidence.dataset.as_ref()?;
    let n_again = dataset.n_samples.saturating_sub(dataset.n_distinct);
    (n_again > 0).then(|| {
        let what = format!("{n_again} of {} rows repeat a prompt", dataset.n_samples);
        caveat(
            "duplicate-prompts",
            what,
            "Leave them out: a prefix cache answers them faster.",
            &["ttft"],
        )
    })
}

fn odd_streams(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_odd;
    (n > 0).then(|| {
        let what = format!("{n} of {} streams were odd: no or more than one end", case.counts.ok);
        caveat("odd-streams", what, "See `oddities` in the request records.", &[])
    })
}

fn answers_changed(case: &Case<'_>) -> Option<Caveat> {
    let (n, n_changed) = case.evidence.repeats;
    (n_changed > 0).then(|| {
        let what =
            format!("{n_changed} of {n} repeated questions got another answer than the first time");
        let advice =
            "Accuracy counts each first answer; at temperature 0 batching changes rounding.";
        caveat("answers-changed", what, advice, &["accuracy"])
    })
}

fn not_answered(case: &Case<'_>) -> Option<Caveat> {
    let (n_missing, n) = case.evidence.unanswered;
    (n_missing > 0).then(|| {
        let what = format!("{n_missing} of {n} items have no answer because their requests failed");
        caveat("not-answered", what, "Accuracy is of the answered items alone.", &["accuracy"])
    })
}

fn foreign_processes(evidence: &Evidence) -> Option<Caveat> {
    let first = evidence.foreign_gpu_processes.first()?;
    let n = evidence.foreign_gpu_processes.len();
    let what = format!("{n} processes that are not ours were on the GPUs, such as {first}");
    Some(caveat("foreign-gpu-processes", what, "Free the GPUs and run again.", &[]))
}

fn survivors(evidence: &Evidence) -> Option<Caveat> {
    let mut left: Vec<String> = evidence.survivors.iter().cloned().collect();
    if evidence.memory_left_bytes > 0 {
        left.push(format!("{} of device memory", bytes_for_people(evidence.memory_left_bytes)));
    }
    (!left.is_empty()).then(|| {
        let what = format!("the engine's stop left behind: {}", left.join(", "));
        caveat("survivors", what, "Run `bench doctor --reap`; later cells were not alone.", &[])
    })
}

fn gave_up(evidence: &Evidence) -> Option<Caveat> {
    let n = evidence.n_gave_up;
    (n > 0).then(|| {
        let what =
            format!("a scoring pattern took too many steps on {n} texts, counted as unparsed");
        caveat("pattern-gave-up", what, "Simplify the pattern.", &["accuracy"])
    })
}
