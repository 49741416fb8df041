//! A comparison for a pull request.

use crate::report::compare::ComparisonView;
use crate::report::markdown::escape::escaped;
use crate::report::markdown::table;
use crate::report::number::counted;
use crate::report::view::table::TableCell;
use crate::stats::verdict::Verdict;

/// Rows of the table where not all are asked for: what is worse goes first.
const ROWS_MAX: usize = 12;
/// Lines of all lists below the table together, where not all are asked for.
const LINES_MAX: usize = 6;

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
    lines.extend(view.sentences.iter().map(|sentence| format!("{}  ", escaped(sentence))));
    lines.extend(view.gates.iter().map(|gate| format!("- {} {}", gate.mark, escaped(&gate.line))));
    lines.push(String::new());
    rows(&mut lines, view, all);
    notes(&mut lines, view, all);
    lines.join("\n").trim_end().to_owned() + "\n"
}

fn rows(lines: &mut Vec<String>, view: &ComparisonView, all: bool) {
    let rows = &view.table.rows;
    if rows.is_empty() {
        return;
    }
    let columns = &view.table.columns;
    lines.extend(table::header(columns));
    let mut shown: Vec<usize> = (0..rows.len()).collect();
    if !all && rows.len() > ROWS_MAX {
        // The order of documents holds among equals, and what is left out is counted.
        shown.sort_by_key(|at| importance(view.verdicts[*at]));
        shown.truncate(ROWS_MAX);
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

fn notes(lines: &mut Vec<String>, view: &ComparisonView, all: bool) {
    let not_the_same = view.differences.iter().map(|line| format!("not the same: {line}"));
    let doubts = view.doubts.iter().map(|line| format!("doubt {line}"));
    let notes: Vec<String> =
        view.left_out.iter().cloned().chain(doubts).chain(not_the_same).collect();
    if notes.is_empty() {
        return;
    }
    lines.push(String::new());
    let n_shown = if all { notes.len() } else { LINES_MAX.min(notes.len()) };
    lines.extend(notes[..n_shown].iter().map(|note| format!("- {}", escaped(note))));
    if n_shown < notes.len() {
        lines.push(format!("- … and {} more; `--all` shows all", notes.len() - n_shown));
    }
}
