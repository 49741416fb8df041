//! Names of the parts of a data set: their order, and whether all of them are there.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::plan::data_files::plain_name;

/// Sorts names as people count: `part-2` before `part-10`.
pub(super) fn sort(names: &mut [String]) {
    names.sort_by(|one, other| compare(one, other));
}

/// Returns a set of parts that lacks some, by what its names begin with: how many of it are there,
/// and how many there should be. Parts are named `train-00000-of-00003`.
pub(super) fn incomplete<'n>(
    names: impl IntoIterator<Item = &'n String>,
) -> Option<(String, usize, usize)> {
    let mut sets: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for set in names.into_iter().filter_map(|name| set(name)) {
        *sets.entry(set).or_default() += 1;
    }
    let lacks = sets.into_iter().find(|((_, of), found)| of != found);
    lacks.map(|((name, of), found)| (name.to_owned(), found, of))
}

/// What splits are called.
const SPLITS: [&str; 7] = ["train", "test", "validation", "valid", "val", "dev", "eval"];

/// Returns the splits that files are of, each with how many there are, where these are several.
pub(super) fn splits<'n>(names: impl IntoIterator<Item = &'n String>) -> Vec<(&'n str, usize)> {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for split in names.into_iter().filter_map(|name| split(name)) {
        *found.entry(split).or_default() += 1;
    }
    if found.len() > 1 { found.into_iter().collect() } else { Vec::new() }
}

/// Returns the split that a file's name begins with: that of its set of parts, or a usual one.
fn split(name: &str) -> Option<&str> {
    let name = name.rsplit('/').next().unwrap_or(name);
    set(name).map(|(split, _)| split).or_else(|| {
        SPLITS.into_iter().find(|split| {
            let rest = name.strip_prefix(split);
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
    })
}

/// Returns two files that are the same one in two containers, by their names.
pub(super) fn twins<'n>(
    names: impl IntoIterator<Item = &'n String>,
) -> Option<(&'n String, &'n String)> {
    let mut by_stem: BTreeMap<&str, &String> = BTreeMap::new();
    names.into_iter().find_map(|name| {
        let plain = plain_name(name);
        let stem = plain.rsplit_once('.').map_or(plain, |(stem, _)| stem);
        by_stem.insert(stem, name).map(|other| (other, name))
    })
}

/// Returns `train` and 3 for `train-00000-of-00003-a3ecf92756993583.parquet`.
fn set(name: &str) -> Option<(&str, usize)> {
    let (before, after) = name.rsplit_once("-of-")?;
    let n_digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (name, number) = before.rsplit_once('-')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Some((name, after[..n_digits].parse().ok()?))
}

/// Compares names as people count: runs of digits by their value, and all else by its letters.
pub(crate) fn compare(mut one: &str, mut other: &str) -> Ordering {
    loop {
        let (of_one, of_other) = (run(one), run(other));
        let order = match (number(of_one), number(of_other)) {
            (Some(a), Some(b)) => a.len().cmp(&b.len()).then(a.cmp(b)),
            _ => of_one.cmp(of_other),
        };
        let order = order.then(of_one.cmp(of_other));
        if order.is_ne() || of_one.is_empty() {
            return order;
        }
        (one, other) = (&one[of_one.len()..], &other[of_other.len()..]);
    }
}

/// Returns the digits, or what is no digit, that a text begins with.
fn run(text: &str) -> &str {
    let is_digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digits);
    &text[..end.unwrap_or(text.len())]
}

fn number(run: &str) -> Option<&str> {
    run.starts_with(|c: char| c.is_ascii_digit()).then(|| run.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn parts_are_in_the_order_in_which_people_count_them() {
        let mut names = owned(&["p-10.csv", "p-2.csv", "q-1.csv", "p.csv", "p-02.csv", "p-1.csv"]);
        sort(&mut names);
        assert_eq!(names, ["p-1.csv", "p-02.csv", "p-2.csv", "p-10.csv", "p.csv", "q-1.csv"]);
    }

    #[test]
    fn splits_are_told_apart_by_what_names_begin_with() {
        let check = |names: &[&str], expected: &[(&str, usize)]| {
            assert_eq!(splits(&owned(names)), expected, "{names:?}");
        };
        let parts = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"];
        check(&parts, &[]);
        let test = "data/test-00000-of-00001.parquet";
        check(&[parts[0], parts[1], test], &[("test", 1), ("train", 2)]);
        check(&["train.jsonl", "train_2.jsonl", "dev.jsonl.gz"], &[("dev", 1), ("train", 2)]);
        check(&["a.jsonl", "training.jsonl", "test.jsonl"], &[]);
        check(&["en-0-of-1.parquet", "de-0-of-1.parquet"], &[("de", 1), ("en", 1)]);
    }

    #[test]
    fn one_file_in_two_containers_is_named_twice() {
        let check = |names: &[&str], expected: Option<(&str, &str)>| {
            let names = owned(names);
            let found = twins(&names).map(|(one, other)| (one.as_str(), other.as_str()));
            assert_eq!(found, expected, "{names:?}");
        };
        check(&["a.jsonl", "b.jsonl", "a.1.jsonl", "x/a.jsonl"], None);
        check(&["a.jsonl", "a.jsonl.gz"], Some(("a.jsonl", "a.jsonl.gz")));
        check(&["a.csv", "b.csv", "a.parquet"], Some(("a.csv", "a.parquet")));
    }

    #[test]
    fn a_set_that_lacks_parts_is_named() {
        let check = |names: &[&str], expected: Option<(&str, usize, usize)>| {
            let expected = expected.map(|(name, found, of)| (name.to_owned(), found, of));
            assert_eq!(incomplete(&owned(names)), expected, "{names:?}");
        };
        check(&["a.csv", "b-1.csv", "one-of-many.csv"], None);
        check(&["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"], None);
        check(&["x/t-0-of-2-ab.parquet", "x/t-1-of-2-cd.parquet"], None);
        check(&["t-00000-of-00003.parquet", "t-00002-of-00003.parquet"], Some(("t", 2, 3)));
    }
}
