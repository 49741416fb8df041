//! Which alternative a cell is of: its colour, the same in every figure.

use std::collections::BTreeMap;

use crate::ids::CellId;
use crate::metrics::compare::sides::{alternatives, side_cells, sides_by};
use crate::metrics::compare::{Side, SideCell};
use crate::metrics::saturation::{LoadCurve, load_curves};
use crate::metrics::summary::{CellSummary, Figure, NumberState};
use crate::report::cell_name::CellNames;
use crate::report::input::Input;
use crate::report::untrusted::line;

/// The alternatives among the measured cells of a run, INVALID ones included.
pub(crate) struct Alternatives<'a> {
    sides: Vec<Side<'a>>,
    of_cell: BTreeMap<&'a CellId, usize>,
    names: CellNames,
}

/// One alternative at rising load.
pub(crate) struct LoadLine<'a> {
    /// Name of the alternative, with what else tells the line from its others.
    pub(crate) name: String,
    /// Colour of the alternative.
    pub(crate) colour: usize,
    /// Which of the alternative's lines it is.
    pub(crate) nth: usize,
    /// Loads and cells.
    pub(crate) curve: LoadCurve<'a>,
}

impl<'a> Alternatives<'a> {
    pub(crate) fn of(input: &Input<'a>) -> Self {
        let is_measured = |side: &SideCell<'_>| side.cell.validity.status.is_measured();
        let mut cells = side_cells(input.plan, input.summary);
        // What was measured has the first colours; what failed or was skipped has others.
        cells.sort_by_key(|side| !is_measured(side));
        let of_cell = colours(cells.clone());
        cells.retain(is_measured);
        let measured: Vec<&CellSummary> = cells.iter().map(|side| side.cell).collect();
        let (keys, names) = (alternatives(&cells), CellNames::of(&measured));
        Self { sides: sides_by(cells, &keys), of_cell, names }
    }

    /// Names a cell by what tells it from the others.
    pub(crate) fn cell_name(&self, cell: &CellSummary) -> String {
        self.names.name(cell)
    }

    /// Returns the colour of a cell, measured or not.
    pub(crate) fn colour(&self, cell: &CellSummary) -> usize {
        self.of_cell.get(&cell.id).copied().unwrap_or_default()
    }

    /// Returns name, colour and cells of each alternative.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, usize, Vec<&'a CellSummary>)> {
        self.sides.iter().enumerate().map(|(colour, side)| {
            let cells = side.cells.iter().map(|cell| cell.cell).collect();
            (name(side), colour, cells)
        })
    }

    /// Returns the alternatives whose load rises, each at its loads.
    pub(crate) fn load_lines(&self) -> Vec<LoadLine<'a>> {
        let of_side = |(colour, side): (usize, &Side<'a>)| {
            let lines = load_curves(side).into_iter().enumerate().map(move |(nth, curve)| {
                let at = curve.at.iter().map(|(key, value)| format!("{key}={value}"));
                let name: Vec<String> = std::iter::once(name(side)).chain(at).collect();
                LoadLine { name: line(&name.join(", ")), colour, nth, curve }
            });
            lines.collect::<Vec<_>>()
        };
        let mut lines: Vec<LoadLine<'a>> =
            self.sides.iter().enumerate().flat_map(of_side).collect();
        // Lines over different keys have no axis in common: the first key's are shown.
        let key = lines.first().map(|line| line.curve.key.clone());
        lines.retain(|line| Some(&line.curve.key) == key.as_ref());
        lines
    }
}

/// Gives each alternative a colour, in the order of the cells.
fn colours(cells: Vec<SideCell<'_>>) -> BTreeMap<&CellId, usize> {
    let keys = alternatives(&cells);
    let sides = sides_by(cells, &keys).into_iter().enumerate();
    sides.flat_map(|(at, side)| side.cells.into_iter().map(move |it| (&it.cell.id, at))).collect()
}

/// Names an alternative; one that stands alone by its engine.
fn name(side: &Side<'_>) -> String {
    if !side.name.is_empty() {
        return line(&side.name);
    }
    let engine = side.cells.first().and_then(|cell| cell.cell.keys.get("engine"));
    engine.map_or_else(|| "measured".to_owned(), |engine| line(engine))
}

/// Whether a number is to be drawn hollow: it is doubtful or INVALID, as tables mark it, or its cell
/// has none that stand. What makes one number of a cell doubtful says nothing of the others.
pub(crate) fn is_hollow(cell: &CellSummary, figures: &[&Figure]) -> bool {
    !cell.takes_part() || figures.iter().any(|figure| figure.state > Some(NumberState::Ok))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::metrics::summary::CellStatus;
    use crate::metrics::tests::fixture::measured_cell;

    #[test]
    fn a_number_is_hollow_for_its_own_doubt_alone() {
        let mut cell = measured_cell("a", "fp16");
        let doubtful = Figure { state: Some(NumberState::Doubtful), ..Figure::default() };
        let sure = Figure::default();
        cell.validity.status = CellStatus::Doubtful;
        let told = |cell: &CellSummary| [&sure, &doubtful].map(|it| is_hollow(cell, &[it]));
        assert_eq!(told(&cell), [false, true]);
        cell.validity.status = CellStatus::Failed;
        assert_eq!(told(&cell), [true, true]);
    }

    #[test]
    fn what_failed_has_a_colour_that_nothing_measured_has() {
        let cell = |engine: &str, streams: &str| {
            let mut cell = measured_cell(&format!("{engine}-{streams}"), "fp16");
            cell.keys.insert("engine".to_owned(), engine.to_owned());
            cell.keys.insert("concurrency".to_owned(), streams.to_owned());
            cell
        };
        let cells = [cell("ok", "1"), cell("ok", "8"), cell("failing", "1"), cell("ok", "64")];
        let sides = cells.iter().map(|cell| SideCell {
            cell,
            keys: cell.keys.clone(),
            constants: BTreeMap::new(),
            load: None,
            length: None,
            counted_by: None,
            asked: Rc::default(),
            launch: String::new(),
        });
        let found = colours(sides.collect());
        let found: Vec<usize> = cells.iter().map(|cell| found[&cell.id]).collect();
        assert_eq!(found, [0, 0, 1, 0]);
    }
}
