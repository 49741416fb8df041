//! The rows of a table as a page carries them when there are many: each column once, each repeated
//! cell and note once, in an order of columns of the page's own.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::report::view::table::{Column, Table, TableCell, Tone};

/// Rows that a page writes as HTML; of more, its script makes those that are looked at.
pub(crate) const ROWS_MAX: usize = 100;

/// Header of the column that comes first on a page.
const FIRST: &str = "status";

/// Returns the columns that a page shows, by their index: the state first, then all in which any
/// row says something.
pub(crate) fn shown(columns: &[Column], rows: &[Vec<TableCell>]) -> Vec<usize> {
    let (first, others): (Vec<usize>, Vec<usize>) = (0..columns.len())
        .filter(|at| !is_silent(*at, rows))
        .partition(|at| columns[*at].header == FIRST);
    first.into_iter().chain(others).collect()
}

/// Returns the titles of the columns that no row has anything in.
pub(crate) fn silent(table: &Table) -> Vec<String> {
    let columns = table.columns.iter().enumerate();
    let silent = columns.filter(|(at, _)| is_silent(*at, &table.rows));
    silent.map(|(_, column)| column.title()).collect()
}

fn is_silent(at: usize, rows: &[Vec<TableCell>]) -> bool {
    // What was compared and not decided is faint, too, and has figures.
    let is_figure = |cell: &TableCell| cell.text.contains(|c: char| c.is_ascii_digit());
    let says_nothing =
        |cell: &TableCell| cell.text.is_empty() || (cell.tone == Tone::Faint && !is_figure(cell));
    !rows.is_empty() && rows.iter().all(|row| says_nothing(&row[at]) && row[at].anchor.is_empty())
}

/// Returns the rows as JSON that may stand in a page: `notes`, and `columns` in the given order.
///
/// A column is a list of cells or, where these repeat, `{"of": cells, "at": indices}`. A cell is
/// its text, or a list whose last empty members are left out: text, spread, index of the note plus
/// 1, numbers of caveats, tone, anchor, address.
pub(crate) fn packed(rows: &[Vec<TableCell>], order: &[usize]) -> String {
    let mut notes = Pool::default();
    let columns: Vec<Value> = order.iter().map(|at| column(rows, *at, &mut notes)).collect();
    let page = json!({ "n": rows.len(), "notes": notes.items, "columns": columns });
    // Inside strings alone can there be what would end the element or begin a comment.
    page.to_string().replace('<', "\\u003c")
}

/// Different texts in the order in which they came.
#[derive(Default)]
struct Pool {
    items: Vec<String>,
    places: HashMap<String, usize>,
}

impl Pool {
    fn place(&mut self, item: &str) -> usize {
        if let Some(place) = self.places.get(item) {
            return *place;
        }
        self.items.push(item.to_owned());
        self.places.insert(item.to_owned(), self.items.len() - 1);
        self.items.len() - 1
    }
}

fn column(rows: &[Vec<TableCell>], at: usize, notes: &mut Pool) -> Value {
    let cells: Vec<Value> = rows.iter().map(|row| cell(&row[at], notes)).collect();
    let mut pool = Pool::default();
    let places: Vec<usize> = cells.iter().map(|cell| pool.place(&cell.to_string())).collect();
    if pool.items.len() * 2 > cells.len() {
        return Value::Array(cells);
    }
    let mut first: Vec<Option<Value>> = vec![None; pool.items.len()];
    for (place, cell) in places.iter().zip(cells) {
        first[*place].get_or_insert(cell);
    }
    json!({ "of": first, "at": places })
}

fn cell(cell: &TableCell, notes: &mut Pool) -> Value {
    let note = if cell.note.is_empty() { 0 } else { notes.place(&cell.note) + 1 };
    let mut members = vec![
        json!(cell.text),
        json!(cell.spread),
        json!(note),
        json!(cell.marks),
        json!(cell.tone as u8),
        json!(cell.anchor),
        json!(cell.href),
    ];
    let is_empty = |value: &Value| *value == json!("") || *value == json!(0) || *value == json!([]);
    while members.len() > 1 && members.last().is_some_and(is_empty) {
        members.pop();
    }
    if members.len() == 1 { members.remove(0) } else { Value::Array(members) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_comes_first_and_what_no_row_has_is_left_out_and_named() {
        let table = Table {
            columns: ["engine", "TTFT p99", "status"].map(|it| Column::words(it, 0)).into(),
            rows: vec![
                vec![TableCell::text("a"), TableCell::faint("n too small"), TableCell::text("ok")],
                vec![TableCell::text("b"), TableCell::faint("–"), TableCell::faint("skipped")],
            ]
            .into(),
            ..Table::default()
        };
        assert_eq!(shown(&table.columns, &table.rows), [2, 0]);
        assert_eq!(silent(&table), ["TTFT p99"]);
    }

    #[test]
    fn what_repeats_is_carried_once_and_nothing_ends_the_element() {
        let row = |name: &str| {
            let note = TableCell {
                note: "n = 4".to_owned(),
                spread: "± 1".to_owned(),
                ..TableCell::text("7")
            };
            vec![TableCell::text(name), note, TableCell::text("same")]
        };
        let rows = ["a", "</script>", "c", "d"].map(row);
        assert_eq!(
            packed(&rows, &[0, 1, 2]),
            r#"{"columns":[["a","\u003c/script>","c","d"],{"at":[0,0,0,0],"of":[["7","± 1",1]]},{"at":[0,0,0,0],"of":["same"]}],"n":4,"notes":["n = 4"]}"#
        );
    }
}
