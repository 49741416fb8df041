//! The commands of Slurm, each with a bound on its time.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::slurm::answer::{
    SACCT_FORMAT, SQUEUE_FORMAT, Task, has_no_cluster, is_out_of_reach, job_id, of_sacct, of_squeue,
};

/// Time that a command of Slurm gets. It waits for a busy controller by itself for some ten
/// seconds, and tries a few times.
const LIMIT: Duration = Duration::from_mins(2);

/// The end of a command.
struct Ended {
    ok: bool,
    stdout: String,
    stderr: String,
}

/// Why `sbatch` has submitted nothing, as far as it knows.
pub(super) enum NotSubmitted {
    /// It says no.
    Refused(Failure),
    /// Slurm was not to be reached, or answered too late: the job may be there.
    Unknown(Failure),
}

/// Submits a script; returns the id of its job.
pub(super) fn sbatch(script: &Path) -> Result<u64, NotSubmitted> {
    let path = script.display().to_string();
    let ended = run("sbatch", &["--parsable", &path], AGAIN).map_err(NotSubmitted::Refused)?;
    let told = ended.stderr.trim();
    if ended.ok
        && let Some(id) = job_id(&ended.stdout)
    {
        return Ok(id);
    }
    if ended.ok {
        let message = format!("sbatch gave no job id, but {:?}", ended.stdout.trim());
        return Err(NotSubmitted::Unknown(Failure::new(Exit::TryAgain, message).help(AGAIN)));
    }
    if has_no_cluster(told) {
        let message = format!("sbatch knows no cluster:\n  {}", indented(told));
        let failure = Failure::new(Exit::Unavailable, message);
        return Err(NotSubmitted::Refused(failure.help(
            "go to a machine whose Slurm is configured (a login node), or name its configuration: \
             `SLURM_CONF=/etc/slurm/slurm.conf`",
        )));
    }
    if is_out_of_reach(told) {
        let message = format!("sbatch did not reach Slurm:\n  {}", indented(told));
        return Err(NotSubmitted::Unknown(Failure::new(Exit::TryAgain, message).help(AGAIN)));
    }
    let message = format!("Slurm refuses the job:\n  {}", indented(told));
    Err(NotSubmitted::Refused(Failure::new(Exit::Unavailable, message).help(format!(
        "mend [slurm] in the scenario, or `--slurm-set KEY=VALUE`; `sinfo` lists partitions, and the \
         script is {path}"
    ))))
}

/// What to do when it is not known whether a job was accepted.
const AGAIN: &str = "the same command again first looks whether the job was accepted, and submits \
                     nothing twice";

/// Returns all tasks of this user's arrays that Slurm's controller knows, those that ended a few
/// minutes ago included. Where it does not answer, `help` says what that means for the command.
pub(super) fn squeue(help: &str) -> Result<Vec<Task>, Failure> {
    let format = format!("--format={SQUEUE_FORMAT}");
    let ended = run("squeue", &["--noheader", "--array", "--states=all", "--me", &format], help)?;
    if ended.ok {
        return Ok(of_squeue(&ended.stdout));
    }
    let message = format!("Slurm does not say what runs:\n  {}", indented(ended.stderr.trim()));
    Err(Failure::new(Exit::TryAgain, message).help(help))
}

/// Has `sacct` tell each task of an array that waits.
const EACH_TASK: &str = "--array";

/// Returns the tasks of arrays by their accounts, or why there are none.
pub(super) fn sacct(names: &[String], since: &str) -> Result<Vec<Task>, String> {
    let (names, since) = (format!("--name={}", names.join(",")), format!("--starttime={since}"));
    let format = format!("--format={SACCT_FORMAT}");
    let args = ["--noheader", "--parsable2", "--allocations", &names, &since, &format];
    let ended = match run("sacct", &[&args[..], &[EACH_TASK]].concat(), AGAIN) {
        // Before 23.02 it tells each task that has begun, and knows no option for it.
        Ok(ended) if !ended.ok && ended.stderr.contains(EACH_TASK) => run("sacct", &args, AGAIN),
        ended => ended,
    };
    match ended {
        Ok(ended) if ended.ok => Ok(of_sacct(&ended.stdout)),
        Ok(ended) => Err(ended.stderr.lines().next().unwrap_or_default().trim().to_owned()),
        Err(_) => Err("sacct cannot be started".to_owned()),
    }
}

/// What the variables begin with that change what `squeue` and `sacct` answer.
const OF_ANSWERS: [&str; 2] = ["SQUEUE_", "SACCT_"];

fn run(program: &str, args: &[&str], help: &str) -> Result<Ended, Failure> {
    let mut command = duct::cmd(program, args);
    // They would filter and format what is asked for: a task that is not shown would be submitted
    // twice. Sources: squeue(1), sacct(1), "ENVIRONMENT VARIABLES".
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| OF_ANSWERS.iter().any(|prefix| name.starts_with(prefix))) {
        command = command.env_remove(name);
    }
    let started = command
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .start()
        .map_err(|source| not_started(program, &source))?;
    let failed = |why: String| Failure::new(Exit::TryAgain, why).help(help);
    let output = match started.wait_timeout(LIMIT) {
        Ok(Some(output)) => output,
        Ok(None) => {
            drop(started.kill());
            return Err(failed(format!("{program} did not end within {} s", LIMIT.as_secs())));
        }
        Err(source) => return Err(failed(format!("failed to wait for {program}: {source}"))),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ended {
        ok: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

fn not_started(program: &str, source: &std::io::Error) -> Failure {
    if source.kind() == ErrorKind::NotFound {
        return Failure::new(Exit::Unavailable, format!("{program} is not on PATH")).help(
            "go to a machine that has Slurm's commands (a login node); `bench run S.toml --slurm \
             --dry-run` shows the scripts anywhere",
        );
    }
    Failure::new(Exit::Unavailable, format!("failed to start {program}: {source}"))
        .help("see whether it works by itself")
}

fn indented(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("\n  ")
}
