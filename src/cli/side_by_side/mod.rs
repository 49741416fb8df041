//! `parallel = "by-gpu"`: engines that need different GPUs, side by side on this machine.
//!
//! Each share of the plan is measured by a process of this program into a directory of its own, as
//! `bench resume` of that directory would; this process gives out the GPUs and makes one run of
//! the directories.

mod part;

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::analysis::run::RunAnalysis;
use crate::cli::args::{Colour, EndArgs, ProgressAs, Retry};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::reuse::Source;
use crate::cli::run::{self, Begin};
use crate::cli::scenario_file::Planned;
use crate::cli::shares::changed::Changed;
use crate::cli::shares::places::{self, NewShared};
use crate::cli::shares::progress::{By, CellState, ShareProgress, SharedRun};
use crate::cli::shares::reused;
use crate::cli::side_by_side::part::Part;
use crate::cli::signals::LastWords;
use crate::cli::{gate_flags, killed_session, output, retry, typed};
use crate::engine::interrupt::Interrupt;
use crate::plan::share::{Share, shares};
use crate::plan::{Plan, TrialOrder};
use crate::report::number::counted;
use crate::run::devices::{Devices, Need};
use crate::store::gather::gather;
use crate::store::lock::RunLock;
use crate::store::reader::RunReader;
use crate::store::run_dir::RunDir;
use crate::telemetry::gpu::{self, VISIBLE_ENV, VisibleGpu};

/// How often the processes are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Carries out the plan of a scenario: side by side where it asks for that and this machine has
/// the GPUs, else in this process, one engine after the other.
pub(crate) fn carry_out(
    mut planned: Planned,
    path: &Path,
    begin: Begin<'_>,
    ends: &EndArgs,
    colour: Colour,
) -> Result<(Exit, RunAnalysis), Failure> {
    if let Begin::GoOn(dir, kinds) = begin
        && let Some(run) = open(dir)?
    {
        gate_flags::add(&mut planned.plan, &ends.gates, Some(dir))?;
        run::warn(&planned, colour);
        let is_quiet = ends.quiet || ends.progress == ProgressAs::Json;
        if let Some(changed) = Changed::of(&run, planned, path, is_quiet)? {
            changed.apply(&run)?;
        }
        return go_on(run.dir.path(), kinds, ends, colour);
    }
    if planned.plan.parallel.is_some() {
        let (out, reused) = match begin {
            Begin::New(out) => (Some(out), None),
            Begin::Reusing(out, from) => (Some(out), Some(from)),
            Begin::GoOn(..) => (None, None),
        };
        let why = match (out, together(&planned.plan)) {
            (None, _) => "the run was begun so".to_owned(),
            (Some(_), Err(why)) => why,
            (Some(out), Ok(_)) => return begin_new(planned, path, (out, reused), ends, colour),
        };
        output::message(&format!("note: engines run one after the other: {why}"));
    }
    run::carry_out(planned, path, begin, ends, colour)
}

/// Goes on with a run that was begun side by side; `None` where it was not.
pub(crate) fn resume(
    dir: &Path,
    kinds: &[Retry],
    ends: &EndArgs,
    colour: Colour,
) -> Result<Option<Exit>, Failure> {
    if open(dir)?.is_none() {
        return Ok(None);
    }
    go_on(dir, kinds, ends, colour).map(|(exit, _)| Some(exit))
}

/// Returns what a plan and this machine come to: who runs beside whom, or why nobody does. Empty
/// for a plan that does not ask for it.
pub(crate) fn lines(plan: &Plan) -> String {
    if plan.parallel.is_none() {
        return String::new();
    }
    let gpus = match together(plan) {
        Err(why) => return format!("one after the other: {why}\n"),
        Ok(gpus) => gpus,
    };
    let shares = shares(plan);
    let mut devices = Devices::new(gpus.len(), needs(&shares));
    let n_at_once = std::iter::from_fn(|| devices.begin()).count();
    let fits = |share: &&Share| is_given_gpus(share, gpus.len());
    let (beside, alone): (Vec<&Share>, Vec<&Share>) = shares.iter().partition(fits);
    let names = |shares: &[&Share]| {
        shares.iter().map(|share| share.engines.join(" + ")).collect::<Vec<_>>().join("; ")
    };
    let mut text = format!(
        "side by side: {} on {}, at most {n_at_once} at once: {}\n",
        counted(beside.len() as u64, "engine start"),
        told(&gpus.iter().collect::<Vec<_>>()),
        names(&beside)
    );
    if !alone.is_empty() {
        let _ = writeln!(text, "alone, behind them: {}", names(&alone));
    }
    text
}

fn open(dir: &Path) -> Result<Option<SharedRun>, Failure> {
    Ok(SharedRun::open(dir)?.filter(|run| run.by == By::SideBySide))
}

/// Returns the GPUs on which engines of a plan can run side by side.
///
/// # Errors
/// Why they cannot, in words.
fn together(plan: &Plan) -> Result<Vec<VisibleGpu>, String> {
    let shares = shares(plan);
    if plan.order == TrialOrder::Interleaved && plan.launches.len() > 1 {
        return Err("with `order = \"interleaved\"` they alternate".to_owned());
    }
    if shares.len() < 2 {
        return Err("the plan starts one engine".to_owned());
    }
    let gpus = gpu::visible().map_err(|why| format!("no GPU can be seen ({why})"))?;
    if gpus.len() < 2 {
        return Err(format!("{} can be seen", counted(gpus.len() as u64, "GPU")));
    }
    if shares.iter().filter(|share| is_given_gpus(share, gpus.len())).count() < 2 {
        let n_gpus = gpus.len();
        return Err(format!("fewer than two of them can be given GPUs of the {n_gpus} here"));
    }
    Ok(gpus)
}

/// Returns what a share needs. An engine whose environment names its GPUs itself is given none.
fn need(share: &Share) -> Need {
    let names_gpus = share.plan.launches.values().any(|it| it.env.contains_key(VISIBLE_ENV));
    match share.n_gpus {
        n_gpus if n_gpus > 0 && !names_gpus => Need::Gpus(n_gpus as usize),
        _ => Need::Machine,
    }
}

fn needs(shares: &[Share]) -> impl Iterator<Item = (usize, Need)> {
    shares.iter().map(need).enumerate()
}

fn is_given_gpus(share: &Share, n_gpus: usize) -> bool {
    matches!(need(share), Need::Gpus(n) if n <= n_gpus)
}

/// Returns GPUs as people know them: `GPU 0`, `2 GPUs (0, 1)`.
fn told(gpus: &[&VisibleGpu]) -> String {
    let names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    match names.as_slice() {
        [] => "this machine, alone".to_owned(),
        [one] => format!("GPU {one}"),
        all => format!("{} GPUs ({})", all.len(), all.join(", ")),
    }
}

fn begin_new(
    mut planned: Planned,
    path: &Path,
    (out, from): (Option<&Path>, Option<&Path>),
    ends: &EndArgs,
    colour: Colour,
) -> Result<(Exit, RunAnalysis), Failure> {
    gate_flags::add(&mut planned.plan, &ends.gates, None)?;
    run::warn(&planned, colour);
    let watched = Watched::new(ends)?;
    let told = lines(&planned.plan);
    let is_quiet = ends.quiet || ends.progress == ProgressAs::Json;
    let source = from.map(Source::open).transpose()?;
    let new = NewShared::prepare(planned, path, is_quiet, By::SideBySide, from)?;
    let dir = new.create(out)?;
    if let (Some(source), Some(run)) = (&source, open(&dir)?) {
        reused::take(source, &new, &run)?;
    }
    if !is_quiet {
        output::message(told.trim_end());
    }
    measure(&dir, &[], ends, colour, &watched)
}

fn go_on(
    dir: &Path,
    kinds: &[Retry],
    ends: &EndArgs,
    colour: Colour,
) -> Result<(Exit, RunAnalysis), Failure> {
    measure(&typed::absolute(dir), kinds, ends, colour, &Watched::new(ends)?)
}

/// The user's signals.
struct Watched {
    interrupt: Interrupt,
    last_words: LastWords,
}

impl Watched {
    fn new(ends: &EndArgs) -> Result<Self, Failure> {
        if ends.tui {
            let message = "--tui shows one engine at a time, and `parallel` runs several";
            return Err(Failure::new(Exit::Usage, message).help("leave one of the two out"));
        }
        let last_words = LastWords::default();
        Ok(Self { interrupt: last_words.install()?, last_words })
    }
}

/// Measures what is missing of a run, writes and prints its report; returns the exit code and the
/// numbers.
fn measure(
    dir: &Path,
    kinds: &[Retry],
    ends: &EndArgs,
    colour: Colour,
    watched: &Watched,
) -> Result<(Exit, RunAnalysis), Failure> {
    let lock = RunLock::take(&RunDir::at(dir))?;
    let run = open(dir)?.expect("the caller has opened it");
    let kept = format!("what is complete is kept; go on with: {}", typed::resume(dir));
    watched.last_words.are(kept);
    let progress = run.progress()?;
    for share in progress.iter().filter(|share| share.is_begun) {
        // So long the engine has its GPUs.
        let place = run.place(&share.share);
        killed_session::wait_for_guardian(&place, &share.share.plan);
        drop(RunLock::take(&RunDir::at(place))?);
    }
    places::follow(&run, &run.progress()?)?;
    for share in progress.iter().filter(|share| share.is_begun) {
        retry::ask_of(&run.place(&share.share), kinds)?;
    }
    let mut progress = run.progress()?;
    if progress.iter().any(|share| share.is_begun) {
        tell_kept(dir, &progress);
    }
    progress.retain(|share| !share.is_over() || !share.has_ended);
    let missing: Vec<Share> = progress.into_iter().map(|share| share.share).collect();
    places::make(&run, &missing.iter().collect::<Vec<_>>())?;
    let worst = Sharing { run: &run, lock: &lock, shares: &missing, ends, watched }.carry_out();
    gather(&run.dir, &lock, &run.places())?;
    drop(lock);
    conclude(dir, worst, ends, colour, &watched.interrupt)
}

fn tell_kept(dir: &Path, progress: &[ShareProgress]) {
    let cells = || progress.iter().flat_map(|share| &share.cells);
    let n_kept = cells().filter(|cell| cell.state == CellState::Complete).count();
    output::message(&format!(
        "going on with {}: {n_kept} of {} cells kept",
        dir.display(),
        cells().count()
    ));
}

/// Writes and prints the report, and finds the exit code.
fn conclude(
    dir: &Path,
    worst: Exit,
    ends: &EndArgs,
    colour: Colour,
    interrupt: &Interrupt,
) -> Result<(Exit, RunAnalysis), Failure> {
    let mut analysis = RunAnalysis::of(&RunReader::open(dir)?)?;
    gate_flags::judge(&mut analysis, &ends.gates)?;
    let mut exit = run::exit_code(&analysis.summary, &analysis, ends).worse(worst);
    let interrupted = interrupt.signal();
    if let Some(signal) = interrupted {
        exit = exit.worse(Exit::Signal(signal as u8));
    }
    interrupt.no_longer_noticed();
    run::report(&analysis, colour)?;
    if interrupted.is_some() {
        run::tell_interrupted(&analysis);
    }
    Ok((exit, analysis))
}

/// Shares that are measured by processes of their own.
struct Sharing<'a> {
    run: &'a SharedRun,
    lock: &'a RunLock,
    shares: &'a [Share],
    ends: &'a EndArgs,
    watched: &'a Watched,
}

impl Sharing<'_> {
    /// Starts and looks after the processes until all are over; returns the worst of their ends,
    /// what became of cells left out. One that fails does not end the others.
    fn carry_out(&self) -> Exit {
        let gpus = gpu::visible().unwrap_or_default();
        let mut devices = Devices::new(gpus.len(), needs(self.shares));
        let mut running: Vec<Part> = Vec::new();
        let mut worst = Exit::Ok;
        loop {
            let is_ending = self.watched.interrupt.is_raised();
            while !is_ending && let Some((share, own)) = devices.begin() {
                let own: Vec<&VisibleGpu> = own.into_iter().map(|gpu| &gpus[gpu]).collect();
                match Part::start(share, self.run, &self.shares[share], &own, self.ends) {
                    Ok(part) => running.push(part),
                    Err(failure) => {
                        output::message(&failure.render(false));
                        worst = worst.worse(failure.exit);
                        devices.end(share, true);
                    }
                }
            }
            if running.is_empty() {
                break;
            }
            thread::sleep(LOOK_EVERY);
            for part in &mut running {
                part.pass_on(&self.watched.interrupt);
                part.tell_progress();
            }
            for part in running.extract_if(.., Part::has_ended) {
                let (share, end) = (part.share, part.end(is_ending));
                devices.end(share, end != Exit::Dirty);
                worst = worst.worse(end);
                self.gather();
            }
        }
        let waiting: Vec<String> =
            devices.waiting().map(|share| self.shares[share].engines.join(" + ")).collect();
        if !waiting.is_empty() && !self.watched.interrupt.is_raised() {
            output::message(&format!(
                "error: not measured beside what was left behind: {}",
                waiting.join("; ")
            ));
        }
        worst
    }

    /// Brings the run up to date, for those who read it meanwhile.
    fn gather(&self) {
        if let Err(error) = gather(&self.run.dir, self.lock, &self.run.places()) {
            output::message(&format!(
                "note: {} is not up to date: {error}",
                self.run.dir.path().display()
            ));
        }
    }
}
