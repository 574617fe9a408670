//! Within v1 the contract only grows: what the last released document (`openapi/released.json`) promised still holds.
//!
//! A release copies `openapi/openapi.json` to `openapi/released.json`, and that is the only time that the latter changes.
//! The comparison errs on the side of alarm: a difference that it cannot judge is reported.

use kompetens::http::document;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

use crate::profile::resolved;

/// What says something to people only.
const ANNOTATIONS: [&str; 6] = [
    "description",
    "example",
    "examples",
    "title",
    "default",
    "deprecated",
];

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Direction {
    /// What callers send: it may not become narrower.
    Request,
    /// What callers are given: it may not become wider.
    Response,
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    breaks: BTreeSet<String>,
    /// Pairs of references that are being compared or have been, for types that hold themselves.
    seen: HashSet<(String, String, Direction)>,
}

fn breaking_differences(old: &Value, new: &Value) -> BTreeSet<String> {
    let mut comparison = Comparison {
        old,
        new,
        breaks: BTreeSet::new(),
        seen: HashSet::new(),
    };
    comparison.documents();
    comparison.breaks
}

impl Comparison<'_> {
    fn report(&mut self, place: &str, what: &str) {
        self.breaks.insert(format!("{place}: {what}"));
    }

    fn documents(&mut self) {
        let (old, new) = (self.old, self.new);
        for (path, item) in members(&old["paths"]) {
            for (method, was) in members(item) {
                let is = &new["paths"][path][method];
                let place = format!("{} {path}", method.to_uppercase());
                if is.is_null() {
                    self.report(&place, "is gone");
                } else {
                    self.operations(&place, was, is);
                }
            }
        }
        for (name, _) in members(&old["components"]["schemas"]) {
            if new["components"]["schemas"][name].is_null() {
                self.report(name, "the type is gone, and generated clients name it");
            }
        }
    }

    fn operations(&mut self, place: &str, was: &Value, is: &Value) {
        let (old, new) = (self.old, self.new);
        if was["operationId"] != is["operationId"] {
            self.report(
                place,
                "has another operationId, which names it in generated clients",
            );
        }
        if was["security"] != is["security"] {
            self.report(place, "asks for other credentials");
        }

        let of = |parameter: &Value| (parameter["in"].clone(), parameter["name"].clone());
        let before: Vec<&Value> = items(&was["parameters"])
            .map(|one| resolved(old, one))
            .collect();
        let now: Vec<&Value> = items(&is["parameters"])
            .map(|one| resolved(new, one))
            .collect();
        for parameter in &before {
            let place = format!("{place} {}", parameter["name"].as_str().unwrap_or_default());
            match now.iter().find(|one| of(one) == of(parameter)) {
                None => self.report(
                    &place,
                    "the parameter is gone, and unknown ones are refused",
                ),
                Some(one) => {
                    let form = |one: &Value| (one["style"].clone(), one["explode"].clone());
                    if form(one) != form(parameter) {
                        self.report(&place, "is written differently");
                    }
                    if one["required"] == json!(true) && parameter["required"] != json!(true) {
                        self.report(&place, "is now required");
                    }
                    self.schemas(
                        &place,
                        &parameter["schema"],
                        &one["schema"],
                        Direction::Request,
                    );
                }
            }
        }
        for one in now.iter().filter(|one| one["required"] == json!(true)) {
            if !before.iter().any(|parameter| of(parameter) == of(one)) {
                self.report(&format!("{place} {}", one["name"]), "is new and required");
            }
        }

        if is["requestBody"]["required"] == json!(true)
            && was["requestBody"]["required"] != json!(true)
        {
            self.report(place, "now needs a body");
        }
        self.contents(
            &format!("{place} body"),
            &was["requestBody"],
            &is["requestBody"],
            Direction::Request,
        );

        for (status, response) in
            members(&was["responses"]).filter(|(status, _)| status.starts_with(['2', '3']))
        {
            let place = format!("{place} {status}");
            let (response, now) = (
                resolved(old, response),
                resolved(new, &is["responses"][status]),
            );
            if now.is_null() {
                self.report(&place, "is no longer answered");
                continue;
            }
            for (header, _) in members(&response["headers"]) {
                if now["headers"][header].is_null() {
                    self.report(&place, &format!("the header {header} is gone"));
                }
            }
            self.contents(&place, response, now, Direction::Response);
        }
        let added = members(&is["responses"]).filter(|(status, _)| status.starts_with(['2', '3']));
        for (status, _) in added.filter(|(status, _)| was["responses"][*status].is_null()) {
            self.report(
                &format!("{place} {status}"),
                "is answered now, which no client expects",
            );
        }
    }

    fn contents(&mut self, place: &str, was: &Value, is: &Value, direction: Direction) {
        for (media_type, media) in members(&was["content"]) {
            match is["content"].get(media_type) {
                None => self.report(place, &format!("{media_type} is gone")),
                Some(now) => self.schemas(place, &media["schema"], &now["schema"], direction),
            }
        }
    }

    fn schemas(&mut self, place: &str, was: &Value, is: &Value, direction: Direction) {
        if let (Some(before), Some(now)) = (was["$ref"].as_str(), is["$ref"].as_str())
            && !self
                .seen
                .insert((before.to_owned(), now.to_owned(), direction))
        {
            return;
        }
        let (was, is) = (resolved(self.old, was), resolved(self.new, is));
        let narrows = |fewer: bool, more: bool| match direction {
            Direction::Request => fewer,
            Direction::Response => more,
        };

        // sets: what may be sent may not lose members, what is answered may not gain any
        for keyword in ["type", "enum"] {
            let (before, now) = (set(&was[keyword]), set(&is[keyword]));
            let (lost, gained) = match (before.is_empty(), now.is_empty()) {
                (true, true) => (false, false),
                // without the keyword everything is allowed
                (true, false) => (true, false),
                (false, true) => (false, true),
                (false, false) => (!before.is_subset(&now), !now.is_subset(&before)),
            };
            // clients of v1 know that enumerations grow (docs/API.md)
            if narrows(lost, gained && keyword != "enum") {
                self.report(
                    place,
                    &format!("{keyword} was {}, is {}", was[keyword], is[keyword]),
                );
            }
        }
        let required = |schema: &Value| set(&schema["required"]);
        let (lost, gained) = (
            required(was).difference(&required(is)).next().is_some(),
            required(is).difference(&required(was)).next().is_some(),
        );
        if narrows(gained, lost) {
            self.report(
                place,
                &format!("required was {}, is {}", was["required"], is["required"]),
            );
        }

        // bounds of what is sent; what is answered within other bounds is no break
        if direction == Direction::Request {
            let bound =
                |schema: &Value, name: &str, without: f64| schema[name].as_f64().unwrap_or(without);
            for name in ["maximum", "maxLength", "maxItems", "maxProperties"] {
                if bound(is, name, f64::INFINITY) < bound(was, name, f64::INFINITY) {
                    self.report(place, &format!("{name} is lower"));
                }
            }
            for name in ["minimum", "minLength", "minItems"] {
                if bound(is, name, f64::NEG_INFINITY) > bound(was, name, f64::NEG_INFINITY) {
                    self.report(place, &format!("{name} is higher"));
                }
            }
            for name in ["pattern", "format", "uniqueItems"] {
                if !is[name].is_null() && is[name] != was[name] {
                    self.report(place, &format!("{name} was {}, is {}", was[name], is[name]));
                }
            }
        } else if was["format"] != is["format"] {
            self.report(
                place,
                &format!("format was {}, is {}", was["format"], is["format"]),
            );
        }

        for (name, property) in members(&was["properties"]) {
            let place = format!("{place}/{name}");
            match is["properties"].get(name) {
                None => self.report(&place, "is gone"),
                Some(now) => self.schemas(&place, property, now, direction),
            }
        }
        if !was["items"].is_null() || !is["items"].is_null() {
            self.schemas(
                &format!("{place}/[]"),
                &was["items"],
                &is["items"],
                direction,
            );
        }
        let (before, now): (Vec<_>, Vec<_>) = (
            items(&was["oneOf"]).collect(),
            items(&is["oneOf"]).collect(),
        );
        if before.len() == now.len() {
            for (before, now) in before.into_iter().zip(now) {
                self.schemas(place, before, now, direction);
            }
        } else {
            self.report(place, "has other alternatives");
        }

        const JUDGED: [&str; 17] = [
            "$ref",
            "type",
            "enum",
            "required",
            "maximum",
            "maxLength",
            "maxItems",
            "maxProperties",
            "minimum",
            "minLength",
            "minItems",
            "pattern",
            "format",
            "uniqueItems",
            "properties",
            "items",
            "oneOf",
        ];
        let keywords: BTreeSet<&String> = members(was)
            .chain(members(is))
            .map(|(keyword, _)| keyword)
            .collect();
        for keyword in keywords {
            let is_known =
                ANNOTATIONS.contains(&keyword.as_str()) || JUDGED.contains(&keyword.as_str());
            if !is_known && !keyword.starts_with("x-") && was[keyword] != is[keyword] {
                self.report(
                    place,
                    &format!("{keyword} differs, which this comparison does not judge"),
                );
            }
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The members of an array, or the one value.
fn set(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Null => BTreeSet::new(),
        Value::Array(items) => items.iter().map(Value::to_string).collect(),
        one => BTreeSet::from([one.to_string()]),
    }
}

#[test]
fn nothing_that_the_last_released_document_promised_is_broken() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/released.json");
    let released: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("openapi/released.json"))
            .expect("JSON");
    let breaks = breaking_differences(&released, document());
    assert!(
        breaks.is_empty(),
        "this breaks the clients of v1; add beside what is there instead:\n{breaks:#?}"
    );
}

#[test]
fn every_kind_of_breaking_difference_is_noticed_and_what_is_added_is_not_one() {
    let changed = |pointer: &str, to: Value| {
        let mut new = document().clone();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = new
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{pointer}"));
        if to.is_null() {
            let name = name.replace("~1", "/");
            parent.as_object_mut().expect("an object").remove(&name);
        } else {
            parent[name.replace("~1", "/")] = to;
        }
        breaking_differences(document(), &new)
    };
    let event = "/components/schemas/Event";
    let new_event = "/components/schemas/NewEvent";
    let get = "/paths/~1events~1{eventId}/get";
    for (pointer, to) in [
        ("/paths/~1events", Value::Null),
        (get, Value::Null),
        (&format!("{get}/operationId"), json!("readEvent")),
        (&format!("{get}/responses/200"), Value::Null),
        (
            &format!("{get}/responses/202"),
            json!({"description": "Later."}),
        ),
        (&format!("{get}/responses/200/headers/ETag"), Value::Null),
        ("/paths/~1api-info/get/security", Value::Null),
        ("/paths/~1events/get/parameters/0/name", json!("state")),
        ("/paths/~1events/get/parameters/0/required", json!(true)),
        ("/paths/~1events/get/parameters/0/explode", json!(true)),
        (&format!("{event}/properties/title"), Value::Null),
        (
            &format!("{event}/properties/title/type"),
            json!(["string", "null"]),
        ),
        (&format!("{event}/required"), json!(["id"])),
        (
            &format!("{event}/properties/createdAt/format"),
            json!("date"),
        ),
        (&format!("{new_event}/properties/title"), Value::Null),
        (
            &format!("{new_event}/properties/title/maxLength"),
            json!(199),
        ),
        (&format!("{new_event}/properties/title/minLength"), json!(2)),
        (
            &format!("{new_event}/properties/title/pattern"),
            json!("^[A-Z]"),
        ),
        (
            &format!("{new_event}/properties/estimatedCost/maximum"),
            json!(10),
        ),
        (
            &format!("{new_event}/properties/occasions/maxItems"),
            json!(99),
        ),
        (
            &format!("{new_event}/required"),
            json!([
                "title",
                "kind",
                "arranger",
                "organisingUnitIds",
                "responsiblePerson",
                "occasions",
                "q"
            ]),
        ),
        (
            "/components/schemas/ProposedKind/enum",
            json!(["planningDay"]),
        ),
        ("/components/schemas/Fault", Value::Null),
    ] {
        assert!(
            !changed(pointer, to.clone()).is_empty(),
            "{pointer} {to} is not noticed"
        );
    }
    for (pointer, to) in [
        ("/paths/~1new", json!({"get": {}})),
        (
            &*format!("{event}/properties/more"),
            json!({"type": "string"}),
        ),
        (&format!("{event}/description"), json!("Another text.")),
        (
            &format!("{new_event}/properties/more"),
            json!({"type": "string"}),
        ),
        (
            &format!("{new_event}/properties/title/maxLength"),
            json!(201),
        ),
        (
            &format!("{new_event}/properties/title/pattern"),
            Value::Null,
        ),
        (
            "/components/schemas/EventStatus/enum",
            json!(["draft", "confirmed", "held", "closed", "cancelled", "lost"]),
        ),
        (
            "/components/schemas/ProposedKind/enum",
            json!([
                "planningDay",
                "kickOff",
                "trainingDay",
                "training",
                "conference",
                "other",
                "studyVisit",
                "course"
            ]),
        ),
    ] {
        let breaks = changed(pointer, to);
        assert!(breaks.is_empty(), "{pointer}: {breaks:#?}");
    }
    assert!(breaking_differences(document(), document()).is_empty());
}
