//! Many scored cells, from their records to the page: what is kept of each is little.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::analysis::run::RunAnalysis;
use crate::ids::LaunchId;
use crate::metrics::request::tests::request;
use crate::metrics::tests::fixture::{launch, phase_record, plan, trial};
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, DatasetPlan, ScorePlan, Source};
use crate::plan::launch::Launch;
use crate::record::event::{CellOutcome, RunEvent};
use crate::record::request::{OutputRecord, RequestRecord};
use crate::record::trial::{PhaseKind, TrialRecord};
use crate::report::input::Input;
use crate::report::view::ReportView;
use crate::report::{html, json, markdown};
use crate::secrets::redact::Redactor;
use crate::store::reader::RunReader;
use crate::store::run_dir::Invocation;
use crate::store::trial_sync;
use crate::store::writer::{NewRun, RunWriter};

const N_ITEMS: u64 = 400;
/// Where the child process finds the run that it analyses.
const DIR: &str = "BENCH_TEST_SCALE_DIR";

fn scored_plan(n_cells: usize) -> Plan {
    let names: Vec<String> = (0..n_cells).map(|number| format!("cell-{number}")).collect();
    let mut plan = plan(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for cell in &mut plan.cells {
        cell.score = Some("answer".to_owned());
        let engine = cell.keys["engine"].clone();
        plan.launches.insert(cell.launch.clone(), Launch { engine, ..launch(1) });
    }
    plan.scores.insert("answer".to_owned(), ScorePlan::gsm8k());
    plan.datasets.insert("questions".to_owned(), DatasetPlan::of(Source::Gsm8k, None, None, None));
    plan
}

fn write_run(dir: &Path, n_cells: usize) {
    write_plan(dir, &scored_plan(n_cells), N_ITEMS);
}

fn write_plan(dir: &Path, plan: &Plan, n_items: u64) {
    let (redactor, invocation) = (&Redactor::default(), &Invocation::default());
    let new = NewRun {
        root: dir,
        out: Some(dir),
        plan,
        scenario: "",
        resolved: "",
        redactor,
        invocation,
    };
    let mut writer = RunWriter::create(&new).unwrap();
    let golds = (0..n_items).map(|row| (row, Some(format!("So it is.\n#### {row}"))));
    let golds = [("questions".to_owned(), golds.collect())].into();
    writer.golds(&golds, &BTreeSet::new()).unwrap();
    for cell in &plan.cells {
        let mut trial_writer = writer.trial(&cell.name, 1).unwrap();
        for row in 0..n_items {
            let request = request(row, row * 5, row * 5, &[row * 5 + 20, row * 5 + 30]);
            trial_writer.request(&request).unwrap();
            trial_writer.output(&output(&request)).unwrap();
        }
        let phase = phase_record(PhaseKind::Measure, 0, 2_000, 2_100);
        let record = TrialRecord { cell: cell.id.clone(), ..trial(&[phase]) };
        trial_sync::sync(&[trial_writer.finish(&record).unwrap()]).unwrap();
        let outcome = CellOutcome::Complete;
        writer.event(RunEvent::CellFinished { cell: cell.id.clone(), outcome }).unwrap();
    }
}

fn output(request: &RequestRecord) -> OutputRecord {
    OutputRecord {
        phase: request.phase,
        index: request.index,
        turn: request.turn,
        sample: request.sample,
        text: format!("{0} and some words of it.\n#### {1}", request.sample, request.sample % 300),
        reasoning: String::new(),
        logprobs: Vec::new(),
    }
}

/// Peak resident memory of this process, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Analyses a run in a process of its own and returns that one's peak memory.
fn peak_of(dir: &Path) -> u64 {
    let name = "analysis::tests::scale::a_finished_cell_leaves_little_in_memory";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(DIR, dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let peak = text.split("peak ").nth(1).and_then(|rest| rest.split_whitespace().next());
    peak.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
#[expect(clippy::print_stdout, reason = "the child process tells its parent what it took")]
fn a_finished_cell_leaves_little_in_memory() {
    if let Some(dir) = std::env::var_os(DIR) {
        let analysis = RunAnalysis::of(&RunReader::open(Path::new(&dir)).unwrap()).unwrap();
        let view = ReportView::new(&Input::of(&analysis, None));
        let page = html::render(&view).unwrap();
        assert!(page.contains("cell-19"));
        let accuracy = &analysis.summary.cells[0].accuracy[0];
        assert_eq!((accuracy.n, accuracy.correct), (N_ITEMS, 300));
        println!("peak {}", peak_kib());
        return;
    }
    let peaks = [20, 120].map(|n_cells| {
        let dir = TempDir::new().unwrap();
        let run = dir.path().join("run");
        write_run(&run, n_cells);
        peak_of(&run)
    });
    let per_cell = peaks[1].saturating_sub(peaks[0]) / 100;
    // Graded items and samples of latencies took another 500.
    assert!(per_cell < 200, "{per_cell} KiB for each cell: {peaks:?}");
}

/// A plan of four engines under as many loads as make so many cells.
fn swept_plan(n_cells: usize) -> Plan {
    let mut plan = scored_plan(n_cells);
    for (at, cell) in plan.cells.iter_mut().enumerate() {
        let (engine, concurrency) = (format!("engine-{}", at % 4), (at / 4 + 1) as u32);
        cell.launch = LaunchId(engine.clone());
        cell.keys = [("engine", engine.clone()), ("concurrency", concurrency.to_string())]
            .map(|(key, value)| (key.to_owned(), value))
            .into();
        cell.phases[0].arrivals = ArrivalsPlan::Closed { concurrency };
        plan.launches.insert(cell.launch.clone(), Launch { engine, ..launch(1) });
    }
    plan
}

/// `BENCH_TEST_SCALE=10000 cargo test --release --lib reported_in_bounded` has the size for which
/// time and memory are bounded: 30 s and 300 MB. The small one holds the proportion of the summary.
#[test]
#[expect(clippy::print_stdout, reason = "tells what it took")]
fn many_cells_are_reported_in_bounded_time_and_memory() {
    let scale = std::env::var("BENCH_TEST_SCALE").ok().and_then(|scale| scale.parse().ok());
    let n_cells = scale.unwrap_or(200);
    let dir = TempDir::new().unwrap();
    let run = dir.path().join("run");
    write_plan(&run, &swept_plan(n_cells), 4);
    let begun = std::time::Instant::now();
    let analysis = RunAnalysis::of(&RunReader::open(&run).unwrap()).unwrap();
    let analysed = begun.elapsed();
    assert_eq!(analysis.comparison.as_ref().unwrap().cells.len(), n_cells / 4 * 3);
    let view = ReportView::new(&Input::of(&analysis, None));
    let faces = [html::render(&view).unwrap(), markdown::render(&view).unwrap()];
    let summary = json::render(&analysis.summary);
    println!(
        "{n_cells} cells: read in {analysed:.1?}, all in {:.1?}; {} MiB; summary {} MB, page {} MB",
        begun.elapsed(),
        peak_kib() >> 10,
        summary.len() / 1_000_000,
        faces[0].len() / 1_000_000,
    );
    // 40 MB over 10,000 cells would be 4,000; what a cell takes today must not grow.
    assert!(summary.len() / n_cells < 30_000, "{} bytes a cell", summary.len() / n_cells);
    if scale.is_some() && !cfg!(debug_assertions) {
        assert!(begun.elapsed().as_secs() <= 30 && peak_kib() <= 300 << 10);
    }
}
