//! Moves directories within a run: cells that were renamed, and attempts that were interrupted.

use std::fs;
use std::path::Path;

use crate::plan::Plan;
use crate::store::error::StoreError;
use crate::store::run_dir::RunDir;

/// Renames the directories of cells that both plans have to the names of the later plan.
///
/// Two cells may swap names, so all directories are first moved aside under the cell's id. By the
/// id a move that was cut short is found again.
pub(super) fn rename_cells(dir: &RunDir, before: &Plan, now: &Plan) -> Result<(), StoreError> {
    let moving = |id: &str| dir.cells().join(format!(".moving-{id}"));
    for cell in &before.cells {
        let Some(next) = now.cells.iter().find(|next| next.id == cell.id) else { continue };
        let (old, aside) = (dir.cell(&cell.name)?, moving(&cell.id.0));
        if next.name != cell.name && old.exists() && !aside.exists() {
            fs::rename(&old, &aside).map_err(StoreError::io("rename", &old))?;
        }
    }
    for cell in &now.cells {
        let aside = moving(&cell.id.0);
        if aside.exists() {
            settle(&aside, &dir.cell(&cell.name)?)?;
        }
    }
    Ok(())
}

/// Moves a cell's directory to its new path. Trials of another cell at that path are put aside.
fn settle(aside: &Path, place: &Path) -> Result<(), StoreError> {
    let read = |path: &Path| -> Result<Vec<_>, StoreError> {
        let entries = fs::read_dir(path).map_err(StoreError::io("read", path))?;
        entries.map(|entry| entry.map_err(StoreError::io("read", path))).collect()
    };
    if !place.exists() {
        return fs::rename(aside, place).map_err(StoreError::io("rename", aside));
    }
    for entry in read(place)? {
        if entry.file_name().to_string_lossy().starts_with("trial-") {
            put_aside(&entry.path())?;
        }
    }
    for entry in read(aside)? {
        let (from, to) = (entry.path(), place.join(entry.file_name()));
        // Earlier attempts of both cells are kept side by side.
        let to = if to.exists() {
            place.join(format!("{}-moved", entry.file_name().display()))
        } else {
            to
        };
        fs::rename(&from, &to).map_err(StoreError::io("rename", &from))?;
    }
    fs::remove_dir(aside).map_err(StoreError::io("remove", aside))
}

/// Moves the files of an earlier attempt at a trial to `attempts/` beside it.
pub(super) fn put_aside(path: &Path) -> Result<(), StoreError> {
    let name = path.file_name().expect("a trial has a name").display();
    let attempts = path.parent().expect("a trial lies in its cell").join("attempts");
    fs::create_dir_all(&attempts)
        .map_err(|source| StoreError::CannotCreate { path: attempts.clone(), source })?;
    let kept = (1..=u32::MAX)
        .map(|n| attempts.join(format!("{name}-{n}")))
        .find(|kept| !kept.exists())
        .expect("one of four billion names is free");
    fs::rename(path, &kept).map_err(StoreError::io("put aside", path))
}
