//! `bench explain`: what a key, value, metric, caveat, state, failure or exit code means, from where it
//! is declared.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::cli::args::ExplainArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::diagnostic::suggest::did_you_mean;
use crate::help;
use crate::metrics::catalogue::{MetricId, Shape};
use crate::metrics::summary::PERCENTILES;
use crate::metrics::totals::ERROR_KINDS;
use crate::scenario::DEFAULTS;
use crate::scenario::engine_preset::EMBEDDED;
use crate::scenario::grammar::{Field, Kind};
use crate::scenario::spec::{EngineSpec, MATRIX, OPTIONS, ScenarioSpec};

/// Caveats that a sentence is taken for at most.
const CAVEATS_MAX: usize = 3;
/// The last of the real-time signals. Source: signal(7).
const LAST_SIGNAL: u8 = 64;
/// Stands in a path for a name of the user's choice.
const NAME: &str = "NAME";

/// Explains words; one that nothing is known of does not hide the others.
pub(crate) fn explain(args: &ExplainArgs) -> Result<Exit, Failure> {
    let mut unknown = Vec::new();
    for (nth, word) in args.words.iter().enumerate() {
        let found = of_word(word);
        if found.is_empty() {
            unknown.push(word.as_str());
            continue;
        }
        let gap = if nth > 0 { "\n" } else { "" };
        output::data(&format!("{gap}{}", found.join("\n")))?;
    }
    let Some(word) = unknown.first() else { return Ok(Exit::Ok) };
    let known = known();
    let help =
        did_you_mean(word, known.iter().map(String::as_str), "").filter(|it| it.contains('?'));
    let help = help.unwrap_or_else(|| {
        "keys are in `bench schema`, metrics and caveats in `bench help metrics` and `bench help \
         reading-reports`, exit codes in `bench help gates`"
            .to_owned()
    });
    let message = format!(
        "`{}` is no key, value, metric, caveat, state, failure or exit code",
        unknown.join("`, `")
    );
    Err(Failure::new(Exit::Usage, message).help(help))
}

/// Returns everything that a word means, a paragraph each.
fn of_word(word: &str) -> Vec<String> {
    let word = word.trim_matches(['[', ']', '`']).trim();
    let mut found = Vec::new();
    found.extend(exit_code(word));
    found.extend(metric(word));
    found.extend(statistic(word));
    found.extend(of_reports(word));
    found.extend(failure(word));
    let keys = keys();
    found.extend(keys.iter().filter(|key| key.is_meant_by(word)).map(Key::told));
    found.extend(values(&keys, word));
    found.extend(flags_of_presets(word));
    if found.is_empty() {
        found.extend(caveats_in(word));
    }
    found
}

fn known() -> Vec<String> {
    let metrics = MetricId::ALL.iter().map(|metric| metric.tag().to_owned());
    let reports = help::words_of_reports().map(|(word, ..)| word.to_owned());
    let failures = ERROR_KINDS.iter().map(|(kind, _)| (*kind).to_owned());
    let (keys, mut values) = (keys(), Vec::new());
    for key in &keys {
        collect_values(&key.field.kind, &mut values);
    }
    let values = values.into_iter().map(|(value, _)| value.to_owned());
    let keys = keys.iter().filter_map(|key| key.path.last().cloned());
    metrics.chain(reports).chain(failures).chain(keys).chain(values).collect()
}

fn paragraph(head: &str, rows: &[(&str, String)]) -> String {
    let mut text = format!("{head}\n");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "  {name:<9} {value}");
    }
    text
}

fn exit_code(word: &str) -> Option<String> {
    let code: u8 = word.parse().ok()?;
    let by_signal = || (129..=128 + LAST_SIGNAL).contains(&code).then(|| Exit::Signal(code - 128));
    let exit = Exit::ALL.iter().copied().find(|exit| exit.code() == code).or_else(by_signal)?;
    let (meaning, next) = exit.meaning();
    let rows = [
        ("means", meaning.to_owned()),
        ("next", next.to_owned()),
        ("example", "bench run S.toml; echo $?".to_owned()),
    ];
    Some(paragraph(&format!("exit code {code}"), &rows))
}

fn metric(word: &str) -> Option<String> {
    let tag = word.split(['.', '/']).next()?.replace('-', "_");
    // The head of a column: `TTFT p50`.
    let name = word.rsplit_once(' ').filter(|(_, of)| statistic(of).is_some());
    let name = name.map_or(word, |(name, _)| name);
    let is_meant = |metric: &&MetricId| {
        let row = metric.row();
        [&tag, name].iter().any(|asked| row.tag.eq_ignore_ascii_case(asked))
            || [word, name].iter().any(|asked| row.name.eq_ignore_ascii_case(asked))
    };
    let metric = MetricId::ALL.iter().find(is_meant)?;
    let row = metric.row();
    let better = match row.larger_is_better {
        Some(true) => "larger",
        Some(false) => "smaller",
        None => "neither: it describes the run",
    };
    let unit = if row.unit.is_empty() { "none" } else { row.unit };
    let relation = if row.larger_is_better == Some(true) { ">=" } else { "<" };
    let example = match row.shape {
        Shape::Figure => format!("{} {relation} 0.95 x baseline", row.tag),
        Shape::Distribution => format!("{}.p99 {relation} 1.1 x baseline", row.tag),
        Shape::Graded => format!("{}.strict {relation} 0.9", row.tag),
    };
    let rows = [
        ("means", row.definition.to_owned()),
        ("unit", unit.to_owned()),
        ("better", better.to_owned()),
        ("example", format!("[gate] must = [\"{example}\"]")),
    ];
    Some(paragraph(&format!("metric {} ({})", row.tag, row.name), &rows))
}

/// Explains a statistic of a distribution: `p99`, `mean`.
fn statistic(word: &str) -> Option<String> {
    let word = word.to_ascii_lowercase();
    let meaning = match word.strip_prefix('p').and_then(|p| p.parse::<f64>().ok()) {
        Some(p) if (0.0..100.0).contains(&p) => {
            let known: Vec<String> = PERCENTILES.iter().map(|p| format!("p{p}")).collect();
            format!(
                "{p} % of the values are at or below it; reports have {}, and say \"n too small\" \
                 of one that too few values lie behind",
                known.join(", ")
            )
        }
        None if word == "mean" => "the sum of all values by their number".to_owned(),
        _ => return None,
    };
    let rows = [("means", meaning), ("example", format!("[gate] must = [\"ttft.{word} < 1s\"]"))];
    Some(paragraph(&format!("statistic {word}"), &rows))
}

/// Explains a caveat, a state or a word of a table, with blanks as a screen has it or hyphens.
fn of_reports(word: &str) -> Option<String> {
    let asked = hyphened(word);
    let (word, meaning, advice) =
        help::words_of_reports().find(|(known, ..)| hyphened(known) == asked)?;
    Some(of_row(word, meaning, advice))
}

fn of_row(word: &str, meaning: &str, advice: Option<&str>) -> String {
    let kind = if advice.is_some() { "caveat" } else { "state" };
    let rows = [("means", meaning.to_owned()), ("next", advice.unwrap_or_default().to_owned())];
    paragraph(&format!("{kind} {word}"), &rows)
}

fn hyphened(word: &str) -> String {
    word.to_ascii_lowercase().replace(['_', ' '], "-")
}

/// Returns the caveats that a sentence of a screen may be one of, the likeliest ones: those whose
/// row on the page of reports has the most of its words.
fn caveats_in(sentence: &str) -> Vec<String> {
    let asked = words_of(sentence);
    if !sentence.contains(' ') || asked.is_empty() {
        return Vec::new();
    }
    let rated = help::words_of_reports().filter_map(|(word, meaning, advice)| {
        let row = format!("{word} {meaning} {}", advice?);
        let n = words_of(&row).intersection(&asked).count();
        let is_said = row.to_lowercase().contains(&sentence.to_lowercase());
        (2 * n > asked.len()).then_some((n + usize::from(is_said), word, meaning, advice))
    });
    let rated: Vec<_> = rated.collect();
    let most = rated.iter().map(|(n, ..)| *n).max().unwrap_or_default();
    let best = rated.into_iter().filter(|(n, ..)| *n == most).take(CAVEATS_MAX);
    best.map(|(_, word, meaning, advice)| of_row(word, meaning, advice)).collect()
}

/// Returns the words of a sentence that say what it is of: neither numbers nor the shortest.
fn words_of(sentence: &str) -> BTreeSet<String> {
    let words = sentence.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| word.len() > 2 && word.chars().all(char::is_alphabetic));
    words.map(|word| word.to_lowercase().trim_end_matches('s').to_owned()).collect()
}

/// Explains the kind of a request's failure; `status-503` is one of `status-…`.
fn failure(word: &str) -> Option<String> {
    let kind = match word.strip_prefix("status-") {
        Some(status) if status.parse::<u16>().is_ok() => "status-…",
        _ => word,
    };
    let (_, meaning) = ERROR_KINDS.iter().find(|(known, _)| *known == kind)?;
    let next = "its example, with the server's words, is at the failures of the report";
    let rows = [("means", (*meaning).to_owned()), ("next", next.to_owned())];
    Some(paragraph(&format!("failure {word}"), &rows))
}

/// A key of a scenario, with the way to it.
struct Key {
    path: Vec<String>,
    field: &'static Field,
}

impl Key {
    /// Whether a word is its path, or the end of it, with names or without.
    fn is_meant_by(&self, word: &str) -> bool {
        let word = word.to_lowercase().replace('_', "-");
        let asked: Vec<&str> = word.split('.').collect();
        let own: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let unnamed: Vec<&str> = own.iter().copied().filter(|part| *part != NAME).collect();
        [own, unnamed].iter().any(|own| {
            let Some(start) = own.len().checked_sub(asked.len()) else { return false };
            // A key alone may stand anywhere; a path begins at the top.
            let is_whole = start == 0 || asked.len() == 1;
            let fits = |(own, asked): (&&str, &&str)| own == asked || *own == NAME;
            is_whole && own[start..].iter().zip(&asked).all(fits) && own.last() != Some(&NAME)
        })
    }

    fn told(&self) -> String {
        let example = example(&self.path);
        let rows = [
            ("means", self.field.doc.to_owned()),
            ("expects", self.field.kind.expected()),
            ("default", default(&self.path).unwrap_or_else(|| self.absent())),
            ("example", example.unwrap_or_default()),
        ];
        paragraph(&format!("key {}", self.path.join(".")), &rows)
    }

    /// Says what holds where the defaults say nothing: of a score, what its source is graded by.
    fn absent(&self) -> String {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["score", NAME, "extract" | "compare" | "normalise" | "gold"] => {
                "that of the data set's source; of gsm8k as in the example, and of files, too, \
                 with `gold = \"whole\"`"
                    .to_owned()
            }
            _ => "none".to_owned(),
        }
    }
}

/// Returns every key of a scenario.
fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    collect(&[], ScenarioSpec::FIELDS, &mut keys);
    collect(&["matrix".to_owned()], MATRIX, &mut keys);
    keys
}

fn collect(way: &[String], fields: &'static [Field], keys: &mut Vec<Key>) {
    for field in fields {
        let path = [way, &[field.key.to_owned()]].concat();
        keys.push(Key { path: path.clone(), field });
        descend(&path, &field.kind, keys);
    }
}

fn descend(path: &[String], kind: &'static Kind, keys: &mut Vec<Key>) {
    let named = || [path, &[NAME.to_owned()]].concat();
    match kind {
        Kind::Table(fields) => collect(path, fields, keys),
        Kind::Named(_, of) => descend(&named(), of, keys),
        Kind::Engine => {
            collect(path, EngineSpec::FIELDS, keys);
            collect(path, OPTIONS, keys);
        }
        Kind::List(of) => descend(path, of, keys),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| descend(path, kind, keys)),
        // A profile has the keys of a scenario again; a map has no known ones.
        _ => {}
    }
}

/// Explains a word as a value of the keys that take it, a paragraph for each meaning.
fn values(keys: &[Key], word: &str) -> Vec<String> {
    let word = word.trim_matches(['"', '\'']).to_lowercase().replace('_', "-");
    // The keys of a meaning, and the words that stand beside it there.
    let mut found: Vec<(&str, Vec<String>, Vec<&str>)> = Vec::new();
    for key in keys {
        let mut values = Vec::new();
        collect_values(&key.field.kind, &mut values);
        let path = key.path.join(".");
        for (_, meaning) in values.iter().filter(|(value, _)| *value == word) {
            match found.iter_mut().find(|(known, ..)| known == meaning) {
                Some((_, paths, _)) if paths.contains(&path) => {}
                Some((_, paths, _)) => paths.push(path.clone()),
                None => {
                    let others = values.iter().map(|(value, _)| *value);
                    found.push((meaning, vec![path.clone()], others.collect()));
                }
            }
        }
    }
    let told = found.into_iter().map(|(meaning, paths, mut others)| {
        others.retain(|other| *other != word);
        let rows = [
            ("means", meaning.to_owned()),
            ("of", format!("key {}", paths.join(", "))),
            ("others", others.join(", ")),
        ];
        paragraph(&format!("value \"{word}\""), &rows)
    });
    told.collect()
}

/// Collects the words that a key of this kind takes, with what they mean.
fn collect_values(kind: &Kind, values: &mut Vec<(&'static str, &'static str)>) {
    match kind {
        Kind::Choice(words, meanings) | Kind::Said(words, meanings) => {
            values.extend(words.iter().copied().zip(meanings.iter().copied()));
        }
        Kind::List(of) | Kind::Map(of) | Kind::MapOf(_, of) => collect_values(of, values),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| collect_values(kind, values)),
        // A table's keys are keys of their own.
        _ => {}
    }
}

fn default(path: &[String]) -> Option<String> {
    let defaults: toml::Table = DEFAULTS.parse().expect("the defaults are TOML");
    let (first, rest) = path.split_first()?;
    let mut value = defaults.get(first)?;
    for part in rest {
        value = value.get(if part == NAME { "*" } else { part })?;
    }
    (!value.is_table()).then(|| value.to_string())
}

/// Returns the line of the defaults that shows a key, commented or not, or that of the table that
/// it is in.
fn example(path: &[String]) -> Option<String> {
    let section = path.first()?;
    let wanted = path.iter().skip(1).find(|part| *part != NAME).unwrap_or(section);
    let mut here = "";
    let mut lines = DEFAULTS.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches("# ");
        if let Some(head) = line.strip_prefix('[') {
            here = head.split([']', '.']).next().unwrap_or_default();
            if path.len() == 1 && here == section {
                return Some(line.to_owned());
            }
            continue;
        }
        let is_in_section = if path.len() == 1 { here.is_empty() } else { here == section };
        let Some((key, value)) = line.split_once('=') else { continue };
        if is_in_section && key.trim().trim_matches('"') == wanted {
            let behind = lines.map_while(comment_that_goes_on);
            let whole = behind.fold(value.to_owned(), |text, more| format!("{text} {more}"));
            return Some(format!("{} ={whole}", key.trim_end()));
        }
    }
    None
}

/// Returns what a line of the defaults adds to the comment behind the key above it.
fn comment_that_goes_on(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('#').unwrap_or(line);
    let text = rest.trim_start().strip_prefix("# ")?;
    rest.starts_with("   ").then_some(text)
}

/// Says which presets have a flag of this name, and what it becomes.
fn flags_of_presets(word: &str) -> Option<String> {
    let key = word.rsplit('.').next()?.to_lowercase().replace('_', "-");
    let flags = |text: &str| {
        let preset: toml::Table = text.parse().ok()?;
        Some(preset.get("flags")?.get(&key)?.to_string())
    };
    let told: Vec<String> = EMBEDDED
        .iter()
        .filter_map(|(name, text)| Some(format!("  {name:<16} {}", flags(text)?)))
        .collect();
    (!told.is_empty()).then(|| {
        format!("key engine.NAME.{key} becomes arguments by the preset\n{}\n", told.join("\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_word_is_explained_from_where_it_is_declared() {
        let told = |word: &str| of_word(word).join("\n");
        insta::assert_snapshot!(told("phase.load.rate"));
        insta::assert_snapshot!(told("ttft.p99"));
        insta::assert_snapshot!(told("n-too-small"));
        insta::assert_snapshot!(told("104"));
        insta::assert_snapshot!(told("stop-grace"));
        insta::assert_snapshot!(told("max_sequences"));
        insta::assert_snapshot!(told("matrix.exclude"));
        insta::assert_snapshot!(told("status-503"));
        assert!(of_word("no-such-word").is_empty());
    }

    #[test]
    fn words_are_explained_as_a_screen_prints_them() {
        let check = |printed: &str, heads: &[&str]| {
            let found = of_word(printed);
            let begins = |(told, head): (&String, &&str)| told.starts_with(&format!("{head}\n"));
            let is_right = found.len() == heads.len() && found.iter().zip(heads).all(begins);
            assert!(is_right, "{printed}: {found:?}");
        };
        check("n too small", &["caveat n-too-small"]);
        check("not decided", &["state not decided"]);
        check("interrupted", &["state interrupted"]);
        check("equivalent", &["state equivalent"]);
        check("inconclusive", &["state inconclusive"]);
        check("TTFT p50", &["metric ttft (TTFT)"]);
        check("p99", &["statistic p99"]);
        check("p200", &[]);
        check("one trial", &["caveat single-trial"]);
        check(
            "[5] one trial: nothing is known of the spread between runs",
            &["caveat single-trial"],
        );
        check("12 of 12 answers have no count of output tokens", &["caveat unknown-counts"]);
        check("no sentence of any report whatever", &[]);
    }

    #[test]
    fn every_value_that_a_key_takes_by_name_is_explained_with_its_key() {
        for key in keys() {
            let mut values = Vec::new();
            collect_values(&key.field.kind, &mut values);
            for (value, meaning) in values {
                let (told, path) = (of_word(value).join("\n"), key.path.join("."));
                assert!(told.contains(meaning) && told.contains(&path), "{path} {value}: {told}");
                assert!(!meaning.is_empty(), "{path} {value}");
            }
        }
        let check = |word: &str, key: &str| {
            let found = of_word(word);
            let is_value = |told: &&String| told.starts_with(&format!("value \"{word}\"\n"));
            let told = found.iter().filter(is_value).cloned().collect::<String>();
            assert!(told.contains(&format!("key {key}")), "{word}: {told}");
        };
        for word in ["number", "strict", "flexible", "answer-is", "choice", "whole"] {
            check(word, "score.NAME.extract");
        }
        check("numeric", "score.NAME.compare");
        check("exact", "score.NAME.compare");
        check("lowercase", "score.NAME.normalise");
        check("poisson", "phase.NAME.arrival");
        check("stop", "dataset.NAME.bad-rows");
        check("interleaved", "order");
    }

    #[test]
    fn every_key_metric_and_exit_code_has_a_meaning() {
        for key in keys() {
            let path = key.path.join(".");
            assert!(
                of_word(&path).iter().any(|told| told.starts_with(&format!("key {path}\n"))),
                "{path}"
            );
            assert!(!key.field.doc.is_empty(), "{path}");
        }
        let whole = of_word("skip-after").join("");
        assert!(whole.contains("rows that say so, and are not tried\n"), "{whole}");
        for metric in MetricId::ALL {
            assert!(self::metric(metric.tag()).is_some(), "{metric}");
        }
        for exit in Exit::ALL {
            assert!(exit_code(&exit.code().to_string()).is_some());
        }
    }
}
