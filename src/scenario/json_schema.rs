//! The grammar as a JSON Schema (draft 07), for editors.

use serde_json::{Map, Value, json};

use crate::scenario::grammar::{Field, Kind, MAX_NAME};
use crate::scenario::spec::{EngineSpec, OPTIONS, ScenarioSpec};

/// Returns the JSON Schema of a scenario file, pretty-printed, with a final line feed.
pub(crate) fn json_schema() -> String {
    let mut schema = object(ScenarioSpec::FIELDS);
    let root = schema.as_object_mut().expect("an object schema is an object");
    root.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    root.insert("title".into(), json!("A scenario of bench"));
    let mut profile = object(ScenarioSpec::FIELDS);
    profile["title"] = json!("A profile of a scenario");
    root.insert("definitions".into(), json!({ "profile": profile }));
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut value = of_kind(&field.kind);
            value["description"] = json!(field.doc);
            (field.key.to_string(), value)
        })
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::Said(..) => json!({ "type": "string" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer(min, i64::MAX) => json!({ "type": "integer", "minimum": min }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Above(min, max) => bounded("exclusiveMinimum", *min, *max),
        Kind::Number(min, max) => bounded("minimum", *min, *max),
        Kind::Duration => json!({ "type": "string", "examples": ["250ms", "90s", "1h 30m"] }),
        Kind::Choice(words, _) => json!({ "enum": words }),
        Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Kind::List(of) => json!({ "type": "array", "items": of_kind(of) }),
        Kind::Table(fields) => object(fields),
        Kind::Named(_, of) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "maxLength": MAX_NAME },
            "additionalProperties": of_kind(of),
        }),
        Kind::MapOf(keys, of) => json!({
            "type": "object",
            "propertyNames": { "enum": keys },
            "additionalProperties": of_kind(of),
        }),
        Kind::Map(of) => json!({ "type": "object", "additionalProperties": of_kind(of) }),
        Kind::Engine => {
            let mut engine = object(EngineSpec::FIELDS);
            let mut options = object(OPTIONS);
            if let (Some(keys), Some(more)) =
                (engine["properties"].as_object_mut(), options["properties"].as_object_mut())
            {
                keys.append(more);
            }
            // A preset may have flags of its own.
            engine["additionalProperties"] = of_kind(&Kind::Scalar);
            engine
        }
        Kind::Profile => json!({ "$ref": "#/definitions/profile" }),
        Kind::Either(kinds) => {
            json!({ "anyOf": kinds.iter().map(of_kind).collect::<Vec<_>>() })
        }
        Kind::Anything => json!({}),
    }
}

fn bounded(lower: &str, min: f64, max: f64) -> Value {
    let mut schema = json!({ "type": "number" });
    schema[lower] = json!(min);
    if max.is_finite() {
        schema["maximum"] = json!(max);
    }
    schema
}
