//! Lengths of time, of which Parquet itself knows nothing: their unit stands in the schema that Arrow
//! leaves beside Parquet's.
//!
//! Source: apache/arrow, format/Schema.fbs and Message.fbs; the layout is that of `FlatBuffers`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::file::metadata::FileMetaData;
use serde_json::Value;

/// The key of Arrow's schema among what a file says of itself.
const SCHEMA: &str = "ARROW:schema";
/// What begins a message of Arrow, in front of its length.
const CONTINUATION: u32 = u32::MAX;
/// The number of `Duration` among Arrow's types.
const DURATION: u8 = 18;
/// Nanoseconds of the units of lengths of time, in Arrow's order.
const UNITS: [i64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];
/// The unit that is not written.
const MILLISECOND: u16 = 1;
/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// The columns that hold lengths of time, with the nanoseconds of their unit.
#[derive(Debug)]
pub(super) struct Durations(BTreeMap<String, i64>);

impl Durations {
    /// Finds the columns; none in files that Arrow did not write.
    pub(super) fn of(file: &FileMetaData) -> Self {
        let said = file.key_value_metadata().into_iter().flatten();
        let schema = said.filter(|pair| pair.key == SCHEMA).find_map(|pair| pair.value.as_deref());
        let bytes = schema.and_then(|text| STANDARD.decode(text).ok());
        Self(bytes.and_then(|bytes| columns(&bytes)).unwrap_or_default())
    }

    /// Writes the lengths of time of a row as such.
    pub(super) fn put(&self, fields: &mut Value) {
        for (name, nanos) in &self.0 {
            if let Some(field) = fields.get_mut(name)
                && let Some(count) = field.as_i64()
            {
                let nanos = i128::from(count) * i128::from(*nanos);
                let whole = i64::try_from(nanos / SECOND);
                let length = whole.map(|s| jiff::SignedDuration::new(s, (nanos % SECOND) as i32));
                *field = length.map_or(Value::Null, |length| Value::from(format!("{length:#}")));
            }
        }
    }
}

/// Reads a message that holds a schema.
fn columns(message: &[u8]) -> Option<BTreeMap<String, i64>> {
    let at = if Buffer(message).u32(0)? == CONTINUATION { 8 } else { 4 };
    let buffer = Buffer(message.get(at..)?);
    let schema = buffer.table(buffer.follow(0)?, 2)?;
    let fields = buffer.table(schema, 1)?;
    let mut found = BTreeMap::new();
    for idx in 0..buffer.u32(fields)? as usize {
        let field = buffer.follow(fields + 4 + idx.checked_mul(4)?)?;
        if buffer.field(field, 2).and_then(|at| buffer.u8(at)) != Some(DURATION) {
            continue;
        }
        let name = buffer.text(buffer.table(field, 0)?)?;
        let unit = buffer.field(buffer.table(field, 3)?, 0);
        let unit = unit.map_or(Some(MILLISECOND), |at| buffer.u16(at))?;
        found.insert(name, *UNITS.get(usize::from(unit))?);
    }
    Some(found)
}

/// Bytes of a `FlatBuffer`, of which nothing is trusted.
#[derive(Clone, Copy)]
struct Buffer<'b>(&'b [u8]);

impl Buffer<'_> {
    fn bytes<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u8(self, at: usize) -> Option<u8> {
        self.bytes::<1>(at).map(|[byte]| byte)
    }

    fn u16(self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    /// Returns the place that an offset points to.
    fn follow(self, at: usize) -> Option<usize> {
        at.checked_add(self.u32(at)? as usize)
    }

    /// Returns the place of a table's field, by its number; `None` where it is not written.
    fn field(self, table: usize, number: usize) -> Option<usize> {
        let back = self.bytes(table).map(i32::from_le_bytes)?;
        let fields = usize::try_from(i64::try_from(table).ok()? - i64::from(back)).ok()?;
        let entry = 4 + 2 * number;
        if entry + 2 > usize::from(self.u16(fields)?) {
            return None;
        }
        match self.u16(fields.checked_add(entry)?)? {
            0 => None,
            offset => table.checked_add(usize::from(offset)),
        }
    }

    /// Returns the place that a field of a table points to.
    fn table(self, table: usize, number: usize) -> Option<usize> {
        self.follow(self.field(table, number)?)
    }

    fn text(self, at: usize) -> Option<String> {
        let start = at.checked_add(4)?;
        let bytes = self.0.get(start..start.checked_add(self.u32(at)? as usize)?)?;
        String::from_utf8(bytes.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As pyarrow 23 writes the columns `s`, `ms`, `us` and `ns` of `duration`, and `n` of `int64`.
    const WRITTEN: &str = "/////zABAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAUAAADQAAAA\
        lAAAAGgAAAA8AAAABAAAAFT///8AAAECEAAAABwAAAAEAAAAAAAAAAEAAABuAAAACAAMAAgABwAIAAAAAAAAAUAAAACI////AAABEhAA\
        AAAUAAAABAAAAAAAAAACAAAAbnMAAHr///8AAAMAsP///wAAARIQAAAAFAAAAAQAAAAAAAAAAgAAAHVzAACi////AAACANj///8AAAES\
        EAAAABgAAAAEAAAAAAAAAAIAAABtcwAABAAEAAQAAAAQABQACAAGAAcADAAAABAAEAAAAAAAARIQAAAAGAAAAAQAAAAAAAAAAQAAAHMA\
        BgAIAAYABgAAAAAAAAAAAAAA";

    #[test]
    fn units_of_lengths_of_time_stand_in_arrows_schema() {
        let bytes = STANDARD.decode(WRITTEN).unwrap();
        let expected = [("ms", 1_000_000), ("ns", 1), ("s", 1_000_000_000), ("us", 1_000)];
        let expected = expected.map(|(name, nanos)| (name.to_owned(), nanos));
        assert_eq!(columns(&bytes).unwrap(), expected.into());
        // What is cut or changed is no schema, or another one; it is no trouble.
        for at in 0..bytes.len() {
            columns(&bytes[..at]);
            let mut odd = bytes.clone();
            odd[at] = 0xff;
            columns(&odd);
        }
        let durations = Durations(columns(&bytes).unwrap());
        let mut row = serde_json::json!({"s": 2, "ms": 500, "us": null, "ns": -7, "n": 5});
        durations.put(&mut row);
        let expected =
            serde_json::json!({"s": "2s", "ms": "500ms", "us": null, "ns": "7ns ago", "n": 5});
        assert_eq!(row, expected);
    }
}
