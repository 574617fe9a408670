//! What bad input gets: a problem that names the place, and never a 5xx. Driven by the document where it can be.

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use crate::http::{concrete, raw};
use crate::schema::{is_a, places, resolved, sample, with};
use kompetens::http::document;
use serde_json::{Value, json};
use uuid::Uuid;

/// A personal number that has never been anyone's: the Tax Agency's example.
const NUMBER: &str = "19121212-1212";
const BOUNDS: [&str; 6] = [
    "too-long",
    "too-short",
    "too-large",
    "too-small",
    "too-many-items",
    "too-few-items",
];

/// Every operation with a body: method, a path of its kind, the schema.
fn writes() -> Vec<(String, String, &'static Value)> {
    writes_as("application/json")
}

fn writes_as(media_type: &str) -> Vec<(String, String, &'static Value)> {
    let mut found = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if let Some(body) = operation["requestBody"]["content"].get(media_type) {
                found.push((method.to_uppercase(), filled(path), &body["schema"]));
            }
        }
    }
    found
}

/// The path with a value for each of its parameters; what it names is not there.
fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{questionId}" => "purpose".to_owned(),
        part if part.starts_with('{') => Uuid::now_v7().to_string(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn write(app: &TestApp, caller: &Caller, operation: (&str, &str), body: &str) -> Reply {
    write_as(app, caller, operation, "application/json", body)
}

fn write_as(
    app: &TestApp,
    caller: &Caller,
    (method, path): (&str, &str),
    media_type: &str,
    body: &str,
) -> Reply {
    let mut headers = vec![("Content-Type", media_type)];
    if method == "PATCH" || path.ends_with("/status-changes") {
        headers.push(("If-Match", "\"1\""));
    }
    let reply = app.send(caller, method, path, &headers, Some(body));
    assert!(
        reply.status < 500,
        "{method} {path} {body:.300}: {}",
        reply.text
    );
    reply
}

/// The codes of a problem's faults at a place.
fn faults_at<'a>(reply: &'a Reply, place: &str) -> Vec<&'a str> {
    let errors = reply.body["errors"].as_array().into_iter().flatten();
    let here = errors.filter(|error| error["pointer"] == place || error["parameter"] == place);
    here.filter_map(|error| error["code"].as_str()).collect()
}

/// Values at the two sides of each bound of a schema: allowed, refused.
fn sides(schema: &Value) -> Vec<(Value, Option<Value>)> {
    let number = |name: &str| schema[name].as_i64();
    let size = |name: &str| {
        schema[name]
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
    };
    let text = |length: usize| json!("å".repeat(length));
    let plain = |length: usize| json!("x".repeat(length));
    let of_length = |length| {
        if schema["pattern"].as_str().is_none_or(|p| p.contains(r"\S")) {
            text(length)
        } else {
            plain(length)
        }
    };
    let items = |count: usize| {
        (0..count)
            .map(|_| sample(&schema["items"]))
            .collect::<Value>()
    };
    let mut found = Vec::new();
    found.extend(number("maximum").map(|most| (json!(most), Some(json!(most + 1)))));
    found.extend(number("minimum").map(|least| (json!(least), Some(json!(least - 1)))));
    found.extend(size("maxLength").map(|most| (of_length(most), Some(of_length(most + 1)))));
    found.extend(
        size("minLength").map(|least| (of_length(least), least.checked_sub(1).map(of_length))),
    );
    found.extend(size("maxItems").map(|most| (items(most), Some(items(most + 1)))));
    found.extend(size("minItems").map(|least| (items(least), least.checked_sub(1).map(items))));
    found
}

/// Tries both sides of each bound of each body of this media type; gives how many were tried.
fn try_bodies(media_type: &str) -> usize {
    let app = TestApp::empty();
    let hr = app.hr();
    let mut tried = 0;
    for (method, path, schema) in writes_as(media_type) {
        let mut all = Vec::new();
        places(schema, "", &mut all);
        for (place, at) in all {
            for (allowed, refused) in sides(at) {
                let send = |value| {
                    let body = with(schema, sample(schema), &place, value).to_string();
                    write_as(&app, &hr, (&method, &path), media_type, &body)
                };
                let taken = send(&allowed);
                let complaints = faults_at(&taken, &place);
                assert!(
                    !matches!(taken.status, 413 | 415)
                        && !complaints.iter().any(|code| BOUNDS.contains(code)),
                    "{method} {path} {place}: {}",
                    taken.text
                );
                if let Some(refused) = refused {
                    let refusal = send(&refused).expect(422);
                    let complaints = faults_at(&refusal, &place);
                    assert!(
                        complaints.iter().any(|code| BOUNDS.contains(code)),
                        "{method} {path} {place}: {}",
                        refusal.text
                    );
                }
                tried += 1;
            }
        }
    }
    tried
}

#[test]
fn every_bound_of_every_body_is_the_one_that_the_document_says() {
    let tried = try_bodies("application/json");
    assert!(tried > 150, "{tried} bounds");
}

#[test]
fn every_bound_of_every_merge_patch_is_the_one_that_the_document_says() {
    let tried = try_bodies("application/merge-patch+json");
    assert!(tried > 30, "{tried} bounds");
}

/// Texts at the two sides of the bounds that a pattern of one class of characters sets: `^[a-z]{1,9}$`.
fn sides_of_pattern(pattern: &str, one: &str) -> Vec<(String, Option<String>)> {
    let bounds = |rest: &str| -> Option<(usize, usize)> {
        let (least, most) = rest.split_once('}')?.0.split_once(',')?;
        Some((least.parse().ok()?, most.parse().ok()?))
    };
    let Some((least, most)) = pattern.split('{').skip(1).find_map(bounds) else {
        return Vec::new();
    };
    vec![
        (one.repeat(most), Some(one.repeat(most + 1))),
        (
            one.repeat(least),
            least.checked_sub(1).map(|less| one.repeat(less)),
        ),
    ]
}

#[test]
fn every_bound_of_every_header_and_of_every_part_of_an_address_is_the_one_that_the_document_says() {
    let app = TestApp::empty();
    let hr = app.hr();
    let mut tried: std::collections::BTreeMap<&str, usize> = [("header", 0), ("path", 0)].into();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let parameters: Vec<&Value> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(resolved)
                .collect();
            let has_body = !operation["requestBody"].is_null();
            for parameter in &parameters {
                let (place, name) = (
                    parameter["in"].as_str().unwrap(),
                    parameter["name"].as_str().unwrap(),
                );
                let Some(count) = tried.get_mut(place) else {
                    continue;
                };
                let ask = |value: &str| {
                    let mut headers = Vec::new();
                    let mut address = filled(path);
                    if place == "path" {
                        let encoded = if value.is_empty() { "%20" } else { value };
                        address = filled(&path.replace(&format!("{{{name}}}"), encoded));
                    } else {
                        headers.push((name, value));
                    }
                    let must_match =
                        |known: &&&Value| known["name"] == "If-Match" && known["required"] == true;
                    if name != "If-Match" && parameters.iter().find(must_match).is_some() {
                        headers.push(("If-Match", "\"1\""));
                    }
                    // a body that is refused, so that nothing is done, and after the parameters
                    let reply =
                        app.send(&hr, &method, &address, &headers, has_body.then_some("[]"));
                    assert!(
                        reply.status < 500,
                        "{method} {address} {headers:?}: {}",
                        reply.text
                    );
                    reply
                };
                let schema = resolved(&parameter["schema"]);
                let pattern = schema["pattern"].as_str().unwrap_or_default();
                let quoted = |text: String| {
                    if name == "If-Match" {
                        format!("\"{text}\"")
                    } else {
                        text
                    }
                };
                let plain = |value: Value| value.as_str().unwrap_or_default().replace('å', "x");
                let bounds = sides(schema)
                    .into_iter()
                    .map(|(allowed, refused)| (plain(allowed), refused.map(plain)))
                    .chain(sides_of_pattern(
                        pattern,
                        if name == "If-Match" { "1" } else { "x" },
                    ));
                for (allowed, refused) in bounds {
                    let taken = ask(&quoted(allowed));
                    assert!(
                        taken.status != 400 && !taken.faults().contains(&name.to_owned()),
                        "{method} {path} {name}: {}",
                        taken.text
                    );
                    if let Some(refused) = refused {
                        let code = if place == "path" {
                            "invalid-parameter"
                        } else {
                            "invalid-header"
                        };
                        let refusal = ask(&quoted(refused)).expect_problem(400, code);
                        assert_eq!(
                            refusal.faults(),
                            [name],
                            "{method} {path}: {}",
                            refusal.text
                        );
                    }
                    *count += 1;
                }
            }
        }
    }
    assert!(
        tried["header"] > 100 && tried["path"] > 50,
        "{tried:?} bounds"
    );
}

#[test]
fn every_bound_of_every_parameter_is_the_one_that_the_document_says() {
    let app = TestApp::empty();
    let hr = app.hr();
    let mut tried = 0;
    for (path, item) in document()["paths"].as_object().unwrap() {
        let Some(parameters) = item["get"]["parameters"]
            .as_array()
            .filter(|_| !path.contains('{'))
        else {
            continue;
        };
        for parameter in parameters
            .iter()
            .map(resolved)
            .filter(|parameter| parameter["in"] == "query")
        {
            let name = parameter["name"].as_str().unwrap();
            let schema = resolved(&parameter["schema"]);
            let ask = |value: &Value| {
                let value = match value {
                    Value::Array(items) => items
                        .iter()
                        .map(|item| item.as_str().unwrap())
                        .collect::<Vec<_>>()
                        .join(","),
                    // an address holds 8 KiB: six of its bytes for each letter would not fit the longest
                    Value::String(text) if text.chars().count() > 1000 => text.replace('å', "a"),
                    Value::String(text) => text.replace('å', "%C3%A5"),
                    number => number.to_string(),
                };
                let reply = app.get(&hr, &format!("{path}?{name}={value}"));
                assert!(reply.status < 500, "{path}?{name}: {}", reply.text);
                reply
            };
            for (allowed, refused) in sides(schema) {
                let taken = ask(&allowed);
                assert!(
                    !faults_at(&taken, name)
                        .iter()
                        .any(|code| BOUNDS.contains(code)),
                    "{path}?{name}: {}",
                    taken.text
                );
                // no items at all cannot be said in an address
                if let Some(refused) = refused.filter(|value| *value != json!([])) {
                    ask(&refused).expect_problem(400, "invalid-parameter");
                }
                tried += 1;
            }
            let once = format!("{name}=1");
            let twice = app.get(&hr, &format!("{path}?{once}&{once}")).expect(400);
            assert!(
                faults_at(&twice, name).contains(&"repeated-parameter"),
                "{path}?{name}: {}",
                twice.text
            );
        }
        app.get(&hr, &format!("{path}?limt=5"))
            .expect_problem(400, "invalid-parameter");
    }
    assert!(tried > 60, "{tried} bounds");
}

#[test]
fn no_text_anywhere_takes_a_personal_number_and_none_is_repeated() {
    let app = TestApp::empty();
    let hr = app.hr();
    let silent = |reply: &Reply| {
        let all = format!("{} {:?}", reply.text, reply.headers);
        assert!(!all.contains("121212") && reply.status >= 400, "{all}");
    };
    let mut tried = 0;
    for (method, path, schema) in writes() {
        let mut all = Vec::new();
        places(schema, "", &mut all);
        for (place, at) in all {
            let personal = json!(format!("Fråga {NUMBER}"));
            if is_a(at, "string") {
                let body = with(schema, sample(schema), &place, &personal).to_string();
                let refused = write(&app, &hr, (&method, &path), &body)
                    .expect_problem(422, "personal-number");
                assert!(
                    faults_at(&refused, &place).contains(&"personal-number"),
                    "{place}: {}",
                    refused.text
                );
                silent(&refused);
                tried += 1;
            }
            if is_a(at, "object") {
                let mut body = with(schema, sample(schema), &place, &sample(at));
                let object = body
                    .pointer_mut(&place)
                    .and_then(Value::as_object_mut)
                    .expect("an object");
                object.insert(NUMBER.to_owned(), json!({"a": personal}));
                silent(&write(&app, &hr, (&method, &path), &body.to_string()).expect(422));
            }
        }
        let twice = format!(r#"{{"{NUMBER}":{{"a":1,"a":2}}}}"#);
        silent(&write(&app, &hr, (&method, &path), &twice).expect_problem(400, "duplicate-key"));
    }
    assert!(tried > 80, "{tried} texts");

    // every parameter of every operation
    let mut tried = 0;
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = resolved(parameter);
                let (place, name) = (&parameter["in"], parameter["name"].as_str().unwrap());
                let address = if place == "query" {
                    format!("{}?{name}={NUMBER}", concrete(path))
                } else if place == "path" {
                    concrete(&path.replace(&format!("{{{name}}}"), NUMBER))
                } else {
                    continue;
                };
                let headers = [("If-Match", "\"1\""), ("Content-Type", "application/json")];
                let body = operation.get("requestBody").map(|_| "{}");
                let refused = app.send(&hr, &method.to_uppercase(), &address, &headers, body);
                let refused = refused.expect_problem(400, "invalid-parameter");
                let codes = faults_at(&refused, name);
                let schema = resolved(&parameter["schema"]);
                let item = if is_a(schema, "array") {
                    resolved(&schema["items"])
                } else {
                    schema
                };
                assert!(!codes.is_empty(), "{method} {address}: {}", refused.text);
                // where only other forms are allowed, that is what is wrong with it
                let is_free = is_a(item, "string")
                    && ["enum", "format"]
                        .iter()
                        .all(|bound| item.get(*bound).is_none())
                    && !codes.contains(&"wrong-pattern");
                if is_free {
                    let why = format!("{method} {address}: {codes:?}");
                    assert!(codes.contains(&"personal-number"), "{why}");
                    tried += 1;
                }
                silent(&refused);
            }
        }
    }
    assert!(tried > 20, "{tried} parameters");

    for address in [
        format!("/units?{NUMBER}=1"),
        format!("/units?a{NUMBER}=1&a{NUMBER}=2"),
        format!("/events?q={NUMBER}"),
        format!("/events?responsiblePerson=person-1,{NUMBER}"),
        "/events?q=121212%2B1212".to_owned(),
        format!("/units/{NUMBER}"),
        format!("/{NUMBER}/units"),
        "/units/121212%2D1212".to_owned(),
    ] {
        let refused = app.get(&hr, &address);
        let shown = refused.text.replace("%2D", "-");
        assert!(
            matches!(refused.status, 400 | 404)
                && !shown.contains("1212-1212")
                && !shown.contains(NUMBER),
            "{address}: {shown}"
        );
    }
    for name in ["Idempotency-Key", "If-Match", "X-Request-Id"] {
        silent(&app.send(&hr, "POST", "/units", &[(name, NUMBER)], Some("{}")));
    }
    // ids are exempt, organisation numbers pass
    let number_like = "19121212-1212-7000-8000-000000000000";
    app.get(&hr, &format!("/units/{number_like}"))
        .expect_problem(404, "not-found");
}

#[test]
fn json_is_read_strictly() {
    let app = TestApp::empty();
    let hr = app.hr();
    let post = |body: &str| write(&app, &hr, ("POST", "/scope-checks"), body);
    let deep = |depth: usize| format!(r#"{{"kind":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    for (body, status, code) in [
        ("".to_owned(), 400, "malformed-json"),
        ("{".to_owned(), 400, "malformed-json"),
        ("{} {}".to_owned(), 400, "malformed-json"),
        ("{'a': 1}".to_owned(), 400, "malformed-json"),
        (r#"{"kind": NaN}"#.to_owned(), 400, "malformed-json"),
        (r#"{"kind": 1e999}"#.to_owned(), 400, "malformed-json"),
        (r#"{"kind": "\ud800"}"#.to_owned(), 400, "malformed-json"),
        ("\u{feff}{}".to_owned(), 400, "malformed-json"),
        (deep(126), 422, "invalid-body"),
        (deep(128), 400, "malformed-json"),
        (deep(30_000), 400, "malformed-json"),
        (
            r#"{"kind":"kickOff","kind":"kickOff"}"#.to_owned(),
            400,
            "duplicate-key",
        ),
        (
            r#"{"a":{"b":[{"c":1,"c":1}]}}"#.to_owned(),
            400,
            "duplicate-key",
        ),
        (
            r#"{"kind":"kickOff","k\u0069nd":"kickOff"}"#.to_owned(),
            400,
            "duplicate-key",
        ),
        ("[]".to_owned(), 422, "invalid-body"),
        (r#"["kickOff","group"]"#.to_owned(), 422, "invalid-body"),
        ("null".to_owned(), 422, "invalid-body"),
        ("1".to_owned(), 422, "invalid-body"),
        (r#""kickOff""#.to_owned(), 422, "invalid-body"),
        (
            r#"{"kind":"kickOff","arranger":"group","x":1}"#.to_owned(),
            422,
            "invalid-body",
        ),
        (
            r#"{"kind":"kickoff","arranger":"group"}"#.to_owned(),
            422,
            "invalid-body",
        ),
        (
            r#"{"kind":["kickOff"],"arranger":"group"}"#.to_owned(),
            422,
            "invalid-body",
        ),
        (
            r#"{"kind":{"kickOff":null},"arranger":"group"}"#.to_owned(),
            422,
            "invalid-body",
        ),
    ] {
        let refused = post(&body);
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (status, &json!(code)),
            "{body:.80}: {}",
            refused.text
        );
    }
    let nested = post(r#"{"a":{"b":[{"c":1,"c":1}]}}"#);
    assert_eq!(
        nested.faults(),
        ["/a/b/0/c"],
        "the place of a duplicate key"
    );
    let utf8 = [&b"{\"kind\":\"\xff\"}"[..], b"{\"kind\":\"\xc0\x80\"}"];
    let Caller(Some(token)) = &hr else {
        unreachable!()
    };
    for body in utf8 {
        let mut request = format!(
            "POST /kompetens/v1/scope-checks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        assert!(raw(&app, &request).contains("malformed-json"));
    }
}

#[test]
fn values_that_look_right_but_are_not_are_refused_where_they_stand() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let with = |place: &str, value: Value| {
        let mut body = hedemora.planning_day(&hedemora.town_hall);
        if let Some(name) = place.strip_prefix('/').filter(|name| !name.contains('/')) {
            body[name] = value;
        } else {
            *body.pointer_mut(place).expect(place) = value;
        }
        body
    };
    let upper = hedemora.town_hall.to_uppercase();
    let (starts, ends, venue) = (
        "/occasions/0/startsAt",
        "/occasions/0/endsAt",
        "/occasions/0/venueId",
    );
    for (place, value) in [
        (starts, json!("2026-10-05T08:30:00")),
        (starts, json!("2026-10-05 08:30:00Z")),
        (starts, json!("2026-10-05T08:30:60Z")),
        (starts, json!("2026-10-05T24:00:00Z")),
        (starts, json!("2026-02-30T08:30:00Z")),
        (starts, json!("2026-10-05")),
        (starts, json!("1899-12-31T23:59:59Z")),
        (starts, json!("1900-01-01T00:30:00+01:00")),
        (starts, json!("+262142-01-01T00:00:00Z")),
        (starts, json!("infinity")),
        (starts, json!(1_790_000_000)),
        (ends, json!("2200-01-01T00:00:00Z")),
        (ends, json!("2199-12-31T23:30:00-01:00")),
        (ends, json!("2026-10-05T16:30:00.1234567890Z")),
        (ends, json!("２０26-10-05T16:30:00Z")),
        (ends, json!("2026-10-05T06:30:00Z")),
        (venue, json!(hedemora.town_hall.replace('-', ""))),
        (venue, json!(format!("{{{}}}", hedemora.town_hall))),
        (venue, json!(format!("urn:uuid:{}", hedemora.town_hall))),
        (venue, json!("")),
        (venue, Value::Null),
        ("/title", json!("   \n ")),
        ("/title", json!("a\u{0}b")),
        ("/title", json!("a\u{1b}[31mb")),
        ("/title", json!("a\u{85}b")),
        ("/title", Value::Null),
        ("/title", json!(["Planeringsdag"])),
        ("/estimatedCost", json!(1.5)),
        ("/estimatedCost", json!(-1)),
        ("/estimatedCost", json!(1e300)),
        ("/estimatedCost", json!(u64::MAX)),
        ("/estimatedCost", json!("1")),
        ("/expectedParticipants", json!({"total": 1.5})),
        ("/occasions", json!({})),
        ("/organisingUnitIds", json!([])),
        ("/organisingUnitIds", json!(null)),
        ("/kind", json!("PlanningDay")),
        ("/kind", json!({"planningDay": {}})),
    ] {
        let refused = app
            .post(&hedemora.planner, "/events", &with(place, value.clone()))
            .expect(422);
        let faults = refused.faults();
        assert!(
            faults.iter().all(|at| at.starts_with(place)) && !faults.is_empty(),
            "{place} {value}: {}",
            refused.text
        );
    }
    app.post(&hedemora.planner, "/events", &with(venue, json!(upper)))
        .expect(201);
    assert_eq!(
        app.count("select count(*) from events"),
        1,
        "nothing refused was stored"
    );

    let event = app.get(&hedemora.planner, "/events").body["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let patch = |body: Value| app.patch(&hedemora.planner, &format!("/events/{event}"), &body);
    for (place, body) in [
        ("/estimatedCost", json!({"estimatedCost": 1.5})),
        ("/title", json!({"title": null})),
        ("/occasions", json!({"occasions": null})),
        ("/occasions", json!({"occasions": []})),
        ("/revision", json!({"revision": 7})),
        ("/status", json!({"status": "held"})),
        (
            "/expectedParticipants/perUnit",
            json!({"expectedParticipants": {"total": 1, "perUnit": [{"unitId": hedemora.care, "count": 2}]}}),
        ),
    ] {
        assert_eq!(patch(body.clone()).expect(422).faults(), [place], "{body}");
    }
    // a number without a fraction is an integer, however it is written (JSON Schema)
    let whole = patch(json!({"estimatedCost": 12345.0})).expect(200).body;
    assert_eq!(whole["estimatedCost"], json!(12345));
    for address in [
        "/events/%00",
        "/events/%FF",
        "/events/%",
        "/events/%zz",
        "/events/1",
        "/events/a%2Fb",
        "/events?q=%FF",
        "/events?q=%00",
        "/events?q=%",
        "/events?%FF=1",
        "/events?from=2026-13-01",
        "/events?from=2026-10-%205",
        "/events?from=infinity",
        "/events?from=262142-01-01",
        "/events?updatedSince=2026-10-05T08:30:00",
        "/events?status=",
        "/events?status=draft,",
        "/events?status=draft;held",
        "/events?includeSubtree=ja",
        "/events?unitId=1",
        "/events?limit=1.0",
        "/events?limit=",
        "/events?limit=-1",
        "/events?limit=99999999999999999999",
        "/events?page=0",
        "/events?sort=titel",
        "/events?sort=title,kind",
        "/events?Status=draft",
        "/events?status[]=draft",
        "/events?a&a",
        &format!("/events/{event}/planning-answers/%C3%A5/revisions"),
    ] {
        let refused = app.get(&hedemora.hr, address);
        assert!(
            refused.status == 400 && !refused.faults().is_empty() || address.contains("%FF=1"),
            "{address}: {}",
            refused.text
        );
    }
}

#[test]
fn naughty_strings_come_back_byte_for_byte_or_are_refused() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let strings: Vec<String> =
        serde_json::from_str(include_str!("naughty-strings.json")).expect("strings");
    let mut kept = Vec::new();
    for text in &strings {
        let goal = json!({"unitId": hedemora.education, "title": text, "validFrom": "2026-01-01"});
        let reply = app.post(&hedemora.hr, "/business-goals", &goal);
        match reply.status {
            201 => {
                assert_eq!(reply.body["title"], json!(text));
                kept.push(text);
            }
            422 => assert_eq!(reply.faults(), ["/title"], "{text:?}: {}", reply.text),
            _ => panic!("{text:?}: {}", reply.text),
        }
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = app.get(&hedemora.planner, &format!("/events?q={encoded}"));
        assert!(
            matches!(found.status, 200 | 400),
            "{text:?}: {}",
            found.text
        );
    }
    assert!(
        kept.len() > strings.len() * 9 / 10,
        "{} of {}",
        kept.len(),
        strings.len()
    );
    for some in kept.chunks(40) {
        let mut event = hedemora.planning_day(&hedemora.town_hall);
        let texts = some
            .iter()
            .map(|text| text.as_str())
            .collect::<Vec<_>>()
            .join("\n\t");
        event["description"] = json!(texts);
        let created = app
            .post(&hedemora.planner, "/events", &event)
            .expect(201)
            .id();
        assert_eq!(
            app.get(&hedemora.planner, &format!("/events/{created}"))
                .body["description"],
            json!(texts)
        );
    }
}
