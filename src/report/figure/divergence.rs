//! Where greedy answers leave those of their reference: one panel per pair of cells.

use crate::metrics::summary::CellSummary;
use crate::report::cell_name::CellNames;
use crate::report::figure::bars::{self, Bar, BarRow};
use crate::report::figure::{FigureView, shortened};
use crate::report::input::Input;
use crate::report::untrusted::line;
use crate::score::fidelity::Fidelity;

/// Panels side by side; the table has all pairs.
const PANELS_MAX: usize = 3;
/// Characters of a panel's title when it stands alone.
const TITLE_CHARS: usize = 96;

/// Draws how many answers part from the reference in which words.
pub(crate) fn divergence(input: &Input<'_>) -> Option<FigureView> {
    let cells = &input.summary.cells;
    let pairs: Vec<(&CellSummary, &str, &Fidelity)> = cells
        .iter()
        .flat_map(|cell| cell.beside.iter().map(move |beside| (cell, beside)))
        .filter_map(|(cell, beside)| {
            let fidelity = beside.fidelity.as_ref().filter(|fidelity| fidelity.n > 0)?;
            Some((cell, beside.reference.as_str(), fidelity))
        })
        .collect();
    let shown = &pairs[..pairs.len().min(PANELS_MAX)];
    let (.., first) = shown.first()?;
    let references: Vec<Option<&CellSummary>> = shown
        .iter()
        .map(|(_, reference, _)| cells.iter().find(|cell| cell.name == *reference))
        .collect();
    let titled: Vec<&CellSummary> =
        shown.iter().map(|(cell, ..)| *cell).chain(references.iter().copied().flatten()).collect();
    let names = CellNames::of(&titled);
    let panels: Vec<String> = shown
        .iter()
        .zip(&references)
        .map(|((cell, name, _), reference)| {
            // Of a reference only what its own cell has not.
            let differs = |reference| CellNames::of(&[cell, reference]).name(reference);
            let reference = reference.map_or_else(|| line(name), differs);
            let name = format!("{} beside {reference}", names.name(cell));
            shortened(&name, TITLE_CHARS / shown.len())
        })
        .collect();
    let rows: Vec<BarRow> = first
        .histogram()
        .into_iter()
        .enumerate()
        .map(|(at, (bin, _))| {
            let bar = |fidelity: &Fidelity| {
                let (_, n) = fidelity.histogram()[at];
                Bar { value: n as f64, label: n.to_string(), ..Bar::default() }
            };
            let bars = shown.iter().map(|(.., fidelity)| vec![Some(bar(fidelity))]).collect();
            BarRow { name: bin, bars, ..BarRow::default() }
        })
        .collect();
    let title = "Answers by the word at which they leave the reference".to_owned();
    let more = match pairs.len().saturating_sub(PANELS_MAX) {
        0 => String::new(),
        n => format!(" {n} more pairs of cells are in the table."),
    };
    Some(FigureView {
        id: "divergence".to_owned(),
        svg: bars::draw(&title, &["answers"], &panels, &rows),
        title,
        caption: format!("Greedy answers to the same prompts, counted.{more}"),
    })
}
