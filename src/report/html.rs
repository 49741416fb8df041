//! The HTML face: one file that needs nothing else and runs no script but its own.

use crate::report::template::{self, TemplateError};
use crate::report::view::ReportView;

/// Renders the page.
pub(crate) fn render(view: &ReportView) -> Result<String, TemplateError> {
    template::render_embedded("report.html.j2", view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn the_page_needs_nothing_else_and_runs_its_own_script_alone() {
        let page = render(&sample_run::view()).unwrap();
        let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap();
        let policy = policy.split('"').next().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let scripts: Vec<&str> = page.split("<script").skip(1).collect();
        let own = scripts.iter().filter(|it| !it.starts_with(" type=\"text/plain\""));
        assert_eq!(own.count(), 1, "one script that is no data");
        for forbidden in ["<link", "@import", "url(", "<img", "onerror=\"", "<iframe", "style=\""] {
            assert!(!page.contains(forbidden), "the page contains {forbidden}");
        }
        assert!(page.contains("&lt;script&gt;"), "the sample_run's hostile text is shown, escaped");
    }

    #[test]
    fn the_page_says_everything() {
        let page = render(&sample_run::view()).unwrap();
        let mut without_files = page.clone();
        for (start, end) in
            [("<style>", "</style>"), ("<script>", "</script>"), ("style-src", "; base")]
        {
            let from = without_files.find(start).unwrap();
            let to = from + without_files[from..].find(end).unwrap();
            without_files.replace_range(from + start.len()..to, "…");
        }
        insta::assert_snapshot!(without_files);
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
        assert!(page.len() < 5_000_000, "{} bytes", page.len());
        assert!(page.contains("The first 100 of 10000 rows"), "the others are packed");
        assert!(page.contains("The first 200 of 10000 cells"));
    }

    #[test]
    fn the_same_input_gives_the_same_page() {
        assert_eq!(render(&sample_run::view()).unwrap(), render(&sample_run::view()).unwrap());
    }
}
