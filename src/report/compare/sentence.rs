//! A comparison in one sentence for each side.

use std::cmp::Ordering;

use indexmap::IndexMap;

use crate::metrics::axes::{is_asked_by_name, is_load};
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Compared, ComparedCells, Comparison, Scale};
use crate::report::compare::{
    ANY, by_quantity, key_names, one_change, one_ended, range, trimmed, value,
};
use crate::report::number;
use crate::report::untrusted;
use crate::stats::verdict::Verdict;

/// Logarithm of the ratio of two changes that are told as one.
const SAME_CHANGE: f64 = 0.15;

/// Says of each side after the first what it is to the baseline.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let sentence = |side| format!("{}.", told(comparison, side, From::Candidate));
    (1..comparison.sides.len()).map(sentence).collect()
}

/// Says what the first side, which leads, is to each of the others; without a full stop.
pub(crate) fn of_leader(comparison: &Comparison) -> Vec<String> {
    (1..comparison.sides.len()).map(|side| told(comparison, side, From::Baseline)).collect()
}

/// Which of two sides a sentence is about.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Baseline,
    Candidate,
}

/// One quantity at the loads or in the cells where both sides have it.
struct Told {
    /// With the load of each row, ascending; without where cells differ in more than that.
    rows: Vec<(Option<f64>, Compared)>,
}

impl Told {
    fn rows(&self) -> Vec<&Compared> {
        self.rows.iter().map(|(_, row)| row).collect()
    }

    fn label(&self) -> String {
        self.rows[0].1.label()
    }

    fn is_open(&self) -> bool {
        self.rows.iter().all(|(_, row)| row.verdict == Verdict::Inconclusive)
    }
}

fn told(comparison: &Comparison, side: usize, from: From) -> String {
    let (name, other) = match from {
        From::Baseline => (&comparison.sides[0], &comparison.sides[side]),
        From::Candidate => (&comparison.sides[side], &comparison.sides[0]),
    };
    let (name, other) = (&untrusted::line(name), &untrusted::line(other));
    let words = Words::of(comparison);
    let all = by_load(comparison, side, from, &words);
    let lead = all.first().and_then(|first| words.lead(name, other, first, comparison.margin));
    let rest = all.iter().skip(usize::from(lead.is_some()));
    let (open, told): (Vec<&Told>, Vec<&Told>) = rest.partition(|told| told.is_open());
    let mut clauses: Vec<String> = told.into_iter().map(|told| words.clause(told)).collect();
    if from == From::Candidate {
        clauses.splice(0..0, lost(comparison, side));
    }
    if !open.is_empty() {
        let open: Vec<String> = open.into_iter().map(|told| words.seen(told)).collect();
        clauses.push(format!("not decided: {}", open.join(", ")));
    }
    match (lead, clauses.is_empty()) {
        (None, true) => format!("{name} and {other} have nothing that can be compared"),
        (None, false) => format!("{name} against {other}: {}", clauses.join("; ")),
        (Some(lead), true) => lead,
        (Some(lead), false) => format!("{lead}; {}", clauses.join("; ")),
    }
}

/// Says how many cells of a side failed, or were not measured to their end, that the baseline measured.
fn lost(comparison: &Comparison, side: usize) -> Vec<String> {
    let cells = || comparison.cells.iter().filter(|cells| cells.side == side);
    let of = number::counted(cells().count() as u64, "cell");
    let told = |how: &str, is_it: fn(&ComparedCells) -> bool| {
        let n = cells().filter(|cells| is_it(cells)).count();
        (n > 0).then(|| format!("{how} in {n} of {of}"))
    };
    let failed = told("FAILED", |cells| cells.is_lost && !cells.is_incomplete);
    failed.into_iter().chain(told("not measured to the end", |cells| cells.is_incomplete)).collect()
}

/// Returns what a side and the baseline have, output first: what an engine delivers comes before
/// how long each answer takes, and the start comes last.
fn by_load(comparison: &Comparison, side: usize, from: From, words: &Words) -> Vec<Told> {
    let mut blocks = by_quantity(comparison);
    blocks.sort_by_key(|(first, _)| match first.quantity.id() {
        MetricId::OutputThroughput => 0,
        MetricId::LoadTime => 2,
        _ => 1,
    });
    let told = blocks.into_iter().map(|(_, rows)| {
        let of_side = rows.into_iter().filter(|(cells, _)| cells.side == side);
        let mut rows: Vec<(Option<f64>, Compared)> = of_side
            .map(|(cells, row)| {
                let row = if from == From::Baseline { row.turned() } else { row.clone() };
                (words.load_of(&cells.keys), row)
            })
            .collect();
        rows.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        Told { rows }
    });
    told.filter(|told| !told.rows.is_empty()).collect()
}

/// How the places of a comparison are named.
struct Words {
    /// The only key that tells rows apart, where it is a load and has numbers for values.
    axis: Option<String>,
    /// What rows are called where they are only counted.
    noun: &'static str,
}

impl Words {
    fn of(comparison: &Comparison) -> Self {
        let keys = key_names(comparison);
        let noun = match keys.as_slice() {
            [key] if *key == "task" => "task",
            // What is asked by a name is load too, yet no size of it.
            keys if keys.iter().all(|key| is_load(key) && !is_asked_by_name(key)) => "load",
            _ => "cell",
        };
        let axis = match keys.as_slice() {
            [key] if is_load(key) => Some((*key).clone()),
            _ => None,
        };
        let is_number = |key: &String| {
            let values = comparison.cells.iter().filter_map(|cells| cells.keys.get(key));
            values.into_iter().all(|value| value.parse::<f64>().is_ok())
        };
        Self { axis: axis.filter(is_number), noun }
    }

    fn load_of(&self, keys: &IndexMap<String, String>) -> Option<f64> {
        keys.get(self.axis.as_ref()?)?.parse().ok()
    }

    /// Says the first thing in whole words where it is better or worse somewhere, the highest load
    /// first: what an engine delivers when it is full counts most.
    fn lead(&self, name: &str, other: &str, told: &Told, margin: f64) -> Option<String> {
        let is_called = |row: &Compared| matches!(row.verdict, Verdict::Better | Verdict::Worse);
        let mut groups = self.groups(told);
        groups.reverse();
        groups.sort_by_key(|group| match group.verdict() {
            Verdict::Better | Verdict::Worse => 0,
            Verdict::Equivalent => 1,
            Verdict::Inconclusive => 2,
        });
        let first = groups.first().filter(|group| is_called(group.rows[0]))?;
        if first.rows[0].scale != Scale::Ratio {
            return None;
        }
        let verdict = first.verdict();
        // One word at the end is the verdict of all: where groups differ, each has its own.
        let is_torn = groups.iter().any(|group| group.verdict() != verdict);
        let of_group = |(place, group): (usize, &Group<'_>)| {
            let (change, ends) = changes(&group.rows);
            let at = self.at(group, place == 0);
            match group.verdict() {
                called if place == 0 => {
                    let word = if is_torn { called.to_string() } else { String::new() };
                    let (label, ends) = (told.label(), in_brackets(&[&ends, &word]));
                    format!("{name} has {change}{ends} the {label} of {other}{at}")
                }
                Verdict::Equivalent => format!("the same within {} %{at}", trimmed(margin * 100.0)),
                Verdict::Inconclusive => format!("not decided{at}"),
                _ if !is_torn => format!("{change}{}{at}", in_brackets(&[&ends])),
                called => format!("{change}{}{at}", in_brackets(&[&ends, &called.to_string()])),
            }
        };
        let parts: Vec<String> = groups.iter().enumerate().map(of_group).collect();
        let word = if is_torn { String::new() } else { format!(": {verdict}") };
        Some(format!("{}{word}", parts.join(", ")))
    }

    /// Says what is known of one quantity: values of both sides at the lowest and at the highest
    /// load of each verdict.
    fn clause(&self, told: &Told) -> String {
        let label = told.label();
        if told.rows.len() > 1 && self.axis.is_none() {
            return clause(&label, &told.rows(), self.noun);
        }
        let order = [Verdict::Better, Verdict::Worse, Verdict::Equivalent, Verdict::Inconclusive];
        let parts = order.into_iter().filter_map(|verdict| {
            let of: Vec<_> = told.rows.iter().filter(|(_, row)| row.verdict == verdict).collect();
            let (first, last) = (of.first()?, of.last()?);
            let mut values = vec![self.values(first, told.rows.len() > 1)];
            if of.len() > 1 {
                values.push(self.values(last, true));
            }
            let values = values.join(", ");
            Some(match verdict {
                Verdict::Inconclusive => {
                    let loads: Vec<f64> = of.iter().filter_map(|(load, _)| *load).collect();
                    format!("not decided at {}", self.listed(&loads, true))
                }
                called => format!("{called}: {values}"),
            })
        });
        let parts: Vec<String> = parts.collect();
        format!("{label} {}", parts.join(", "))
    }

    fn values(&self, (load, row): &(Option<f64>, Compared), with_load: bool) -> String {
        let at =
            load.filter(|_| with_load).map(|load| format!(" at {}", self.listed(&[load], true)));
        format!(
            "{} against {} {}{}",
            value(row, &row.candidate),
            value(row, &row.baseline),
            row.unit,
            at.unwrap_or_default()
        )
    }

    /// Names a quantity of which nothing is decided, with the change where that is all there is.
    fn seen(&self, told: &Told) -> String {
        let label = told.label();
        match (told.rows.as_slice(), changes(&told.rows())) {
            ([only], (change, ends)) if ends.is_empty() => {
                format!("{label} ({}, {change})", self.values(only, false))
            }
            ([only], (_, ends)) if ends == ANY => {
                format!("{label} ({}, which may be any change)", self.values(only, false))
            }
            ([only], (_, ends)) => {
                let unit = match only.1.scale {
                    Scale::Ratio => "×".to_owned(),
                    Scale::Points => " points".to_owned(),
                    Scale::Difference => format!(" {}", only.1.unit),
                };
                format!("{label} ({}, {ends}{unit})", self.values(only, false))
            }
            (rows, (change, ends))
                if ends.is_empty() && rows.iter().any(|(_, row)| row.interval.is_none()) =>
            {
                format!("{label} ({change} seen)")
            }
            _ => label,
        }
    }

    /// Parts rows into runs of neighbouring loads with one verdict and about one change.
    fn groups<'a>(&self, told: &'a Told) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let n_all = told.rows.len();
        for (place, (load, row)) in told.rows.iter().enumerate() {
            let is_near = |group: &Group<'_>| {
                let first = group.rows[0];
                let apart = (first.change / row.change).ln().abs();
                let is_alike = (first.verdict, first.scale) == (row.verdict, row.scale);
                is_alike && (self.axis.is_none() || apart < SAME_CHANGE)
            };
            let known = if self.axis.is_some() {
                groups.last_mut().filter(|group| is_near(group))
            } else {
                groups.iter_mut().find(|group| is_near(group))
            };
            let is_last = place + 1 == n_all;
            match known {
                Some(group) => {
                    group.rows.push(row);
                    group.loads.extend(*load);
                    group.is_last = is_last;
                }
                None => groups.push(Group {
                    rows: vec![row],
                    loads: load.iter().copied().collect(),
                    is_last,
                    n_all,
                }),
            }
        }
        groups
    }

    fn at(&self, group: &Group<'_>, with_unit: bool) -> String {
        let n = group.rows.len();
        match (n, group.loads.as_slice()) {
            _ if group.n_all == 1 => String::new(),
            (n, loads) if loads.len() < n || n == group.n_all => at(n, group.n_all, self.noun),
            (1, loads) => format!(" at {}", self.listed(loads, with_unit)),
            (_, [first, ..]) if group.is_last => {
                format!(" from {} on", self.listed(&[*first], with_unit))
            }
            (2, loads) => format!(" at {}", self.listed(loads, with_unit)),
            (_, [first, .., last]) => {
                let ends = self.listed(&[*last], with_unit);
                format!(" from {first} to {ends}")
            }
            _ => String::new(),
        }
    }

    /// Names one or two loads and more.
    fn listed(&self, loads: &[f64], with_unit: bool) -> String {
        let key = self.axis.as_deref().unwrap_or_default();
        if with_unit {
            return load_words(key, loads);
        }
        listed(loads)
    }
}

/// Names loads by what a key counts: `1 stream`, `16 and 64 streams`, `20 req/s`.
pub(crate) fn load_words(key: &str, loads: &[f64]) -> String {
    let all = listed(loads);
    match key.rsplit('.').next().unwrap_or(key) {
        "concurrency" if loads == [1.0] => "1 stream".to_owned(),
        "concurrency" => format!("{all} streams"),
        "rate" => format!("{all} req/s"),
        "batch" => format!("batches of {all}"),
        name => format!("{} {all}", untrusted::line(name)),
    }
}

fn listed(loads: &[f64]) -> String {
    let all: Vec<String> = loads.iter().map(f64::to_string).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => all.concat(),
    }
}

/// Rows of neighbouring loads that are told as one.
struct Group<'a> {
    rows: Vec<&'a Compared>,
    /// The load of each row, where rows differ in it alone.
    loads: Vec<f64>,
    /// Whether the highest load is among them.
    is_last: bool,
    /// Rows of all groups.
    n_all: usize,
}

impl Group<'_> {
    fn verdict(&self) -> Verdict {
        self.rows[0].verdict
    }
}

/// Says what is known of one quantity: each verdict with its range, in the order in which it
/// matters.
fn clause(label: &str, rows: &[&Compared], noun: &str) -> String {
    let order = [Verdict::Worse, Verdict::Better, Verdict::Equivalent, Verdict::Inconclusive];
    let parts = order.iter().flat_map(|verdict| {
        let of = rows.iter().copied().filter(|row| row.verdict == *verdict);
        let (ratios, others): (Vec<&Compared>, Vec<&Compared>) =
            of.partition(|row| row.scale == Scale::Ratio);
        let of = [ratios, others].into_iter().filter(|of| !of.is_empty());
        of.map(|of| part(*verdict, &of, rows.len(), noun)).collect::<Vec<_>>()
    });
    let parts: Vec<String> = parts.collect();
    format!("{label} {}", parts.join(", "))
}

fn at(n: usize, n_all: usize, noun: &str) -> String {
    match n {
        _ if n_all == 1 => String::new(),
        n if n == n_all => format!(" at each of {n_all} {noun}s"),
        n => format!(" at {n} of {n_all} {noun}s"),
    }
}

fn part(verdict: Verdict, rows: &[&Compared], n_all: usize, noun: &str) -> String {
    let at = at(rows.len(), n_all, noun);
    let (change, ends) = changes(rows);
    match verdict {
        Verdict::Equivalent => format!("equivalent{at}"),
        Verdict::Inconclusive => format!("not decided{at}"),
        Verdict::Better | Verdict::Worse => {
            format!("{verdict}{at}{}", in_brackets(&[&change, &ends]))
        }
    }
}

/// Puts what is said behind something into brackets; nothing where nothing is said.
fn in_brackets(parts: &[&str]) -> String {
    let said: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

/// Returns the least and the greatest change, and the interval that holds all intervals, which is
/// empty where a row has none or the change is told by the only end that is known.
fn changes(rows: &[&Compared]) -> (String, String) {
    let least = |of: &dyn Fn(&Compared) -> f64| {
        rows.iter().map(|row| of(row)).fold(f64::INFINITY, f64::min)
    };
    let most = |of: &dyn Fn(&Compared) -> f64| -least(&|row| -of(row));
    let scale = rows[0].scale;
    let (low, high) = (least(&|row| row.change), most(&|row| row.change));
    let ends = |row: &Compared| row.interval.unwrap_or((row.change, row.change));
    let all = (least(&|row| ends(row).0), most(&|row| ends(row).1));
    let all = Some(all).filter(|_| rows.iter().all(|row| row.interval.is_some()));
    if let Some(told) = all.and_then(|all| one_ended(scale, all)) {
        return (told, String::new());
    }
    let (one, other) = (one_change(scale, low, all), one_change(scale, high, all));
    let (unit, to) = match scale {
        Scale::Ratio => ("×", "–"),
        Scale::Points => (" points", " to "),
        Scale::Difference => ("", " to "),
    };
    let told =
        if one == other { one } else { format!("{}{to}{other}", one.trim_end_matches(unit)) };
    (told, all.map_or_else(String::new, |(low, high)| range(scale, low, high)))
}
