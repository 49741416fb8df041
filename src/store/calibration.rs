//! The result of `bench calibrate` on this machine, kept for later reports.

use std::path::{Path, PathBuf};

use crate::record::environment::{Calibration, Environment};
use crate::store::atomic;
use crate::store::error::StoreError;

/// Stores a calibration in the user's cache, in place of an earlier one.
///
/// # Errors
/// The user's cache cannot be written.
pub(crate) fn keep(cache: &Path, calibration: &Calibration) -> Result<(), StoreError> {
    let path = path(cache);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|source| StoreError::CannotCreate { path: parent.to_owned(), source })?;
    }
    let text = serde_json::to_vec_pretty(calibration)
        .map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
    atomic::write(&path, &text)
}

/// Returns the calibration of this program on this machine, if there is one. A calibration of
/// another version, kernel or processor does not count.
pub(crate) fn of(cache: &Path, environment: &Environment) -> Option<Calibration> {
    let text = std::fs::read_to_string(path(cache)).ok()?;
    let found: Calibration = serde_json::from_str(&text).ok()?;
    is_of(&found, environment).then_some(found)
}

fn is_of(found: &Calibration, environment: &Environment) -> bool {
    found.bench_version == environment.bench_version
        && found.kernel == environment.kernel
        && found.cpu == environment.cpu
        && found.n_cpus == environment.n_cpus
}

fn path(cache: &Path) -> PathBuf {
    cache.join("calibration.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_of_another_machine_or_program_is_none_of_this_one() {
        let here = Environment {
            bench_version: "1".to_owned(),
            kernel: "6".to_owned(),
            cpu: "A".to_owned(),
            n_cpus: 2,
            ..Environment::default()
        };
        let found = Calibration {
            bench_version: "1".to_owned(),
            kernel: "6".to_owned(),
            cpu: "A".to_owned(),
            n_cpus: 2,
            ..Calibration::default()
        };
        assert!(is_of(&found, &here));
        for other in [
            Environment { bench_version: "2".to_owned(), ..here.clone() },
            Environment { kernel: "7".to_owned(), ..here.clone() },
            Environment { cpu: "B".to_owned(), ..here.clone() },
            Environment { n_cpus: 4, ..here },
        ] {
            assert!(!is_of(&found, &other), "{other:?}");
        }
    }
}
