//! What a run was measured with, down to packages and hashes: the lock file of a bundle.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::with_short_digests;
use crate::record::environment::Environment;

/// Version of the form of a bundle that this program writes. It reads earlier ones too: 1 has no sums
/// of the packed files.
pub const BUNDLE_FORMAT: u32 = 2;

/// The content of `bundle.json`: everything besides the run directory that has to be the same for
/// the same numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// [`BUNDLE_FORMAT`] of the program that made it.
    pub format: u32,
    /// Name of the run.
    pub run: String,
    /// Machine and program.
    pub machine: Environment,
    /// Engines by the id of their launch.
    pub engines: BTreeMap<String, EngineLock>,
    /// SHA-256 of data by the data set's name.
    pub data: BTreeMap<String, String>,
    /// SHA-256 of every other file of the archive by its path in it. Empty in bundles of format 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// One engine of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineLock {
    /// Name in the scenario.
    pub engine: String,
    /// Program and arguments as they were started, the port aside.
    pub argv: Vec<String>,
    /// Version, as the engine told it; absent where it was never ready.
    pub version: Option<String>,
    /// Environment variables, by allow-list of names.
    pub env: BTreeMap<String, String>,
    /// SHA-256 of the model's files by name, where they are local.
    pub model_files: BTreeMap<String, String>,
    /// What the program is made of.
    pub installed: Installed,
}

/// A program on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// SHA-256 of the program's file; absent for a server that bench does not start, and where the
    /// program is not found.
    pub program: Option<String>,
    /// Packages of the Python environment that it runs in: `NAME` → `VERSION sha256:…`, the hash
    /// being that of the package's own list of files and hashes. Empty for other programs.
    pub packages: BTreeMap<String, String>,
}

impl Lock {
    /// Returns what is not the same here, `engine vllm: package torch: 2.6.0 … -> 2.7.1 …`. What
    /// is not known on either side is left out: nobody can say that it differs.
    pub fn changes(&self, here: &Self) -> Vec<String> {
        let mut changed = self.machine.changes(&here.machine);
        for (id, before) in &self.engines {
            let Some(now) = here.engines.get(id) else { continue };
            let of = |what: String| format!("engine {}: {what}", before.engine);
            let (one, other) = (&before.installed, &now.installed);
            if let (Some(one), Some(other)) = (&one.program, &other.program)
                && one != other
            {
                changed.push(of(format!("program file: {one} -> {other}")));
            }
            if let (Some(one), Some(other)) = (&before.version, &now.version)
                && one != other
            {
                changed.push(of(format!("version: {one} -> {other}")));
            }
            for (what, one, other) in [
                ("package", &one.packages, &other.packages),
                ("model file", &before.model_files, &now.model_files),
                ("environment", &before.env, &now.env),
            ] {
                changed
                    .extend(known_to_differ(one, other).map(|told| of(format!("{what} {told}"))));
            }
        }
        let data = known_to_differ(&self.data, &here.data);
        changed.extend(data.map(|told| format!("data set {told}")));
        changed.iter().map(|told| with_short_digests(told)).collect()
    }
}

/// Returns the facts that differ, if both sides know any at all.
fn known_to_differ<'a>(
    before: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = String> + 'a {
    let is_known = !before.is_empty() && !now.is_empty();
    differing(before, now).filter(move |_| is_known)
}

/// Returns the facts that differ, with both values: `torch: 2.6.0 -> 2.7.1`.
pub(crate) fn differing<'a>(
    before: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = String> + 'a {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let text = |fact: Option<&String>| fact.map_or_else(|| "absent".to_owned(), Clone::clone);
    names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .map(move |name| format!("{name}: {} -> {}", text(before.get(name)), text(now.get(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(torch: &str, weights: &str, data: &str) -> Lock {
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let engine = EngineLock {
            engine: "vllm".to_owned(),
            model_files: map("model.safetensors", weights),
            installed: Installed { program: None, packages: map("torch", torch) },
            ..EngineLock::default()
        };
        Lock {
            engines: [("l0".to_owned(), engine)].into(),
            data: map("gsm8k", data),
            ..Lock::default()
        }
    }

    #[test]
    fn every_hash_that_differs_is_named_and_what_nobody_knows_is_not() {
        let before = lock("2.6.0", "aa", "d0");
        assert_eq!(before.changes(&before), [""; 0]);
        let told = before.changes(&lock("2.7.1", "bb", "d1"));
        let expected = [
            "engine vllm: package torch: 2.6.0 -> 2.7.1",
            "engine vllm: model file model.safetensors: aa -> bb",
            "data set gsm8k: d0 -> d1",
        ];
        assert_eq!(told, expected);
        let mut unknown = lock("2.7.1", "bb", "d0");
        unknown.engines.get_mut("l0").unwrap().installed.packages.clear();
        unknown.engines.get_mut("l0").unwrap().model_files.clear();
        assert_eq!(before.changes(&unknown), [""; 0]);
        let long = lock("2.6.0", "aa", &"0123456789abcdef".repeat(4));
        let told = before.changes(&long);
        assert_eq!(told, ["data set gsm8k: d0 -> SHA-256 0123456789ab…"]);
    }
}
