//! The contract in HTTP: the application, its door, its problems, its lists and its document.
//!
//! One builder, [`serve`], is shared by the program and the tests. Every request under [`answer::BASE`] passes [`contract`] first,
//! so that handlers see only what the document allows.

pub mod answer;
pub mod browsers;
pub mod call;
pub mod connections;
pub mod contract;
pub mod csv;
mod document;
pub mod idempotency;
pub mod json_text;
pub mod limits;
pub mod operations;
pub mod outbound;
pub mod paging;
pub mod parameters;
pub mod patch;
pub mod problem;
pub mod refusals;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use serde_json::Value;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::calendar_feeds::handlers::{CALENDAR_PATTERN, READ_CALENDAR, is_calendar};
use crate::db::Db;
use crate::error::{Code, Error};
use crate::identity::tokens::Verifier;
use crate::references::References;
use crate::webhooks::address::Networks;
use crate::{
    calendar_feeds, changes, events, exceptions, external_ids, follow_ups, guideline, identity,
    imports, organisation, planning, reporting, retention, webhooks,
};
use answer::BASE;
use browsers::{Origins, Visit};
use call::Call;
use connections::{Connections, Place};
use contract::{Admission, Contract};
use limits::Limits;
use operations::Operations;
use problem::{Context, Language};

/// How many connections the work has that nobody asks for: while one delivers or numbers, the other keeps what is held in memory true.
pub const BACKGROUND_CONNECTIONS: usize = 2;

/// What every request shares.
#[derive(Clone)]
pub struct Service {
    pub db: Db,
    /// The same database over connections apart from those of requests, for what the service does unasked.
    pub background: Db,
    pub references: Arc<References>,
    pub verifier: Arc<Verifier>,
    pub clock: Clock,
    /// Scheme and authority under which clients see the service.
    pub public_url: String,
    pub operations: Arc<Operations>,
    /// The networks inside that webhooks may reach.
    pub webhook_networks: Networks,
    pub connections: Connections,
    pub limits: Arc<Limits>,
    pub origins: Arc<Origins>,
    /// How long a body may take to arrive; normally [`contract::BODY_DEADLINE`].
    pub body_deadline: Duration,
}

/// Where "now" comes from; tests set it.
#[derive(Clone)]
pub struct Clock(pub Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    pub fn system() -> Clock {
        Clock(Arc::new(Utc::now))
    }
}

/// 422 unless a body fits what the document says of an operation's; for what arrives in another way than as its body.
pub fn operation_body_fault(operation: &str, body: &Value) -> Result<(), Error> {
    PUBLISHED.contract.check(operation, body)
}

/// The operations. The router tries the pattern of one path after the other, so what is asked for most comes first.
fn operations(config: &mut ServiceConfig) {
    config
        .configure(events::handlers::configure)
        .configure(planning::handlers::configure)
        .configure(identity::handlers::configure)
        .configure(identity::clients::handlers::configure)
        .configure(guideline::handlers::configure)
        .configure(organisation::configure)
        .configure(external_ids::handlers::configure)
        .configure(imports::handlers::configure)
        .configure(exceptions::handlers::configure)
        .configure(follow_ups::handlers::configure)
        .configure(reporting::lessons::configure)
        .configure(reporting::follow_up_status::handlers::configure)
        .configure(reporting::statistics::handlers::configure)
        .configure(calendar_feeds::handlers::configure)
        .configure(changes::handlers::configure)
        .configure(retention::handlers::configure)
        .configure(webhooks::handlers::configure);
}

/// The document as Swagger UI reads it: it asks where its page was opened, by whatever name.
const PAGE_DOCUMENT: &str = "/docs/openapi.json";

/// Made when the page is opened first.
static PAGE_DOCUMENT_TEXT: LazyLock<web::Bytes> =
    LazyLock::new(|| document::with_server(&PUBLISHED.text, "").into());

/// The published OpenAPI document, made from the handlers.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make_document);
    &DOCUMENT
}

fn make_document() -> Value {
    let (_, collected) = App::new()
        .into_utoipa_app()
        .configure(operations)
        .split_for_parts();
    document::complete(collected)
}

/// What is kept of the document while serving. As values it is many times as large as its text, so these are let go.
struct Published {
    contract: Contract,
    text: String,
}

static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
    let document = make_document();
    Published {
        contract: Contract::new(&document)
            .expect("the document, which a test compares whole, can be enforced"),
        text: document.to_string(),
    }
});

/// Starts serving on the listener, and what the service does unasked; the server runs when awaited.
pub fn serve(service: Service, listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    let connections = service.connections.clone();
    let each = connections.for_each_of(workers);
    let served_document = document::with_server(&PUBLISHED.text, &service.public_url);
    let served_document = web::Bytes::from(served_document);
    actix_web::rt::spawn(service.references.clone().keep(service.background.clone()));
    let uses = service.verifier.uses.clone();
    actix_web::rt::spawn(uses.write_regularly(service.background.clone()));
    actix_web::rt::spawn(service.limits.clone().forget_regularly());
    let server = HttpServer::new(move || {
        let document_text = served_document.clone();
        App::new()
            .app_data(web::Data::new(service.db.clone()))
            .app_data(web::Data::new(service.clone()))
            .into_utoipa_app()
            .configure(operations)
            .split_for_parts()
            .0
            .route(
                &format!("{BASE}/openapi.json"),
                web::get().to(move || {
                    let text = document_text.clone();
                    async move { served(text) }
                }),
            )
            .route(
                calendar_feeds::handlers::CALENDAR_PATTERN,
                web::get().to(calendar_feeds::handlers::read_calendar),
            )
            .route(
                PAGE_DOCUMENT,
                web::get().to(async || served(PAGE_DOCUMENT_TEXT.clone())),
            )
            .service(
                utoipa_swagger_ui::SwaggerUi::new("/docs/{_:.*}").config(
                    utoipa_swagger_ui::Config::from(PAGE_DOCUMENT)
                        .persist_authorization(true)
                        .doc_expansion("none")
                        .try_it_out_enabled(true),
                ),
            )
            .service(web::redirect("/docs", "/docs/"))
            .service(web::redirect("/", "/docs/"))
            .wrap(from_fn(door))
    })
    .on_connect(move |io, data| connections.connected(io, data))
    .workers(workers)
    .max_connections(each)
    .client_request_timeout(Duration::from_secs(5))
    .client_disconnect_timeout(Duration::from_secs(2))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(20)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// The outermost layer: names the request, lets it in, renders what goes wrong, and writes one line about it.
async fn door(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let begun = Instant::now();
    let service = request.app_data::<web::Data<Service>>().cloned();
    let service = service.ok_or_else(|| Error::internal("a service without its data"))?;
    let header_text = |name: header::HeaderName| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let is_calendar = is_calendar(request.path());
    let context = Context {
        // the address of a calendar is a secret
        instance: if is_calendar {
            CALENDAR_PATTERN.to_owned()
        } else {
            request.path().to_owned()
        },
        request_id: request_id(header_text(header::HeaderName::from_static("x-request-id"))),
        language: Language::negotiate(header_text(header::ACCEPT_LANGUAGE)),
    };
    let trace = trace_parent(header_text(header::HeaderName::from_static("traceparent")));
    let method = known(request.method());
    let visit = Visit::of(request.headers());
    let is_page = is_page(request.path());
    let behind_tls = service.public_url.starts_with("https://");
    // what every answer says
    let say = |headers: &mut header::HeaderMap| {
        name(headers, &context, &trace);
        browsers::protect(headers, is_page, behind_tls);
        service.origins.allow(&visit, headers);
    };

    let address = service.limits.address(&request);
    let mut operation = String::from(if is_calendar { READ_CALENDAR } else { "-" });
    let admission = if is_calendar || is_page {
        admit_page(&mut request)
    } else {
        let authenticate = async |authorization: Option<&str>| {
            let now = (service.clock.0)();
            let outcome = service.verifier.actor(authorization, now).await;
            service
                .limits
                .judge(address, authorization.is_some(), outcome)
        };
        let make_call = |actor| Call::new(actor, (service.clock.0)(), &context.request_id);
        let deadline = service.body_deadline;
        let asked = PUBLISHED
            .contract
            .admit(&mut request, deadline, authenticate, make_call);
        // a panic must not close the connection without an answer, here or below
        match AssertUnwindSafe(asked).catch_unwind().await {
            Ok(admission) => admission.map(Some),
            Err(_) => Err(panicked(&service)),
        }
    };

    // the body has come: from here to the answer it is the service's turn
    let place = request.conn_data::<Arc<Place>>().cloned();
    if let Some(place) = &place {
        place.is_served();
    }
    let outcome = match admission {
        Err(refusal) => Err(request.into_response(problem::render(&refusal, &context))),
        Ok(Some(Admission::Options(allow))) => Err(request.into_response(
            HttpResponse::NoContent()
                .insert_header((header::ALLOW, allow))
                .finish(),
        )),
        Ok(admission) => {
            if let Some(Admission::Operation(id)) = admission {
                operation = id;
            }
            match AssertUnwindSafe(next.call(request)).catch_unwind().await {
                Ok(Ok(response)) => Ok(response.map_into_boxed_body()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    // the request went with it, so this answer leaves by another way
                    let mut response = problem::render(&panicked(&service), &context);
                    say(response.headers_mut());
                    service
                        .operations
                        .answered(&operation, 500, begun.elapsed());
                    log::error!(
                        method = method,
                        operation = operation.as_str(),
                        status = 500,
                        milliseconds = begun.elapsed().as_secs_f64() * 1000.0,
                        requestId = context.request_id.as_str(),
                        traceparent = trace.as_str();
                        "{method} {operation} panicked {}", context.request_id
                    );
                    let panicked =
                        actix_web::error::InternalError::from_response("panicked", response);
                    return Err(panicked.into());
                }
            }
        }
    };
    let mut response = match outcome {
        Err(refused) => refused,
        Ok(response) => rendered(response, &context),
    };
    if is_calendar
        && response.status() == StatusCode::NOT_FOUND
        && let Err(too_often) = service.limits.refused(address)
    {
        response = response.into_response(problem::render(&too_often, &context));
    }
    say(response.headers_mut());
    if let Some(place) = place {
        place.waits();
    }
    if service.operations.stopping.load(Ordering::Relaxed) {
        // the client's next request finds another instance
        response
            .response_mut()
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }

    let elapsed = begun.elapsed();
    service
        .operations
        .answered(&operation, response.status().as_u16(), elapsed);
    log::info!(
        method = method,
        operation = operation.as_str(),
        status = response.status().as_u16(),
        milliseconds = elapsed.as_secs_f64() * 1000.0,
        requestId = context.request_id.as_str(),
        traceparent = trace.as_str();
        "{method} {operation} {status} {millis:.1}ms {request_id}",
        status = response.status().as_u16(),
        millis = elapsed.as_secs_f64() * 1000.0,
        request_id = context.request_id,
    );
    Ok(response)
}

fn panicked(service: &Service) -> Error {
    service.operations.panics.inc();
    Error::internal("a panic")
}

/// A method as the log names it: a client can make up others, and write anything into them.
fn known(method: &Method) -> &'static str {
    let known = [
        "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT",
    ];
    let named = known.into_iter().find(|known| *known == method.as_str());
    named.unwrap_or("-")
}

/// What every answer says of itself.
fn name(headers: &mut header::HeaderMap, context: &Context, trace: &str) {
    if let Ok(value) = header::HeaderValue::from_str(&context.request_id) {
        headers.insert(header::HeaderName::from_static("x-request-id"), value);
    }
    if let Ok(value) = header::HeaderValue::from_str(trace) {
        headers.insert(header::HeaderName::from_static("traceparent"), value);
    }
}

/// A document as it is served.
fn served(document: web::Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document)
}

/// Swagger UI and the document, which are not in the document.
fn is_page(path: &str) -> bool {
    path == "/"
        || path == "/docs"
        || path.starts_with("/docs/")
        || path == format!("{BASE}/openapi.json")
}

/// Pages are read, no more.
fn admit_page(request: &mut ServiceRequest) -> Result<Option<Admission>, Error> {
    const ALLOW: &str = "GET, HEAD, OPTIONS";
    match request.method().as_str() {
        "GET" => Ok(None),
        "HEAD" => {
            request.head_mut().method = Method::GET;
            Ok(None)
        }
        "OPTIONS" => Ok(Some(Admission::Options(ALLOW.to_owned()))),
        _ => Err(Error::new(Code::MethodNotAllowed).header("Allow", ALLOW.to_owned())),
    }
}

/// Our errors come out of handlers unrendered, actix's own with bodies that are not problems.
fn rendered(response: ServiceResponse, context: &Context) -> ServiceResponse {
    let problem = match response
        .response()
        .error()
        .and_then(|error| error.as_error::<Error>())
    {
        Some(error) => {
            if let Some(cause) = error
                .internal_cause()
                .filter(|_| error.code() == Code::InternalError)
            {
                log::error!("{}: {cause}", context.request_id);
            }
            problem::render(error, context)
        }
        None if response.status().is_client_error() || response.status().is_server_error() => {
            if response
                .headers()
                .get(header::CONTENT_TYPE)
                .is_some_and(|value| value == "application/problem+json")
            {
                return response;
            }
            render_foreign(response.status(), context)
        }
        None => return response,
    };
    response.into_response(problem)
}

fn render_foreign(status: StatusCode, context: &Context) -> HttpResponse {
    let code = Code::ALL
        .iter()
        .find(|code| code.status() == status.as_u16());
    let code = code.copied().unwrap_or(if status.is_client_error() {
        Code::NotFound
    } else {
        Code::InternalError
    });
    problem::render(&Error::new(code), context)
}

/// The caller's own id when it is a plain one, else a new one. It is echoed and logged, so it must not be a personal number.
fn request_id(given: Option<&str>) -> String {
    given
        .filter(|id| {
            (1..=100).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
                && !contract::is_personal(id)
        })
        .map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned)
}

/// The W3C trace context of the answer: the caller's trace with a span of ours, or a new trace. It is logged too.
fn trace_parent(given: Option<&str>) -> String {
    let hex = |text: &str, length| {
        text.len() == length
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && text.bytes().any(|b| b != b'0')
    };
    let caller = given.and_then(|text| {
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (version == "00"
            && hex(trace, 32)
            && hex(span, 16)
            && flags.len() == 2
            && flags.bytes().all(|b| b.is_ascii_hexdigit())
            && parts.next().is_none()
            && !contract::is_personal(trace))
        .then(|| (trace.to_owned(), flags.to_owned()))
    });
    let (trace, flags) =
        caller.unwrap_or_else(|| (Uuid::new_v4().simple().to_string(), "00".to_owned()));
    let span: String = Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(16)
        .collect();
    format!("00-{trace}-{span}-{flags}")
}
