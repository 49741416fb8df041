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
    use crate::report::specimen;
    use crate::report::view::ReportView;

    #[test]
    fn a_summary_that_is_read_back_gives_the_same_report() {
        let read: Summary = serde_json::from_str(&render(&specimen::summary())).unwrap();
        // Not the same bits: serde_json's quick parser of floats may miss by one in the last place.
        let view =
            specimen::with_input(|input| ReportView::new(&Input { summary: &read, ..*input }));
        let (a, b) =
            (serde_json::to_value(&view).unwrap(), serde_json::to_value(specimen::view()).unwrap());
        for (k, v) in a.as_object().unwrap() {
            if b[k] != *v {
                println!("DIFF {k}\n{v}\n{}", b[k]);
            }
        }
        assert!(view == specimen::view());
    }
}
