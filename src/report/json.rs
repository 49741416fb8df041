//! The JSON face: the summary itself, and the schema of what is written.

use std::io::{self, Write};

use schemars::generate::SchemaSettings;
use serde::Serialize as _;
use serde_json::ser::Formatter;
use serde_json::{Serializer, Value, json};

use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::Summary;
use crate::metrics::summary_file::{SUMMARY_FORMAT, SummaryFile};

/// Cells up to which each number has a line of its own; of more each cell has one.
const LONG_CELLS_MAX: usize = 100;

/// Digits of a number. Samples are kept to seven, and no clock tells more.
const DIGITS: usize = 8;

/// Writes `summary.json`, one cell at a time: keys in their declared order, a line for each number
/// or for each cell. A value that is not finite is `null`.
pub(crate) fn write(summary: &Summary, mut out: impl Write) -> io::Result<()> {
    let depth_max = if summary.cells.len() > LONG_CELLS_MAX { 2 } else { 4 };
    let lines = Lines { depth_max, depth: 0, has_value: false };
    summary.serialize(&mut Serializer::with_formatter(&mut out, lines))?;
    out.write_all(b"\n")
}

/// Renders what [`write()`] writes.
pub(crate) fn render(summary: &Summary) -> String {
    let mut bytes = Vec::new();
    write(summary, &mut bytes).expect("a summary has string keys and serialisable values");
    String::from_utf8(bytes).expect("JSON is text")
}

/// Indents JSON by one space down to some depth; what lies deeper stays in its line.
struct Lines {
    depth_max: usize,
    depth: usize,
    has_value: bool,
}

impl Lines {
    fn open(&mut self, out: &mut (impl ?Sized + Write), bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        out.write_all(bracket)
    }

    fn close(&mut self, out: &mut (impl ?Sized + Write), bracket: &[u8]) -> io::Result<()> {
        if self.has_value {
            self.line(out, self.depth - 1)?;
        }
        self.depth -= 1;
        self.has_value = true;
        out.write_all(bracket)
    }

    fn next(&mut self, out: &mut (impl ?Sized + Write), is_first: bool) -> io::Result<()> {
        self.has_value = true;
        if !is_first {
            out.write_all(b",")?;
        }
        self.line(out, self.depth)
    }

    /// Begins a line, unless what is open lies too deep.
    fn line(&self, out: &mut (impl ?Sized + Write), indent: usize) -> io::Result<()> {
        if self.depth > self.depth_max {
            return Ok(());
        }
        out.write_all(b"\n")?;
        out.write_all(&b"    "[..indent])
    }
}

impl Formatter for Lines {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        let digits = DIGITS - 1;
        // Through text, since only it has decimal digits.
        let rounded: f64 = format!("{value:.digits$e}").parse().map_err(io::Error::other)?;
        let size = rounded.abs();
        if (1e-5..1e15).contains(&size) || size == 0.0 {
            write!(out, "{rounded}")
        } else {
            write!(out, "{rounded:e}")
        }
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }
}

/// Returns the JSON Schema (draft 2020-12) of `summary.json` in this version of its format.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<SummaryFile>().to_value();
    schema["title"] = json!(format!("summary.json of bench, format {SUMMARY_FORMAT}"));
    schema["properties"]["format"]["const"] = json!(SUMMARY_FORMAT);
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
    use crate::metrics::summary_file::parse;
    use crate::report::input::Input;
    use crate::report::tests::sample_run;
    use crate::report::view::ReportView;

    #[test]
    fn a_summary_that_is_read_back_gives_the_same_answer() {
        let text = render(&sample_run::summary());
        let read = parse(text.as_bytes()).unwrap();
        assert_eq!(render(&read), text);
        let view =
            sample_run::with_input(|input| ReportView::new(&Input { summary: &read, ..*input }));
        let expected = sample_run::view();
        assert_eq!((&view.headline, &view.gates), (&expected.headline, &expected.gates));
        assert_eq!((&view.caveats, &view.counts), (&expected.caveats, &expected.counts));
    }

    #[test]
    fn the_schema_tells_the_format_and_defines_every_metric() {
        let schema = schema();
        assert_eq!(schema["properties"]["format"]["const"], SUMMARY_FORMAT);
        let metrics = schema["$defs"]["MetricId"]["oneOf"].as_array().unwrap();
        assert_eq!(metrics.len(), MetricId::ALL.len());
        assert_eq!(metrics[0]["description"], "First token event minus sending.");
    }
}
