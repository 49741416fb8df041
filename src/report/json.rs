//! The JSON face: the summary itself, unrounded, and the schema of what is written.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::Summary;
use crate::record::FORMAT_VERSION;

/// Renders `summary.json`: indented, keys in their declared order, numbers in full.
/// A value that is not finite is `null`.
pub fn render(summary: &Summary) -> String {
    let mut text = serde_json::to_string_pretty(summary)
        .expect("a summary has string keys and serialisable values");
    text.push('\n');
    text
}

/// Returns the JSON Schema (draft 2020-12) of `summary.json` in this version of its format.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Summary>().to_value();
    schema["title"] = json!(format!("summary.json of bench, format {FORMAT_VERSION}"));
    schema["properties"]["format"]["const"] = json!(FORMAT_VERSION);
    let metric = |id: &MetricId| {
        let row = id.row();
        let unit = if row.unit.is_empty() { "no unit" } else { row.unit };
        json!({ "const": row.tag, "title": format!("{}, {unit}", row.name), "description": row.definition })
    };
    let metrics: Vec<Value> = MetricId::ALL.iter().map(metric).collect();
    schema["$defs"]["MetricId"] = json!({ "type": "string", "oneOf": metrics });
    schema
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

    #[test]
    fn the_schema_tells_the_format_and_defines_every_metric() {
        let schema = schema();
        assert_eq!(schema["properties"]["format"]["const"], FORMAT_VERSION);
        let metrics = schema["$defs"]["MetricId"]["oneOf"].as_array().unwrap();
        assert_eq!(metrics.len(), MetricId::ALL.len());
        assert_eq!(metrics[0]["description"], "First token event minus sending.");
    }
}
