//! Times of rows: instants and lengths of time, with the unit that numbers are of.

use serde_json::{Map, Value};

use crate::plan::cell::TimeUnit;
use crate::units::Nanos;
use crate::workload::error::DataError;

/// Nanoseconds of one second.
const SECOND: i128 = 1_000_000_000;

/// A time as a row writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A date: nanoseconds since 1970.
    Instant(i128),
    /// A length of time, or a time of day: nanoseconds.
    Length(i128),
    /// A number without a unit, in billionths of it.
    Bare {
        /// Billionths of the unit.
        billionths: i128,
        /// Whether it is between two whole numbers.
        is_fraction: bool,
    },
}

impl Written {
    /// Returns what it is, as a sentence has it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Instant(_) => "a date",
            Self::Length(_) => "a length of time",
            Self::Bare { .. } => "a number without a unit",
        }
    }
}

/// Reads a time; `None` when the value is none.
pub(super) fn read(value: &Value) -> Option<Written> {
    read_in(value, None)
}

/// Reads a time of a column whose dates have day and month in this order, where they are numbers.
pub(super) fn read_in(value: &Value, order: Option<DateOrder>) -> Option<Written> {
    match value {
        Value::Number(number) => bare(&number.to_string()),
        Value::String(text) => {
            let text = text.trim();
            // As logs set them.
            let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
            let text = &within_nanoseconds(text);
            bare(text)
                .or_else(|| date(text, order).map(Written::Instant))
                .or_else(|| length(text).map(Written::Length))
        }
        Value::Object(fields) => parts(fields),
        _ => None,
    }
}

/// Reads an instant that is an object: Extended JSON's `{"$date": …}`, Protocol Buffers' seconds and
/// nanoseconds.
fn parts(fields: &Map<String, Value>) -> Option<Written> {
    if let (1, Some(date)) = (fields.len(), fields.get("$date")) {
        // A number counts milliseconds, and stands for itself or as a text.
        let number = date.get("$numberLong").unwrap_or(date);
        return match read(number)? {
            Written::Bare { billionths, .. } => Some(Written::Instant(billionths / 1_000)),
            typed => Some(typed),
        };
    }
    let whole = |name: &str| match read(fields.get(name)?)? {
        Written::Bare { billionths, is_fraction: false } => Some(billionths / SECOND),
        _ => None,
    };
    let is_known = fields.keys().all(|name| matches!(name.as_str(), "seconds" | "nanos"));
    let nanos = if fields.contains_key("nanos") { whole("nanos")? } else { 0 };
    is_known.then_some(Written::Instant(whole("seconds")?.checked_mul(SECOND)?.checked_add(nanos)?))
}

/// Reads a number, digit by digit: seconds since 1970 with nanoseconds do not fit a float.
fn bare(text: &str) -> Option<Written> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => (-1, whole),
        None => (1, whole.strip_prefix('+').unwrap_or(whole)),
    };
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 60 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let shift = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let digits = digits.trim_start_matches('0');
    let number: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let billionths = if shift >= 0 {
        number.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?)?
    } else {
        // Less than a billionth of the unit is cut off.
        10_i128.checked_pow(shift.unsigned_abs()).map_or(0, |divisor| number / divisor)
    };
    // Data frames write whole numbers with a point where a column has a gap.
    let is_fraction = billionths % SECOND != 0;
    Some(Written::Bare { billionths: sign * billionths, is_fraction })
}

/// Forms of dates that RFC 3339 does not know.
const FORMS: [&str; 10] = [
    "%Y/%m/%d %H:%M:%S%.f",
    "%d/%b/%Y:%H:%M:%S",
    "%Y-%m-%d %H:%M:%S,%f",
    "%d.%m.%Y %H:%M:%S%.f",
    "%a %b %d %H:%M:%S %Y",
    "%b %d %Y %H:%M:%S%.f",
    "%b %d, %Y %H:%M:%S%.f",
    "%d %b %Y %H:%M:%S%.f",
    "%m/%d/%Y %I:%M:%S%.f %p",
    "%b %d, %Y %I:%M:%S%.f %p",
];
/// Which of day and month comes first, where both are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateOrder {
    Month,
    Day,
}

impl DateOrder {
    fn form(self) -> &'static str {
        match self {
            Self::Month => "%m/%d/%Y %H:%M:%S%.f",
            Self::Day => "%d/%m/%Y %H:%M:%S%.f",
        }
    }

    /// Reads a date in this order.
    fn read(self, text: &str) -> Option<jiff::civil::DateTime> {
        jiff::civil::DateTime::strptime(self.form(), text).ok()
    }

    /// Returns the orders in which a date has a month: both, one, or none for what is no date of
    /// this form.
    pub(super) fn of(text: &str) -> Vec<Self> {
        [Self::Month, Self::Day].into_iter().filter(|order| order.read(text).is_some()).collect()
    }

    /// Returns the only one of some orders.
    pub(super) fn only(orders: &[Self]) -> Option<Self> {
        if let [only] = orders { Some(*only) } else { None }
    }
}

/// Cuts a fraction of a second off behind nanoseconds, as some write more digits than there are.
fn within_nanoseconds(text: &str) -> String {
    let Some(point) = text.rfind(['.', ',']).filter(|_| text.contains(':')) else {
        return text.to_owned();
    };
    let behind = &text[point + 1..];
    let n_digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    format!("{}{}{}", &text[..=point], &behind[..n_digits.min(9)], &behind[n_digits..])
}

/// Reads a date with a time of day, with or without zone, as RFC 3339 and people write it.
///
/// One without a zone is taken as UTC: only differences count.
fn date(text: &str, order: Option<DateOrder>) -> Option<i128> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp.as_nanosecond());
    }
    let of_utc = |date: jiff::civil::DateTime| {
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(zoned.timestamp().as_nanosecond())
    };
    // A space in front of the zone, or its name.
    let without_name = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT"));
    if let Some(instant) = without_name.and_then(|text| date(text.trim_end(), order)) {
        return Some(instant);
    }
    // The program `date`: the zone in front of the year.
    if let Some((before, year)) = text.split_once(" UTC ").or_else(|| text.split_once(" GMT ")) {
        return date(&format!("{before} {year}"), order);
    }
    // Go's clock that only goes on.
    if let Some((wall, _)) = text.split_once(" m=") {
        return date(wall, order);
    }
    if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
        return Some(zoned.timestamp().as_nanosecond());
    }
    if let Some((date, zone)) = text.rsplit_once(' ')
        && zone.starts_with(['+', '-'])
        && let Ok(stamp) = format!("{date}{zone}").parse::<jiff::Timestamp>()
    {
        return Some(stamp.as_nanosecond());
    }
    if let Ok(date) = text.parse::<jiff::civil::DateTime>() {
        return of_utc(date);
    }
    if let Ok(stamp) = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", text)
        .and_then(|parsed| parsed.to_timestamp())
    {
        return Some(stamp.as_nanosecond());
    }
    let read = |form: &&str| of_utc(jiff::civil::DateTime::strptime(form, text).ok()?);
    // System logs leave out the year; any with a 29 February will do.
    let of_log = || {
        let dated = format!("2000 {text}");
        of_utc(jiff::civil::DateTime::strptime("%Y %b %d %H:%M:%S%.f", dated).ok()?)
    };
    let of_numbers =
        || of_utc(order.or_else(|| DateOrder::only(&DateOrder::of(text)))?.read(text)?);
    FORMS.iter().find_map(read).or_else(of_log).or_else(of_numbers)
}

/// Reads a length of time with its unit, `305 ms`, or the time on a clock, `00:00:01.5`.
fn length(text: &str) -> Option<i128> {
    let length = text.parse::<jiff::SignedDuration>().ok();
    let of_half_a_day = || {
        let read = |form: &&str| jiff::civil::Time::strptime(form, text).ok();
        let time = ["%I:%M:%S%.f %p", "%I:%M %p"].iter().find_map(read)?;
        let since = time.since(jiff::civil::Time::midnight()).ok()?;
        Some(jiff::SignedDuration::try_from(since).ok()?.as_nanos())
    };
    length.map(|length| length.as_nanos()).or_else(|| on_a_clock(text)).or_else(of_half_a_day)
}

/// Reads `12:00:00.5`, also behind days: `1 days 02:00:00` of pandas, `1 day, 2:00:00` of Python.
fn on_a_clock(text: &str) -> Option<i128> {
    let (days, clock) = match text.split_once("day") {
        Some((days, clock)) => (days.trim().parse::<i128>().ok()?, clock),
        None => (0, text),
    };
    let clock = clock.strip_prefix('s').unwrap_or(clock);
    let clock = clock.strip_prefix(',').unwrap_or(clock).trim_start();
    let mut parts = clock.splitn(3, ':');
    let whole = |part: Option<&str>| {
        let part = part.filter(|part| (1..=4).contains(&part.len()))?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i128>().ok())?
    };
    let (hours, minutes) = (whole(parts.next())?, whole(parts.next())?);
    let is_of_day = clock.matches(':').count() == 1;
    // `61:30` may be minutes and seconds as well.
    if is_of_day && hours >= 24 {
        return None;
    }
    let seconds = match bare(&parts.next().unwrap_or("0").replace(',', "."))? {
        Written::Bare { billionths, .. } if (0..60 * SECOND).contains(&billionths) => billionths,
        _ => return None,
    };
    let minutes = (minutes < 60).then_some(((days * 24 + hours) * 60 + minutes) * 60 * SECOND);
    Some(minutes? + seconds)
}

/// The unit of numbers, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The scenario says it.
    Asked(TimeUnit),
    /// The form of the file is known by name.
    Known(TimeUnit, &'static str),
    /// Nothing says it: numbers with a fraction are seconds, whole ones are asked for.
    Unsaid,
}

/// Seconds since 1970 of the year 2286: no time of a trace lies behind it.
const LATEST: i128 = 10_000_000_000;

/// The clock of a trace: times from its first row, and what is known of their unit.
#[derive(Debug)]
pub(super) struct Clock {
    unit: Unit,
    column: String,
    first: Option<i128>,
    last: i128,
    has_fraction: bool,
    /// What the first row's time is.
    kind: Option<&'static str>,
    /// Whether a number would be a time that no trace has, if it counted seconds.
    is_far: bool,
    is_moving: bool,
    /// The first numbers, for the question.
    shown: Vec<String>,
}

/// Why a row has no place on the clock.
pub(super) enum Misplaced {
    /// It is before an earlier row.
    GoesBack,
    /// It lies too far from the first row.
    TooFar,
    /// It is of another kind than the first row's: no axis has both.
    OtherKind {
        /// What it is.
        its: &'static str,
        /// What the first row's is.
        first: &'static str,
    },
}

impl Clock {
    pub(super) fn new(unit: Unit, column: &str) -> Self {
        Self {
            unit,
            column: column.to_owned(),
            first: None,
            last: 0,
            has_fraction: false,
            kind: None,
            is_far: false,
            is_moving: false,
            shown: Vec::new(),
        }
    }

    /// Returns nanoseconds from whatever the column counts from, and notes what is known of its unit.
    fn read(&mut self, written: Written) -> Result<i128, Misplaced> {
        let (its, first) = (written.words(), *self.kind.get_or_insert(written.words()));
        if its != first {
            return Err(Misplaced::OtherKind { its, first });
        }
        Ok(match written {
            Written::Instant(at) | Written::Length(at) => at,
            Written::Bare { billionths, is_fraction } => {
                self.has_fraction |= is_fraction;
                self.is_far |= billionths / SECOND > LATEST;
                if self.shown.len() < 3 {
                    let digits = billionths.unsigned_abs();
                    let (whole, part) = (billionths / SECOND, digits % SECOND.unsigned_abs());
                    let shown = format!("{whole}.{part:09}");
                    self.shown.push(shown.trim_end_matches('0').trim_end_matches('.').to_owned());
                }
                match self.unit {
                    Unit::Asked(unit) | Unit::Known(unit, _) => {
                        billionths / (SECOND / unit.nanos())
                    }
                    Unit::Unsaid => billionths,
                }
            }
        })
    }

    /// Returns the time since the first row.
    pub(super) fn since_first(&mut self, written: Written) -> Result<Nanos, Misplaced> {
        let at = self.read(written)?;
        let first = *self.first.get_or_insert(at);
        let since = at.checked_sub(first).ok_or(Misplaced::TooFar)?;
        if since < self.last {
            return Err(Misplaced::GoesBack);
        }
        let nanos = self.nanos(since)?;
        self.last = since;
        Ok(nanos)
    }

    /// Returns the time from one turn of a session to another, whatever the other rows say.
    pub(super) fn between(&mut self, from: Written, to: Written) -> Result<Nanos, Misplaced> {
        let (from, to) = (self.read(from)?, self.read(to)?);
        match to.checked_sub(from).ok_or(Misplaced::TooFar)? {
            ..0 => Err(Misplaced::GoesBack),
            since => self.nanos(since),
        }
    }

    fn nanos(&mut self, since: i128) -> Result<Nanos, Misplaced> {
        self.is_moving |= since > 0;
        match u64::try_from(since) {
            Ok(nanos) => Ok(Nanos(nanos)),
            // Its numbers are asked for in the end, and then this is no time yet.
            Err(_) if self.is_unclear() => Ok(Nanos(u64::MAX)),
            Err(_) => Err(Misplaced::TooFar),
        }
    }

    /// Returns the time of the last row since the first.
    pub(super) fn read_up_to(&self) -> Nanos {
        Nanos(u64::try_from(self.last).unwrap_or(u64::MAX))
    }

    fn has_bare(&self) -> bool {
        !self.shown.is_empty()
    }

    /// Whether the unit of the numbers so far is not known.
    fn is_unclear(&self) -> bool {
        let may_be_seconds = self.has_fraction && !self.is_far;
        self.unit == Unit::Unsaid && self.has_bare() && !may_be_seconds && self.is_moving
    }

    /// Returns the unit in words, or the question for it.
    pub(super) fn unit(&self, file: &str) -> Result<String, DataError> {
        if self.is_unclear() {
            let column = &self.column;
            let what = if self.has_fraction {
                "numbers without a unit, too large for seconds"
            } else {
                "whole numbers without a unit"
            };
            let shown = self.shown.join(", ");
            return Err(DataError::new(
                file,
                format!("the times of column `{column}` are {what}: {shown} …"),
                "say what they count: `time-unit = \"ms\"` on the data set, or \"s\", \"us\", \"ns\"",
            ));
        }
        Ok(match (self.has_bare(), self.unit) {
            (false, _) => "dates or lengths of time".to_owned(),
            (true, Unit::Asked(unit)) => format!("in {}", unit.word()),
            (true, Unit::Known(unit, form)) => format!("in {}, as in {form}", unit.word()),
            (true, Unit::Unsaid) if self.has_fraction => "in s, as they have fractions".to_owned(),
            (true, Unit::Unsaid) => "without a unit, all the same".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_as_they_are_commonly_written() {
        let typed = |text: &str, expected: i128| match read(&json!(text)) {
            Some(Written::Instant(at) | Written::Length(at)) => assert_eq!(at, expected, "{text}"),
            other => panic!("{text} is {other:?}"),
        };
        let noon = 1_700_136_000 * SECOND;
        for text in [
            "2023-11-16T12:00:00Z",
            "2023-11-16 12:00:00",
            "2023-11-16 12:00:00+00:00",
            "2023-11-16 13:00:00 +01:00",
            "2023-11-16T12:00:00.000000000Z",
            "2023-11-16 12:00:00 UTC",
            "2023/11/16 12:00:00",
            "16/Nov/2023:12:00:00 +0000",
            "[16/Nov/2023:12:00:00 +0000]",
            "2023-11-16T12:00:00,000Z",
            "2023-11-16 12:00:00.0000000000",
            "2023-11-16 12:00:00 +0000 UTC",
            "2023-11-16T12:00:00.000+0000",
            "2023-11-16T13:00:00+01:00[Europe/Berlin]",
            "20231116T120000Z",
            "Thu, 16 Nov 2023 12:00:00 +0000",
            "Thu, 16 Nov 2023 12:00:00 GMT",
            "Thu Nov 16 12:00:00 2023",
            "Thu Nov 16 12:00:00 UTC 2023",
            "Nov 16 2023 12:00:00",
            "Nov 16, 2023 12:00:00 PM",
            "11/16/2023 12:00:00 PM",
            "11/16/2023 12:00:00",
            "16/11/2023 12:00:00",
            "16.11.2023 12:00:00",
            "11/16/2023 12:00:00.000 PM",
            "2023-11-16 12:00:00.000000000 +0000 UTC m=+0.010127243",
        ] {
            typed(text, noon);
        }
        let year_2000 = 951_782_400 * SECOND;
        typed("Feb 29 00:00:00.5", year_2000 + SECOND / 2);
        for object in [
            json!({"$date": "2023-11-16T12:00:00Z"}),
            json!({"$date": 1_700_136_000_000_u64}),
            json!({"$date": {"$numberLong": "1700136000000"}}),
            json!({"seconds": 1_700_136_000, "nanos": 0}),
            json!({"seconds": "1700136000"}),
        ] {
            assert_eq!(read(&object), Some(Written::Instant(noon)), "{object}");
        }
        typed("2023-11-16 12:00:00.5", noon + SECOND / 2);
        typed("305ms", 305_000_000);
        typed("305 ms", 305_000_000);
        typed("1.5s", SECOND * 3 / 2);
        for text in ["00:00:01.5", "0:00:01.500000", "00:00:01,5", "0 days 00:00:01.5"] {
            typed(text, SECOND * 3 / 2);
        }
        typed("Wed May  1 10:00:00 UTC 2024", 1_714_557_600 * SECOND);
        for text in ["1:05:00 PM", "1:05 pm", "13:05", "01:05:00.0 PM"] {
            typed(text, (13 * 60 + 5) * 60 * SECOND);
        }
        typed("1 day, 2:00:00", 26 * 3_600 * SECOND);
        typed("25:00:00", 25 * 3_600 * SECOND);
        typed("PT1.5S", SECOND * 3 / 2);
        for unclear in ["05/06/2023 12:00:00", "1:2:3:4", "a day 1:00", "61:30", "13:05 PM"] {
            assert_eq!(read(&json!(unclear)), None, "{unclear}");
        }
        for odd in
            [json!(true), json!(""), json!("noon"), json!("nan"), json!([1]), json!({"nanos": 1})]
        {
            assert_eq!(read(&odd), None, "{odd}");
        }
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        let check = |value: Value, billionths: i128, is_fraction: bool| {
            assert_eq!(read(&value), Some(Written::Bare { billionths, is_fraction }), "{value}");
        };
        check(json!(0), 0, false);
        check(json!(0.2), 200_000_000, true);
        check(json!("1700136000.123456789"), 1_700_136_000_123_456_789, true);
        check(json!(1_700_136_000_123_456_789_u64), 1_700_136_000_123_456_789 * SECOND, false);
        check(json!(-5), -5 * SECOND, false);
        check(json!(1_714_557_600_000.0), 1_714_557_600_000 * SECOND, false);
        check(json!("1000.00"), 1_000 * SECOND, false);
        check(json!(1e-3), 1_000_000, true);
        check(json!("5e-1"), 500_000_000, true);
        check(json!("5e1"), 50 * SECOND, false);
    }

    #[test]
    fn dates_lengths_and_numbers_have_no_axis_together() {
        let mut clock = Clock::new(Unit::Unsaid, "t");
        let mut at = |time: Value| match clock.since_first(read(&time).unwrap()) {
            Ok(at) => at.to_string(),
            Err(Misplaced::OtherKind { its, first }) => format!("{its} behind {first}"),
            Err(Misplaced::GoesBack | Misplaced::TooFar) => panic!("{time}"),
        };
        assert_eq!(at(json!(0.0)), at(json!("0.0")));
        assert_eq!(at(json!("2024-01-01T00:00:00Z")), "a date behind a number without a unit");
        assert_eq!(at(json!("305 ms")), "a length of time behind a number without a unit");
        assert_eq!(at(json!("00:00:01")), "a length of time behind a number without a unit");
        assert_ne!(at(json!(0.5)), at(json!(0.75)));
    }

    /// Returns the times since the first and the unit, or the question.
    fn clock(unit: Unit, times: &[Value]) -> (Vec<u64>, Result<String, String>) {
        let mut clock = Clock::new(unit, "t");
        let since = times.iter().map(|time| clock.since_first(read(time).unwrap()));
        let since = since.map(|since| since.map_or(u64::MAX, |at| at.0)).collect();
        (since, clock.unit("x").map_err(|error| error.message))
    }

    #[test]
    fn whole_numbers_are_asked_for_and_fractions_are_seconds() {
        let (_, asked) = clock(Unit::Unsaid, &[json!(0), json!(305), json!(610)]);
        assert_eq!(
            asked.unwrap_err(),
            "the times of column `t` are whole numbers without a unit: 0, 305, 610 …"
        );
        let (_, floats) = clock(Unit::Unsaid, &[json!(1_000.0), json!("1500.0")]);
        assert!(floats.unwrap_err().ends_with("whole numbers without a unit: 1000, 1500 …"));
        let (_, year_56302) =
            clock(Unit::Unsaid, &[json!(1_714_557_600_000.123), json!(1_714_557_600_500.0)]);
        assert_eq!(
            year_56302.unwrap_err(),
            "the times of column `t` are numbers without a unit, too large for seconds: \
             1714557600000.123, 1714557600500 …"
        );
        let since_1970 = [json!(1_714_557_600.5), json!(1_714_557_601)];
        assert_eq!(clock(Unit::Unsaid, &since_1970).0, [0, 500_000_000]);
        let (times, unit) = clock(Unit::Unsaid, &[json!(0), json!(0.2), json!(1)]);
        assert_eq!(times, [0, 200_000_000, 1_000_000_000]);
        assert_eq!(unit.unwrap(), "in s, as they have fractions");
        let (times, unit) = clock(Unit::Asked(TimeUnit::Us), &[json!(7), json!(9)]);
        assert_eq!((times, unit.unwrap().as_str()), (vec![0, 2_000], "in us"));
        let (times, _) = clock(Unit::Asked(TimeUnit::S), &[json!(0), json!(1e15)]);
        assert_eq!(times, [0, u64::MAX], "no time of that size exists");
        let huge = json!(1_700_136_000_123_456_789_u64);
        let (_, asked) = clock(Unit::Unsaid, &[json!(0), huge]);
        assert!(asked.is_err());
    }
}
