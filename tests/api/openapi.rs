//! The OpenAPI document is valid, whole, and the one that is committed.

use kompetens::http::document;
use serde_json::Value;
use std::collections::HashSet;

use crate::profile::{is_blank, operations, parameters, properties, resolved, schemas};

#[test]
fn the_committed_document_is_what_the_code_produces() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let produced = format!("{:#}\n", document());
    if committed == produced {
        return;
    }
    let mut differences = Vec::new();
    compare(
        "",
        &serde_json::from_str(&committed).unwrap_or_default(),
        document(),
        &mut differences,
    );
    panic!(
        "openapi/openapi.json is not what the code produces. It differs at:\n{}\n\
         If that is meant, accept it with: cargo run -- openapi > openapi/openapi.json",
        differences.join("\n")
    );
}

/// The places where two values differ, the deepest that say it.
fn compare(place: &str, left: &Value, right: &Value, differences: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let names: std::collections::BTreeSet<&String> =
                left.keys().chain(right.keys()).collect();
            for name in names {
                let of = |members: &serde_json::Map<String, Value>| {
                    members.get(name).cloned().unwrap_or_default()
                };
                compare(
                    &format!("{place}/{}", name.replace('/', "~1")),
                    &of(left),
                    &of(right),
                    differences,
                );
            }
        }
        _ if left == right => {}
        _ => differences.push(place.to_owned()),
    }
}

#[test]
fn the_document_is_valid_openapi_3_1() {
    assert!(
        document()["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1."))
    );
    // the OpenAPI Initiative's schema (Apache-2.0), as openapi-spec-validator 0.9.0 carries it
    let schema: Value =
        serde_json::from_str(include_str!("openapi-3.1.schema.json")).expect("the schema is JSON");
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema)
        .expect("the schema is one");
    let faults: Vec<String> = validator
        .iter_errors(document())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let mut broken = document().clone();
    broken["paths"]["/api-info"]["get"]["responses"]["200"] = serde_json::json!({});
    assert!(!validator.is_valid(&broken), "the schema notices nothing");
}

#[test]
fn every_schema_is_a_json_schema() {
    let faults: Vec<String> = schemas(document())
        .into_iter()
        .filter_map(|(place, schema)| {
            jsonschema::draft202012::meta::validate(schema)
                .err()
                .map(|error| format!("{place}: {error}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_reference_leads_somewhere() {
    let mut dangling = Vec::new();
    collect_dangling(document(), &mut dangling);
    assert!(dangling.is_empty(), "references to nothing: {dangling:?}");
}

fn collect_dangling(value: &Value, dangling: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str)
                && reference
                    .strip_prefix('#')
                    .and_then(|pointer| document().pointer(pointer))
                    .is_none()
            {
                dangling.push(reference.to_owned());
            }
            members
                .values()
                .for_each(|member| collect_dangling(member, dangling));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_dangling(item, dangling)),
        _ => {}
    }
}

#[test]
fn every_operation_has_an_id_and_a_tag_of_the_document() {
    let mut seen = HashSet::new();
    for (name, operation) in operations(document()) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(
            !id.is_empty() && seen.insert(id),
            "{name}: the operationId {id:?} is missing or repeated"
        );
        let tags = operation["tags"].as_array().map_or(&[][..], Vec::as_slice);
        let is_declared = |tag: &Value| {
            document()["tags"]
                .as_array()
                .is_some_and(|declared| declared.iter().any(|one| one["name"] == *tag))
        };
        assert!(
            tags.len() == 1 && tags.iter().all(is_declared),
            "{name}: not exactly one tag that http::document describes: {tags:?}"
        );
    }
}

#[test]
fn every_property_is_described() {
    // a reference with a description of its own or of its target
    let is_described = |schema: &Value| {
        !is_blank(&schema["description"]) || !is_blank(&resolved(document(), schema)["description"])
    };
    let bare: Vec<String> = properties(document())
        .into_iter()
        .filter(|(_, _, schema)| !is_described(schema))
        .map(|(place, ..)| place)
        .collect();
    assert!(bare.is_empty(), "without description:\n{}", bare.join("\n"));
}

#[test]
fn every_value_of_every_enumeration_is_explained() {
    for (name, schema) in document()["components"]["schemas"]
        .as_object()
        .expect("schemas")
    {
        for value in schema["enum"].as_array().into_iter().flatten() {
            let value = value.as_str().expect("a text");
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(
                description.contains(&format!("`{value}`: ")),
                "{name}: {value} has no doc comment of its own: {description}"
            );
        }
    }
}

/// A typo must never widen a result or lose what was sent.
#[test]
fn every_object_of_a_request_refuses_unknown_fields() {
    let mut asked: Vec<&Value> = Vec::new();
    for (_, operation) in operations(document()) {
        let content = operation["requestBody"]["content"].as_object();
        asked.extend(
            content
                .into_iter()
                .flatten()
                .map(|(_, media)| &media["schema"]),
        );
    }
    let mut seen = HashSet::new();
    while let Some(schema) = asked.pop() {
        let schema = resolved(document(), schema);
        if !seen.insert(std::ptr::from_ref(schema)) {
            continue;
        }
        if let Some(properties) = schema["properties"].as_object() {
            assert_eq!(
                schema["additionalProperties"],
                Value::Bool(false),
                "takes unknown fields: {schema}"
            );
            asked.extend(properties.values());
        }
        asked.extend(schema.get("items"));
        asked.extend(schema["oneOf"].as_array().into_iter().flatten());
    }
    assert!(!seen.is_empty());
}

#[test]
fn exactly_the_posts_that_write_take_an_idempotency_key() {
    for (name, operation) in operations(document()) {
        let takes_key = parameters(document(), operation)
            .any(|parameter| parameter["name"] == "Idempotency-Key");
        let writes = name.starts_with("POST ") && name != "POST /scope-checks";
        assert_eq!(takes_key, writes, "{name}");
    }
}

/// The document would hold one of them for both.
#[test]
fn no_two_types_of_the_document_have_the_same_name() {
    fn sources(directory: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut texts = Vec::new();
    sources(
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut texts,
    );
    let mut names = HashSet::new();
    for text in texts {
        // from the derive to the name that follows it
        for derived in text.split("ToSchema").skip(1) {
            let name = derived
                .lines()
                .map(|line| line.trim_start_matches("pub ").trim())
                .find_map(|line| {
                    line.strip_prefix("struct ")
                        .or_else(|| line.strip_prefix("enum "))
                })
                .filter(|_| derived.starts_with([')', ',', '\n']))
                .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap());
            if let Some(name) =
                name.filter(|name| document()["components"]["schemas"][*name].is_object())
            {
                assert!(names.insert(name.to_owned()), "two types are called {name}");
            }
        }
    }
    assert!(names.len() > 60, "{}", names.len());
}
