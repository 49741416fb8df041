//! A run packed here and measured again elsewhere: what differs is named before anything starts,
//! and no secret travels.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

#[path = "../resume/bed.rs"]
#[expect(dead_code, reason = "shared with tests of going on, which need more of it")]
mod bed;

use std::fs;
use std::path::Path;

use bed::{Bed, Ended, SCENARIO};

const KEY: &str = "sk-CanaryOfTheBundle-0123456789";

/// Measures two cells and packs them with their data.
fn bundled(bed: &Bed) {
    let scenario = SCENARIO.replace("ttft   = \"1ms\"", "ttft = \"1ms\"\napi-key-env = \"MY_KEY\"");
    bed.write(&scenario);
    let args = ["run", "s.toml", "--only", "engine=fast", "--fail-on", "failed", "--out", "run"];
    let output = bed.command(&args).env("MY_KEY", KEY).output().unwrap();
    Ended::of(&output).expect(0);
    let mut command = bed.command(&["bundle", "run", "--with-data", "--out", "b.tar.zst"]);
    Ended::of(&command.env("MY_KEY", KEY).output().unwrap()).expect(0).says("written: ");
}

/// Replays a bundle in a place that has nothing of the one where it was made.
fn replayed(from: &Bed, elsewhere: &Bed, more: &[&str]) -> Ended {
    fs::copy(from.path("b.tar.zst"), elsewhere.path("b.tar.zst")).unwrap();
    fs::remove_file(elsewhere.path("q.jsonl")).unwrap();
    fs::remove_file(elsewhere.path("s.toml")).unwrap();
    let args = ["replay", "b.tar.zst", "--out", "again", "--fail-on", "failed"];
    let mut command = elsewhere.command(&[&args, more].concat());
    Ended::of(&command.env("MY_KEY", KEY).output().unwrap())
}

#[test]
fn a_bundle_is_measured_again_elsewhere_and_compared_cell_by_cell() {
    let (bed, elsewhere) = (Bed::new(), Bed::new());
    bundled(&bed);
    // The data is not where it was.
    fs::remove_file(bed.path("q.jsonl")).unwrap();
    let ended = replayed(&bed, &elsewhere, &["--exact"]).expect(0);
    ended.says("as in the bundle");
    assert!(ended.out.contains("again/run"), "{}", ended.out);
    for side in ["again/original/run", "again/run"] {
        elsewhere.bench(&["verify", side]).expect(0);
        let cells = elsewhere.summary(side)["cells"].as_array().unwrap().clone();
        assert_eq!(cells.len(), 2, "{side}");
        for cell in cells {
            assert_eq!((&cell["outcome"], &cell["counts"]["ok"]), (&"complete".into(), &8.into()));
        }
    }
    let ids = |run: &str| {
        let cells = elsewhere.summary(run)["cells"].as_array().unwrap().clone();
        cells.iter().map(|cell| cell["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("again/original/run"), ids("again/run"));
    assert_eq!(holding(&elsewhere.path("again"), KEY), [""; 0]);
}

#[test]
fn what_is_not_as_in_the_bundle_is_named_and_exact_starts_nothing() {
    let (bed, elsewhere) = (Bed::new(), Bed::new());
    bundled(&bed);
    // A bundle of other data: one digit of the lock's sum is another.
    let text = zstd::decode_all(fs::File::open(bed.path("b.tar.zst")).unwrap()).unwrap();
    let sum = b"\"q\": \"";
    let at = find(&text, sum).unwrap() + sum.len();
    let mut changed = text.clone();
    changed[at] = if text[at] == b'0' { b'1' } else { b'0' };
    fs::write(bed.path("b.tar.zst"), zstd::encode_all(&*changed, 1).unwrap()).unwrap();
    let ended = replayed(&bed, &elsewhere, &["--exact"]).expect(107);
    ended.says("1 thing not as in the bundle").says("data set q: ").says(" -> ");
    assert!(!elsewhere.path("again/run").exists());
}

#[test]
fn a_damaged_bundle_is_refused_before_anything_starts() {
    let bed = Bed::new();
    bundled(&bed);
    let whole = zstd::decode_all(fs::File::open(bed.path("b.tar.zst")).unwrap()).unwrap();
    // An answer, a line of the scenario as it was written, and a figure that nothing follows from.
    for (text, file) in [
        (&b"\"text\":\""[..], "outputs.jsonl"),
        (b"seed  = ", "scenario.toml"),
        (b"\n \"title\":\"", "run/summary.json"),
    ] {
        let elsewhere = Bed::new();
        let mut damaged = whole.clone();
        let at = find(&whole, text).unwrap() + text.len();
        damaged[at] ^= 1;
        fs::write(bed.path("b.tar.zst"), zstd::encode_all(&*damaged, 1).unwrap()).unwrap();
        let refused = replayed(&bed, &elsewhere, &[]).expect(107);
        refused.says("is damaged").says(file).says("copy it here again");
        assert!(!elsewhere.path("again").join("original").exists(), "nothing is left of it");
    }
    // The archive is cut: the disk that it is unpacked to is not to blame.
    let elsewhere = Bed::new();
    let packed = zstd::encode_all(&*whole, 1).unwrap();
    fs::write(bed.path("b.tar.zst"), &packed[..packed.len() / 2]).unwrap();
    let refused = replayed(&bed, &elsewhere, &[]).expect(107);
    refused.says("is damaged").says("copy it here again");
    assert!(!refused.err.contains("resume"), "{}", refused.err);
    let other = bed.bench(&["replay", "s.toml", "--out", "other"]).expect(107);
    other.says("s.toml is not a bundle").says("`bench run`");
}

#[test]
fn figures_of_a_bundle_without_sums_are_those_of_its_records() {
    let (bed, elsewhere) = (Bed::new(), Bed::new());
    bundled(&bed);
    let whole = zstd::decode_all(fs::File::open(bed.path("b.tar.zst")).unwrap()).unwrap();
    let mut archive = tar::Archive::new(&*whole);
    let mut earlier = tar::Builder::new(Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (name, mut text) = (entry.path().unwrap().into_owned(), Vec::new());
        std::io::Read::read_to_end(&mut entry, &mut text).unwrap();
        if name == Path::new("bundle.json") {
            let mut lock: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert!(lock.as_object_mut().unwrap().remove("files").is_some());
            lock["format"] = 1.into();
            text = serde_json::to_vec(&lock).unwrap();
        }
        if name == Path::new("run/summary.json") {
            let value = b"\"value\":";
            let at = find(&text, value).unwrap() + value.len();
            assert!(text[at].is_ascii_digit());
            text[at] = if text[at] == b'9' { b'8' } else { b'9' };
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        earlier.append_data(&mut header, name, &*text).unwrap();
    }
    let earlier = zstd::encode_all(&*earlier.into_inner().unwrap(), 1).unwrap();
    fs::write(bed.path("b.tar.zst"), earlier).unwrap();
    replayed(&bed, &elsewhere, &[]).expect(0);
    elsewhere.bench(&["verify", "again/original/run"]).expect(0);
    assert_eq!(elsewhere.summary("again/original/run"), bed.summary("run"));
}

#[test]
fn a_bundle_holds_no_key_and_says_what_it_was_measured_with() {
    let bed = Bed::new();
    bundled(&bed);
    let text = zstd::decode_all(fs::File::open(bed.path("b.tar.zst")).unwrap()).unwrap();
    assert!(find(&text, KEY.as_bytes()).is_none());
    let begin = find(&text, b"{\n").unwrap();
    let mut lock = serde_json::Deserializer::from_slice(&text[begin..]).into_iter();
    let lock: serde_json::Value = lock.next().unwrap().unwrap();
    let engine = lock["engines"].as_object().unwrap().values().next().unwrap();
    assert_eq!(engine["engine"], "fast");
    assert!(engine["version"].as_str().unwrap().contains(env!("CARGO_PKG_VERSION")));
    assert!(engine["installed"]["program"].as_str().unwrap().len() >= 64);
    assert_eq!(lock["data"]["q"].as_str().unwrap().len(), 64);
    assert!(!lock["machine"]["kernel"].as_str().unwrap().is_empty());
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Returns the files below a directory that hold a text.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if find(&fs::read(&path).unwrap(), text.as_bytes()).is_some() {
            found.push(path.display().to_string());
        }
    }
    found
}
