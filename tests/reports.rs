//! Reports as a user takes them away: the gallery, a template beside a scenario, figures and
//! published tables as files.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts the program and reads what it wrote"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn bench(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .current_dir(home)
        .env("HOME", home)
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap()
}

/// Runs the program and requires an exit code; returns standard output and standard error.
#[track_caller]
fn expect(home: &Path, code: i32, args: &[&str]) -> (String, String) {
    let output = bench(home, args);
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(code), "bench {args:?}\n{}", told[1]);
    let [stdout, stderr] = told;
    (stdout, stderr)
}

/// Two simulated engines at two loads; how busy this machine is decides of no number.
fn scenario(more: &str) -> String {
    format!(
        "title = \"Two engines\"\nseed = 1\n{more}\n\
         [engine.vllm]\npreset = \"sim\"\nttft = \"5ms\"\nitl = \"1ms\"\n\
         [engine.sglang]\npreset = \"sim\"\nttft = \"8ms\"\nitl = \"2ms\"\n\
         [matrix]\nengine = [\"vllm\", \"sglang\"]\nconcurrency = [1, 4]\n\
         [dataset.q]\nsource = \"random\"\ninput-words = 12\n[request]\nmax-tokens = 8\n\
         [phase.load]\nrequests = 8\n[validity]\nok-share = 0.5\ndoubtful-share = 1.0\n"
    )
}

fn names(dir: &Path) -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    found
}

#[test]
fn the_reports_of_the_gallery_are_made_again_byte_for_byte() {
    let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/gallery");
    let out = TempDir::new().unwrap();
    let made = Command::new(gallery.join("make.sh"))
        .env("BENCH", env!("CARGO_BIN_EXE_bench"))
        .env("OUT", out.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = names(out.path());
    assert!(made.len() >= 16, "{made:?}");
    let is_report = |name: &String| {
        let ending = Path::new(name).extension();
        name != "README.md" && ending.is_some_and(|it| it == "md" || it == "html")
    };
    let kept: Vec<String> = names(&gallery).into_iter().filter(is_report).collect();
    assert_eq!(made, kept, "a report without records, or records without a report");
    for name in made {
        let (new, old) = (fs::read(out.path().join(&name)), fs::read(gallery.join(&name)));
        let is_same = new.unwrap() == old.unwrap();
        assert!(is_same, "{name} is not what the program writes: run reports/gallery/make.sh");
    }
}

#[test]
fn what_a_pull_request_gets_of_each_published_table_is_sixty_lines() {
    let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/gallery");
    let reports: Vec<String> = names(&gallery)
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "md"))
        .filter(|name| name != "README.md")
        .collect();
    assert!(reports.len() >= 8, "{reports:?}");
    for name in reports {
        let text = fs::read_to_string(gallery.join(&name)).unwrap();
        assert!(text.lines().count() <= 60, "{name}: {} lines", text.lines().count());
        for part in ["\n- ", "\n|", "\n## Caveats\n", "\nFigures: [", "(report.html)"] {
            assert!(text.contains(part), "{name} has no {part:?}");
        }
    }
}

#[test]
fn a_template_beside_the_scenario_is_its_report() {
    let place = TempDir::new().unwrap();
    let home = place.path();
    let template = home.join("mine.md.j2");
    fs::write(home.join("s.toml"), scenario("report = \"mine\"")).unwrap();
    fs::write(&template, "{% for row in results.rows %}\n{{ row[0].text }\n").unwrap();
    let (_, told) = expect(home, 78, &["check", "s.toml"]);
    assert!(told.contains("mine.md.j2:2") && told.contains('^'), "{told}");

    fs::write(&template, "# Mine: {{ title }}\n{{ states[0].text }}\n").unwrap();
    expect(home, 0, &["run", "s.toml", "--quiet", "--fail-on", "failed", "--out", "run"]);
    let report = home.join("run/report.md");
    let first = fs::read_to_string(&report).unwrap();
    assert!(first.starts_with("# Mine: Two engines\n"), "{first}");

    // The run keeps the template: what became of the file does not matter.
    fs::remove_file(&template).unwrap();
    expect(home, 0, &["report", "run"]);
    assert_eq!(fs::read_to_string(&report).unwrap(), first);

    fs::write(home.join("other.j2"), "Other: {{ headline[0] }}\n").unwrap();
    let (stdout, _) = expect(home, 0, &["report", "run", "--template", "other.j2"]);
    assert!(stdout.starts_with("Other: "), "{stdout}");
    assert_eq!(fs::read_to_string(&report).unwrap(), first, "no file is changed by it");
    fs::write(home.join("wrong.j2"), "one\n{{ titel }}\n").unwrap();
    let (_, told) = expect(home, 65, &["report", "run", "--template", "wrong.j2"]);
    assert!(told.contains("wrong.j2:2") && told.contains("^^^^^"), "{told}");

    let (view, _) = expect(home, 0, &["report", "run", "--print-view"]);
    let view: Value = serde_json::from_str(&view).unwrap();
    assert_eq!(view["view"]["title"], "Two engines");
    assert!(view["variables"].as_array().unwrap().len() > 30);
}

#[test]
fn the_figures_and_the_tree_of_two_engines_are_files() {
    let place = TempDir::new().unwrap();
    let home = place.path();
    let published = "report = \"vllm_vs_sglang\"\npublished = { table = \"vllm_vs_sglang\" }";
    fs::write(home.join("s.toml"), scenario(published)).unwrap();
    expect(home, 0, &["run", "s.toml", "--quiet", "--fail-on", "failed", "--out", "run"]);
    expect(home, 0, &["report", "run", "--figures", "svg"]);
    expect(home, 0, &["report", "run", "--figures", "png", "--figure-format", "png"]);
    for name in [
        "throughput_all_combined",
        "cross_model_comparison",
        "latency_heatmap",
        "gpu_comparison",
        "scaling_efficiency",
        "summary_table",
    ] {
        let svg = fs::read_to_string(home.join(format!("svg/{name}.svg"))).unwrap();
        assert!(svg.starts_with("<?xml") && svg.contains("<style>"), "{name}");
        let png = fs::read(home.join(format!("png/{name}.png"))).unwrap();
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n", "{name}");
        assert!(png.len() > 2_000, "{name} is empty");
    }
    assert_eq!(names(&home.join("svg")).len(), names(&home.join("png")).len());

    expect(home, 0, &["report", "run", "--as-published", "tree"]);
    assert_eq!(names(&home.join("tree/results")), ["sglang", "vllm"]);
    let folders: Vec<PathBuf> = ["sglang", "vllm"]
        .iter()
        .flat_map(|engine| {
            let engine = home.join("tree/results").join(engine);
            names(&engine).into_iter().map(move |name| engine.join(name))
        })
        .collect();
    assert_eq!(folders.len(), 4, "{folders:?}");
    for folder in folders {
        let files = names(&folder);
        assert_eq!(files.len(), 3, "{files:?}");
        let summary = fs::read_to_string(folder.join("benchmark_summary.csv")).unwrap();
        assert_eq!(summary.lines().count(), 2, "{summary}");
        let requests = files.iter().find(|name| name.ends_with("_requests.csv")).unwrap();
        let requests = fs::read_to_string(folder.join(requests)).unwrap();
        assert_eq!(requests.lines().count(), 9, "a header and eight requests: {requests}");
    }
}

#[test]
fn the_serving_file_says_what_the_run_says() {
    let place = TempDir::new().unwrap();
    let home = place.path();
    let published = "report = \"serving\"\npublished = { table = \"serving\" }";
    fs::write(home.join("s.toml"), scenario(published)).unwrap();
    expect(home, 0, &["run", "s.toml", "--quiet", "--fail-on", "failed", "--out", "run"]);
    expect(home, 0, &["report", "run", "--as-published", "files"]);
    let files = names(&home.join("files"));
    assert_eq!(files.len(), 4, "{files:?}");
    let first = home.join("files").join(&files[0]);
    let json: Value = serde_json::from_str(&fs::read_to_string(&first).unwrap()).unwrap();
    let list = |key: &str| json[key].as_array().unwrap().clone();
    for (at, itls) in list("itls").iter().enumerate() {
        // Eight tokens, one by one; what a reader adds up is the latency of the request.
        let itls: Vec<f64> = serde_json::from_value(itls.clone()).unwrap();
        assert_eq!(itls.len(), 7);
        let sum = list("ttfts")[at].as_f64().unwrap() + itls.iter().sum::<f64>();
        assert!((sum - list("latencies")[at].as_f64().unwrap()).abs() < 1e-6, "{json:#}");
        assert!(!list("generated_texts")[at].as_str().unwrap().is_empty());
    }
    assert_eq!(json["completed"], 8);
    // The reader of such files finds the numbers of the run in it.
    let file = format!("files/{}", files[0]);
    let compared = bench(home, &["compare", "run", &file, "--format", "json"]);
    let told = String::from_utf8_lossy(&compared.stderr);
    let found: Value =
        serde_json::from_slice(&compared.stdout).unwrap_or_else(|_| panic!("{told}"));
    assert!(found["sides"].as_array().unwrap().len() == 2, "{found:#}");
}
