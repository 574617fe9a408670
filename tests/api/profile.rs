//! The national REST API profile (dataportal.se), as checks of the published document.
//!
//! Each rule is a check, `fn(&Value) -> Vec<String>`, that names what is at fault. The table at the end gives each check its test and
//! the mutations of the document that it must notice: a check that notices nothing proves nothing.

use kompetens::http::document;
use serde_json::{Value, json};

type Check = fn(&Value) -> Vec<String>;
type Mutation = fn(&mut Value);

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

// --- reading the document

/// Every operation, named like `GET /events`.
pub fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in
            members(item).filter(|(method, _)| METHODS.contains(&method.as_str()))
        {
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations.into_iter()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What a reference refers to; anything else is itself.
pub fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"]
        .as_str()
        .and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    target.map_or(value, |target| resolved(document, target))
}

/// Every parameter of an operation, resolved.
pub fn parameters<'a>(
    document: &'a Value,
    operation: &'a Value,
) -> impl Iterator<Item = &'a Value> {
    items(&operation["parameters"]).map(move |parameter| resolved(document, parameter))
}

/// Every parameter of every operation, named like `GET /events limit`.
fn all_parameters(document: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (name, operation) in operations(document) {
        all.extend(
            parameters(document, operation)
                .map(|parameter| (format!("{name} {}", text(&parameter["name"])), parameter)),
        );
    }
    all
}

/// Every response of every operation, resolved: where, its status, itself.
fn responses(document: &Value) -> Vec<(String, &str, &Value)> {
    let mut responses = Vec::new();
    for (name, operation) in operations(document) {
        let own = members(&operation["responses"]);
        responses.extend(own.map(|(status, response)| {
            (
                format!("{name} {status}"),
                status.as_str(),
                resolved(document, response),
            )
        }));
    }
    responses
}

fn is_problem(status: &str) -> bool {
    status.starts_with(['4', '5']) || status == "default"
}

/// Every body: where, and its media types.
fn contents(document: &Value) -> Vec<(String, &Value)> {
    let mut contents = Vec::new();
    for (name, operation) in operations(document) {
        if let Some(body) = operation.get("requestBody") {
            contents.push((
                format!("{name} request"),
                &resolved(document, body)["content"],
            ));
        }
    }
    for (place, _, response) in responses(document) {
        contents.extend(response.get("content").map(|content| (place, content)));
    }
    contents
}

/// Every media type that is JSON: where, and its media type object.
fn json_bodies(document: &Value) -> Vec<(String, &Value)> {
    let mut bodies = Vec::new();
    for (place, content) in contents(document) {
        let json = members(content).filter(|(name, _)| is_json(name));
        bodies.extend(json.map(|(name, media)| (format!("{place} {name}"), media)));
    }
    bodies
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

/// Every schema, those within others too: where, and itself.
pub fn schemas(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (name, schema) in members(&document["components"]["schemas"]) {
        collect_within(&format!("/components/schemas/{name}"), schema, &mut found);
    }
    collect_schemas("", document, &mut found);
    found
}

/// The schemas that stand under the name `schema` anywhere outside examples.
fn collect_schemas<'a>(place: &str, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "example" | "examples" | "schemas"))
            {
                let place = format!("{place}/{name}");
                if name == "schema" {
                    collect_within(&place, member, found)
                } else {
                    collect_schemas(&place, member, found)
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_schemas(place, item, found)),
        _ => {}
    }
}

/// A schema and the schemas inside it.
fn collect_within<'a>(place: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    found.push((place.to_owned(), schema));
    for (name, property) in members(&schema["properties"]) {
        collect_within(&format!("{place}/{name}"), property, found);
    }
    for inner in ["items", "additionalProperties", "not"] {
        if let Some(inner) = schema.get(inner).filter(|inner| inner.is_object()) {
            collect_within(place, inner, found);
        }
    }
    for several in ["oneOf", "anyOf", "allOf", "prefixItems"] {
        items(&schema[several]).for_each(|one| collect_within(place, one, found));
    }
}

/// Every property of every schema: where, its name, its schema.
pub fn properties(document: &Value) -> Vec<(String, &str, &Value)> {
    let mut all = Vec::new();
    for (place, schema) in schemas(document) {
        let own = members(&schema["properties"]);
        all.extend(
            own.map(|(name, property)| (format!("{place}/{name}"), name.as_str(), property)),
        );
    }
    all
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn is_blank(value: &Value) -> bool {
    text(value).trim().is_empty()
}

/// The places of the document that hold no text.
fn missing(document: &Value, pointers: &[&str]) -> Vec<String> {
    let absent = |pointer: &&&str| document.pointer(pointer).is_none_or(is_blank);
    pointers
        .iter()
        .filter(absent)
        .map(|pointer| format!("{pointer} is missing"))
        .collect()
}

/// A fault for each place that is wrong.
fn faults<T>(
    all: impl IntoIterator<Item = (String, T)>,
    is_wrong: impl Fn(&T) -> bool,
    fault: &str,
) -> Vec<String> {
    all.into_iter()
        .filter(|(_, one)| is_wrong(one))
        .map(|(place, _)| format!("{place} {fault}"))
        .collect()
}

fn is_camel_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphabetic())
}

// --- the document as a whole

fn dok_01(document: &Value) -> Vec<String> {
    missing(
        document,
        &["/externalDocs/description", "/externalDocs/url"],
    )
}

fn dok_03(document: &Value) -> Vec<String> {
    let mut faults = missing(
        document,
        &[
            "/info/title",
            "/info/description",
            "/info/termsOfService",
            "/info/contact/name",
            "/info/contact/email",
            "/info/contact/url",
            "/info/license/name",
            "/info/license/url",
        ],
    );
    let version = text(&document["info"]["version"]);
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| {
        part.parse::<u32>()
            .is_ok_and(|number| number.to_string() == part)
    };
    if core.split('.').count() != 3 || !core.split('.').all(is_number) {
        faults.push(format!(
            "/info/version {version:?} is not a full semantic version"
        ));
    }
    faults
}

fn dok_06(document: &Value) -> Vec<String> {
    let description = format!(" {} ", text(&document["info"]["description"]));
    let languages = [
        ("Swedish", [" och ", " en ", " med "]),
        ("English", [" and ", " its ", " with "]),
    ];
    let absent = languages
        .iter()
        .filter(|(_, words)| !words.iter().all(|word| description.contains(word)));
    absent
        .map(|(language, _)| format!("/info/description says nothing in {language}"))
        .collect()
}

fn dok_08(document: &Value) -> Vec<String> {
    missing(
        document,
        &[
            "/x-sla/availability",
            "/x-sla/responseTime",
            "/x-sla/support",
        ],
    )
}

fn dok_09(document: &Value) -> Vec<String> {
    let limitations = document["x-limitations"].as_array().map_or(0, Vec::len);
    if limitations == 0 {
        vec!["/x-limitations is missing".to_owned()]
    } else {
        Vec::new()
    }
}

fn dok_15(document: &Value) -> Vec<String> {
    faults(
        json_bodies(document),
        |media| media.get("example").is_none() && media.get("examples").is_none(),
        "has no example",
    )
}

fn dok_15_valid(document: &Value) -> Vec<String> {
    let mut examples = Vec::new();
    let named_parameters = all_parameters(document);
    for (place, holder) in json_bodies(document).into_iter().chain(named_parameters) {
        let several = members(&holder["examples"]);
        let values = holder
            .get("example")
            .into_iter()
            .chain(several.filter_map(|(_, example)| example.get("value")));
        examples.extend(values.map(|example| (place.clone(), &holder["schema"], example)));
    }
    for (place, schema) in schemas(document) {
        examples.extend(
            schema
                .get("example")
                .map(|example| (place, schema, example)),
        );
    }
    let mut validators = std::collections::HashMap::new();
    let mut faults = Vec::new();
    for (place, schema, example) in examples {
        let validator = validators
            .entry(schema.to_string())
            .or_insert_with(|| validator(document, schema));
        match validator {
            Ok(validator) => faults.extend(
                validator
                    .iter_errors(example)
                    .map(|error| format!("{place} example: {}: {error}", error.instance_path())),
            ),
            Err(error) => faults.push(format!("{place}: {error}")),
        }
    }
    faults
}

/// A validator of a schema that refers to the document's components.
pub fn validator(document: &Value, schema: &Value) -> Result<jsonschema::Validator, String> {
    let mut root = schema.clone();
    root["components"] = document["components"].clone();
    let options = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true);
    options.build(&root).map_err(|error| error.to_string())
}

fn dok_19(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, item) in members(&document["paths"]) {
        let others = members(item).filter(|(name, _)| !METHODS.contains(&name.as_str()));
        faults.extend(others.map(|(name, _)| format!("{path} has {name}, which is no operation")));
    }
    for (name, operation) in operations(document) {
        let absent = ["summary", "description"]
            .into_iter()
            .filter(|part| is_blank(&operation[*part]));
        faults.extend(absent.map(|part| format!("{name} has no {part}")));
    }
    faults
}

fn dok_20(document: &Value) -> Vec<String> {
    let all = responses(document)
        .into_iter()
        .map(|(place, _, response)| (place, response));
    faults(
        all,
        |response| is_blank(&response["description"]),
        "has no description",
    )
}

fn dok_21(document: &Value) -> Vec<String> {
    let required: Vec<&String> = items(&document["security"])
        .filter_map(Value::as_object)
        .flat_map(|one| one.keys())
        .collect();
    if required.is_empty() {
        return vec!["/security asks for nothing".to_owned()];
    }
    let schemes = &document["components"]["securitySchemes"];
    required
        .into_iter()
        .filter(|name| schemes.get(name.as_str()).is_none())
        .map(|name| format!("/security names {name}, which is no scheme"))
        .collect()
}

// --- data types, resources, paths

fn dot_02(document: &Value) -> Vec<String> {
    let is_wrong = |schema: &&Value| {
        let example = text(&schema["example"]);
        match text(&schema["format"]) {
            "date" => example.parse::<chrono::NaiveDate>().is_err(),
            "date-time" => chrono::DateTime::parse_from_rfc3339(example).is_err(),
            _ => false,
        }
    };
    faults(
        schemas(document),
        is_wrong,
        "has no RFC 3339 example of its own",
    )
}

fn res_02(document: &Value) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "personnummer",
        "samordningsnummer",
        "personalnumber",
        "personalidentitynumber",
        "personnumber",
        "nationalid",
        "socialsecurity",
        "pnr",
    ];
    let is_wrong = |parameter: &&Value| {
        let name: String = text(&parameter["name"])
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        NAMES
            .iter()
            .any(|forbidden| name.to_lowercase().contains(forbidden))
    };
    faults(
        all_parameters(document),
        is_wrong,
        "is named for a personnummer",
    )
}

fn ufn_05(document: &Value) -> Vec<String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
    };
    let is_parameter = |word: &str| {
        word.strip_prefix('{')
            .and_then(|word| word.strip_suffix('}'))
            .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    let is_path = |path: &str| {
        path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|word| is_word(word) || is_parameter(word))
        })
    };
    let paths = members(&document["paths"]).map(|(path, _)| path);
    paths
        .filter(|path| !is_path(path))
        .map(|path| format!("{path} has a word that is not kebab-case"))
        .collect()
}

fn ufn_01(document: &Value) -> Vec<String> {
    let is_server = |url: &str| {
        let mut parts = url.strip_prefix("https://").unwrap_or_default().split('/');
        let host = parts.next().unwrap_or_default();
        let (host, port) = host.split_once(':').unwrap_or((host, "443"));
        let is_name = host.contains('.')
            && !host.contains("localhost")
            && host.parse::<std::net::IpAddr>().is_err();
        is_name
            && port == "443"
            && parts.next().is_some_and(|word| !word.is_empty())
            && parts.next().is_some()
            && parts.next().is_none()
    };
    let urls: Vec<&str> = items(&document["servers"])
        .map(|server| text(&server["url"]))
        .collect();
    if urls.is_empty() {
        return vec!["/servers is empty".to_owned()];
    }
    urls.into_iter()
        .filter(|url| !is_server(url))
        .map(|url| format!("server {url} is not https://host/word/vN on port 443"))
        .collect()
}

fn ver_05(document: &Value) -> Vec<String> {
    let is_version = |url: &str| {
        url.rsplit('/')
            .next()
            .and_then(|last| last.strip_prefix('v'))
            .is_some_and(|number| number.parse::<u32>().is_ok_and(|n| n > 0))
    };
    let urls = items(&document["servers"]).map(|server| text(&server["url"]));
    urls.filter(|url| !is_version(url))
        .map(|url| format!("server {url} does not end with its major version"))
        .collect()
}

fn ver_06(document: &Value) -> Vec<String> {
    let operation = &document["paths"]["/api-info"]["get"];
    if operation.is_object() && operation["security"] == json!([]) {
        Vec::new()
    } else {
        vec!["GET /api-info, for everyone, is missing".to_owned()]
    }
}

fn mog_02(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, status, response) in responses(document) {
        let links = response["links"].as_object();
        if status == "201" && links.is_none_or(|links| links.is_empty()) {
            faults.push(format!("{place} has no link to what was created"));
        }
        for (name, link) in links.into_iter().flatten() {
            let Some((_, target)) = operations(document)
                .find(|(_, operation)| operation["operationId"] == link["operationId"])
            else {
                faults.push(format!("{place} link {name} leads to no operation"));
                continue;
            };
            let given = |name: &str| link["parameters"].get(name).is_some();
            let needed = parameters(document, target)
                .filter(|parameter| parameter["required"] == json!(true));
            let absent = needed
                .map(|parameter| text(&parameter["name"]))
                .filter(|name| !given(name));
            faults.extend(
                absent.map(|parameter| format!("{place} link {name} does not give {parameter}")),
            );
            let known = |name: &str| {
                parameters(document, target).any(|parameter| parameter["name"] == json!(name))
            };
            let unknown = members(&link["parameters"]).filter(|(parameter, _)| !known(parameter));
            faults.extend(unknown.map(|(parameter, _)| {
                format!("{place} link {name} gives {parameter}, which is no parameter")
            }));
        }
    }
    faults
}

// --- messages

fn ame_01(document: &Value) -> Vec<String> {
    let is_wrong = |content: &&Value| {
        !content
            .as_object()
            .is_some_and(|content| content.keys().any(|name| is_json(name)))
    };
    faults(contents(document), is_wrong, "cannot be JSON")
}

fn ame_04(document: &Value) -> Vec<String> {
    let all = properties(document)
        .into_iter()
        .map(|(place, name, _)| (place, name));
    faults(
        all,
        |name| !is_camel_case(name),
        "is not named in camelCase without digits",
    )
}

fn arq_03(document: &Value) -> Vec<String> {
    let is_wrong = |parameter: &&Value| {
        let name = text(&parameter["name"]).to_ascii_lowercase();
        parameter["in"] == json!("header")
            && ["cache-control", "connection", "date"].contains(&name.as_str())
    };
    faults(
        all_parameters(document),
        is_wrong,
        "is a header that is not the API's to ask for",
    )
}

fn fel_01(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, _, response) in responses(document)
        .into_iter()
        .filter(|(_, status, _)| is_problem(status))
    {
        let schema = resolved(
            document,
            &response["content"]["application/problem+json"]["schema"],
        );
        if schema["type"] != json!("object") {
            faults.push(format!("{place} is not described by a plain object"));
        }
        let absent = ["type", "title", "status", "detail", "instance"]
            .into_iter()
            .filter(|name| schema["properties"].get(name).is_none());
        faults.extend(absent.map(|name| format!("{place} has no {name}")));
    }
    faults
}

fn fel_02(document: &Value) -> Vec<String> {
    let problems = responses(document)
        .into_iter()
        .filter(|(_, status, _)| is_problem(status))
        .map(|(place, _, response)| (place, response));
    let is_wrong = |response: &&Value| {
        response["content"]
            .as_object()
            .is_none_or(|content| !content.keys().eq(["application/problem+json"]))
    };
    let mut faults = faults(problems, is_wrong, "is not application/problem+json");
    let without = operations(document)
        .filter(|(_, operation)| operation["responses"].get("default").is_none());
    faults.extend(without.map(|(name, _)| format!("{name} has no default response")));
    faults
}

fn spa_02(document: &Value) -> Vec<String> {
    let is_tracing = |parameter: &Value| {
        parameter["name"] == json!("traceparent")
            && parameter["in"] == json!("header")
            && parameter["required"] != json!(true)
    };
    let without = operations(document)
        .filter(|(_, operation)| !parameters(document, operation).any(is_tracing));
    without
        .map(|(name, _)| format!("{name} has no optional header traceparent"))
        .collect()
}

fn spa_04(document: &Value) -> Vec<String> {
    let all = responses(document)
        .into_iter()
        .map(|(place, _, response)| (place, response));
    faults(
        all,
        |response| response["headers"].get("traceparent").is_none(),
        "does not answer traceparent",
    )
}

/// Where there is an X-Request-Id, in a request or in an answer, there is traceparent.
fn spa_07(document: &Value) -> Vec<String> {
    let mut names: Vec<(String, String)> = Vec::new();
    for (name, operation) in operations(document) {
        names.push((
            name,
            parameters(document, operation)
                .map(|parameter| text(&parameter["name"]).to_ascii_lowercase() + " ")
                .collect(),
        ));
    }
    for (place, _, response) in responses(document) {
        names.push((
            place,
            members(&response["headers"])
                .map(|(name, _)| name.to_ascii_lowercase() + " ")
                .collect(),
        ));
    }
    faults(
        names,
        |names| names.contains("x-request-id ") && !names.contains("traceparent "),
        "has X-Request-Id without traceparent",
    )
}

// --- filters and lists

fn query_parameters(document: &Value) -> Vec<(String, &Value)> {
    all_parameters(document)
        .into_iter()
        .filter(|(_, parameter)| parameter["in"] == json!("query"))
        .collect()
}

fn fns_01(document: &Value) -> Vec<String> {
    faults(
        query_parameters(document),
        |parameter| !is_camel_case(text(&parameter["name"])),
        "is not named in camelCase",
    )
}

fn fns_05(document: &Value) -> Vec<String> {
    faults(
        query_parameters(document),
        |parameter| parameter["required"] == json!(true),
        "is not optional",
    )
}

fn fns_07(document: &Value) -> Vec<String> {
    let has = |operation: &&Value, name: &str| {
        parameters(document, operation).any(|parameter| parameter["name"] == json!(name))
    };
    faults(
        operations(document),
        |operation| has(operation, "page") && !has(operation, "limit"),
        "has page without limit",
    )
}

/// The parameters of a name that do not have this default.
fn without_default(document: &Value, name: &str, default: i64) -> Vec<String> {
    let is_wrong = |parameter: &&Value| {
        parameter["name"] == json!(name) && parameter["schema"]["default"] != json!(default)
    };
    faults(
        query_parameters(document),
        is_wrong,
        &format!("does not default to {default}"),
    )
}

fn fns_08(document: &Value) -> Vec<String> {
    without_default(document, "page", 1)
}

fn fns_09(document: &Value) -> Vec<String> {
    without_default(document, "limit", 20)
}

// --- security

fn security_schemes(document: &Value) -> Vec<(String, &Value)> {
    let schemes = members(&document["components"]["securitySchemes"]);
    schemes
        .map(|(name, scheme)| (format!("security scheme {name}"), scheme))
        .collect()
}

fn sak_09(document: &Value) -> Vec<String> {
    let is_wrong = |scheme: &&Value| {
        scheme["type"] == json!("http") && !text(&scheme["scheme"]).eq_ignore_ascii_case("bearer")
    };
    faults(security_schemes(document), is_wrong, "is not bearer")
}

fn sak_15(document: &Value) -> Vec<String> {
    faults(
        security_schemes(document),
        |scheme| scheme["type"] == json!("apiKey") && scheme["in"] != json!("header"),
        "is a key outside the headers",
    )
}

fn sak_18(document: &Value) -> Vec<String> {
    let is_wrong = |scheme: &&Value| {
        let flows = members(&scheme["flows"]).flat_map(|(_, flow)| members(flow));
        let mut addresses = flows
            .chain(members(scheme))
            .filter(|(name, _)| name.ends_with("Url"));
        addresses.any(|(_, url)| !text(url).starts_with("https://"))
    };
    faults(
        security_schemes(document),
        is_wrong,
        "has an address that is not https",
    )
}

fn sak_29(document: &Value) -> Vec<String> {
    let with_body =
        operations(document).filter(|(_, operation)| operation.get("requestBody").is_some());
    faults(
        with_body,
        |operation| operation["responses"].get("415").is_none(),
        "takes a body and does not document 415",
    )
}

fn for_02(document: &Value) -> Vec<String> {
    let gets = operations(document).filter(|(name, _)| name.starts_with("GET "));
    faults(
        gets,
        |operation| operation.get("requestBody").is_some(),
        "takes a body",
    )
}

// --- the table

/// For each rule its test, its check, and the mutations that the check must notice.
macro_rules! profile {
    ($($name:ident: $check:ident notices [$($mutation:expr),+ $(,)?];)+) => {
        $(
            #[test]
            fn $name() {
                let faults = $check(document());
                assert!(faults.is_empty(), "{} of the document:\n{}", stringify!($name), faults.join("\n"));
            }
        )+

        const RULES: &[(&str, Check, &[Mutation])] = &[$((stringify!($name), $check, &[$($mutation),+])),+];
    };
}

profile! {
    dok_01_external_docs_are_described: dok_01 notices [|d| remove(d, "/externalDocs/url"), |d| remove(d, "/externalDocs/description")];
    dok_03_info_is_complete: dok_03 notices [
        |d| remove(d, "/info/termsOfService"),
        |d| remove(d, "/info/contact/email"),
        |d| remove(d, "/info/license/url"),
        |d| d["info"]["version"] = json!("1.0"),
    ];
    dok_06_the_description_is_swedish_and_english: dok_06 notices [
        |d| d["info"]["description"] = json!("Planning and learning, with its questions."),
        |d| d["info"]["description"] = json!("Planering och lärande, en sak med frågor."),
    ];
    dok_08_the_service_level_is_told: dok_08 notices [|d| remove(d, "/x-sla"), |d| remove(d, "/x-sla/support")];
    dok_09_the_limitations_are_told: dok_09 notices [|d| remove(d, "/x-limitations")];
    dok_15_every_json_body_has_an_example: dok_15 notices [
        |d| remove(a_request(d), "/content/application~1json/example"),
        |d| remove(a_success(d), "/content/application~1json/example"),
        |d| remove(d, "/components/responses/BadRequest/content/application~1problem+json/examples"),
    ];
    dok_15_every_example_is_valid: dok_15_valid notices [
        |d| a_request(d)["content"]["application/json"]["example"] = json!({"noSuchField": 1}),
        |d| a_success(d)["content"]["application/json"]["example"] = json!([]),
        |d| a_query_parameter(d)["example"] = json!({}),
        |d| a_problem(d)["content"]["application/problem+json"]["example"] = json!({"title": "Fel"}),
        |d| d["components"]["schemas"]["Problem"]["properties"]["status"]["example"] = json!("404"),
    ];
    dok_19_every_operation_is_described: dok_19 notices [
        |d| remove(an_operation(d), "/summary"),
        |d| an_operation(d)["description"] = json!(" "),
        |d| d["paths"]["/api-info"]["parameters"] = json!([]),
    ];
    dok_20_every_response_is_described: dok_20 notices [
        |d| remove(a_success(d), "/description"),
        |d| remove(d, "/components/responses/BadRequest/description"),
    ];
    dok_21_security_is_asked_for_at_the_root: dok_21 notices [|d| remove(d, "/security"), |d| d["security"] = json!([{"other": []}])];
    dot_02_and_04_every_date_and_time_has_its_own_example: dot_02 notices [
        |d| d["components"]["schemas"]["Problem"]["properties"]["at"] = json!({"type": "string", "format": "date-time"}),
        |d| d["components"]["schemas"]["Problem"]["properties"]["at"] = json!({"type": "string", "format": "date-time", "example": "2026-10-05T08:30:00"}),
        |d| d["components"]["schemas"]["Problem"]["properties"]["on"] = json!({"type": ["string", "null"], "format": "date", "example": "5/10 2026"}),
        |d| a_query_parameter(d)["schema"] = json!({"type": "string", "format": "date"}),
    ];
    res_02_no_parameter_is_named_for_a_personnummer: res_02 notices [
        |d| a_query_parameter(d)["name"] = json!("personnummer"),
        |d| a_query_parameter(d)["name"] = json!("personal_identity_number"),
    ];
    res_06_ufn_05_07_08_09_path_words_are_kebab_case: ufn_05 notices [
        |d| d["paths"]["/apiInfo"] = json!({}),
        |d| d["paths"]["/api_info"] = json!({}),
        |d| d["paths"]["/events/{event_id}"] = json!({}),
        |d| d["paths"]["/events/"] = json!({}),
        |d| d["paths"]["/möten"] = json!({}),
    ];
    ufn_01_and_02_servers_are_https_with_one_segment: ufn_01 notices [
        |d| d["servers"] = json!([]),
        |d| d["servers"][0]["url"] = json!("http://kompetens.example.se/kompetens/v1"),
        |d| d["servers"][0]["url"] = json!("https://localhost/kompetens/v1"),
        |d| d["servers"][0]["url"] = json!("https://127.0.0.1/kompetens/v1"),
        |d| d["servers"][0]["url"] = json!("https://kompetens.example.se:8443/kompetens/v1"),
        |d| d["servers"][0]["url"] = json!("https://kompetens.example.se/api/kompetens/v1"),
        |d| d["servers"][0]["url"] = json!("https://kompetens.example.se/v1"),
    ];
    ver_05_the_version_is_the_last_segment: ver_05 notices [
        |d| d["servers"][0]["url"] = json!("https://kompetens.example.se/kompetens/1"),
        |d| d["servers"][0]["url"] = json!("https://kompetens.example.se/kompetens/v1.0"),
    ];
    ver_06_there_is_api_info: ver_06 notices [|d| remove(d, "/paths/~1api-info"), |d| remove(d, "/paths/~1api-info/get/security")];
    mog_02_responses_link_to_what_comes_next: mog_02 notices [
        |d| remove(a_creation(d), "/links"),
        |d| a_creation(d)["links"]["other"] = json!({"operationId": "no_such_operation"}),
        |d| a_creation(d)["links"].as_object_mut().into_iter().flatten().for_each(|(_, link)| link["parameters"] = json!({})),
        |d| a_creation(d)["links"].as_object_mut().into_iter().flatten().for_each(|(_, link)| link["parameters"]["noSuchParameter"] = json!("1")),
    ];
    ame_01_and_02_every_body_can_be_json: ame_01 notices [
        |d| a_request(d)["content"] = json!({"application/xml": {}}),
        |d| a_success(d)["content"] = json!({"text/csv": {}}),
    ];
    ame_04_05_and_07_properties_are_camel_case_without_digits: ame_04 notices [
        |d| d["components"]["schemas"]["Problem"]["properties"]["request_id"] = json!({}),
        |d| d["components"]["schemas"]["Problem"]["properties"]["RequestId"] = json!({}),
        |d| d["components"]["schemas"]["Problem"]["properties"]["address2"] = json!({}),
        |d| a_success(d)["content"]["application/json"]["schema"] = json!({"items": {"properties": {"request-id": {}}}}),
    ];
    arq_03_no_header_of_http_is_a_parameter: arq_03 notices [
        |d| *a_parameter(d) = json!({"name": "Cache-Control", "in": "header"}),
        |d| *a_parameter(d) = json!({"name": "date", "in": "header"}),
        |d| d["components"]["parameters"]["traceparent"]["name"] = json!("Connection"),
    ];
    fel_01_the_problem_is_a_plain_object: fel_01 notices [
        |d| remove(d, "/components/schemas/Problem/properties/instance"),
        |d| d["components"]["schemas"]["Problem"]["type"] = json!(["object", "null"]),
        |d| d["components"]["schemas"]["Problem"] = json!({"allOf": []}),
    ];
    fel_02_every_error_is_problem_json: fel_02 notices [
        |d| remove(an_operation(d), "/responses/default"),
        |d| an_operation(d)["responses"]["409"] = json!({"description": "Wrong."}),
        |d| an_operation(d)["responses"]["503"] = json!({"description": "Wrong.", "content": {"application/json": {}}}),
    ];
    spa_02_every_operation_takes_traceparent: spa_02 notices [
        |d| an_operation(d)["parameters"] = json!([]),
        |d| d["components"]["parameters"]["traceparent"]["required"] = json!(true),
    ];
    spa_04_every_response_has_traceparent: spa_04 notices [
        |d| remove(a_success(d), "/headers/traceparent"),
        |d| remove(d, "/components/responses/OtherProblem/headers/traceparent"),
    ];
    spa_07_request_ids_stand_beside_traceparent: spa_07 notices [
        |d| a_success(d)["headers"] = json!({"X-Request-Id": {}}),
        |d| an_operation(d)["parameters"] = json!([{"name": "x-request-id", "in": "header"}]),
    ];
    fns_01_and_03_query_parameters_are_camel_case: fns_01 notices [
        |d| a_query_parameter(d)["name"] = json!("unit_id"),
        |d| a_query_parameter(d)["name"] = json!("UnitId"),
    ];
    fns_05_query_parameters_are_optional: fns_05 notices [|d| a_query_parameter(d)["required"] = json!(true)];
    fns_07_page_comes_with_limit: fns_07 notices [|d| each_query_parameter(d, "limit", |limit| limit["name"] = json!("size"))];
    fns_08_page_defaults_to_1: fns_08 notices [|d| each_query_parameter(d, "page", |page| remove(page, "/schema/default"))];
    fns_09_limit_defaults_to_20: fns_09 notices [|d| each_query_parameter(d, "limit", |limit| limit["schema"]["default"] = json!(50))];
    sak_09_and_10_bearer_tokens_only: sak_09 notices [|d| d["components"]["securitySchemes"]["other"] = json!({"type": "http", "scheme": "Basic"})];
    sak_15_and_16_keys_stand_in_headers: sak_15 notices [
        |d| d["components"]["securitySchemes"]["key"] = json!({"type": "apiKey", "name": "key", "in": "query"}),
        |d| d["components"]["securitySchemes"]["key"] = json!({"type": "apiKey", "name": "key", "in": "cookie"}),
    ];
    sak_18_oauth_addresses_are_https: sak_18 notices [
        |d| d["components"]["securitySchemes"]["oauth"] = json!({"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "http://kompetens.example.se/token"}}}),
        |d| d["components"]["securitySchemes"]["oidc"] = json!({"type": "openIdConnect", "openIdConnectUrl": "http://kompetens.example.se"}),
    ];
    sak_29_operations_with_a_body_document_415: sak_29 notices [|d| d["paths"]["/x"] = json!({"post": {"requestBody": {}, "responses": {}}})];
    for_02_no_get_takes_a_body: for_02 notices [|d| d["paths"]["/api-info"]["get"]["requestBody"] = json!({"content": {}})];
}

/// The negative control: each check finds nothing in the document, and something in each mutation of it.
#[test]
fn every_check_notices_what_it_is_for() {
    for (rule, check, mutations) in RULES {
        for (index, mutate) in mutations.iter().enumerate() {
            let mut broken = document().clone();
            mutate(&mut broken);
            assert_ne!(
                broken,
                *document(),
                "mutation {index} of {rule} changes nothing"
            );
            let known = check(document());
            let noticed = check(&broken)
                .into_iter()
                .any(|fault| !known.contains(&fault));
            assert!(noticed, "{rule} does not notice mutation {index}");
        }
    }
}

// --- places to break

fn remove(value: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.map(|parent| parent.remove(&name.replace("~1", "/").replace("~0", "~")));
}

/// The first operation that the test holds for.
fn first_operation(document: &mut Value, is_fit: impl Fn(&Value) -> bool) -> &mut Value {
    let items = document["paths"]
        .as_object_mut()
        .into_iter()
        .flatten()
        .filter_map(|(_, item)| item.as_object_mut());
    let mut operations = items.flatten().map(|(_, operation)| operation);
    operations
        .find(|operation| is_fit(operation))
        .expect("an operation to break")
}

fn an_operation(document: &mut Value) -> &mut Value {
    first_operation(document, |_| true)
}

fn a_request(document: &mut Value) -> &mut Value {
    &mut first_operation(document, |operation| operation.get("requestBody").is_some())["requestBody"]
}

fn a_success(document: &mut Value) -> &mut Value {
    &mut first_operation(document, |operation| {
        operation["responses"].get("200").is_some()
    })["responses"]["200"]
}

fn a_creation(document: &mut Value) -> &mut Value {
    &mut first_operation(document, |operation| {
        operation["responses"].get("201").is_some()
    })["responses"]["201"]
}

fn a_problem(document: &mut Value) -> &mut Value {
    &mut document["components"]["responses"]["BadRequest"]
}

fn a_parameter(document: &mut Value) -> &mut Value {
    &mut first_operation(document, |operation| {
        operation["parameters"].get(0).is_some()
    })["parameters"][0]
}

fn is_query(parameter: &Value) -> bool {
    parameter["in"] == json!("query")
}

fn a_query_parameter(document: &mut Value) -> &mut Value {
    let operation = first_operation(document, |operation| {
        operation["parameters"]
            .as_array()
            .is_some_and(|all| all.iter().any(is_query))
    });
    operation["parameters"]
        .as_array_mut()
        .and_then(|all| all.iter_mut().find(|one| is_query(one)))
        .expect("a query parameter to break")
}

fn each_query_parameter(document: &mut Value, name: &str, change: impl Fn(&mut Value)) {
    let items = document["paths"]
        .as_object_mut()
        .into_iter()
        .flatten()
        .filter_map(|(_, item)| item.as_object_mut());
    let parameters = items
        .flatten()
        .filter_map(|(_, operation)| operation.get_mut("parameters")?.as_array_mut());
    parameters
        .flatten()
        .filter(|parameter| is_query(parameter) && parameter["name"] == json!(name))
        .for_each(change);
}
