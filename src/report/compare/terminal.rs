//! A comparison on a terminal.

use crate::report::compare::ComparisonView;
use crate::report::terminal::{Ink, Screen, gates};

/// Lines of a list that are shown; JSON has all.
const LINES_MAX: usize = 20;

/// Renders a comparison for a terminal of `width` columns; `None` for a pipe.
pub(crate) fn render(view: &ComparisonView, width: Option<u16>, colour: bool) -> String {
    let screen = Screen::new(width, colour);
    let mut out = String::new();
    for (name, what) in &view.sides {
        if name != what {
            screen.prose(&mut out, &format!("{name}  "), what, Ink::Plain);
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    for sentence in &view.sentences {
        screen.prose(&mut out, "", sentence, Ink::Strong);
    }
    out.push('\n');
    if !view.table.is_empty() {
        screen.table(&mut out, &view.table);
        screen.prose(&mut out, "", &view.rules, Ink::Faint);
    }
    let lists = [
        ("Doubts", &view.doubts),
        ("Left out", &view.left_out),
        ("Not the same on both sides", &view.differences),
    ];
    for (title, lines) in lists {
        if lines.is_empty() {
            continue;
        }
        out.push('\n');
        screen.prose(&mut out, "", title, Ink::Strong);
        for line in lines.iter().take(LINES_MAX) {
            screen.prose(&mut out, "  ", line, Ink::Plain);
        }
        if lines.len() > LINES_MAX {
            let more = format!("… and {} more; --format json has all", lines.len() - LINES_MAX);
            screen.prose(&mut out, "  ", &more, Ink::Faint);
        }
    }
    gates(&screen, &mut out, &view.gates);
    out
}
