//! `bench import`: old results, of other programs too, in the capacity table.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::cli::args::{Colour, ImportArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{output, report_files};
use crate::datasets::shards;
use crate::importers::lineup_tree::{Place, Told, cell_of, counted};
use crate::importers::server_log;
use crate::metrics::summary::{CellStatus, CellSummary, Validity};
use crate::published::billion_tokens::Lineup;
use crate::report::original;
use crate::report::terminal::Screen;
use crate::report::untrusted;
use crate::report::view::caveats::Marks;
use crate::report::view::own_shape::lineup;
use crate::report::view::results;

/// Deepest folder and most folders that are looked into.
const DEPTH_MAX: usize = 16;
const FOLDERS_MAX: usize = 100_000;

/// One result: a folder of the tree, or a log.
struct Found {
    path: PathBuf,
    cell: CellSummary,
}

/// Reads results and prints the table of them.
pub(crate) fn import(args: &ImportArgs, colour: Colour) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    for path in &args.paths {
        take(path, args, &mut found)?;
    }
    if found.is_empty() {
        let message = "no result is there: neither a stats.json nor a server_logs folder";
        return Err(Failure::new(Exit::NoInput, message)
            .help("name a tree MODEL/tpT-ppP-dpD/SPEC/…, or logs of vLLM or SGLang"));
    }
    let cells: Vec<&CellSummary> = found.iter().map(|it| &it.cell).collect();
    let table = lineup::table(&Lineup::of(&cells, |_| None), &Marks::default());
    let (width, is_coloured) = output::stdout_form(colour);
    let mut text = String::new();
    Screen::new(width, is_coloured).table(&mut text, &table);
    text.push_str(&doubts(&found));
    output::data(&text)?;
    if let Some(dir) = &args.out {
        let paths: Vec<String> = found.iter().map(|it| it.path.display().to_string()).collect();
        let file = original::lineup_of(&cells, &paths);
        report_files::write(dir, &file.path, file.text.as_bytes())?;
        output::message(&format!("written: {}", dir.join(&file.path).display()));
    }
    Ok(Exit::Ok)
}

/// Says why results are no plain ones, each reason once with the first result that has it.
fn doubts(found: &[Found]) -> String {
    let mut by_reason: IndexMap<String, Vec<&Found>> = IndexMap::new();
    for it in found {
        let word = it.cell.validity.status.word();
        for reason in results::reasons(&it.cell) {
            by_reason.entry(format!("{word}: {reason}")).or_default().push(it);
        }
    }
    let line = |(reason, of): (String, Vec<&Found>)| {
        let more = match of.len() - 1 {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        format!("{}{more} {reason}\n", untrusted::line(&of[0].path.display().to_string()))
    };
    by_reason.into_iter().map(line).collect()
}

/// Takes a log, or every result below a folder.
fn take(path: &Path, args: &ImportArgs, found: &mut Vec<Found>) -> Result<(), Failure> {
    if path.is_file() {
        let mut place = Place::of(path);
        let Some(rates) = server_log::rates(&text(path)?) else {
            let message = format!(
                "{} has no line with a rate of vLLM or SGLang over a known time",
                path.display()
            );
            return Err(Failure::new(Exit::BadData, message).help(
                "name the log of the server; SGLang's first line tells of the time since its start",
            ));
        };
        let is_bare = place.model == path.file_name().unwrap_or_default().to_string_lossy();
        if is_bare {
            place.model = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            place.parallel = spread(args.gpus, rates.n_replicas);
        }
        let told = Told { logged: Some(rates), ..Told::default() };
        let mut cell = cell_of(&place, told, args.gpu_hour);
        if is_bare && args.gpus.is_none() && rates.n_replicas > 1 {
            let why = format!(
                "its log is of {} replicas, and one GPU is taken for each: `--gpus N` says how many \
                 all of them have",
                rates.n_replicas
            );
            cell.validity = Validity::new(CellStatus::Doubtful, [why]);
        }
        found.push(Found { path: path.to_owned(), cell });
        return Ok(());
    }
    let mut open = vec![(path.to_owned(), 0)];
    let mut n_folders = 0;
    while let Some((folder, depth)) = open.pop() {
        n_folders += 1;
        if n_folders > FOLDERS_MAX {
            let message = format!("{} has more than {FOLDERS_MAX} folders", path.display());
            return Err(Failure::input(message));
        }
        if let Some(cell) = result(&folder, args)? {
            found.push(Found { path: folder, cell });
        } else if depth < DEPTH_MAX {
            let mut below = folders(&folder)?;
            // `c_4` comes before `c_16`.
            let name = |folder: &PathBuf| folder.to_string_lossy().into_owned();
            below.sort_by(|one, other| shards::compare(&name(one), &name(other)));
            open.extend(below.into_iter().rev().map(|folder| (folder, depth + 1)));
        }
    }
    Ok(())
}

/// Returns the sizes of a server whose log alone is known: its GPUs are shared by its replicas.
fn spread(n_gpus: Option<u32>, n_replicas: u32) -> [u32; 3] {
    let n_replicas = n_replicas.max(1);
    match n_gpus.unwrap_or(n_replicas) {
        n_gpus if n_gpus.is_multiple_of(n_replicas) => [n_gpus / n_replicas, 1, n_replicas],
        n_gpus => [n_gpus, 1, 1],
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |why| Failure::input(format!("failed to read {}: {why}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Returns the result of a folder, if it is one of a result.
fn result(folder: &Path, args: &ImportArgs) -> Result<Option<CellSummary>, Failure> {
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let stats = read("stats.json");
    let logs = folder.join("server_logs");
    if stats.is_none() && !logs.is_dir() {
        return Ok(None);
    }
    let own = read("bench.json").map(|text| {
        serde_json::from_slice(&text).map_err(|why| {
            let message = format!("failed to read {}/bench.json: {why}", folder.display());
            Failure::new(Exit::BadData, message)
                .help("write it again: `bench export RUN --tree DIR`")
        })
    });
    let own = own.transpose()?;
    let counted = stats.and_then(|stats| counted(&stats));
    // Replicas write into one log; further nodes of it repeat what the first says.
    let mut log = None;
    if let Ok(entries) = std::fs::read_dir(&logs) {
        let mut paths: Vec<PathBuf> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
        paths.sort();
        let is_log = |path: &&PathBuf| path.extension().is_some_and(|it| it == "log");
        log = paths.iter().find(is_log).map(|path| text(path)).transpose()?;
    }
    let told = Told { own, counted, logged: log.as_deref().and_then(server_log::rates) };
    Ok(Some(cell_of(&Place::of(folder), told, args.gpu_hour)))
}

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|why| Failure::input(format!("failed to read {}: {why}", path.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
