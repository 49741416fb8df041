//! The gold answers of a data set, as the data set writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Raw gold answers by row of the data set; a row without one is there and has none.
///
/// Each score extracts its own golds from these, so that one data set can have several scores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GoldsRecord {
    by_row: BTreeMap<u64, Option<String>>,
}

impl GoldsRecord {
    /// Returns rows and raw golds, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Option<&str>)> {
        self.by_row.iter().map(|(&row, gold)| (row, gold.as_deref()))
    }
}

impl FromIterator<(u64, Option<String>)> for GoldsRecord {
    fn from_iter<I: IntoIterator<Item = (u64, Option<String>)>>(rows: I) -> Self {
        Self { by_row: rows.into_iter().collect() }
    }
}

/// Characters of a question that are kept.
pub(crate) const QUESTION_CHARS: usize = 2_000;

/// What was asked, by row of the data set: the last text of a user, cut where it is long. Kept for
/// people who look at graded answers, and for the choices that it lists.
pub type QuestionsRecord = BTreeMap<u64, String>;

/// Returns a list of golds, any of which is right, as the one text that records hold of it: a JSON
/// array of texts. `None` for what is no list of texts and numbers.
pub fn written(list: &[Value]) -> Option<String> {
    let golds: Vec<String> = list
        .iter()
        .map(|gold| match gold {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect::<Option<_>>()?;
    (!golds.is_empty()).then(|| serde_json::to_string(&golds).ok())?
}

/// Returns the golds of a list that was [`written`] as one text; `None` for any other gold. A list
/// of numbers, `[3, 4]`, is a gold of its own: an interval or a point.
pub fn accepted(raw: &str) -> Option<Vec<String>> {
    let list = raw.trim_start();
    // Most golds are no list, and are not parsed.
    let inner = list.strip_prefix('[')?.trim_start();
    inner.starts_with('"').then(|| serde_json::from_str(list).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_golds_is_one_text_and_comes_back() {
        let list = |value: Value| written(value.as_array().unwrap());
        let text = list(json!(["18", 19, "a \"b\""])).unwrap();
        assert_eq!(accepted(&text).unwrap(), ["18", "19", "a \"b\""]);
        assert_eq!(list(json!([["18"]])), None);
        assert_eq!(list(json!([])), None);
        for raw in ["[3, 4]", "#### 18", "[x] \"y\"", "[\"x\", 1]"] {
            assert_eq!(accepted(raw), None, "{raw}");
        }
    }
}
