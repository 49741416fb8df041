//! The house as data: which room may import which. CONTRIBUTING.md shows the same.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "reads the sources and says what it skips"
)]

mod imports;
#[path = "../undecided/mod.rs"]
mod undecided;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use imports::{Module, Reference, module_of, references, references_of, sources};

/// Rooms and what each may import. An arrow that is not here fails the test; so does an
/// arrow here that no file needs any more.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("help", &[]),
    ("secrets", &[]),
    ("ids", &[]),
    ("seed", &[]),
    ("clock", &["units"]),
    ("diagnostic", &[]),
    ("stats", &[]),
    ("record", &["ids", "units"]),
    ("openai", &["record", "units"]),
    ("scenario", &["diagnostic", "record", "secrets", "units"]),
    ("plan", &["diagnostic", "ids", "record", "scenario", "secrets", "seed", "units"]),
    ("slurm", &["plan", "scenario", "units"]),
    ("chat_template", &[]),
    ("workload", &["chat_template", "ids", "plan", "record", "scenario", "seed", "units"]),
    ("score", &["plan", "record", "scenario", "stats"]),
    ("metrics", &["help", "ids", "plan", "record", "scenario", "score", "seed", "stats", "units"]),
    ("published", &["metrics", "plan"]),
    ("importers", &["ids", "metrics", "openai", "plan", "record", "score", "stats"]),
    ("store", &["ids", "plan", "record", "secrets"]),
    ("datasets", &["chat_template", "ids", "plan", "scenario", "secrets", "store"]),
    (
        "analysis",
        &[
            "ids",
            "importers",
            "metrics",
            "plan",
            "record",
            "scenario",
            "score",
            "store",
            "units",
            "workload",
        ],
    ),
    ("telemetry", &["record", "units"]),
    (
        "load",
        &[
            "clock", "openai", "plan", "record", "scenario", "secrets", "seed", "stats", "units",
            "workload",
        ],
    ),
    (
        "engine",
        &[
            "clock",
            "diagnostic",
            "ids",
            "load",
            "openai",
            "plan",
            "record",
            "scenario",
            "secrets",
            "telemetry",
            "units",
        ],
    ),
    ("serve", &["chat_template", "clock", "openai", "seed", "units"]),
    (
        "report",
        &[
            "analysis",
            "diagnostic",
            "ids",
            "metrics",
            "plan",
            "published",
            "record",
            "scenario",
            "score",
            "secrets",
            "stats",
            "units",
        ],
    ),
    (
        "run",
        &[
            "analysis",
            "chat_template",
            "clock",
            "datasets",
            "diagnostic",
            "engine",
            "ids",
            "load",
            "metrics",
            "plan",
            "record",
            "scenario",
            "score",
            "secrets",
            "seed",
            "stats",
            "store",
            "telemetry",
            "units",
            "workload",
        ],
    ),
    (
        "cli",
        &[
            "analysis",
            "chat_template",
            "datasets",
            "diagnostic",
            "engine",
            "help",
            "ids",
            "importers",
            "load",
            "metrics",
            "plan",
            "published",
            "record",
            "report",
            "run",
            "scenario",
            "score",
            "secrets",
            "seed",
            "serve",
            "slurm",
            "store",
            "telemetry",
            "units",
            "workload",
        ],
    ),
];

/// What may stand at the top of the repository.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clippy.toml",
    "fixtures",
    "packaging",
    "reports",
    "rustfmt.toml",
    "scenarios",
    "src",
    "tests",
];

#[test]
fn every_import_between_rooms_is_an_arrow_of_the_table() {
    let allowed: BTreeSet<(String, String)> = MAY_IMPORT
        .iter()
        .flat_map(|(room, imports)| imports.iter().map(|to| ((*room).into(), (*to).into())))
        .collect();
    let found = arrows();
    let forbidden: Vec<_> = found.iter().filter(|(arrow, _)| !allowed.contains(*arrow)).collect();
    assert!(forbidden.is_empty(), "arrows that are not in the table: {forbidden:#?}");
    let unused: Vec<_> = allowed.iter().filter(|arrow| !found.contains_key(*arrow)).collect();
    assert!(unused.is_empty(), "arrows of the table that nothing needs: {unused:?}");
}

#[test]
fn every_room_is_in_the_table_and_no_other() {
    let rooms: BTreeSet<String> = sources().iter().map(|path| module_of(path).remove(0)).collect();
    let table: BTreeSet<String> = MAY_IMPORT.iter().map(|(room, _)| (*room).into()).collect();
    assert_eq!(rooms, table);
}

#[test]
fn the_table_has_no_circle() {
    // A room may import only rooms above it in the table, so the table is its own proof.
    let order: BTreeMap<_, _> = MAY_IMPORT.iter().enumerate().map(|(i, (r, _))| (*r, i)).collect();
    for (room, imports) in MAY_IMPORT {
        for import in *imports {
            assert!(order[import] < order[room], "{room} imports {import}, which stands below it");
        }
    }
}

#[test]
fn every_file_says_its_reason_in_its_first_line() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        // A licence may stand before it: `#![expect(…)]`, over one line or several.
        let reason = text.lines().find(|line| !is_of_a_licence(line));
        let has_reason = reason.is_some_and(|line| line.starts_with("//! "));
        assert!(has_reason, "{} does not begin with its `//!` line", path.display());
    }
}

#[test]
fn the_top_level_holds_what_the_readme_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tracked = std::process::Command::new("git").args(["ls-files"]).current_dir(root).output();
    let Ok(output) = tracked else {
        return undecided::note("skipped: git is not installed, so tracked files cannot be listed");
    };
    if !output.status.success() {
        return undecided::note("skipped: not a git checkout");
    }
    let names: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|path| path.split('/').next().unwrap().trim_matches('"').to_owned())
        .collect();
    let expected: BTreeSet<String> = TOP_LEVEL.iter().map(|&name| name.into()).collect();
    assert_eq!(names, expected);
}

#[test]
fn no_two_files_of_a_room_need_each_other() {
    let mut needs: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for reference in references() {
        // A folder's main file and its parts are one noun: a part may use what that file defines.
        let is_part = reference.from.starts_with(&reference.to);
        if !reference.is_test && !is_part && reference.from[0] == reference.to[0] {
            needs.entry(reference.from).or_default().insert(reference.to);
        }
    }
    let circles = circles(&needs);
    assert!(circles.is_empty(), "files that need each other: {circles:#?}");
}

#[test]
fn every_file_is_where_its_module_is() {
    // A `#[path]` would hide a file from the arrows. This one is shared with the tests outside.
    const SHARED: &str = "#[path = \"../../tests/front/mod.rs\"]";
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap().replace(SHARED, "");
        assert!(!text.contains("#[path"), "{} takes a module from elsewhere", path.display());
    }
}

#[test]
fn an_import_is_seen_in_whatever_form_it_is_written() {
    let check = |text: &str, expected: &[&str]| {
        let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
        let mut texts: Vec<_> = ["engine", "serve", "store", "store::lock", "load"]
            .iter()
            .map(|path| (module(path), String::new()))
            .collect();
        texts.push((module("load::trial"), text.to_owned()));
        let found: Vec<_> =
            references_of(&texts).into_iter().map(|reference| reference.to.join("::")).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("use crate::engine::Engine;", &["engine"]);
    check("use crate::{engine, serve};", &["engine", "serve"]);
    check("use crate::{engine::{self, Engine}, store::lock::Lock};", &["engine", "store::lock"]);
    check("use super::super::store::lock;", &["store::lock"]);
    check("mod inner { use super::super::super::serve::Serve; }", &["serve"]);
    check("fn f() { crate::store::lock::take(); }", &["store::lock"]);
    check("fn f(x: &super::super::engine::Engine) {}", &["engine"]);
    check("fn f() { println!(\"{}\", crate::engine::NAME); }", &["engine"]);
    check("use std::fs; use serde::Serialize; fn f() { fs::read(1); }", &[]);
}

/// Returns groups of modules of which each needs every other, by whatever way.
fn circles(needs: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<String>> {
    let reached = |start: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(module) = open.pop() {
            for next in needs.get(&module).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&Module, BTreeSet<Module>> =
        needs.keys().map(|module| (module, reached(module))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (module, seen) in reach.iter().filter(|(module, seen)| seen.contains(**module)) {
        let back = |other: &&Module| reach.get(*other).is_some_and(|seen| seen.contains(*module));
        let circle: BTreeSet<_> =
            seen.iter().filter(back).map(|module| module.join("::")).collect();
        if !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// Returns every arrow between two rooms with one file that needs it.
fn arrows() -> BTreeMap<(String, String), String> {
    // A test that crosses a seam needs both sides of it: the walls are those of the product.
    let between = references()
        .into_iter()
        .filter(|reference| !reference.is_test && reference.from[0] != reference.to[0]);
    between
        .map(|reference| {
            let Reference { mut from, mut to, .. } = reference;
            let file = from.join("::");
            ((from.remove(0), to.remove(0)), file)
        })
        .collect()
}

fn is_of_a_licence(line: &str) -> bool {
    ["#![", "    ", ")]"].iter().any(|start| line.starts_with(start)) || line.is_empty()
}
