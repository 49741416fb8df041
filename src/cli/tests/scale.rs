//! Many scored cells, from their records to the page: what is kept of each is little.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use procfs::FromRead as _;
use procfs::process::Status;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::analysis::run::RunAnalysis;
use crate::cli::run_report::{view, write_files};
use crate::ids::LaunchId;
use crate::metrics::request::tests::request;
use crate::metrics::tests::fixture::{launch, phase_record, plan, trial};
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, DatasetPlan, ScorePlan, Slo, Source};
use crate::plan::gate::GatePlan;
use crate::plan::launch::Launch;
use crate::record::event::{CellOutcome, RunEvent};
use crate::record::request::{OutputRecord, RequestRecord};
use crate::record::trial::{PhaseKind, TrialRecord};
use crate::secrets::redact::Redactor;
use crate::store::reader::RunReader;
use crate::store::run_dir::Invocation;
use crate::store::trial_sync;
use crate::store::writer::{NewRun, RunWriter};
use crate::units::Nanos;

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
        template: None,
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

/// What making the report of a run took, in a process of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    /// Peak of all resident memory: the program's own pages, and those of its file and libraries,
    /// of which a debug build has ten times those of a release.
    peak_kib: u64,
    /// Peak of the program's own pages, looked at every few milliseconds.
    anonymous_kib: u64,
    /// Peak of the pages of files.
    file_kib: u64,
    secs: f64,
    summary_bytes: usize,
    page_bytes: usize,
}

/// Takes the greatest of both parts of this process's memory, in KiB, until it is `over`.
fn peaks_until(over: &AtomicBool) -> (u64, u64) {
    let (mut anonymous, mut file) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        let status = status();
        anonymous = anonymous.max(status.rssanon.unwrap());
        file = file.max(status.rssfile.unwrap());
        thread::sleep(Duration::from_millis(5));
    }
    (anonymous, file)
}

fn status() -> Status {
    Status::from_file("/proc/self/status").unwrap()
}

/// Makes all faces of a run's report in a process of its own.
fn taken_by(dir: &Path) -> Taken {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cli::tests::scale::the_report_of_a_run_elsewhere", "--nocapture"])
        .env(DIR, dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("taken ")).map(|(_, rest)| rest);
    serde_json::from_str(line.unwrap_or_else(|| panic!("{text}"))).unwrap()
}

/// Is run by [`taken_by`], and does nothing alone.
#[test]
#[expect(clippy::print_stdout, reason = "tells its parent what it took")]
fn the_report_of_a_run_elsewhere() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let over = Arc::new(AtomicBool::new(false));
    let watch = {
        let over = Arc::clone(&over);
        thread::spawn(move || peaks_until(&over))
    };
    let begun = std::time::Instant::now();
    let analysis = RunAnalysis::of(&RunReader::open(Path::new(&dir)).unwrap()).unwrap();
    write_files(&analysis, &view(&analysis)).unwrap();
    let secs = begun.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    let (anonymous_kib, file_kib) = watch.join().unwrap();
    let size = |name: &str| fs::metadata(Path::new(&dir).join(name)).unwrap().len() as usize;
    let (summary_bytes, page_bytes) = (size("summary.json"), size("report.html"));
    let peak_kib = status().vmhwm.unwrap();
    let taken = Taken { peak_kib, anonymous_kib, file_kib, secs, summary_bytes, page_bytes };
    println!("taken {}", serde_json::to_string(&taken).unwrap());
}

#[test]
fn a_finished_cell_leaves_little_in_memory() {
    let peaks = [20, 120].map(|n_cells| {
        let dir = TempDir::new().unwrap();
        let run = dir.path().join("run");
        write_run(&run, n_cells);
        taken_by(&run).peak_kib
    });
    let per_cell = peaks[1].saturating_sub(peaks[0]) / 100;
    // Graded items and samples of latencies took another 500.
    assert!(per_cell < 200, "{per_cell} KiB for each cell: {peaks:?}");
}

/// A plan of four engines under as many loads as make so many cells, with objectives, gates and a
/// price.
fn swept_plan(n_cells: usize) -> Plan {
    let mut plan = scored_plan(n_cells);
    plan.launches.clear();
    plan.gate = Some(GatePlan {
        must: ["goodput >= 0.95", "ttft.p50 < 500ms"].map(str::to_owned).into(),
        ..GatePlan::default()
    });
    plan.gpu_hour_price = Some(2.5);
    for (at, cell) in plan.cells.iter_mut().enumerate() {
        let (engine, concurrency) = (format!("engine-{}", at % 4), (at / 4 + 1) as u32);
        cell.launch = LaunchId(engine.clone());
        cell.keys = [("engine", engine.clone()), ("concurrency", concurrency.to_string())]
            .map(|(key, value)| (key.to_owned(), value))
            .into();
        cell.phases[0].arrivals = ArrivalsPlan::Closed { concurrency };
        cell.slo = Some(Slo { ttft: Some(Nanos::from_millis(300)), tpot: None, e2e: None });
        plan.launches.insert(cell.launch.clone(), Launch { engine, ..launch(1) });
    }
    plan
}

/// `BENCH_TEST_SCALE=10000 cargo test --release --lib reported_in_bounded` has the size for which
/// time, memory and sizes are bounded: 30 s, 300 MB, 40 MB and 5 MB. The small ones hold what each
/// cell may take of it.
#[test]
#[expect(clippy::print_stdout, reason = "tells what it took")]
fn many_cells_are_reported_in_bounded_time_and_memory() {
    let taken = |n_cells: usize| {
        let dir = TempDir::new().unwrap();
        let run = dir.path().join("run");
        write_plan(&run, &swept_plan(n_cells), 4);
        let taken = taken_by(&run);
        println!("{n_cells} cells: {taken:?}");
        assert!(taken.summary_bytes < 4_000 * n_cells, "{taken:?}");
        taken
    };
    let scale = std::env::var("BENCH_TEST_SCALE").ok().and_then(|scale| scale.parse().ok());
    let Some(n_cells) = scale else {
        let [few, many] = [300, 900].map(taken);
        let per_cell = many.peak_kib.saturating_sub(few.peak_kib) / 600;
        assert!(per_cell < 32, "{per_cell} KiB a cell: {few:?}, {many:?}");
        return;
    };
    let taken = taken(n_cells);
    assert!(taken.peak_kib < 300_000_000 >> 10 && taken.page_bytes < 5_000_000, "{taken:?}");
    assert!(taken.secs < 30.0 || cfg!(debug_assertions), "{taken:?}");
}
