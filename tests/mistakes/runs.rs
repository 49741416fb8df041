//! Run directories in every bad state, changed scenarios, templates of one's own, full disks,
//! gates without data.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Home, Told};
use crate::undecided;

/// A run of some hundred milliseconds.
const SIM: &str = "title = \"Small\"\n[engine.sim]\nttft = \"1ms\"\nitl = \"1ms\"\n\
    [matrix]\nconcurrency = [1, 2]\n[dataset.d]\nsource = \"random\"\ninput-words = 5\n\
    [request]\nmax-tokens = 4\n[phase.load]\nrequests = 8\n";

const RUN: [&str; 6] = ["run", "s.toml", "--fail-on", "failed", "--out", "run"];

fn measured() -> Home {
    let home = Home::of(SIM);
    home.bench(&RUN).ends_with(0);
    home
}

#[test]
fn a_template_with_an_undefined_variable_has_line_and_caret_and_changes_nothing() {
    let home = measured();
    let before = fs::read(home.path("run/report.md")).unwrap();
    for (text, said) in [
        ("# {{ title }}\n{{ titel }}\n", ["mine.md.j2:2", "titel"]),
        ("# {{ title }}\n{% for cell in cells %}\n", ["mine.md.j2", "for"]),
        ("{{ title | shout }}\n", ["mine.md.j2:1", "shout"]),
    ] {
        home.write("mine.md.j2", text);
        let told = home.bench(&["report", "run", "--template", "mine.md.j2"]);
        told.ends_with(65).says(&said).says(&["help: "]);
        assert_eq!(
            told.err.matches("error: ").count() - usize::from(told.err.contains("syntax error: ")),
            1,
            "{told}"
        );
        assert_eq!(fs::read(home.path("run/report.md")).unwrap(), before);
    }
    // A template has a format of its own.
    for flag in [&["--template", "mine.md.j2"][..], &["--print-view"]] {
        let told = home.bench(&[&["report", "run", "--format", "json"], flag].concat());
        told.ends_with(2).says(&["cannot be used with", flag[0]]);
    }
    home.write("mine.md.j2", "{{ titel }}\n");
    let told = home.bench(&["report", "run", "--template", "mine.md.j2"]);
    assert!(told.err.contains('^'), "{told}");
    told.says(&["`title`"]);
    // One beside the scenario is looked at before anything starts.
    home.write("s.toml", &format!("report = \"mine\"\n{SIM}"));
    for command in [&["check", "s.toml"][..], &["run", "s.toml", "--out", "other"]] {
        home.bench(command).says(&["mine.md.j2", "titel", "help: "]);
    }
    assert!(!home.path("other").exists(), "a run was begun");
}

#[test]
fn a_report_that_does_not_exist_is_told_with_those_that_do() {
    let told = Home::of(&format!("report = \"servin\"\n{SIM}")).check();
    told.ends_with(78).says(&["`servin`", "`serving`?", "s.toml:1:", "help: "]).has_errors(1);
}

#[test]
fn a_gate_without_data_is_not_decided_and_not_met() {
    let home = Home::of(SIM);
    let told = home.bench(&[&RUN[..], &["--fail-if", "ttft.p99 > 5s"]].concat());
    told.ends_with(0);
    let line = told.out.lines().find(|line| line.contains("TTFT p99 must not be > 5s"));
    let line = line.unwrap_or_else(|| panic!("{told}"));
    assert!(line.starts_with('?') && line.contains("n too small"), "{told}");
    let undecided = ["report", "run", "--fail-if", "ttft.p99 > 5s", "--undecided", "fail"];
    home.bench(&undecided).ends_with(104);
}

#[test]
fn a_directory_that_cannot_take_the_run_says_why_and_what_to_do() {
    let home = measured();
    home.bench(&RUN).ends_with(73).says(&["run already holds a run", "bench resume "]);
    home.write("other/notes.txt", "mine");
    let told = home.bench(&["run", "s.toml", "--out", "other"]);
    told.ends_with(73).says(&["other is not empty and is not a run directory", "help: "]);
    home.write("file", "");
    let told = home.bench(&["run", "s.toml", "--out", "file"]);
    told.ends_with(73).says(&["file", "help: "]);
    let told = home.bench(&["run", "s.toml", "--out", "/proc/run"]);
    told.ends_with(73).says(&["/proc/run", "help: ", "--out"]);
    for command in ["report", "verify", "resume", "decide"] {
        home.bench(&[command, "other"]).ends_with(66).says(&["other", "run.json", "help: "]);
        home.bench(&[command, "gone"]).ends_with(66).says(&["gone", "help: "]);
    }
}

#[test]
fn a_run_that_is_in_use_is_told_with_its_process() {
    let home = Home::of(&SIM.replace("requests = 8", "requests = 100000"));
    let mut running = home.command(&[&RUN[..], &["--quiet"]].concat()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !home.path("run/run.json").exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    let lock = fs::read_to_string(home.path("run/lock")).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let holder = format!("in use by process {} on ", lock["pid"]);
    // Each waits a while for the other to end.
    std::thread::scope(|scope| {
        for args in [&["resume", "run"][..], &["run", "s.toml", "--resume", "run"]] {
            scope.spawn(|| {
                home.bench(args).ends_with(75).says(&[&holder, "help: "]);
            });
        }
    });
    kill(Pid::from_raw(running.id().cast_signed()), Signal::SIGTERM).unwrap();
    running.wait().unwrap();
}

#[test]
fn a_run_of_a_newer_version_or_of_none_is_not_touched() {
    let home = measured();
    let manifest = home.path("run/run.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["format"] = 99.into();
    fs::write(&manifest, value.to_string()).unwrap();
    for command in [
        &["report", "run"][..],
        &["verify", "run"],
        &["resume", "run"],
        &["export", "run", "--format", "csv"],
    ] {
        let told = home.bench(command);
        told.ends_with(107).says(&["run has format 99", "formats up to", "bench_version"]);
    }
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    for command in ["report", "verify", "resume"] {
        home.bench(&[command, "run"]).ends_with(107).says(&["run.json", "help: "]);
    }
}

#[test]
fn a_directory_that_is_read_only_is_told_with_its_path() {
    let home = measured();
    // Permissions stop no root: a read-only file system does.
    let mount = "mkdir -p new && mount -t tmpfs tmpfs new && mount -o remount,ro new && \
                 mount --bind run run && mount -o remount,bind,ro run || exit 99";
    let Some(told) = in_a_name_space(&home, mount, &["report", "run"]) else { return };
    // What was measured can be read all the same.
    told.ends_with(0).says(&["run cannot be written: its files are as they were"]);
    let Some(told) = in_a_name_space(&home, mount, &["resume", "run", "--fail-on", "failed"])
    else {
        return;
    };
    told.ends_with(0)
        .says(&["2 of 2 cells kept", "run cannot be written: its files are as they were"]);
    let args = ["run", "s.toml", "--out", "new/run"];
    let Some(told) = in_a_name_space(&home, mount, &args) else { return };
    told.ends_with(73).says(&["new/run", "Read-only file system", "--out"]);
}

/// Runs the program beside file systems of its own; notes where that cannot be.
fn in_a_name_space(home: &Home, mount: &str, args: &[&str]) -> Option<Told> {
    let script = format!("{{ {mount}; }} && exec timeout 60 \"$0\" \"$@\"");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--map-root-user", "bash", "-c", &script]);
    home.settle(unshare.arg(env!("CARGO_BIN_EXE_bench")).args(args));
    let told = match unshare.output() {
        Ok(output) => Told::of(args, &output),
        Err(error) => {
            undecided::note(&format!("skipped: file systems of its own: unshare: {error}"));
            return None;
        }
    };
    if told.code == Some(99) || told.err.contains("unshare failed") {
        undecided::note(&format!("skipped: file systems of its own: {}", told.err.trim()));
        return None;
    }
    Some(told)
}

#[test]
fn a_changed_scenario_is_told_field_by_field_with_what_it_means() {
    let home = measured();
    home.write("s.toml", &SIM.replace("\"Small\"", "\"Other\"").replace("[1, 2]", "[1, 2, 3]"));
    let told = home.bench(&["run", "s.toml", "--fail-on", "failed", "--resume", "run"]);
    told.ends_with(0).says(&["title: Small -> Other", "matrix.concurrency", "2 of 3 cells kept"]);
    home.write("s.toml", &SIM.replace("itl = \"1ms\"", "itl = \"2ms\""));
    let told = home.bench(&["run", "s.toml", "--resume", "run"]);
    told.ends_with(107).says(&["engine.sim.itl: 1ms -> 2ms", "bench resume ", "help: "]);
}

#[test]
fn a_full_disk_before_a_run_is_told_with_74_or_73_and_nothing_is_started() {
    let home = Home::of(SIM);
    let mount = "mkdir small && mount -t tmpfs -o size=4k,nr_inodes=4 tmpfs small || exit 99; \
                 dd if=/dev/zero of=small/full bs=4k count=1 2> /dev/null";
    let args = ["run", "s.toml", "--out", "small/run"];
    let Some(told) = in_a_name_space(&home, mount, &args) else { return };
    assert!(matches!(told.code, Some(73 | 74)), "{told}");
    told.says(&["No space left on device", "help: "]).says_not("starting sim");
}

#[test]
fn what_is_not_utf8_is_told_and_a_variable_of_others_does_no_harm() {
    let home = Home::new();
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let args = ["check", "s.toml"];
    let output = home.command(&args).env("X", odd).env("TMPDIR", odd).output().unwrap();
    Told::of(&args, &output).ends_with(0);
    let output = home.command(&args).env("BENCH_SEED", odd).output().unwrap();
    Told::of(&args, &output).ends_with(78).says(&["`seed`", "BENCH_SEED:1"]);
    let args = ["run", "s.toml", "--out"];
    let output = home.command(&args).arg(odd).output().unwrap();
    Told::of(&args, &output).ends_with(2).says(&["is not UTF-8"]).has_way_out();
    let folder = home.path("").join(odd);
    fs::create_dir(&folder).unwrap();
    let args = ["run", "../s.toml"];
    let output = home.command(&args).current_dir(&folder).output().unwrap();
    Told::of(&args, &output).ends_with(2).says(&["is not UTF-8"]).has_way_out();
}
