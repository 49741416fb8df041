//! Doubts about questions and answers.

use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats::{Case, caveat, counted};
use crate::metrics::summary::Caveat;
use crate::record::request::Oddity;

pub(super) fn truncated(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_truncated;
    (case.evidence.is_natural && n > 0).then(|| {
        let what = format!("{n} of {} answers were cut off at the length limit", case.counts.ok);
        caveat(
            "truncated",
            what,
            "Raise max_tokens where accuracy or natural lengths matter.",
            &[MetricId::E2e],
        )
    })
}

pub(super) fn not_as_long_as_asked(case: &Case<'_>) -> Option<Caveat> {
    let what = case.evidence.lengths.told(case.counts.ok)?;
    let advice = "The server does not keep to `ignore-eos` or `max-tokens`: read whole answers' times \
                  and rates of requests as of these lengths.";
    let touched = [MetricId::E2e, MetricId::RequestThroughput, MetricId::OutputThroughput];
    Some(caveat("lengths-not-kept", what, advice, &touched))
}

pub(super) fn fallback(case: &Case<'_>) -> Option<Caveat> {
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

pub(super) fn warmed_up_with_them(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.dataset.as_ref()?.n_shared_with_warm_up;
    (n > 0 && !case.evidence.is_salted).then(|| {
        let what = format!("{n} rows were sent in the warm-up and measured again");
        let advice = "A prefix cache may know them: give the data set more rows, or set salt.";
        caveat("warm-up-shared", what, advice, &[MetricId::Ttft])
    })
}

pub(super) fn duplicates(case: &Case<'_>) -> Option<Caveat> {
    let dataset = case.evidence.dataset.as_ref()?;
    let n_again = dataset.n_samples.saturating_sub(dataset.n_distinct);
    (n_again > 0).then(|| {
        let what = format!("{n_again} of {} rows repeat a prompt", dataset.n_samples);
        caveat(
            "duplicate-prompts",
            what,
            "Leave them out: a prefix cache answers them faster.",
            &[MetricId::Ttft],
        )
    })
}

pub(super) fn odd_streams(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_odd;
    (n > 0).then(|| {
        let mut kinds: Vec<_> = case.evidence.oddities.iter().collect();
        kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let words: Vec<String> =
            case.evidence.finish_words.iter().map(|word| format!("{word:?}")).collect();
        let said = |kind: &Oddity| match kind {
            Oddity::FinishReason if !words.is_empty() => format!(" ({})", words.join(", ")),
            _ => String::new(),
        };
        let told: Vec<String> =
            kinds.iter().map(|(kind, n)| format!("{n} {}{}", kind.told(), said(kind))).collect();
        let scheduled = case.counts.scheduled;
        let what = format!("{n} of {scheduled} answers were odd: {}", told.join(", "));
        let advice = "They were read leniently; see `oddities` in the request records.";
        caveat("odd-streams", what, advice, &[])
    })
}

pub(super) fn answers_changed(case: &Case<'_>) -> Option<Caveat> {
    let (n, n_changed) = case.evidence.repeats;
    (n_changed > 0).then(|| {
        let what =
            format!("{n_changed} of {n} repeated questions got another answer than the first time");
        let advice =
            "Accuracy counts each first answer; at temperature 0 batching changes rounding.";
        caveat("answers-changed", what, advice, &[MetricId::Accuracy])
    })
}

pub(super) fn not_answered(case: &Case<'_>) -> Option<Caveat> {
    let (n_missing, n) = case.evidence.unanswered;
    (n_missing > 0).then(|| {
        let what = format!("{n_missing} of {n} items have no answer because their requests failed or were cancelled");
        let advice = if case.evidence.is_accuracy_withheld {
            "Accuracy is withheld: these are more than `max-failures`."
        } else {
            "Accuracy is of the answered items alone."
        };
        caveat("not-answered", what, advice, &[MetricId::Accuracy])
    })
}

pub(super) fn gave_up(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_gave_up;
    (n > 0).then(|| {
        let what = format!(
            "a scoring pattern took too many steps on {}, counted as unparsed",
            counted(n, "text")
        );
        caveat("pattern-gave-up", what, "Simplify the pattern.", &[MetricId::Accuracy])
    })
}
