//! Data sets from a local server that speaks the hub's paths, from caches, from nowhere.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::datasets::cache::DatasetCache;
use crate::datasets::catalogue::{self, CheckedFile};
use crate::datasets::dataset::{DatasetError, Opened, Search, open};
use crate::datasets::tokenizer;
use crate::ids::sha256_hex;
use crate::plan::cell::{DatasetPlan, Source};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ROWS: &[u8] = b"{\"question\":\"1+1?\",\"answer\":\"#### 2\"}\n";

/// A hub of one data set, one model and a few traps. Each answer closes its connection.
struct Hub {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &log);
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap_or(0) > 2 {
        if head.ends_with("\r\n\r\n") {
            break;
        }
    }
    let first = head.lines().next().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let range = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned)
    });
    let token = head.to_ascii_lowercase().contains("authorization: bearer");
    log.lock().unwrap().push(format!(
        "{method} {path}{}{}",
        range.as_deref().map(|range| format!(" {range}")).unwrap_or_default(),
        if token { " with token" } else { "" }
    ));
    let etag = sha256_hex(ROWS);
    let resolve = format!("/datasets/openai/gsm8k/resolve/{COMMIT}/main/test-00000-of-00001.jsonl");
    let listing = |files: &[&str]| {
        let siblings: Vec<_> =
            files.iter().map(|file| serde_json::json!({ "rfilename": file })).collect();
        serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string().into_bytes()
    };
    let (status, headers, body): (&str, String, Vec<u8>) = match path {
        "/api/datasets/openai/gsm8k/revision/main" => (
            "200 OK",
            String::new(),
            listing(&[
                "README.md",
                "main/test-00000-of-00001.jsonl",
                "main/train-00000-of-00001.jsonl",
            ]),
        ),
        "/api/models/owner/model/revision/v1" => (
            "200 OK",
            String::new(),
            listing(&["tokenizer.json", "model.safetensors", "tokenizer_config.json"]),
        ),
        path if path == resolve => (
            "302 Found",
            format!("X-Linked-Etag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nLocation: /blob\r\n"),
            Vec::new(),
        ),
        "/blob" | "/file.jsonl" => ranged(ROWS, range.as_deref()),
        path if path.starts_with("/owner/model/resolve/") => {
            ("200 OK", "ETag: \"40hexdigits\"\r\n".to_owned(), b"{}".to_vec())
        }
        // Each answer ends ten bytes on, whatever length it promised.
        "/cut.jsonl" => {
            let (status, headers, body) = ranged(ROWS, range.as_deref());
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body[..length.min(10)]);
            return;
        }
        "/api/models/owner/gated/revision/main" => ("401 Unauthorized", String::new(), Vec::new()),
        "/api/models/owner/forbidden/revision/main" => ("403 Forbidden", String::new(), Vec::new()),
        "/api/models/owner/busy/revision/main" => {
            ("429 Too Many Requests", "Retry-After: 30\r\n".to_owned(), Vec::new())
        }
        "/api/models/owner/broken/revision/main" => ("502 Bad Gateway", String::new(), Vec::new()),
        "/inward" => ("302 Found", "Location: http://169.254.169.254/\r\n".to_owned(), Vec::new()),
        "/loop" => ("302 Found", "Location: /loop\r\n".to_owned(), Vec::new()),
        _ => ("404 Not Found", String::new(), Vec::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(&body);
    }
}

fn ranged(whole: &[u8], range: Option<&str>) -> (&'static str, String, Vec<u8>) {
    let from = range.and_then(|range| range.trim_end_matches('-').parse::<usize>().ok());
    match from {
        Some(from) => (
            "206 Partial Content",
            format!("Content-Range: bytes {from}-{}/{}\r\n", whole.len() - 1, whole.len()),
            whole[from..].to_vec(),
        ),
        None => ("200 OK", String::new(), whole.to_vec()),
    }
}

fn gsm8k() -> DatasetPlan {
    DatasetPlan::of(Source::Gsm8k, None, None, None)
}

fn online(root: &TempDir, endpoint: &str) -> DatasetCache {
    DatasetCache {
        endpoint: endpoint.to_owned(),
        offline: None,
        ..DatasetCache::offline_at(root.path())
    }
}

fn find(
    plan: &DatasetPlan,
    cache: &DatasetCache,
    bases: &[PathBuf],
) -> Result<Opened, DatasetError> {
    open("questions", plan, &Search { bases, cache, on_progress: None })
}

fn content(opened: Opened) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (_, mut file) in opened.files {
        file.read_to_end(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn a_data_set_is_fetched_from_the_hub_once_and_then_found_in_its_cache() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, &hub.address);
    let opened = find(&gsm8k(), &cache, &[]).unwrap();
    assert_eq!(opened.origin, format!("openai/gsm8k at {COMMIT} of the hub"));
    assert_eq!(opened.sha256, sha256_hex(ROWS));
    assert_eq!(content(opened), ROWS);
    let resolve = format!("/datasets/openai/gsm8k/resolve/{COMMIT}/main/test-00000-of-00001.jsonl");
    assert_eq!(
        hub.requests(),
        [
            "GET /api/datasets/openai/gsm8k/revision/main".to_owned(),
            format!("HEAD {resolve}"),
            "HEAD /blob".to_owned(),
            format!("GET {resolve}"),
            "GET /blob".to_owned(),
        ]
    );
    // The layout that the hub's Python library reads and writes.
    let dir = cache.hub_root.join("datasets--openai--gsm8k");
    assert_eq!(fs::read_to_string(dir.join("refs/main")).unwrap(), COMMIT);
    let link = dir.join("snapshots").join(COMMIT).join("main/test-00000-of-00001.jsonl");
    assert_eq!(fs::read_link(link).unwrap(), Path::new("../../../blobs").join(sha256_hex(ROWS)));
    let offline = DatasetCache { offline: Some("HF_HUB_OFFLINE is set"), ..cache };
    assert_eq!(content(find(&gsm8k(), &offline, &[]).unwrap()), ROWS);
    assert_eq!(hub.requests().len(), 5);
}

#[test]
fn an_interrupted_download_goes_on_where_it_stopped() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, &hub.address);
    let blobs = cache.hub_root.join("datasets--openai--gsm8k/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", sha256_hex(ROWS))), &ROWS[..10]).unwrap();
    assert_eq!(content(find(&gsm8k(), &cache, &[]).unwrap()), ROWS);
    assert_eq!(hub.requests().last().unwrap(), "GET /blob 10-");
}

#[test]
fn a_download_that_is_cut_goes_on_by_itself_and_in_the_next_attempt() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, "http://127.0.0.1:9");
    let plan = DatasetPlan {
        location: Some(format!("{}/cut.jsonl", hub.address)),
        sha256: Some(sha256_hex(ROWS)),
        ..gsm8k()
    };
    let n_answers = ROWS.len().div_ceil(10);
    let opened = find(&plan, &cache, &[]);
    assert_eq!(content(opened.unwrap()), ROWS);
    let asked = hub.requests();
    assert_eq!(asked.len(), n_answers);
    assert_eq!(asked[..2], ["GET /cut.jsonl", "GET /cut.jsonl 10-"]);
}

#[test]
fn what_a_hub_refuses_is_told_in_words_with_a_way_out() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let check = |model: &str, token: Option<&str>, expected: &str| {
        let token = token.and_then(crate::secrets::Secret::new);
        let cache = DatasetCache { token, ..online(&root, &hub.address) };
        let search = Search { bases: &[], cache: &cache, on_progress: None };
        let told = tokenizer::open(model, &search).unwrap_err().to_string();
        assert!(told.contains(expected) && !told.contains("canary"), "{told}");
    };
    let canary = Some("canary");
    check("owner/gated", None, "answered 401: it is private or gated; set HF_TOKEN");
    check("owner/gated", canary, "answered 401: the token of HF_TOKEN is not accepted");
    check("owner/forbidden", canary, "answered 403: the account of HF_TOKEN may not read it");
    check("owner/nothing", None, "answered 404: there is no such repository, revision or file");
    check("owner/busy", None, "429: too many requests; come again in 30 s; HF_TOKEN raises");
    check("owner/broken", None, "answered 502: the host has a fault");
}

#[test]
fn what_an_interrupted_download_left_is_dropped_when_it_is_not_the_file() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, &hub.address);
    let blobs = cache.hub_root.join("datasets--openai--gsm8k/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let partial = blobs.join(format!("{}.incomplete", sha256_hex(ROWS)));
    fs::write(&partial, b"something else").unwrap();
    let error = find(&gsm8k(), &cache, &[]).unwrap_err();
    assert!(error.to_string().contains("has SHA-256"), "{error}");
    assert!(!partial.exists());
    assert_eq!(content(find(&gsm8k(), &cache, &[]).unwrap()), ROWS);
}

#[test]
fn a_file_from_an_address_is_checked_and_kept() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, "http://127.0.0.1:9");
    let plan = DatasetPlan {
        location: Some(format!("{}/file.jsonl", hub.address)),
        sha256: Some(sha256_hex(ROWS)),
        ..gsm8k()
    };
    assert_eq!(content(find(&plan, &cache, &[]).unwrap()), ROWS);
    assert_eq!(content(find(&plan, &cache, &[]).unwrap()), ROWS);
    assert_eq!(hub.requests(), ["GET /file.jsonl"]);

    let wrong = DatasetPlan { sha256: Some("ab".repeat(32)), ..plan.clone() };
    let other = online(&TempDir::new().unwrap(), "http://127.0.0.1:9");
    let error = find(&wrong, &other, &[]).unwrap_err();
    assert!(matches!(error, DatasetError::WrongHash { .. }), "{error}");
    assert_eq!(error.exit_code(), 65);

    let unpinned = DatasetPlan { sha256: None, ..plan };
    let error = find(&unpinned, &cache, &[]).unwrap_err();
    assert!(error.to_string().ends_with("a file from the network needs its `sha256`"));
    for (location, expected) in [
        ("file:///data/x.jsonl", "is named by its path, `/data/x.jsonl`"),
        ("hf://datasets/a/b", "is named by owner and name"),
        ("s3://a/x.jsonl", "only https addresses are fetched: fetch the file, and name its path"),
    ] {
        let plan = DatasetPlan { location: Some(location.to_owned()), ..unpinned.clone() };
        let error = find(&plan, &cache, &[]).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn addresses_that_are_not_to_be_trusted_are_not_fetched() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, &hub.address);
    let check = |location: String, expected: &str| {
        let plan =
            DatasetPlan { location: Some(location), sha256: Some("00".repeat(32)), ..gsm8k() };
        let error = find(&plan, &cache, &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("file:///etc/passwd".to_owned(), "only https addresses are fetched");
    check("http://example.org/x.jsonl".to_owned(), "only https is trusted");
    check("ftp://example.org/x.jsonl".to_owned(), "only https addresses are fetched");
    check(format!("{}/loop", hub.address), "it redirects without end");
    check(format!("{}/nothing", hub.address), "/nothing answered 404");
    // A loopback server may lead to loopback, which is a test's server; a public one may not.
    let (fetcher, url) =
        crate::datasets::download::Fetcher::new("https://example.org/x", None).unwrap();
    for to in ["http://169.254.169.254/", "https://127.0.0.1/", "https://[::1]/", "//localhost/x"] {
        let headers = [(reqwest::header::LOCATION, to.parse().unwrap())].into_iter().collect();
        let error = fetcher.redirected(&url, &headers).unwrap_err();
        assert!(error.to_string().contains("redirects to this machine or its link"), "{error}");
    }
    let headers = [(reqwest::header::LOCATION, "http://example.com/".parse().unwrap())];
    assert!(fetcher.redirected(&url, &headers.into_iter().collect()).is_err());
}

#[test]
fn without_network_the_fallback_is_used_at_once_and_reported() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("mine.jsonl"), ROWS).unwrap();
    // Port 9 on this machine answers nothing.
    let cache = online(&root, "http://127.0.0.1:9");
    let plan = DatasetPlan { fallback: Some("mine.jsonl".into()), ..gsm8k() };
    let started = Instant::now();
    let opened = find(&plan, &cache, &[root.path().to_owned()]).unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    let reason = opened.fallback.as_deref().unwrap();
    assert!(
        reason.starts_with("openai/gsm8k is not in the cache, and 127.0.0.1 cannot be reached: "),
        "{reason}"
    );
    assert_eq!(content(opened), ROWS);
}

#[test]
fn the_word_problems_come_with_the_program() {
    let root = TempDir::new().unwrap();
    let plan =
        DatasetPlan { fallback: Some("fixtures/datasets/word_problems.jsonl".into()), ..gsm8k() };
    let opened = find(&plan, &DatasetCache::offline_at(root.path()), &[]).unwrap();
    assert_eq!(opened.origin, "fixtures/datasets/word_problems.jsonl, which comes with bench");
    assert_eq!(
        opened.fallback.as_deref(),
        Some("openai/gsm8k is not in the cache, and nothing is fetched: HF_HUB_OFFLINE is set")
    );
    assert!(content(opened).starts_with(b"{\"question\": "));
}

#[test]
fn a_data_set_that_is_nowhere_names_the_file_to_place() {
    let root = TempDir::new().unwrap();
    let cache = DatasetCache::offline_at(root.path());
    let error = find(&gsm8k(), &cache, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "data set `questions` is not here: openai/gsm8k is not in the cache, and nothing is fetched: \
         HF_HUB_OFFLINE is set"
    );
    assert_eq!(error.exit_code(), 66);
    let place = cache.own_dir("gsm8k").join("test.jsonl");
    assert_eq!(
        error.help(),
        format!(
            "place its file as {}, or set `location` to it, or give the scenario a `fallback`",
            place.display()
        )
    );
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, ROWS).unwrap();
    assert_eq!(content(find(&gsm8k(), &cache, &[]).unwrap()), ROWS);
    let pinned = DatasetPlan { sha256: Some("00".repeat(32)), ..gsm8k() };
    assert!(matches!(find(&pinned, &cache, &[]), Err(DatasetError::WrongHash { .. })));
}

#[test]
fn a_location_that_is_no_file_is_an_error_before_anything_starts() {
    let root = TempDir::new().unwrap();
    let cache = DatasetCache::offline_at(root.path());
    let at = |location: &str| {
        let plan = DatasetPlan { location: Some(location.to_owned()), ..gsm8k() };
        find(&plan, &cache, &[root.path().to_owned()]).unwrap_err()
    };
    assert!(at("missing.jsonl").to_string().ends_with("there is no file missing.jsonl"));
    fs::create_dir(root.path().join("dir")).unwrap();
    let told = at("dir").to_string();
    assert!(told.contains("files of rows of split test are looked for; none is there"), "{told}");
    fs::write(root.path().join("dir/test-00000-of-00002.jsonl.gz"), ROWS).unwrap();
    let told = at("dir").to_string();
    assert!(told.contains("1 of the 2 files `test-…` are there"), "{told}");
    let told = at("dir/test*").to_string();
    assert!(told.contains("of the 2 files `test-…` that fit dir/test* only 1"), "{told}");
    assert!(at("dir/*.csv").to_string().contains("no file fits dir/*.csv"));
    nix::unistd::mkfifo(&root.path().join("pipe.jsonl"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(at("pipe.jsonl").to_string().ends_with("not a regular file"));
    let unlocated = DatasetPlan { source: Source::Jsonl, ..gsm8k() };
    assert_eq!(find(&unlocated, &cache, &[]).unwrap_err().exit_code(), 78);
}

#[test]
fn a_folder_or_a_pattern_is_one_set_in_the_order_of_the_names() {
    let root = TempDir::new().unwrap();
    let cache = DatasetCache::offline_at(root.path());
    fs::create_dir(root.path().join("dir")).unwrap();
    for name in ["b.jsonl", "a.jsonl", "README.md"] {
        fs::write(root.path().join("dir").join(name), ROWS).unwrap();
    }
    for location in ["dir", "./dir/*.jsonl"] {
        let location = Some(location.to_owned());
        let plan = DatasetPlan { source: Source::Jsonl, split: None, location, ..gsm8k() };
        let opened = find(&plan, &cache, &[root.path().to_owned()]).unwrap();
        let names: Vec<_> = opened.paths.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["a.jsonl", "b.jsonl"]);
    }
}

#[test]
fn folders_of_partitions_are_read_and_others_are_named() {
    let root = TempDir::new().unwrap();
    let cache = DatasetCache::offline_at(root.path());
    let at = |location: &str| {
        let location = Some(location.to_owned());
        let plan = DatasetPlan { source: Source::Jsonl, split: None, location, ..gsm8k() };
        find(&plan, &cache, &[root.path().to_owned()])
    };
    for file in ["year=2024/month=10/p.jsonl", "year=2024/month=9/p.jsonl", "year=2023/p.jsonl"] {
        let path = root.path().join("hive").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, ROWS).unwrap();
    }
    let paths = at("hive").unwrap().paths;
    let files: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let ends = ["hive/year=2023/p.jsonl", "month=9/p.jsonl", "month=10/p.jsonl"];
    assert!(files.iter().zip(ends).all(|(file, end)| file.ends_with(end)), "{files:?}");
    assert_eq!(files.len(), 3);
    fs::create_dir_all(root.path().join("nested/data")).unwrap();
    fs::write(root.path().join("nested/data/a.jsonl"), ROWS).unwrap();
    let told = at("nested").unwrap_err().to_string();
    assert!(told.ends_with("none is there; its folders are not looked into: `data`"), "{told}");
}

#[test]
fn a_folder_of_several_splits_or_of_the_same_rows_twice_is_asked_for() {
    let root = TempDir::new().unwrap();
    let cache = DatasetCache::offline_at(root.path());
    let folder = |name: &str, files: &[&str]| {
        fs::create_dir(root.path().join(name)).unwrap();
        for file in files {
            fs::write(root.path().join(name).join(file), ROWS).unwrap();
        }
    };
    folder("both", &["train-0-of-2.jsonl", "train-1-of-2.jsonl", "test-0-of-1.jsonl"]);
    folder("twice", &["a.jsonl", "a.jsonl.gz"]);
    let at = |location: &str, split: Option<&str>| {
        let (location, split) = (Some(location.to_owned()), split.map(str::to_owned));
        let plan = DatasetPlan { source: Source::Jsonl, split, location, ..gsm8k() };
        let opened = find(&plan, &cache, &[root.path().to_owned()]);
        opened.map(|opened| opened.paths.len()).map_err(|error| error.to_string())
    };
    let error = at("both", None).unwrap_err();
    assert!(error.contains("several splits: `test` (1 file), `train` (2 files)"), "{error}");
    assert_eq!((at("both", Some("train")), at("./both/t*-of-*", None)), (Ok(2), Ok(3)));
    for location in ["twice", "./twice/*"] {
        let error = at(location, None).unwrap_err();
        assert!(error.contains("has both a.jsonl and a.jsonl.gz"), "{error}");
    }
}

#[test]
fn a_list_of_places_is_one_set_in_its_own_order() {
    let root = TempDir::new().unwrap();
    let cache = DatasetCache::offline_at(root.path());
    for name in ["b.jsonl", "a.jsonl"] {
        fs::write(root.path().join(name), ROWS).unwrap();
    }
    let plan = |more: &str| DatasetPlan {
        source: Source::Jsonl,
        split: None,
        location: Some("./b.jsonl".to_owned()),
        more_locations: vec![more.to_owned()],
        ..gsm8k()
    };
    let bases = [root.path().to_owned()];
    let opened = find(&plan("./a.jsonl"), &cache, &bases).unwrap();
    let names: Vec<_> = opened.paths.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["b.jsonl", "a.jsonl"]);
    assert!(find(&plan("./c.jsonl"), &cache, &bases).unwrap_err().to_string().contains("c.jsonl"));
}

#[test]
fn a_tokenizer_is_fetched_with_what_stands_beside_it() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, &hub.address);
    let search = Search { bases: &[], cache: &cache, on_progress: None };
    let files = tokenizer::open("owner/model@v1", &search).unwrap();
    assert_eq!(files.tokenizer, b"{}");
    assert_eq!(files.model.config.as_deref(), Some(b"{}".as_slice()));
    assert_eq!(files.model.jinja, None);
    assert!(!hub.requests().iter().any(|request| request.contains("safetensors")));
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let (hub, other) = (Hub::start(), Hub::start());
    let canary = crate::secrets::Secret::new("canary").unwrap();
    let wait = |url: &str| {
        let (fetcher, _) =
            crate::datasets::download::Fetcher::new(&hub.address, Some(&canary)).unwrap();
        let url = reqwest::Url::parse(url).unwrap();
        drop(crate::datasets::download::wait_for(async { fetcher.text(&url).await }));
    };
    wait(&format!("{}/file.jsonl", hub.address));
    wait(&format!("{}/file.jsonl", other.address));
    assert_eq!(hub.requests(), ["GET /file.jsonl with token"]);
    assert_eq!(other.requests(), ["GET /file.jsonl"]);
}

#[test]
fn worked_examples_are_found_beside_the_questions() {
    let root = TempDir::new().unwrap();
    let cache = DatasetCache::offline_at(root.path());
    let plan = DatasetPlan {
        n_shots: 5,
        fallback: Some("fixtures/datasets/word_problems.jsonl".into()),
        ..gsm8k()
    };
    let opened = find(&plan, &cache, &[]).unwrap();
    assert_eq!(opened.shots[0].0, "fixtures/datasets/word_problems.train.jsonl");
    let dir = cache.own_dir("gsm8k");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("test.jsonl"), ROWS).unwrap();
    let opened = find(&plan, &cache, &[]).unwrap();
    assert!(opened.shots.is_empty());
    let said = "; its first 5 rows are the worked examples and not asked";
    assert!(opened.origin.ends_with(said), "{}", opened.origin);
    fs::write(dir.join("train.jsonl"), ROWS).unwrap();
    let opened = find(&plan, &cache, &[]).unwrap();
    assert_eq!(opened.shots.len(), 1);
    assert!(opened.origin.contains("; worked examples from "), "{}", opened.origin);
}

#[test]
fn the_cache_is_listed_and_verified() {
    let (hub, root) = (Hub::start(), TempDir::new().unwrap());
    let cache = online(&root, &hub.address);
    let states = |cache: &DatasetCache| -> Vec<_> {
        catalogue::list(cache)
            .into_iter()
            .filter(|entry| entry.known.name == "gsm8k")
            .map(|entry| (entry.split, entry.paths.len()))
            .collect()
    };
    assert_eq!(states(&cache), [("test", 0), ("train", 0)]);
    let paths = catalogue::fetch("gsm8k", None, &cache, None).unwrap();
    assert_eq!(states(&cache), [("test", 1), ("train", 0)]);
    assert_eq!(fs::read(&paths[0]).unwrap(), ROWS);
    let plan = DatasetPlan {
        location: Some(format!("{}/file.jsonl", hub.address)),
        sha256: Some(sha256_hex(ROWS)),
        ..gsm8k()
    };
    find(&plan, &cache, &[]).unwrap();
    let checked = catalogue::verify(&cache).unwrap();
    assert_eq!(checked.len(), 2);
    assert!(checked.iter().all(CheckedFile::is_sound), "{checked:?}");
    fs::write(&paths[0], b"changed").unwrap();
    let checked = catalogue::verify(&cache).unwrap();
    assert_eq!(checked.iter().filter(|file| !file.is_sound()).count(), 1);
    let error = catalogue::fetch("gsm9k", None, &cache, None).unwrap_err();
    assert_eq!(error.to_string(), "no data set is known as `gsm9k`");
    assert_eq!(
        error.help(),
        "known are gsm8k, s1k, s1k-1.1, sharegpt, ultrachat, mmlu, mmlu-pro, arc-challenge, arc-easy, \
         math-500, aime"
    );
    let error = catalogue::fetch("gsm8k", Some("dev"), &cache, None).unwrap_err();
    assert_eq!(error.to_string(), "--split dev: data set `gsm8k` has no such split");
    assert_eq!(error.help(), "its splits are test, train");
}
