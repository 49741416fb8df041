//! Requests as JSON lines.

use std::io::{self, Write};

use crate::analysis::request_rows::RequestRow;

/// Writes each request as an object on a line of its own; what is absent is `null`.
pub(crate) fn write(mut out: impl Write, rows: impl Iterator<Item = RequestRow>) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut out, &row)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
