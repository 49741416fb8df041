//! The Markdown face.

pub(crate) mod escape;
pub(crate) mod table;

use crate::report::template::{self, TemplateError};
use crate::report::view::ReportView;

/// Lines that a report has at most where not all is asked for, as far as its tables let it.
const LINES_MAX: usize = 60;

/// Rows that each table, and caveats that a report has at most then: as many as the lines leave room
/// for.
const ROWS_AND_CAVEATS_MAX: [(usize, usize); 5] = [(32, 32), (32, 8), (32, 5), (12, 5), (6, 5)];

/// Renders the template that the scenario asks for, or the default one where there is no
/// template of that name.
pub(crate) fn render(view: &ReportView) -> Result<String, TemplateError> {
    let asked = view.template.as_str();
    let name = if template::names().contains(&asked) { asked } else { "default" };
    let rendered = |view: &ReportView| {
        let text = template::render_embedded(&format!("{name}.md.j2"), view)?;
        Ok(without_double_gaps(&text))
    };
    if view.full {
        return rendered(view);
    }
    let mut view = view.clone();
    let mut text = String::new();
    for most in ROWS_AND_CAVEATS_MAX {
        (view.rows_max, view.caveats_max) = most;
        text = rendered(&view)?;
        if text.lines().count() <= LINES_MAX {
            break;
        }
    }
    Ok(text)
}

/// Leaves one empty line where blocks of the template leave several. Between fences every line
/// stays.
fn without_double_gaps(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut is_fenced = false;
    for line in text.lines() {
        is_fenced ^= line.starts_with("```");
        let is_gap = line.is_empty() && lines.last().is_none_or(|last| last.is_empty());
        if is_fenced || !is_gap {
            lines.push(line);
        }
    }
    lines.push("");
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn the_default_report_says_everything_once() {
        let view = ReportView { template: "default".to_owned(), full: true, ..sample_run::view() };
        insta::assert_snapshot!(render(&view).unwrap());
    }

    #[test]
    fn what_a_person_looks_at_first_is_short() {
        let view = ReportView { template: "default".to_owned(), ..sample_run::view() };
        let report = render(&view).unwrap();
        // A run in which everything went wrong; what went well takes 60 lines at most.
        assert!(report.lines().count() <= 70, "{} lines", report.lines().count());
        insta::assert_snapshot!(report);
    }

    #[test]
    fn thousands_of_cells_take_sixty_lines_and_what_is_left_out_is_counted() {
        let view = sample_run::large_view(2_000);
        let report =
            render(&ReportView { template: "default".to_owned(), ..view.clone() }).unwrap();
        assert!(report.lines().count() <= LINES_MAX, "{report}");
        assert!(report.contains("more rows under `--full`"), "{report}");
        let full = ReportView { template: "default".to_owned(), full: true, ..view };
        assert!(render(&full).unwrap().lines().count() > 2_000);
    }

    #[test]
    fn the_accuracy_report_has_the_published_shape() {
        let view = ReportView { full: true, ..sample_run::view() };
        insta::assert_snapshot!(render(&view).unwrap());
    }

    #[test]
    fn every_shape_can_be_asked_for() {
        for name in template::names() {
            let view = ReportView { template: name.to_owned(), full: true, ..sample_run::view() };
            let report = render(&view).unwrap();
            let end = report.find("## Beside the published table").expect("it has one");
            insta::assert_snapshot!(name, &report[..end]);
        }
    }

    #[test]
    fn result_blocks_of_several_cells_are_left_to_the_full_report() {
        for name in ["serving", "offline"] {
            let view = ReportView { template: name.to_owned(), ..sample_run::view() };
            let report = render(&view).unwrap();
            assert!(report.lines().count() <= 80, "{} lines", report.lines().count());
            assert!(report.contains("The result block of each of 3 cells"), "{name}: {report}");
            assert!(!report.contains("```"), "{name}: {report}");
            let full = render(&ReportView { full: true, ..view }).unwrap();
            assert!(full.contains("```") && !full.contains("The result block of each"), "{full}");
        }
    }

    #[test]
    fn gaps_are_closed_but_for_those_of_a_block() {
        assert_eq!(
            without_double_gaps("a\n\n\nb\n```\nc\n\n\nd\n```\n"),
            "a\n\nb\n```\nc\n\n\nd\n```\n"
        );
    }

    #[test]
    fn an_empty_run_makes_a_report() {
        insta::assert_snapshot!(render(&sample_run::empty_view()).unwrap());
    }
}
