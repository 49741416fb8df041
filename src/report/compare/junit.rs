//! A comparison for a CI server: a test for each cell and quantity, which fails where it is worse.

use std::fmt::Write as _;

use crate::metrics::compare::{Compared, ComparedCells, Comparison, Place};
use crate::report::compare::{change, counts, value_cell};
use crate::report::junit::{escaped, suite};
use crate::stats::verdict::Verdict;

/// Renders a comparison as the XML of `JUnit`, a suite for each side after the first.
///
/// What is worse is a failure, and so is a cell that failed where the baseline's did not. What is not
/// decided or not compared is skipped.
pub(crate) fn render(comparison: &Comparison) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for (side, name) in comparison.sides.iter().enumerate().skip(1) {
        let cells = || comparison.cells.iter().filter(move |cells| cells.side == side);
        let alone = comparison.unmatched.iter().filter(|it| it.side == 0 && it.other == side);
        let cases: Vec<Case> = cells().flat_map(cases_of).chain(alone.map(case_alone)).collect();
        let count =
            |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count();
        let name = format!("{name} against {}", comparison.sides[0]);
        line(
            &mut out,
            format_args!(
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
                escaped(&name),
                cases.len(),
                count(|outcome| matches!(outcome, Outcome::Worse(_) | Outcome::Lost(_))),
                count(|outcome| matches!(outcome, Outcome::Open(_))),
            ),
        );
        for case in &cases {
            case.write(&mut out);
        }
        out.push_str("  </testsuite>\n");
    }
    if !comparison.gates.is_empty() {
        suite(&mut out, "gates", &comparison.gates);
    }
    out.push_str("</testsuites>\n");
    out
}

struct Case {
    class: String,
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Worse(String),
    Lost(String),
    Open(String),
}

fn cases_of(cells: &ComparedCells) -> Vec<Case> {
    let keys: Vec<String> =
        cells.keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let class = if keys.is_empty() { cells.candidate.clone() } else { keys.join(",") };
    if let Some(reason) = &cells.not_compared {
        let has_failed = cells.is_lost && !cells.is_incomplete;
        let outcome = if has_failed { Outcome::Lost } else { Outcome::Open }(reason.clone());
        return vec![Case { class, name: "compared".to_owned(), outcome }];
    }
    let case = |row: &Compared| Case {
        class: class.clone(),
        name: row.tag(),
        outcome: match row.verdict {
            Verdict::Better | Verdict::Equivalent => Outcome::Passed,
            Verdict::Worse => Outcome::Worse(told(row)),
            Verdict::Inconclusive => Outcome::Open(told(row)),
        },
    };
    cells.rows.iter().map(case).collect()
}

/// Returns the case of a cell that the baseline alone has: what is not there shows nothing.
fn case_alone(place: &Place) -> Case {
    let outcome = Outcome::Open("the cell has no counterpart".to_owned());
    Case { class: place.cell.clone(), name: "compared".to_owned(), outcome }
}

fn told(row: &Compared) -> String {
    format!(
        "{} -> {} {}: {}; n = {}; {}",
        value_cell(row, &row.baseline).line(),
        value_cell(row, &row.candidate).line(),
        row.unit,
        change(row),
        counts(&row.baseline, &row.candidate),
        row.note,
    )
}

impl Case {
    fn write(&self, out: &mut String) {
        let (class, name) = (escaped(&self.class), escaped(&self.name));
        let head = format!("    <testcase classname=\"{class}\" name=\"{name}\"");
        match &self.outcome {
            Outcome::Passed => line(out, format_args!("{head}/>")),
            Outcome::Worse(why) => line(
                out,
                format_args!("{head}><failure message=\"worse: {}\"/></testcase>", escaped(why)),
            ),
            Outcome::Lost(why) => {
                line(
                    out,
                    format_args!("{head}><failure message=\"{}\"/></testcase>", escaped(why)),
                );
            }
            Outcome::Open(why) => {
                line(
                    out,
                    format_args!("{head}><skipped message=\"{}\"/></testcase>", escaped(why)),
                );
            }
        }
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all that is written");
}
