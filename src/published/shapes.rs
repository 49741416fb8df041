//! Specific shapes: a grid of input lengths by output lengths.

use crate::metrics::summary::CellSummary;
use crate::published::{Column, Note, PublishedTable};

/// Measured cells by input and output length.
#[derive(Clone, Debug)]
pub(crate) struct ShapeGrid<'a> {
    /// Further swept keys that the cells of this grid share: `engine=tiny`; may be empty.
    pub(crate) title: String,
    /// Input lengths, ascending.
    pub(crate) inputs: Vec<u64>,
    /// Output lengths, ascending.
    pub(crate) outputs: Vec<u64>,
    /// Cells, `[input][output]`; absent where the sweep leaves one out.
    pub(crate) cells: Vec<Vec<Option<&'a CellSummary>>>,
}

/// A cell at its input and output length.
type Placed<'a> = ((u64, u64), &'a CellSummary);

impl<'a> ShapeGrid<'a> {
    /// Lays cells out by their swept lengths, one grid per combination of the other keys.
    pub(crate) fn all_of(cells: &[&'a CellSummary]) -> Vec<Self> {
        let length = |cell: &CellSummary, key: &str| cell.keys.get(key)?.parse::<u64>().ok();
        let shape = |cell: &CellSummary| {
            Some((length(cell, "input-tokens")?, length(cell, "output-tokens")?))
        };
        let title = |cell: &CellSummary| {
            let others = cell.keys.iter();
            let others =
                others.filter(|(key, _)| !matches!(key.as_str(), "input-tokens" | "output-tokens"));
            let told = others.map(|(key, value)| format!("{key}={value}"));
            told.collect::<Vec<_>>().join(", ")
        };
        let mut grids: Vec<(String, Vec<Placed<'a>>)> = Vec::new();
        for cell in cells {
            let Some(at) = shape(cell) else { continue };
            let title = title(cell);
            match grids.iter_mut().find(|(found, _)| *found == title) {
                Some((_, placed)) => placed.push((at, cell)),
                None => grids.push((title, vec![(at, cell)])),
            }
        }
        grids.into_iter().map(|(title, placed)| Self::of(title, &placed)).collect()
    }

    fn of(title: String, placed: &[Placed<'a>]) -> Self {
        let lengths = |of: fn(&(u64, u64)) -> u64| {
            let mut lengths: Vec<u64> = placed.iter().map(|(at, _)| of(at)).collect();
            lengths.sort_unstable();
            lengths.dedup();
            lengths
        };
        let (inputs, outputs) = (lengths(|at| at.0), lengths(|at| at.1));
        let at = |input: u64, output: u64| {
            placed.iter().find(|(at, _)| *at == (input, output)).map(|(_, cell)| *cell)
        };
        let cells = inputs
            .iter()
            .map(|input| outputs.iter().map(|output| at(*input, *output)).collect())
            .collect();
        Self { title, inputs, outputs, cells }
    }
}

/// Returns the table, of which the source prints the heading alone.
pub(crate) fn table() -> PublishedTable {
    PublishedTable {
        name: "shapes",
        title: "Specific shapes",
        setting: "announced beside the serving and offline blocks of the same source",
        key_columns: vec![Column::name("input_tokens", "Input tokens")],
        columns: Vec::new(),
        rows: Vec::new(),
        derivations: &[],
        row_value: None,
        notes: &[Note {
            column: "",
            text: "The source announces an example of specific shapes and prints none: there is nothing to compare with.",
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::measured_cell;

    #[test]
    fn cells_are_laid_out_by_length_and_a_missing_one_is_a_gap() {
        let cells: Vec<CellSummary> = [("128", "8"), ("16", "8"), ("16", "32")]
            .into_iter()
            .map(|(input, output)| {
                let mut cell = measured_cell(&format!("{input}x{output}"), "fp32");
                cell.keys.insert("input-tokens".to_owned(), input.to_owned());
                cell.keys.insert("output-tokens".to_owned(), output.to_owned());
                cell.keys.shift_remove("precision");
                cell
            })
            .collect();
        let grids = ShapeGrid::all_of(&cells.iter().collect::<Vec<_>>());
        let [grid] = &grids[..] else { panic!("one grid, not {}", grids.len()) };
        assert_eq!((&grid.inputs[..], &grid.outputs[..]), (&[16, 128][..], &[8, 32][..]));
        let names: Vec<Vec<Option<&str>>> = grid
            .cells
            .iter()
            .map(|row| row.iter().map(|cell| cell.map(|cell| cell.name.as_str())).collect())
            .collect();
        assert_eq!(names, [[Some("16x8"), Some("16x32")], [Some("128x8"), None]]);
    }
}
