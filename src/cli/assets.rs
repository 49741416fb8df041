//! Files that presets bring along, embedded in this program and put where engines can read them.

use std::path::PathBuf;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::datasets::cache::{DatasetCache, NoCacheDir};
use crate::plan::Plan;
use crate::scenario::engine_preset::ASSETS;

/// Returns the directory that argv templates know as `assets`: one per version of the program.
pub(crate) fn dir() -> Result<PathBuf, NoCacheDir> {
    Ok(DatasetCache::from_env()?.root.join(concat!("assets-", env!("CARGO_PKG_VERSION"))))
}

/// Writes the files that some engine of the plan names in its command.
pub(crate) fn unpack(plan: &Plan) -> Result<(), Failure> {
    for (name, text) in ASSETS {
        let is_named = |arg: &String| arg.ends_with(name);
        if !plan.launches.values().any(|launch| launch.argv.iter().any(is_named)) {
            continue;
        }
        let dir = dir()?;
        let path = dir.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == *text) {
            continue;
        }
        std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&path, text)).map_err(
            |source| {
                Failure::new(
                    Exit::CannotCreate,
                    format!("failed to write {}: {source}", path.display()),
                )
                .help("set XDG_CACHE_HOME to a directory that can be written")
            },
        )?;
    }
    Ok(())
}
