//! The terminal face: what qualifies the numbers first, then the table, the answer, gates and where
//! the report is, which all stand on the last screen.

use comfy_table::{
    CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table as TextTable, TableStyle,
};

use crate::report::figure;
use crate::report::number::counted;
use crate::report::view::caveats::RemedyView;
use crate::report::view::gates::GateView;
use crate::report::view::references::SENTENCES_MAX;
use crate::report::view::table::{Column, Table, TableCell};
use crate::report::view::{ReportView, TroubleView};

/// Rules above and below, and below the header; columns stand apart by two spaces.
const STYLE: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_lines(ContentLineStyle::none().junction(' '))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none().junction(' '))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// A terminal narrower than this gets lines as long as if it were this wide.
const WIDTH_MIN: u16 = 20;

/// Words of a table are not cut shorter than this.
const WORDS_MIN: usize = 12;

/// Doubtful cells and gates that are listed; the report files list all.
const CELLS_MAX: usize = 40;

/// Failed and unusable cells that the last screen has room for.
const LAST_MAX: usize = 5;

/// Lines of all caveats together, for the answer to stay on the screen.
const CAVEAT_LINES_MAX: usize = 10;

/// Characters that say what was seen, in front of a remedy in the same line.
const WHAT_MIN: usize = 16;

/// Columns of a higher rank go before uncertainties do.
const RANK_ASIDE: u8 = 8;

/// Marks of caveats go before columns up to this rank do: caveats are told in any case.
const RANK_MAIN: u8 = 4;

/// Renders the report for a terminal of `width` columns; `None` for a pipe, whose lines may be
/// as long as they need. Escape sequences appear only with `colour`.
pub(crate) fn render(view: &ReportView, width: Option<u16>, colour: bool) -> String {
    let screen = Screen::new(width, colour);
    let mut out = String::new();
    screen.prose(&mut out, "", &view.title, Ink::Strong);
    references(&screen, &mut out, view);
    published(&screen, &mut out, view);
    with_failures(&screen, &mut out, view);
    if !view.alternatives.is_empty() {
        out.push('\n');
        screen.prose(&mut out, "", &view.alternatives_title, Ink::Strong);
        screen.table(&mut out, &view.alternatives);
    }
    out.push('\n');
    let asides = [
        ("skipped: ", &view.skipped_line),
        ("instrument: ", &view.instrument),
        ("wall time: ", &view.wall_time),
    ];
    for (lead, text) in asides {
        screen.prose(&mut out, lead, text, Ink::Faint);
    }
    caveats(&screen, &mut out, &view.remedies);
    troubled(&screen, &mut out, view, CELLS_MAX, |cell| cell.status == "doubtful");
    out.push('\n');
    if view.results.is_empty() {
        screen.prose(&mut out, "", "Nothing was measured.", Ink::Strong);
    } else {
        screen.table(&mut out, &view.results);
    }
    out.push('\n');
    screen.prose(&mut out, "", &view.watermark, Ink::Bad);
    for sentence in &view.headline {
        screen.prose(&mut out, "", sentence, Ink::Plain);
    }
    // What makes the program fail stands where the eye is.
    troubled(&screen, &mut out, view, LAST_MAX, |cell| cell.status != "doubtful");
    if let Some(decision) = &view.decision {
        screen.prose(&mut out, "", &decision.answer, Ink::Strong);
    }
    gates(&screen, &mut out, &view.gates);
    if !view.report_at.is_empty() {
        // A path is never wrapped: it is there to be copied.
        out.extend(["report: ", &view.report_at, "\n"]);
    }
    out
}

/// Says of each cell that is not all right in a line why; the report files say all.
fn troubled(
    screen: &Screen,
    out: &mut String,
    view: &ReportView,
    most: usize,
    is_wanted: impl Fn(&TroubleView) -> bool,
) {
    let cells: Vec<&TroubleView> = view.troubled.iter().filter(|cell| is_wanted(cell)).collect();
    for cell in cells.iter().take(most) {
        let line = format!("{} {}: {}", cell.cell, cell.status, cell.reasons.join("; "));
        let ink = if cell.status == "doubtful" { Ink::Plain } else { Ink::Bad };
        screen.line(out, &line, ink);
    }
    more(out, cells.len(), most);
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

/// Shows the published rows beside which something was measured; the report files show all rows, and
/// what they really measured.
fn published(screen: &Screen, out: &mut String, view: &ReportView) {
    let Some(published) = &view.published else {
        return;
    };
    out.push('\n');
    let n_other = published.table.rows.len() - published.met.rows.len();
    let notes = counted(published.notes.len() as u64, "note");
    if published.met.is_empty() {
        let text = format!(
            "Published: {}: none of its rows was measured here; the report has them, and {notes}.",
            published.title
        );
        screen.prose(out, "", &text, Ink::Faint);
        return;
    }
    screen.prose(out, "", &format!("Published: {}", published.title), Ink::Strong);
    screen.table(out, &published.met);
    let others = counted(n_other as u64, "other row");
    screen.prose(out, "", &format!("The report has {others}, and {notes}."), Ink::Faint);
}

fn references(screen: &Screen, out: &mut String, view: &ReportView) {
    // The answer tells the first in a sentence each.
    if view.references.rows.len() > SENTENCES_MAX {
        out.push('\n');
        screen.prose(out, "", "Answers beside a reference", Ink::Strong);
        screen.table(out, &view.references);
    }
}

/// Says of each remedy what was seen first, in a line at least; the report files say where, and all. A
/// remedy is whole as long as lines are left for it.
fn caveats(screen: &Screen, out: &mut String, remedies: &[RemedyView]) {
    let n_shown = remedies.len().min(CAVEAT_LINES_MAX);
    let mut n_spare = CAVEAT_LINES_MAX - n_shown;
    for (at, remedy) in remedies.iter().take(n_shown).enumerate() {
        let mut text = String::new();
        caveat(screen, &mut text, remedy, at == 0);
        if let Some(left) = n_spare.checked_sub(text.lines().count() - 1) {
            n_spare = left;
            out.push_str(&text);
        } else {
            let RemedyView { marks, what, advice, .. } = remedy;
            let what = figure::shortened_text(what, WHAT_MIN);
            screen.line(out, &format!("{marks} {what}: {advice}"), Ink::Plain);
        }
    }
    more(out, remedies.len(), n_shown);
}

/// Says of a whole remedy what was seen first: in a line of its own if that is asked and both have no
/// room in one, else shortened in front of the remedy.
fn caveat(screen: &Screen, out: &mut String, remedy: &RemedyView, is_first: bool) {
    let width = screen.width.map_or(usize::MAX, usize::from);
    let RemedyView { marks, what, more, advice } = remedy;
    let whole = format!("{marks} {what}{more}: {advice}");
    let n_chars = |texts: &[&String]| texts.iter().map(|it| it.chars().count()).sum::<usize>();
    let room = width.saturating_sub(n_chars(&[marks, advice]) + 3);
    if n_chars(&[&whole]) <= width {
        screen.line(out, &whole, Ink::Plain);
    } else if is_first {
        let room = width.saturating_sub(n_chars(&[marks, more]) + 2);
        let what = figure::shortened_text(what, room);
        screen.line(out, &format!("{marks} {what}{more}:"), Ink::Plain);
        screen.prose(out, "    ", advice, Ink::Plain);
    } else if room >= WHAT_MIN {
        // In how many places goes before what was seen there does.
        let more_room = room.checked_sub(n_chars(&[more])).filter(|room| *room >= WHAT_MIN);
        let (what, more) = match more_room {
            Some(room) => (figure::shortened_text(what, room), more.as_str()),
            None => (figure::shortened_text(what, room), ""),
        };
        screen.line(out, &format!("{marks} {what}{more}: {advice}"), Ink::Plain);
    } else {
        let what = figure::shortened_text(what, width * 2 / 5);
        let text = format!("{what}{more}: {advice}");
        screen.prose(out, &format!("{marks} "), &text, Ink::Plain);
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

    /// Writes one line, cut where it has no room.
    fn line(&self, out: &mut String, text: &str, ink: Ink) {
        let room = self.width.map_or(usize::MAX, usize::from);
        out.extend([&self.ink(&figure::shortened_text(text, room), ink), "\n"]);
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

    /// Writes a table in the fullest form that fits: whole, with long words cut, without what
    /// matters less, without uncertainties, with fewer columns, without marks, wrapped.
    pub(crate) fn table(&self, out: &mut String, table: &Table) {
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let mut form =
            Form { shown: all.clone(), with_spread: true, with_marks: true, words_max: usize::MAX };
        let mut text = laid_out(table, &form);
        if let Some(width) = self.width.map(usize::from) {
            if text.width > width {
                form.words_max = (width / 4).clamp(WORDS_MIN, 40);
                text = laid_out(table, &form);
            }
            if text.width > width {
                // What matters less goes first, if that is enough to keep uncertainties.
                form.shown.retain(|at| table.columns[*at].rank <= RANK_ASIDE);
                text = laid_out(table, &form);
                if text.width > width {
                    form.shown.clone_from(&all);
                    form.with_spread = false;
                    text = laid_out(table, &form);
                }
            }
            while text.width > width {
                match least_wanted(table, &form.shown) {
                    Some(at) if table.columns[form.shown[at]].rank > RANK_MAIN => {
                        form.shown.remove(at);
                    }
                    _ if form.with_marks => form.with_marks = false,
                    Some(at) => drop(form.shown.remove(at)),
                    None => break,
                }
                text = laid_out(table, &form);
            }
            // What uncertainties leave is room for columns that went for them, the foremost first.
            let mut gone: Vec<usize> =
                all.iter().copied().filter(|at| !form.shown.contains(at)).collect();
            gone.sort_by_key(|at| table.columns[*at].rank);
            for at in gone {
                let mut fuller = form.clone();
                fuller.shown.push(at);
                fuller.shown.sort_unstable();
                if laid_out(table, &fuller).width <= width {
                    form = fuller;
                }
            }
            // What a column took may be room enough for them again.
            let marked = Form { with_marks: true, ..form.clone() };
            if laid_out(table, &marked).width <= width {
                form = marked;
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
        let any = |is: fn(&TableCell) -> bool| table.rows.iter().flatten().any(is);
        let mut said = Vec::new();
        if !form.with_spread && any(|cell| !cell.spread.is_empty()) {
            said.push("the intervals".to_owned());
        }
        if !form.with_marks && any(|cell| !cell.marks.is_empty()) {
            said.push("the marks of caveats".to_owned());
        }
        if !dropped.is_empty() {
            let n_dropped = dropped.len() as u64;
            said.push(format!("{}: {}", counted(n_dropped, "column"), dropped.join(", ")));
        }
        if !said.is_empty() {
            let width = self.width.unwrap_or_default();
            let text = format!("Left out at {width} columns: {}.", listed(&said));
            self.prose(out, "", &text, Ink::Faint);
        }
    }
}

/// Lists what is named: `a, b and c`.
fn listed(said: &[String]) -> String {
    match said {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => said.concat(),
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
#[derive(Clone)]
struct Form {
    /// Columns.
    shown: Vec<usize>,
    /// Uncertainties.
    with_spread: bool,
    /// Marks of caveats.
    with_marks: bool,
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
        cell.spread = Box::default();
    }
    if !form.with_marks {
        cell.marks = Box::default();
    }
    if !column.numeric {
        cell.text = figure::shortened(&cell.text, form.words_max).into();
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
    use crate::report::view::long_list::LongList;

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
    fn the_last_screen_has_the_table_the_answer_the_gates_and_the_report() {
        // Two measured rows, as the scenario that the README begins with has them.
        let mut view = sample_run::view();
        view.results.rows = view.results.rows.iter().take(2).cloned().collect();
        view.troubled = LongList::default();
        view.with_failures = Table::default();
        for width in [80, 100, 160] {
            let text = render(&view, Some(width), false);
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.len() <= 40 || width < 100, "{width}: {} lines\n{text}", lines.len());
            let screen = &lines[lines.len().saturating_sub(24)..];
            let has = |what: &str| screen.iter().any(|line| line.contains(what));
            assert!(has("better"), "{width}: no answer\n{}", screen.join("\n"));
            assert!(screen.iter().any(|line| line.starts_with("✗")), "{width}: no gate");
            assert!(screen[screen.len() - 1].starts_with("report: "));
            // What is kept longest of the numbers.
            let header = screen.iter().find(|line| line.starts_with("engine  precision"));
            let header = header.unwrap_or_else(|| panic!("{width}:\n{}", screen.join("\n")));
            for column in ["TTFT p50", "TPOT p50", "output"] {
                assert!(header.contains(column), "{width}: no column {column}\n{header}");
            }
            assert!(header.contains("accuracy") || width < 160, "{width}: {header}");
        }
    }

    fn remedies(n: usize) -> Vec<RemedyView> {
        let remedy = |mark| RemedyView {
            marks: format!("[{mark}]"),
            what: format!("thing {mark} was seen that takes {}", "a line ".repeat(9)),
            more: " (and in 3 more)".to_owned(),
            advice: format!("Do {mark} things, one {}then look.", "after the other ".repeat(4)),
        };
        (1..=n).map(remedy).collect()
    }

    #[test]
    fn remedies_are_whole_while_lines_are_left_and_each_has_one() {
        for (width, n) in [(40, 2), (80, 4), (100, 4)] {
            let mut out = String::new();
            let remedies = remedies(n);
            caveats(&Screen::new(Some(width), false), &mut out, &remedies);
            let told = out.split_whitespace().collect::<Vec<_>>().join(" ");
            for remedy in &remedies {
                assert!(told.contains(&remedy.advice), "{width}: {}\n{out}", remedy.advice);
                assert!(told.contains(&format!("{} thing ", remedy.marks)), "{width}:\n{out}");
            }
            assert!(
                out.lines().all(|line| line.chars().count() <= width.into()),
                "{width}:\n{out}"
            );
        }
    }

    #[test]
    fn many_caveats_take_ten_lines_and_each_says_what_was_seen() {
        for (width, n) in [(40, 9), (80, 9), (100, 10), (100, 13)] {
            let mut out = String::new();
            caveats(&Screen::new(Some(width), false), &mut out, &remedies(n));
            let marked = (1..=n).filter(|mark| out.contains(&format!("[{mark}] thing {mark}")));
            assert_eq!(marked.count(), n.min(10), "{width}:\n{out}");
            assert_eq!(out.contains("… and 3 more in the report"), n == 13, "{width}:\n{out}");
            assert!(out.lines().count() <= if n == 13 { 11 } else { 10 }, "{width}:\n{out}");
        }
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

    #[test]
    fn marks_go_before_the_main_numbers_do() {
        let number = |text: &str| TableCell {
            spread: "± 1.23".into(),
            marks: Box::new([2, 3, 6]),
            ..TableCell::text(text)
        };
        let table = Table {
            columns: vec![
                Column::words("engine", 0),
                Column::numbers("output", "tok/s", 3),
                Column::numbers("requests", "req/s", 13),
                Column::numbers("TTFT p50", "ms", 1),
                Column::words("status", 0),
            ],
            rows: vec![vec![
                TableCell::text("fast"),
                number("2087"),
                number("29.3"),
                number("40.29"),
                TableCell::text("doubtful"),
            ]]
            .into(),
            left_out: String::new(),
        };
        let at = |width| {
            let mut out = String::new();
            Screen::new(Some(width), false).table(&mut out, &table);
            out.lines().skip(1).filter(|line| !line.starts_with('─')).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!([90, 55, 40, 28].map(at).join("\n\n"));
    }
}
