//! The published document, enforced: a request is admitted only as an operation of the document describes it.
//!
//! Bounds, formats, required fields and allowed parameters are written once, at the types that the document is made from.
//! [`Contract::admit`] reads like the order of refusals in docs/API.md:
//! 404 for the path, 401, 405, 414, 431, 415, 413, 400, 422 by form, 428. What needs data is judged later, in the transaction.

use actix_web::dev::ServiceRequest;
use actix_web::http::{Method, header};
use actix_web::{HttpMessage, web};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::call::{Admitted, Call, IfMatch, Key};
use super::{answer::BASE, json_text};
use crate::error::{At, Code, Error, FieldError};
use crate::guideline::Text;
use crate::identity::Actor;
use crate::rules::personal_number;

const LONGEST_URI: usize = 8 * 1024;
const LARGEST_HEADERS: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
pub const LARGEST_BODY: usize = 64 * 1024;
/// Of what is streamed to its handler, line by line.
pub const LARGEST_IMPORT: usize = 10 * 1024 * 1024;
/// The media types of JSON lines.
const LINES: [&str; 2] = ["application/x-ndjson", "application/jsonl"];
/// The media type of every other body; a patch has one of its own too.
const JSON: [&str; 1] = ["application/json"];
/// How long a body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// The parameters of every list, to which cursors are not bound.
const PAGING: [&str; 4] = ["limit", "page", "cursor", "includeTotal"];

/// The operations of the document, by path and method.
pub struct Contract {
    router: matchit::Router<usize>,
    paths: Vec<PathEntry>,
}

struct PathEntry {
    operations: BTreeMap<String, Operation>,
    /// Every operation here asks for a token.
    secured: bool,
    allow: String,
}

struct Operation {
    id: String,
    secured: bool,
    parameters: Vec<Parameter>,
    /// Of JSON lines: a line's.
    body: Option<Arc<Validator>>,
    /// It takes JSON lines, which its handler reads one by one; a body of JSON is one line.
    streamed: bool,
    /// Without a body, an operation that needs none is sent `{}`.
    needs_body: bool,
    changes_what_exists: bool,
}

struct Parameter {
    name: String,
    place: String,
    required: bool,
    kind: Kind,
    validator: Arc<Validator>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Boolean,
    /// Comma-separated texts.
    List,
}

/// What became of a request at the door.
pub enum Admission {
    /// It is this operation's; what was read of it lies in the request's extensions.
    Operation(String),
    /// OPTIONS: what the path allows.
    Options(String),
}

impl Contract {
    /// Fails, naming the place, when the document is not one that can be enforced.
    pub fn new(document: &Value) -> Result<Contract, String> {
        let mut schemas = Schemas::of(&document["components"]);
        let mut contract = Contract {
            router: matchit::Router::new(),
            paths: Vec::new(),
        };
        for (path, item) in document["paths"].as_object().ok_or("no paths")? {
            let mut operations = BTreeMap::new();
            for (method, operation) in item.as_object().ok_or("a path without operations")? {
                operations.insert(
                    method.to_uppercase(),
                    Operation::new(operation, &mut schemas)?,
                );
            }
            let mut allowed: Vec<&str> = operations.keys().map(String::as_str).collect();
            if operations.contains_key("GET") {
                allowed.push("HEAD");
            }
            allowed.push("OPTIONS");
            let entry = PathEntry {
                secured: operations.values().all(|operation| operation.secured),
                allow: allowed.join(", "),
                operations,
            };
            contract
                .router
                .insert(format!("{BASE}{path}"), contract.paths.len())
                .map_err(|error| format!("{path}: {error}"))?;
            contract.paths.push(entry);
        }
        Ok(contract)
    }

    /// Lets a request in or refuses it. HEAD becomes the GET that it asks about.
    pub async fn admit(
        &self,
        request: &mut ServiceRequest,
        body_deadline: Duration,
        authenticate: impl AsyncFn(Option<&str>) -> Result<Actor, Error>,
        make_call: impl Fn(Actor) -> Call,
    ) -> Result<Admission, Error> {
        let path = request.path().to_owned();
        let found = self
            .router
            .at(&path)
            .map_err(|_| Error::new(Code::NotFound))?;
        let entry = &self.paths[*found.value];
        if request.method() == Method::OPTIONS {
            return Ok(Admission::Options(entry.allow.clone()));
        }
        if request.method() == Method::HEAD && entry.operations.contains_key("GET") {
            request.head_mut().method = Method::GET;
        }
        let operation = entry.operations.get(request.method().as_str());

        let actor = if operation.map_or(entry.secured, |operation| operation.secured) {
            let mut given = request.headers().get_all(header::AUTHORIZATION);
            let first = given.next().filter(|_| given.next().is_none());
            let authorization = first.and_then(|value| value.to_str().ok());
            Some(authenticate(authorization).await?)
        } else {
            None
        };
        let operation = operation.ok_or_else(|| {
            Error::new(Code::MethodNotAllowed).header("Allow", entry.allow.clone())
        })?;

        refuse_oversize(request)?;
        let streamed = operation.streamed && media_type(request) != JSON[0];
        let body = match &operation.body {
            Some(_) if streamed => {
                refuse_media_type(request, &LINES)?;
                if is_longer(request, LARGEST_IMPORT) {
                    return Err(import_too_large());
                }
                web::Bytes::new()
            }
            // what needs no body may come without one, and then without its type
            Some(_)
                if !operation.needs_body
                    && !request.headers().contains_key(header::CONTENT_TYPE) =>
            {
                let body = read_body(request, body_deadline).await?;
                if !body.is_empty() {
                    refuse_media_type(request, &JSON)?;
                }
                web::Bytes::from_static(b"{}")
            }
            Some(_) => {
                refuse_media_type(request, &JSON)?;
                read_body(request, body_deadline).await?
            }
            None => web::Bytes::new(),
        };

        let mut admitted = Admitted::default();
        let raw: Vec<(String, String)> = found
            .params
            .iter()
            .map(|(name, value)| {
                Ok((
                    name.to_owned(),
                    decode(value, false).ok_or_else(|| invalid(name))?,
                ))
            })
            .collect::<Result<_, Error>>()?;
        admitted.path = operation.read(raw, "path")?;
        let query = split_query(request.query_string())?;
        admitted.filters = query
            .iter()
            .filter(|(name, _)| !PAGING.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect::<Vec<_>>()
            .join("&");
        admitted.query = operation.read(query, "query")?;
        let if_match = read_if_match(request)?;
        let only_create = read_only_create(request, operation)?;
        let key = read_key(request, &body)?;

        if let Some(validator) = operation.body.as_ref().filter(|_| !streamed) {
            admitted.body = json_text::parse(&body)?;
            check_body(validator, &admitted.body)?;
        }
        if operation.changes_what_exists && if_match.is_none() && !only_create {
            return Err(Error::at(Code::IfMatchRequired, At::Header("If-Match")));
        }

        if let Some(actor) = actor {
            let call = Call {
                if_match,
                only_create,
                key,
                ..make_call(actor)
            };
            request.extensions_mut().insert(call);
        }
        request.extensions_mut().insert(admitted);
        Ok(Admission::Operation(operation.id.clone()))
    }

    /// 422 unless this could be the operation's body.
    pub fn check(&self, operation: &str, body: &Value) -> Result<(), Error> {
        self.paths
            .iter()
            .flat_map(|path| path.operations.values())
            .find(|known| known.id == operation)
            .and_then(|known| known.body.as_ref())
            .ok_or_else(|| Error::internal(format!("no body of {operation}")))
            .and_then(|validator| check_body(validator, body))
    }
}

impl Operation {
    fn new(operation: &Value, schemas: &mut Schemas) -> Result<Operation, String> {
        let id = operation["operationId"]
            .as_str()
            .ok_or("an operation without operationId")?
            .to_owned();
        let context = |error: String| format!("{id}: {error}");
        let parameters: Vec<Parameter> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| Parameter::new(parameter, schemas))
            .collect::<Result<_, _>>()
            .map_err(context)?;
        let streamed = operation["requestBody"]["content"]
            .as_object()
            .is_some_and(|content| content.contains_key(LINES[0]));
        let schema = operation["requestBody"]["content"]
            .as_object()
            .and_then(|content| content.values().next())
            .map(|media| &media["schema"]);
        let body = schema
            .map(|schema| schemas.validator(schema))
            .transpose()
            .map_err(context)?;
        Ok(Operation {
            secured: operation
                .get("security")
                .and_then(Value::as_array)
                .is_none_or(|security| !security.is_empty()),
            changes_what_exists: parameters
                .iter()
                .any(|p| p.place == "header" && p.name == "If-Match" && p.required),
            parameters,
            body,
            streamed,
            needs_body: operation["requestBody"]["required"] == json!(true),
            id,
        })
    }

    /// Parameters of one place as an object whose members have the types that the document gives them.
    fn read(&self, raw: Vec<(String, String)>, place: &str) -> Result<Value, Error> {
        let mut faults = Vec::new();
        let mut object = Map::new();
        for (name, value) in raw {
            let Some(parameter) = self
                .parameters
                .iter()
                .find(|known| known.place == place && known.name == name)
            else {
                faults.push(parameter_fault(
                    &name,
                    "unknown-parameter",
                    Text::new(
                        "Parametern finns inte för den här åtgärden. Ta bort den.",
                        "This operation has no such parameter. Remove it.",
                    ),
                ));
                continue;
            };
            let typed = parameter.typed(&value);
            if let Some(error) = parameter.validator.iter_errors(&typed).next() {
                let (code, detail) = explain(&error);
                faults.push(parameter_fault(&name, code, detail));
            } else if let Some((code, detail)) = text_fault(&value) {
                faults.push(parameter_fault(&name, code, detail));
            }
            if object.insert(name.clone(), typed).is_some() {
                faults.push(parameter_fault(
                    &name,
                    "repeated-parameter",
                    Text::new(
                        "Parametern får stå en gång. Skriv flera värden med komma emellan.",
                        "The parameter may stand once. Write several values separated by commas.",
                    ),
                ));
            }
        }
        for parameter in self
            .parameters
            .iter()
            .filter(|known| known.place == place && known.required)
        {
            if !object.contains_key(&parameter.name) {
                faults.push(parameter_fault(
                    &parameter.name,
                    "required",
                    Text::new("Parametern krävs.", "The parameter is required."),
                ));
            }
        }
        if faults.is_empty() {
            return Ok(Value::Object(object));
        }
        Err(faults
            .into_iter()
            .fold(Error::new(Code::InvalidParameter), Error::with))
    }
}

impl Parameter {
    fn new(parameter: &Value, schemas: &mut Schemas) -> Result<Parameter, String> {
        let components = schemas.components;
        let parameter = match parameter["$ref"].as_str() {
            Some(reference) => components
                .pointer(reference.trim_start_matches("#/components"))
                .ok_or(reference)?,
            None => parameter,
        };
        let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
        let kind = match kind_of(&parameter["schema"], components) {
            "integer" => Kind::Integer,
            "boolean" => Kind::Boolean,
            "array" => Kind::List,
            _ => Kind::Text,
        };
        Ok(Parameter {
            name: text("name"),
            place: text("in"),
            required: parameter["required"] == json!(true),
            kind,
            validator: schemas.validator(&parameter["schema"])?,
        })
    }

    /// A text of the address as what the schema describes; what cannot be that stays text, which the schema refuses.
    fn typed(&self, value: &str) -> Value {
        match self.kind {
            Kind::Integer => value
                .parse::<i64>()
                .map_or_else(|_| json!(value), Value::from),
            Kind::Boolean => value
                .parse::<bool>()
                .map_or_else(|_| json!(value), Value::from),
            Kind::List => value.split(',').map(Value::from).collect(),
            Kind::Text => json!(value),
        }
    }
}

/// The type of a schema, through references and alternatives with null.
fn kind_of<'a>(schema: &'a Value, components: &'a Value) -> &'a str {
    if let Some(reference) = schema["$ref"].as_str() {
        return components
            .pointer(reference.trim_start_matches("#/components"))
            .map_or("", |schema| kind_of(schema, components));
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind.as_str()],
        _ => schema["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| kind_of(one, components))
            .collect(),
    };
    kinds
        .into_iter()
        .find(|kind| !matches!(*kind, "null" | ""))
        .unwrap_or_default()
}

/// What schemas are compiled to. Lists share their parameters and changes their ids, so that few differ.
struct Schemas<'a> {
    components: &'a Value,
    compiled: HashMap<String, Arc<Validator>>,
}

impl<'a> Schemas<'a> {
    fn of(components: &'a Value) -> Schemas<'a> {
        Schemas {
            components,
            compiled: HashMap::new(),
        }
    }

    fn validator(&mut self, schema: &Value) -> Result<Arc<Validator>, String> {
        // what it says of itself is not checked
        let mut root = schema.clone();
        if let Some(root) = root.as_object_mut() {
            root.retain(|name, _| {
                !["description", "example", "examples", "default"].contains(&name.as_str())
            });
        }
        let mut schemas = Map::new();
        collect_references(schema, self.components, &mut schemas);
        root["components"] = json!({ "schemas": schemas });
        let key = root.to_string();
        if let Some(known) = self.compiled.get(&key) {
            return Ok(known.clone());
        }
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .with_format("uuid", json_text::is_uuid)
            .with_format("date", json_text::is_date)
            .with_format("date-time", json_text::is_date_time)
            .build(&root)
            .map_err(|error| error.to_string())?;
        let validator = Arc::new(validator);
        self.compiled.insert(key, validator.clone());
        Ok(validator)
    }
}

/// The component schemas that a schema refers to, and those refer to: all that its validator needs to know.
fn collect_references(schema: &Value, components: &Value, found: &mut Map<String, Value>) {
    match schema {
        Value::Object(members) => {
            let name = members
                .get("$ref")
                .and_then(|reference| reference.as_str()?.strip_prefix("#/components/schemas/"));
            if let Some(name) = name
                && !found.contains_key(name)
            {
                let component = &components["schemas"][name];
                found.insert(name.to_owned(), component.clone());
                collect_references(component, components, found);
            }
            for member in members.values() {
                collect_references(member, components, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_references(item, components, found);
            }
        }
        _ => {}
    }
}

fn refuse_oversize(request: &ServiceRequest) -> Result<(), Error> {
    let uri = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if uri > LONGEST_URI {
        return Err(Error::new(Code::UriTooLong));
    }
    let headers = request.headers();
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if headers.len() > MOST_HEADERS || size > LARGEST_HEADERS {
        return Err(Error::new(Code::HeadersTooLarge));
    }
    Ok(())
}

/// A header of the request in lower case; empty when there is none.
fn lower_case(request: &ServiceRequest, name: header::HeaderName) -> String {
    request
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// The media type of the request's body, without its parameters.
fn media_type(request: &ServiceRequest) -> String {
    let full = lower_case(request, header::CONTENT_TYPE);
    let (media_type, _) = full.split_once(';').unwrap_or((&full, ""));
    media_type.trim().to_owned()
}

fn refuse_media_type(request: &ServiceRequest, known: &[&str]) -> Result<(), Error> {
    let known = match media_type(request).as_str() {
        "application/merge-patch+json" => request.method() == Method::PATCH,
        media_type => known.contains(&media_type),
    };
    let full = lower_case(request, header::CONTENT_TYPE);
    let charset = full
        .split(';')
        .skip(1)
        .find_map(|parameter| parameter.trim().strip_prefix("charset="));
    let encoding = lower_case(request, header::CONTENT_ENCODING);
    let refused = if !matches!(encoding.as_str(), "" | "identity") {
        "Content-Encoding"
    } else if !known || charset.is_some_and(|charset| charset.trim_matches('"') != "utf-8") {
        "Content-Type"
    } else {
        return Ok(());
    };
    Err(Error::at(Code::UnsupportedMediaType, At::Header(refused)))
}

/// 413 with an import's own bounds.
pub fn import_too_large() -> Error {
    Error::new(Code::BodyTooLarge).detail(Text::new(
        "En import är högst 10 MiB och 50 000 rader. Ingenting av den är utfört. Dela upp den.",
        "An import is at most 10 MiB and 50,000 lines. Nothing of it was done. Split it.",
    ))
}

/// Does the request announce a longer body?
fn is_longer(request: &ServiceRequest, largest: usize) -> bool {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    announced.is_some_and(|length| length > largest as u64)
}

async fn read_body(request: &mut ServiceRequest, deadline: Duration) -> Result<web::Bytes, Error> {
    if is_longer(request, LARGEST_BODY) {
        return Err(Error::new(Code::BodyTooLarge));
    }
    let payload = request
        .extract::<web::Payload>()
        .await
        .map_err(|_| Error::new(Code::MalformedJson))?;
    match tokio::time::timeout(deadline, payload.to_bytes_limited(LARGEST_BODY)).await {
        Err(_) => Err(Error::new(Code::RequestTimeout)),
        Ok(Err(_)) => Err(Error::new(Code::BodyTooLarge)),
        Ok(Ok(Err(_))) => Err(Error::new(Code::MalformedJson)),
        Ok(Ok(Ok(body))) => Ok(body),
    }
}

/// The types of JSON, as Swedish names them.
fn in_swedish(types: &str) -> String {
    types
        .split(" / ")
        .map(|one| match one {
            "array" => "en lista",
            "boolean" => "true eller false",
            "integer" => "ett heltal",
            "number" => "ett tal",
            "object" => "ett objekt",
            "string" => "en text",
            other => other,
        })
        .collect::<Vec<_>>()
        .join(" / ")
}

fn invalid(name: &str) -> Error {
    Error::at(Code::InvalidParameter, At::Parameter(name.to_owned()))
}

/// Splits a query string; `+` is a space.
fn split_query(query: &str) -> Result<Vec<(String, String)>, Error> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true).ok_or_else(|| Error::new(Code::InvalidParameter))?;
            let value = decode(value, true).ok_or_else(|| invalid(&name))?;
            Ok((name, value))
        })
        .collect()
}

/// Percent-decodes strictly: broken escapes and bytes that are not UTF-8 are refused, never replaced.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                u8::from_str_radix(digits.strip_prefix('+').map_or(digits, |_| "x"), 16).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' | b':' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// The value of a header that may stand once.
fn the_one<'a>(
    request: &'a ServiceRequest,
    name: &'static str,
) -> Result<Option<&'a header::HeaderValue>, Error> {
    let mut values = request.headers().get_all(name);
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(invalid_header(
            name,
            Text::new("Huvudet får stå en gång.", "The header may stand once."),
        )),
    }
}

/// A header of the wrong form, and what was expected.
fn invalid_header(name: &'static str, expected: Text) -> Error {
    Error::explained(Code::InvalidHeader, At::Header(name), expected)
}

fn read_if_match(request: &ServiceRequest) -> Result<Option<IfMatch>, Error> {
    let Some(value) = the_one(request, "If-Match")? else {
        return Ok(None);
    };
    if value == "*" {
        return Ok(Some(IfMatch::Any));
    }
    value
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix('"')?.strip_suffix('"'))
        .map(|tag| tag.split_once('-').unwrap_or((tag, "00000000")))
        .filter(|(revision, hash)| {
            (1..=9).contains(&revision.len())
                && revision.bytes().all(|byte| byte.is_ascii_digit())
                && hash.len() == 8
                && hash
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
        .map(|(revision, _)| revision)
        .and_then(|revision| revision.parse().ok())
        .map(|revision| Some(IfMatch::Revision(revision)))
        .ok_or_else(|| {
            let expected = Text::new(
                "Väntade * eller en ETag som den stod i svaret, med citattecken och utan W/, som \"3-1a2b3c4d\".",
                "Expected * or one ETag as it stood in the answer, in quotes and without W/, like \"3-1a2b3c4d\".",
            );
            invalid_header("If-Match", expected)
        })
}

/// `If-None-Match: *` on a PUT means: only create. (On GET the header is read when the answer is known.)
fn read_only_create(request: &ServiceRequest, operation: &Operation) -> Result<bool, Error> {
    match request.headers().get(header::IF_NONE_MATCH) {
        Some(value) if operation.body.is_some() => {
            if value == "*" && request.method() == Method::PUT {
                Ok(true)
            } else {
                let expected = Text::new(
                    "När något skrivs kan huvudet bara vara *, i PUT: skapa, men ersätt inte.",
                    "With a write the header can only be *, in PUT: create, but do not replace.",
                );
                Err(invalid_header("If-None-Match", expected))
            }
        }
        _ => Ok(false),
    }
}

fn read_key(request: &ServiceRequest, body: &[u8]) -> Result<Option<std::sync::Arc<Key>>, Error> {
    if request.method() != Method::POST {
        return Ok(None);
    }
    let Some(value) = the_one(request, "Idempotency-Key")? else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty()
        || key.len() > 255
        || !key.bytes().all(|byte| byte.is_ascii_graphic())
        || is_personal(key)
    {
        let expected = Text::new(
            "Väntade 1–255 synliga ASCII-tecken utan blanksteg, som en UUID, och inget personnummer.",
            "Expected 1 to 255 visible ASCII characters without a space, such as a UUID, and no personal identity number.",
        );
        return Err(invalid_header("Idempotency-Key", expected));
    }
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [
        request.method().as_str().as_bytes(),
        request.uri().to_string().as_bytes(),
        body,
    ] {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    Ok(Some(std::sync::Arc::new(Key {
        key: key.to_owned(),
        fingerprint: digest.finish().as_ref().to_vec(),
    })))
}

/// Checks a body's form: its schema, and what no text may hold.
fn check_body(validator: &Validator, body: &Value) -> Result<(), Error> {
    let mut faults = Vec::new();
    collect_text_faults(body, "", &mut faults);
    let personal = faults
        .iter()
        .any(|fault| fault.code == Code::PersonalNumber.as_str());
    let mut seen: HashSet<At2> = faults.iter().map(At2::of).collect();
    for error in validator.iter_errors(body) {
        for fault in body_faults(&error) {
            if seen.insert(At2::of(&fault)) {
                faults.push(fault);
            }
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let code = if personal {
        Code::PersonalNumber
    } else {
        Code::InvalidBody
    };
    Err(faults.into_iter().fold(Error::new(code), Error::with))
}

/// One fault a place is enough.
#[derive(PartialEq, Eq, Hash)]
struct At2(String);

impl At2 {
    fn of(fault: &FieldError) -> At2 {
        At2(match &fault.at {
            At::Pointer(pointer) => pointer.clone(),
            other => format!("{other:?}"),
        })
    }
}

fn body_faults(error: &ValidationError<'_>) -> Vec<FieldError> {
    let place = error.instance_path().to_string();
    let below = |name: &str| format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
    let fault = |pointer: String, code: &str, detail: Text| FieldError {
        at: At::Pointer(pointer),
        code: code.to_owned(),
        detail,
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let (code, detail) = explain(error);
            vec![fault(
                below(property.as_str().unwrap_or_default()),
                code,
                detail,
            )]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| {
                let (code, detail) = explain(error);
                fault(below(name), code, detail)
            })
            .collect(),
        // an optional object is described as "null or this": what matters is why it is not this
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            let wants_null = |inner: &ValidationError<'_>| matches!(inner.kind(), ValidationErrorKind::Type { kind: jsonschema::error::TypeKind::Single(one) } if one.to_string() == "null");
            let best = context.iter().find(|branch| !branch.iter().any(wants_null));
            best.into_iter().flatten().flat_map(body_faults).collect()
        }
        _ => {
            let (code, detail) = explain(error);
            vec![fault(place, code, detail)]
        }
    }
}

/// A code and a text for what a schema refuses, never repeating the value.
fn explain(error: &ValidationError<'_>) -> (&'static str, Text) {
    use ValidationErrorKind as K;
    let text = |sv: String, en: String| Text { sv, en };
    match error.kind() {
        K::Required { .. } => (
            "required",
            Text::new(
                "Fältet krävs. Lägg till det.",
                "The field is required. Add it.",
            ),
        ),
        K::AdditionalProperties { .. } => (
            "unknown-field",
            Text::new(
                "Fältet finns inte. Ta bort det eller rätta stavningen.",
                "There is no such field. Remove it or mend its spelling.",
            ),
        ),
        K::Type { kind } => {
            let expected = match kind {
                jsonschema::error::TypeKind::Single(one) => one.to_string(),
                jsonschema::error::TypeKind::Multiple(several) => several
                    .iter()
                    .map(|one| one.to_string())
                    .filter(|one| one != "null")
                    .collect::<Vec<_>>()
                    .join(" / "),
            };
            (
                "wrong-type",
                text(
                    format!("Väntade {}.", in_swedish(&expected)),
                    format!("Expected {expected}."),
                ),
            )
        }
        K::Enum { options } => {
            let options = options
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            (
                "unknown-value",
                text(
                    format!("Väntade något av: {options}."),
                    format!("Expected one of: {options}."),
                ),
            )
        }
        K::MaxLength { limit } => (
            "too-long",
            text(
                format!("Högst {limit} tecken."),
                format!("At most {limit} characters."),
            ),
        ),
        K::MinLength { limit } => (
            "too-short",
            text(
                format!("Minst {limit} tecken."),
                format!("At least {limit} characters."),
            ),
        ),
        K::MaxItems { limit } => (
            "too-many-items",
            text(
                format!("Högst {limit} stycken."),
                format!("At most {limit} items."),
            ),
        ),
        K::MinItems { limit } => (
            "too-few-items",
            text(
                format!("Minst {limit} stycken."),
                format!("At least {limit} items."),
            ),
        ),
        K::MaxProperties { limit } => (
            "too-many-fields",
            text(
                format!("Högst {limit} fält."),
                format!("At most {limit} fields."),
            ),
        ),
        K::UniqueItems => (
            "repeated-item",
            Text::new(
                "Samma värde står två gånger.",
                "The same value stands twice.",
            ),
        ),
        K::Maximum { limit } => (
            "too-large",
            text(format!("Högst {limit}."), format!("At most {limit}.")),
        ),
        K::Minimum { limit } => (
            "too-small",
            text(format!("Minst {limit}."), format!("At least {limit}.")),
        ),
        K::Format { format } => {
            let (sv, en) = match format.as_str() {
                "uuid" => ("ett UUID med bindestreck", "a UUID with hyphens"),
                "date" => (
                    "ett datum som 2026-10-05, mellan 1900 och 2199",
                    "a date like 2026-10-05, between 1900 and 2199",
                ),
                "date-time" => (
                    "en tidpunkt med tidszon som 2026-10-05T08:30:00+02:00, mellan 1900 och 2199",
                    "a time with offset like 2026-10-05T08:30:00+02:00, between 1900 and 2199",
                ),
                other => (other, other),
            };
            (
                "wrong-format",
                text(format!("Väntade {sv}."), format!("Expected {en}.")),
            )
        }
        K::Pattern { pattern } if pattern == r"\S" => (
            "blank",
            Text::new("Texten får inte vara tom.", "The text may not be blank."),
        ),
        K::Pattern { pattern } => (
            "wrong-pattern",
            text(
                format!("Väntade formen {pattern}."),
                format!("Expected the form {pattern}."),
            ),
        ),
        _ => (
            "invalid",
            Text::new(
                "Värdet stämmer inte med dokumentationen.",
                "The value does not agree with the documentation.",
            ),
        ),
    }
}

/// Refuses NUL, control characters and personal numbers (I17) in every text of a body.
fn collect_text_faults(value: &Value, place: &str, faults: &mut Vec<FieldError>) {
    match value {
        Value::String(text) => {
            if let Some((code, detail)) = text_fault(text) {
                faults.push(FieldError {
                    at: At::Pointer(place.to_owned()),
                    code: code.to_owned(),
                    detail,
                });
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_text_faults(item, &format!("{place}/{index}"), faults);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if let Some((code, detail)) = text_fault(name) {
                    faults.push(FieldError {
                        at: At::Pointer(place.to_owned()),
                        code: code.to_owned(),
                        detail,
                    });
                } else {
                    collect_text_faults(
                        member,
                        &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")),
                        faults,
                    );
                }
            }
        }
        _ => {}
    }
}

/// What no text may hold.
fn text_fault(text: &str) -> Option<(&'static str, Text)> {
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
    {
        let detail = Text::new(
            "Texten innehåller styrtecken. Ta bort dem.",
            "The text holds control characters. Remove them.",
        );
        return Some(("control-character", detail));
    }
    is_personal(text).then(|| (Code::PersonalNumber.as_str(), Code::PersonalNumber.advice()))
}

/// Is there a personal number in this text? Ids are exempt: a UUID's digits mean nobody.
pub(super) fn is_personal(text: &str) -> bool {
    !json_text::is_uuid(text) && personal_number::contains_personal_number(text)
}

fn parameter_fault(name: &str, code: &str, detail: Text) -> FieldError {
    FieldError {
        at: At::Parameter(name.to_owned()),
        code: code.to_owned(),
        detail,
    }
}
