//! The published tables as reports show them: digits as printed, our quantity beside each column.

use crate::metrics::published::{self, Column, Ours, PublishedTable};
use crate::report::published::{Published, PublishedColumn, PublishedRow};
use crate::report::quantity::Quantity;

/// Returns the published table of that name; `None` if there is none.
pub fn table(name: &str) -> Option<Published> {
    published::table(name).ok().map(|table| of(&table))
}

fn of(table: &PublishedTable) -> Published {
    let (names, figures) = table.columns.split_at(table.n_key_columns);
    let rows = table.rows.iter().enumerate();
    Published {
        title: table.title.to_owned(),
        source: table.setting.to_owned(),
        row_label: names.iter().map(|column| column.heading).collect::<Vec<_>>().join(" "),
        columns: figures.iter().map(column).collect(),
        rows: rows
            .map(|(i, digits)| PublishedRow {
                name: table.row_name(i),
                values: digits[table.n_key_columns..]
                    .iter()
                    .map(|digits| (!digits.is_empty()).then(|| digits.clone()))
                    .collect(),
            })
            .collect(),
        notes: table.notes.iter().map(|note| note.text.to_owned()).collect(),
    }
}

fn column(column: &Column) -> PublishedColumn {
    PublishedColumn {
        label: column.heading.to_owned(),
        unit: column.unit.to_owned(),
        beside: column.ours.as_ref().map(quantity),
    }
}

fn quantity(ours: &Ours) -> Quantity {
    match *ours {
        Ours::Figure("load_time") => Quantity::LoadTime,
        Ours::Figure(tag) => Quantity::Figure(tag.to_owned()),
        Ours::Mean(tag) => Quantity::Mean(tag.to_owned()),
        Ours::Percentile(tag, p) => Quantity::Percentile(tag.to_owned(), p),
        Ours::Accuracy => Quantity::Accuracy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_table_has_rows_and_says_what_it_measured() {
        for name in published::NAMES {
            let table = table(name).unwrap();
            assert!(!table.rows.is_empty(), "{name} has no rows");
            assert!(!table.notes.is_empty(), "{name} does not say what it measured");
            for row in &table.rows {
                assert_eq!(row.values.len(), table.columns.len(), "{name}: {}", row.name);
            }
        }
    }
}
