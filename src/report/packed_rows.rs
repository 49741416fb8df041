//! The rows of a table as a page carries them when there are many: in few bytes, column by column,
//! in an order of columns of the page's own.

use std::io::BufWriter;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::ser::{Serialize, SerializeSeq as _, Serializer};

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

/// Returns the rows as a page carries them: JSON, a list of cells per column in the given order,
/// deflated, in base 64.
///
/// A cell is its text, or a list whose last empty members are left out: text, spread, note, numbers
/// of caveats, tone, anchor, address.
pub(crate) fn packed(rows: &[Vec<TableCell>], order: &[usize]) -> String {
    let mut deflated = BufWriter::new(DeflateEncoder::new(Vec::new(), Compression::default()));
    let deflated = serde_json::to_writer(&mut deflated, &Columns { rows, order })
        .map_err(std::io::Error::from)
        .and_then(|()| deflated.into_inner()?.finish());
    BASE64_STANDARD.encode(deflated.expect("writing to memory does not fail"))
}

/// Columns as they are packed: written one cell at a time, since there may be a hundred thousand.
struct Columns<'a> {
    rows: &'a [Vec<TableCell>],
    order: &'a [usize],
}

struct Cells<'a>(&'a [Vec<TableCell>], usize);

struct Packed<'a>(&'a TableCell);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.order.iter().map(|at| Cells(self.rows, *at)))
    }
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|row| Packed(&row[self.1])))
    }
}

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TableCell { text, spread, note, marks, tone, anchor, href } = self.0;
        let is_there = [
            true,
            !spread.is_empty(),
            !note.is_empty(),
            !marks.is_empty(),
            *tone != Tone::Plain,
            !anchor.is_empty(),
            !href.is_empty(),
        ];
        let n = is_there.iter().rposition(|is_there| *is_there).map_or(0, |last| last + 1);
        if n == 1 {
            return serializer.serialize_str(text);
        }
        let mut members = serializer.serialize_seq(Some(n))?;
        for member in 0..n {
            match member {
                0 => members.serialize_element(text)?,
                1 => members.serialize_element(spread)?,
                2 => members.serialize_element(note)?,
                3 => members.serialize_element(marks)?,
                4 => members.serialize_element(tone)?,
                5 => members.serialize_element(anchor)?,
                _ => members.serialize_element(href)?,
            }
        }
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

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
    fn rows_come_back_as_they_were_packed() {
        let row = |name: &str| {
            let note =
                TableCell { note: "n = 4".into(), tone: Tone::Bad, ..TableCell::text("7 INVALID") };
            vec![TableCell::text(name), note, TableCell::text("same")]
        };
        let packed = packed(&["a", "</script>"].map(row), &[1, 0]);
        let deflated = BASE64_STANDARD.decode(packed).unwrap();
        let mut text = String::new();
        flate2::read::DeflateDecoder::new(&*deflated).read_to_string(&mut text).unwrap();
        let bad = r#"["7 INVALID","","n = 4",[],"bad"]"#;
        assert_eq!(text, format!(r#"[[{bad},{bad}],["a","</script>"]]"#));
    }
}
