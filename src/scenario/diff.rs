//! Which keys differ between two scenarios.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

/// A key that differs. Prints as `engine.slow.itl: 9ms -> 10ms`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    path: Vec<String>,
    before: Option<Value>,
    now: Option<Value>,
}

/// Returns every key that differs, in the order of the keys.
///
/// Both scenarios have all layers applied, so that a default is a value like any other.
pub(crate) fn changes(before: &Table, now: &Table) -> Vec<Change> {
    let (before, now) = (flat(before), flat(now));
    let mut paths: Vec<&Vec<String>> = before.keys().chain(now.keys()).collect();
    paths.sort();
    paths.dedup();
    let change = |path: &Vec<String>| Change {
        path: path.clone(),
        before: before.get(path).cloned(),
        now: now.get(path).cloned(),
    };
    paths.into_iter().map(change).filter(|change| change.before != change.now).collect()
}

impl Change {
    /// Makes the change alone in a scenario.
    pub(crate) fn apply(&self, scenario: &mut Table) {
        let (last, sections) = self.path.split_last().expect("a key has a name");
        let mut table = scenario;
        for section in sections {
            let inner = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = inner else { return };
            table = inner;
        }
        match &self.now {
            Some(value) => drop(table.insert(last.clone(), value.clone())),
            None => drop(table.remove(last)),
        }
    }
}

impl Change {
    /// Returns the section that the key is in, or the key itself at the top.
    pub(crate) fn section(&self) -> &str {
        &self.path[0]
    }

    /// Returns the key with its sections.
    pub(crate) fn key(&self) -> String {
        self.path.join(".")
    }

    /// Returns the named table that the key is in, `dataset.chat`, where only one of the two scenarios has
    /// it, and whether that is the one now.
    pub(crate) fn whole_table(&self, before: &Table, now: &Table) -> Option<(String, bool)> {
        let [section, name, _, ..] = self.path.as_slice() else { return None };
        let has =
            |scenario: &Table| scenario.get(section)?.as_table()?.get(name)?.as_table().map(drop);
        let (before, now) = (has(before).is_some(), has(now).is_some());
        (before != now).then(|| (format!("{section}.{name}"), now))
    }

    /// Returns the value before and now; `absent` where there is none.
    pub(crate) fn values(&self) -> (String, String) {
        (shown(self.before.as_ref()), shown(self.now.as_ref()))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, now) = self.values();
        write!(f, "{}: {before} -> {now}", self.key())
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        // Quotes are left out where nothing is lost.
        Some(Value::String(text)) if !text.is_empty() && !text.contains(char::is_whitespace) => {
            text.clone()
        }
        Some(value) => value.to_string(),
    }
}

/// Returns the values by their paths; an empty section is a value.
fn flat(table: &Table) -> BTreeMap<Vec<String>, Value> {
    let mut values = BTreeMap::new();
    flatten(&mut Vec::new(), table, &mut values);
    values
}

fn flatten(path: &mut Vec<String>, table: &Table, values: &mut BTreeMap<Vec<String>, Value>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) if !inner.is_empty() => flatten(path, inner, values),
            value => drop(values.insert(path.clone(), value.clone())),
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_changed_an_added_and_a_removed_key_are_one_line_each() {
        let before = table("title = \"A b\"\n[engine.slow]\nitl = \"9ms\"\nttft = \"1s\"\n");
        let now = table("title = \"A c\"\nseed = 1\n[engine.slow]\nitl = \"10ms\"\n");
        let found: Vec<String> = changes(&before, &now).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(found.join("\n"), @r#"
        engine.slow.itl: 9ms -> 10ms
        engine.slow.ttft: 1s -> absent
        seed: absent -> 1
        title: "A b" -> "A c"
        "#);
        let mut applied = before;
        for change in changes(&applied.clone(), &now) {
            change.apply(&mut applied);
        }
        assert_eq!(applied, now);
    }

    #[test]
    fn a_table_that_one_scenario_alone_has_is_known_as_a_whole() {
        let before = table("[dataset.chat]\nrows = 3\nseed = 1\n[request]\nstream = true\n");
        let now = table("[dataset.code]\nrows = 3\n[request]\nstream = false\n");
        let found = changes(&before, &now);
        let whole: Vec<_> = found.iter().map(|it| it.whole_table(&before, &now)).collect();
        let chat = Some(("dataset.chat".to_owned(), false));
        let code = Some(("dataset.code".to_owned(), true));
        assert_eq!(whole, [chat.clone(), chat, code, None]);
    }

    #[test]
    fn the_same_scenario_in_another_order_has_no_change() {
        assert_eq!(changes(&table("a = 1\nb = [1, 2]\n"), &table("b = [1, 2]\na = 1\n")), []);
    }
}
