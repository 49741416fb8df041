//! `bench run --slurm`, and `bench resume` of such a run: submits what is missing, nothing else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::args::{Colour, Retry, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::reuse::Source;
use crate::cli::scenario_file::Planned;
use crate::cli::shares::changed::Changed;
use crate::cli::shares::places::{self, NewShared};
use crate::cli::shares::progress::{By, CellState, ShareProgress, SharedRun};
use crate::cli::shares::{merged_run, reused};
use crate::cli::slurm::commands::{self, NotSubmitted};
use crate::cli::slurm::progress::SlurmRun;
use crate::cli::slurm::settings::settings;
use crate::cli::slurm::submission::{Settings, Submission, new_id};
use crate::cli::typed;
use crate::cli::{gate_flags, output, retry, run, scenario_file};
use crate::plan::Plan;
use crate::plan::share::Share;
use crate::report::number::counted;
use crate::slurm::script::{Array, ScriptError, render};
use crate::slurm::share::arrays;
use crate::store::error::StoreError;
use crate::store::lock::RunLock;
use crate::store::run_dir::RunDir;

/// What it means for a submission that Slurm does not say what runs.
const NOTHING_SUBMITTED: &str = "nothing was submitted; try again when `squeue` answers";

/// Stands for the id of a submission that is only shown.
const SHOWN_ID: &str = "dry-run";

/// Submits a scenario, or shows what would be submitted.
pub(crate) fn run(args: &RunArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut scenario = args.scenario.clone();
    scenario.sets.extend(args.slurm_sets.iter().map(|set| format!("slurm.{set}")));
    let mut planned = scenario_file::plan(&scenario)?;
    run::warn(&planned, colour);
    gate_flags::add(&mut planned.plan, &args.ends.gates, None)?;
    let settings = settings(&planned.loaded.scenario, &planned.plan).map_err(Failure::scenario)?;
    planned.plan.clients = settings.slurm.further_clients().or(planned.plan.clients);
    let out = args.out.as_deref().or(args.resume.as_deref());
    let path = scenario_file::place(&args.scenario.scenario);
    let Some(mut known) = out.map(SlurmRun::open).transpose()?.flatten() else {
        return begin(planned, path, out, args, &settings);
    };
    if args.reuse.is_some() {
        output::message("note: --reuse is for the begin of a run; what this one holds is kept");
    }
    let changed = Changed::of(&known.shared, planned, path, args.ends.quiet)?;
    if args.dry_run {
        if let Some(changed) = changed {
            known.shared.plan = changed.plan().clone();
        }
        return show(known, &settings, &args.retry, &BTreeSet::new());
    }
    let dir = known.shared.dir.path().to_owned();
    let Some(changed) = changed else { return submit(&dir, &settings, &args.retry) };
    let tasks = known.live_tasks(NOTHING_SUBMITTED)?;
    changed.refuse_running(&known.shared, &known.progress(&tasks)?)?;
    changed.apply(&known.shared)?;
    let exit = submit(&dir, &settings, &args.retry)?;
    merged_run::update(&[&dir]);
    Ok(exit)
}

/// Begins a run with what another one has measured, if it is to, and submits the rest.
fn begin(
    planned: Planned,
    path: &Path,
    out: Option<&Path>,
    args: &RunArgs,
    settings: &Settings,
) -> Result<Exit, Failure> {
    let from = args.reuse.as_deref();
    let source = from.map(Source::open).transpose()?;
    let prepare = |planned| NewShared::prepare(planned, path, args.ends.quiet, By::Slurm, from);
    if args.dry_run {
        let dir = out.map_or_else(|| Path::new("runs").join(&planned.plan.name), Path::to_owned);
        let plan = planned.plan.clone();
        let mut shared = SharedRun { dir: RunDir::at(&dir), plan, by: By::Slurm };
        let mut taken = BTreeSet::new();
        if let Some(source) = &source {
            let new = prepare(planned)?;
            shared.plan = new.job.plan.clone();
            taken = reused::look(source, &new, &shared)?;
        }
        return show(SlurmRun { shared, submissions: Vec::new() }, settings, &args.retry, &taken);
    }
    let new = prepare(planned)?;
    let dir = new.create(out)?;
    if let (Some(source), Some(run)) = (&source, SharedRun::open(&dir)?) {
        reused::take(source, &new, &run)?;
        output::message(
            "their machine and engines are not held against nodes that nobody knows yet; what differs \
             there is a caveat of the run",
        );
        merged_run::update(&[&dir]);
    }
    submit(&dir, settings, &args.retry)
}

/// Submits what is missing of a run, as it was submitted before; `None` where its cells are not
/// measured by tasks.
pub(crate) fn resume(dir: &Path, kinds: &[Retry]) -> Result<Option<Exit>, Failure> {
    let Some(run) = SlurmRun::open(dir)? else { return Ok(None) };
    submit(dir, &Settings::of(&run.shared.dir)?, kinds).map(Some)
}

/// Prints the scripts of what is missing, and what would become of each share. Cells that would be
/// taken from another run are not missing.
fn show(
    mut run: SlurmRun,
    settings: &Settings,
    kinds: &[Retry],
    taken: &BTreeSet<String>,
) -> Result<Exit, Failure> {
    let tasks = run.live_tasks(NOTHING_SUBMITTED).unwrap_or_else(|failure| {
        let why = failure.render(false);
        output::message(&format!("note: what runs already is not known\n{why}"));
        Vec::new()
    });
    let mut shares = run.progress(&tasks)?;
    let cells = shares.iter_mut().flat_map(|share| &mut share.cells);
    for cell in cells.filter(|cell| taken.contains(&cell.name)) {
        cell.state = CellState::Complete;
    }
    let standing = Standing::of(shares, kinds.contains(&Retry::Failed));
    let (dir, bench) = (typed::absolute(run.shared.dir.path()), program()?);
    for (n_gpus, shares) in arrays(&settings.slurm, &standing.missing()) {
        let array = Array {
            id: SHOWN_ID,
            title: &run.shared.plan.title,
            dir: &dir,
            cwd: &settings.cwd,
            bench: &bench,
            shares: &shares,
            n_gpus,
        };
        output::data(&(script(settings, &array)? + "\n"))?;
    }
    output::data(&standing.told("WOULD SUBMIT", &run.shared.plan))?;
    Ok(Exit::Ok)
}

/// Submits what no task measures and what is not over.
fn submit(dir: &Path, settings: &Settings, kinds: &[Retry]) -> Result<Exit, Failure> {
    let dir = typed::absolute(dir);
    let _lock = RunLock::take(&RunDir::at(&dir))?;
    let Some(mut run) = SlurmRun::open(&dir)? else {
        return Err(StoreError::AlreadyARun { path: dir }.into());
    };
    settings.write(&run.shared.dir)?;
    let tasks = run.live_tasks(NOTHING_SUBMITTED)?;
    places::follow(&run.shared, &run.progress(&tasks)?)?;
    for share in run.progress(&tasks)?.iter().filter(|share| share.is_over() && !share.is_live()) {
        retry::ask_of(&run.shared.place(&share.share), kinds)?;
    }
    let standing = Standing::of(run.progress(&tasks)?, false);
    output::data(&standing.told("SUBMITTING", &run.shared.plan))?;
    places::make(&run.shared, &standing.missing())?;
    let (mut n_tasks, mut jobs) = (0, Vec::new());
    for (n_gpus, shares) in arrays(&settings.slurm, &standing.missing()) {
        n_tasks += shares.len();
        jobs.push(submit_array(&run, settings, &shares, n_gpus)?.to_string());
    }
    if !jobs.is_empty() {
        output::message(&format!(
            "submitted {} as job {}; see it with: bench status {}",
            counted(n_tasks as u64, "task"),
            jobs.join(", "),
            typed::path(&dir)
        ));
    }
    Ok(Exit::Ok)
}

fn submit_array(
    run: &SlurmRun,
    settings: &Settings,
    shares: &[&Share],
    n_gpus: u32,
) -> Result<u64, Failure> {
    let dir = run.shared.dir.path();
    let unix_ns = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0);
    let id = new_id(dir, unix_ns);
    let array = Array {
        id: &id,
        title: &run.shared.plan.title,
        dir,
        cwd: &settings.cwd,
        bench: &program()?,
        shares,
        n_gpus,
    };
    let text = script(settings, &array)?;
    let mut submission = Submission {
        name: array.job_name(),
        id: id.clone(),
        unix_ns,
        shares: shares.iter().map(|share| share.id.clone()).collect(),
        job: None,
    };
    let script = submission.script(&run.shared.dir);
    run.shared.dir.replace(&format!("slurm/{}.sh", submission.id), text.as_bytes())?;
    // Before Slurm is asked: whatever happens from here on, the next command looks for it.
    submission.write(&run.shared.dir)?;
    let job = match commands::sbatch(&script) {
        Ok(job) => job,
        Err(NotSubmitted::Refused(failure)) => {
            submission.withdraw(&run.shared.dir);
            return Err(failure);
        }
        Err(NotSubmitted::Unknown(failure)) => {
            let Ok(tasks) = commands::squeue(NOTHING_SUBMITTED) else { return Err(failure) };
            match tasks.iter().find(|task| task.is_of(&submission.id)) {
                Some(task) => task.job,
                // The next command looks for it once more.
                None => return Err(failure),
            }
        }
    };
    submission.job = Some(job);
    submission.write(&run.shared.dir)?;
    Ok(job)
}

/// Returns this program, which the tasks run.
fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|source| {
        Failure::new(Exit::Internal, format!("failed to find this program: {source}"))
            .help("start bench by a path that exists")
    })
}

fn script(settings: &Settings, array: &Array<'_>) -> Result<String, Failure> {
    render(&settings.template, &settings.slurm, array).map_err(|error| match error {
        ScriptError::Value { key, .. } if key.starts_with("the ") => {
            Failure::new(Exit::Scenario, error.to_string())
                .help("choose another place: `--out DIR`")
        }
        ScriptError::Value { .. } => Failure::new(Exit::Scenario, format!("[slurm] {error}"))
            .help("mend it in the scenario, or with `--slurm-set`"),
        ScriptError::Template(_) => Failure::new(Exit::Scenario, error.to_string())
            .help("its variables are in `bench help cluster`"),
    })
}

/// The shares of a run by what becomes of them.
struct Standing {
    missing: Vec<ShareProgress>,
    live: Vec<ShareProgress>,
    failed: Vec<ShareProgress>,
    complete: Vec<ShareProgress>,
}

impl Standing {
    /// Sorts shares; whose failed cells are measured again on request is missing.
    fn of(shares: Vec<ShareProgress>, retries_failed: bool) -> Self {
        let mut standing = Self {
            missing: Vec::new(),
            live: Vec::new(),
            failed: Vec::new(),
            complete: Vec::new(),
        };
        for share in shares {
            let has_failed = share.cells.iter().any(|it| matches!(it.state, CellState::Failed(_)));
            let kind = match () {
                () if share.is_live() => &mut standing.live,
                () if !share.is_over() || has_failed && retries_failed => &mut standing.missing,
                () if has_failed => &mut standing.failed,
                () => &mut standing.complete,
            };
            kind.push(share);
        }
        standing
    }

    fn missing(&self) -> Vec<&Share> {
        self.missing.iter().map(|it| &it.share).collect()
    }

    /// Returns the summary, a line for each kind of which there are any.
    fn told(&self, missing: &str, plan: &Plan) -> String {
        let kinds = [
            (missing, &self.missing),
            ("SKIPPED running", &self.live),
            ("SKIPPED failed", &self.failed),
            ("SKIPPED complete", &self.complete),
        ];
        let mut text = String::new();
        for (word, shares) in kinds.into_iter().filter(|(_, shares)| !shares.is_empty()) {
            let n_cells: usize = shares.iter().map(|it| it.cells.len()).sum();
            let names: Vec<String> = shares.iter().map(named).collect();
            let (n_shares, n_cells) = (shares.len() as u64, n_cells as u64);
            let counts = (counted(n_shares, "engine start"), counted(n_cells, "cell"));
            let _ = writeln!(text, "{word:<17} {}, {}: {}", counts.0, counts.1, names.join("; "));
        }
        for cell in &plan.cells {
            if let Some(reason) = &cell.skip {
                let _ = writeln!(text, "{:<17} {}: {reason}", "INVALID", cell.name);
            }
        }
        text
    }
}

fn named(share: &ShareProgress) -> String {
    let engines = share.share.engines.join(" + ");
    let task = share.task.as_ref().filter(|task| task.is_live());
    let task = task.map(|task| format!(", task {} {}", task.id(), task.state)).unwrap_or_default();
    format!("{engines} ({}{task})", counted(share.cells.len() as u64, "cell"))
}
