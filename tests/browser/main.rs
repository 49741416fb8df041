//! Reports in a real browser: what is seen first, what is cut or overprinted, what the page does
//! when it is used, and what a screen reader makes of it.
//!
//! Without Chromium nothing is looked at, and noted as skipped. axe-core is looked for where
//! `BENCH_TEST_AXE` says, as `.ci/run` installs it. The pages of all scenarios and one of 10,000
//! rows take minutes: they are made where `BENCH_TEST_BROWSER` is 1, or of the scenarios whose
//! name it is a part of.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "starts programs, reads what they wrote and says what it skips"
)]

mod chromium;
#[path = "../undecided/mod.rs"]
mod undecided;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chromium::Chromium;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What is measured in each page.
const LOOK: &str = include_str!("look.js");

/// Two engines at four loads, gates met and missed, objectives.
const SWEEP: &str = r#"
title = "Two engines, four loads"
seed  = 1
[engine.fast]
preset = "sim"
ttft   = "20ms"
itl    = "2ms"
[engine.slow]
preset = "sim"
ttft   = "30ms"
itl    = "3ms"
[matrix]
engine      = ["fast", "slow"]
concurrency = [1, 4, 16, 64]
[dataset.d]
source   = "jsonl"
location = "./d.jsonl"
cycle    = true
[request]
max-tokens = 16
[phase.warm_up]
requests = 4
[phase.load]
duration = "700ms"
[slo]
ttft = "80ms"
e2e  = "300ms"
[gate]
must = ["ttft.p50 < 25ms", "output_throughput >= 1"]
"#;

/// Longest time that a scenario may measure; then it is interrupted, and its page says so.
const RUN_MAX: Duration = Duration::from_secs(40);

fn bench(home: &Path, args: &[&str]) -> Child {
    let log = fs::File::options().create(true).append(true).open(home.join("told.txt")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Runs a scenario and returns its page; gates and skipped cells may make it fail.
fn page_of(home: &Path, scenario: &Path) -> PathBuf {
    let out = home.join(scenario.file_stem().unwrap());
    let (scenario, dir) = (scenario.to_str().unwrap(), out.to_str().unwrap());
    let mut args = vec!["run", scenario, "--out", dir];
    // What can be measured on any machine.
    if fs::read_to_string(scenario).unwrap().contains("\n[profile.here") {
        args.extend(["--profile", "here"]);
    }
    let mut run = bench(home, &args);
    let until = Instant::now() + RUN_MAX;
    while run.try_wait().unwrap().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    if run.try_wait().unwrap().is_none() {
        let id = run.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        run.wait().unwrap();
        bench(home, &["report", dir]).wait().unwrap();
    }
    out.join("report.html")
}

fn sweep(home: &Path) -> PathBuf {
    let rows = (0..40).map(|row| format!("{{\"prompt\": \"How much is {row} and one?\"}}\n"));
    fs::write(home.join("d.jsonl"), rows.collect::<String>()).unwrap();
    let scenario = home.join("sweep.toml");
    fs::write(&scenario, SWEEP).unwrap();
    page_of(home, &scenario)
}

fn browser() -> Option<Chromium> {
    let browser = Chromium::start(1_400, 900);
    if browser.is_none() {
        undecided::note("skipped: no Chromium to look at reports with");
    }
    browser
}

/// Opens a page, and holds what is seen of it against what must be.
fn look(browser: &mut Chromium, page: &Path) -> Value {
    browser.open(page, "");
    ready(browser);
    let seen = browser.evaluate(LOOK);
    let name = page.parent().unwrap().display();
    assert_eq!(seen["problems"], json!([]), "{name}: {seen:#}");
    for what in ["answer", "states", "gates", "results"] {
        assert_ne!(seen["first"][what], json!(false), "{name}: {what} is not on the first screen");
    }
    assert_eq!(seen["first"]["answer"], json!(true), "{name}: {seen:#}");
    let column = &seen["first_column"];
    assert!(column.is_null() || *column == json!("status"), "{name}: {column}");
    calm(browser, page);
    seen
}

/// The first table is ready when it has its tools.
fn ready(browser: &mut Chromium) {
    let wait = "new Promise((done) => { const look = () => document.querySelector('#t-results .self, \
                #results + p') || !document.querySelector('#t-results') ? done(1) : \
                setTimeout(look, 5); look(); })";
    browser.evaluate(wait);
}

/// The page asked for nothing but itself, and nothing went wrong in it.
fn calm(browser: &Chromium, page: &Path) {
    for event in &browser.events {
        let (method, of) = (event["method"].as_str().unwrap_or_default(), &event["params"]);
        let trouble = match method {
            "Network.requestWillBeSent" => {
                let url = of["request"]["url"].as_str().unwrap_or_default();
                !url.starts_with("file://") || !url.contains("report.html")
            }
            "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => true,
            _ => false,
        };
        assert!(!trouble, "{}: {event:#}", page.display());
    }
}

/// Asks axe-core for violations that are serious or critical.
fn accessible(browser: &mut Chromium, axe: Option<&str>, page: &Path) {
    let Some(axe) = axe else { return };
    browser.evaluate(&format!("{axe};true"));
    let found = browser.evaluate(
        "axe.run({ resultTypes: ['violations'] }).then((it) => it.violations \
         .filter(({ impact }) => impact === 'serious' || impact === 'critical') \
         .map(({ id, nodes }) => [id, nodes.slice(0, 3).map((it) => it.html.slice(0, 200))]))",
    );
    assert_eq!(found, json!([]), "{}: {found:#}", page.display());
}

fn axe() -> Option<String> {
    let text = std::env::var_os("BENCH_TEST_AXE").and_then(|file| fs::read_to_string(file).ok());
    if text.is_none() {
        undecided::note("skipped: no axe-core, which BENCH_TEST_AXE names");
    }
    text
}

#[test]
fn a_page_shows_what_matters_first_and_does_what_it_offers() {
    let Some(mut browser) = browser() else { return };
    let axe = axe();
    let home = TempDir::new().unwrap();
    let page = sweep(home.path());
    let seen = look(&mut browser, &page);
    for what in ["answer", "states", "gates", "results"] {
        assert_eq!(seen["first"][what], json!(true), "{what}: {seen:#}");
    }
    assert!(seen["n_charts"].as_u64() > Some(12), "{seen:#}");
    assert!(fs::metadata(&page).unwrap().len() < 1_000_000);
    accessible(&mut browser, axe.as_deref(), &page);

    sorts_and_filters(&mut browser);
    says_what_stands_behind_a_number(&mut browser);
    hides_what_a_legend_names(&mut browser);
    calm(&browser, &page);

    let cell = browser.evaluate("document.querySelectorAll('#t-results tbody tr')[5].id");
    browser.open(&page, &format!("#{}", cell.as_str().unwrap()));
    ready(&mut browser);
    let asked = browser.evaluate("[...document.querySelectorAll('tr.asked')].map((it) => it.id)");
    assert_eq!(asked, json!([cell]), "an address leads to its cell");

    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.call("Emulation.setEmulatedMedia", &dark);
    look(&mut browser, &page);
    accessible(&mut browser, axe.as_deref(), &page);
    let dark_ink = "getComputedStyle(document.body).color";
    let in_the_dark = browser.evaluate(dark_ink);
    browser.call("Emulation.setEmulatedMedia", &json!({ "media": "print", "features": [] }));
    assert_ne!(browser.evaluate(dark_ink), in_the_dark, "paper is white");
    let bar = browser.evaluate("document.querySelector('nav').getClientRects().length");
    assert_eq!(bar, json!(0), "what cannot be clicked is not printed");
    prints_what_its_window_has_no_room_for(&mut browser, &page);
}

/// From a small window, all columns go to paper, and none beyond its edge; then the window is as before.
fn prints_what_its_window_has_no_room_for(browser: &mut Chromium, page: &Path) {
    browser.resize(500, 900);
    browser.open(page, "");
    ready(browser);
    let hidden = "[...document.querySelectorAll('#t-results th')].filter((it) => it.hidden).length";
    let n_hidden = browser.evaluate(hidden);
    assert_ne!(n_hidden, json!(0), "a small window has no room for all");
    browser.evaluate("dispatchEvent(new Event('beforeprint'))");
    // A4, landscape, between its margins, at 96 points an inch.
    browser.resize(1_046, 718);
    assert_eq!(browser.evaluate(hidden), json!(0));
    let cut = "[...document.querySelectorAll('table')].filter((it) => \
               it.getBoundingClientRect().right > innerWidth).map((it) => it.textContent.slice(0, 80))";
    assert_eq!(browser.evaluate(cut), json!([]), "what a page would cut");
    browser.evaluate("dispatchEvent(new Event('afterprint'))");
    assert_eq!(browser.evaluate(hidden), n_hidden);
    browser.resize(1_400, 900);
}

fn sorts_and_filters(browser: &mut Chromium) {
    let outputs = "[...document.querySelectorAll('#t-results tbody tr')].map((row) => \
                   parseFloat(row.cells[[...document.querySelectorAll('#t-results th')] \
                   .findIndex((it) => it.textContent.startsWith('output'))].firstChild.textContent))";
    let click = "[...document.querySelectorAll('#t-results th button')] \
                 .find((it) => it.textContent.startsWith('output')).click()";
    browser.evaluate(click);
    let sorted: Vec<f64> = serde_json::from_value(browser.evaluate(outputs)).unwrap();
    assert!(sorted.len() == 8 && sorted.is_sorted_by(|a, b| a >= b), "{sorted:?}");
    let state = "document.querySelectorAll('#t-results th[aria-sort=descending]').length";
    assert_eq!(browser.evaluate(state), json!(1), "a screen reader is told");
    browser.evaluate(
        "(() => { const it = document.querySelector('#t-results input[type=search]'); \
         it.value = 'slow 16'; it.dispatchEvent(new Event('input')); })()",
    );
    let rows = "document.querySelectorAll('#t-results tbody tr').length";
    assert_eq!(browser.evaluate(rows), json!(1));
    browser.evaluate(
        "(() => { const it = document.querySelector('#t-results input[type=search]'); \
         it.value = ''; it.dispatchEvent(new Event('input')); })()",
    );
    let columns =
        "[...document.querySelectorAll('#t-results th')].filter((it) => !it.hidden).length";
    let before = browser.evaluate(columns).as_u64();
    browser.evaluate("document.querySelector('#t-results fieldset input:checked').click()");
    assert_eq!(browser.evaluate(columns).as_u64(), before.map(|n| n - 1));
    browser.evaluate("document.querySelector('#t-results fieldset input:not(:checked)').click()");
}

fn says_what_stands_behind_a_number(browser: &mut Chromium) {
    let told =
        "document.querySelector('#tip').hidden ? '' : document.querySelector('#tip').textContent";
    let place = browser.evaluate(
        "(() => { scrollTo(0, 0); const it = document.querySelector('#t-results td.num[title], \
         #t-results td.num[data-note]').getBoundingClientRect(); \
         return [it.left + 5, it.top + 5]; })()",
    );
    let place: Vec<f64> = serde_json::from_value(place).unwrap();
    browser.point_at(place[0], place[1]);
    let tip = browser.evaluate(told);
    assert!(tip.as_str().unwrap().starts_with("n = "), "{tip}");
    // The same by keys alone: from the first cell to the right until there is a note.
    browser.evaluate("document.querySelector('#t-results td[tabindex=\"0\"]').focus()");
    let mut tip = browser.evaluate(told);
    for _ in 0..8 {
        if tip.as_str().unwrap().starts_with("n = ") {
            return;
        }
        browser.press("ArrowRight");
        tip = browser.evaluate(told);
    }
    panic!("no cell of the row says its n: {tip}");
}

fn hides_what_a_legend_names(browser: &mut Chromium) {
    let hidden = "[...document.querySelectorAll('#chart-throughput-over-load .series')] \
                  .filter((it) => getComputedStyle(it).display === 'none').length";
    assert_eq!(browser.evaluate(hidden), json!(0));
    browser.evaluate(
        "document.querySelector('#chart-throughput-over-load .key') \
         .dispatchEvent(new MouseEvent('click', { bubbles: true }))",
    );
    assert!(browser.evaluate(hidden).as_u64() > Some(0));
    browser.evaluate("document.querySelector('#chart-throughput-over-load .key').focus()");
    browser.press("Enter");
    assert_eq!(browser.evaluate(hidden), json!(0), "Enter shows it again");
}

#[test]
fn the_pages_of_scenarios_cut_and_overprint_nothing() {
    let Some(mut browser) = browser() else { return };
    let Some(wanted) = wanted("pages of all scenarios") else { return };
    let axe = axe();
    let home = TempDir::new().unwrap();
    let mut scenarios: Vec<PathBuf> = fs::read_dir("scenarios")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .filter(|path| wanted == "1" || path.to_string_lossy().contains(&wanted))
        .collect();
    scenarios.sort();
    let mut n_pages = 0;
    for scenario in scenarios {
        let page = page_of(home.path(), &scenario);
        if !page.exists() {
            undecided::note(&format!("skipped: {} has no page here", scenario.display()));
            continue;
        }
        look(&mut browser, &page);
        accessible(&mut browser, axe.as_deref(), &page);
        n_pages += 1;
    }
    // Those that need a tokenizer or data of the hub have none without a network.
    assert!(wanted != "1" || n_pages >= 12, "{n_pages} pages");
}

/// Returns what of the long tests is asked for; notes that nothing is.
fn wanted(what: &str) -> Option<String> {
    let wanted = std::env::var("BENCH_TEST_BROWSER").ok();
    if wanted.is_none() {
        undecided::note(&format!("skipped: {what}: BENCH_TEST_BROWSER is not set"));
    }
    wanted
}

/// A hundred cells of a hundred measured phases, each of them one request and one row.
fn ten_thousand_rows() -> String {
    let loads: Vec<String> = (1..=100).map(|n: u32| n.to_string()).collect();
    let phases = (1..=100).map(|n| format!("[phase.p{n:03}]\nrequests = 1\n"));
    format!(
        "title = \"Ten thousand rows\"\nseed = 1\n[engine.sim]\nttft = \"1ms\"\nitl = \"0ms\"\n\
         [matrix]\nconcurrency = [{}]\n[dataset.d]\nsource = \"jsonl\"\nlocation = \"./d.jsonl\"\n\
         cycle = true\n[request]\nmax-tokens = 2\n{}",
        loads.join(", "),
        phases.collect::<String>()
    )
}

#[test]
fn ten_thousand_rows_are_opened_and_sorted_without_a_wait() {
    let Some(mut browser) = browser() else { return };
    if wanted("a page of 10,000 rows").is_none_or(|it| !"1 rows".contains(&it)) {
        return;
    }
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("d.jsonl"), "{\"prompt\": \"How much is one and one?\"}\n").unwrap();
    let scenario = home.path().join("rows.toml");
    fs::write(&scenario, ten_thousand_rows()).unwrap();
    let dir = home.path().join("rows");
    let (file, out) = (scenario.to_str().unwrap(), dir.to_str().unwrap());
    bench(home.path(), &["run", file, "--out", out]).wait().unwrap();
    let page = dir.join("report.html");
    let n_bytes = fs::metadata(&page).unwrap().len();
    assert!(n_bytes <= 5_000_000, "{n_bytes} bytes");
    // The best of three: what else the machine does is no matter of the page.
    let opened = (0..3).map(|_| browser.open(&page, "")).min().unwrap();
    ready(&mut browser);
    assert!(opened < Duration::from_secs(2), "opened in {opened:?}");
    let sort = "(() => { const at = performance.now(); \
                [...document.querySelectorAll('#t-results th button')] \
                .find((it) => it.textContent.startsWith('output')).click(); \
                document.querySelector('#t-results tbody').getBoundingClientRect(); \
                return performance.now() - at; })()";
    let sorted = (0..4).map(|_| browser.evaluate(sort).as_f64().unwrap()).fold(f64::MAX, f64::min);
    assert!(sorted < 500.0, "sorted in {sorted} ms");
    let told = browser.evaluate("document.querySelector('#t-results').textContent");
    assert!(told.as_str().unwrap().contains("10,000") || told.as_str().unwrap().contains("10000"));
    let find = "(() => { const it = document.querySelector('#t-results input[type=search]'); \
                it.value = 'p100'; it.dispatchEvent(new Event('input')); \
                return document.querySelectorAll('#t-results tbody tr').length; })()";
    assert_eq!(browser.evaluate(find), json!(100), "rows that were not there are found");
    calm(&browser, &page);
}
