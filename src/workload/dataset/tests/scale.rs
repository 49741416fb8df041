//! Long data sets: only what is kept is in memory.
//!
//! Sized and asserted as `store::scale_cases` says.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Seek as _, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rand::Rng as _;

use crate::plan::cell::{DatasetPlan, Source};
use crate::seed::Seed;
use crate::workload::dataset::tests::sources::{asked, plan};
use crate::workload::dataset::{Load, load};
use crate::workload::input::Input;

#[expect(clippy::disallowed_methods, reason = "the size of a test is set from outside")]
fn scale() -> Option<u64> {
    std::env::var("BENCH_TEST_SCALE").ok().and_then(|scale| scale.parse().ok())
}

#[expect(clippy::disallowed_methods, reason = "the test measures its own process")]
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn check(file: File, name: &str, n: u64) {
    let plan = DatasetPlan { shuffle: true, ..plan(Source::Gsm8k) };
    let asked = Load { needs: Some(1_000), ..asked(&plan) };
    let samples = load(&asked, vec![Input::file(name, file)]).unwrap();
    assert_eq!((samples.n_samples, samples.n_distinct), (n, n));
    assert_eq!(samples.rows().len(), 1_000);
    if scale().is_some() {
        assert!(peak_mib() < 256, "{} MiB", peak_mib());
    }
}

#[test]
fn a_long_jsonl_file_is_sampled_in_bounded_memory() {
    let n = scale().unwrap_or(5_000);
    let mut file = BufWriter::new(tempfile::tempfile().unwrap());
    for row in 0..n {
        let filler = "x".repeat(300);
        writeln!(file, "{{\"question\":\"{row} {filler}\",\"answer\":\"#### 1\"}}").unwrap();
    }
    let mut file = file.into_inner().unwrap();
    file.rewind().unwrap();
    check(file, "long.jsonl", n);
}

#[test]
fn a_large_parquet_file_is_sampled_in_bounded_memory() {
    let n = scale().unwrap_or(5_000);
    let schema = parse_message_type(
        "message rows { required binary question (UTF8); required binary answer (UTF8); }",
    )
    .unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .build();
    let file = tempfile::tempfile().unwrap();
    let mut writer = SerializedFileWriter::new(
        file.try_clone().unwrap(),
        Arc::new(schema),
        Arc::new(properties),
    )
    .unwrap();
    // Random letters, about a kilobyte a row, which no codec makes much smaller.
    let mut rng = Seed(1).stream("filler");
    let rows: Vec<u64> = (0..n).collect();
    for group in rows.chunks(50_000) {
        let mut row_group = writer.next_row_group().unwrap();
        for column in ["question", "answer"] {
            let mut writer = row_group.next_column().unwrap().unwrap();
            for batch in group.chunks(1_000) {
                let values: Vec<_> = batch
                    .iter()
                    .map(|row| {
                        let mut text = format!("{column} {row} ");
                        for _ in 0..32 {
                            write!(text, "{:016x}", rng.next_u64()).unwrap();
                        }
                        ByteArray::from(text.as_str())
                    })
                    .collect();
                writer.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            }
            writer.close().unwrap();
        }
        row_group.close().unwrap();
    }
    writer.close().unwrap();
    let mut file = file;
    file.rewind().unwrap();
    check(file, "large.parquet", n);
}
