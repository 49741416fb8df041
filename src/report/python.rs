//! The Python face: a reader of run directories whose types follow from the schema of the summary.

use std::fmt::Write as _;

use serde_json::Value;

use crate::metrics::summary_file::SUMMARY_FORMAT;

/// Words of Python that a key may be.
const KEYWORDS: [&str; 12] =
    ["and", "as", "class", "del", "for", "from", "if", "in", "is", "not", "or", "with"];

/// Returns the reader as one Python file.
pub(crate) fn reader(schema: &Value) -> String {
    let mut types = Types::default();
    for (name, definition) in members(schema, "$defs") {
        types.define(name, definition);
    }
    types.define("Summary", schema);
    include_str!("reader.py")
        .replace("@FORMAT@", &SUMMARY_FORMAT.to_string())
        .replace("@TYPES@", types.0.trim_matches('\n'))
}

fn members<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    of[key].as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Definitions so far. Python evaluates no annotation here, so their order does not matter.
#[derive(Default)]
struct Types(String);

impl Types {
    /// Writes a class for an object with known keys, and an alias for everything else.
    fn define(&mut self, name: &str, schema: &Value) {
        if schema["properties"].is_object() {
            return self.class(name, schema);
        }
        let alias = self.annotation(name, schema);
        let _ = writeln!(self.0, "\n\n{name}: TypeAlias = '{alias}'");
        self.docstring("", schema);
    }

    fn class(&mut self, name: &str, schema: &Value) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let keys: Vec<(&str, String, &Value)> = members(schema, "properties")
            .map(|(key, value)| {
                let part = format!("{name}{}", pascal(key));
                let annotation = self.annotation(&part, value);
                let is_always = required.contains(&key);
                let annotation =
                    if is_always { annotation } else { format!("NotRequired[{annotation}]") };
                (key, annotation, value)
            })
            .collect();
        // A key that is a word of Python has no other form.
        if keys.iter().any(|(key, ..)| KEYWORDS.contains(key)) {
            let keys =
                keys.iter().map(|(key, annotation, _)| format!("    \"{key}\": '{annotation}',\n"));
            let keys: String = keys.collect();
            let _ = writeln!(self.0, "\n\n{name} = TypedDict(\"{name}\", {{\n{keys}}})");
            return self.docstring("", schema);
        }
        let _ = writeln!(self.0, "\n\nclass {name}(TypedDict):");
        self.docstring("    ", schema);
        for (key, annotation, value) in keys {
            let _ = writeln!(self.0, "\n    {key}: {annotation}");
            self.docstring("    ", value);
        }
    }

    fn docstring(&mut self, indent: &str, schema: &Value) {
        if let Some(text) = schema["description"].as_str() {
            let lines: Vec<&str> = text.lines().collect();
            let text = lines.join(&format!("\n{indent}")).replace('\\', "\\\\");
            let _ = writeln!(self.0, "{indent}\"\"\"{text}\"\"\"");
        }
    }

    /// Returns how Python writes the type; `name` is that of a class where one must be made.
    fn annotation(&mut self, name: &str, schema: &Value) -> String {
        if let Some(reference) = schema["$ref"].as_str() {
            return reference.trim_start_matches("#/$defs/").to_owned();
        }
        if !schema["const"].is_null() {
            return format!("Literal[{}]", schema["const"]);
        }
        if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            return self.union(name, choices);
        }
        let mut kinds: Vec<&str> = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            Value::String(kind) => vec![kind],
            _ => vec!["any"],
        };
        kinds.sort_by_key(|kind| *kind == "null");
        let kinds: Vec<String> =
            kinds.iter().map(|kind| self.of_kind(name, kind, schema)).collect();
        one_of(&kinds)
    }

    /// Returns literals as one, and each form of an object as a class of its own.
    fn union(&mut self, name: &str, choices: &[Value]) -> String {
        let (literals, others): (Vec<&Value>, Vec<&Value>) =
            choices.iter().partition(|choice| !choice["const"].is_null());
        let literals: Vec<String> =
            literals.iter().map(|choice| choice["const"].to_string()).collect();
        let mut kinds: Vec<String> = others
            .iter()
            .map(|choice| {
                let of: String =
                    members(choice, "properties").map(|(key, _)| pascal(key)).collect();
                self.annotation(&format!("{name}{of}"), choice)
            })
            .collect();
        if !literals.is_empty() {
            kinds.insert(0, format!("Literal[{}]", literals.join(", ")));
        }
        one_of(&kinds)
    }

    fn of_kind(&mut self, name: &str, kind: &str, schema: &Value) -> String {
        match kind {
            "object" if schema["properties"].is_object() => {
                self.class(name, schema);
                name.to_owned()
            }
            "object" if schema["additionalProperties"].is_object() => {
                format!("dict[str, {}]", self.annotation(name, &schema["additionalProperties"]))
            }
            "array" if schema["prefixItems"].is_array() => {
                let items = schema["prefixItems"].as_array().into_iter().flatten();
                let items: Vec<String> = items.map(|item| self.annotation(name, item)).collect();
                format!("tuple[{}]", items.join(", "))
            }
            "array" => format!("list[{}]", self.annotation(name, &schema["items"])),
            "boolean" => "bool".to_owned(),
            "integer" => "int".to_owned(),
            "null" => "None".to_owned(),
            "number" => "float".to_owned(),
            "object" => "dict[str, Any]".to_owned(),
            "string" => "str".to_owned(),
            _ => "Any".to_owned(),
        }
    }
}

fn one_of(kinds: &[String]) -> String {
    if kinds.len() == 1 { kinds.concat() } else { format!("Union[{}]", kinds.join(", ")) }
}

fn pascal(key: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    key.split(['_', '-']).filter(|word| !word.is_empty()).map(word).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn types(schema: &Value) -> String {
        let mut types = Types::default();
        types.define("Thing", schema);
        types.0.trim().to_owned()
    }

    #[test]
    fn an_object_becomes_a_class_whose_keys_say_what_they_mean() {
        let schema = json!({
            "type": "object",
            "description": "A thing.",
            "properties": {
                "n": { "type": "integer", "description": "How many." },
                "ends": { "type": ["array", "null"], "prefixItems": [{ "type": "number" }, { "type": "number" }] },
                "of": { "type": "object", "additionalProperties": { "$ref": "#/$defs/Other" } },
            },
            "required": ["n"],
        });
        let keys = [
            "class Thing(TypedDict):\n    \"\"\"A thing.\"\"\"",
            "    n: int\n    \"\"\"How many.\"\"\"",
            "    ends: NotRequired[Union[tuple[float, float], None]]",
            "    of: NotRequired[dict[str, Other]]",
        ];
        let found = types(&schema);
        assert!(keys.iter().all(|key| found.contains(key)), "{found}");
    }

    #[test]
    fn a_key_that_is_a_word_of_python_is_a_text() {
        let schema = json!({
            "type": "object",
            "properties": { "class": { "$ref": "#/$defs/Other" } },
        });
        let expected = "Thing = TypedDict(\"Thing\", {\n    \"class\": 'NotRequired[Other]',\n})";
        assert_eq!(types(&schema), expected);
    }

    #[test]
    fn a_choice_becomes_literals_and_a_class_per_form() {
        let schema = json!({ "oneOf": [
            { "const": "complete", "type": "string" },
            { "type": "object", "properties": { "skipped": { "type": "string" } }, "required": ["skipped"] },
        ] });
        assert_eq!(
            types(&schema),
            "class ThingSkipped(TypedDict):\n\n    skipped: str\n\n\n\
             Thing: TypeAlias = 'Union[Literal[\"complete\"], ThingSkipped]'"
        );
    }
}
