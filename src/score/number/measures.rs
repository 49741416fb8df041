//! Two numbers that are one value, the parts of a measure, or two that are the ends of a range.

use crate::score::number::blanks::is_blank;
use crate::score::number::scan::Token;

/// Units in which people give parts of one measure, the largest first, each in its forms of one.
const UNITS: [&[&[&str]]; 7] = [
    &[
        &["year", "yr"],
        &["month"],
        &["week", "wk"],
        &["day"],
        &["hour", "hr", "h"],
        &["minute", "min", "m"],
        &["second", "sec", "s"],
    ],
    &[&["mile"], &["yard", "yd"], &["foot", "feet", "ft"], &["inch", "inche"]],
    &[
        &["kilometer", "kilometre", "km"],
        &["meter", "metre", "m"],
        &["centimeter", "centimetre", "cm"],
        &["millimeter", "millimetre", "mm"],
    ],
    &[&["ton"], &["stone"], &["pound", "lb"], &["ounce", "oz"]],
    &[&["kilogram", "kilo", "kg"], &["gram", "g"], &["milligram", "mg"]],
    &[&["gallon"], &["quart"], &["pint"], &["cup"], &["tablespoon"], &["teaspoon"]],
    &[&["liter", "litre", "l"], &["milliliter", "millilitre", "ml"]],
];
/// Words behind a unit that make a rate of it: `5 days, 8 hours a day`.
const RATES: [&str; 5] = ["a", "an", "per", "each", "every"];
/// Words between the ends of a range.
const TO: [&str; 5] = ["to", "through", "bis", "到", "至"];
/// How words begin behind "to" and a number that say how exact a value is: `3.14 to 2 decimal places`.
const PRECISIONS: [&str; 5] = ["decimal", "dp", "sf", "sig", "place"];

/// Returns the words of a text that holds nothing beside them but blanks and these characters.
fn words(text: &[char], marks: &[char]) -> Option<Vec<String>> {
    let is_known = |c: &char| c.is_alphabetic() || is_blank(*c) || marks.contains(c);
    text.iter().all(is_known).then_some(())?;
    let words = text.split(|c| !c.is_alphabetic()).filter(|word| !word.is_empty());
    Some(words.map(|word| word.iter().collect::<String>().to_lowercase()).collect())
}

/// Returns the word that a text begins with, and what stands behind it.
fn first_word(text: &[char]) -> (String, &[char]) {
    let from = text.iter().take_while(|c| is_blank(**c)).count();
    let n = text[from..].iter().take_while(|c| c.is_alphabetic()).count();
    (text[from..from + n].iter().collect::<String>().to_lowercase(), &text[from + n..])
}

/// Whether the second of two numbers is the smaller part of one measure: `57 feet 6 inches`,
/// "20 hours and 30 minutes".
pub(in crate::score) fn is_compound(text: &[char], first: &Token, second: &Token) -> bool {
    let between = &text[first.end..second.start];
    let Some(said) = words(between, &[',']) else { return false };
    let (larger, is_joined) = match said.as_slice() {
        [unit] => (unit, false),
        [unit, and] if and == "and" => (unit, true),
        _ => return false,
    };
    let (smaller, behind) = first_word(&text[second.end..]);
    let rank = |family: &[&[&str]], unit: &str| {
        let one = unit.strip_suffix('s').unwrap_or(unit);
        family.iter().position(|forms| forms.contains(&unit) || forms.contains(&one))
    };
    let is_smaller = |family: &&[&[&str]]| {
        rank(family, larger).zip(rank(family, &smaller)).is_some_and(|(a, b)| a < b)
    };
    let (next, _) = first_word(behind);
    // "After 3 weeks, 2 days remain."
    let is_apart = between.contains(&',') && !is_joined && !matches!(next.as_str(), "" | "and");
    UNITS.iter().any(is_smaller)
        && !is_apart
        && !RATES.contains(&next.as_str())
        && behind.first() != Some(&'/')
}

/// Whether two numbers are the ends of a range, `57 to 62`, `57 feet to 62 feet`.
pub(in crate::score) fn is_range(text: &[char], first: &Token, second: &Token) -> bool {
    let said = words(&text[first.end..second.start], &['*', '$']);
    let (unit, _) = first_word(&text[second.end..]);
    let is_exactness = PRECISIONS.iter().any(|word| unit.starts_with(word)) || unit == "d";
    match said.as_deref() {
        Some([to]) => TO.contains(&to.as_str()) && !is_exactness,
        Some([of_first, to]) => TO.contains(&to.as_str()) && *of_first == unit,
        _ => false,
    }
}

/// Whether "between" makes two numbers the ends of a range: "between 57 and 62".
pub(in crate::score) fn is_between(text: &[char], first: &Token, second: &Token) -> bool {
    let said = words(&text[first.end..second.start], &['*', '$', '%']);
    let before = &text[..first.start];
    let n_marks = before.iter().rev().take_while(|c| is_blank(**c) || "*$(".contains(**c)).count();
    let word = before[..before.len() - n_marks].rsplit(|c| !c.is_alphabetic()).next();
    let is_open =
        word.is_some_and(|word| word.iter().collect::<String>().eq_ignore_ascii_case("between"));
    let (unit, _) = first_word(&text[second.end..]);
    is_open
        && match said.as_deref() {
            Some([and]) => and == "and",
            Some([of_first, and]) => and == "and" && *of_first == unit,
            _ => false,
        }
}
