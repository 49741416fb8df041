//! What templates of pages have beside the view: style and script with the policy that lets these
//! two run and nothing else, and rows for the script.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use sha2::{Digest as _, Sha256};

use crate::report::figure;
use crate::report::packed_rows::{self, ROWS_MAX};
use crate::report::view::long_list::LongList;
use crate::report::view::table::{Column, Table, TableCell};

const STYLE: &str = include_str!("../../reports/page.css");
const SCRIPT: &str = include_str!("../../reports/page.js");

/// Gives an environment the value `page` and the filters `shown`, `silent` and `packed` of tables.
pub(super) fn equip(environment: &mut Environment<'_>) {
    let style = format!("{STYLE}{}", figure::STYLE);
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        source(&style),
        source(SCRIPT)
    );
    let safe = Value::from_safe_string as fn(String) -> Value;
    environment.add_global(
        "page",
        context! {
            policy => safe(policy),
            style => safe(style),
            script => safe(SCRIPT.to_owned()),
            rows_max => ROWS_MAX,
        },
    );
    environment.add_filter("shown", |table: Value| {
        Ok::<_, Error>(packed_rows::shown(&columns_of(&table)?, &rows_of(&table)?))
    });
    environment.add_filter("silent", |table: Value| {
        let rows = rows_of(&table)?;
        let table = Table { columns: columns_of(&table)?, rows, ..Table::default() };
        Ok::<_, Error>(packed_rows::silent(&table))
    });
    environment.add_filter("packed", move |table: Value, order: Vec<usize>| {
        Ok::<_, Error>(safe(packed_rows::packed(&rows_of(&table)?, &order)))
    });
}

fn columns_of(table: &Value) -> Result<Vec<Column>, Error> {
    let column = |column: Value| {
        let text = |name: &str| Ok::<_, Error>(column.get_attr(name)?.to_string());
        Ok(Column { header: text("header")?, unit: text("unit")?, ..Column::default() })
    };
    table.get_attr("columns")?.try_iter()?.map(column).collect()
}

fn rows_of(table: &Value) -> Result<LongList<Vec<TableCell>>, Error> {
    let no_table = || Error::new(ErrorKind::InvalidOperation, "this is not a table of the view");
    LongList::of_value(&table.get_attr("rows")?).ok_or_else(no_table)
}

/// Returns a text of a page as its policy names it.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::number::AT_LEAST;

    #[test]
    fn the_script_takes_a_number_with_each_mark_that_is_printed_before_one() {
        let rule = SCRIPT.split("const found = /^[").nth(1).expect("numbers are found by a rule");
        let (marks, _) = rule.split_once("]*").expect("marks come before the digits");
        for mark in AT_LEAST.chars().chain(['<', '≤', '~']) {
            assert!(marks.contains(mark), "{mark:?} is not among {marks:?}");
        }
    }
}
