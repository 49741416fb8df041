//! Commands of Slurm that answer as real ones do on a bad day. No Slurm is needed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bed::{Bed, Ended, json};

/// A bed whose `PATH` begins with commands of its own.
struct Fakes {
    bed: Bed,
}

impl Fakes {
    fn new(commands: &[(&str, &str)]) -> Self {
        let bed = Bed::new();
        fs::create_dir(bed.path("bin")).unwrap();
        for (name, text) in commands {
            let path = bed.path(&format!("bin/{name}"));
            fs::write(&path, format!("#!/bin/bash\ncd \"${{0%/*}}\"\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { bed }
    }

    fn slurm(&self, args: &[&str]) -> Ended {
        let mut all = vec!["run", "s.toml", "--slurm", "--out", "run"];
        all.extend(args);
        let mut command = self.bed.command(&all);
        // No real one behind them.
        command.env("PATH", format!("{}:/nowhere", self.bed.path("bin").display()));
        command.env("SECRET_KEY", "sk-canary-0123456789").env("SQUEUE_PARTITION", "elsewhere");
        Ended::of(&command.output().unwrap())
    }

    fn status(&self, more: &[&str]) -> Ended {
        let mut command = self.bed.command(&[&["status", "run"], more].concat());
        command.env("SQUEUE_PARTITION", "elsewhere");
        command.env("PATH", format!("{}:/nowhere", self.bed.path("bin").display()));
        Ended::of(&command.output().unwrap())
    }

    fn n_sbatch(&self) -> usize {
        let log = fs::read_to_string(self.bed.path("bin/sbatch.log")).unwrap_or_default();
        log.lines().count()
    }
}

const ACCEPTS: &str = "/bin/echo x >> sbatch.log; echo 7";
/// Lists the job of the last script that `sbatch` was given, as if it had been accepted; nothing of a
/// partition that somebody asks for by the variable that a real one reads.
const LISTS: &str = "[ -e accepted ] && [ -z \"$SQUEUE_PARTITION\" ] || exit 0
name=$(/bin/sed -n 's/^#SBATCH --job-name=//p' \"$(/bin/cat accepted)\")
for n in 0 1; do echo \"7|$n|PENDING|N/A|N/A||Priority|$name|(null)\"; done";

#[test]
fn a_machine_without_slurm_shows_scripts_and_says_where_to_submit() {
    let fakes = Fakes::new(&[]);
    let shown = fakes.slurm(&["--dry-run"]).expect(0);
    assert!(shown.out.contains("#SBATCH --array=0-1\n"), "{}", shown.out);
    assert!(shown.out.contains("WOULD SUBMIT      2 engine starts, 4 cells: fast (2 cells); slow"));
    assert!(!fakes.bed.path("run").exists(), "a dry run makes nothing");
    fakes.slurm(&[]).expect(69).says("sbatch is not on PATH").says("login node");
    let lost = "echo 'sbatch: fatal: Could not establish a configuration source' >&2; exit 1";
    let told = Fakes::new(&[("sbatch", lost), ("squeue", "")]).slurm(&[]).expect(69);
    told.says("sbatch knows no cluster").says("login node").says("SLURM_CONF");
    assert!(!told.err.contains("mend [slurm]"), "{}", told.err);
}

#[test]
fn what_was_accepted_although_the_answer_got_lost_is_not_submitted_twice() {
    let lost = "echo x >> sbatch.log; echo \"$2\" > accepted
        echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
        exit 1";
    let fakes = Fakes::new(&[("sbatch", lost), ("squeue", LISTS)]);
    fakes.slurm(&[]).expect(0).says("submitted 2 tasks as job 7");
    let again = fakes.slurm(&[]).expect(0);
    assert!(again.out.contains("SKIPPED running   2 engine starts"), "{}", again.out);
    assert_eq!(fakes.n_sbatch(), 1);
}

#[test]
fn while_it_is_not_known_whether_it_was_accepted_nothing_is_submitted() {
    let gone = "echo x >> sbatch.log; echo \"$2\" > accepted
        echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1";
    let squeue = format!(
        "[ -e up ] || {{ echo 'slurm_load_jobs error: Unable to contact slurm \
                          controller (connect failure)' >&2; exit 1; }}\n{LISTS}"
    );
    let fakes = Fakes::new(&[("sbatch", gone), ("squeue", &squeue)]);
    fakes.slurm(&[]).expect(75).says("Unable to contact slurm controller").says("twice");
    fakes.slurm(&[]).expect(75).says("Slurm does not say what runs").says("nothing was submitted");
    assert_eq!(fakes.n_sbatch(), 1);
    // The controller is back, and had taken it.
    fs::write(fakes.bed.path("bin/up"), "").unwrap();
    let again = fakes.slurm(&[]).expect(0);
    assert!(again.out.contains("SKIPPED running"), "{}", again.out);
    assert_eq!(fakes.n_sbatch(), 1);
    // It had not: then it is submitted, once.
    fs::remove_file(fakes.bed.path("bin/accepted")).unwrap();
    fs::write(fakes.bed.path("bin/sbatch"), format!("#!/bin/bash\ncd \"${{0%/*}}\"\n{ACCEPTS}"))
        .unwrap();
    fakes.slurm(&[]).expect(0).says("submitted 2 tasks");
    assert_eq!(fakes.n_sbatch(), 2);
}

#[test]
fn a_refusal_is_told_in_the_words_of_slurm_and_can_be_mended() {
    let strict = "if /bin/grep -q partition=nope \"$2\"; then
        echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1; fi
        echo x >> sbatch.log; echo '7;cluster'";
    let fakes = Fakes::new(&[("sbatch", strict), ("squeue", "")]);
    let refused = fakes.slurm(&["--slurm-set", "partition=nope"]).expect(69);
    refused.says("invalid partition specified: nope").says("--slurm-set").says("sinfo");
    fakes.slurm(&[]).expect(0).says("submitted 2 tasks as job 7");
}

#[test]
fn an_answer_without_a_job_id_is_no_success() {
    let fakes = Fakes::new(&[("sbatch", "echo 'Submitted batch job'"), ("squeue", "")]);
    fakes.slurm(&[]).expect(75).says("sbatch gave no job id, but \"Submitted batch job\"");
}

#[test]
fn a_changed_scenario_is_told_field_by_field_and_applied_to_what_was_submitted() {
    let fakes = Fakes::new(&[("sbatch", ACCEPTS), ("squeue", "")]);
    fakes.slurm(&[]).expect(0);
    let plan = || json(&fakes.bed.path("run/plan.json"));
    let jobs = || fs::read_dir(fakes.bed.path("run/jobs")).unwrap().map(|it| it.unwrap().path());
    // Another title is one of the report alone, more trials are missing ones, more loads new cells.
    let wider = ["--set", "matrix.concurrency=[1,2,3]", "--set", "phase.load.trials=2"];
    let args = [&["--set", "title=\"Wider\""][..], &wider].concat();
    let shown = fakes.slurm(&[&args[..], &["--dry-run"]].concat()).expect(0);
    shown.says("title: Ends -> Wider (applied to all cells)").says("phase.load.trials: 1 -> 2");
    shown.says("begun anew: 2 cells (engine=fast,concurrency=3; engine=slow,concurrency=3)");
    assert!(shown.out.contains("WOULD SUBMIT      2 engine starts, 6 cells"), "{}", shown.out);
    assert_eq!(plan()["title"], "Ends", "a dry run changes nothing");
    let applied = fakes.slurm(&args).expect(0);
    applied.says("title: Ends -> Wider");
    assert!(applied.out.contains("SUBMITTING        2 engine starts, 6 cells"), "{}", applied.out);
    assert_eq!(plan()["title"], "Wider");
    for job in jobs() {
        let share = json(&job.join("plan.json"));
        assert_eq!(share["cells"].as_array().unwrap().len(), 3, "{share}");
        assert!(share["cells"].as_array().unwrap().iter().all(|cell| cell["n_trials"] == 2));
        // Nothing is measured yet, and nothing is missing.
        fakes.bed.bench(&["verify", job.to_str().unwrap()]).expect(0);
    }
    // The same again changes nothing and tells nothing.
    let again = fakes.slurm(&args).expect(0);
    assert!(!again.err.contains("has changed"), "{}", again.err);

    // Tasks measure a share here: its cells are kept, and what comes later follows.
    let fast = jobs()
        .find(|job| fs::read_to_string(job.join("plan.json")).unwrap().contains("engine=fast"));
    let fast = fast.unwrap();
    fakes.bed.bench(&["resume", fast.to_str().unwrap(), "--fail-on", "failed"]).expect(0);
    let args = [&["--set", "gate.must=[\"ttft.p50 < 0.01ms\"]"][..], &wider].concat();
    let gated = fakes.slurm(&args).expect(0);
    gated.says("gate.must: absent -> ").says("title: Wider -> Ends");
    assert!(gated.out.contains("SKIPPED complete  1 engine start, 3 cells: fast"), "{}", gated.out);
    let report = fakes.bed.bench(&["report", "run"]).expect(104);
    assert!(report.out.contains("Ends"), "{}", report.out);
    fakes.bed.bench(&["verify", "run"]).expect(0);
    fakes.bed.bench(&["verify", fast.to_str().unwrap()]).expect(0);

    // What would keep nothing is refused, as is one that would divide the cells otherwise.
    let other = fakes.slurm(&["--set", "request.max-tokens=5"]).expect(107);
    other.says("request.max-tokens: 4 -> 5").says("no cell of").says("bench resume");
    let order = [&["--set", "order=\"interleaved\""][..], &args].concat();
    fakes.slurm(&order).expect(107).says("by another process than the one that began");
}

#[test]
fn a_cell_whose_requests_failed_is_failed_to_the_status_and_to_a_retry() {
    let fakes = Fakes::new(&[("sbatch", ACCEPTS), ("squeue", "")]);
    let failing = "engine.fast.extra-args=[\"--fail-rate\",\"0.5\"]";
    let args = ["--only", "engine=fast,concurrency=1", "--set", failing];
    fakes.slurm(&args).expect(0);
    let job = fs::read_dir(fakes.bed.path("run/jobs")).unwrap().next().unwrap().unwrap().path();
    fakes.bed.bench(&["resume", job.to_str().unwrap()]).expect(100);
    let mut command = fakes.bed.command(&["status", "run"]);
    command.env("PATH", format!("{}:/nowhere", fakes.bed.path("bin").display()));
    let status = Ended::of(&command.output().unwrap()).expect(0).out;
    assert!(status.contains("0 of 1 cell complete, 1 failed"), "{status}");
    assert!(status.contains("of 8 requests failed"), "{status}");
    let again = fakes.slurm(&args).expect(0);
    assert!(again.out.contains("SKIPPED failed    1 engine start"), "{}", again.out);
    let again = fakes.slurm(&[&args[..], &["--retry", "failed"]].concat()).expect(0);
    assert!(again.out.contains("SUBMITTING        1 engine start"), "{}", again.out);
}

#[test]
fn a_controller_that_is_away_for_a_moment_leaves_the_state_unknown_and_a_watch_goes_on() {
    let squeue = format!(
        "echo x >> looks; case $(/usr/bin/wc -l < looks) in
        1|2) echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1;;
        [4-9]) exit 0;; esac
        {LISTS}"
    );
    let accepts = "echo \"$2\" > accepted; echo 7";
    let fakes = Fakes::new(&[("sbatch", accepts), ("squeue", &squeue)]);
    fakes.slurm(&[]).expect(0);
    let once = fakes.status(&[]).expect(75);
    once.says("Slurm does not say what runs").says("look again when `squeue` answers");
    assert!(!once.err.contains("submitted"), "{}", once.err);
    assert!(once.out.contains("unknown") && !once.out.contains("missing"), "{}", once.out);
    assert!(!once.out.contains("error"), "{}", once.out);
    let watched = fakes.status(&["--watch", "--every", "1"]).expect(0);
    watched.says("Slurm does not say what runs");
    let states = ["unknown", "waiting", "missing"].map(|state| watched.out.find(state));
    assert!(states.iter().all(Option::is_some) && states.is_sorted(), "{}", watched.out);
}

#[test]
fn a_task_that_completes_no_trial_before_its_limit_does_not_queue_itself_again() {
    let accepts = "echo \"$2\" > accepted; echo 7";
    let requeues = "echo \"$*\" >> scontrol.log";
    let fakes = Fakes::new(&[("sbatch", accepts), ("squeue", ""), ("scontrol", requeues)]);
    let long = ["--set", "engine.slow.itl=\"2s\"", "--only", "engine=slow,concurrency=1"];
    fakes.slurm(&long).expect(0);
    let script = fs::read_to_string(fakes.bed.path("bin/accepted")).unwrap();
    let task = fakes.bed.command(&["help"]);
    let mut command = std::process::Command::new("/bin/bash");
    command.args([script.trim()]).envs(task.get_envs().filter_map(|(k, v)| Some((k, v?))));
    command.env("SLURM_ARRAY_TASK_ID", "0").env("SLURM_ARRAY_JOB_ID", "7");
    command.env("PATH", format!("{}:/usr/bin:/bin", fakes.bed.path("bin").display()));
    command.current_dir(fakes.bed.path("")).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let job = fs::read_dir(fakes.bed.path("run/jobs")).unwrap().next().unwrap().unwrap().path();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !fs::read_to_string(job.join("events.jsonl")).is_ok_and(|it| it.contains("phase-started"))
    {
        assert!(Instant::now() < deadline, "no trial began within a minute");
        sleep(Duration::from_millis(50));
    }
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).unwrap();
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("no trial was completed before the time limit"), "{told}");
    assert!(!fakes.bed.path("bin/scontrol.log").exists(), "it was queued again");
    let status = fakes.status(&[]).expect(0).out;
    for part in ["ended by a signal before its first trial was complete", "--slurm-set time="] {
        assert!(status.contains(part), "{status}");
    }
}

#[test]
fn what_a_task_measures_is_not_changed_under_it() {
    let runs = LISTS.replace("PENDING", "RUNNING").replace("[ -e accepted ]", "[ -e runs ]");
    let accepts = "echo \"$2\" > accepted; [ ! -e runs ] || exit 1; echo 7";
    let fakes = Fakes::new(&[("sbatch", accepts), ("squeue", &runs)]);
    fakes.slurm(&[]).expect(0);
    fs::write(fakes.bed.path("bin/runs"), "").unwrap();
    let plan = fs::read(fakes.bed.path("run/plan.json")).unwrap();
    let refused = fakes.slurm(&["--set", "phase.load.trials=2"]).expect(75);
    refused.says("phase.load.trials: 1 -> 2").says("is being measured by task 7_0");
    assert_eq!(fs::read(fakes.bed.path("run/plan.json")).unwrap(), plan);
    // A title is none of its business.
    fakes.slurm(&["--set", "title=\"Other\""]).expect(0);
    assert_eq!(json(&fakes.bed.path("run/plan.json"))["title"], "Other");
}

#[test]
fn accounts_of_an_earlier_slurm_are_read() {
    let earlier =
        "case \"$*\" in *--array*) echo \"sacct: unrecognized option '--array'\" >&2; exit 1;; esac
        name=$(/bin/sed -n 's/^#SBATCH --job-name=//p' \"$(/bin/cat accepted)\")
        for n in 0 1; do echo \"7_$n|$name|OUT_OF_MEMORY|0:125|2026-12-01T00:00:00|node\"; done";
    let accepts = "echo \"$2\" > accepted; echo 7";
    let fakes = Fakes::new(&[("sbatch", accepts), ("squeue", ""), ("sacct", earlier)]);
    fakes.slurm(&[]).expect(0);
    let mut command = fakes.bed.command(&["status", "run"]);
    command.env("PATH", format!("{}:/nowhere", fakes.bed.path("bin").display()));
    let status = Ended::of(&command.output().unwrap()).expect(0);
    assert!(status.out.contains("OUT_OF_MEMORY"), "{}\n{}", status.out, status.err);
    assert!(!(status.out + &status.err).contains("keeps no accounts"));
}

#[test]
fn cells_of_another_run_are_taken_and_only_the_rest_is_submitted() {
    let fakes = Fakes::new(&[("sbatch", ACCEPTS), ("squeue", "")]);
    let bed = &fakes.bed;
    let measured = |run: &str, only: &str| {
        bed.run(&["--only", only, "--out", run]).expect(0);
    };
    measured("fast", "engine=fast");
    let reuse = ["--reuse", "fast"];
    let shown = fakes.slurm(&[&reuse[..], &["--dry-run"]].concat()).expect(0);
    shown.says("2 of 4 cells").says("  engine=fast,concurrency=2\n");
    assert!(shown.out.contains("WOULD SUBMIT      1 engine start, 2 cells: slow"), "{}", shown.out);
    assert!(shown.out.contains("SKIPPED complete  1 engine start, 2 cells: fast"), "{}", shown.out);
    assert!(!bed.path("run").exists(), "a dry run makes nothing");

    let begun = fakes.slurm(&reuse).expect(0);
    begun.says("2 of 4 cells").says("submitted 1 task as job 7");
    assert!(begun.out.contains("SUBMITTING        1 engine start, 2 cells: slow"), "{}", begun.out);
    let jobs: Vec<_> =
        fs::read_dir(bed.path("run/jobs")).unwrap().map(|it| it.unwrap().path()).collect();
    let is_slow = |job: &std::path::PathBuf| {
        fs::read_to_string(job.join("plan.json")).unwrap().contains("engine=slow")
    };
    let slow = jobs.iter().find(|job| is_slow(job)).unwrap();
    bed.bench(&["resume", slow.to_str().unwrap(), "--fail-on", "failed"]).expect(0);
    fakes.slurm(&reuse).expect(0).says("--reuse is for the begin of a run");
    bed.bench(&["report", "run"]).expect(0);
    bed.bench(&["verify", "run"]).expect(0);
    let (whole, before) = (bed.summary("run"), bed.summary("fast"));
    assert_eq!(whole["complete"], true);
    assert!(whole["cells"].as_array().unwrap().iter().all(|it| it["outcome"] == "complete"));
    for cell in before["cells"].as_array().unwrap() {
        let same = whole["cells"].as_array().unwrap().iter().find(|it| it["id"] == cell["id"]);
        assert_eq!(same.unwrap()["distributions"], cell["distributions"]);
    }
    let report = fs::read_to_string(bed.path("run/report.md")).unwrap();
    assert!(report.contains("2 cells were not measured now but taken from "), "{report}");
    fs::remove_dir_all(bed.path("fast")).unwrap();
    bed.bench(&["verify", "run"]).expect(0);

    // Of an engine that has measured one load, the other is submitted.
    measured("half", "concurrency=1");
    fs::rename(bed.path("run"), bed.path("earlier")).unwrap();
    let begun = fakes.slurm(&["--reuse", "half"]).expect(0);
    begun.says("2 of 4 cells").says("submitted 2 tasks");
    for job in fs::read_dir(bed.path("run/jobs")).unwrap().map(|it| it.unwrap().path()) {
        let job = job.to_str().unwrap();
        bed.bench(&["resume", job, "--fail-on", "failed"]).expect(0);
        assert_eq!(bed.n_trials_started(job), 1);
    }
    bed.bench(&["verify", "run"]).expect(0);
    // What is not over gives nothing, and nothing is made for it.
    let events = fs::read_to_string(bed.path("half/events.jsonl")).unwrap();
    let last = events.trim_end().rfind('\n').unwrap() + 1;
    fs::write(bed.path("half/events.jsonl"), &events[..last]).unwrap();
    fs::rename(bed.path("run"), bed.path("later")).unwrap();
    fakes.slurm(&["--reuse", "half"]).expect(75).says("is not over");
    assert!(!bed.path("run").exists());
}

#[test]
fn no_secret_is_in_what_is_written() {
    let fakes = Fakes::new(&[("sbatch", ACCEPTS), ("squeue", "")]);
    let key = "engine.fast.api-key-env=SECRET_KEY";
    fakes.slurm(&["--set", key, "--slurm-set", "export=[\"SECRET_KEY\"]"]).expect(0);
    let found = std::process::Command::new("grep")
        .args(["-r", "sk-canary"])
        .arg(fakes.bed.path("run"))
        .output()
        .unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    let mut scripts =
        fs::read_dir(fakes.bed.path("run/slurm")).unwrap().map(|it| it.unwrap().path());
    let script = scripts.find(|path| path.extension().is_some_and(|it| it == "sh")).unwrap();
    let text = fs::read_to_string(script).unwrap();
    assert!(text.contains("#SBATCH --export=HOME,PATH,USER,SECRET_KEY\n"), "{text}");
}
