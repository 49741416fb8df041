//! Two numbers that are one value, the parts of a measure, or two that are the ends of a range.

use crate::score::number::blanks::is_blank;
use crate::score::number::sign::is_of_words;
use crate::score::number::token::Token;

/// Units in which people give parts of one measure, the largest first, each in its forms of one.
const UNITS: [&[&[&str]]; 9] = [
    &[
        &["year", "yr", "jahr", "jahre", "año", "an", "год", "года", "лет"],
        &["month", "monat", "monate", "mes", "mese", "mois"],
        &["week", "wk", "woche", "wochen", "semaine", "semana"],
        &["day", "d", "tag", "tage", "jour", "día"],
        &[
            "hour",
            "hr",
            "h",
            "stunde",
            "stunden",
            "std",
            "heure",
            "hora",
            "час",
            "часа",
            "часов",
            "時間",
            "小时",
            "小時",
            "시간",
        ],
        &["minute", "min", "m", "minuten", "minuto", "минута", "минуты", "минут", "分", "분"],
        &["second", "sec", "s", "sekunde", "sekunden", "seconde", "segundo", "секунд", "秒", "초"],
    ],
    &[&["mile", "mi"], &["yard", "yd"], &["foot", "feet", "ft", "'"], &["inch", "inche", "\""]],
    &[
        &["kilometer", "kilometre", "km", "公里", "千米"],
        &["meter", "metre", "m", "米"],
        &["centimeter", "centimetre", "cm", "厘米"],
        &["millimeter", "millimetre", "mm", "毫米"],
    ],
    &[&["ton"], &["stone"], &["pound", "lb"], &["ounce", "oz"]],
    &[&["kilogram", "kilo", "kg", "千克", "公斤"], &["gram", "g", "克"], &["milligram", "mg"]],
    &[
        &["gallon", "gal"],
        &["quart", "qt"],
        &["pint", "pt"],
        &["cup"],
        &["tablespoon"],
        &["teaspoon"],
    ],
    &[&["liter", "litre", "l"], &["milliliter", "millilitre", "ml"]],
    &[&["°"], &["'"], &["\""]],
    &[
        &["dollar", "euro", "pound", "rupee", "元", "块"],
        &["角", "毛"],
        &["cent", "penny", "pence", "paise", "paisa"],
    ],
];
/// Words between the parts of a measure.
const JOINS: [&str; 6] = ["and", "und", "et", "y", "e", "и"];
/// Units that are abbreviations: a point behind one ends no sentence, `6 lbs. 4 oz.`
const ABBREVIATIONS: [&str; 16] = [
    "lb", "lbs", "oz", "ft", "yd", "yds", "hr", "hrs", "h", "min", "mins", "sec", "yr", "yrs",
    "wk", "wks",
];
/// Words behind a unit that make a rate of it: `5 days, 8 hours a day`.
const RATES: [&str; 5] = ["a", "an", "per", "each", "every"];
/// Words between the ends of a range.
const TO: [&str; 5] = ["to", "through", "bis", "到", "至"];
/// How words begin behind "to" and a number that say how exact a value is: `3.14 to 2 decimal places`.
const PRECISIONS: [&str; 5] = ["decimal", "dp", "sf", "sig", "place"];
/// Those that say it wherever they stand, and nothing else.
const SURE_PRECISIONS: [&str; 8] =
    ["decimal place", "d.p", "dp", "decimals", "significant", "sig.", "s.f", "sf"];

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

/// Returns the unit that a text begins with: a word, or a sign of feet, inches or degrees.
fn first_unit(text: &[char]) -> (String, &[char]) {
    match text {
        [sign @ ('\'' | '"' | '°'), behind @ ..] => (sign.to_string(), behind),
        ['″', behind @ ..] => ("\"".to_owned(), behind),
        _ => first_word(text),
    }
}

/// Returns where a unit stands in a family, 0 for the largest. A unit of a script without blanks
/// may go on with other words.
fn rank(family: &[&[&str]], unit: &str) -> Option<usize> {
    let one = unit.strip_suffix('s').unwrap_or(unit);
    let is_form = |form: &&str| {
        *form == unit || *form == one || form.starts_with(is_of_words) && unit.starts_with(form)
    };
    family.iter().position(|forms| forms.iter().any(is_form))
}

/// Whether a unit that is written between two numbers without a blank is a larger one than that
/// behind the second: `1h30m`.
pub(super) fn is_smaller_unit(larger: &str, behind: &[char]) -> bool {
    let (smaller, _) = first_unit(behind);
    UNITS
        .iter()
        .any(|family| rank(family, larger).zip(rank(family, &smaller)).is_some_and(|(a, b)| a < b))
}

/// Whether the second of two numbers is the smaller part of one measure: `57 feet 6 inches`,
/// "20 hours and 30 minutes".
pub(in crate::score) fn is_compound(text: &[char], first: &Token, second: &Token) -> bool {
    let between = &text[first.end..second.start];
    let (larger, rest) = first_unit(between);
    let is_short = ABBREVIATIONS.contains(&larger.as_str());
    let rest = rest.strip_prefix(&['.']).filter(|_| is_short).unwrap_or(rest);
    let is_joined = match words(rest, &[',']).as_deref() {
        Some([]) => false,
        Some([join]) if JOINS.contains(&join.as_str()) => true,
        _ => return false,
    };
    let (smaller, behind) = first_unit(&text[second.end..]);
    let (next, _) = first_word(behind);
    // `5 ft 10 in`, and not "5 ft 10 in total".
    let smaller = if smaller == "in" && next.is_empty() { "inch" } else { &smaller };
    let is_smaller = |family: &&[&[&str]]| {
        rank(family, &larger).zip(rank(family, smaller)).is_some_and(|(a, b)| a < b)
    };
    // "After 3 weeks, 2 days remain."
    let is_apart = between.contains(&',') && !is_joined && !matches!(next.as_str(), "" | "and");
    UNITS.iter().any(is_smaller)
        && !is_apart
        && !RATES.contains(&next.as_str())
        && behind.first() != Some(&'/')
}

/// Whether the second of two numbers says the first one in another unit of the same kind:
/// `90 minutes = 1.5 hours`, `90 minutes, or about 1.5 hours`.
pub(in crate::score) fn is_in_another_unit(text: &[char], first: &Token, second: &Token) -> bool {
    let (one, rest) = first_word(&text[first.end..second.start]);
    let rest: String = rest.iter().filter(|c| !is_blank(**c) && !"()[],$*".contains(**c)).collect();
    let is_said =
        matches!(rest.as_str(), "=" | "≈" | "or" | "orabout" | "orapproximately" | "i.e.");
    let (other, _) = first_word(&text[second.end..]);
    let is_other = |family: &&[&[&str]]| {
        rank(family, &one).zip(rank(family, &other)).is_some_and(|(a, b)| a != b)
    };
    is_said && UNITS.iter().any(is_other)
}

/// Whether a number says how exact another is: `18.00 (to 2 d.p.)`, "to 3 significant figures".
pub(super) fn says_exactness(text: &[char], token: &Token) -> bool {
    let (before, behind) = (&text[..token.start], &text[token.end..]);
    let n = before.iter().rev().take_while(|c| is_blank(**c)).count();
    let is_to = matches!(before[..before.len() - n], [.., c, 't', 'o'] if !c.is_alphabetic());
    let behind: String =
        behind.iter().skip_while(|c| is_blank(**c) || **c == '-').take(16).collect();
    is_to && SURE_PRECISIONS.iter().any(|word| behind.to_lowercase().starts_with(word))
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
