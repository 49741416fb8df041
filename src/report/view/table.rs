//! A table of strings that every face prints in its own way.

use serde::Serialize;

use crate::report::view::long_list::LongList;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Table {
    /// Columns, in order.
    pub columns: Vec<Column>,
    /// Rows, each with as many cells as there are columns.
    pub rows: LongList<Vec<TableCell>>,
    /// Said below the table when rows were left out; else empty.
    pub left_out: String,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Column {
    /// Header without unit.
    pub header: String,
    /// Unit of all its cells; empty when there is none.
    pub unit: String,
    /// Whether it is aligned as numbers are.
    pub numeric: bool,
    /// A narrow face drops the column with the highest rank first; 0 is never dropped.
    pub rank: u8,
}

/// What stands in one place of a table. There may be a million of them, most of which have little
/// more than a text: none has room to grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TableCell {
    /// The text: a rounded number, or words.
    pub text: Box<str>,
    /// Uncertainty, `± 2.1` or `[50.1, 55.0]`; empty without.
    pub spread: Box<str>,
    /// Count and estimator, for tooltips; may be empty.
    pub note: Box<str>,
    /// Numbers of the caveats that touch it.
    pub marks: Box<[usize]>,
    /// How it is to be taken.
    pub tone: Tone,
    /// Name of its row's place, to which a page can be asked to go; mostly empty.
    pub anchor: Box<str>,
    /// What it leads to, relative to the run directory; mostly empty.
    pub href: Box<str>,
}

/// How a cell is to be taken; never the only sign of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// The best of its column.
    Best,
    /// To be doubted, or failed.
    Bad,
    /// Nothing measured here.
    Faint,
}

impl Column {
    /// A column of words.
    pub(crate) fn words(header: impl Into<String>, rank: u8) -> Self {
        Self { header: header.into(), unit: String::new(), numeric: false, rank }
    }

    /// A column of numbers in one unit.
    pub(crate) fn numbers(header: impl Into<String>, unit: impl Into<String>, rank: u8) -> Self {
        Self { header: header.into(), unit: unit.into(), numeric: true, rank }
    }

    /// Returns the header with its unit.
    pub(crate) fn title(&self) -> String {
        match (self.header.as_str(), self.unit.as_str()) {
            (header, "") => header.to_owned(),
            (header, unit) => format!("{header} ({unit})"),
        }
    }
}

impl TableCell {
    /// A cell of words or a number without uncertainty.
    pub(crate) fn text(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A cell that says that there is nothing.
    pub(crate) fn faint(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), tone: Tone::Faint, ..Self::default() }
    }

    /// Returns text, uncertainty and marks in one line, as plain faces print them.
    pub(crate) fn line(&self) -> String {
        let mut line = String::from(&*self.text);
        if !self.spread.is_empty() {
            line.push(' ');
            line.push_str(&self.spread);
        }
        if !self.marks.is_empty() {
            line.push(' ');
            line.push_str(&self.marks_text());
        }
        line
    }

    /// Returns the caveat marks as `[1][3]`.
    pub(crate) fn marks_text(&self) -> String {
        let marks: Vec<String> = self.marks.iter().map(|mark| format!("[{mark}]")).collect();
        marks.concat()
    }
}

impl Table {
    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Removes columns whose cells are all empty.
    #[must_use]
    pub(crate) fn without_empty_columns(mut self) -> Self {
        let is_used: Vec<bool> = (0..self.columns.len())
            .map(|at| self.rows.iter().any(|row| !row[at].text.is_empty()))
            .collect();
        let mut used = is_used.iter();
        self.columns.retain(|_| *used.next().unwrap_or(&true));
        let used = |mut row: Vec<TableCell>| {
            let mut used = is_used.iter();
            row.retain(|_| *used.next().unwrap_or(&true));
            row.shrink_to_fit();
            row
        };
        self.rows = self.rows.into_items().into_iter().map(used).collect();
        self
    }
}
