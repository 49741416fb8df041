//! Parquet files, sound and damaged.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::plan::cell::{DatasetPlan, Source};
use crate::units::Nanos;
use crate::workload::dataset::load;
use crate::workload::dataset::tests::sources::{asked, plan, read, texts};
use crate::workload::input::Input;
use crate::workload::pairs::{PairColumns, pairs};
use crate::workload::samples::Samples;

/// Writes a file with the given columns of text, several row groups, as the hub does.
fn parquet(columns: &[&str], n_rows: usize, codec: Compression) -> Vec<u8> {
    parquet_of("(UTF8)", columns, n_rows, codec, String::into_bytes)
}

fn parquet_of(
    logical: &str,
    columns: &[&str],
    n_rows: usize,
    codec: Compression,
    bytes_of: impl Fn(String) -> Vec<u8>,
) -> Vec<u8> {
    let fields: Vec<_> =
        columns.iter().map(|name| format!("optional binary {name} {logical};")).collect();
    let schema = parse_message_type(&format!("message rows {{ {} }}", fields.join(" "))).unwrap();
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties)).unwrap();
    let rows: Vec<usize> = (0..n_rows).collect();
    for group in rows.chunks(10) {
        let mut row_group = writer.next_row_group().unwrap();
        for column in columns {
            let mut writer = row_group.next_column().unwrap().unwrap();
            let values: Vec<_> = group
                .iter()
                .map(|row| ByteArray::from(bytes_of(format!("{column} {row}"))))
                .collect();
            let levels = vec![1; values.len()];
            writer.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            writer.close().unwrap();
        }
        row_group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn gsm8k(codec: Compression) -> Vec<u8> {
    parquet(&["question", "answer"], 25, codec)
}

#[test]
fn a_parquet_file_of_the_hub_is_read_row_by_row() {
    for codec in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())]
    {
        let samples = read(&plan(Source::Gsm8k), "test.parquet", &gsm8k(codec)).unwrap();
        assert_eq!(samples.n_samples, 25);
        assert_eq!(texts(samples.rows())[24], "question 24");
        assert_eq!(samples.rows()[24].gold.as_deref(), Some("answer 24"));
    }
}

#[test]
fn the_columns_of_s1k_are_found_among_all_it_has() {
    let columns = [
        "solution",
        "question",
        "cot_type",
        "source_type",
        "metadata",
        "thinking_trajectories",
        "attempt",
    ];
    let bytes = parquet(&columns, 3, Compression::SNAPPY);
    for source in [Source::S1k, Source::S1k11] {
        let samples = read(&plan(source), "train.parquet", &bytes).unwrap();
        assert_eq!(texts(samples.rows()), ["question 0", "question 1", "question 2"]);
        assert_eq!(samples.rows()[2].gold.as_deref(), Some("solution 2"));
    }
    let trace = DatasetPlan {
        columns: [("answer".to_owned(), "thinking_trajectories".to_owned())].into(),
        ..plan(Source::S1k)
    };
    let samples = read(&trace, "train.parquet", &bytes).unwrap();
    assert_eq!(samples.rows()[0].gold.as_deref(), Some("thinking_trajectories 0"));
}

#[test]
fn several_files_are_read_as_one() {
    let part = gsm8k(Compression::SNAPPY);
    let plan = plan(Source::Gsm8k);
    let asked = asked(&plan);
    let parts = vec![Input::bytes("a.parquet", part.clone()), Input::bytes("b.parquet", part)];
    let samples = load(&asked, parts).unwrap();
    assert_eq!((samples.n_samples, samples.n_distinct), (50, 25));
    assert_eq!(samples.rows()[49].row, 49);
}

#[test]
fn a_parquet_file_cut_short_anywhere_is_refused() {
    let whole = gsm8k(Compression::SNAPPY);
    for length in (0..whole.len()).step_by(7) {
        let error = read(&plan(Source::Gsm8k), "x.parquet", &whole[..length]).unwrap_err();
        assert!(error.message.starts_with("not readable as Parquet: "), "{error}");
    }
}

#[test]
fn bytes_that_are_not_said_to_be_text_are_read_as_it_or_refused() {
    let read_bytes = |last: &[u8]| {
        let bytes = parquet_of("", &["question", "answer"], 3, Compression::SNAPPY, |value| {
            if value == "question 2" { last.to_vec() } else { value.into_bytes() }
        });
        read(&plan(Source::Gsm8k), "old.parquet", &bytes)
    };
    assert_eq!(texts(read_bytes("thé".as_bytes()).unwrap().rows())[1..], ["question 1", "thé"]);
    let error = read_bytes(b"th\xe9").unwrap_err();
    assert_eq!(error.place, "row 3, column `question`", "{error}");
}

#[test]
fn every_codec_of_the_library_is_unpacked() {
    let gzip = Compression::GZIP(parquet::basic::GzipLevel::default());
    let brotli = Compression::BROTLI(parquet::basic::BrotliLevel::default());
    let zstd = Compression::ZSTD(parquet::basic::ZstdLevel::default());
    for codec in [gzip, brotli, zstd, Compression::LZ4, Compression::LZ4_RAW] {
        assert_eq!(read(&plan(Source::Gsm8k), "x.parquet", &gsm8k(codec)).unwrap().n_samples, 25);
    }
}

/// A Parquet file of two values in the required column `timestamp` of that type.
fn two<T: DataType>(column: &str, values: &[T::T; 2]) -> Vec<u8> {
    let end = if column.ends_with('}') { "" } else { ";" };
    let schema = format!("message rows {{ required {column}{end} }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut written = group.next_column().unwrap().unwrap();
    written.typed::<T>().write_batch(values, None, None).unwrap();
    written.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

/// A trace whose prompts tell the times of its rows.
fn replayed() -> DatasetPlan {
    let prompt = Some("at {{ timestamp }}".to_owned());
    DatasetPlan { is_replayed: true, prompt, ..plan(Source::Trace) }
}

#[test]
fn instants_of_every_unit_with_and_without_zone_are_times() {
    let second = 1_700_136_000_i64;
    for (unit, counts) in [("MILLIS", 1_000), ("MICROS", 1_000_000), ("NANOS", 1_000_000_000)] {
        for zone in ["true", "false"] {
            let column = format!("int64 timestamp (TIMESTAMP({unit},{zone}))");
            let instants = [second * counts, second * counts + counts / 2];
            let bytes = two::<Int64Type>(&column, &instants);
            let samples = read(&replayed(), "x.parquet", &bytes).unwrap();
            let times: Vec<_> = samples.rows().iter().map(|row| row.at.unwrap()).collect();
            assert_eq!(times, [Nanos::ZERO, Nanos::from_millis(500)], "{unit} {zone}");
            assert_eq!(texts(samples.rows())[0], "at 2023-11-16T12:00:00Z");
        }
    }
    let bare = read(&replayed(), "x.parquet", &two::<Int64Type>("int64 timestamp", &[0, 500]))
        .unwrap_err();
    assert!(bare.message.contains("whole numbers without a unit"), "{bare}");
}

/// INT96 is nanoseconds of the day and the day's Julian number.
#[test]
fn old_instants_of_96_bits_are_times() {
    let instant = |nanos: u64| {
        let mut instant = Int96::new();
        instant.set_data(nanos as u32, (nanos >> 32) as u32, 2_460_265);
        instant
    };
    let noon = 12 * 3_600 * 1_000_000_000;
    for later in [500_000_000, 250_001] {
        let bytes = two::<Int96Type>("int96 timestamp", &[instant(noon), instant(noon + later)]);
        let samples = read(&replayed(), "x.parquet", &bytes).unwrap();
        assert_eq!(samples.rows()[1].at, Some(Nanos(later)));
        assert_eq!(texts(samples.rows())[0], "at 2023-11-16T12:00:00Z");
    }
}

fn interval(months: u32, days: u32, millis: u32) -> FixedLenByteArray {
    let bytes: Vec<u8> = [months, days, millis].iter().flat_map(|it| it.to_le_bytes()).collect();
    FixedLenByteArray::from(ByteArray::from(bytes))
}

#[test]
fn intervals_are_lengths_of_time_at_any_depth() {
    let column = "fixed_len_byte_array(12) timestamp (INTERVAL)";
    let read_two = |values: &[FixedLenByteArray; 2]| {
        read(&replayed(), "x.parquet", &two::<FixedLenByteArrayType>(column, values))
    };
    let samples = read_two(&[interval(0, 1, 0), interval(0, 1, 1_500)]).unwrap();
    assert_eq!(samples.rows()[1].at, Some(Nanos::from_millis(1_500)));
    let months = read_two(&[interval(0, 0, 0), interval(1, 0, 0)]).unwrap_err();
    assert_eq!(months.message, r#"`\"1 months, 0 days, 0 ms\"` is not a time"#);
    // Inside of a group, beside a column that is asked for.
    let inside = "group timestamp { required fixed_len_byte_array(12) x (INTERVAL); }";
    let prompt = Some("{{ timestamp.x }}".to_owned());
    let plan = DatasetPlan { prompt, ..plan(Source::Parquet) };
    let bytes = two::<FixedLenByteArrayType>(inside, &[interval(0, 0, 5), interval(0, 0, 6)]);
    assert_eq!(texts(read(&plan, "x.parquet", &bytes).unwrap().rows()), ["5ms", "6ms"]);
}

#[test]
fn dates_outside_of_all_years_do_no_harm_and_are_no_times() {
    let bytes = two::<Int32Type>("int32 timestamp (DATE)", &[19_677, i32::MAX]);
    let error = read(&replayed(), "x.parquet", &bytes).unwrap_err();
    let message = r#"`\"2147483647 days since 1970, outside of all years\"` is not a time"#;
    assert_eq!(
        (error.message.as_str(), error.place.as_str()),
        (message, "row 2, column `timestamp`")
    );
    let prompt = Some("a".to_owned());
    let unused = DatasetPlan { prompt, ..plan(Source::Parquet) };
    assert_eq!(read(&unused, "x.parquet", &bytes).unwrap().n_samples, 2);
    let bytes = two::<Int32Type>("int32 timestamp (DATE)", &[19_677, 19_678]);
    let samples = read(&replayed(), "x.parquet", &bytes).unwrap();
    assert_eq!(texts(samples.rows())[0], "at 2023-11-16");
    assert_eq!(samples.rows()[1].at, Some(Nanos::from_millis(24 * 3_600_000)));
}

#[test]
fn a_text_that_is_asked_for_as_parquet_is_named() {
    for (name, source, text, what) in [
        ("x.jsonl", Source::Parquet, "{\"prompt\":\"a\"}\n", "is JSON lines, and not Parquet"),
        ("x.parquet", Source::Trace, "\n[{\"prompt\":\"a\"}]", "is a JSON array, and not Parquet"),
    ] {
        let error = read(&plan(source), name, text.as_bytes()).unwrap_err();
        assert_eq!(error.message, what);
        assert!(error.help.contains("source = \"jsonl\""), "{}", error.help);
    }
}

#[test]
fn an_unknown_codec_is_named() {
    let mut bytes = gsm8k(Compression::SNAPPY);
    // In the footer, after the path of the column: field 4 of `ColumnMetaData`, zigzag 1.
    let pattern = b"\x08question\x15\x02";
    let at: Vec<_> = memchr::memmem::find_iter(&bytes, pattern).map(|at| at + 10).collect();
    assert!(!at.is_empty());
    for (codec, message) in [(3_u8, "LZO".to_owned()), (63, "63".to_owned())] {
        for at in &at {
            bytes[*at] = codec << 1;
        }
        let error = read(&plan(Source::Gsm8k), "x.parquet", &bytes).unwrap_err();
        assert!(error.message.contains(&message), "{error}");
        assert!(error.help.contains("with Snappy, Zstandard, gzip or no compression"), "{error}");
    }
}

/// A file of which one column's pages cannot be unpacked: the footer says another codec of it alone.
fn damaged(columns: &[&str], column: &str) -> Vec<u8> {
    let mut bytes = parquet(columns, 25, Compression::SNAPPY);
    // As above, with the length of the name in front of it.
    let pattern = [&[column.len() as u8], column.as_bytes(), b"\x15\x02"].concat();
    let at: Vec<_> = memchr::memmem::find_iter(&bytes, &pattern).collect();
    assert!(!at.is_empty());
    for at in at {
        bytes[at + pattern.len() - 1] = 2 << 1;
    }
    bytes
}

#[test]
fn a_page_that_cannot_be_unpacked_is_named_by_row_and_column() {
    let bytes = damaged(&["question", "answer"], "answer");
    let error = read(&plan(Source::Gsm8k), "x.parquet", &bytes).unwrap_err();
    assert_eq!(error.place, "row 1, column `answer`", "{error}");
}

#[test]
fn a_damaged_column_does_no_harm_where_nobody_asks_for_it() {
    let bytes = damaged(&["steps", "question", "answer", "tools"], "steps");
    let with = |source, columns: &[(&str, &str)], prompt: Option<&str>| {
        let owned = |(part, column): &(&str, &str)| ((*part).to_owned(), (*column).to_owned());
        let columns = columns.iter().map(owned).collect();
        let plan = DatasetPlan { columns, prompt: prompt.map(str::to_owned), ..plan(source) };
        read(&plan, "x.parquet", &bytes)
    };
    for samples in [
        with(Source::Gsm8k, &[], None),
        with(Source::Parquet, &[("prompt", "question")], None),
        with(Source::Parquet, &[], Some("question {{ question[9:] }}")),
        with(Source::Aime, &[], None),
        {
            let columns = [("prompt".to_owned(), "question".to_owned())].into();
            let sessions = DatasetPlan { columns, multi_turn: true, ..plan(Source::Parquet) };
            read(&sessions, "x.parquet", &bytes)
        },
    ] {
        let samples = samples.unwrap();
        assert_eq!((samples.n_samples, texts(samples.rows())[24]), (25, "question 24"));
        assert_eq!(samples.rows()[24].gold.as_deref(), Some("answer 24"));
        assert_eq!(samples.columns, ["answer", "question", "steps", "tools"]);
    }
    for asked in [
        with(Source::Gsm8k, &[("answer", "steps")], None),
        with(Source::Gsm8k, &[("system", "/steps/0")], None),
        with(Source::Parquet, &[], Some("{% set question = steps %}{{ question }}")),
    ] {
        let error = asked.unwrap_err();
        assert_eq!(error.place, "row 1, column `steps`", "{error}");
    }
    // What a task is worded by is missed, and nothing else is looked at.
    let error = with(Source::ArcEasy, &[], None).unwrap_err();
    assert_eq!(error.place, "row 1, column `choices`", "{error}");
    let columns = PairColumns { output: "question", gold: "answer" };
    let pairs = pairs(Input::bytes("x.parquet", bytes), columns).unwrap();
    assert_eq!(pairs.map(Result::unwrap).last().unwrap().output, "question 24");
}

#[test]
fn a_prompt_of_no_column_is_asked_once_for_each_row() {
    let plan = DatasetPlan { prompt: Some("Hi".to_owned()), ..plan(Source::Parquet) };
    let bytes = parquet(&["steps"], 25, Compression::SNAPPY);
    assert_eq!(read(&plan, "x.parquet", &bytes).unwrap().n_samples, 25);
}

#[test]
fn ten_thousand_flipped_bits_cause_no_panic() {
    let whole = gsm8k(Compression::SNAPPY);
    let plan = plan(Source::Gsm8k);
    let sound = read(&plan, "x.parquet", &whole).unwrap();
    let mut n_refused = 0;
    let n_bits = whole.len() * 8;
    for flip in 0..10_000 {
        // A stride that is prime to most lengths visits the file evenly.
        let bit = flip * 7919 % n_bits;
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match read(&plan, "x.parquet", &bytes) {
            Err(error) => {
                assert!(!error.message.is_empty());
                n_refused += 1;
            }
            Ok(samples) => check_bounded(&samples, &sound),
        }
    }
    assert!(n_refused > 1_000, "only {n_refused} were refused");
}

/// Without checksums in the pages a changed letter of a text cannot be noticed; more rows
/// than the file can hold would be.
fn check_bounded(samples: &Samples, sound: &Samples) {
    assert!(samples.n_samples <= sound.n_samples * 256);
}

#[test]
fn a_changed_letter_is_found_where_the_pages_have_checksums() {
    let whole = include_bytes!("../../../../fixtures/datasets/page_checksums.parquet").to_vec();
    let plan = plan(Source::Gsm8k);
    assert_eq!(read(&plan, "x.parquet", &whole).unwrap().n_samples, 2);
    let place = memchr::memmem::find(&whole, b"two cats").unwrap();
    let mut bytes = whole;
    bytes[place] = b'T';
    let error = read(&plan, "x.parquet", &bytes).unwrap_err();
    assert!(error.place.contains("column `question`"), "{error}");
    assert!(error.message.contains("checksum"), "{error}");
}
