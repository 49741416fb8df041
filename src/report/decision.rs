//! The faces of a decision: what is recommended, by what margin, and every cell that was weighed.

use crate::metrics::decide::Decision;
use crate::metrics::summary::Summary;
use crate::report::markdown::escape::escaped;
use crate::report::markdown::table;
use crate::report::terminal::{Ink, Screen};
use crate::report::view::decision::{RULES, Told};

fn all(decision: &Decision) -> Vec<usize> {
    (0..decision.cells.len()).collect()
}

/// Renders a decision as JSON.
pub(crate) fn json(decision: &Decision) -> String {
    let mut text = serde_json::to_string_pretty(decision).expect("a decision is plain data");
    text.push('\n');
    text
}

/// Renders a decision for a terminal of `width` columns; `None` for a pipe.
pub(crate) fn terminal(
    decision: &Decision,
    summary: &Summary,
    width: Option<u16>,
    colour: bool,
) -> String {
    let of = Told::of(decision, summary);
    let screen = Screen::new(width, colour);
    let mut out = String::new();
    screen.table(&mut out, &of.table(&all(decision)));
    screen.prose(&mut out, "", RULES, Ink::Faint);
    out.push('\n');
    for (at, sentence) in of.sentences().iter().enumerate() {
        screen.prose(&mut out, "", sentence, if at == 0 { Ink::Strong } else { Ink::Plain });
    }
    out
}

/// Renders a decision as Markdown.
pub(crate) fn markdown(decision: &Decision, summary: &Summary) -> String {
    let of = Told::of(decision, summary);
    let mut lines = vec!["### Decision".to_owned(), String::new()];
    lines.extend(of.sentences().iter().map(|sentence| format!("{}  ", escaped(sentence))));
    lines.push(String::new());
    lines.extend(table::lines(&of.table(&all(decision))));
    lines.extend([String::new(), format!("<sub>{}</sub>", escaped(RULES))]);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::decide::decide;
    use crate::report::tests::sample_run;

    #[test]
    fn a_decision_says_what_and_by_how_much_and_what_would_change_it() {
        let (plan, summary) = (sample_run::plan(), sample_run::summary());
        let decision = decide(&plan, &summary, Some(100.0));
        insta::assert_snapshot!(terminal(&decision, &summary, Some(100), false));
        insta::assert_snapshot!(markdown(&decision, &summary));
    }
}
