//! Requests as Parquet, with the columns of `requests.csv` in their types.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::record::RecordWriter as _;

use crate::analysis::request_rows::RequestRow;

/// Rows of a group: what is in memory at once.
const GROUP_ROWS: usize = 1 << 16;

/// Writes requests as they come; a file without any has its columns all the same.
pub(crate) fn write(
    out: impl Write + Send,
    rows: impl Iterator<Item = RequestRow>,
) -> Result<(), ParquetError> {
    let none: &[RequestRow] = &[];
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = SerializedFileWriter::new(out, none.schema()?, Arc::new(properties))?;
    let mut group = Vec::new();
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        group.clear();
        group.extend(rows.by_ref().take(GROUP_ROWS));
        let mut columns = writer.next_row_group()?;
        group.as_slice().write_to_row_group(&mut columns)?;
        columns.close()?;
    }
    writer.close()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    use super::*;

    #[test]
    fn what_was_written_reads_back_in_its_types() {
        let row = RequestRow {
            cell: "engine=a".to_owned(),
            index: 7,
            measured: true,
            ttft_ms: Some(40.25),
            output_tokens: Some(16),
            ..RequestRow::default()
        };
        let mut file = Vec::new();
        write(&mut file, [row, RequestRow::default()].into_iter()).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let json = rows[0].to_json_value();
        assert_eq!((&json["cell"], &json["index"]), (&"engine=a".into(), &7.into()));
        assert_eq!((&json["ttft_ms"], &json["output_tokens"]), (&40.25.into(), &16.into()));
        assert_eq!((&json["measured"], &json["tpot_ms"]), (&true.into(), &serde_json::Value::Null));
        assert_eq!(rows.len(), 2);
        let mut empty = Vec::new();
        write(&mut empty, std::iter::empty()).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(empty)).unwrap();
        let columns = reader.metadata().file_metadata().schema_descr().num_columns();
        assert_eq!(columns, 22, "as many as requests.csv has");
    }
}
