//! The measured cells in the shape of the published table that the scenario names.

mod batch_sweep;
mod findings;
mod grid;
pub(crate) mod lineup;
mod speed_and_accuracy;

use serde::Serialize;

use crate::metrics::summary::CellSummary;
use crate::report::input::Input;
use crate::report::view::caveats::Marks;
use crate::report::view::details::DETAIL_CELLS_MAX;
use crate::report::view::results;
use crate::report::view::table::Table;

/// One table in a published shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ShapeView {
    /// Title.
    pub title: String,
    /// The table.
    pub table: Table,
    /// Legends and rules below it, one line each.
    pub notes: Vec<String>,
}

/// Makes the tables of the published table's shape; none where the scenario names no table, and
/// none of the two result blocks, which each cell has of its own.
pub(crate) fn shapes(input: &Input<'_>, marks: &Marks) -> Vec<ShapeView> {
    let Some(published) = &input.plan.published else { return Vec::new() };
    let cells = input.summary.cells.iter().filter(|cell| !results::is_skipped(cell));
    let cells: Vec<&CellSummary> = cells.collect();
    let first = &cells[..cells.len().min(DETAIL_CELLS_MAX)];
    let mut shapes = match published.table.as_str() {
        "batch_sweep" => batch_sweep::shapes(input, first, marks),
        "billion_tokens" => vec![lineup::shape(input, first, marks)],
        "vllm_vs_sglang" => findings::shapes(&cells),
        "shapes" => {
            let mut measured = first.to_vec();
            measured.retain(|cell| cell.validity.status.is_measured());
            grid::shapes(&measured, marks)
        }
        "tinyllama_gsm8k" => vec![speed_and_accuracy::shape(input, first, marks)],
        _ => Vec::new(),
    };
    shapes.retain(|shape| !shape.table.is_empty());
    if cells.len() > first.len() && published.table != "vllm_vs_sglang" {
        for shape in &mut shapes {
            shape.table.left_out = format!(
                "The first {} of {} cells; summary.csv holds all.",
                first.len(),
                cells.len()
            );
        }
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    fn told(table: &str, keys: &[(&str, &str)]) -> Vec<String> {
        sample_run::with_published(table, keys, |input| {
            let shapes = shapes(input, &Marks::default());
            shapes
                .iter()
                .flat_map(|shape| {
                    let header =
                        shape.table.columns.iter().map(crate::report::view::table::Column::title);
                    let rows = shape.table.rows.iter().take(2).map(|row| {
                        row.iter()
                            .map(crate::report::view::table::TableCell::line)
                            .collect::<Vec<_>>()
                            .join(" | ")
                    });
                    [shape.title.clone(), header.collect::<Vec<_>>().join(" | ")]
                        .into_iter()
                        .chain(rows)
                        .chain(shape.notes.iter().cloned())
                        .collect::<Vec<_>>()
                })
                .collect()
        })
    }

    #[test]
    fn each_published_table_has_its_own_shape() {
        let mut all = Vec::new();
        for (table, keys) in [
            ("batch_sweep", &[("dataset", "fixed"), ("batch", "4")][..]),
            ("billion_tokens", &[("speculative", "ngram:5"), ("tensor-parallel", "2")]),
            ("vllm_vs_sglang", &[("concurrency", "20")]),
            ("shapes", &[("input-tokens", "128"), ("output-tokens", "32")]),
            ("tinyllama_gsm8k", &[]),
            ("serving", &[]),
        ] {
            all.push(format!("== {table}"));
            all.extend(told(table, keys));
        }
        insta::assert_snapshot!(all.join("\n"));
    }
}
