//! The HTML face: one file that needs nothing else and runs no script.

use crate::report::template::{self, TemplateError};
use crate::report::view::ReportView;

/// Renders the page.
pub fn render(view: &ReportView) -> Result<String, TemplateError> {
    template::render_embedded("report.html.j2", view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn the_page_needs_nothing_else_and_runs_nothing() {
        let page = render(&sample_run::view()).unwrap();
        assert!(page.contains("default-src 'none'"));
        for forbidden in ["<script", "<link", "@import", "url(", "<img", "onerror=\"", "<iframe"] {
            assert!(!page.contains(forbidden), "the page contains {forbidden}");
        }
        assert!(page.contains("&lt;script&gt;"), "the sample_run's hostile text is shown, escaped");
    }

    #[test]
    fn the_page_says_everything() {
        insta::assert_snapshot!(render(&sample_run::view()).unwrap());
    }

    #[test]
    fn the_page_of_an_empty_run_is_whole() {
        let page = render(&sample_run::empty_view()).unwrap();
        assert!(page.trim_end().ends_with("</html>"));
        assert!(page.contains("No cell has numbers that may be used."));
    }

    #[test]
    fn ten_thousand_cells_make_a_page_that_a_browser_can_open() {
        let page = render(&sample_run::large_view(10_000)).unwrap();
        assert!(page.len() < 20_000_000, "{} bytes", page.len());
        assert_eq!(page.matches("<td>cell-9999</td>").count(), 1, "every cell is a row");
        assert!(page.contains("The first 500 of 10000 cells"));
    }

    #[test]
    fn the_same_input_gives_the_same_page() {
        assert_eq!(render(&sample_run::view()).unwrap(), render(&sample_run::view()).unwrap());
    }
}
