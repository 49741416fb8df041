//! Which measurements are trials of one cell, and which keys tell cells apart.

use indexmap::{IndexMap, IndexSet};

use crate::importers::measurement::Measurement;
use crate::metrics::axes::{ARRIVALS, MEAN_LENGTHS};

/// Mean lengths that differ by no more than this factor are one length: other prompts of the same
/// data set, or other answers to them. Lengths that are swept go by larger steps.
const SAME_LENGTH: f64 = 1.2;
const MODEL: &str = "model";
/// Value of what one file says and another does not.
const UNSAID: &str = "none";

/// Mean prompt and output tokens that were seen, all sides of a comparison together: what is one
/// length has one name on all of them.
#[derive(Debug, Default)]
pub(crate) struct Lengths([Vec<f64>; 2]);

impl Lengths {
    /// Returns the names of a measurement's lengths, where they are known.
    fn names(&mut self, means: [Option<f64>; 2]) -> Vec<(String, String)> {
        let told = MEAN_LENGTHS.iter().zip(&mut self.0).zip(means);
        let named = told.filter_map(|((key, seen), mean)| {
            let mean = mean.filter(|mean| *mean > 0.0)?;
            let is_same = |other: &&f64| (mean / **other).ln().abs() <= SAME_LENGTH.ln();
            let known = seen.iter().find(is_same).copied();
            if known.is_none() {
                seen.push(mean);
            }
            Some(((*key).to_owned(), format!("{:.0}", known.unwrap_or(mean))))
        });
        named.collect()
    }
}

/// Trials of one cell, and the keys that tell it from the others.
pub(super) type Trials = (IndexMap<String, String>, Vec<Measurement>);

/// Puts measurements together that were configured alike.
///
/// Keys are the model where there are several, what the tool always tells apart, what else of the
/// configuration differs at one load and model, and the load.
pub(super) fn cells(mut measurements: Vec<Measurement>, lengths: &mut Lengths) -> Vec<Trials> {
    let mut names: IndexSet<String> = [ARRIVALS.to_owned()].into();
    names.extend(measurements.iter().flat_map(|it| it.config.keys().cloned()));
    // A length that was asked for tells more than one that was counted.
    names.extend(MEAN_LENGTHS.map(str::to_owned));
    for it in &mut measurements {
        let arrivals = it.arrivals_word();
        it.config.extend(arrivals.map(|word| (ARRIVALS.to_owned(), word)));
        it.config.extend(lengths.names(it.tokens));
    }
    let models: IndexSet<&Option<String>> = measurements.iter().map(|it| &it.model).collect();
    let has_models = models.len() > 1;
    let always = |it: &Measurement| Some(format!("{:?}", (&it.model, &it.keys, it.load_keys())));
    let mut groups = split(vec![measurements], always);
    let mut told = Vec::new();
    for name in names {
        let n_before = groups.len();
        groups = split(groups, |it| value(it, &name));
        if groups.len() > n_before {
            told.push(name);
        }
    }
    let keys = |trials: &[Measurement]| {
        let first = &trials[0];
        let unsaid = || UNSAID.to_owned();
        let model =
            has_models.then(|| (MODEL.to_owned(), first.model.clone().unwrap_or_else(unsaid)));
        let told = told.iter().map(|name| {
            let said = trials.iter().find_map(|it| value(it, name));
            (name.clone(), said.unwrap_or_else(unsaid))
        });
        model.into_iter().chain(first.keys.clone()).chain(told).chain(first.load_keys()).collect()
    };
    groups.into_iter().map(|trials| (keys(&trials), trials)).collect()
}

/// Returns what a measurement says of a name; `None` for a length that it did not come to know.
fn value(it: &Measurement, name: &str) -> Option<String> {
    let unsaid = || (!MEAN_LENGTHS.contains(&name)).then(|| UNSAID.to_owned());
    it.config.get(name).cloned().or_else(unsaid)
}

/// Splits groups by a value; those without one go with the first that has one. The order of
/// measurements is kept within each.
fn split(
    groups: Vec<Vec<Measurement>>,
    value: impl Fn(&Measurement) -> Option<String>,
) -> Vec<Vec<Measurement>> {
    let of_group = |group: Vec<Measurement>| {
        let first = group.iter().find_map(&value);
        let mut by_value: IndexMap<Option<String>, Vec<Measurement>> = IndexMap::new();
        for it in group {
            by_value.entry(value(&it).or_else(|| first.clone())).or_default().push(it);
        }
        by_value.into_values()
    };
    groups.into_iter().flat_map(of_group).collect()
}
