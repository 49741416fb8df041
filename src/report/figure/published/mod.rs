//! The figures of published tables, under the names of their files.

mod engines;
mod summary_table;

use crate::report::figure::FigureView;
use crate::report::figure::alternatives::Alternatives;
use crate::report::figure::overview::speed_load_accuracy;
use crate::report::input::Input;

/// Figures of every run that say the same as one of a published table.
const SAME: [(&str, &str); 4] = [
    ("overview", TINYLLAMA),
    ("throughput-over-load", "throughput_all_combined"),
    ("latency-heat-map", "latency_heatmap"),
    ("scaling-efficiency", "scaling_efficiency"),
];

/// The graph that the table of TinyLlama announces and never had.
const TINYLLAMA: &str = "tinyllama_gsm8k";

/// Draws the figures of the published table that the scenario names.
pub(super) fn figures(input: &Input<'_>, alternatives: &Alternatives<'_>) -> Vec<FigureView> {
    match input.plan.published.as_ref().map(|published| published.table.as_str()) {
        Some("vllm_vs_sglang") => {
            let all = engines::series(input, alternatives);
            engines::figures(&all).into_iter().chain(summary_table::figure(&all)).collect()
        }
        Some(TINYLLAMA) => {
            let title = "TinyLlama on GSM8K: speed, load time and accuracy";
            speed_load_accuracy(input, alternatives, TINYLLAMA, title).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the place of the one that shows the same as the figure `id`.
pub(super) fn that_shows(published: &[FigureView], id: &str) -> Option<usize> {
    let (_, own) = SAME.iter().find(|(general, _)| *general == id)?;
    published.iter().position(|figure| figure.id == *own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, PublishedPlan};
    use crate::report::tests::sample_run;

    #[test]
    fn the_six_published_figures_are_drawn_under_their_names() {
        let figures = sample_run::with_sweep(|input| {
            let published = Some(PublishedPlan {
                table: "vllm_vs_sglang".to_owned(),
                rows: indexmap::IndexMap::new(),
                names: std::collections::BTreeMap::new(),
                stand_ins: false,
            });
            let plan = Plan { published, ..input.plan.clone() };
            let input = Input { plan: &plan, ..*input };
            figures(&input, &Alternatives::of(&input))
        });
        let names = crate::published::vllm_vs_sglang::figure_names();
        assert_eq!(
            figures.iter().map(|figure| &figure.id).collect::<Vec<_>>(),
            names.iter().collect::<Vec<_>>()
        );
        let all: Vec<&str> =
            figures.iter().flat_map(|it| [&*it.id, &*it.title, &*it.svg]).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
