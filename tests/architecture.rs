//! The house as data: which room may import which. README "Architecture" shows the same.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "reads the sources and says what it skips"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Rooms and what each may import. An arrow that is not here fails the test; so does an
/// arrow here that no file needs any more.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("secrets", &[]),
    ("ids", &[]),
    ("seed", &[]),
    ("clock", &["units"]),
    ("diagnostic", &[]),
    ("stats", &["seed"]),
    ("record", &["ids", "units"]),
    ("openai", &["record"]),
    ("scenario", &["diagnostic", "secrets", "units"]),
    ("plan", &["diagnostic", "ids", "record", "scenario", "secrets", "seed", "units"]),
    ("workload", &["ids", "openai", "plan", "record", "seed", "units"]),
    ("score", &["plan", "record", "stats"]),
    ("metrics", &["ids", "plan", "record", "score", "seed", "stats", "units"]),
    ("store", &["ids", "plan", "record", "secrets", "seed", "units"]),
    ("datasets", &["ids", "plan", "secrets", "store"]),
    ("analysis", &["ids", "metrics", "plan", "record", "score", "store", "units", "workload"]),
    ("telemetry", &["record", "units"]),
    ("engine", &["clock", "ids", "plan", "record", "secrets", "telemetry", "units"]),
    ("load", &["openai", "plan", "record", "secrets", "seed", "units", "workload"]),
    ("serve", &["openai", "seed", "units"]),
    (
        "report",
        &["analysis", "ids", "metrics", "plan", "record", "score", "secrets", "seed", "units"],
    ),
    (
        "run",
        &[
            "analysis",
            "datasets",
            "engine",
            "ids",
            "load",
            "metrics",
            "plan",
            "record",
            "score",
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
            "datasets",
            "diagnostic",
            "engine",
            "ids",
            "load",
            "metrics",
            "plan",
            "record",
            "report",
            "run",
            "scenario",
            "score",
            "secrets",
            "serve",
            "store",
            "telemetry",
            "units",
            "workload",
        ],
    ),
];

/// What may stand at the top of the repository.
const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clippy.toml",
    "fixtures",
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
    let rooms: BTreeSet<String> = sources().iter().map(|path| room_of(path)).collect();
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
        return println!("skipped: git is not installed, so tracked files cannot be listed");
    };
    if !output.status.success() {
        return println!("skipped: not a git checkout");
    }
    let names: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|path| path.split('/').next().unwrap().trim_matches('"').to_owned())
        .collect();
    let expected: BTreeSet<String> = TOP_LEVEL.iter().map(|&name| name.into()).collect();
    assert_eq!(names, expected);
}

/// Returns every arrow between two rooms with one file that needs it.
fn arrows() -> BTreeMap<(String, String), PathBuf> {
    let import = Regex::new(r"\bcrate::([a-z_]+)\b").unwrap();
    let mut arrows = BTreeMap::new();
    for path in sources() {
        let room = room_of(&path);
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for found in import.captures_iter(line) {
                if found[1] != *room {
                    arrows.entry((room.clone(), found[1].to_owned())).or_insert(path.clone());
                }
            }
        }
    }
    arrows
}

/// Returns the Rust files of the rooms; `lib.rs` and `main.rs` are doors, not rooms.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.retain(|path| !path.ends_with("src/lib.rs") && !path.ends_with("src/main.rs"));
    found.sort();
    found
}

fn is_of_a_licence(line: &str) -> bool {
    ["#![", "    ", ")]"].iter().any(|start| line.starts_with(start)) || line.is_empty()
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}
