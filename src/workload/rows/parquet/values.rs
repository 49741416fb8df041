//! Values of Parquet as a file of JSON has them, at every depth.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Value, json};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Returns the fields of a row, by the schema of its columns.
///
/// Old writers do not say which columns are texts. Their bytes are texts all the same if they
/// are UTF-8; others are no text, and only a column that is asked for is refused for it.
pub(super) fn fields(row: Row, schema: &Type) -> Value {
    let columns = row.into_columns().into_iter();
    let columns = columns.map(|(name, field)| {
        let described = member(schema, &name);
        let value = value(&field, described);
        (name, value)
    });
    columns.collect()
}

fn value(field: &Field, described: Option<&Type>) -> Value {
    match field {
        Field::TimestampMillis(count) => instant(i128::from(*count) * 1_000_000),
        Field::TimestampMicros(count) => instant(i128::from(*count) * 1_000),
        Field::Long(count) => match described.and_then(Count::of) {
            Some(Count::Instant(nanos)) => instant(i128::from(*count) * nanos),
            Some(Count::TimeOfDay) => time_of_day(*count),
            None => Value::from(*count),
        },
        Field::Date(days) => date(*days),
        Field::Bytes(bytes) if described.is_some_and(is_interval) => interval(bytes.data()),
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => Value::from(text),
            Err(_) => json!({ "bytes": bytes.len() }),
        },
        Field::Group(row) => {
            let of_member = |(name, field): (&String, &Field)| {
                (name.clone(), value(field, described.and_then(|group| member(group, name))))
            };
            row.get_column_iter().map(of_member).collect()
        }
        Field::ListInternal(list) => {
            let described = described.and_then(element);
            list.elements().iter().map(|field| value(field, described)).collect()
        }
        Field::MapInternal(map) => {
            let described = described.and_then(map_value);
            let key = |field: &Field| match value(field, None) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            map.entries().iter().map(|(of, field)| (key(of), value(field, described))).collect()
        }
        _ => field.to_json_value(),
    }
}

/// What a number of 64 bits counts by its logical type alone: that is how instants without a
/// zone, and times of nanoseconds, are written.
enum Count {
    /// Units of that many nanoseconds since 1970.
    Instant(i128),
    /// Nanoseconds since midnight.
    TimeOfDay,
}

impl Count {
    fn of(column: &Type) -> Option<Self> {
        match column.get_basic_info().logical_type_ref()? {
            LogicalType::Timestamp(time) => Some(Self::Instant(match time.unit {
                TimeUnit::MILLIS => 1_000_000,
                TimeUnit::MICROS => 1_000,
                TimeUnit::NANOS => 1,
            })),
            LogicalType::Time(time) if matches!(time.unit, TimeUnit::NANOS) => {
                Some(Self::TimeOfDay)
            }
            _ => None,
        }
    }
}

fn member<'t>(group: &'t Type, name: &str) -> Option<&'t Type> {
    let mut fields = group.is_group().then(|| group.get_fields().iter())?;
    fields.find(|field| field.name() == name).map(AsRef::as_ref)
}

/// Returns the elements' type of a list, which stand in a group of their own unless an old writer
/// left that out.
///
/// Source: apache/parquet-format, LogicalTypes.md, "Lists", with its rules for old files.
fn element(list: &Type) -> Option<&Type> {
    if !list.is_group() || list.get_basic_info().converted_type() != ConvertedType::LIST {
        return Some(list);
    }
    let repeated = list.get_fields().first()?.as_ref();
    let is_element = !repeated.is_group()
        || repeated.get_fields().len() != 1
        || repeated.name() == "array"
        || repeated.name() == format!("{}_tuple", list.name());
    if is_element { Some(repeated) } else { Some(repeated.get_fields()[0].as_ref()) }
}

fn map_value(map: &Type) -> Option<&Type> {
    let pairs = map.is_group().then(|| map.get_fields().first())??;
    pairs.is_group().then(|| pairs.get_fields().get(1))?.map(AsRef::as_ref)
}

/// Returns an instant as RFC 3339 writes it; one without a zone counts as UTC.
pub(super) fn instant(nanos: i128) -> Value {
    match jiff::Timestamp::from_nanosecond(nanos) {
        Ok(instant) => Value::from(instant.to_string()),
        Err(_) => beyond(nanos / i128::from(SECOND), "seconds"),
    }
}

fn date(days: i32) -> Value {
    let since = jiff::Span::new().try_days(days).ok();
    let date = since.and_then(|since| jiff::civil::date(1970, 1, 1).checked_add(since).ok());
    date.map_or_else(|| beyond(days.into(), "days"), |date| Value::from(date.to_string()))
}

/// Returns an instant outside of all years, `infinity` among them: a text that is no time, which does
/// no harm to a column that is not asked for.
fn beyond(count: i128, unit: &str) -> Value {
    Value::from(format!("{count} {unit} since 1970, outside of all years"))
}

/// Whether a column holds a number of months, one of days and one of milliseconds.
pub(super) fn is_interval(column: &Type) -> bool {
    column.get_basic_info().converted_type() == ConvertedType::INTERVAL
}

/// Returns a length of time; one with months in it, which have no length, is a text that is no time.
///
/// Source: apache/parquet-format, LogicalTypes.md, "INTERVAL".
fn interval(bytes: &[u8]) -> Value {
    let (parts, []) = bytes.as_chunks::<4>() else { return Value::Null };
    let &[months, days, millis] = parts else { return Value::Null };
    let [months, days, millis] = [months, days, millis].map(u32::from_le_bytes);
    if months > 0 {
        return Value::from(format!("{months} months, {days} days, {millis} ms"));
    }
    let length = jiff::SignedDuration::from_hours(i64::from(days) * 24)
        + jiff::SignedDuration::from_millis(millis.into());
    Value::from(format!("{length:#}"))
}

/// Returns a time of day as people write it.
fn time_of_day(nanos: i64) -> Value {
    let time = jiff::civil::Time::midnight()
        .checked_add(jiff::SignedDuration::new(nanos / SECOND, (nanos % SECOND) as i32));
    time.map_or(Value::Null, |time| Value::from(time.to_string()))
}
