//! Gates as `JUnit` XML, for continuous integration: one test case per gate and cell.

use std::fmt::Write as _;

use crate::metrics::summary::{GateOutcome, GateResult, Summary};
use crate::report::untrusted;
use crate::report::view::gates::{COUNTS_AS_MISSED, GateView, gates};

/// Renders the gates of a run.
pub(crate) fn render(summary: &Summary) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    suite(&mut out, &summary.title, &summary.gates);
    out
}

/// Writes gates as a suite of that name. One that is not decided is skipped, unless it counts as
/// missed: nobody failed.
pub(crate) fn suite(out: &mut String, name: &str, results: &[GateResult]) {
    let told = || results.iter().filter(|gate| gate.same_start_as.is_none());
    let n_missed = told().filter(|gate| gate.fails()).count();
    let is_open = |gate: &&GateResult| gate.outcome == GateOutcome::Undecided && !gate.fails();
    let n_open = told().filter(is_open).count();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{n_missed}\" skipped=\"{n_open}\">",
        escaped(name),
        told().count()
    );
    for view in &gates(results) {
        out.push_str(&case(view));
    }
    out.push_str("</testsuite>\n");
}

fn case(view: &GateView) -> String {
    let (class, name) = (escaped(&view.cell), escaped(&view.condition));
    let told = escaped(&view.line);
    let open = format!("  <testcase classname=\"{class}\" name=\"{name}\">");
    match view.mark {
        _ if view.outcome == COUNTS_AS_MISSED => {
            format!("{open}<failure message=\"{told}\"/></testcase>\n")
        }
        "✗" => format!("{open}<failure message=\"{told}\"/></testcase>\n"),
        "?" => format!("{open}<skipped message=\"{told}\"/></testcase>\n"),
        _ => format!("{open}<system-out>{told}</system-out></testcase>\n"),
    }
}

/// Returns a text as an attribute's value; what a terminal could take for a command is told.
pub(crate) fn escaped(text: &str) -> String {
    let text = untrusted::line(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_is_not_decided_is_a_failure_where_it_counts_as_missed() {
        let open = GateResult {
            outcome: GateOutcome::Undecided,
            ..GateResult::missed("a", "ttft.p99 < 10ms", true, "TTFT p99".to_owned())
        };
        let check = |counts_as_missed, expected: &str, element: &str| {
            let mut out = String::new();
            suite(&mut out, "gates", &[GateResult { counts_as_missed, ..open.clone() }]);
            assert!(out.contains(expected) && out.contains(element), "{out}");
        };
        check(false, "failures=\"0\" skipped=\"1\"", "<skipped ");
        check(true, "failures=\"1\" skipped=\"0\"", "<failure ");
    }
}
