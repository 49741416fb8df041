//! What templates can use: each variable with its meaning, and its value in one report.

use serde_json::json;

use crate::report::view::ReportView;

/// Variables of a report's templates and what they hold, in the order of [`ReportView`].
const VARIABLES: &[(&str, &str)] = &[
    ("title", "Title of the scenario."),
    ("description", "What the scenario is for; may be empty."),
    ("template", "Stem of the template that the scenario asks for."),
    ("watermark", "Said in large letters when the run did not reach its end; else empty."),
    ("run", "Which run this is: name, start, seed."),
    ("wall_time", "Where its wall time went, in a sentence; empty for a run without time."),
    ("headline", "The answer, one sentence per question."),
    (
        "decision",
        "Which cell is to be taken: `answer`, `sentences`, `table`; none where nothing is asked for.",
    ),
    ("states", "How many cells are in which state, the best first: `6 ok`, `1 INVALID`."),
    ("alternatives", "The leader beside each other alternative at each load."),
    ("alternatives_title", "What that table is called."),
    ("results", "Measured, failed and unfinished cells."),
    ("skipped", "Cells that could not run, and why."),
    ("skipped_line", "The same in one line."),
    ("troubled", "Cells whose numbers are not to be believed, or that failed, and why."),
    ("gates", "Gates, those that were not passed first."),
    ("bounds", "Numbers that are doubtful or INVALID, with the ends between which they lie."),
    ("with_failures", "Percentiles in which failed requests are slower than all others."),
    ("published", "The published table beside the measured rows."),
    ("shapes", "The measured cells in the shape of the published table."),
    ("compatibility", "Devices that are too old for an engine of the plan, one sentence each."),
    ("caveats", "Doubts, numbered."),
    ("remedies", "The same by what helps against them."),
    (
        "cells",
        "Every number of the first cells by its name, for templates that choose their columns.",
    ),
    ("serving", "Result blocks of vLLM's serving benchmark."),
    ("offline", "Result blocks of an offline job."),
    ("figures", "Single figures."),
    ("distributions", "Distributions."),
    ("accuracy", "Answers by class."),
    ("references", "Answers beside those of reference cells."),
    ("counts", "Requests by their end."),
    ("load", "Starts of engines."),
    ("records", "Where the records of each cell and trial lie."),
    ("conditions", "Under which conditions cells were measured."),
    ("environment", "The machine."),
    ("engines", "Engines."),
    ("datasets", "Data sets."),
    ("charts", "Charts."),
    ("instrument", "What bench itself adds on this machine."),
    ("full", "Whether Markdown says everything, rather than what a person looks at first."),
    ("rows_max", "Rows of each table in Markdown at most; 0 for all."),
    ("caveats_max", "Caveats in Markdown at most; 0 for all."),
];

/// Returns the names of the variables.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, _)| *name)
}

/// Prints the variables and the whole view as JSON. In a template each is at hand by its name, and
/// all of them as `view`.
pub(crate) fn render(view: &ReportView) -> String {
    let variables: Vec<_> = VARIABLES
        .iter()
        .map(|(name, meaning)| json!({ "name": name, "meaning": meaning }))
        .collect();
    let document = json!({
        "variables": variables,
        "macros": "{% from \"_tables.md.j2\" import table, chosen, facts, opening, own_shape, beside %}",
        "filters": ["code", "and those of minijinja"],
        "view": view,
    });
    let text = serde_json::to_string_pretty(&document).expect("a view is plain data");
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn every_variable_has_a_meaning_and_every_meaning_a_variable() {
        let printed: serde_json::Value =
            serde_json::from_str(&render(&sample_run::view())).unwrap();
        let mut of_view: Vec<&str> =
            printed["view"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut told: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
        of_view.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, of_view);
        assert_eq!(printed["variables"][0]["meaning"], "Title of the scenario.");
    }
}
