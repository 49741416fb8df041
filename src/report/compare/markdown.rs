//! A comparison for a pull request.

use crate::report::compare::ComparisonView;
use crate::report::markdown::escape::escaped;
use crate::report::markdown::table;
use crate::report::number::counted;
use crate::report::view::table::TableCell;
use crate::stats::verdict::Verdict;

/// Lines where not all are asked for.
const LINES_MAX: usize = 30;
/// Rows of the table among them at most, as many as the other parts leave room for: what is worse goes
/// first.
const ROWS_MAX: usize = 12;
/// Lines of a table that are no rows: its head, a blank and its rules.
const ROUND_ROWS: usize = 4;
/// Sentences, gates, and lines of all lists below the table together, with the line that counts the
/// rest.
const SENTENCES_MAX: usize = 5;
const GATES_MAX: usize = 6;
const NOTES_MAX: usize = 7;

/// Renders a comparison, in at most 30 lines unless `all` is asked for.
pub(crate) fn render(view: &ComparisonView, all: bool) -> String {
    let mut lines: Vec<String> = Vec::new();
    let [(baseline, _), ..] = view.sides.as_slice() else { return String::new() };
    lines.push(format!("### Comparison with {}", escaped(baseline)));
    lines.push(String::new());
    let named = view.sides.iter().filter(|(name, what)| name != what);
    let named: Vec<String> =
        named.map(|(name, what)| format!("{}: {}", escaped(name), escaped(what))).collect();
    if !named.is_empty() {
        lines.extend([named.join(" · "), String::new()]);
    }
    let sentences: Vec<String> =
        view.sentences.iter().map(|sentence| format!("{}  ", escaped(sentence))).collect();
    lines.extend(folded(sentences, SENTENCES_MAX, all, |n| {
        format!("… and {}; `--all` shows all  ", counted(n as u64, "more side"))
    }));
    lines.extend(gates(view, all));
    lines.push(String::new());
    let notes = notes(view, all);
    let n_others = lines.len() + notes.len() + ROUND_ROWS;
    let n_rows = if all { usize::MAX } else { LINES_MAX.saturating_sub(n_others).min(ROWS_MAX) };
    rows(&mut lines, view, n_rows);
    lines.extend(notes);
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// Keeps `most` lines, the last of which counts the rest, unless `all` are asked for.
fn folded(
    mut lines: Vec<String>,
    most: usize,
    all: bool,
    rest: impl Fn(usize) -> String,
) -> Vec<String> {
    if !all && lines.len() > most {
        let n_rest = lines.len() - (most - 1);
        lines.truncate(most - 1);
        lines.push(rest(n_rest));
    }
    lines
}

/// Returns a line for each gate; those that were not passed come first, and of the rest it is said how
/// many were.
fn gates(view: &ComparisonView, all: bool) -> Vec<String> {
    let lines = view.gates.iter().map(|gate| format!("- {} {}", gate.mark, escaped(&gate.line)));
    folded(lines.collect(), GATES_MAX, all, |n| {
        let rest = &view.gates[view.gates.len() - n..];
        let n_met = rest.iter().filter(|gate| gate.outcome == "met").count();
        format!(
            "- … and {}, {n_met} of them met; `--all` shows all",
            counted(n as u64, "more gate")
        )
    })
}

/// Adds the table, `n_rows` of it at most.
fn rows(lines: &mut Vec<String>, view: &ComparisonView, n_rows: usize) {
    let rows = &view.table.rows;
    if rows.is_empty() {
        return;
    }
    let columns = &view.table.columns;
    lines.extend(table::header(columns));
    let mut shown: Vec<usize> = (0..rows.len()).collect();
    if rows.len() > n_rows {
        // The order of documents holds among equals, and what is left out is counted.
        shown.sort_by_key(|at| importance(view.verdicts[*at]));
        shown.truncate(n_rows);
        shown.sort_unstable();
    }
    lines.extend(shown.iter().map(|at| table::row(rows[*at].iter().map(TableCell::line))));
    lines.push(String::new());
    let n_hidden = (rows.len() - shown.len()) as u64;
    let mut rules = view.rules.clone();
    if n_hidden > 0 {
        rules = format!(
            "{} left out, none of them more than these; `--all` shows all. {rules}",
            counted(n_hidden, "row")
        );
    }
    lines.push(format!("<sub>{}</sub>", escaped(&rules)));
}

/// What must not be overlooked comes first.
fn importance(verdict: Option<Verdict>) -> u8 {
    match verdict {
        Some(Verdict::Worse) => 0,
        Some(Verdict::Better) => 1,
        Some(Verdict::Inconclusive) => 2,
        None => 3,
        Some(Verdict::Equivalent) => 4,
    }
}

fn notes(view: &ComparisonView, all: bool) -> Vec<String> {
    let not_the_same = view.differences.iter().map(|line| format!("not the same: {line}"));
    let doubts = view.doubts.iter().map(|line| format!("doubt {line}"));
    let notes: Vec<String> =
        view.left_out.iter().cloned().chain(doubts).chain(not_the_same).collect();
    if notes.is_empty() {
        return notes;
    }
    let lines = notes.iter().map(|note| format!("- {}", escaped(note))).collect();
    let shown = folded(lines, NOTES_MAX, all, |n| format!("- … and {n} more; `--all` shows all"));
    [vec![String::new()], shown].concat()
}
