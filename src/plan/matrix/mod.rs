//! The matrix: swept keys, their product, the zipped keys and the excluded cells.

mod exclude;
mod sweep;

use indexmap::IndexMap;
use toml::{Table, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::matrix::exclude::{excludes, matches};
use crate::plan::matrix::sweep::{Axis, Key, Target, axes};
use crate::scenario::Scenario;
use crate::scenario::check::is_warm_up;

/// Most cells of a plan.
pub const MAX_CELLS: usize = 10_000;

/// One combination.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    /// Swept keys and values as text, engine first.
    pub(crate) keys: IndexMap<String, String>,
    /// Engine name.
    pub(crate) engine: String,
    /// Data set name.
    pub(crate) dataset: String,
    /// Score name.
    pub(crate) score: Option<String>,
    /// The scenario with the swept keys set, without the lists that they are swept over.
    pub(crate) tree: Table,
}

/// Returns all combinations, in the order of the matrix.
///
/// Each is made when it is asked for: a combination holds the whole scenario, so that
/// thousands of them at once would be thousands of scenarios.
pub(crate) fn combinations<'a>(
    scenario: &'a Scenario,
    found: &mut Diagnostics,
) -> impl Iterator<Item = Combination> + use<'a> {
    let axes = axes(scenario, found);
    let numbers = numbers(scenario, &axes, found);
    // No cell asks for the lists that all cells are made from.
    let mut base = scenario.tree.clone();
    base.remove("matrix");
    numbers.into_iter().filter_map(move |number| combination(scenario, &axes, &base, number))
}

/// Returns the numbers of the combinations that the plan keeps.
fn numbers(scenario: &Scenario, axes: &[Axis], found: &mut Diagnostics) -> Vec<usize> {
    let excludes = excludes(scenario, axes, found);
    // Counted before anything is built: a product of lists is quickly written and huge.
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.rows.len()));
    if count.is_none_or(|count| count > MAX_CELLS) {
        let lengths: Vec<String> = axes.iter().map(|axis| axis.rows.len().to_string()).collect();
        let message = format!(
            "the matrix has {} = {} cells; at most {MAX_CELLS} are run",
            lengths.join(" x "),
            count.map_or("more than 2^64".to_string(), |count| count.to_string()),
        );
        found.push(
            Diagnostic::error("scenario/too-many-cells", message)
                .label(scenario.at(&["matrix"], ""))
                .help("sweep fewer values, or `zip` keys that belong together"),
        );
        return Vec::new();
    }
    let mut used = vec![false; excludes.len()];
    let mut numbers = Vec::new();
    for number in 0..count.unwrap_or(0) {
        let Some(chosen) = Chosen::of(scenario, axes, number) else { continue };
        match excludes.iter().position(|exclude| matches(exclude, &chosen.keys())) {
            Some(which) => used[which] = true,
            None => numbers.push(number),
        }
    }
    // With a mistake among the swept keys, what matches nothing may be right.
    if found.has_errors() {
        return numbers;
    }
    for (idx, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
        let label = scenario.layers.value(&["matrix", "exclude", &idx.to_string()], "");
        found.push(
            Diagnostic::warning("scenario/exclude", "this entry of `exclude` leaves nothing out")
                .label(label)
                .help("its keys and values are those of `[matrix]`"),
        );
    }
    if numbers.is_empty() {
        found.push(
            Diagnostic::error("scenario/no-cells", "no cell is left")
                .label(scenario.at(&["matrix"], ""))
                .help("`exclude` leaves all out, or a list is empty"),
        );
    }
    numbers
}

/// The values that one combination takes.
struct Chosen<'a> {
    engine: String,
    dataset: String,
    score: Option<String>,
    /// Swept keys that matter to this combination.
    assigned: Vec<(&'a Key, &'a Value)>,
}

impl<'a> Chosen<'a> {
    /// Returns the choice of that number; `None` where an axis of another engine has moved on.
    fn of(scenario: &Scenario, axes: &'a [Axis], number: usize) -> Option<Self> {
        let mut rest = number;
        let mut rows = vec![0; axes.len()];
        for (row, axis) in rows.iter_mut().zip(axes).rev() {
            *row = rest % axis.rows.len();
            rest /= axis.rows.len();
        }
        let mut assigned: Vec<(&Key, &Value)> = axes
            .iter()
            .zip(&rows)
            .flat_map(|(axis, row)| axis.keys.iter().zip(&axis.rows[*row]))
            .collect();
        let name_of = |target: &Target, section: &str| {
            let swept = assigned.iter().find(|(key, _)| key.target == *target);
            swept.map(|(_, value)| text(value)).or_else(|| scenario.names(section).first().cloned())
        };
        // Without one, which is told already, the other is checked.
        let engine = name_of(&Target::Engine, "engine").unwrap_or_default();
        let dataset = name_of(&Target::Dataset, "dataset").unwrap_or_default();
        let score = name_of(&Target::Score, "score");
        let is_mine = |key: &Key| match &key.target {
            Target::Path(path) => match path.first().map(String::as_str) {
                Some("engine") => path.get(1) == Some(&engine),
                Some("dataset") => path.get(1) == Some(&dataset),
                _ => true,
            },
            _ => true,
        };
        // Another engine's option does not multiply this engine's cells.
        if axes.iter().zip(&rows).any(|(axis, row)| *row > 0 && !axis.keys.iter().any(is_mine)) {
            return None;
        }
        assigned.retain(|(key, _)| is_mine(key));
        Some(Self { engine, dataset, score, assigned })
    }

    fn keys(&self) -> IndexMap<String, String> {
        let assigned = self.assigned.iter().map(|(key, value)| (key.written.clone(), text(value)));
        std::iter::once(("engine".to_string(), self.engine.clone())).chain(assigned).collect()
    }
}

fn combination(
    scenario: &Scenario,
    axes: &[Axis],
    base: &Table,
    number: usize,
) -> Option<Combination> {
    let chosen = Chosen::of(scenario, axes, number)?;
    let keys = chosen.keys();
    let Chosen { engine, dataset, score, assigned } = chosen;
    let mut tree = base.clone();
    for (key, value) in assigned {
        match &key.target {
            Target::Engine | Target::Dataset | Target::Score => {}
            Target::OfEngine => set(&mut tree, &["engine", &engine, &key.written], value),
            Target::OfDataset => set(&mut tree, &["dataset", &dataset, &key.written], value),
            Target::OfPhases => {
                for phase in scenario.names("phase") {
                    let table = tree.get("phase").and_then(|phases| phases.get(&phase));
                    let warms_up = table
                        .and_then(Value::as_table)
                        .is_some_and(|table| is_warm_up(&phase, table));
                    if !warms_up {
                        set(&mut tree, &["phase", &phase, &key.written], value);
                    }
                }
            }
            Target::Path(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                set(&mut tree, &path, value);
            }
        }
    }
    Some(Combination { keys, engine, dataset, score, tree })
}

fn set(table: &mut Table, path: &[&str], value: &Value) {
    match path {
        [] => {}
        [key] => {
            table.insert((*key).to_string(), value.clone());
        }
        [key, rest @ ..] => {
            let inner = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// Returns a value as names and tables show it: strings without quotes.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
