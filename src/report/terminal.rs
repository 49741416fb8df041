//! The terminal face: the table first, then what qualifies it, then the answer; what makes the
//! program fail stands last, where the eye is.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle,
    Table as TextTable, TableStyle, Width,
};

use crate::report::figure;
use crate::report::number::counted;
use crate::report::view::ReportView;
use crate::report::view::caveats::CaveatView;
use crate::report::view::gates::GateView;
use crate::report::view::table::{Column, Table, TableCell};

/// Rules above and below, and below the header; columns stand apart by two spaces.
const STYLE: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_lines(ContentLineStyle::none().junction(' '))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none().junction(' '))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// A terminal narrower than this gets lines as long as if it were this wide.
const WIDTH_MIN: u16 = 20;

/// Places of one kind of caveat that are listed; the report files list all.
const PLACES_MAX: usize = 5;

/// Words of a table are not cut shorter than this.
const WORDS_MIN: usize = 12;

/// Skipped and troubled cells that are listed; the report files list all.
const CELLS_MAX: usize = 40;

/// Renders the report for a terminal of `width` columns; `None` for a pipe, whose lines may be
/// as long as they need. Escape sequences appear only with `colour`.
pub fn render(view: &ReportView, width: Option<u16>, colour: bool) -> String {
    let screen = Screen::new(width, colour);
    let mut out = String::new();
    screen.prose(&mut out, "", &view.title, Ink::Strong);
    screen.prose(&mut out, "", &view.watermark, Ink::Bad);
    out.push('\n');
    if view.results.is_empty() {
        screen.prose(&mut out, "", "Nothing was measured.", Ink::Strong);
    } else {
        screen.table(&mut out, &view.results);
    }
    skipped(&screen, &mut out, view);
    references(&screen, &mut out, view);
    published(&screen, &mut out, view);
    with_failures(&screen, &mut out, view);
    caveats(&screen, &mut out, &view.caveats);
    out.push('\n');
    for sentence in &view.headline {
        screen.prose(&mut out, "", sentence, Ink::Plain);
    }
    screen.prose(&mut out, "instrument: ", &view.instrument, Ink::Faint);
    troubled(&screen, &mut out, view);
    gates(&screen, &mut out, &view.gates);
    if !view.report_at.is_empty() {
        out.push('\n');
        // A path is never wrapped: it is there to be copied.
        out.extend(["report: ", &view.report_at, "\n"]);
    }
    out
}

fn troubled(screen: &Screen, out: &mut String, view: &ReportView) {
    if view.troubled.is_empty() {
        return;
    }
    out.push('\n');
    screen.prose(out, "", "Doubtful, not to be believed, or not there", Ink::Strong);
    let rows = view
        .troubled
        .iter()
        .map(|cell| (format!("{} {}", cell.cell, cell.status), cell.reasons.join("; ")));
    screen.pairs(out, rows.take(CELLS_MAX));
    more(out, view.troubled.len(), CELLS_MAX);
}

/// Writes a line for each gate, below an empty one.
pub(crate) fn gates(screen: &Screen, out: &mut String, gates: &[GateView]) {
    if gates.is_empty() {
        return;
    }
    out.push('\n');
    for gate in gates.iter().take(CELLS_MAX) {
        let ink = match gate.outcome {
            "met" => Ink::Good,
            "missed" => Ink::Bad,
            _ => Ink::Strong,
        };
        screen.prose(out, &format!("{} ", gate.mark), &gate.line, ink);
    }
    more(out, gates.len(), CELLS_MAX);
}

fn with_failures(screen: &Screen, out: &mut String, view: &ReportView) {
    if !view.with_failures.rows.is_empty() {
        out.push('\n');
        screen.prose(out, "", "Percentiles with failures as the slowest", Ink::Strong);
        screen.table(out, &view.with_failures);
    }
}

fn skipped(screen: &Screen, out: &mut String, view: &ReportView) {
    if view.skipped.is_empty() {
        return;
    }
    out.push('\n');
    screen.prose(out, "", "Skipped", Ink::Strong);
    let rows = view.skipped.iter().map(|cell| (cell.cell.clone(), cell.reason.clone()));
    screen.pairs(out, rows.take(CELLS_MAX));
    more(out, view.skipped.len(), CELLS_MAX);
}

fn published(screen: &Screen, out: &mut String, view: &ReportView) {
    let Some(published) = &view.published else {
        return;
    };
    out.push('\n');
    screen.prose(out, "", &format!("Published: {}", published.title), Ink::Strong);
    screen.prose(out, "", &published.source, Ink::Faint);
    screen.table(out, &published.table);
    for note in &published.notes {
        screen.prose(out, "note: ", note, Ink::Plain);
    }
}

fn references(screen: &Screen, out: &mut String, view: &ReportView) {
    if !view.references.is_empty() {
        out.push('\n');
        screen.prose(out, "", "Answers beside a reference", Ink::Strong);
        screen.table(out, &view.references);
    }
}

fn caveats(screen: &Screen, out: &mut String, caveats: &[CaveatView]) {
    if caveats.is_empty() {
        return;
    }
    out.push('\n');
    screen.prose(out, "", "Caveats", Ink::Strong);
    for caveat in caveats {
        let mark = format!("[{}] ", caveat.mark);
        for (at, place) in caveat.places.iter().take(PLACES_MAX).enumerate() {
            let lead = if at == 0 { mark.clone() } else { " ".repeat(mark.len()) };
            let what = if place.cell.is_empty() {
                place.what.clone()
            } else {
                format!("{}: {}", place.cell, place.what)
            };
            screen.prose(out, &lead, &what, Ink::Plain);
        }
        more(out, caveat.places.len(), PLACES_MAX);
        screen.prose(out, &" ".repeat(mark.len()), &caveat.advice, Ink::Faint);
    }
}

fn more(out: &mut String, n_all: usize, n_shown: usize) {
    if n_all > n_shown {
        out.extend(["  … and ", &(n_all - n_shown).to_string(), " more in the report\n"]);
    }
}

/// How a piece of text is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\u{1b}[1m",
            Self::Faint => "\u{1b}[2m",
            Self::Good => "\u{1b}[32m",
            Self::Bad => "\u{1b}[31m",
        }
    }
}

pub(crate) struct Screen {
    width: Option<u16>,
    colour: bool,
}

impl Screen {
    /// Returns a screen of `width` columns; `None` for a pipe.
    pub(crate) fn new(width: Option<u16>, colour: bool) -> Self {
        Self { width: width.map(|width| width.max(WIDTH_MIN)), colour }
    }

    fn ink(&self, text: &str, ink: Ink) -> String {
        if self.colour && ink != Ink::Plain && !text.is_empty() {
            format!("{}{text}\u{1b}[0m", ink.code())
        } else {
            text.to_owned()
        }
    }

    /// Writes a wrapped paragraph with a lead whose width further lines are indented by.
    pub(crate) fn prose(&self, out: &mut String, lead: &str, text: &str, ink: Ink) {
        if text.is_empty() {
            return;
        }
        let mut table = self.bare();
        if let Some(width) = self.width {
            let lead_width = u16::try_from(lead.chars().count()).unwrap_or(u16::MAX);
            table.set_width(width.saturating_sub(lead_width).max(1));
        }
        table.add_row([text]);
        pad(&mut table, 0);
        for (at, line) in table.lines().enumerate() {
            let lead = if at == 0 { lead.to_owned() } else { " ".repeat(lead.chars().count()) };
            out.extend([&lead, &self.ink(line.trim_end(), ink), "\n"]);
        }
    }

    /// Writes names and what is to be said of each, side by side.
    fn pairs(&self, out: &mut String, pairs: impl Iterator<Item = (String, String)>) {
        let mut table = self.bare();
        for (name, text) in pairs {
            table.add_row([name, text]);
        }
        pad(&mut table, 2);
        if let Some(width) = self.width {
            // The names keep to a third, so that the reasons can be read.
            let names = ColumnConstraint::UpperBoundary(Width::Fixed((width / 3).max(8)));
            if let Some(column) = table.column_mut(0) {
                column.set_constraint(names);
            }
        }
        out.push_str(&table.trim_fmt());
        out.push('\n');
    }

    fn bare(&self) -> TextTable {
        let mut table = TextTable::new();
        table.load_style(TableStyle::new());
        self.arrange(&mut table);
        table
    }

    fn arrange(&self, table: &mut TextTable) {
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
    }

    /// Writes a table in the fullest form that fits: whole, with long words cut, without
    /// uncertainties, with fewer columns, wrapped.
    pub(crate) fn table(&self, out: &mut String, table: &Table) {
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let mut form = Form { shown: all.clone(), with_spread: true, words_max: usize::MAX };
        let mut text = laid_out(table, &form);
        if let Some(width) = self.width.map(usize::from) {
            if text.width > width {
                form.words_max = (width / 4).clamp(WORDS_MIN, 40);
                text = laid_out(table, &form);
            }
            if text.width > width {
                form.with_spread = false;
                text = laid_out(table, &form);
            }
            while text.width > width {
                let Some(at) = least_wanted(table, &form.shown) else {
                    break;
                };
                form.shown.remove(at);
                text = laid_out(table, &form);
            }
            text = with_longest_words(table, &mut form, width);
            if text.width > width {
                self.arrange(&mut text.table);
            }
        }
        self.print(out, &text.table, table);
        self.say_what_is_left_out(out, table, &all, &form);
    }

    fn print(&self, out: &mut String, text: &TextTable, table: &Table) {
        let words: Vec<(&str, Ink)> = vec![
            ("INVALID", Ink::Bad),
            ("FAILED", Ink::Bad),
            ("incomplete", Ink::Bad),
            ("skipped", Ink::Faint),
            ("ok", Ink::Good),
            ("worse", Ink::Bad),
            ("better", Ink::Good),
            ("~", Ink::Faint),
        ];
        let n_rules_before_rows = 2;
        let mut n_rules = 0;
        for line in text.lines() {
            let line = line.trim_end();
            if line.starts_with('─') {
                n_rules += 1;
                out.push_str(&self.ink(line, Ink::Faint));
            } else if n_rules < n_rules_before_rows {
                out.push_str(&self.ink(line, Ink::Strong));
            } else {
                out.push_str(&self.with_status_inked(line, &words));
            }
            out.push('\n');
        }
        if !table.left_out.is_empty() {
            self.prose(out, "", &table.left_out, Ink::Faint);
        }
    }

    /// The status is the last word of a row that is one of its words.
    fn with_status_inked(&self, line: &str, words: &[(&str, Ink)]) -> String {
        let found = words.iter().filter_map(|(word, ink)| {
            let at = line.rfind(word)?;
            let ends = line[at + word.len()..].chars().next().is_none_or(|c| c == ' ');
            let begins = line[..at].chars().next_back().is_none_or(|c| c == ' ');
            (ends && begins).then_some((at, *word, *ink))
        });
        match found.max_by_key(|(at, ..)| *at) {
            Some((at, word, ink)) => {
                format!("{}{}{}", &line[..at], self.ink(word, ink), &line[at + word.len()..])
            }
            None => line.to_owned(),
        }
    }

    fn say_what_is_left_out(&self, out: &mut String, table: &Table, all: &[usize], form: &Form) {
        let dropped: Vec<String> = all
            .iter()
            .filter(|at| !form.shown.contains(at))
            .map(|at| table.columns[*at].title())
            .collect();
        let has_spread = table.rows.iter().flatten().any(|cell| !cell.spread.is_empty());
        let mut said = Vec::new();
        if !form.with_spread && has_spread {
            said.push("the intervals".to_owned());
        }
        if !dropped.is_empty() {
            let n_dropped = dropped.len() as u64;
            said.push(format!("{}: {}", counted(n_dropped, "column"), dropped.join(", ")));
        }
        if !said.is_empty() {
            let width = self.width.unwrap_or_default();
            let text = format!("Left out at {width} columns: {}.", said.join(" and "));
            self.prose(out, "", &text, Ink::Faint);
        }
    }
}

/// A table with the width that it needs.
struct LaidOut {
    table: TextTable,
    width: usize,
}

/// Gives words the room that is left once the columns are chosen.
fn with_longest_words(table: &Table, form: &mut Form, width: usize) -> LaidOut {
    for words_max in [usize::MAX, 60, 48, 40, 32, 26, 22, 18, 15, WORDS_MIN] {
        form.words_max = words_max;
        let text = laid_out(table, form);
        if text.width <= width {
            return text;
        }
    }
    laid_out(table, form)
}

/// Which parts of a table are shown.
struct Form {
    /// Columns.
    shown: Vec<usize>,
    /// Uncertainties.
    with_spread: bool,
    /// Characters of a cell of words.
    words_max: usize,
}

fn laid_out(table: &Table, form: &Form) -> LaidOut {
    let columns = || form.shown.iter().map(|at| (*at, &table.columns[*at]));
    let mut text = TextTable::new();
    text.load_style(STYLE);
    text.set_content_arrangement(ContentArrangement::Disabled);
    text.set_header(columns().map(|(_, column)| header(column)).collect::<Vec<_>>());
    for row in &table.rows {
        let cells = columns().map(|(at, column)| cell_text(&row[at], column, form));
        text.add_row(cells.collect::<Vec<_>>());
    }
    for ((_, column), laid) in columns().zip(text.column_iter_mut()) {
        if column.numeric {
            laid.set_cell_alignment(CellAlignment::Right);
        }
    }
    pad(&mut text, 1);
    let content = text.column_max_content_widths().into_iter().map(usize::from);
    let width = content.sum::<usize>() + 2 * form.shown.len().saturating_sub(1);
    LaidOut { table: text, width }
}

/// What qualifies the name and the unit stand below it: headers are then about as wide as
/// the numbers.
fn header(column: &Column) -> String {
    let name = column.header.replace(", ", "\n");
    if column.unit.is_empty() { name } else { format!("{name}\n{}", column.unit) }
}

/// Puts space before every column but the first.
fn pad(table: &mut TextTable, space: u16) {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if at == 0 { (0, 0) } else { (space, 0) });
    }
}

fn cell_text(cell: &TableCell, column: &Column, form: &Form) -> String {
    let mut cell = cell.clone();
    if !form.with_spread {
        cell.spread.clear();
    }
    if !column.numeric {
        cell.text = figure::shortened(&cell.text, form.words_max);
    }
    cell.line()
}

/// Returns the position of the column with the highest rank, the last of equals.
fn least_wanted(table: &Table, shown: &[usize]) -> Option<usize> {
    let (at, column) =
        shown.iter().enumerate().max_by_key(|(_, column)| table.columns[**column].rank)?;
    (table.columns[*column].rank > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn a_pipe_gets_everything_and_no_escapes() {
        let text = render(&sample_run::view(), None, false);
        assert!(!text.contains('\u{1b}'));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn eighty_columns_drop_what_matters_least_and_say_so() {
        insta::assert_snapshot!(render(&sample_run::view(), Some(80), false));
    }

    #[test]
    fn forty_columns_can_still_be_read() {
        insta::assert_snapshot!(render(&sample_run::view(), Some(40), false));
    }

    #[test]
    fn no_width_makes_it_fail_and_tables_fit_from_forty_columns_on() {
        for width in [0, 1, 2, 5, 10, 19, 20, 25, 30, 40, 60, 80, 100, 120, 200, u16::MAX] {
            let text = render(&sample_run::view(), Some(width), true);
            assert!(text.contains("INVALID") || width < 40, "{width}: {text}");
            let plain = render(&sample_run::view(), Some(width), false);
            let widest = plain.lines().filter(|line| !line.starts_with("report:"));
            let widest = widest.map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= usize::from(width.max(40)), "{width} columns: a line of {widest}");
        }
    }

    #[test]
    fn colour_is_only_added_never_moves_anything() {
        let coloured = render(&sample_run::view(), Some(100), true);
        assert!(coloured.contains("\u{1b}[31mINVALID\u{1b}[0m"));
        let mut stripped = coloured;
        for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, render(&sample_run::view(), Some(100), false));
    }

    #[test]
    fn an_empty_run_says_so() {
        insta::assert_snapshot!(render(&sample_run::empty_view(), Some(80), false));
    }
}
