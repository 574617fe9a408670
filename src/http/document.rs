//! The OpenAPI document: what the handlers say, and, added once on the whole, what all operations share.
//!
//! Handlers document what is their own: parameters, bodies, successes, and problems that need a word of explanation.
//! Problem responses, tracing, idempotency, the headers of an answer, links and examples follow from an operation's own traits.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use utoipa::openapi::OpenApi;
use utoipa::{PartialSchema, ToSchema};

use super::answer::BASE;
use super::problem::TYPES;
use super::refusals;
use crate::error::Code;
use crate::webhooks::deliver::{ChangeMessage, TestMessage};

/// The values of each enumeration and what they mean: the doc comments of its variants, which build.rs reads.
const ENUM_VALUES: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/enum_values.rs"));

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const REQUEST_ID: &str = "0190a000-0000-7000-8000-0000000000ff";

/// The one POST that writes nothing, so that repeating it does no harm.
const POST_WITHOUT_WRITING: &str = "check_scope";

/// What is next where no path and no id leads on: from numbers to what they count, from who one is to what there is.
const FOLLOWS: &[(&str, &str)] = &[
    ("get_api_info", "get_me"),
    ("get_me", "list_events"),
    ("check_scope", "create_event"),
    ("get_event_statistics", "list_events"),
    ("get_exception_statistics", "list_exception_requests"),
    ("get_venue_statistics", "list_venues"),
    ("get_goal_statistics", "list_business_goals"),
    ("list_webhook_deliveries", "redeliver_webhook"),
];

/// Answers without a revision that carry an ETag all the same.
const TAGGED: &[&str] = &[
    "list_planning_answers",
    "get_compliance",
    "create_decision",
    "create_test_delivery",
    "get_webhook_delivery",
    "redeliver_webhook",
];

/// Answers with 200 that say where it is whose secret they show: what replays them shows none.
const LOCATED: &[&str] = &["rotate_api_client_secret", "rotate_webhook_secret"];

/// Numbers that may outgrow 32 bits: those of the change log, and sums of money.
const LONG: &[&str] = &[
    "after",
    "entryId",
    "nextAfter",
    "number",
    "actualCost",
    "estimatedCost",
];

/// The tags in the order of the document, which is that of the tour in the README; those that no operation has are left out.
const TAGS: &[(&str, &str)] = &[
    ("service", "The service itself, and who is asking."),
    (
        "events",
        "Planning days, training days and other events that the guideline covers, from draft to closed.",
    ),
    (
        "planning",
        "The planning questions of an event, their answers, and what the event still lacks.",
    ),
    (
        "exceptions",
        "Exceptions from the guideline: asked for by those who plan, decided by the right office.",
    ),
    (
        "follow-ups",
        "What was learned and how it is used: the follow-ups of an event.",
    ),
    (
        "reports",
        "Numbers, lessons and calendars: what became of it all.",
    ),
    (
        "organisation",
        "Units, people, office appointments, business goals, venues and supplier contracts, each valid from and to a day.",
    ),
    (
        "guideline",
        "The versions of the guideline: questions, goals, desired effects, venue ladder and settings.",
    ),
    (
        "imports",
        "JSON lines from the systems that keep units, people, goals, contracts and events.",
    ),
    (
        "integrations",
        "Machines that use the service, and what they are told.",
    ),
];

/// What decides which problems an operation can answer.
struct Traits {
    secured: bool,
    idempotent: bool,
    has_path_parameter: bool,
    has_body: bool,
    has_precondition: bool,
}

impl Traits {
    /// Can the operation answer this problem?
    fn answers(&self, status: u16) -> bool {
        match status {
            401 | 403 => self.secured,
            404 => self.has_path_parameter,
            408 | 413 | 415 => self.has_body,
            409 => self.idempotent,
            412 | 428 => self.has_precondition,
            422 => self.has_body || self.idempotent,
            _ => true,
        }
    }

    /// Can it answer this code of those that many share?
    fn shares(&self, code: Code) -> bool {
        match code {
            Code::KeyInUse | Code::KeyReused => self.idempotent,
            Code::NotFound => self.has_path_parameter,
            _ => true,
        }
    }
}

/// The problems that are described one by one; those of them that the catalogue knows are documented.
const PROBLEMS: &[(u16, &str)] = &[
    (
        400,
        "The request cannot be read: broken JSON, or a wrong path, query or header.",
    ),
    (401, "No token, or one that is not valid or no longer."),
    (403, "The caller may see this but not do it."),
    (404, "It does not exist, or the caller may not know of it."),
    (408, "The body did not arrive in time."),
    (409, "The state of what is asked for does not allow it."),
    (
        412,
        "What was to be changed has been changed since it was read.",
    ),
    (413, "The body is too large."),
    (
        415,
        "The body is not of a media type that the operation takes.",
    ),
    (422, "Well-formed, but something in it is wrong."),
    (428, "A change needs the header If-Match."),
    (429, "Too many requests with these credentials."),
    (500, "A fault of the service."),
    (503, "The database cannot be reached or is overloaded."),
];

/// The whole document from what was collected of the handlers.
pub fn complete(collected: OpenApi) -> Value {
    let mut document = json!(collected);
    document["info"] = info();
    document["servers"] = servers(EXAMPLE);
    document["security"] = json!([{"bearer": []}]);
    document["externalDocs"] = json!({
        "description": "Conventions of the API and the catalogue of its problems",
        "url": "https://kompetens.example.se/docs"
    });
    document["x-sla"] = json!({
        "availability": "99.5 % of each calendar month, announced maintenance excluded",
        "responseTime": "95 % of the requests are answered within one second",
        "support": "Weekdays 8–16 Swedish time, kompetens@example.se"
    });
    document["x-limitations"] = json!([
        "A body holds at most 64 KiB, an address 8 KiB, and the headers are at most 64 and 16 KiB together.",
        "A list answers at most 100 items at a time; `page` reaches the first 10,000, `cursor` all of them.",
        "An Idempotency-Key is remembered for 24 hours.",
        "Personal identity numbers are refused wherever they stand, and control characters other than tab and line breaks.",
        "Dates and times lie between the years 1900 and 2199; a leap second is refused."
    ]);
    add_components(&mut document["components"]);
    document["webhooks"] = webhooks(&mut document["components"]["schemas"]);
    complete_schemas(&mut document);
    shorten_integers(&mut document, "");
    never_null_in_answers(&mut document);
    explain_enums(&mut document["components"]["schemas"]);

    let mut paths: Map<String, Value> = Map::new();
    if let Value::Object(collected) = document["paths"].take() {
        paths.extend(
            collected
                .into_iter()
                .map(|(path, item)| (path.strip_prefix(BASE).unwrap_or(&path).to_owned(), item)),
        );
    }
    name_enums(&mut paths, &mut document["components"]["schemas"]);
    let operations: Vec<(String, String, Value)> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .into_iter()
                .flatten()
                .map(move |(method, operation)| (path, method, operation))
        })
        .map(|(path, method, operation)| (path.clone(), method.clone(), operation.clone()))
        .collect();
    for (path, method, _) in &operations {
        let operation = &mut paths[path][method];
        without_prefilled_parameters(operation);
        without_null_parameters(operation);
        complete_operation(operation, path, method, &document["components"]);
        add_links(
            operation,
            (path, method),
            &operations,
            &document["components"],
        );
    }
    document["paths"] = Value::Object(paths);

    let used = |tag: &str| {
        operations.iter().any(|(_, _, operation)| {
            operation["tags"]
                .as_array()
                .is_some_and(|tags| tags.contains(&json!(tag)))
        })
    };
    document["tags"] = TAGS
        .iter()
        .filter(|(name, _)| used(name))
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect();
    document
}

/// Where the published document says that it is served.
const EXAMPLE: &str = "https://kompetens.example.se";

/// The document's text, saying where it is served: scheme and authority.
pub fn with_server(text: &str, public_url: &str) -> String {
    let member = |url| format!("\"servers\":{}", servers(url));
    text.replacen(&member(EXAMPLE), &member(public_url), 1)
}

fn servers(public_url: &str) -> Value {
    json!([{"url": format!("{}{BASE}", public_url.trim_end_matches('/')), "description": "Version 1"}])
}

fn info() -> Value {
    json!({
        "title": "Kompetens",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "**På svenska.** Med detta API lever en kommun sin riktlinje för kompetensutveckling och lärande: \
            planeringsdagar och andra evenemang planeras med riktlinjens frågor, prövas mot dess regler och följs upp. \
            Problem beskrivs på det språk som `Accept-Language` ber om, annars på svenska. Tider är RFC 3339 och svaras i UTC.\n\n\
            **In English.** With this API a Swedish municipality lives its guideline for competence development and learning: \
            planning days and other events are planned with the questions of the guideline, checked against its rules and followed up. \
            Problems are described in the language that `Accept-Language` asks for, else in Swedish. Times are RFC 3339 and answered in UTC.",
        "termsOfService": "https://kompetens.example.se/terms",
        "contact": {"name": "Kompetens", "email": "kompetens@example.se", "url": "https://kompetens.example.se"},
        "license": {"name": "EUPL-1.2", "url": "https://interoperable-europe.ec.europa.eu/collection/eupl/eupl-text-eupl-12"}
    })
}

fn add_components(components: &mut Value) {
    components["securitySchemes"]["bearer"] = json!({
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "A token that says who the person is, in which roles, for which units, or the secret of an API client. With `./dev run` \
            make one on your machine: `kompetens token --person person-0001 --role hrAdministrator` (`kompetens token --help`)."
    });
    let text = |description: &str, example: &str| json!({"description": description, "schema": {"type": "string"}, "example": example});
    components["headers"] = json!({
        "traceparent": text("The trace of this request (W3C Trace Context): the caller's, or a new one.", TRACEPARENT),
        "X-Request-Id": text("The id of this request, as the caller gave it or a new one; it stands in the log.", REQUEST_ID),
        "ETag": text("The revision that is answered, and a hash of the body.", "\"3-5f1d7a2c\""),
        "Location": text("The path of what was created.", &format!("{BASE}/events/0190a000-0000-7000-8000-000000000001")),
        "Link": text("The first, previous and next page (RFC 8288).", &format!("<{BASE}/events?limit=20>; rel=\"first\"")),
        "Idempotency-Replayed": text("`true` when this is the stored answer to an earlier request with the same Idempotency-Key.", "true"),
        "WWW-Authenticate": text("How to authenticate.", "Bearer"),
        "Retry-After": {
            "description": "After how many seconds to send the same request again.", "schema": {"type": "integer", "minimum": 1}, "example": 1
        },
    });
    components["parameters"] = json!({
        "traceparent": {
            "name": "traceparent", "in": "header", "required": false,
            "description": "The caller's trace (W3C Trace Context), such as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`, \
                which the log and the answer then name. As that standard asks, a value of another form is as none.",
            "schema": {"type": "string"}
        },
        "Idempotency-Key": {
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A key of the caller's choice for this request. The same request with the same key, within 24 hours, \
                is done once and answered alike.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        },
    });
    components["schemas"]["Problem"] = problem_schema();
    components["schemas"]["Fault"] = fault_schema();
    for (status, description) in PROBLEMS
        .iter()
        .filter(|(status, ..)| is_in_catalogue(*status))
    {
        components["responses"][component_name(*status)] =
            problem_response(description, &refusals::shared(*status).collect::<Vec<_>>());
    }
    let others: Vec<Code> = Code::ALL
        .iter()
        .copied()
        .filter(|code| PROBLEMS.iter().all(|(status, ..)| *status != code.status()))
        .collect();
    components["responses"]["OtherProblem"] = problem_response("Any other problem.", &others);
}

fn is_in_catalogue(status: u16) -> bool {
    Code::ALL.iter().any(|code| code.status() == status)
}

/// The status in words, as one: `NotFound`.
fn component_name(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    reason.split([' ', '-']).collect()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong and what to do next (RFC 9457).",
        "required": ["type", "title", "status", "detail", "instance", "code", "requestId"],
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "The kind of problem, the same in every installation."},
            "title": {"type": "string", "description": "The kind of problem, in a few words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What happened and what to do next."},
            "instance": {"type": "string", "description": "The path of the request."},
            "code": {"type": "string", "description": "The last part of `type`, to decide by."},
            "requestId": {"type": "string", "description": "The id of the request, to give to whoever runs the service."},
            "errors": {
                "type": "array",
                "description": "Each single fault, where there can be several.",
                "items": reference("schemas", "Fault")
            }
        }
    })
}

fn fault_schema() -> Value {
    json!({
        "type": "object",
        "description": "One fault, and where it lies: in the body, in a parameter or in a header.",
        "required": ["code", "detail"],
        "properties": {
            "pointer": {"type": "string", "description": "Where in the body, as a JSON pointer (RFC 6901)."},
            "parameter": {"type": "string", "description": "Which path or query parameter."},
            "header": {"type": "string", "description": "Which header."},
            "code": {"type": "string", "description": "What is wrong, to decide by; of an open finding the id of its rule."},
            "detail": {"type": "string", "description": "What was expected."}
        }
    })
}

/// A problem response with an example of each code that it can have.
fn problem_response(description: &str, codes: &[Code]) -> Value {
    let mut headers = json!({
        "traceparent": reference("headers", "traceparent"),
        "X-Request-Id": reference("headers", "X-Request-Id"),
    });
    for code in codes {
        match (code, code.status()) {
            (_, 401) => headers["WWW-Authenticate"] = reference("headers", "WWW-Authenticate"),
            (Code::KeyInUse, _) | (_, 429 | 503) => {
                headers["Retry-After"] = reference("headers", "Retry-After")
            }
            (Code::SecretAlreadyShown, _) => headers["Location"] = reference("headers", "Location"),
            _ => {}
        }
    }
    let examples: Map<String, Value> = codes
        .iter()
        .map(|code| {
            (
                code.as_str().to_owned(),
                json!({"summary": code.title().en, "value": problem_example(*code)}),
            )
        })
        .collect();
    json!({
        "description": description,
        "headers": headers,
        "content": {"application/problem+json": {"schema": reference("schemas", "Problem"), "examples": examples}}
    })
}

fn problem_example(code: Code) -> Value {
    let mut example = json!({
        "type": format!("{TYPES}{}", code.as_str()),
        "title": code.title().en,
        "status": code.status(),
        "detail": code.advice().en,
        "instance": format!("{BASE}/events"),
        "code": code.as_str(),
        "requestId": REQUEST_ID,
    });
    let fault = match code {
        Code::InvalidParameter => {
            json!({"parameter": "limit", "code": "too-large", "detail": "At most 100."})
        }
        Code::InvalidHeader => {
            json!({"header": "If-Match", "code": code.as_str(), "detail": code.advice().en})
        }
        Code::IfMatchRequired => {
            json!({"header": "If-Match", "code": code.as_str(), "detail": code.advice().en})
        }
        Code::UnsupportedMediaType => {
            json!({"header": "Content-Type", "code": code.as_str(), "detail": code.advice().en})
        }
        Code::InvalidBody => {
            json!({"pointer": "/title", "code": "required", "detail": "The field is required. Add it."})
        }
        Code::PersonalNumber => {
            json!({"pointer": "/title", "code": code.as_str(), "detail": code.advice().en})
        }
        _ => return example,
    };
    example["errors"] = json!([fault]);
    example
}

/// Gives every date and time an example, and a property that may be null the description that utoipa puts inside its alternatives.
fn complete_schemas(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(complete_schemas),
        Value::Object(members) => {
            let example = match members.get("format").and_then(Value::as_str) {
                Some("date") => Some("2026-10-05"),
                Some("date-time") => Some("2026-10-05T06:30:00Z"),
                _ => None,
            };
            if let Some(example) = example {
                members.entry("example").or_insert(json!(example));
            }
            if let Some(Value::Array(alternatives)) = members.get_mut("oneOf") {
                let mut within = alternatives
                    .iter_mut()
                    .filter(|one| one.get("$ref").is_some())
                    .filter_map(Value::as_object_mut);
                if let Some(description) = within.find_map(|one| one.remove("description")) {
                    members.entry("description").or_insert(description);
                }
            }
            let others = members
                .iter_mut()
                .filter(|(name, _)| !matches!(name.as_str(), "example" | "examples"));
            others.for_each(|(_, member)| complete_schemas(member));
        }
        _ => {}
    }
}

/// What subscriptions are sent. No operation names these schemas, so that they are added here.
fn webhooks(schemas: &mut Value) -> Value {
    let mut known = vec![
        (ChangeMessage::name().into_owned(), ChangeMessage::schema()),
        (TestMessage::name().into_owned(), TestMessage::schema()),
    ];
    ChangeMessage::schemas(&mut known);
    TestMessage::schemas(&mut known);
    for (name, schema) in known {
        add(schemas, &name, json!(schema));
    }
    let header = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "header", "required": true, "description": description, "schema": schema});
    let sent = |id: &str, summary: &str, description: &str, body: &str| {
        json!({"post": {
            "operationId": id,
            "tags": ["integrations"],
            "summary": summary,
            "description": description,
            "security": [],
            "parameters": [
                header("webhook-id", "The id of the message, the same each time that it is sent: what has been done need not be done again.",
                    json!({"type": "string"})),
                header("webhook-timestamp", "When this attempt was made, in seconds since 1970. Refuse what is older than five minutes.",
                    json!({"type": "integer", "format": "int64"})),
                header("webhook-signature", "`v1,` and the base64 of HMAC-SHA256 over id, timestamp and body with full stops between; \
                    for a day after a rotation one of each secret, with a space between.", json!({"type": "string"})),
            ],
            "requestBody": {"required": true, "content": {"application/json": {"schema": reference("schemas", body)}}},
            "responses": {
                "2XX": {"description": "It has got through."},
                "default": {"description": "It has not, and is sent again: after seconds, then hours, for five days. Redirects are not followed."}
            }
        }})
    };
    json!({
        "change": sent("webhook_change", "A change",
            "Says what was changed and not to what; read the rest with your own rights, or follow `GET /changes`. Signed as Standard Webhooks says.",
            &ChangeMessage::name()),
        "test": sent("webhook_test", "A test delivery", "What `POST /webhook-subscriptions/{webhookSubscriptionId}/test-deliveries` asks for.",
            &TestMessage::name()),
    })
}

/// Clients make 64 bits a type of its own, or a text; only what needs them has them.
fn shorten_integers(value: &mut Value, name: &str) {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| shorten_integers(item, name)),
        Value::Object(members) => {
            let fits = members
                .get("maximum")
                .and_then(Value::as_i64)
                .is_some_and(|maximum| i32::try_from(maximum).is_ok());
            if members.get("format") == Some(&json!("int64")) && (fits || !LONG.contains(&name)) {
                members.insert("format".to_owned(), json!("int32"));
            }
            // a parameter's schema is under its name
            let named = members
                .get("name")
                .and_then(Value::as_str)
                .map(str::to_owned);
            for (member, value) in members.iter_mut() {
                match member.as_str() {
                    "example" | "examples" => {}
                    "schema" => shorten_integers(value, named.as_deref().unwrap_or(name)),
                    _ => shorten_integers(value, member),
                }
            }
        }
        _ => {}
    }
}

/// What an answer need not have is left out, never null. A request may say null for it, so what requests hold stays as it is.
fn never_null_in_answers(document: &mut Value) {
    let mut asked = BTreeSet::new();
    for item in document["paths"].as_object().into_iter().flatten() {
        for operation in item.1.as_object().into_iter().flatten() {
            collect_names(&operation.1["requestBody"], document, &mut asked);
        }
    }
    let schemas = document["components"]["schemas"].as_object_mut();
    for (_, schema) in schemas
        .into_iter()
        .flatten()
        .filter(|(name, _)| !asked.contains(*name))
    {
        let required = schema["required"].take();
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            for (name, property) in properties {
                let is_required = required
                    .as_array()
                    .is_some_and(|names| names.contains(&json!(name)));
                if !is_required {
                    without_null(property);
                }
            }
        }
        match required {
            Value::Null => {
                schema
                    .as_object_mut()
                    .map(|schema| schema.remove("required"));
            }
            required => schema["required"] = required,
        }
    }
}

/// The names of the schemas that this refers to, and those refer to.
fn collect_names(value: &Value, document: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_names(item, document, names)),
        Value::Object(members) => {
            let name = members
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix("#/components/schemas/"));
            if let Some(name) = name
                && names.insert(name.to_owned())
            {
                collect_names(&document["components"]["schemas"][name], document, names);
            }
            members
                .values()
                .for_each(|member| collect_names(member, document, names));
        }
        _ => {}
    }
}

fn without_null(schema: &mut Value) {
    if let Some([kind, null]) = schema["type"].as_array().map(Vec::as_slice)
        && null == "null"
    {
        schema["type"] = kind.clone();
    }
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let mut others = alternatives.filter(|one| one["type"] != "null");
    if let (Some(Value::Object(other)), None) = (others.next().cloned(), others.next())
        && let Some(schema) = schema.as_object_mut()
    {
        schema.remove("oneOf");
        schema.extend(other);
    }
}

/// Says what each value of an enumeration means: in its description for people, and as generators of clients read it.
fn explain_enums(schemas: &mut Value) {
    for (name, schema) in schemas.as_object_mut().into_iter().flatten() {
        let Some(values) = schema["enum"].as_array() else {
            continue;
        };
        let meaning = |value: &Value| {
            let found = ENUM_VALUES
                .iter()
                .find(|(of, known, _)| of == name && value == known);
            found.map_or("", |(_, _, meaning)| *meaning)
        };
        let meanings: Vec<&str> = values.iter().map(meaning).collect();
        explain(schema, &meanings);
    }
}

/// Says what each value of this enumeration means, in the order of the values; nothing of one whose meaning is empty.
fn explain(schema: &mut Value, meanings: &[&str]) {
    let values = schema["enum"].as_array().into_iter().flatten();
    let explained: String = values
        .zip(meanings)
        .filter(|(_, meaning)| !meaning.is_empty())
        .map(|(value, meaning)| format!("\n- `{}`: {meaning}", value.as_str().unwrap_or_default()))
        .collect();
    if explained.is_empty() {
        return;
    }
    let description = schema["description"].as_str().unwrap_or_default();
    schema["description"] = json!(format!("{description}\n{explained}"));
    schema["x-enum-descriptions"] = json!(meanings);
}

/// Swagger UI sends every example of a parameter unless it is erased: all filters at once find nothing, and a tag or a key
/// that is always the same is refused. Only what a path needs has one, and dates, of which the national profile asks it.
fn without_prefilled_parameters(operation: &mut Value) {
    let parameters = operation["parameters"].as_array_mut().into_iter().flatten();
    for parameter in parameters.filter_map(Value::as_object_mut) {
        let is_date = parameter["schema"]["format"]
            .as_str()
            .is_some_and(|format| format.starts_with("date"));
        if is_date || parameter.get("in") == Some(&json!("path")) {
            continue;
        }
        parameter.remove("example");
        if let Some(Value::Object(schema)) = parameter.get_mut("schema") {
            schema.remove("example");
        }
    }
}

/// The orders of a list as a schema with a name, which a client's types then have too: `EventSort`.
fn name_enums(paths: &mut Map<String, Value>, schemas: &mut Value) {
    for operation in paths.values_mut().filter_map(|item| item.get_mut("get")) {
        let page = operation
            .pointer("/responses/200/content/application~1json/schema/$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.rsplit('/').next()?.strip_suffix("Page"))
            .map(|item| format!("{item}Sort"));
        let parameters = operation["parameters"].as_array_mut().into_iter().flatten();
        let sort = parameters
            .filter(|parameter| parameter["name"] == "sort")
            .find_map(|parameter| parameter.get_mut("schema"));
        let (Some(name), Some(sort)) = (page, sort) else {
            continue;
        };
        let mut schema = std::mem::replace(sort, reference("schemas", &name));
        let orders = schema["enum"].as_array().into_iter().flatten();
        let meanings: Vec<&str> = orders
            .map(|order| match order.as_str() {
                Some(order) if order.starts_with('-') => "Descending.",
                _ => "Ascending.",
            })
            .collect();
        add(&mut schema, "description", json!("An order."));
        explain(&mut schema, &meanings);
        add(schemas, &name, schema);
    }
}

/// A parameter is there or not; it is never null.
fn without_null_parameters(operation: &mut Value) {
    let parameters = operation["parameters"].as_array_mut().into_iter().flatten();
    parameters
        .filter_map(|parameter| parameter.get_mut("schema"))
        .for_each(without_null);
}

fn complete_operation(operation: &mut Value, path: &str, method: &str, components: &Value) {
    // utoipa writes "no security" as one requirement that asks for nothing
    if operation["security"] == json!([{}]) {
        operation["security"] = json!([]);
    }
    let traits = Traits {
        secured: operation
            .get("security")
            .is_none_or(|security| *security != json!([])),
        idempotent: method == "post" && operation["operationId"] != json!(POST_WITHOUT_WRITING),
        has_path_parameter: path.contains('{'),
        has_body: operation.get("requestBody").is_some(),
        has_precondition: has_parameter(operation, "If-Match"),
    };

    let shared = ["traceparent"]
        .into_iter()
        .chain(traits.idempotent.then_some("Idempotency-Key"));
    extend(
        &mut operation["parameters"],
        shared.map(|name| reference("parameters", name)),
    );

    let is_optional = operation.pointer("/requestBody/required").is_none();
    if let Some(content) = operation.pointer_mut("/requestBody/content") {
        if is_optional {
            // a body that may be left out is never null
            without_null(&mut content["application/json"]["schema"]);
        }
        if method == "patch" {
            content["application/merge-patch+json"] = content["application/json"].clone();
        }
        add_examples(content, components);
    }

    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let is_one_of = |names: &[&str]| names.contains(&id.as_str());
    let own = refusals::own(&id);
    let responses = &mut operation["responses"];
    for (status, general) in PROBLEMS
        .iter()
        .filter(|(status, _)| is_in_catalogue(*status))
    {
        let own: Vec<Code> = own
            .iter()
            .copied()
            .filter(|code| code.status() == *status)
            .collect();
        let status_text = status.to_string();
        let written = responses.get(&status_text).cloned();
        if !own.is_empty() {
            let description = written.as_ref().and_then(|one| one["description"].as_str());
            let shared = refusals::shared(*status).filter(|code| traits.shares(*code));
            let codes: Vec<Code> = own.into_iter().chain(shared).collect();
            responses[status_text] = problem_response(description.unwrap_or(general), &codes);
        } else if traits.answers(*status) || written.is_some() {
            add_problem(&mut responses[status_text], &component_name(*status));
        }
    }
    add_problem(&mut responses["default"], "OtherProblem");

    let own = responses
        .as_object_mut()
        .into_iter()
        .flatten()
        .filter(|(_, response)| response.get("$ref").is_none());
    for (status, response) in own {
        if let Some(content) = response.get_mut("content") {
            add_examples(content, components);
        }
        let body = resolved(
            &response["content"]["application/json"]["schema"],
            components,
        );
        let answers = |property: &str| body["properties"].get(property).is_some();
        let headers = [
            ("traceparent", true),
            ("X-Request-Id", true),
            (
                "ETag",
                status == "304" || answers("revision") || is_one_of(TAGGED),
            ),
            ("Location", status == "201" || is_one_of(LOCATED)),
            ("Link", answers("nextCursor")),
            (
                "Idempotency-Replayed",
                status.starts_with('2') && traits.idempotent,
            ),
        ];
        for (name, _) in headers.into_iter().filter(|(_, wanted)| *wanted) {
            add(&mut response["headers"], name, reference("headers", name));
        }
    }
}

/// The shared problem response, in the handler's own words if it has some.
fn add_problem(response: &mut Value, name: &str) {
    let shared = reference("responses", name);
    if response.is_null() {
        *response = shared;
    } else if response.get("content").is_none() {
        *response = json!({"$ref": shared["$ref"], "description": response["description"]});
    }
}

/// Gives each JSON body that has no example the one that its schema's own examples make up.
fn add_examples(content: &mut Value, components: &Value) {
    for (media_type, media) in content.as_object_mut().into_iter().flatten() {
        let has_one = media.get("example").is_some() || media.get("examples").is_some();
        if media_type.ends_with("json")
            && !has_one
            && let Some(example) = example_of(&media["schema"], components)
        {
            media["example"] = example;
        }
    }
}

fn example_of(schema: &Value, components: &Value) -> Option<Value> {
    let schema = resolved(schema, components);
    let own = [
        schema.get("example"),
        schema["examples"].get(0),
        schema.get("default"),
        schema["enum"].get(0),
    ];
    if let Some(own) = own.into_iter().flatten().next() {
        return Some(own.clone());
    }
    if let Some(properties) = schema["properties"].as_object() {
        let examples = properties
            .iter()
            .filter_map(|(name, property)| Some((name.clone(), example_of(property, components)?)));
        return Some(Value::Object(examples.collect()));
    }
    if let Some(items) = schema.get("items") {
        return Some(Value::Array(
            example_of(items, components).into_iter().collect(),
        ));
    }
    if let Some(alternatives) = schema["oneOf"].as_array() {
        return alternatives
            .iter()
            .find_map(|one| example_of(one, components));
    }
    match &schema["type"] {
        Value::String(kind) if kind == "object" => Some(json!({})),
        Value::Array(kinds) if kinds.contains(&json!("null")) => Some(Value::Null),
        _ => None,
    }
}

/// Links an answer to the operations that go on from it: from a resource to changing it and to what lies below it, from a list
/// to one of its items, from an id to what has it, and from anything to what it lies below.
fn add_links(
    operation: &mut Value,
    (path, method): (&str, &str),
    operations: &[(String, String, Value)],
    components: &Value,
) {
    let below = |whole: &str, part: &str| {
        part.strip_prefix(whole)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let id = operation["operationId"].clone();
    let nearest_above = operations
        .iter()
        .filter(|(above, method, _)| method == "get" && below(above, path))
        .map(|(above, ..)| above)
        .max_by_key(|above| above.len())
        .cloned();
    let successes = operation["responses"].as_object_mut().into_iter().flatten();
    for (status, response) in successes.filter(|(status, _)| status.starts_with('2')) {
        let body = &response["content"]["application/json"]["schema"];
        let item = &resolved(body, components)["properties"]["items"]["items"];
        let shown = [("", body.clone()), ("items/0/", item.clone())];
        for (target_path, target_method, target) in operations {
            if (target_path.as_str(), target_method.as_str()) == (path, method) {
                continue;
            }
            let answered = target.pointer("/responses/200/content/application~1json/schema/$ref");
            let told = |name: &str| {
                if path_parameters(path).any(|known| known == name) {
                    return Some(format!("$request.path.{name}"));
                }
                shown.iter().find_map(|(place, schema)| {
                    let is_it = answered.is_some() && answered == schema.get("$ref")
                        || target_path.starts_with(&format!("{path}/{{{name}}}"));
                    let properties = &resolved(schema, components)["properties"];
                    [(name, true), ("id", is_it)]
                        .into_iter()
                        .find(|(property, fits)| *fits && properties.get(*property).is_some())
                        .map(|(property, _)| format!("$response.body#/{place}{property}"))
                })
            };
            let told: Option<Vec<(&str, String)>> = path_parameters(target_path)
                .map(|name| Some((name, told(name)?)))
                .collect();
            let Some(told) = told else { continue };
            let from_body = told
                .iter()
                .filter(|(_, value)| value.starts_with("$response"))
                .count();

            let goes_on = matches!(method, "get" | "put" | "patch")
                && path.ends_with('}')
                && (target_path == path || from_body == 0 && below(path, target_path));
            let reads = target_method == "get"
                && (status == "201" && target_path == path
                    || target_path.ends_with('}') && from_body <= 1
                    || nearest_above.as_ref() == Some(target_path));
            let follows = FOLLOWS
                .iter()
                .any(|(first, then)| id == json!(first) && target["operationId"] == json!(then));
            if !goes_on && !reads && !follows {
                continue;
            }
            let mut parameters: Map<String, Value> = told
                .into_iter()
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect();
            if goes_on && has_parameter(target, "If-Match") {
                parameters.insert("If-Match".to_owned(), json!("$response.header.ETag"));
            }
            let id = target["operationId"].as_str().unwrap_or_default();
            let link = json!({"operationId": id, "description": target["summary"], "parameters": parameters});
            add(&mut response["links"], id, link);
        }
    }
}

/// Has the operation itself a parameter or header of this name?
fn has_parameter(operation: &Value, name: &str) -> bool {
    let mut parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.any(|parameter| parameter["name"] == json!(name))
}

/// The names between braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// What a reference refers to; anything else is itself.
fn resolved<'a>(value: &'a Value, components: &'a Value) -> &'a Value {
    let target = value["$ref"]
        .as_str()
        .and_then(|reference| components.pointer(reference.trim_start_matches("#/components")));
    target.map_or(value, |target| resolved(target, components))
}

/// Adds a member that is not there, making the object if need be.
fn add(object: &mut Value, name: &str, member: Value) {
    if object.get(name).is_none() {
        object[name] = member;
    }
}

fn extend(array: &mut Value, more: impl Iterator<Item = Value>) {
    let present = array.as_array_mut().map(std::mem::take).unwrap_or_default();
    *array = present.into_iter().chain(more).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_served_document_differs_only_in_its_server() {
        let document = json!({"openapi": "3.1.0", "servers": servers(EXAMPLE), "paths": {}});
        let served = with_server(&document.to_string(), "http://127.0.0.1:8080");
        let mut served: Value = serde_json::from_str(&served).expect("JSON");
        assert_eq!(
            served["servers"][0]["url"],
            "http://127.0.0.1:8080/kompetens/v1"
        );
        served["servers"] = document["servers"].clone();
        assert_eq!(served, document);
    }
}
