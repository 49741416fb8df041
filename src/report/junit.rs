//! A run as `JUnit` XML, for continuous integration: a test case per cell, and one per gate and cell.

use std::fmt::Write as _;

use crate::metrics::summary::{CellStatus, CellSummary, GateOutcome, GateResult, Summary};
use crate::report::untrusted;
use crate::report::view::gates::{COUNTS_AS_MISSED, GateView, gates};

/// Renders what became of the cells of a run, and of its gates.
pub(crate) fn render(summary: &Summary) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write(&mut out, &summary.title, &summary.cells, &summary.gates);
    out
}

/// Writes gates as a suite of that name. One that is not decided is skipped, unless it counts as
/// missed: nobody failed.
pub(crate) fn suite(out: &mut String, name: &str, results: &[GateResult]) {
    write(out, name, &[], results);
}

fn write(out: &mut String, name: &str, cells: &[CellSummary], results: &[GateResult]) {
    let told = || results.iter().filter(|gate| gate.same_start_as.is_none());
    let n_missed = told().filter(|gate| gate.fails()).count();
    let is_open = |gate: &&GateResult| gate.outcome == GateOutcome::Undecided && !gate.fails();
    let n_open = told().filter(is_open).count();
    let n_cells = |is_it: fn(CellStatus) -> bool| {
        cells.iter().filter(|cell| is_it(cell.validity.status)).count()
    };
    let n_missed = n_missed + n_cells(|status| status == CellStatus::Failed);
    let n_open = n_open + n_cells(is_unmeasured);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{n_missed}\" skipped=\"{n_open}\">",
        escaped(name),
        told().count() + cells.len()
    );
    for cell in cells {
        out.push_str(&measured(cell));
    }
    for view in &gates(results) {
        out.push_str(&case(view));
    }
    out.push_str("</testsuite>\n");
}

/// Whether a cell shows nothing without having failed.
const fn is_unmeasured(status: CellStatus) -> bool {
    matches!(status, CellStatus::Skipped | CellStatus::Incomplete | CellStatus::Invalid)
}

/// Writes whether a cell was measured: one that failed is a failure, with or without gates.
fn measured(cell: &CellSummary) -> String {
    let open = format!("  <testcase classname=\"{}\" name=\"measured\"", escaped(&cell.name));
    let status = cell.validity.status;
    let why = escaped(&format!("{}: {}", status.word(), cell.validity.reasons.join("; ")));
    match status {
        CellStatus::Failed => format!("{open}><failure message=\"{why}\"/></testcase>\n"),
        _ if is_unmeasured(status) => {
            format!("{open}><skipped message=\"{why}\"/></testcase>\n")
        }
        _ => format!("{open}/>\n"),
    }
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
    use crate::metrics::summary::Validity;
    use crate::metrics::tests::fixture::measured_cell;

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

    #[test]
    fn a_failed_cell_is_a_failure_without_any_gate() {
        let cell = |name: &str, status| {
            let validity = Validity::new(status, ["112 of 120 requests failed".to_owned()]);
            CellSummary { validity, ..measured_cell(name, "fp16") }
        };
        let cells = vec![
            cell("c4", CellStatus::Ok),
            cell("c10", CellStatus::Failed),
            cell("c16", CellStatus::Skipped),
        ];
        let out = render(&Summary { cells, ..Summary::default() });
        assert!(out.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{out}");
        let told = "failed: 112 of 120 requests failed";
        assert!(out.contains(&format!("name=\"measured\"><failure message=\"{told}\"/>")), "{out}");
    }
}
