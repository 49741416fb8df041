//! Which published figures follow from other published figures.

use crate::published::PublishedTable;
use crate::published::derivation::{decimals, number};
use crate::report::number::rounded;
use crate::report::untrusted;
use crate::report::view::table::{Column, Table, TableCell};

/// Said of a published figure that follows from nothing that is printed.
pub(super) const MEASURED_THERE: &str = "measured there, not derivable";

/// Figures of one column that share a formula.
struct Group<'a> {
    column: &'a str,
    formula: &'a str,
    rows: Vec<&'a str>,
    /// Those whose digits the printed inputs give.
    n_exact: usize,
    /// Those whose digits inputs that are printed so give.
    n_agreeing: usize,
    others: Vec<String>,
}

/// Tells of each published column from what it follows, and how often its digits are met.
pub(super) fn follows(published: &PublishedTable) -> Table {
    let columns = vec![
        Column::words("published figure", 0),
        Column::words("follows from", 0),
        Column::words("digits met by the inputs as printed", 0),
        Column::words("by what the inputs were rounded from", 0),
    ];
    let rows = groups(published).into_iter().map(|group| {
        let name = match group.rows[..] {
            [row] => format!("{row}: {}", group.column),
            _ => group.column.to_owned(),
        };
        let n_all = group.rows.len();
        let of_all = |n: usize| format!("{n} of {n_all}");
        let [exact, agreeing] = if group.formula == MEASURED_THERE {
            [TableCell::faint(format!("{n_all} figures")), TableCell::default()]
        } else {
            let told = match &group.others[..] {
                [] => of_all(group.n_agreeing),
                others => {
                    format!("{}; misprinted: {}", of_all(group.n_agreeing), others.join(", "))
                }
            };
            [TableCell::text(of_all(group.n_exact)), TableCell::text(told)]
        };
        vec![
            TableCell::text(untrusted::line(&name)),
            TableCell::text(untrusted::line(group.formula)),
            exact,
            agreeing,
        ]
    });
    Table { columns, rows: rows.collect(), left_out: String::new() }
}

fn groups(published: &PublishedTable) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (at, column) in published.columns.iter().enumerate() {
        for row in &published.rows {
            let printed = row.printed[at].as_deref();
            let Some(printed) = printed.filter(|digits| number(digits).is_some()) else { continue };
            let found = published.recomputed(&row.name, column.key);
            let formula = found.as_ref().map_or(MEASURED_THERE, |found| found.formula);
            let same =
                |group: &Group<'_>| group.column == column.heading && group.formula == formula;
            let at = groups.iter().position(same).unwrap_or_else(|| {
                groups.push(Group {
                    column: column.heading,
                    formula,
                    rows: Vec::new(),
                    n_exact: 0,
                    n_agreeing: 0,
                    others: Vec::new(),
                });
                groups.len() - 1
            });
            let group = &mut groups[at];
            group.rows.push(&row.name);
            group.n_exact += usize::from(found.as_ref().is_some_and(|found| found.is_exact));
            match found {
                Some(found) if found.agrees => group.n_agreeing += 1,
                Some(found) => group.others.push(format!(
                    "{} {printed}, which is {}",
                    row.name,
                    as_exact(found.value, printed)
                )),
                None => {}
            }
        }
    }
    groups
}

/// Prints a value with the decimals that its misprint has.
fn as_exact(value: f64, misprint: &str) -> String {
    let decimals = decimals(misprint) as usize;
    format!("{value:.decimals$}")
}

/// Says of one published figure what it follows from; empty for words.
pub(super) fn note(published: &PublishedTable, row: &str, column: &str) -> String {
    if published.digits(row, column).and_then(number).is_none() {
        return String::new();
    }
    match published.recomputed(row, column) {
        Some(found) => format!("published; {} = {}", found.formula, rounded(found.value)),
        None => format!("published; {MEASURED_THERE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_says_from_what_it_follows_or_that_it_does_not() {
        let table = follows(&crate::published::table("tinyllama_gsm8k").unwrap());
        let told: Vec<String> = (table.rows.iter())
            .map(|row| row.iter().map(|at| &*at.text).collect::<Vec<_>>().join(" | "))
            .collect();
        assert_eq!(
            told,
            [
                "Inference Speed | the notebook's tokens / its seconds | 3 of 4 | 3 of 4; \
                 misprinted: Hugging Face FP32 314.19, which is 314.20",
                "Load Time | the notebook's seconds | 3 of 4 | 3 of 4; misprinted: vLLM FP16 \
                 119.62, which is 110.62",
                "Accuracy | 100 · the notebook's items / 1319 | 4 of 4 | 4 of 4",
            ]
        );
        let sweep = crate::published::table("batch_sweep").unwrap();
        // 32 prompts / 13.51 ms are 2,368.62 tokens/s, printed 2,368.81: TPOT was not just 13.51 ms.
        let met: Vec<String> = (follows(&sweep).rows.iter())
            .map(|row| format!("{}: {}, {}", row[0].text, row[2].text, row[3].text))
            .collect();
        assert_eq!(met[..2], ["Toks/sec: 4 of 40, 40 of 40", "RPS: 40 of 40, 40 of 40"]);
        assert_eq!(
            note(&sweep, "fixed vLLM 1", "avg_tpot_ms"),
            format!("published; {MEASURED_THERE}")
        );
        let told = note(&sweep, "fixed vLLM 1", "toks_per_sec");
        assert_eq!(told, "published; 1000 · batch / Avg TPOT = 87.6");
    }
}
