//! Doubts about the grader, each with three examples: they stand at accuracy's own cell.

use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats::{Case, caveat};
use crate::metrics::summary::Caveat;
use crate::score::findings::Finding;

/// Share of unread items above which accuracy is a finding about the extractor.
const MOST: f64 = 0.5;
/// Share of items above which two extractors differ by more than the few odd answers that any
/// model gives.
const MANY: f64 = 0.05;
/// Share of items above which a loss of accuracy is seen in its first decimal.
const SOME: f64 = 0.01;

fn told(
    case: &Case<'_>,
    (kind, share): (Finding, f64),
    code: &'static str,
    what: impl Fn(u64, u64, &str) -> String,
    advice: &'static str,
) -> Option<Caveat> {
    let findings = &case.evidence.findings;
    let (n, examples) = findings.above(kind, share)?;
    let what = format!("{}: {examples}", what(n, findings.n, &findings.headline));
    Some(caveat(code, what, advice, &[MetricId::Accuracy]))
}

pub(super) fn unparsed(case: &Case<'_>) -> Option<Caveat> {
    let what =
        |n, n_all, headline: &str| format!("`{headline}` reads no answer in {n} of {n_all} items");
    let advice = "This says more of the extractor than of the model: try `bench score DIR --extract number`.";
    told(case, (Finding::Unparsed, MOST), "unparsed", what, advice)
}

pub(super) fn extractors_differ(case: &Case<'_>) -> Option<Caveat> {
    let what = |n, n_all, headline: &str| {
        format!("`{headline}` and the second extractor judge {n} of {n_all} items differently")
    };
    let advice = "`bench score DIR --items differs` shows them; let the one that reads rightly be the first.";
    told(case, (Finding::Differs, MANY), "extractors-differ", what, advice)
}

pub(super) fn thinking_seen(case: &Case<'_>) -> Option<Caveat> {
    let what = |n, n_all, _: &str| {
        format!("thinking stands in {n} of {n_all} answers, and an extractor reads it as answer")
    };
    let advice = "Set think = \"strip\" in the score, or a reasoning parser in the engine.";
    told(case, (Finding::Thinking, 0.0), "thinking-graded", what, advice)
}

pub(super) fn answers_truncated(case: &Case<'_>) -> Option<Caveat> {
    let what = |n, n_all, _: &str| {
        format!(
            "{n} of {n_all} answers were cut off or ended in their thinking, and are not correct"
        )
    };
    told(case, (Finding::Truncated, SOME), "answers-truncated", what, "Raise max-tokens.")
}

pub(super) fn wrong_by_format(case: &Case<'_>) -> Option<Caveat> {
    let what = |n, n_all, headline: &str| {
        format!("{n} of {n_all} answers are wrong by format alone to `{headline}`")
    };
    let advice = "Compare as numbers: compare = \"numeric\", or the extractor `number`.";
    told(case, (Finding::WrongByFormat, SOME), "wrong-by-format", what, advice)
}
