//! The operators' port: `/livez`, `/readyz` and `/metrics`, apart from the clients' port so that a full house there does not silence it.

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use serde_json::json;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::db::{Db, migrations};
use crate::error::Error;
use diesel::prelude::*;

/// What the service tells its operators.
pub struct Operations {
    registry: Registry,
    requests: Family<Answered, Counter>,
    durations: Family<Named, Histogram>,
    pub panics: Counter,
    database_threads: Gauge,
    database_busy: Gauge,
    database_waiting: Gauge,
    database_jobs: Counter,
    /// Set when the program is asked to stop, so that balancers look elsewhere first.
    pub stopping: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    operation: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    operation: String,
}

fn histogram() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    ])
}

impl Default for Operations {
    fn default() -> Operations {
        let mut operations = Operations {
            registry: Registry::with_prefix("kompetens"),
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            panics: Counter::default(),
            database_threads: Gauge::default(),
            database_busy: Gauge::default(),
            database_waiting: Gauge::default(),
            database_jobs: Counter::default(),
            stopping: AtomicBool::new(false),
        };
        let registry = &mut operations.registry;
        registry.register(
            "requests",
            "Requests answered, by operation and status",
            operations.requests.clone(),
        );
        registry.register_with_unit(
            "duration",
            "Time from request to answer, by operation",
            Unit::Seconds,
            operations.durations.clone(),
        );
        registry.register(
            "panics",
            "Handlers that panicked",
            operations.panics.clone(),
        );
        registry.register(
            "database_threads",
            "Threads of the gate to the database",
            operations.database_threads.clone(),
        );
        registry.register(
            "database_busy",
            "Threads at work",
            operations.database_busy.clone(),
        );
        registry.register(
            "database_waiting",
            "Requests that wait for a thread",
            operations.database_waiting.clone(),
        );
        registry.register(
            "database_jobs",
            "Jobs that requests have given to the gate",
            operations.database_jobs.clone(),
        );
        operations
    }
}

impl Operations {
    pub fn answered(&self, operation: &str, status: u16, elapsed: Duration) {
        self.requests
            .get_or_create(&Answered {
                operation: operation.to_owned(),
                status,
            })
            .inc();
        self.durations
            .get_or_create(&Named {
                operation: operation.to_owned(),
            })
            .observe(elapsed.as_secs_f64());
    }

    fn metrics(&self, db: &Db) -> Result<String, Error> {
        let load = db.load();
        let jobs = self.database_jobs.inner();
        jobs.store(load.jobs, Ordering::Relaxed);
        for (gauge, count) in [
            (&self.database_threads, load.threads),
            (&self.database_busy, load.busy),
            (&self.database_waiting, load.waiting),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .map_err(Error::internal)?;
        Ok(text)
    }
}

/// Serves the operators' port.
pub fn serve(
    operations: Arc<Operations>,
    db: Db,
    listener: TcpListener,
) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(operations.clone()))
            .app_data(web::Data::new(db.clone()))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// The program runs; asks nothing of anyone.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// The service can do its work, or why not and what to do.
async fn readyz(operations: web::Data<Operations>, db: web::Data<Db>) -> HttpResponse {
    let not_ready = |reason: &str| {
        HttpResponse::ServiceUnavailable()
            .insert_header(("Retry-After", "1"))
            .json(json!({"status": "notReady", "reason": reason}))
    };
    if operations.stopping.load(Ordering::Relaxed) {
        return not_ready("the service is stopping");
    }
    let looked = db.read(|conn| {
        let messages: String = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
            "current_setting('lc_messages')",
        ))
        .get_result(conn)?;
        Ok((migrations::is_current(conn)?, messages))
    });
    match looked.await {
        Err(_) => not_ready("the database does not answer"),
        Ok((false, _)) => {
            not_ready("the schema is older than the program: run `kompetens migrate`")
        }
        Ok((true, messages))
            if !(messages.starts_with('C')
                || messages.starts_with("en")
                || messages == "POSIX") =>
        {
            not_ready(
                "the database speaks another language than English: run `ALTER ROLE … SET lc_messages = 'C'` (docs/OPERATIONS.md)",
            )
        }
        Ok((true, _)) => HttpResponse::Ok().json(json!({"status": "ready"})),
    }
}

async fn metrics(
    operations: web::Data<Operations>,
    db: web::Data<Db>,
) -> Result<HttpResponse, Error> {
    let text = operations.metrics(&db)?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}
