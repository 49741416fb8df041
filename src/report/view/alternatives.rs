//! The leader beside each other alternative at each load: ratio, interval, verdict.

use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Compared, ComparedCells, Comparison};
use crate::metrics::quantity::Quantity;
use crate::report::compare::{change_alone, interval, key_names};
use crate::report::untrusted::line;
use crate::report::view::table::{Column, Table, TableCell, Tone};
use crate::stats::verdict::Verdict;

/// What the table is called: `fast against others, at equal load`.
pub(crate) fn title(comparison: Option<&Comparison>) -> String {
    comparison.map_or_else(String::new, |comparison| match comparison.sides.as_slice() {
        [leader, other] => format!("{} against {} at equal load", line(leader), line(other)),
        [leader, ..] => format!("{} against the others at equal load", line(leader)),
        [] => String::new(),
    })
}

/// Builds the table; without rows where the answer says all of it in a sentence.
pub(crate) fn alternatives(comparison: Option<&Comparison>) -> Table {
    let Some(comparison) = comparison.filter(|it| it.cells.len() > 1) else {
        return Table::default();
    };
    let keys = key_names(comparison);
    let has_several = comparison.sides.len() > 2;
    let mut quantities: Vec<&Quantity> = Vec::new();
    for row in comparison.cells.iter().flat_map(|cells| &cells.rows) {
        // An engine starts before it is known what load it will bear.
        if !quantities.contains(&&row.quantity) && row.quantity.id() != MetricId::LoadTime {
            quantities.push(&row.quantity);
        }
    }
    quantities.sort_by_key(|quantity| quantity.id() != MetricId::OutputThroughput);
    let mut columns = Vec::new();
    columns.extend(has_several.then(|| Column::words("against", 0)));
    columns.extend(keys.iter().map(|key| Column::words(line(key), 0)));
    columns.extend(
        quantities
            .iter()
            .zip(1..)
            .map(|(quantity, rank)| Column::numbers(quantity.label(), "", rank)),
    );
    let row = |cells: &ComparedCells| {
        let mut row = Vec::new();
        row.extend(has_several.then(|| TableCell::text(line(&comparison.sides[cells.side]))));
        row.extend(
            keys.iter()
                .map(|key| TableCell::text(line(cells.keys.get(*key).map_or("", String::as_str)))),
        );
        row.extend(quantities.iter().map(|quantity| {
            let found = cells.rows.iter().find(|row| row.quantity == **quantity);
            found.map_or_else(TableCell::default, |found| cell(&found.turned()))
        }));
        row
    };
    let rows = comparison.cells.iter().map(row).collect();
    Table { columns, rows, left_out: String::new() }.without_empty_columns()
}

fn cell(row: &Compared) -> TableCell {
    let (verdict, tone) = match row.verdict {
        Verdict::Better => ("better", Tone::Good),
        Verdict::Worse => ("worse", Tone::Bad),
        Verdict::Equivalent => ("equivalent", Tone::Plain),
        Verdict::Inconclusive => ("~", Tone::Faint),
    };
    // The verdict stands with the change: where room is scarce the interval goes.
    let ends = interval(row).map_or_else(String::new, |ends| format!("({ends})"));
    TableCell {
        tone,
        spread: ends.into(),
        note: (*row.note).into(),
        ..TableCell::text(format!("{} {verdict}", change_alone(row)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use indexmap::IndexMap;

    use super::*;
    use crate::metrics::compare::{Rules, Side, SideCell, compare};
    use crate::metrics::summary::CellSummary;
    use crate::metrics::tests::fixture::measured_cell;

    fn cell_with(ttft_ms: f64) -> CellSummary {
        let mut cell = measured_cell("a", "fp16");
        cell.n_trials = 3;
        let values = [0.99, 1.0, 1.01].map(|factor| factor * ttft_ms).to_vec();
        cell.trials.insert(Quantity::percentile(MetricId::Ttft, 50.0), values);
        cell
    }

    fn side<'a>(name: &str, cells: &'a [CellSummary]) -> Side<'a> {
        let cell = |(load, cell): (&str, &'a CellSummary)| SideCell {
            cell,
            keys: IndexMap::from([("concurrency".to_owned(), load.to_owned())]),
            constants: BTreeMap::new(),
            load: Some(load.to_owned()),
            length: None,
            counted_by: None,
            asked: Rc::default(),
            launch: String::new(),
        };
        Side {
            name: name.to_owned(),
            cells: ["1", "16"].into_iter().zip(cells).map(cell).collect(),
        }
    }

    #[test]
    fn each_load_has_ratio_interval_and_verdict() {
        let (fast, slow) = ([cell_with(40.0), cell_with(41.0)], [cell_with(90.0), cell_with(41.1)]);
        let sides = [side("fast", &fast), side("slow", &slow)];
        let comparison = compare(&sides, &|_| true, &|_, _, _| None, Rules::of(None));
        let table = alternatives(Some(&comparison));
        let rows = table.rows.iter().map(|row| {
            let texts: Vec<String> = row.iter().map(TableCell::line).collect();
            texts.join(" | ")
        });
        let text = [vec![title(Some(&comparison))], rows.collect()].concat().join("\n");
        insta::assert_snapshot!(text);
        let one_load = [side("fast", &fast[..1]), side("slow", &slow[..1])];
        let comparison = compare(&one_load, &|_| true, &|_, _, _| None, Rules::of(None));
        assert!(alternatives(Some(&comparison)).is_empty(), "the answer says it");
    }
}
