//! Answers and golds of a file, side by side: two columns of any table.

use serde_json::Value;

use crate::record::golds::written;
use crate::workload::columns::{column_of, lookup};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::rows;

/// What columns of questions are called.
const QUESTIONS: [&str; 4] = ["question", "prompt", "problem", "input"];

/// Columns of a file of samples that lm-evaluation-harness wrote: it has each document once for each
/// filter, with the same answers (`evaluate` of `lm_eval` 0.4).
const DOCUMENT: &str = "doc_id";
const FILTER: &str = "filter";

/// One row: a model's answer, and the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Position in the file, from 0.
    pub row: u64,
    /// What was asked, where a column of the usual names says it.
    pub question: Option<String>,
    /// The answer's text; empty where the column is null.
    pub output: String,
    /// The gold, or a list of them as [`written`]; `None` where the column is null.
    pub gold: Option<String>,
}

/// Which columns hold them: names, or JSON pointers that begin with `/`.
#[derive(Clone, Copy, Debug)]
pub struct PairColumns<'a> {
    /// Of the answers.
    pub output: &'a str,
    /// Of the golds.
    pub gold: &'a str,
}

/// Reads the pairs of a file, one row at a time.
///
/// # Errors
/// [`DataError`] names file, line or row, and column.
pub fn pairs(
    input: Input,
    columns: PairColumns<'_>,
) -> Result<impl Iterator<Item = Result<Pair, DataError>>, DataError> {
    let file = input.name().to_owned();
    let named = [columns.output, columns.gold].map(column_of);
    let reads = |name: &str| {
        QUESTIONS.contains(&name)
            || [DOCUMENT, FILTER].contains(&name)
            || named.iter().any(|it| it == name)
    };
    let rows = rows::open(input, None, &reads)?;
    let mut filter = None;
    let once = (0..).zip(rows).filter(move |(_, row)| {
        !row.as_ref().is_ok_and(|row| is_of_another_filter(&row.fields, &mut filter))
    });
    Ok(once.map(move |(number, row)| {
        let row = row.map_err(|bad| bad.error)?;
        let told = |column: &str, what: &str| {
            let help = "--output-column and --gold-column say which columns are meant";
            let place = format_args!("{}, column `{}`", row.place, column.escape_debug());
            DataError::new(&file, what, help).at(place)
        };
        let text = |column: &str| match lookup(&row.fields, column) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Null) => Ok(None),
            Some(_) => Err(told(column, "is not a text")),
            None => Err(told(column, "is missing")),
        };
        let output = text(columns.output)?.unwrap_or_default();
        let gold =
            match lookup(&row.fields, columns.gold) {
                // Any of them is right.
                Some(Value::Array(list)) => Some(written(list).ok_or_else(|| {
                    told(columns.gold, "is a list of other than texts and numbers")
                })?),
                _ => text(columns.gold)?,
            };
        let question = QUESTIONS.iter().find_map(|name| row.fields.get(*name)?.as_str());
        Ok(Pair { row: number, question: question.map(str::to_owned), output, gold })
    }))
}

/// Whether a row says again, for another filter than the first row's, what an answer was.
fn is_of_another_filter(fields: &Value, first: &mut Option<String>) -> bool {
    match (fields.get(DOCUMENT), fields.get(FILTER)) {
        (Some(Value::Number(_)), Some(Value::String(filter))) => {
            first.get_or_insert_with(|| filter.clone()) != filter
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, output: &str) -> Result<Vec<Pair>, DataError> {
        let columns = PairColumns { output, gold: "gold" };
        pairs(Input::bytes("x.jsonl", text.to_owned()), columns)?.collect()
    }

    #[test]
    fn a_row_is_an_answer_and_its_gold() {
        let text = "{\"output\":\"#### 5\",\"gold\":5}\n{\"output\":null,\"gold\":null}\n";
        let pair = |row, output: &str, gold: Option<&str>| Pair {
            row,
            question: None,
            output: output.to_owned(),
            gold: gold.map(str::to_owned),
        };
        assert_eq!(
            read(text, "output").unwrap(),
            [pair(0, "#### 5", Some("5")), pair(1, "", None)]
        );
        let list = "{\"output\":\"5\",\"gold\":[\"five\",5]}";
        assert_eq!(read(list, "output").unwrap()[0].gold.as_deref(), Some("[\"five\",\"5\"]"));
        let nested = "{\"resps\":[[\"five\"]],\"gold\":\"5\"}";
        assert_eq!(read(nested, "/resps/0/0").unwrap(), [pair(0, "five", Some("5"))]);
    }

    #[test]
    fn a_document_that_is_there_once_for_each_filter_is_one_answer() {
        let row = |doc: u32, filter: &str| {
            format!(
                "{{\"doc_id\":{doc},\"filter\":\"{filter}\",\"output\":\"{doc}\",\"gold\":\"1\"}}\n"
            )
        };
        let text = row(0, "strict-match")
            + &row(1, "strict-match")
            + &row(0, "flexible-extract")
            + &row(1, "flexible-extract");
        let rows = |text: &str| -> Vec<(u64, String)> {
            read(text, "output").unwrap().into_iter().map(|pair| (pair.row, pair.output)).collect()
        };
        assert_eq!(rows(&text), [(0, "0".to_owned()), (1, "1".to_owned())]);
        // A column of the same name in a file of another kind.
        assert_eq!(rows(&text.replace("doc_id", "id")).len(), 4);
    }

    #[test]
    fn a_missing_column_is_named_with_its_line() {
        let error =
            read("{\"output\":\"a\",\"gold\":\"1\"}\n{\"text\":\"b\"}\n", "output").unwrap_err();
        assert_eq!(error.to_string(), "x.jsonl: line 2, column `output`: is missing");
        let error = read("{\"output\":[1],\"gold\":\"1\"}", "output").unwrap_err();
        assert_eq!(error.to_string(), "x.jsonl: line 1, column `output`: is not a text");
        let error = read("{\"output\":\"a\"", "output").unwrap_err();
        assert_eq!(error.help, "one JSON object per row is expected");
    }
}
