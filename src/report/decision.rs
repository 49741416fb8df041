//! The faces of a decision: what is recommended, by what margin, and every cell that was weighed.

use serde_json::json;

use crate::metrics::decide::Decision;
use crate::metrics::summary::Summary;
use crate::report::markdown::escape::escaped;
use crate::report::markdown::table::lines as markdown_lines;
use crate::report::terminal::{Ink, Screen};
use crate::report::view::decision::{self, RULES, Told};
use crate::report::view::table::Table;

/// Version of the form in which decisions are written.
const DECISIONS_FORMAT: u32 = 2;

/// Renders decisions as JSON.
pub(crate) fn json(decisions: &[Decision]) -> String {
    let all = json!({ "format": DECISIONS_FORMAT, "decisions": decisions });
    let mut text = serde_json::to_string_pretty(&all).expect("a decision is plain data");
    text.push('\n');
    text
}

/// Renders decisions for a terminal of `width` columns; `None` for a pipe.
pub(crate) fn terminal(
    decisions: &[Decision],
    summary: &Summary,
    width: Option<u16>,
    colour: bool,
) -> String {
    let of: Vec<Told> = decisions.iter().map(|decision| Told::of(decision, summary)).collect();
    let screen = Screen::new(width, colour);
    let mut out = String::new();
    screen.table(&mut out, &table(&of));
    screen.prose(&mut out, "", RULES, Ink::Faint);
    for told in of {
        out.push('\n');
        for (at, sentence) in told.sentences().iter().enumerate() {
            screen.prose(&mut out, "", sentence, if at == 0 { Ink::Strong } else { Ink::Plain });
        }
    }
    out
}

/// Renders decisions as Markdown.
pub(crate) fn markdown(decisions: &[Decision], summary: &Summary) -> String {
    let of: Vec<Told> = decisions.iter().map(|decision| Told::of(decision, summary)).collect();
    let mut lines = vec!["### Decision".to_owned(), String::new()];
    for told in &of {
        lines.extend(told.sentences().iter().map(|sentence| format!("{}  ", escaped(sentence))));
        lines.push(String::new());
    }
    lines.extend(markdown_lines(&table(&of)));
    lines.extend([String::new(), format!("<sub>{}</sub>", escaped(RULES))]);
    lines.join("\n") + "\n"
}

fn table(of: &[Told<'_>]) -> Table {
    decision::table(of.iter().flat_map(Told::all_rows).collect())
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
