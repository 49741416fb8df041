//! Files as they come: packed, in other encodings, and what is no file of rows.

use std::io::Write as _;

use crate::plan::cell::{BadRows, DatasetPlan, Source};
use crate::workload::dataset::tests::sources::{plan, read, texts};

const ROWS: &str = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

/// `printf '{"prompt":"a"}\n{"prompt":"b"}\n' | xz`.
const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
    0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x00, 0x1d, 0x00, 0x18, 0x5d, 0x00, 0x3d,
    0x88, 0x8a, 0x07, 0x63, 0xfc, 0x26, 0x26, 0x50, 0x57, 0x53, 0x2a, 0x56, 0x8e, 0xc8, 0x23, 0x54,
    0x6c, 0xcd, 0xa5, 0xd0, 0x06, 0x00, 0x00, 0x00, 0x12, 0xa1, 0x7e, 0xf2, 0xb7, 0x89, 0xc5, 0x62,
    0x00, 0x01, 0x34, 0x1e, 0xbf, 0x7b, 0xa3, 0x61, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x04, 0x59, 0x5a,
];

#[test]
fn packed_texts_are_unpacked_by_what_they_are() {
    let rows = ROWS.as_bytes();
    let packed = [
        ("x.jsonl.gz", gzip(rows)),
        ("x.jsonl.zst", zstd::encode_all(rows, 1).unwrap()),
        ("x.jsonl.bz2", bzip2(rows)),
        ("x.jsonl.xz", XZ.to_vec()),
        ("named otherwise", gzip(rows)),
        ("frames.zst", {
            let to_skip = [&0x184d_2a50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"size"];
            let frames = ["{\"prompt\":\"a\"}\n", "{\"prompt\":\"b\"}\n"]
                .map(|row| zstd::encode_all(row.as_bytes(), 1).unwrap());
            [to_skip.concat(), frames.concat()].concat()
        }),
        ("long.zst", {
            let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
            packed.long_distance_matching(true).unwrap();
            packed.window_log(30).unwrap();
            packed.write_all(rows).unwrap();
            packed.finish().unwrap()
        }),
        ("filled up.gz", [gzip(rows), vec![0; 700]].concat()),
        ("members.gz", [gzip(b"{\"prompt\":\"a\"}\n"), gzip(b"{\"prompt\":\"b\"}\n")].concat()),
    ];
    for (name, bytes) in packed {
        let samples = read(&plan(Source::Jsonl), name, &bytes).unwrap();
        assert_eq!(texts(samples.rows()), ["a", "b"], "{name}");
    }
    let csv = zstd::encode_all(&b"prompt\na\n"[..], 1).unwrap();
    assert_eq!(texts(read(&plan(Source::Trace), "x.csv.zst", &csv).unwrap().rows()), ["a"]);
    let cut = &gzip(ROWS.repeat(9).as_bytes())[..20];
    assert!(read(&plan(Source::Jsonl), "x.jsonl.gz", cut).is_err());
}

#[test]
fn utf_16_with_its_mark_is_read() {
    let text = "prompt,answer\r\n\"größer, \u{1f600}\",1\r\n";
    let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in [little, big] {
        let samples = read(&plan(Source::Csv), "x.csv", &bytes).unwrap();
        assert_eq!(texts(samples.rows()), ["größer, \u{1f600}"]);
    }
}

#[test]
fn what_is_no_file_of_rows_is_named_as_what_it_is() {
    let check = |source: Source, name: &str, bytes: &[u8], expected: &str| {
        let error = read(&plan(source), name, bytes).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.help.is_empty(), "{error}");
    };
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for (source, name) in [(Source::Jsonl, "x.jsonl"), (Source::Parquet, "x.parquet")] {
        check(source, name, lfs, "is a pointer of Git LFS");
        check(source, name, b"\n<!DOCTYPE html><html></html>", "is a web page");
        check(source, name, b"PK\x03\x04rest", "is a zip archive");
        check(source, name, b"ARROW1\0\0rest", "is an Arrow file");
        check(source, name, b"ORC\n\x0b\n\x03\0rest", "is an ORC file");
        check(source, name, b"\x04\x22\x4d\x18rest", "is packed with lz4");
        check(source, name, b"\x1f\x9d\x90rest", "is packed with compress");
        check(source, name, b"\x78\x9crest", "is packed with zlib alone");
        let lzma = [b"\x5d\0\0\x80\0".as_slice(), &[0xff; 8], b"\0rest"].concat();
        check(source, name, &lzma, "is packed with lzma");
        check(source, name, &[0; 64], "is zeros");
        check(source, name, b"p\0r\0o\0", "is a text in UTF-16 without its mark");
        check(source, name, b"\0p\0r\0o", "is a text in UTF-16 without its mark");
        check(source, name, b"\xff\xfe\0\0p\0\0\0", "is a text in UTF-32");
    }
    for (source, name, text) in [
        (Source::Csv, "x.csv", "ORCID,prompt\n1,a\n"),
        (Source::Csv, "x.csv", "ARROW1,prompt\n1,a\n"),
        (Source::Text, "x.txt", "ORCHESTRA: what is it?\n"),
    ] {
        assert_eq!(read(&plan(source), name, text.as_bytes()).unwrap().rows().len(), 1, "{text}");
    }
    let twice = gzip(&gzip(b"{}"));
    let error = read(&plan(Source::Jsonl), "x.jsonl.gz", &twice).unwrap_err();
    assert!(error.message.contains("packed twice"), "{error}");
    check(Source::Csv, "x.csv", b"prompt;answer\na;1\n", "separated by `;`, not by commas");
    check(Source::Csv, "x.csv", b"prompt\tanswer\na\t1\n", "separated by tabs");
    check(Source::Trace, "x.tsv", b"prompt\tanswer\na\t1\n", "separated by tabs");
    check(Source::Jsonl, "x.json", b"{\n  \"data\": [\n", "pretty-printed JSON");
    let cut = b"{\"prompt\":\"a\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n";
    let skipping = DatasetPlan { bad_rows: BadRows::Skip, ..plan(Source::Jsonl) };
    assert_eq!(texts(read(&skipping, "x.jsonl", cut).unwrap().rows()), ["b", "c"]);
    let pretty = b"[\n  {\n    \"prompt\": \"a\"\n  }\n]\n";
    assert_eq!(texts(read(&plan(Source::Jsonl), "x.json", pretty).unwrap().rows()), ["a"]);
}

#[test]
fn the_source_says_what_a_file_holds_whatever_its_name_is() {
    for name in ["rows.txt", "rows.csv", "rows.parquet", "rows"] {
        let samples = read(&plan(Source::Jsonl), name, ROWS.as_bytes()).unwrap();
        assert_eq!(texts(samples.rows()), ["a", "b"], "{name}");
        let array = br#" [{"prompt":"a"}]"#;
        let samples = read(&plan(Source::Jsonl), name, array).unwrap();
        assert_eq!(texts(samples.rows()), ["a"], "{name}");
    }
    let csv = b"{id},[n],prompt\n1,2,a\n";
    assert_eq!(texts(read(&plan(Source::Csv), "rows.jsonl", csv).unwrap().rows()), ["a"]);
    let check = |source: Source, name: &str, text: &str, message: &str, help: &str| {
        let error = read(&plan(source), name, text.as_bytes()).unwrap_err();
        assert_eq!((error.message.as_str(), error.help.as_str()), (message, help), "{name}");
    };
    let jsonl = "set `source = \"jsonl\"`";
    check(Source::Csv, "rows.jsonl", ROWS, "is JSON lines, and not CSV", jsonl);
    check(Source::Csv, "rows.csv", " [ {\"prompt\":\"a\"}]", "is a JSON array, and not CSV", jsonl);
    check(Source::Parquet, "rows.parquet", ROWS, "is JSON lines, and not Parquet", jsonl);
    let csv = "set `source = \"csv\"`";
    check(Source::Jsonl, "rows.csv.gz", "prompt\na\n", "is CSV, and not JSON lines", csv);
    let text = "set `source = \"text\"`";
    check(Source::Jsonl, "rows.TXT", "What is it?\n", "is plain text, and not JSON lines", text);
}

#[test]
fn an_object_that_is_all_rows_says_how_to_make_rows_of_it() {
    let plan = DatasetPlan { bad_rows: BadRows::Skip, ..plan(Source::Jsonl) };
    let help = |bytes: &[u8]| read(&plan, "x.json", bytes).unwrap_err().help;
    let inside = help(br#"{"version": 1, "data": [{"prompt": "a"}]}"#);
    assert!(inside.contains("jq -c '.data[]' FILE"), "{inside}");
    for by_column in [
        &br#"{"prompt": ["a", "b"], "answer": ["1", "2"]}"#[..],
        br#"{"prompt": {"0": "a"}, "answer": {"0": "1"}}"#,
    ] {
        let help = help(by_column);
        assert!(help.contains("orient=\"records\""), "{help}");
    }
    let bad_prompt = help(br#"{"prompt": "", "tools": [{"name": "f"}]}"#);
    assert!(bad_prompt.contains("`columns` in the scenario"), "{bad_prompt}");
    let plan = DatasetPlan {
        columns: [("messages".to_owned(), "messages".to_owned())].into(),
        ..plan.clone()
    };
    let bytes = br#"{"messages": [{"role": "user", "content": []}]}"#;
    let conversation = read(&plan, "x.json", bytes).unwrap_err().help;
    assert!(conversation.contains("`columns` in the scenario"), "{conversation}");
    let error = help(br#"{"error": "Invalid username or password."}"#);
    assert!(error.contains("`columns` in the scenario"), "{error}");
}

#[test]
fn what_json_cannot_say_harms_only_where_it_is_asked_for() {
    let rows = br#"{"prompt":"a","score":NaN,"raw":"\ud800","x":[Infinity,-Infinity]}"#;
    assert_eq!(texts(read(&plan(Source::Jsonl), "x.jsonl", rows).unwrap().rows()), ["a"]);
    let asked = br#"{"prompt":"\ud800","score":NaN}"#;
    let error = read(&plan(Source::Jsonl), "x.jsonl", asked).unwrap_err();
    assert!(error.message.starts_with("holds half of a surrogate pair"), "{error}");
}
