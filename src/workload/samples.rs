//! The rows of a data set that a trial draws its requests from.

use std::borrow::Cow;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::sync::Arc;

use crate::chat_template::Variables;
use crate::record::trial::{DatasetRecord, TraceRecord};
use crate::workload::bad_rows::told_kinds;
use crate::workload::chat::{Chat, Spoken};
use crate::workload::dataset::generated::Maker;
use crate::workload::error::DataError;
use crate::workload::request::{Prompt, Sample};

/// Usable rows in the order in which they are sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Measured rows first, then those kept for warm-up.
    pub(super) rows: Vec<Sample>,
    /// Makes the prompts of rows that have a length alone.
    pub(super) maker: Option<Arc<Maker>>,
    pub(super) reserve: usize,
    /// Goes in front of each prompt: worked examples. Kept once, not once per row.
    pub(super) prefix: String,
    /// The same by subject, where each has examples of its own.
    pub(super) prefixes: BTreeMap<String, String>,
    /// System message of all rows.
    pub(super) system: Option<String>,
    pub(super) cycle: bool,
    /// Renders prompts as the model reads them, when they are to be sent so.
    pub(super) chat: Option<Chat>,
    /// Renders messages as an engine would, where the model's template is known.
    pub(super) template: Option<Chat>,
    /// Variables that a chat template is told by the engine.
    pub(super) variables: Variables,
    /// Usable rows, after the plan's limit.
    pub n_samples: u64,
    /// Distinct prompts among them.
    pub n_distinct: u64,
    /// Rows left out, by reason.
    pub left_out: Vec<(String, u64)>,
    /// The first of them that cannot be used: where it is, and why.
    pub first_bad: Option<String>,
    /// Columns of the first row.
    pub columns: Vec<String>,
    /// Parts that columns of the first row play, with their names.
    pub roles: Vec<(&'static str, String)>,
    /// Rows that are sent with a change, by what was changed.
    pub changed: Vec<(String, u64)>,
    /// What is known of the times, where they are replayed.
    pub trace: Option<TraceRecord>,
    /// Rows that were looked at, where the lengths of others decide over their use but not
    /// over what is sent; absent when all were.
    pub n_looked_at: Option<u64>,
    /// SHA-256 of the recipe, for data that is generated.
    pub recipe_sha256: Option<String>,
}

impl Samples {
    /// Returns the same rows, sent as a model's chat template renders them: here or at the engine,
    /// which is told these variables.
    #[must_use]
    pub(crate) fn told(self, spoken: Spoken) -> Self {
        let Spoken { chat, template, variables } = spoken;
        Self { chat, template, variables, ..self }
    }

    /// Returns what goes in front of a row's prompt.
    pub(super) fn prefix_of(&self, sample: &Sample) -> &str {
        let of_subject = sample.subject.as_ref().and_then(|subject| self.prefixes.get(subject));
        of_subject.unwrap_or(&self.prefix)
    }

    /// Returns what a turn of a row asks; made now where the row has a length alone.
    ///
    /// # Errors
    /// When no text of exactly that length is found.
    pub(super) fn prompt<'s>(
        &self,
        sample: &'s Sample,
        turn: usize,
    ) -> Result<Cow<'s, Prompt>, DataError> {
        match (&sample.turns[turn], &self.maker) {
            (Prompt::OfLength(length), Some(maker)) => {
                maker.prompt(length, sample.row, turn).map(Cow::Owned)
            }
            (prompt, _) => Ok(Cow::Borrowed(prompt)),
        }
    }

    /// Says which rows are left out or changed; nothing when all are sent as they stand.
    pub fn remarks(&self) -> Option<String> {
        let told = |what: &str, kinds: &[(String, u64)]| {
            (!kinds.is_empty()).then(|| format!("{what}: {}", told_kinds(kinds)))
        };
        let parts = [told("left out", &self.left_out), told("changed", &self.changed)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Returns the rows that measured phases use.
    pub fn measured(&self) -> &[Sample] {
        &self.rows[..self.rows.len() - self.reserved()]
    }

    /// Returns the rows that warm-up phases use.
    ///
    /// They are disjoint from the measured ones, unless there are so few rows that warm-up
    /// would take more than half of them: then both use all.
    pub fn warm_up(&self) -> &[Sample] {
        match self.reserved() {
            0 => &self.rows,
            reserved => &self.rows[self.rows.len() - reserved..],
        }
    }

    /// Whether no row is in both slices.
    pub fn warm_up_is_disjoint(&self) -> bool {
        self.reserved() > 0
    }

    /// Returns all rows, the measured ones first.
    pub fn rows(&self) -> &[Sample] {
        &self.rows
    }

    /// Returns what a trial's record says of its data.
    pub fn record(
        &self,
        name: &str,
        origin: &str,
        fallback: Option<String>,
        sha256: &str,
        prompts_hash: String,
    ) -> DatasetRecord {
        DatasetRecord {
            name: name.to_owned(),
            origin: origin.to_owned(),
            fallback,
            sha256: self.recipe_sha256.clone().unwrap_or_else(|| sha256.to_owned()),
            n_samples: self.n_samples,
            n_distinct: self.n_distinct,
            n_looked_at: self.n_looked_at,
            left_out: self.left_out.clone(),
            changed: self.changed.clone(),
            trace: self.trace.clone(),
            prompts_hash,
            engine_tokens: Vec::new(),
            n_shared_with_warm_up: 0,
        }
    }

    fn reserved(&self) -> usize {
        if self.rows.len() >= 2 * self.reserve { self.reserve } else { 0 }
    }
}

/// Keeps the `capacity` rows with the least keys, in the order of their keys.
///
/// With random keys that is a shuffled sample without replacement, found in one pass and in
/// memory for what is kept alone; it is the beginning of the order in which all rows would
/// stand, whatever the capacity.
#[derive(Debug)]
pub(super) struct Least<T> {
    capacity: usize,
    heap: BinaryHeap<Keyed<T>>,
}

#[derive(Debug)]
struct Keyed<T> {
    key: (u64, u64),
    value: T,
}

impl<T> PartialEq for Keyed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Keyed<T> {}

impl<T> PartialOrd for Keyed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Keyed<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> Least<T> {
    pub(super) fn new(capacity: Option<u64>) -> Self {
        let capacity = capacity.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Self { capacity, heap: BinaryHeap::new() }
    }

    /// Keys must differ.
    pub(super) fn push(&mut self, key: (u64, u64), value: T) {
        if self.heap.len() < self.capacity {
            self.heap.push(Keyed { key, value });
        } else if let Some(mut greatest) = self.heap.peek_mut()
            && key < greatest.key
        {
            *greatest = Keyed { key, value };
        }
    }

    /// Whether a value of that key would be kept so far.
    pub(super) fn takes(&self, key: (u64, u64)) -> bool {
        !self.is_full() || self.heap.peek().is_some_and(|greatest| key < greatest.key)
    }

    pub(super) fn is_full(&self) -> bool {
        self.heap.len() >= self.capacity
    }

    pub(super) fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec().into_iter().map(|keyed| keyed.value).collect()
    }
}

/// Returns how many values differ.
pub(super) fn n_distinct(values: &[u64]) -> u64 {
    values.iter().collect::<HashSet<_>>().len() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_the_beginning_of_the_whole_order(
            keys in proptest::collection::hash_set(any::<u64>(), 0..100),
            capacity in 0_u64..120,
        ) {
            let order = |capacity| {
                let mut least = Least::new(capacity);
                for (row, key) in keys.iter().enumerate() {
                    least.push((*key, row as u64), *key);
                }
                least.into_sorted()
            };
            let mut all = order(None);
            all.truncate(capacity as usize);
            prop_assert_eq!(order(Some(capacity)), all);
        }
    }

    #[test]
    fn warm_up_and_measured_rows_are_disjoint_when_there_are_enough() {
        let samples = |n: u64, reserve| Samples {
            rows: (0..n).map(|row| Sample { row, ..Sample::default() }).collect(),
            reserve,
            ..Samples::default()
        };
        let enough = samples(10, 4);
        assert!(enough.warm_up_is_disjoint());
        assert_eq!((enough.measured().len(), enough.warm_up().len()), (6, 4));
        assert_eq!(enough.warm_up()[0].row, 6);
        let few = samples(7, 4);
        assert!(!few.warm_up_is_disjoint());
        assert_eq!((few.measured().len(), few.warm_up().len()), (7, 7));
    }
}
