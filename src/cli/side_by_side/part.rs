//! A share that is measured by a process of its own.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::args::{EndArgs, ProgressAs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::shares::progress::{SharedRun, n_over};
use crate::cli::side_by_side::told;
use crate::engine::interrupt::Interrupt;
use crate::engine::process::own_pid;
use crate::engine::start::this_program;
use crate::plan::share::Share;
use crate::store::lock::RunLock;
use crate::store::run_dir::RunDir;
use crate::telemetry::gpu::{OWN_GPUS_ENV, VISIBLE_ENV, VisibleGpu};

/// How often it is told how far a share is: its events are read beside the load of others.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A share and the process that measures it. It is killed with this one.
pub(super) struct Part<'a> {
    /// Number of the share.
    pub(super) share: usize,
    of: &'a Share,
    dir: RunDir,
    /// Engines and GPUs, in words.
    name: String,
    child: Child,
    /// What it says to people, where that is not told at once.
    said: Option<File>,
    status: Option<ExitStatus>,
    /// Signals that were passed on.
    n_signals: u32,
    is_quiet: bool,
    /// Cells that are over, and the length of the events that say so.
    told: Option<(usize, u64)>,
    /// When they were looked at.
    looked: Option<Instant>,
}

impl<'a> Part<'a> {
    /// Starts the process, which sees these GPUs alone. Without any it sees what this one does.
    pub(super) fn start(
        number: usize,
        run: &SharedRun,
        share: &'a Share,
        gpus: &[&VisibleGpu],
        ends: &EndArgs,
    ) -> Result<Self, Failure> {
        let name = format!("{} on {}", share.engines.join(" + "), told(gpus));
        let is_json = ends.told_as() == Some(ProgressAs::Json);
        let failed = |source: std::io::Error| {
            Failure::new(
                Exit::SystemLimit,
                format!("failed to start a process for {name}: {source}"),
            )
            .help("see `bench doctor` for this machine's limits; `bench resume` goes on")
        };
        let said = if is_json { None } else { Some(tempfile::tempfile().map_err(failed)?) };
        let mut command = Command::new(this_program());
        command
            .arg0("bench")
            .arg("resume")
            .arg(run.place(share))
            .args(["--with-parent", &own_pid().to_string()])
            .args(if is_json { &["--progress", "json"][..] } else { &["--quiet"] })
            .args(ends.strict.then_some("--strict"))
            .envs(seen(gpus))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A terminal's Ctrl-C is for this process, which passes it on.
            .process_group(0);
        for kind in &ends.fail_on {
            let word = kind.to_possible_value().expect("every kind has its word");
            command.args(["--fail-on", word.get_name()]);
        }
        if let Some(said) = &said {
            command.stderr(said.try_clone().map_err(failed)?);
        }
        let child = command.spawn().map_err(failed)?;
        Ok(Self {
            share: number,
            of: share,
            dir: RunDir::at(run.place(share)),
            name,
            child,
            said,
            status: None,
            n_signals: 0,
            is_quiet: ends.quiet || is_json,
            told: None,
            looked: None,
        })
    }

    /// Passes the user's signals on, each once.
    pub(super) fn pass_on(&mut self, interrupt: &Interrupt) {
        let Some(signal) = interrupt.signal().and_then(|it| Signal::try_from(it).ok()) else {
            return;
        };
        if self.n_signals < interrupt.count() {
            self.n_signals += 1;
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
        }
    }

    /// Tells how many cells are over, where that has changed, once a second at most.
    pub(super) fn tell_progress(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= TELL_EVERY) {
            self.look();
        }
    }

    fn look(&mut self) {
        self.looked = Some(Instant::now());
        let length = std::fs::metadata(self.dir.events()).map_or(0, |it| it.len());
        if self.is_quiet || self.told.is_some_and(|(_, known)| known == length) {
            return;
        }
        // What cannot be read now is read the next time, or by the report.
        let Ok(n_over) = n_over(&self.dir) else { return };
        if self.told.is_none_or(|(known, _)| known != n_over) {
            let n_cells = self.of.plan.cells.len();
            output::message(&format!("  {}: {n_over} of {n_cells} cells", self.name));
        }
        self.told = Some((n_over, length));
    }

    /// Whether the process has ended, and its engine: the guardian of one that was killed keeps the
    /// lock until then.
    pub(super) fn has_ended(&mut self) -> bool {
        if let Ok(Some(status)) = self.child.try_wait() {
            self.status = Some(status);
        }
        self.status.is_some() && !RunLock::is_held(&self.dir)
    }

    /// Returns how the process ended, with what it said where it could not do its work. What became
    /// of its cells is for the report to say.
    pub(super) fn end(mut self, is_ending: bool) -> Exit {
        self.look();
        let status = self.status.unwrap_or_default();
        let Some(code) = status.code() else {
            let signal = status.signal().and_then(|it| Signal::try_from(it).ok());
            let signal = signal.map_or("a signal", Signal::as_str);
            if !is_ending {
                output::message(&format!(
                    "error: {}: its process was ended by {signal}",
                    self.name
                ));
            }
            return Exit::Ok;
        };
        let is_of_results = matches!(code, 0 | 100..=104) || is_ending && code > 128;
        if is_of_results {
            return Exit::Ok;
        }
        if let Some(mut said) = self.said {
            let mut text = String::new();
            // What cannot be read is not told.
            let _ = said.rewind().and_then(|()| said.read_to_string(&mut text));
            output::message(&format!(
                "error: {} ended with exit code {code}\n{}",
                self.name,
                text.trim_end()
            ));
        }
        let known = Exit::ALL.iter().find(|exit| i32::from(exit.code()) == code);
        known.copied().unwrap_or(Exit::Internal)
    }
}

/// Returns the variables by which a process sees these GPUs alone.
fn seen(gpus: &[&VisibleGpu]) -> Vec<(&'static str, String)> {
    if gpus.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    let mut seen = vec![(VISIBLE_ENV, names.join(","))];
    if std::env::var_os(VISIBLE_ENV).is_none() {
        // The numbers are the driver's, and CUDA's own order is by speed.
        seen.push(("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned()));
    }
    let uuids: Option<Vec<&str>> = gpus.iter().map(|gpu| gpu.uuid.as_deref()).collect();
    seen.extend(uuids.map(|uuids| (OWN_GPUS_ENV, uuids.join(","))));
    seen
}
