//! Doubts about what was counted and what the engine says of itself.

use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats::{Case, caveat};
use crate::metrics::figures::unknown;
use crate::metrics::summary::Caveat;

/// Share by which two counts of the same tokens may differ.
const COUNTS_DIFFER: f64 = 0.01;
/// Tokens per chunk from which chunks are no longer tokens.
const TOKENS_PER_CHUNK: f64 = 1.05;
/// How much TPOT may be open without a word, in milliseconds and as a share of it.
const TPOT_OPEN_MS: f64 = 0.1;
const TPOT_OPEN_SHARE: f64 = 0.01;
/// Prefix cache hits, per cent, that a cold workload does not have.
const PREFIX_HITS_PCT: f64 = 1.0;
/// Difference of the engine's own count from what arrived in the same time that deserves a look.
const ENGINE_DIFFERS: f64 = 0.05;
/// The same for the rates in its log, which cover some seconds each and are read once a second.
const LOG_DIFFERS: f64 = 0.15;

pub(super) fn output_counts_differ(case: &Case<'_>) -> Option<Caveat> {
    let off = case.evidence.output_counts.divergence();
    let off = off.filter(|off| off.abs() > COUNTS_DIFFER && !case.evidence.is_simulated)?;
    let what =
        format!("the tokenizer counts {:+.1} % output tokens against the engine", off * 100.0);
    let advice = "Check that the tokenizer is the model's; the engine's count is used.";
    Some(caveat("counts-differ", what, advice, &[MetricId::OutputThroughput, MetricId::Tpot]))
}

pub(super) fn prompt_counts_differ(case: &Case<'_>) -> Option<Caveat> {
    let off = case.evidence.prompt_counts.divergence();
    let off = off.filter(|off| off.abs() > COUNTS_DIFFER && !case.evidence.is_simulated)?;
    let what =
        format!("the tokenizer counts {:+.1} % prompt tokens against the engine", off * 100.0);
    let advice = "The engine may add a chat template or special tokens; its count is used.";
    Some(caveat("prompt-counts-differ", what, advice, &[MetricId::PromptThroughput]))
}

pub(super) fn engine_reads_others(case: &Case<'_>) -> Option<Caveat> {
    let asked = &case.evidence.dataset.as_ref()?.engine_tokens;
    let others: Vec<_> = asked.iter().filter(|tokens| !tokens.agrees()).collect();
    let first = others.first()?;
    let how = if first.begins_twice {
        format!("row {} begins twice with the tokens that stand in front of all", first.row + 1)
    } else {
        let (n, n_engine, at) = (first.n, first.n_engine, first.n_same + 1);
        let row = first.row + 1;
        format!("row {row} is {n} tokens, the engine's {n_engine}, and they part at token {at}")
    };
    let what = format!(
        "the engine's tokenizer reads {} of {} prompts in other tokens than the data set's: {how}",
        others.len(),
        asked.len()
    );
    let advice = "Give the data set the engine's own tokenizer; render with chat-template = \
                  \"tokens\" to send ids. Tokens counted here are not the engine's.";
    let metrics = [MetricId::PromptThroughput, MetricId::Ttft, MetricId::Accuracy];
    Some(caveat("prompt-ids-differ", what, advice, &metrics))
}

pub(super) fn unknown_counts(case: &Case<'_>) -> Option<Caveat> {
    let (n, n_prompt, n_ok) =
        (case.evidence.n_unknown, case.evidence.n_prompt_unknown, case.counts.ok);
    let told = |n: u64, of: &str| {
        let then = match unknown(n, n_ok) {
            Some(_) => ": too many for a rate of them",
            None => ", and are in no rate of them",
        };
        format!("{n} of {n_ok} answers have no count of {of} tokens{then}")
    };
    let what = match (n, n_prompt) {
        (0, 0) => return None,
        (_, 0) => told(n, "output"),
        (0, _) => told(n_prompt, "prompt"),
        (_, _) if n == n_prompt => told(n, "output and prompt"),
        (_, _) => format!("{}; {}", told(n, "output"), told(n_prompt, "prompt")),
    };
    let advice = "Give the data set a tokenizer (--tokenizer of `bench quick`), or an engine that \
                  sends usage.";
    let metrics: &[MetricId] = if n > 0 {
        &[MetricId::OutputThroughput, MetricId::Tpot]
    } else {
        &[MetricId::PromptThroughput]
    };
    Some(caveat("unknown-counts", what, advice, metrics))
}

pub(super) fn multi_token_chunks(case: &Case<'_>) -> Option<Caveat> {
    let per_chunk =
        case.evidence.n_counted_tokens as f64 / case.evidence.n_counted_events.max(1) as f64;
    (case.evidence.n_counted_events > 0 && per_chunk > TOKENS_PER_CHUNK).then(|| {
        let what = format!("chunks hold {per_chunk:.2} tokens in the mean");
        let advice = "Compare TPOT, not the gaps between chunks.";
        caveat("multi-token-chunks", what, advice, &[MetricId::Icl, MetricId::Itl])
    })
}

pub(super) fn tpot_bound(case: &Case<'_>) -> Option<Caveat> {
    let bound = case.evidence.tpot_bound?;
    let open = bound.most_ms - bound.least_ms;
    (open > TPOT_OPEN_MS && open > TPOT_OPEN_SHARE * bound.least_ms).then(|| {
        let (why, advice) = if 2 * bound.n_fewer > bound.n_open {
            (
                "the engine counts fewer tokens than chunks with text",
                "Give the data set a tokenizer; look for a count that is not of the whole answer, \
                 or a proxy that cuts tokens in parts.",
            )
        } else if 2 * bound.n_blocks > bound.n_open {
            (
                "more chunks arrived in one piece with the first",
                "Look for a proxy that lets streams through in blocks (nginx: `proxy_buffering \
                 off`): TPOT by the engine's steps is then the higher one.",
            )
        } else if case.evidence.output_counts.divergence().is_some() {
            (
                "the tokenizer's tokens of chunks do not add up to the engine's count",
                "Check that the tokenizer is the model's.",
            )
        } else {
            (
                "nobody says how many tokens the first chunk holds",
                "Give the data set a tokenizer, or the engine `quirks.continuous-usage`.",
            )
        };
        let what = format!(
            "{why} in {} of {} answers: the median TPOT may be up to {open:.2} ms higher, between \
             {:.2} and {:.2} ms",
            bound.n_open, case.counts.ok, bound.least_ms, bound.most_ms
        );
        caveat("tpot-bound", what, advice, &[MetricId::Tpot, MetricId::Itl])
    })
}

pub(super) fn tpot_unseen(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_tpot_unseen;
    (n > 0).then(|| {
        let is_measured = case.distributions.contains_key(&MetricId::Tpot);
        let ok = case.counts.ok;
        let what = if is_measured {
            format!("TPOT is not of {n} of {ok} answers, whose tokens bench looked at late")
        } else {
            format!("no TPOT: bench looked late at the tokens of {n} of {ok} answers")
        };
        let advice = "The bounds of a TPOT hold them too; give bench a core of its own.";
        caveat("tpot-unseen", what, advice, &[MetricId::Tpot])
    })
}

pub(super) fn late_burst(case: &Case<'_>) -> Option<Caveat> {
    let first = case.evidence.first_burst?;
    let what = format!(
        "{} of {} answers came in one late burst, such as {} tokens within {} after {} of silence",
        case.evidence.n_bursts, case.counts.ok, first.n_tokens, first.within, first.after
    );
    let advice = "They have no TPOT or ITL; look for a proxy that holds streams back, or an engine \
                  that does not stream.";
    Some(caveat("late-burst", what, advice, &[MetricId::Tpot, MetricId::Itl]))
}

pub(super) fn prefix_hits(case: &Case<'_>) -> Option<Caveat> {
    let hits =
        case.figures.value(MetricId::PrefixCacheHitRate).filter(|&hits| hits > PREFIX_HITS_PCT)?;
    let what = format!("{hits:.1} % of the prefix cache's lookups were hits");
    let advice =
        "Unless shared prefixes are what you measure, reset the cache or salt the prompts.";
    Some(caveat("prefix-cache", what, advice, &[MetricId::Ttft, MetricId::PromptThroughput]))
}

pub(super) fn prompts_repeat(case: &Case<'_>) -> Option<Caveat> {
    // Where the hit rate is known, `prefix_hits` has the word.
    let is_known = case.figures.value(MetricId::PrefixCacheHitRate).is_some();
    (case.evidence.prompts_repeat && !is_known).then(|| {
        let what =
            "the same prompts are sent again, and whether a prefix cache answers them is not known"
                .to_owned();
        let advice = "Salt the prompts, or use an engine whose cache can be reset.";
        caveat("prompts-repeat", what, advice, &[MetricId::Ttft, MetricId::PromptThroughput])
    })
}

pub(super) fn engine_differs(case: &Case<'_>) -> Option<Caveat> {
    let counts = case.evidence.engine_tokens?;
    let (theirs, ours) = counts.rates();
    let off = counts.divergence();
    (off.abs() > ENGINE_DIFFERS && ours > 0.0)
        .then(|| rate_differs("engine-differs", "the engine's counter", theirs, ours))
}

pub(super) fn engine_log_differs(case: &Case<'_>) -> Option<Caveat> {
    let theirs = case.figures.value(MetricId::EngineLogThroughput)?;
    let ours = case.figures.value(MetricId::OutputThroughput).filter(|&ours| ours > 0.0)?;
    ((theirs / ours - 1.0).abs() > LOG_DIFFERS)
        .then(|| rate_differs("engine-log-differs", "the engine's log", theirs, ours))
}

fn rate_differs(code: &'static str, who: &str, theirs: f64, ours: f64) -> Caveat {
    let pct = (theirs / ours - 1.0) * 100.0;
    let what = format!("{who} says {theirs:.1} tok/s where {ours:.1} arrived ({pct:+.0} %)");
    let advice = "Tokens are lost, hidden or counted otherwise between the engine and here.";
    caveat(code, what, advice, &[MetricId::OutputThroughput])
}
