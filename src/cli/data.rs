//! `bench data`: the data sets that are known, where they are, and how to get them here.

use std::fmt::Write as _;

use crate::cli::args::DataCommand;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::say;
use crate::plan::cell::{DatasetPlan, Source};
use crate::store::cache::DatasetCache;
use crate::store::dataset::{self, Opened, Search};
use crate::store::download::Progress;
use crate::store::known::{KNOWN, Known};
use crate::units::bytes_for_people;

/// Lists, fetches or locates data sets.
pub(crate) fn data(command: &DataCommand) -> Result<Exit, Failure> {
    let cache = DatasetCache::from_env();
    let mut offline = cache.clone();
    offline.offline = true;
    match command {
        DataCommand::List => say::data(&list(&offline))?,
        DataCommand::Fetch { name, split, sha256 } => {
            let opened = open(name, split.as_deref(), sha256.clone(), &cache)?;
            say::data(&format!("{}\nsha256 {}\n", opened.origin, opened.sha256))?;
        }
        DataCommand::Path { name, split } => {
            let opened = open(name, split.as_deref(), None, &offline)?;
            let paths: Vec<String> =
                opened.files.into_iter().map(|(path, _)| path + "\n").collect();
            say::data(&paths.concat())?;
        }
    }
    Ok(Exit::Ok)
}

fn list(offline: &DatasetCache) -> String {
    let mut text =
        format!("{:<12}{:<10}{:<28}{:<12}here\n", "name", "split", "repository", "licence");
    for known in &KNOWN {
        for split in known.splits {
            let here = match open(known.name, Some(split), None, offline) {
                Ok(opened) => opened.origin,
                Err(_) => "no".to_owned(),
            };
            let _ = writeln!(
                text,
                "{:<12}{split:<10}{:<28}{:<12}{here}",
                known.name, known.repo, known.licence
            );
        }
    }
    text
}

fn open(
    name: &str,
    split: Option<&str>,
    sha256: Option<String>,
    cache: &DatasetCache,
) -> Result<Opened, Failure> {
    let (source, location) = match Known::named(name) {
        Some(known) => (known.source, None),
        None if name.starts_with("https://") => (Source::Jsonl, Some(name.to_owned())),
        None => {
            let known: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
            return Err(Failure::new(Exit::Usage, format!("no data set is called {name:?}")).help(
                format!("known are {}, or give an https URL with --sha256", known.join(", ")),
            ));
        }
    };
    let progress = |progress: Progress<'_>| {
        let of = |total| format!(" of {}", bytes_for_people(total));
        let total = progress.total.map_or_else(String::new, of);
        say::talk(&format!("  {}: {}{total}", progress.file, bytes_for_people(progress.done)));
    };
    let search = Search { bases: &[], cache, on_progress: Some(&progress) };
    dataset::open(name, &DatasetPlan::of(source, split, location, sha256), &search).map_err(
        |error| {
            Failure::new(Exit::from_code(error.exit_code()), error.to_string()).help(error.help())
        },
    )
}
