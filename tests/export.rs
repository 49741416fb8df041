//! A run for other programs, and what follows from it: schema, exports, decision, history.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

mod summary;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How busy this machine is decides of no number: no bound is too wide.
const SCENARIO: &str = "report = \"serving\"\n[engine.sim]\nttft = \"5ms\"\nitl = \"1ms\"\n\
    [dataset.q]\nsource = \"jsonl\"\nlocation = \"./q.jsonl\"\ncolumns = { prompt = \"q\" }\n\
    cycle = true\n[request]\nmax-tokens = 8\n[phase.load]\nconcurrency = 1\nrequests = 8\n\
    [matrix]\nconcurrency = [1, 4]\n[slo]\ne2e = \"10s\"\n[cost]\ngpu-hour-price = 2.5\n\
    [validity]\nok-share = 0.5\ndoubtful-share = 1.0\n";

/// Runs the program in a directory, requires success and returns its standard output.
#[track_caller]
fn bench(home: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .current_dir(home)
        .env("HOME", home)
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "bench {args:?}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_is_read_by_other_programs_and_decided_on() {
    let place = TempDir::new().unwrap();
    let home = place.path();
    fs::write(home.join("q.jsonl"), "{\"q\": \"What is 1 + 1?\"}\n").unwrap();
    fs::write(home.join("s.toml"), SCENARIO).unwrap();
    for name in ["one", "two"] {
        bench(home, &["run", "s.toml", "--quiet", "--fail-on", "failed", "--out", name]);
    }

    let schema: Value = serde_json::from_str(&bench(home, &["schema", "summary"])).unwrap();
    let text = fs::read_to_string(home.join("one/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&text).unwrap();
    // One GPU each: its rate is that of all, and the file says so once.
    assert_eq!(summary["metrics"]["output_throughput_per_gpu"]["same_as"], "output_throughput");
    let errors = |summary: &Value| wrong(&schema, &schema, summary, "");
    assert_eq!(errors(&summary), [] as [String; 0]);
    for (pointer, value) in [
        ("/format", json!(0)),
        ("/cells/0/counts/ok", json!("many")),
        ("/cells/0/validity/status", json!("fine")),
        ("/cells/0/figures/success_share/interval", json!([1.0])),
    ] {
        let mut broken = summary.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!errors(&broken).is_empty(), "{pointer}");
    }
    let mut lacks = summary.clone();
    lacks["cells"][0].as_object_mut().unwrap().remove("name");
    assert!(errors(&lacks)[0].ends_with("name is missing"), "{:?}", errors(&lacks));

    let export = |format: &str| bench(home, &["export", "one", "--format", format]);
    let csv = export("csv");
    assert_eq!(csv, fs::read_to_string(home.join("one/requests.csv")).unwrap());
    let jsonl = export("jsonl");
    assert_eq!(jsonl.lines().count(), csv.lines().count() - 1);
    let first: Value = serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
    assert!(first["ttft_ms"].as_f64().unwrap() > 4.0, "{first}");
    a_tree_comes_back(home, &summary::parse(&text));
    bench(home, &["export", "one", "--format", "parquet", "--out", "r.parquet"]);
    let file = SerializedFileReader::new(File::open(home.join("r.parquet")).unwrap()).unwrap();
    assert_eq!(file.metadata().file_metadata().num_rows(), 16);

    let prometheus = export("prometheus");
    // Numbers that are INVALID are left out; how many tokens an answer had never is.
    let tokens = "bench_output_tokens_tok_count{run=\"one\",cell=\"engine=sim,concurrency=4\"";
    assert!(prometheus.contains(tokens), "{prometheus}");
    let report = export("benchmark-report");
    let report: Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    assert_eq!(report["version"], "0.2");
    assert_eq!(report["scenario"]["load"]["standardized"]["concurrency"], 1, "{report}");
    assert!(export("latex").contains("\\begin{tabular}"));

    // A reader that has gone away is no error.
    let piped = Command::new("sh")
        .args(["-c", "\"$0\" export one --format jsonl | :"])
        .arg(env!("CARGO_BIN_EXE_bench"))
        .current_dir(home)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&piped.stderr), "");

    let decision = bench(home, &["decide", "one", "--rate", "10000", "--format", "json"]);
    let decision: Value = serde_json::from_str(&decision).unwrap();
    assert_eq!(decision["decisions"][0]["goal"], "cost_per_1m_tokens", "{decision}");
    let told = bench(home, &["decide", "one", "--rate", "10000"]);
    assert!(told.contains("Recommended: concurrency="), "{told}");
    assert!(told.contains("10000 req/s take"), "{told}");

    let history = bench(home, &["history", "."]);
    let few = "2 runs cannot show whether metrics keep their level";
    assert!(history.contains(few) && history.contains("two"), "{history}");
    // One that is under way has no summary yet.
    fs::create_dir(home.join("three")).unwrap();
    fs::copy(home.join("one/run.json"), home.join("three/run.json")).unwrap();
    let history = bench(home, &["history", "."]);
    let is_named = history.contains("Left out: three: failed to open ./three/summary.json");
    assert!(is_named && history.contains("two"), "{history}");
    fs::remove_dir_all(home.join("three")).unwrap();

    python_reads_what_the_long_csv_says(home);
}

#[test]
fn a_tree_has_the_parallel_sizes_of_an_engine_that_are_not_swept() {
    let place = TempDir::new().unwrap();
    let home = place.path();
    fs::write(home.join("q.jsonl"), "{\"q\": \"What is 1 + 1?\"}\n").unwrap();
    let engine = "[engine.sim]\nmodel-id = \"org/m\"\ntensor-parallel = 2\ndata-parallel = 2\n\
                  argv = [\"{{ bench }}\", \"serve\", \"sim\", \"--port\", \"{{ port }}\", \"--model-id\", \
                  \"org/m\", \"--kv-tokens\", \"9{{ tensor_parallel }}{{ data_parallel }}\"]\n";
    let scenario = SCENARIO.replace("[engine.sim]\nttft = \"5ms\"\nitl = \"1ms\"\n", engine);
    fs::write(home.join("s.toml"), scenario + "[published]\ntable = \"billion_tokens\"\n").unwrap();
    bench(home, &["run", "s.toml", "--quiet", "--fail-on", "failed", "--out", "one"]);
    let summary = fs::read_to_string(home.join("one/summary.json")).unwrap();
    a_tree_comes_back(home, &summary::parse(&summary));
    assert!(home.join("tree/m/tp2-pp1-dp2").is_dir());
    bench(home, &["report", "one", "--as-published", "original"]);
    let table = fs::read_to_string(home.join("original/benchmarking_results.csv")).unwrap();
    assert!(table.lines().skip(1).all(|line| line.contains(",2,1,2,spec_none,")), "{table}");
}

/// The output tree of the lineup's programs has the run's own rates, and gives its capacity again.
fn a_tree_comes_back(home: &Path, summary: &Value) {
    bench(home, &["export", "one", "--tree", "tree"]);
    let shown = bench(home, &["import", "tree", "--out", "table", "--gpu-hour", "2.5"]);
    assert!(shown.contains("GPUs/1B/h") && shown.contains("Price/1M"), "{shown}");
    let table = fs::read_to_string(home.join("table/benchmarking_results.csv")).unwrap();
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let cells = summary["cells"].as_array().unwrap();
    assert_eq!(rows.len(), cells.len());
    for (column, figure) in [
        ("output_tps_per_gpu", "output_throughput_per_gpu"),
        ("gpus_for_1b_tokens_per_hour", "gpus_for_1b_tokens_per_hour"),
        ("gpu_days_to_process_1b_tokens", "gpu_days_per_1b_tokens"),
    ] {
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values
        };
        let told = sorted(rows.iter().map(|row| row[at(column)].parse().unwrap()).collect());
        let values = cells.iter().map(|cell| cell["figures"][figure]["value"].as_f64().unwrap());
        for (told, value) in told.iter().zip(sorted(values.collect())) {
            // Six decimals, from numbers of eight digits.
            assert!((told - value).abs() < 1e-6 + 1e-6 * value, "{column}: {told}, {value}");
        }
    }
    assert!(rows.iter().all(|row| row[at("successful_requests")] == "8"), "{table}");
    an_invalid_cell_stays_invalid(home);
    let log = "(APIServer pid=1) INFO 11-22 13:00:00 Engine 000: Avg prompt throughput: 40.0 \
               tokens/s, Avg generation throughput: 2000.0 tokens/s, Running: 4 reqs\n";
    fs::write(home.join("llama.log"), log).unwrap();
    let shown = bench(home, &["import", "llama.log", "--gpus", "2"]);
    assert!(shown.contains("llama") && shown.contains("1000"), "{shown}");
    // Two replicas have two GPUs at least.
    fs::write(home.join("two.log"), log.to_owned() + &log.replace("Engine 000", "Engine 001"))
        .unwrap();
    let shown = bench(home, &["import", "two.log"]);
    assert!(shown.contains("2000") && !shown.contains("4000"), "{shown}");
    assert!(shown.contains("doubtful: its log is of 2 replicas"), "{shown}");
    let shown = bench(home, &["import", "two.log", "--gpus", "4"]);
    assert!(shown.contains("1000") && !shown.contains("doubtful"), "{shown}");
}

/// What the tree says of a cell that may not be believed is what import shows.
fn an_invalid_cell_stays_invalid(home: &Path) {
    let mut n_invalid = 0;
    for entry in walkdir(&home.join("tree")) {
        if entry.file_name().is_none_or(|name| name != "bench.json") {
            continue;
        }
        let mut own: Value = serde_json::from_str(&fs::read_to_string(&entry).unwrap()).unwrap();
        assert!(own["validity"]["status"].is_string(), "{own}");
        own["validity"] = json!({ "status": "invalid", "reasons": ["it was held up"] });
        own["states"]["output_throughput_per_gpu"] = json!("invalid");
        fs::write(&entry, own.to_string()).unwrap();
        n_invalid += 1;
    }
    assert!(n_invalid > 0);
    let shown = bench(home, &["import", "tree"]);
    assert_eq!(shown.matches(" INVALID").count(), 2 * n_invalid, "{shown}");
    assert!(shown.contains("invalid: it was held up"), "{shown}");
}

fn walkdir(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walkdir(&path) } else { vec![path] }).collect()
}

/// Holds every number that the Python reader gives against the long CSV of the same run.
fn python_reads_what_the_long_csv_says(home: &Path) {
    fs::write(home.join("reader.py"), bench(home, &["schema", "python"])).unwrap();
    let program = "import json, reader; run = reader.Run('one'); \
        rows = [[r['cell'], r['metric'], r['statistic'], r['value']] for r in run.metric_rows()]; \
        print(json.dumps([rows, list(run.cell_rows()), len(list(run.request_rows()))]))";
    let output = Command::new("python3").args(["-c", program]).current_dir(home).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let [rows, cells, n_requests]: [Value; 3] = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((cells.as_array().unwrap().len(), n_requests), (2, json!(16)));
    assert_eq!(cells[1]["concurrency"], "4");

    let long = bench(home, &["report", "one", "--format", "csv-long"]);
    let mut long = csv::Reader::from_reader(long.as_bytes());
    let column = |name: &str, headers: &csv::StringRecord| {
        headers.iter().position(|header| header == name).unwrap()
    };
    let headers = long.headers().unwrap().clone();
    let at = ["cell", "metric", "statistic", "value"].map(|name| column(name, &headers));
    let said: HashMap<[String; 3], f64> = long
        .records()
        .map(Result::unwrap)
        .filter_map(|row| {
            let [cell, metric, statistic, value] = at.map(|at| row[at].to_owned());
            Some(([cell, metric, statistic], value.parse().ok()?))
        })
        .collect();
    let read = rows.as_array().unwrap().iter().filter_map(|row| {
        let [cell, metric, statistic] = [0, 1, 2].map(|at| row[at].as_str().unwrap().to_owned());
        Some(([cell, metric, statistic], row[3].as_f64()?))
    });
    let read: HashMap<[String; 3], f64> = read.collect();
    assert!(read.len() > 100, "{} numbers", read.len());
    for (of, value) in &read {
        // The summary has eight digits, the CSV all.
        let is_near = |said: &f64| (said - value).abs() <= 1e-7 * value.abs();
        assert!(said.get(of).is_some_and(is_near), "{of:?}: {value}, {:?}", said.get(of));
    }
    let unread = said.keys().filter(|of| !read.contains_key(*of));
    let unread: Vec<_> = unread.filter(|[_, _, statistic]| statistic != "count").collect();
    assert!(unread.is_empty(), "the reader lacks {unread:?}");
}

/// Returns where a value is not what a JSON Schema says, for the words that ours has.
fn wrong(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        return wrong(root, target, value, at);
    }
    let mut found = Vec::new();
    for word in ["anyOf", "oneOf"] {
        let branches = schema[word].as_array();
        let fits = |it: &Value| wrong(root, it, value, at).is_empty();
        if branches.is_some_and(|all| !all.iter().any(fits)) {
            found.push(format!("{at}: {value} is none of {word}"));
        }
    }
    let of = |types: &Value| types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
    let is_a = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => panic!("{name} is no type"),
    };
    let is_typed = schema.get("type").is_none_or(|types| of(types).iter().any(is_a));
    let is_const = schema.get("const").is_none_or(|only| only == value);
    let is_listed = schema["enum"].as_array().is_none_or(|all| all.contains(value));
    if !(is_typed && is_const && is_listed) {
        found.push(format!("{at}: {value} is not {schema}"));
    }
    if let Some(members) = value.as_object() {
        let required = schema["required"].as_array().into_iter().flatten();
        let missing = required.filter(|name| !members.contains_key(name.as_str().unwrap()));
        found.extend(missing.map(|name| format!("{at}: {} is missing", name.as_str().unwrap())));
        for (name, member) in members {
            let at = format!("{at}/{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(of), _) | (None, Some(of @ Value::Object(_))) => {
                    found.extend(wrong(root, of, member, &at));
                }
                (None, Some(Value::Bool(false))) => found.push(format!("{at} is not known")),
                (None, _) => {}
            }
        }
    }
    if let Some(items) = value.as_array() {
        let first = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
        let least = schema["minItems"].as_u64().unwrap_or_default() as usize;
        let most = schema["maxItems"].as_u64().map_or(usize::MAX, |most| most as usize);
        if !(least..=most).contains(&items.len()) {
            found.push(format!("{at}: {} items", items.len()));
        }
        for (place, item) in items.iter().enumerate() {
            if let Some(of) = first.get(place).or_else(|| schema.get("items")) {
                found.extend(wrong(root, of, item, &format!("{at}/{place}")));
            }
        }
    }
    found
}
