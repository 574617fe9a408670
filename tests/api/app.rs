//! The service under test: one server on its own database, spoken to in the domain's words.
//!
//! One private PostgreSQL serves the whole run, without fsync, in memory; each test gets a copy of a migrated template.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use kompetens::changes::sequencer;
use kompetens::db::local::{LocalCluster, Settings};
use kompetens::db::{Db, migrations};
use kompetens::http::connections::Connections;
use kompetens::http::operations::{self, Operations};
use kompetens::http::{self, Clock, Service, document};
use kompetens::identity::Identity;
use kompetens::identity::providers::{Provider, Settings as ProviderSettings};
use kompetens::identity::tokens::{Issuer, LOCAL_AUDIENCE, LOCAL_ISSUER, Verifier};
use kompetens::imports;
use kompetens::references::References;
use kompetens::rules::access::Role;
use kompetens::webhooks::deliver;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use uuid::Uuid;

use crate::profile::resolved;

/// The cluster of this run and its migrated template; stopped when the program ends, by its death signal.
static CLUSTER: LazyLock<LocalCluster> = LazyLock::new(|| {
    forget_earlier_runs();
    let data = scratch();
    let settings = Settings {
        fsync: false,
        max_connections: 200,
    };
    let cluster = LocalCluster::start(&data, &settings).unwrap_or_else(|error| panic!("{error}"));
    let mut admin =
        PgConnection::establish(&cluster.superuser_url("postgres")).expect("the cluster answers");
    admin
        .batch_execute("create database template owner kompetens_owner")
        .expect("a template can be made");
    let template = cluster.owner_url().replace("/kompetens?", "/template?");
    migrations::run(&template).expect("the migrations run");
    migrations::grant(&template, "kompetens_service").expect("the grants apply");
    cluster
});

/// Removes what runs that have ended left in memory.
fn forget_earlier_runs() {
    let Some(base) = scratch().parent().map(Path::to_owned) else {
        return;
    };
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("kompetens-test-");
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A directory of this run, in memory where there is such a place.
pub fn scratch() -> PathBuf {
    let base = PathBuf::from("/dev/shm");
    let base = if base.is_dir() {
        base
    } else {
        std::env::temp_dir()
    };
    base.join(format!("kompetens-test-{}", std::process::id()))
}

pub static ISSUER: LazyLock<Issuer> =
    LazyLock::new(|| Issuer::create(&scratch().join("issuer")).expect("a key can be made"));

pub struct TestApp {
    pub address: SocketAddr,
    pub operations_address: SocketAddr,
    pub database: String,
    now: Arc<Mutex<Option<DateTime<Utc>>>>,
    agent: ureq::Agent,
    /// When this goes, with the test, the service stops and gives its connections back.
    _running: tokio::sync::oneshot::Sender<()>,
    db: Db,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn etag(&self) -> &str {
        self.header("ETag")
            .unwrap_or_else(|| panic!("an ETag in {self:?}"))
    }

    pub fn id(&self) -> String {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("an id in {self:?}"))
            .to_owned()
    }

    /// The body, of an answer with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A problem with this status and code, whole and well-formed.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Reply {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(
            self.header("Content-Type"),
            Some("application/problem+json")
        );
        assert_eq!(
            self.body["type"],
            json!(format!("https://kompetens.example.se/problems/{code}"))
        );
        assert_eq!(self.body["status"], json!(status));
        assert_eq!(self.body["requestId"].as_str(), self.header("X-Request-Id"));
        for member in ["title", "detail", "instance"] {
            assert!(
                self.body[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{member} in {}",
                self.text
            );
        }
        self
    }

    /// The pointers (or parameters, or headers) that a problem names.
    pub fn faults(&self) -> Vec<String> {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| {
                ["pointer", "parameter", "header"]
                    .iter()
                    .find_map(|at| error[at].as_str())
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller(pub Option<String>);

impl TestApp {
    /// A service on a fresh database without any unit.
    pub fn empty() -> TestApp {
        TestApp::on(&fresh_database(), 8)
    }

    /// A service on this database.
    pub fn on(database: &str, connections: usize) -> TestApp {
        TestApp::at_url(&service_url(database), database, connections)
    }

    /// A service whose database is at this URL.
    pub fn at_url(url: &str, database: &str, connections: usize) -> TestApp {
        TestApp::trusting(url, database, connections, vec![ISSUER.provider()])
    }

    /// A service that lets in whom these providers vouch for.
    pub fn trusting(
        url: &str,
        database: &str,
        connections: usize,
        providers: Vec<ProviderSettings>,
    ) -> TestApp {
        TestApp::with(url, database, connections, providers, |_| {})
    }

    /// A service with other settings.
    pub fn adjusted(
        url: &str,
        database: &str,
        connections: usize,
        adjust: impl FnOnce(&mut Service),
    ) -> TestApp {
        TestApp::with(url, database, connections, vec![ISSUER.provider()], adjust)
    }

    fn with(
        url: &str,
        database: &str,
        connections: usize,
        providers: Vec<ProviderSettings>,
        adjust: impl FnOnce(&mut Service),
    ) -> TestApp {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let operations_listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let (address, operations_address) = (
            listener.local_addr().unwrap(),
            operations_listener.local_addr().unwrap(),
        );
        let now: Arc<Mutex<Option<DateTime<Utc>>>> = Arc::default();
        let operations = Arc::new(Operations::default());
        let clock = now.clone();
        let providers = providers
            .into_iter()
            .map(|settings| Provider::start(settings).expect("the keys are there"))
            .collect();
        let references = Arc::new(References::default());
        let db = Db::new(url, connections);
        let mut service = Service {
            background: db.beside(url, http::BACKGROUND_CONNECTIONS),
            db,
            verifier: Arc::new(Verifier::new(providers, references.clone())),
            references,
            clock: Clock(Arc::new(move || {
                clock.lock().unwrap().unwrap_or_else(Utc::now)
            })),
            public_url: format!("http://{address}"),
            operations: operations.clone(),
            webhook_networks: "127.0.0.1/32".parse().expect("a network"),
            connections: Connections::at_most(4096),
            limits: Arc::default(),
            origins: Arc::default(),
            body_deadline: Duration::from_millis(500),
        };
        adjust(&mut service);
        let (served, clock_of_imports) = (operations.clone(), service.clock.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let db = service.db.clone();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let db = service.db.clone();
                let background = service.background.clone();
                let clock_of_webhooks = service.clock.clone();
                let networks = service.webhook_networks.clone();
                let server = http::serve(service, listener, 2).expect("the server starts");
                let operators = operations::serve(served, db, operations_listener)
                    .expect("the operators' server starts");
                let handle = server.handle();
                actix_web::rt::spawn(operators);
                actix_web::rt::spawn(imports::run(
                    background.clone(),
                    clock_of_imports,
                    Duration::from_millis(50),
                ));
                // woken by this service's writes; it need not look for others'
                actix_web::rt::spawn(sequencer::run(
                    background.clone(),
                    Duration::from_secs(3600),
                ));
                actix_web::rt::spawn(server);
                // woken by the sequencer, and by tests that move the clock
                actix_web::rt::spawn(deliver::run(
                    background,
                    clock_of_webhooks,
                    networks,
                    Duration::from_secs(3600),
                ));
                let _: Result<(), _> = stopped.await;
                handle.stop(false).await;
            });
        });
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .allow_non_standard_methods(true)
                .build(),
        );
        TestApp {
            address,
            operations_address,
            database: database.to_owned(),
            now,
            agent,
            _running: stop,
            db,
        }
    }

    /// How many jobs requests have given to the threads of the database.
    pub fn database_jobs(&self) -> u64 {
        let metrics = self.get(
            &Caller(None),
            &format!("http://{}/metrics", self.operations_address),
        );
        let mut lines = metrics.text.lines();
        lines
            .find_map(|line| line.strip_prefix("kompetens_database_jobs_total "))
            .and_then(|count| count.parse().ok())
            .expect("the metric")
    }

    /// Sets the service's clock.
    pub fn it_is(&self, now: &str) {
        *self.now.lock().unwrap() = Some(now.parse().expect("a time"));
    }

    /// The day in Stockholm, by the service's clock.
    pub fn today(&self) -> String {
        let now = self.now.lock().unwrap().unwrap_or_else(Utc::now);
        kompetens::rules::calendar::stockholm_date(now).to_string()
    }

    /// From now on every call panics, as a fault in the program would.
    pub fn break_the_clock(&self) {
        let now = self.now.clone();
        let _ = std::thread::spawn(move || {
            let _held = now.lock();
            panic!("this poisons the clock, as the test wants");
        })
        .join();
    }

    /// A person with roles for units.
    pub fn person(&self, person: &str, roles: &[Role], units: &[&str]) -> Caller {
        let identity = Identity {
            person_ref: person.to_owned(),
            roles: roles.iter().copied().collect(),
            units: units
                .iter()
                .map(|id| id.parse::<Uuid>().expect("a unit id"))
                .collect(),
        };
        let token = ISSUER.token(
            &identity,
            LOCAL_ISSUER,
            LOCAL_AUDIENCE,
            Utc::now(),
            chrono::Duration::hours(1),
        );
        Caller(Some(token.expect("a token can be signed")))
    }

    pub fn hr(&self) -> Caller {
        self.person("person-hr", &[Role::HrAdministrator], &[])
    }

    pub fn employee(&self, person: &str) -> Caller {
        self.person(person, &[], &[])
    }

    /// Sends a request below the base path, with headers, and a body if there is one.
    pub fn send(
        &self,
        caller: &Caller,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Reply {
        self.try_send(caller, method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same where the connection may fail.
    pub fn try_send(
        &self,
        caller: &Caller,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Reply, ureq::Error> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("http://{}/kompetens/v1{path}", self.address)
        };
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(token) = &caller.0 {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if body.is_some()
            && !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            request = request.header("Content-Type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(body) => self
                .agent
                .run(request.body(body.to_owned()).expect("a request"))?,
            None => self.agent.run(request.body(()).expect("a request"))?,
        };
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let text = response.body_mut().read_to_string()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply {
            status: response.status().as_u16(),
            headers,
            body,
            text,
        };
        expect_documented(method, path, &reply);
        Ok(reply)
    }

    pub fn get(&self, caller: &Caller, path: &str) -> Reply {
        self.send(caller, "GET", path, &[], None)
    }

    pub fn post(&self, caller: &Caller, path: &str, body: &Value) -> Reply {
        self.send(caller, "POST", path, &[], Some(&body.to_string()))
    }

    pub fn put(&self, caller: &Caller, path: &str, body: &Value) -> Reply {
        self.send(caller, "PUT", path, &[], Some(&body.to_string()))
    }

    /// Reads what is there and patches it with its ETag.
    pub fn patch(&self, caller: &Caller, path: &str, body: &Value) -> Reply {
        let etag = self
            .get(caller, path)
            .header("ETag")
            .unwrap_or("\"1\"")
            .to_owned();
        self.send(
            caller,
            "PATCH",
            path,
            &[("If-Match", &etag)],
            Some(&body.to_string()),
        )
    }

    /// Takes an action on the event at its present revision.
    pub fn change_status(&self, caller: &Caller, event: &str, body: &Value) -> Reply {
        let etag = self
            .get(caller, &format!("/events/{event}"))
            .header("ETag")
            .unwrap_or("\"1\"")
            .to_owned();
        self.send(
            caller,
            "POST",
            &format!("/events/{event}/status-changes"),
            &[("If-Match", &etag)],
            Some(&body.to_string()),
        )
    }

    /// Has the service look for deliveries that are due, as it otherwise does each second.
    pub fn look_for_deliveries(&self) {
        self.db.numbered().notify_one();
    }

    /// Waits until every entry of the change log has its number.
    pub fn until_numbered(&self) {
        let waits = || self.count("select count(*) from changes where number is null") > 0;
        let began = std::time::Instant::now();
        while waits() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the sequencer numbers what was written"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A connection of the running role, for looking behind the service.
    pub fn database(&self) -> PgConnection {
        PgConnection::establish(&service_url(&self.database)).expect("the database answers")
    }

    /// How many rows a query counts.
    pub fn count(&self, sql: &str) -> i64 {
        use diesel::prelude::*;
        diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(&format!(
            "({sql})"
        )))
        .get_result(&mut self.database())
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

/// What is answered is what the document says of the operation: the headers that a client goes on with, the form of the body, and of
/// a problem its code. So every test tests the document too.
fn expect_documented(method: &str, path: &str, reply: &Reply) {
    let method = if method == "HEAD" { "GET" } else { method };
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let mut given = path.split('/');
        template.split('/').all(|segment| {
            given
                .next()
                .is_some_and(|given| segment.starts_with('{') || segment == given)
        }) && given.next().is_none()
    };
    let paths = document()["paths"].as_object().expect("paths");
    let operation = paths
        .iter()
        .filter(|(template, _)| fits(template))
        .min_by_key(|(template, _)| template.matches('{').count())
        .and_then(|(_, item)| item.get(method.to_lowercase()));
    let Some(operation) = operation else { return };
    let response = response_of(operation, reply.status);
    let answers = format!("{method} {path} answers {}", reply.status);
    for header in ["ETag", "Location", "Link", "Retry-After"] {
        assert!(
            reply.header(header).is_none() || response["headers"].get(header).is_some(),
            "{answers} with {header}, which the document does not name there"
        );
    }
    if reply.status >= 400 {
        let code = reply.body["code"].as_str().unwrap_or_default();
        let documented = &response["content"]["application/problem+json"]["examples"];
        assert!(
            reply.body.is_null() || documented.get(code).is_some(),
            "{answers} {code}, which the document does not name there",
        );
        return;
    }
    let schema = &response["content"]["application/json"]["schema"];
    if reply.body.is_object() && schema.is_object() {
        let faults: Vec<String> = schema_faults(schema, &reply.body);
        assert!(
            faults.is_empty(),
            "{answers}, which is not what the document says: {faults:#?}"
        );
    }
}

/// Why this is not what the schema of the document describes.
pub fn schema_faults(schema: &Value, body: &Value) -> Vec<String> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<jsonschema::Validator>>>> =
        LazyLock::new(Mutex::default);
    let mut known = VALIDATORS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let validator = known.entry(schema.to_string()).or_insert_with(|| {
        let mut root = schema.clone();
        root["components"] = json!({"schemas": document()["components"]["schemas"]});
        Arc::new(
            jsonschema::options()
                .with_draft(jsonschema::Draft::Draft202012)
                .build(&root)
                .expect("a schema"),
        )
    });
    let validator = validator.clone();
    drop(known);
    validator
        .iter_errors(body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// What the document says of an operation's answer with this status.
pub fn response_of(operation: &'static Value, status: u16) -> &'static Value {
    let responses = &operation["responses"];
    let response = match &responses[status.to_string()] {
        Value::Null => &responses["default"],
        response => response,
    };
    resolved(document(), response)
}

/// A new database with the schema and the built-in guideline version.
pub fn fresh_database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut admin =
        PgConnection::establish(&CLUSTER.superuser_url("postgres")).expect("the cluster answers");
    admin
        .batch_execute(&format!(
            "create database {name} template template owner kompetens_owner strategy file_copy"
        ))
        .expect("a database can be copied");
    name
}

pub fn service_url(database: &str) -> String {
    CLUSTER
        .service_url()
        .replace("/kompetens?", &format!("/{database}?"))
}

pub fn superuser_url(database: &str) -> String {
    CLUSTER.superuser_url(database)
}

pub fn owner_url(database: &str) -> String {
    CLUSTER
        .owner_url()
        .replace("/kompetens?", &format!("/{database}?"))
}
