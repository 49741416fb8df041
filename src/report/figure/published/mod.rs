//! The figures of published tables, under the names of their files.

mod engines;
mod summary_table;

use crate::report::figure::FigureView;
use crate::report::input::Input;

/// Draws the figures of the published table that the scenario names.
pub fn figures(input: &Input<'_>) -> Vec<FigureView> {
    match input.plan.published.as_ref().map(|published| published.table.as_str()) {
        Some("vllm_vs_sglang") => {
            engines::figures(input).into_iter().chain(summary_table::figure(input)).collect()
        }
        _ => Vec::new(),
    }
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
            });
            let plan = Plan { published, ..input.plan.clone() };
            figures(&Input { plan: &plan, ..*input })
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
