//! `bench data`: the data sets that are known, where they are, and how to get them here.

use std::path::PathBuf;

use comfy_table::Table;
use indicatif::BinaryBytes;

use crate::cli::args::DataCommand;
use crate::cli::download_progress::DownloadBar;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::datasets::cache::DatasetCache;
use crate::datasets::catalogue;
use crate::datasets::dataset::{self, DatasetError, Search};
use crate::datasets::download::Progress;
use crate::plan::cell::{DatasetPlan, Source};

/// Lists, fetches, locates or checks data sets.
pub(crate) fn data(command: &DataCommand) -> Result<Exit, Failure> {
    let cache = DatasetCache::from_env()?;
    match command {
        DataCommand::List => output::data(&list(&cache))?,
        DataCommand::Fetch { name, split, sha256 } => {
            fetch(name, split.as_deref(), sha256.as_deref(), &cache)?;
        }
        DataCommand::Path { name, split } => {
            let mut offline = cache.clone();
            offline.offline = Some("`bench data fetch` does that");
            let paths = catalogue::fetch(name, split.as_deref(), &offline, None)
                .map_err(|error| failure(&error))?;
            output::data(&lines(&paths))?;
        }
        DataCommand::Verify => return verify(&cache),
    }
    Ok(Exit::Ok)
}

fn list(cache: &DatasetCache) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "name",
        "split",
        "size",
        "repository",
        "licence",
        "here, or where to place it",
    ]);
    for entry in catalogue::list(cache) {
        let here = !entry.paths.is_empty();
        let paths = if here { &entry.paths[..] } else { std::slice::from_ref(&entry.place) };
        table.add_row([
            entry.known.name.to_owned(),
            entry.split.to_owned(),
            if here { BinaryBytes(entry.bytes).to_string() } else { "not here".to_owned() },
            entry.known.repo.to_owned(),
            entry.known.licence.to_owned(),
            lines(paths).trim_end().to_owned(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

/// Downloads a known data set, or the file of an address whose digest is given.
fn fetch(
    name: &str,
    split: Option<&str>,
    sha256: Option<&str>,
    cache: &DatasetCache,
) -> Result<(), Failure> {
    let bar = DownloadBar::new();
    let on_progress = |progress: Progress<'_>| bar.show(&progress);
    let paths = if name.contains("://") {
        let location = Some(name.to_owned());
        let plan = DatasetPlan::of(Source::Jsonl, split, location, sha256.map(str::to_owned));
        let search = Search { bases: &[], cache, on_progress: Some(&on_progress) };
        dataset::open(name, &plan, &search).map_err(|error| failure(&error))?.paths
    } else {
        catalogue::fetch(name, split, cache, Some(&on_progress)).map_err(|error| failure(&error))?
    };
    bar.finish();
    for path in &paths {
        let digest = catalogue::digest_of(path).map_err(|source| {
            Failure::input(format!("failed to read {}: {source}", path.display()))
        })?;
        output::data(&format!("{digest}  {}\n", path.display()))?;
    }
    Ok(())
}

/// Digests the files of the caches, and names each one that is not the fetched file any more.
fn verify(cache: &DatasetCache) -> Result<Exit, Failure> {
    let checked = catalogue::verify(cache)
        .map_err(|error| Failure::input(format!("failed to read the caches: {error}")))?;
    let mut n_damaged = 0;
    for file in &checked {
        if file.is_sound() {
            output::data(&format!("ok       {}\n", file.path.display()))?;
        } else {
            n_damaged += 1;
            output::data(&format!(
                "DAMAGED  {}: SHA-256 {}, fetched was {}\n",
                file.path.display(),
                file.found,
                file.expected
            ))?;
        }
    }
    if n_damaged > 0 {
        let message = format!("{n_damaged} of {} cached files are damaged", checked.len());
        return Err(Failure::new(Exit::Corrupt, message)
            .help("remove these files; `bench data fetch` brings them back"));
    }
    output::message(&format!("cached files with a known digest: {}, all sound", checked.len()));
    Ok(Exit::Ok)
}

fn lines(paths: &[PathBuf]) -> String {
    paths.iter().fold(String::new(), |text, path| text + &path.display().to_string() + "\n")
}

fn failure(error: &DatasetError) -> Failure {
    Failure::new(Exit::from_code(error.exit_code()), error.to_string()).help(error.help())
}
