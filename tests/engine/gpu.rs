//! GPUs through a fake of the vendor's library, compiled here: no GPU is needed.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use bench::record::gauge::Gauge;
use bench::record::telemetry::TelemetrySource;
use bench::telemetry::Probe;
use bench::telemetry::gpu::{GpuProbe, survey_with, wait_for_memory};
use bench::units::Nanos;

use serde_json::Value;

use crate::bed::wait_for;
use crate::fake_gpus::FakeGpus;

#[test]
fn a_survey_names_devices_memory_and_foreign_processes() {
    let fake = FakeGpus::new();
    fake.set("process1 4242\nused_mib1 900\n");
    let survey = survey_with(Some(&fake.library())).unwrap();
    assert_eq!(survey.driver.as_deref(), Some("580.fake"));
    let gpu = &survey.gpus[1];
    assert_eq!((gpu.uuid.as_str(), gpu.index, gpu.name.as_str()), ("GPU-fake-1", 1, "Fake H100"));
    assert_eq!(gpu.power_limit_w, Some(700.0));
    assert_eq!(gpu.compute_capability.as_deref(), Some("9.0"));
    assert_eq!(survey.memory_used_bytes["GPU-fake-1"], 900 << 20);
    assert_eq!((survey.processes[0].pid, survey.processes.len()), (4242, 1));
}

#[test]
fn a_machine_without_the_library_has_a_reason() {
    let missing = OsString::from("/nonexistent/libnvidia-ml.so.1");
    let reason = survey_with(Some(&missing)).unwrap_err().to_string();
    assert!(reason.contains("no GPU library"), "{reason}");
    assert!(GpuProbe::new(Some(missing)).is_err());
}

#[test]
fn each_gpu_is_sampled_under_its_uuid_and_what_it_lacks_has_a_reason() {
    let fake = FakeGpus::new();
    fake.set("mig1 1\npower_mw1 0\n");
    let samples = GpuProbe::new(Some(fake.library())).unwrap().sample(&|| Nanos(9));
    assert_eq!(samples[0].source, TelemetrySource::Gpu("GPU-fake-0".to_owned()));
    let expected = [
        (Gauge::ClockMhz, 1_980.0),
        (Gauge::EnergyJ, 5_000.0),
        (Gauge::MemoryBytes, f64::from(500 << 20)),
        (Gauge::PowerW, 250.0),
        (Gauge::TemperatureC, 55.0),
        (Gauge::UtilisationPct, 87.0),
    ];
    assert_eq!(samples[0].values, expected.into());
    // The fake does not have this symbol, as an old driver would not.
    assert_eq!(samples[0].absent.keys().collect::<Vec<_>>(), [&Gauge::ThrottleReasons]);
    assert_eq!(samples[1].absent[&Gauge::PowerW], "power of 0 is not credible");
    assert!(samples[1].absent.contains_key(&Gauge::UtilisationPct), "{:?}", samples[1]);
    assert!(samples[1].values.contains_key(&Gauge::EnergyJ));
}

#[test]
fn an_energy_counter_that_goes_back_is_left_out_once() {
    let fake = FakeGpus::new();
    let mut probe = GpuProbe::new(Some(fake.library())).unwrap();
    probe.sample(&|| Nanos(1));
    fake.set("energy_mj0 1000\n");
    let sample = &probe.sample(&|| Nanos(2))[0];
    assert_eq!(sample.absent[&Gauge::EnergyJ], "the counter went back from 5000 J to 1 J");
    assert!(probe.sample(&|| Nanos(3))[0].values.contains_key(&Gauge::EnergyJ));
}

#[test]
fn a_lost_gpu_makes_gaps_with_a_reason_and_no_zeros() {
    let fake = FakeGpus::new();
    let mut probe = GpuProbe::new(Some(fake.library())).unwrap();
    assert!(!probe.sample(&|| Nanos(1))[0].values.is_empty());
    fake.set("lost0 1\n");
    for at in 2..4 {
        let samples = probe.sample(&|| Nanos(at));
        assert_eq!(samples.len(), 2);
        assert!(samples.iter().all(|sample| sample.values.is_empty()));
        assert!(samples[0].absent.contains_key(&Gauge::PowerW));
    }
}

#[test]
fn memory_that_does_not_come_back_is_told_by_device() {
    let fake = FakeGpus::new();
    let library = fake.library();
    let baseline = survey_with(Some(&library)).unwrap().memory_used_bytes;
    fake.set("used_mib1 700\n");
    let left = wait_for_memory(Some(&library), &baseline, Duration::ZERO, &|| false);
    assert_eq!(left, [("GPU-fake-1".to_owned(), 200 << 20)].into());
    fake.set("used_mib1 510\n");
    let left = wait_for_memory(Some(&library), &baseline, Duration::from_mins(1), &|| false);
    assert!(left.is_empty());
}

/// A scenario of the simulated engine, run by the program with the fake library.
struct GpuRun {
    home: tempfile::TempDir,
    command: Command,
}

impl GpuRun {
    fn new(fake: &FakeGpus, engine: &str) -> Self {
        Self::with_load(fake, engine, "requests = 40")
    }

    fn with_load(fake: &FakeGpus, engine: &str, load: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let scenario = home.path().join("scenario.toml");
        let text = format!(
            "title = \"GPUs\"\n[engine.sim]\n{engine}\n[dataset.d]\nsource = \"jsonl\"\n\
             location = \"./questions.jsonl\"\ncycle = true\n[request]\nmax-tokens = 8\n\
             [phase.load]\nconcurrency = 2\n{load}\n"
        );
        fs::write(&scenario, text).unwrap();
        fs::write(home.path().join("questions.jsonl"), "{\"prompt\": \"1 + 1?\"}\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        command
            .args(["run", "--quiet", "--fail-on", "failed", "--out"])
            .arg(home.path().join("run"))
            .arg(&scenario)
            .env("HOME", home.path())
            .env("BENCH_NVML_LIBRARY", fake.library());
        Self { home, command }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join("run").join(name)).unwrap_or_default()
    }
}

#[test]
fn every_gpu_is_in_the_records_of_a_run_and_in_its_report() {
    let fake = FakeGpus::new();
    fake.set("process1 4242\n");
    let mut run = GpuRun::new(&fake, "itl = \"20ms\"");
    let output = run.command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples = run.read("cells/engine=sim/trial-1/telemetry.jsonl");
    for gpu in ["GPU-fake-0", "GPU-fake-1"] {
        let sample = samples.lines().find(|line| line.contains(gpu)).expect("a sample of each GPU");
        for name in ["power_w", "energy_j", "memory_bytes", "utilisation_pct", "temperature_c"] {
            assert!(sample.contains(name), "{gpu} has no {name}: {sample}");
        }
    }
    let report = run.read("report.html");
    for told in ["Fake H100", "utilisation", "power", "temperature", "memory", "pid 4242"] {
        assert!(report.contains(told), "`{told}` is not in the report:\n{report}");
    }
}

#[test]
fn a_library_that_hangs_in_the_load_ends_neither_the_trial_nor_the_truth_about_its_samples() {
    let fake = FakeGpus::new();
    fake.set("watts0 250\nwatts1 250\n");
    let mut run = GpuRun::with_load(&fake, "itl = \"20ms\"", "duration = \"3s\"\ndrain = \"2s\"");
    let mut child = run.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_loading = || run.read("events.jsonl").contains("phase-started");
    assert!(wait_for(Duration::from_secs(30), is_loading));
    std::thread::sleep(Duration::from_millis(500));
    fake.set("watts0 250\nwatts1 250\nhang0 3000\n");
    let has_ended = || child.try_wait().unwrap().is_some();
    let is_over = wait_for(Duration::from_secs(10), has_ended);
    if !is_over {
        child.kill().unwrap();
    }
    assert!(is_over, "the run still hangs:\n{}", run.read("events.jsonl"));
    assert!(child.wait().unwrap().success());
    let trial = run.read("cells/engine=sim/trial-1/trial.json");
    assert!(trial.contains(r#""probe":"gpus""#) && trial.contains(r#""is_gone":true"#), "{trial}");
    let report = run.read("report.md");
    let told = "the GPUs' probe missed ";
    assert!(report.contains(told) && report.contains("did not come back in 1 trial"), "{report}");
    assert!(!report.contains("samples cover 100 %"), "{report}");
}

#[test]
fn a_library_that_hangs_from_the_start_leaves_no_engine_idle() {
    let fake = FakeGpus::new();
    fake.set("hang0 3000\n");
    let mut run = GpuRun::with_load(&fake, "itl = \"20ms\"", "requests = 40");
    let output = run.command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let at = |event: &str| -> u64 {
        let events = run.read("events.jsonl");
        let line = events.lines().find(|line| line.contains(event)).expect(event).to_owned();
        let from = line.find("\"unix_ns\":").unwrap() + 10;
        let digits = line[from..].chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().unwrap()
    };
    let idle = Duration::from_nanos(at("phase-started") - at("engine-ready"));
    assert!(idle < Duration::from_secs(5), "the engine waited {idle:?} for the library");
    assert!(run.read("report.md").contains("the GPUs' probe did not come back in 1 trial"));
}

#[test]
fn an_energy_counter_that_stands_still_is_no_energy_of_zero() {
    let fake = FakeGpus::new();
    let mut run = GpuRun::with_load(&fake, "itl = \"20ms\"", "duration = \"3s\"\ndrain = \"2s\"");
    let output = run.command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_str(&run.read("summary.json")).unwrap();
    let power = &summary["cells"][0]["figures"]["power_mean"];
    let watts = power["value"].as_f64().unwrap();
    assert!((watts - 500.0).abs() < 1.0, "two GPUs of 250 W used {watts} W");
    assert!(
        run.read("report.md").contains("energy counter stood still"),
        "{}",
        run.read("report.md")
    );
}

#[test]
fn memory_is_waited_for_after_a_start_that_failed_too() {
    let fake = FakeGpus::new();
    // It never listens, takes memory, and dies; the driver gives the memory back later.
    let engine = "extra-args = [\"--listen-delay\", \"60min\", \"--exit-after\", \"2s\"]";
    let mut run = GpuRun::new(&fake, engine);
    let mut child = run.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_started = || run.read("events.jsonl").contains("engine-starting");
    assert!(wait_for(Duration::from_secs(30), is_started));
    fake.set("used_mib0 900\n");
    let is_failed = || run.read("events.jsonl").contains("engine-failed");
    assert!(!wait_for(Duration::from_secs(5), is_failed), "the memory was not waited for");
    fake.set("used_mib0 500\n");
    assert!(wait_for(Duration::from_secs(30), is_failed));
    child.wait().unwrap();
    assert!(!run.read("events.jsonl").contains("did not come back"));
}

#[test]
fn memory_of_gpus_that_are_left_to_others_is_not_waited_for() {
    let fake = FakeGpus::new();
    let engine = "ready-timeout = \"2s\"\nextra-args = [\"--listen-delay\", \"60min\"]";
    let mut run = GpuRun::new(&fake, engine);
    run.command.env("BENCH_OWN_GPUS", "GPU-fake-1");
    let mut child = run.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_started = || run.read("events.jsonl").contains("engine-starting");
    assert!(wait_for(Duration::from_secs(30), is_started));
    fake.set("used_mib0 900\n");
    let is_failed = || run.read("events.jsonl").contains("engine-failed");
    assert!(wait_for(Duration::from_secs(30), is_failed), "the other's memory was waited for");
    child.wait().unwrap();
}
