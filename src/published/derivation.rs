//! How published figures follow from other published figures, and whether they do.

use crate::published::{PublishedTable, is_printed, parse};

/// Figures of one column that follow from other published figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Derivation {
    /// Rows of which it holds; empty for every row that prints something there.
    pub(crate) rows: &'static [&'static str],
    /// Key of the column.
    pub(crate) column: &'static str,
    /// Formula for people.
    pub(crate) formula: &'static str,
    /// What it is computed from, in the order in which `compute` takes it.
    pub(crate) inputs: &'static [From],
    /// The formula.
    pub(crate) compute: fn(&[f64]) -> f64,
}

/// Where an input of a formula is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// Another column of the same row.
    Column(&'static str),
    /// Another row of the same column.
    Row(&'static str),
    /// A count in another row of the same column: exact, where other figures are rounded.
    Count(&'static str),
    /// The number at the end of the row's name: exact.
    Name,
    /// A cell of another file of the same source.
    File {
        /// Text of the file.
        text: &'static str,
        /// Values that the row of that file begins with, by the row's name here.
        row: fn(&str) -> Option<RowValues>,
        /// Its column.
        column: &'static str,
    },
}

/// Columns and values by which a row of another file is found.
pub(crate) type RowValues = &'static [(&'static str, &'static str)];

/// One published figure, computed again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recomputed {
    /// Formula for people.
    pub(crate) formula: &'static str,
    /// Its value for the inputs as they are printed.
    pub(crate) value: f64,
    /// Whether the published digits are those of that value.
    pub(crate) is_exact: bool,
    /// Whether the published digits are what some inputs that are printed so round to.
    pub(crate) agrees: bool,
}

/// An input: its value, and half of its last printed digit.
type Given = (f64, f64);

impl PublishedTable {
    /// Computes a published figure from others; `None` where it was measured there, and follows
    /// from nothing that is printed.
    pub(crate) fn recomputed(&self, row: &str, column: &str) -> Option<Recomputed> {
        let derivation = self.derivation(row, column)?;
        let printed = self.digits(row, column)?;
        let inputs: Option<Vec<Given>> =
            derivation.inputs.iter().map(|from| self.given(*from, row, column)).collect();
        Some(derivation.check(&inputs?, printed))
    }

    fn derivation(&self, row: &str, column: &str) -> Option<&'static Derivation> {
        self.derivations.iter().find(|derivation| {
            derivation.column == column
                && (derivation.rows.is_empty() || derivation.rows.contains(&row))
        })
    }

    fn given(&self, from: From, row: &str, column: &str) -> Option<Given> {
        match from {
            From::Column(other) => rounded(self.digits(row, other)?),
            From::Row(other) => rounded(self.digits(other, column)?),
            From::Count(other) => exact(self.digits(other, column)?),
            From::Name => exact(row.rsplit(' ').next()?),
            From::File { text, row: find, column } => {
                let wanted = find(row)?;
                let (header, rows) = parse(text);
                let place = |name: &str| header.iter().position(|found| found == name);
                let is_it = |row: &&Vec<String>| {
                    wanted.iter().all(|(key, value)| place(key).is_some_and(|at| row[at] == *value))
                };
                rounded(&rows.iter().find(is_it)?[place(column)?])
            }
        }
    }
}

impl Derivation {
    /// Holds printed digits against what the formula makes of every input that prints so.
    fn check(&self, inputs: &[Given], printed: &str) -> Recomputed {
        let values: Vec<f64> = inputs.iter().map(|(value, _)| *value).collect();
        // The formulas are monotonic in each input, so the extremes lie at the corners.
        let corners = (0..1_u32 << inputs.len()).map(|corner| {
            let at = inputs.iter().enumerate().map(|(place, (value, half))| {
                if corner >> place & 1 == 0 { value - half } else { value + half }
            });
            (self.compute)(&at.collect::<Vec<_>>())
        });
        let (low, high) = corners.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let value = (self.compute)(&values);
        let is_between = |low, high| {
            number(printed).is_some_and(|number| is_printed(number, decimals(printed), low, high))
        };
        Recomputed {
            formula: self.formula,
            value,
            is_exact: is_between(value, value),
            agrees: is_between(low, high),
        }
    }
}

fn rounded(digits: &str) -> Option<Given> {
    Some((number(digits)?, 0.5 / 10_f64.powi(decimals(digits).cast_signed())))
}

fn exact(digits: &str) -> Option<Given> {
    Some((number(digits)?, 0.0))
}

/// Reads a number as tables print it: `+28%` is 28.
pub(crate) fn number(digits: &str) -> Option<f64> {
    digits.trim_start_matches('+').trim_end_matches('%').parse().ok()
}

/// Returns how many decimals are printed.
pub(crate) fn decimals(digits: &str) -> u32 {
    let digits = digits.trim_end_matches('%');
    digits.split_once('.').map_or(0, |(_, decimals)| decimals.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::{NAMES, table};

    /// Every published figure that follows from others, by table, column and formula, and those
    /// that do not agree. All figures that are not in this list were measured there.
    #[test]
    fn every_figure_that_follows_from_others_is_recomputed_within_what_its_inputs_are_rounded_to() {
        let mut lines = Vec::new();
        for name in NAMES {
            let table = table(name).unwrap();
            for derivation in table.derivations {
                let (mut n_exact, mut n_agreeing, mut others) = (0, 0, Vec::new());
                for row in &table.rows {
                    let is_of_it = table
                        .derivation(&row.name, derivation.column)
                        .is_some_and(|found| found.formula == derivation.formula);
                    let Some(found) =
                        table.recomputed(&row.name, derivation.column).filter(|_| is_of_it)
                    else {
                        continue;
                    };
                    n_exact += u32::from(found.is_exact);
                    if found.agrees {
                        n_agreeing += 1;
                    } else {
                        let printed = table.digits(&row.name, derivation.column).unwrap();
                        others.push(format!("; {} {printed} ≠ {:.2}", row.name, found.value));
                    }
                }
                lines.push(format!(
                    "{name}: {} = {}: {n_agreeing}, {n_exact} of the inputs as printed{}",
                    derivation.column,
                    derivation.formula,
                    others.join("")
                ));
            }
        }
        // The list is kept where readers look for what is held.
        insta::with_settings!({ snapshot_path => "../../tests/published", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("derived_figures", lines.join("\n"));
        });
    }

    #[test]
    fn another_input_is_another_result() {
        let mut n_changed = 0;
        for name in NAMES {
            let table = table(name).unwrap();
            for derivation in table.derivations {
                for row in &table.rows {
                    let Some(printed) = table.digits(&row.name, derivation.column) else {
                        continue;
                    };
                    let is_of_it = table
                        .derivation(&row.name, derivation.column)
                        .is_some_and(|found| found.formula == derivation.formula);
                    let given = derivation.inputs.iter();
                    let given: Option<Vec<Given>> = given
                        .map(|from| table.given(*from, &row.name, derivation.column))
                        .collect();
                    let Some(given) = given.filter(|_| is_of_it) else { continue };
                    let right = derivation.check(&given, printed);
                    for at in 0..given.len() {
                        let mut wrong = given.clone();
                        wrong[at].0 *= 1.1;
                        let found = derivation.check(&wrong, printed);
                        assert!((found.value - right.value).abs() > 1e-9, "{name} {}", row.name);
                        assert!(!found.agrees || !right.agrees, "{name} {} {found:?}", row.name);
                        n_changed += 1;
                    }
                }
            }
        }
        assert!(n_changed > 150, "{n_changed}");
    }

    #[test]
    fn digits_say_how_exact_they_are() {
        assert_eq!(rounded("0.90"), Some((0.9, 0.005)));
        assert_eq!(rounded("+28%"), Some((28.0, 0.5)));
        assert_eq!(rounded("Full Saturation"), None);
    }
}
