//! The JSON face: the summary itself, unrounded.

use crate::metrics::summary::Summary;

/// Renders `summary.json`: indented, keys in their declared order, numbers in full.
/// A value that is not finite is `null`.
pub fn render(summary: &Summary) -> String {
    let mut text = serde_json::to_string_pretty(summary)
        .expect("a summary has string keys and serialisable values");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::input::Input;
    use crate::report::tests::sample_run;
    use crate::report::view::ReportView;

    #[test]
    fn a_summary_that_is_read_back_gives_the_same_report() {
        let read: Summary = serde_json::from_str(&render(&sample_run::summary())).unwrap();
        assert_eq!(read, sample_run::summary());
        let view =
            sample_run::with_input(|input| ReportView::new(&Input { summary: &read, ..*input }));
        assert_eq!(view, sample_run::view());
    }
}
