//! The faces of a comparison: what its table, its sentences and its notes say.

pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod markdown;
pub(crate) mod sentence;
pub(crate) mod terminal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::ids::with_short_digests;
use crate::metrics::axes::is_load;
use crate::metrics::bounds::is_unlimited;
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{
    Compared, ComparedCells, Comparison, Difference, NotShown, OFFERED, Place, Sample, Scale,
};
use crate::report::number::{self, ABSENT, AT_LEAST, is_any, rounded};
use crate::report::untrusted;
use crate::report::view::gates::{GateView, gates};
use crate::report::view::table::{Column, Table, TableCell, Tone};
use crate::stats::verdict::Verdict;
use crate::units::decimals_for;

/// What stands where nothing is decided.
const OPEN: &str = "~";

/// A comparison made ready to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ComparisonView {
    /// Names of the sides with what they stand for, the baseline first.
    pub sides: Vec<(String, String)>,
    /// The answer, one sentence for each side after the first.
    pub sentences: Vec<String>,
    /// One row per cell and quantity.
    pub table: Table,
    /// Verdicts of the table's rows, in their order; of a mean over cells there is none.
    pub verdicts: Vec<Option<Verdict>>,
    /// How verdicts came about.
    pub rules: String,
    /// Doubts by number.
    pub doubts: Vec<String>,
    /// Cells whose numbers are not compared, cells without a counterpart, files that are no part of a
    /// side, and numbers that no row shows.
    pub left_out: Vec<String>,
    /// What else is not the same.
    pub differences: Vec<String>,
    /// Gates, those that were not passed first.
    pub gates: Vec<GateView>,
}

impl ComparisonView {
    /// Makes a comparison ready; `sides` says what each of its names stands for.
    pub(crate) fn new(comparison: &Comparison, sides: &[String]) -> Self {
        let marks = Marks::of(comparison);
        let (table, verdicts) = table(comparison, &marks);
        let names = comparison.sides.iter().map(|name| untrusted::line(name));
        Self {
            sides: names.zip(sides.iter().map(|side| untrusted::line(side))).collect(),
            sentences: sentence::sentences(comparison),
            table,
            verdicts,
            rules: rules(comparison),
            doubts: marks.told(comparison),
            left_out: left_out(comparison),
            differences: differences(comparison),
            gates: gates(&comparison.gates),
        }
    }
}

/// Numbers of the kinds of doubt, in the order in which they come.
struct Marks {
    by_code: BTreeMap<String, usize>,
}

impl Marks {
    fn of(comparison: &Comparison) -> Self {
        let mut by_code = BTreeMap::new();
        for doubt in comparison.cells.iter().flat_map(|cells| &cells.doubts) {
            let next = by_code.len() + 1;
            by_code.entry(doubt.caveat.code.to_string()).or_insert(next);
        }
        Self { by_code }
    }

    fn of_row(&self, cells: &ComparedCells, metric: MetricId) -> Vec<usize> {
        let touches = |metrics: &[MetricId]| metrics.is_empty() || metrics.contains(&metric);
        let doubts = cells.doubts.iter().filter(|doubt| touches(&doubt.caveat.metrics));
        let mut marks: Vec<usize> = doubts.map(|doubt| self.by_code[&*doubt.caveat.code]).collect();
        marks.sort_unstable();
        marks.dedup();
        marks
    }

    /// Tells each kind once, with the first place where it was seen.
    fn told(&self, comparison: &Comparison) -> Vec<String> {
        let mut told = vec![String::new(); self.by_code.len()];
        let mut n_more = vec![0_u64; self.by_code.len()];
        let doubts = comparison
            .cells
            .iter()
            .flat_map(|cells| cells.doubts.iter().map(move |doubt| (cells, doubt)));
        for (cells, doubt) in doubts {
            let place = self.by_code[&*doubt.caveat.code] - 1;
            if !told[place].is_empty() {
                n_more[place] += 1;
                continue;
            }
            let cell = if doubt.side == 0 { &cells.baseline } else { &cells.candidate };
            told[place] = format!(
                "[{}] {}, {}: {}",
                place + 1,
                comparison.sides[doubt.side],
                cell,
                doubt.caveat.what,
            );
        }
        let line = |(text, n_more): (String, u64)| match n_more {
            0 => untrusted::line(&text),
            n => format!("{} (and {n} more)", untrusted::line(&text)),
        };
        told.into_iter().zip(n_more).map(line).collect()
    }
}

/// Returns quantities in the order in which they come, each with its rows.
fn by_quantity(comparison: &Comparison) -> Vec<(&Compared, Vec<(&ComparedCells, &Compared)>)> {
    let mut blocks: Vec<(&Compared, Vec<(&ComparedCells, &Compared)>)> = Vec::new();
    for cells in &comparison.cells {
        for row in &cells.rows {
            let is_same = |first: &Compared| {
                first.quantity == row.quantity && first.extractor == row.extractor
            };
            match blocks.iter_mut().find(|(first, _)| is_same(first)) {
                Some((_, rows)) => rows.push((cells, row)),
                None => blocks.push((row, vec![(cells, row)])),
            }
        }
    }
    blocks
}

pub(crate) fn key_names(comparison: &Comparison) -> Vec<&String> {
    let mut names: Vec<&String> = Vec::new();
    for key in comparison.cells.iter().flat_map(|cells| cells.keys.keys()) {
        if !names.contains(&key) {
            names.push(key);
        }
    }
    names
}

fn table(comparison: &Comparison, marks: &Marks) -> (Table, Vec<Option<Verdict>>) {
    let keys = key_names(comparison);
    let has_several = comparison.sides.len() > 2;
    let baseline = untrusted::line(&comparison.sides[0]);
    let candidate =
        if has_several { "against".to_owned() } else { untrusted::line(&comparison.sides[1]) };
    let mut columns = vec![Column::words("quantity", 0), Column::words("unit", 0)];
    columns.extend(keys.iter().map(|key| Column::words(untrusted::line(key), 0)));
    if has_several {
        columns.push(Column::words("side", 0));
    }
    columns.push(Column::numbers(baseline, "", 2));
    columns.push(Column::numbers(candidate, "", 2));
    columns.push(Column::numbers("change", "", 0));
    columns.push(Column::words("verdict", 0));
    columns.push(Column::numbers("p", "", 4));
    columns.push(Column::numbers("n", "", 5));
    columns.push(Column::words("would decide", 3));
    let (mut rows, mut verdicts) = (Vec::new(), Vec::new());
    let fixed = Fixed { keys: &keys, has_several, n_columns: columns.len() };
    for (_, block) in by_quantity(comparison) {
        for &(cells, row) in &block {
            rows.push(fixed.row(comparison, cells, row, marks));
            verdicts.push(Some(row.verdict));
        }
        for side in 1..comparison.sides.len() {
            let of_side: Vec<&Compared> =
                block.iter().filter(|(cells, _)| cells.side == side).map(|(_, row)| *row).collect();
            if of_side.len() > 1 && of_side.iter().all(|row| row.scale == Scale::Ratio) {
                rows.push(fixed.mean_row(comparison, side, &of_side));
                verdicts.push(None);
            }
        }
    }
    let table = Table { columns, rows: rows.into(), left_out: String::new() };
    (table.without_empty_columns(), verdicts)
}

/// What all rows of a table share.
struct Fixed<'a> {
    keys: &'a [&'a String],
    has_several: bool,
    n_columns: usize,
}

impl Fixed<'_> {
    fn row(
        &self,
        comparison: &Comparison,
        cells: &ComparedCells,
        row: &Compared,
        marks: &Marks,
    ) -> Vec<TableCell> {
        let is_of_start = row.quantity.id() == MetricId::LoadTime;
        let mut line = vec![TableCell::text(row.label()), unit_cell(row)];
        line[0].marks = marks.of_row(cells, row.quantity.id()).into();
        line.extend(self.keys.iter().map(|key| {
            // An engine starts before it is known what load it will bear.
            let value = cells.keys.get(*key).filter(|_| !(is_of_start && is_load(key)));
            TableCell::text(untrusted::line(value.map_or("", String::as_str)))
        }));
        if self.has_several {
            line.push(TableCell::text(untrusted::line(&comparison.sides[cells.side])));
        }
        line.extend([value_cell(row, &row.baseline), value_cell(row, &row.candidate)]);
        line.push(TableCell { note: (*row.note).into(), ..TableCell::text(change(row)) });
        line.push(verdict_cell(row.verdict));
        line.push(TableCell::text(row.p_value.map_or_else(String::new, p_value)));
        line.push(TableCell::text(counts(&row.baseline, &row.candidate)));
        line.push(TableCell::text(would_decide(row)));
        line
    }

    /// The geometric mean over cells, which no single cell decides.
    fn mean_row(&self, comparison: &Comparison, side: usize, rows: &[&Compared]) -> Vec<TableCell> {
        let mean = |of: &dyn Fn(&Compared) -> f64| {
            (rows.iter().map(|row| of(row).ln()).sum::<f64>() / rows.len() as f64).exp()
        };
        let mut line = vec![TableCell::text(rows[0].label()), unit_cell(rows[0])];
        line.extend(
            self.keys
                .iter()
                .enumerate()
                .map(|(at, _)| TableCell::faint(if at == 0 { "geomean" } else { "" })),
        );
        if self.has_several {
            line.push(TableCell::text(untrusted::line(&comparison.sides[side])));
        }
        // Of lower bounds no more than a lower bound is known, and nothing of the ratio of two.
        let is_least = |of: fn(&Compared) -> &Sample| rows.iter().any(|row| of(row).is_least);
        let (least_before, least_now) =
            (is_least(|row| &row.baseline), is_least(|row| &row.candidate));
        let bounded = |is_least: bool, text: String| {
            if is_least { format!("{AT_LEAST}{text}") } else { text }
        };
        let change = number::times(mean(&|row| row.change));
        line.extend([
            TableCell::text(bounded(least_before, rounded(mean(&|row| row.baseline.value)))),
            TableCell::text(bounded(least_now, rounded(mean(&|row| row.candidate.value)))),
            TableCell::text(match (least_before, least_now) {
                (true, true) => ABSENT.to_owned(),
                (true, false) => format!("{AT_MOST}{change}"),
                (false, least_now) => bounded(least_now, change),
            }),
        ]);
        line.resize(self.n_columns, TableCell::default());
        line
    }
}

/// A cell of its own: a long name that is cut leaves the unit.
fn unit_cell(row: &Compared) -> TableCell {
    TableCell::text(row.unit.to_string())
}

fn value_cell(row: &Compared, sample: &Sample) -> TableCell {
    let text = value(row, sample);
    // How far lower bounds of trials lie apart says nothing of the numbers.
    let spread = sample.spread.filter(|_| !sample.is_least);
    let spread = spread.map_or_else(String::new, |share| format!("± {}", percent(share)));
    TableCell { spread: spread.into(), ..TableCell::text(text) }
}

/// Returns a side's value without its unit: `662`, `≥ 662`.
fn value(row: &Compared, sample: &Sample) -> String {
    let least = if sample.is_least { AT_LEAST } else { "" };
    format!("{least}{}", number::printed(sample.value, None, &row.unit).value)
}

/// Returns a deviation in per cent, with a digit behind the point where it is small.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 0.05 {
        "0.0 %".to_owned()
    } else {
        format!("{percent:.*} %", usize::from(percent < 9.95))
    }
}

/// Returns the change with its interval: `1.90× (1.85–1.95)`, `-1.2 (-2.0–-0.4)`.
pub(crate) fn change(row: &Compared) -> String {
    change_of(row.scale, row.change, row.interval)
}

/// Returns the change without its interval: `1.90×`.
pub(crate) fn change_alone(row: &Compared) -> String {
    one_change(row.scale, row.change, row.interval)
}

/// Returns the interval of a change: `1.85–1.95`; `None` where the change is told by its only end.
pub(crate) fn interval(row: &Compared) -> Option<String> {
    let ends = row.interval.filter(|ends| one_ended(row.scale, *ends).is_none());
    ends.map(|(low, high)| range(row.scale, low, high))
}

/// Prints a change on its scale, with its interval where there is one.
pub(crate) fn change_of(scale: Scale, change: f64, interval: Option<(f64, f64)>) -> String {
    let told = one_change(scale, change, interval);
    match interval {
        Some((low, high)) if one_ended(scale, (low, high)).is_none() => {
            format!("{told} ({})", range(scale, low, high))
        }
        _ => told,
    }
}

/// Returns a change with as many digits as its interval has: rounded alike, it lies within it.
fn one_change(scale: Scale, change: f64, interval: Option<(f64, f64)>) -> String {
    if let Some(told) = interval.and_then(|ends| one_ended(scale, ends)) {
        return told;
    }
    match (scale, interval) {
        (Scale::Ratio, Some((low, high))) if !is_any(low, high) => {
            format!("{change:.*}×", decimals(low, high))
        }
        (Scale::Ratio, _) => number::times(change),
        (Scale::Points, _) => format!("{} points", points(change)),
        (Scale::Difference, _) => signed(change),
    }
}

/// Returns a ratio of which one end alone is known, as one to a lower bound is: `≥ 2.05×`.
fn one_ended(scale: Scale, (low, high): (f64, f64)) -> Option<String> {
    match (low <= 0.0, is_unlimited(high)) {
        _ if scale != Scale::Ratio || is_any(low, high) => None,
        (false, true) => Some(format!("{AT_LEAST}{}", number::times(low))),
        (true, false) => Some(format!("{AT_MOST}{}", number::times(high))),
        _ => None,
    }
}

/// Prints a difference of shares with its sign; a rounded-away one has none.
fn points(difference: f64) -> String {
    let text = format!("{difference:+.1}");
    if text == "-0.0" { "+0.0".to_owned() } else { text }
}

/// Prints a difference with its sign, rounded as a value is.
fn signed(difference: f64) -> String {
    let sign = if difference > 0.0 { "+" } else { "" };
    format!("{sign}{}", rounded(difference))
}

/// Ends of a change of which nothing is known.
const ANY: &str = "any";

/// What stands before the most that a ratio can be.
const AT_MOST: &str = "≤ ";

fn range(scale: Scale, low: f64, high: f64) -> String {
    match scale {
        Scale::Ratio if is_any(low, high) => ANY.to_owned(),
        Scale::Ratio => format!("{low:.*}–{high:.*}", decimals(low, high), decimals(low, high)),
        Scale::Points => format!("{} to {}", points(low), points(high)),
        Scale::Difference => format!("{} to {}", signed(low), signed(high)),
    }
}

/// Two decimals show most ratios; one that is nearer to its other end, or to 0, needs more.
fn decimals(low: f64, high: f64) -> usize {
    match high - low {
        _ if low < 0.01 => decimals_for(low, 2),
        _ if low >= 10.0 => decimals_for(low, 3),
        apart if apart < 0.02 => 3,
        _ => 2,
    }
}

fn verdict_cell(verdict: Verdict) -> TableCell {
    let (text, tone) = match verdict {
        Verdict::Better => ("better", Tone::Good),
        Verdict::Worse => ("worse", Tone::Bad),
        Verdict::Equivalent => ("equivalent", Tone::Plain),
        Verdict::Inconclusive => (OPEN, Tone::Faint),
    };
    TableCell { tone, ..TableCell::text(text) }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

fn counts(one: &Sample, other: &Sample) -> String {
    if one.n == other.n { one.n.to_string() } else { format!("{}+{}", one.n, other.n) }
}

fn would_decide(row: &Compared) -> String {
    let what = if row.quantity.id() == MetricId::LoadTime { "starts" } else { "trials" };
    match row.n_to_decide {
        Some(n) => format!("{n} {what}"),
        None if *row.note == *OFFERED => "a higher rate".to_owned(),
        None if row.verdict == Verdict::Inconclusive && row.scale != Scale::Points => {
            format!("more {what}")
        }
        None => String::new(),
    }
}

fn rules(comparison: &Comparison) -> String {
    let alpha = trimmed(comparison.alpha * 100.0);
    let margin = trimmed(comparison.margin * 100.0);
    match comparison.n_judged {
        0 => {
            "One trial on a side: no verdict. The spread between trials decides; set `trials` to 5."
                .to_owned()
        }
        n => format!(
            "Numbers of all trials ± deviation between them. {} a chance of error of \
             {alpha} % (intervals of {} %); equivalent: within {margin} %. {OPEN}: not decided.",
            if n == 1 { "One verdict has".to_owned() } else { format!("{n} verdicts share") },
            trimmed(comparison.level * 100.0),
        ),
    }
}

/// Writes a percentage with as many digits as it has, at most three.
fn trimmed(percent: f64) -> String {
    let text = format!("{percent:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn left_out(comparison: &Comparison) -> Vec<String> {
    let not_compared = comparison.cells.iter().filter_map(|cells| {
        let reason = cells.not_compared.as_ref()?;
        Some(untrusted::line(&format!(
            "not compared with {}: {reason}",
            comparison.sides[cells.side]
        )))
    });
    let unmatched = unmatched(comparison);
    let files = comparison.left_out.iter().map(|file| {
        untrusted::line(&format!("not in {}: {}", comparison.sides[file.side], file.what))
    });
    let numbers = comparison.not_shown.iter().map(|it| not_shown(&comparison.sides, it));
    not_compared.chain(unmatched).chain(files).chain(numbers).collect()
}

fn not_shown(sides: &[String], number: &NotShown) -> String {
    match number {
        NotShown::TooFew { quantity, side, cell, why, n_more } => {
            let more = if *n_more > 0 { format!(" (and {n_more} more)") } else { String::new() };
            let label = quantity.label();
            untrusted::line(&format!("{label} of {}, {cell}: {why}{more}", sides[*side]))
        }
        NotShown::NotAsked(metrics) => {
            let labels: Vec<&str> = metrics.iter().map(|metric| metric.row().name).collect();
            format!("not among the main numbers, `--all` compares them: {}", labels.join(", "))
        }
    }
}

/// Tells each cell without a counterpart, with what of its load keeps it apart; one that no other side
/// has once.
fn unmatched(comparison: &Comparison) -> impl Iterator<Item = String> {
    let sides = &comparison.sides;
    let mut n_without: BTreeMap<&str, usize> = BTreeMap::new();
    for place in comparison.unmatched.iter().filter(|place| place.side == 0) {
        *n_without.entry(&place.cell).or_default() += 1;
    }
    let is_nowhere =
        move |place: &Place| place.side == 0 && n_without[&*place.cell] + 1 == sides.len();
    comparison.unmatched.iter().filter_map(move |place| {
        let load: Vec<String> =
            place.load.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let load = if load.is_empty() { String::new() } else { format!(" ({})", load.join(", ")) };
        let (side, other) = (&sides[place.side], &sides[place.other]);
        let whose = match (sides.len(), is_nowhere(place)) {
            (2, _) => format!("only in {side}"),
            (_, true) if place.other > 1 => return None,
            (_, true) => format!("only in {side}"),
            (_, false) => format!("in {side}, not in {other}"),
        };
        Some(untrusted::line(&format!("{whose}: {}{load}", place.cell)))
    })
}

fn differences(comparison: &Comparison) -> Vec<String> {
    // Each by itself: the end of a long command must not take what it is compared with away.
    let shown = |value: &str| match untrusted::line(&with_short_digests(value)) {
        value if value.is_empty() => "none".to_owned(),
        value => value,
    };
    let line = |it: &Difference| {
        let what = untrusted::line(&it.what);
        let text = format!("{what}: {} -> {}", shown(&it.baseline), shown(&it.candidate));
        match comparison.sides.len() {
            2 => text,
            _ => format!("{}: {text}", untrusted::line(&comparison.sides[it.side])),
        }
    };
    comparison.differences.iter().map(line).collect()
}
