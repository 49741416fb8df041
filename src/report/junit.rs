//! Gates as `JUnit` XML, for continuous integration: one test case per gate and cell.

use std::fmt::Write as _;

use crate::metrics::summary::{GateOutcome, Summary};
use crate::report::view::gates::{GateView, gates};

/// Renders the gates of a run. One that is not decided is skipped, as nobody failed.
pub fn render(summary: &Summary) -> String {
    let views = gates(&summary.gates);
    let n = |outcome| summary.gates.iter().filter(|gate| gate.outcome == outcome).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let title = escaped(&summary.title);
    let (n_missed, n_open) = (n(GateOutcome::Missed), n(GateOutcome::Undecided));
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<testsuite name=\"{title}\" tests=\"{}\" failures=\"{n_missed}\" skipped=\"{n_open}\">",
        views.len()
    );
    for view in &views {
        out.push_str(&case(view));
    }
    out.push_str("</testsuite>\n");
    out
}

fn case(view: &GateView) -> String {
    let (class, name) = (escaped(&view.cell), escaped(&view.condition));
    let told = escaped(&view.line);
    let open = format!("  <testcase classname=\"{class}\" name=\"{name}\">");
    match view.mark {
        "✗" => format!("{open}<failure message=\"{told}\"/></testcase>\n"),
        "?" => format!("{open}<skipped message=\"{told}\"/></testcase>\n"),
        _ => format!("{open}<system-out>{told}</system-out></testcase>\n"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
