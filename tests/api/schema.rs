//! Bodies made from the schemas of the document.

use kompetens::http::document;
use serde_json::{Value, json};

/// What a schema says behind its references, and beside null.
pub fn resolved(schema: &Value) -> &Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(document().pointer(&reference[1..]).expect("a schema"));
    }
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    alternatives
        .clone()
        .find(|one| one["type"] != "null")
        .map_or(schema, resolved)
}

pub fn is_a(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind
        || schema["type"]
            .as_array()
            .is_some_and(|kinds| kinds.contains(&json!(kind)))
}

/// A value of the schema's form: an object with what it requires, arrays as short as allowed.
pub fn sample(schema: &Value) -> Value {
    let schema = resolved(schema);
    if is_a(schema, "object") {
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        return required
            .map(|name| (name.to_owned(), sample(&schema["properties"][name])))
            .collect();
    }
    if is_a(schema, "array") {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        return (0..least).map(|_| sample(&schema["items"])).collect();
    }
    match (&schema["enum"][0], &schema["example"]) {
        (Value::Null, Value::Null) if is_a(schema, "boolean") => json!(true),
        (Value::Null, Value::Null) if is_a(schema, "integer") => schema["minimum"].clone(),
        (Value::Null, Value::Null) => json!("text"),
        (Value::Null, example) => example.clone(),
        (first, _) => first.clone(),
    }
}

/// Every place of a body with its schema, items as `/0`.
pub fn places(schema: &'static Value, at: &str, found: &mut Vec<(String, &'static Value)>) {
    let schema = resolved(schema);
    found.push((at.to_owned(), schema));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        places(property, &format!("{at}/{name}"), found);
    }
    if is_a(schema, "array") {
        places(&schema["items"], &format!("{at}/0"), found);
    }
}

/// The body with this value at this place, all above it being there.
pub fn with(schema: &Value, body: Value, place: &str, value: &Value) -> Value {
    let Some((name, rest)) = place
        .strip_prefix('/')
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return value.clone();
    };
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!("/{rest}")
    };
    let schema = resolved(schema);
    match body {
        Value::Array(mut items) => {
            let item = items
                .drain(..)
                .next()
                .unwrap_or_else(|| sample(&schema["items"]));
            items.insert(0, with(&schema["items"], item, &rest, value));
            Value::Array(items)
        }
        Value::Object(mut members) => {
            let property = &schema["properties"][name];
            let member = members.remove(name).unwrap_or_else(|| sample(property));
            members.insert(name.to_owned(), with(property, member, &rest, value));
            Value::Object(members)
        }
        _ => unreachable!("{place} of {schema}"),
    }
}
