//! The command line.

use clap::{Parser, Subcommand};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

use crate::changes::verification::{self, Head};
use crate::changes::{reminders, sequencer};
use crate::config::{self, Config, Mode};
use crate::db::local::{self, LocalCluster};
use crate::db::{Db, migrations};
use crate::demo;
use crate::http::connections::Connections;
use crate::http::limits::Limits;
use crate::http::operations::{self, Operations};
use crate::http::{self, Clock, Service, answer::BASE};
use crate::identity::Identity;
use crate::identity::providers::{Provider, Settings};
use crate::identity::tokens::{
    Issuer, LOCAL_AUDIENCE, LOCAL_ISSUER, Verifier, is_person_ref, role,
};
use crate::imports;
use crate::logging;
use crate::memory;
use crate::references::References;
use crate::retention;
use crate::rules::access::Role;
use crate::webhooks::deliver;

/// A municipality's guideline for competence development and learning, lived.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API; see docs/OPERATIONS.md for the settings.
    Serve {
        /// Run a private PostgreSQL and a built-in issuer of tokens in KOMPETENS_DATA, for trying out on this machine.
        #[arg(long)]
        local: bool,
    },
    /// Bring the database's schema up to this program's.
    Migrate {
        /// Give this database role what the running service needs, and no more.
        #[arg(long, value_name = "ROLE")]
        grant_to: Option<String>,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Print a token for trying out, signed with the key of `serve --local` or with --key.
    Token {
        /// The person (personRef) that the token is for.
        #[arg(long, required_unless_present = "new_key")]
        person: Option<String>,
        /// A role: planner, unitManager, hrAdministrator, archivist or auditor. May be repeated.
        #[arg(long = "role", value_parser = parse_role)]
        roles: Vec<Role>,
        /// A unit that the roles are for. May be repeated.
        #[arg(long = "unit", value_name = "UNIT_ID")]
        units: Vec<Uuid>,
        /// The key to sign with, instead of the one in KOMPETENS_DATA.
        #[arg(long, requires = "issuer", requires = "audience")]
        key: Option<PathBuf>,
        /// What the token says as `iss`.
        #[arg(long)]
        issuer: Option<String>,
        /// What the token says as `aud`.
        #[arg(long)]
        audience: Option<String>,
        /// For how many hours it is good.
        #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i64).range(1..=8760))]
        hours: i64,
        /// Write a new key and its JWKS into this directory (for trying out) and print nothing.
        #[arg(long, value_name = "DIR", exclusive = true)]
        new_key: Option<PathBuf>,
    },
    /// Load Hedemora's demo data into an empty database. A second time changes nothing.
    Demo,
    /// Check the whole change log: that no entry was changed, removed or moved. Prints the head, to be kept elsewhere.
    VerifyAudit {
        /// A head that was kept: check that it still stands in the log.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<Head>,
    },
    /// Show what the retention rules say is due for disposal (gallring); with --carry-out, dispose of it for good.
    Dispose {
        /// Dispose of what is due, as the role that owns the schema (KOMPETENS_MIGRATION_DATABASE_URL).
        #[arg(long, requires = "by")]
        carry_out: bool,
        /// The archivist (personRef) in whose name it is carried out.
        #[arg(long, value_name = "PERSONREF", requires = "carry_out", value_parser = parse_person)]
        by: Option<String>,
    },
    /// Ask the operations port of a running service whether it is alive; for container health checks.
    Health,
}

/// What may stand in the log as a personRef.
fn parse_person(text: &str) -> Result<String, String> {
    is_person_ref(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "expected a personRef, which is never a personnummer".to_owned())
}

fn parse_role(name: &str) -> Result<Role, String> {
    role(name).ok_or_else(|| {
        "expected planner, unitManager, hrAdministrator, archivist, auditor or employee".to_owned()
    })
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs the command; the error says what went wrong and what to do.
pub fn run(cli: Cli) -> Result<(), String> {
    logging::init(config::log_format(&environment).map_err(|error| error.to_string())?);
    match cli.command {
        Command::Serve { local } => {
            serve(&Config::read(local, &environment).map_err(|error| error.to_string())?)
        }
        Command::Migrate { grant_to } => {
            let url =
                config::migration_database_url(&environment).map_err(|error| error.to_string())?;
            migrations::run(&url)?;
            if let Some(role) = grant_to {
                migrations::grant(&url, &role)?;
            }
            Ok(())
        }
        Command::Openapi => print(&format!("{:#}\n", http::document())),
        Command::Token {
            new_key: Some(directory),
            ..
        } => Issuer::create(&directory).map(|_| ()),
        Command::Token {
            person,
            roles,
            units,
            key,
            issuer,
            audience,
            hours,
            new_key: None,
        } => {
            let identity = Identity {
                person_ref: person.unwrap_or_default(),
                roles: roles.into_iter().collect(),
                units: units.into_iter().collect(),
            };
            let (signer, issuer, audience) = match (key, issuer, audience) {
                (Some(key), Some(issuer), Some(audience)) => {
                    (Issuer::open(&key)?, issuer, audience)
                }
                _ => (
                    standing_issuer(&config::data(&environment))?,
                    LOCAL_ISSUER.to_owned(),
                    LOCAL_AUDIENCE.to_owned(),
                ),
            };
            let token = signer.token(
                &identity,
                &issuer,
                &audience,
                chrono::Utc::now(),
                chrono::Duration::hours(hours),
            )?;
            print(&format!("{token}\n"))
        }
        Command::Demo => load_demo(),
        Command::VerifyAudit { head } => {
            let report = with_database(|url| verification::verify(url, head.as_ref()))?;
            print(&report.to_string())?;
            if report.faults.is_empty() {
                Ok(())
            } else {
                Err(
                    "the change log does not verify; see docs/OPERATIONS.md on what to do"
                        .to_owned(),
                )
            }
        }
        Command::Dispose { by, .. } => {
            let work = |url: &str| retention::run(url, by.as_deref(), chrono::Utc::now(), &print);
            if by.is_none() {
                return with_database(work);
            }
            let url =
                config::migration_database_url(&environment).map_err(|error| error.to_string())?;
            work(&url)
        }
        Command::Health => {
            let address =
                config::operations_address(&environment).map_err(|error| error.to_string())?;
            health(address)
        }
    }
}

/// A closed pipe is no error.
fn print(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}

fn local_issuer(data: &Path) -> Result<Issuer, String> {
    Issuer::create(&data.join("issuer"))
}

/// The issuer that `serve --local` made here: a key made now would sign tokens that no service takes.
fn standing_issuer(data: &Path) -> Result<Issuer, String> {
    let key = data.join("issuer").join(Issuer::KEY_FILE);
    if !key.exists() {
        return Err(format!(
            "{}: no such key; run `kompetens serve --local` first, set KOMPETENS_DATA to its data directory, \
             or give --key, --issuer and --audience",
            key.display()
        ));
    }
    Issuer::open(&key)
}

/// The database of `serve --local`: its cluster with the schema migrated and the running role's grants.
fn start_local(data: &Path) -> Result<LocalCluster, String> {
    let cluster = LocalCluster::start(data, &local::Settings::default())
        .map_err(|error| error.to_string())?;
    migrations::run(&cluster.owner_url())?;
    migrations::grant(&cluster.owner_url(), "kompetens_service")?;
    Ok(cluster)
}

/// Runs something with the database of the settings: DATABASE_URL, or that of `serve --local`, running or not.
fn with_database<T>(work: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    if environment("DATABASE_URL").is_some() {
        let url = config::database_url(&environment).map_err(|error| error.to_string())?;
        return work(&url);
    }
    let data = config::data(&environment);
    let cluster = match LocalCluster::join(&data).map_err(|error| error.to_string())? {
        Some(cluster) => cluster,
        None if data.join("issuer").exists() => start_local(&data)?,
        None => {
            return Err(format!(
                "DATABASE_URL: missing, and {} is no data directory of serve --local; set one of DATABASE_URL and KOMPETENS_DATA",
                data.display()
            ));
        }
    };
    work(&cluster.service_url())
}

fn load_demo() -> Result<(), String> {
    let loaded = |outcome: demo::Outcome| print(&format!("{outcome}\n"));
    if environment("DATABASE_URL").is_some() {
        let url = config::database_url(&environment).map_err(|error| error.to_string())?;
        return demo::load(&url).and_then(loaded);
    }
    let data = config::data(&environment);
    let running = LocalCluster::join(&data).map_err(|error| error.to_string())?;
    let cluster = match running {
        Some(cluster) => {
            // a `serve --local` that has just been started answers before it has migrated; loading judges what comes of it
            migrations::await_current(&cluster.service_url());
            cluster
        }
        None => start_local(&data)?,
    };
    demo::load(&cluster.service_url()).and_then(loaded)
}

fn serve(config: &Config) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    memory::share_arenas(cores);
    let listen = |name: &str, address: SocketAddr| {
        TcpListener::bind(address)
            .map_err(|error| format!("{name}: {address} cannot be listened on: {error}"))
    };
    let listener = listen("KOMPETENS_ADDRESS", config.address)?;
    let operations_listener = listen("KOMPETENS_OPERATIONS_ADDRESS", config.operations_address)?;

    // the cluster, when there is one, stops when this function returns
    let mut _cluster = None;
    let (database_url, providers, welcome) = match &config.mode {
        Mode::Local { data } => {
            let cluster = start_local(data)?;
            let url = cluster.service_url();
            demo::load_if_empty(&url)?;
            _cluster = Some(cluster);
            let issuer = local_issuer(data)?;
            let provider = Provider::start(issuer.provider())?;
            (url, vec![provider], Some(welcome(config, &issuer)?))
        }
        Mode::Server {
            database_url,
            providers,
        } => {
            let start = |settings: &Settings| {
                let problem =
                    |error| format!("KOMPETENS_JWKS_FILE of {}: {error}", settings.issuer);
                Provider::start(settings.clone()).map_err(problem)
            };
            let providers: Result<_, _> = providers.iter().map(start).collect();
            (database_url.clone(), providers?, None)
        }
    };

    let operations = Arc::new(Operations::default());
    let references = Arc::new(References::default());
    let db = Db::new(&database_url, config.database_connections);
    let service = Service {
        background: db.beside(&database_url, http::BACKGROUND_CONNECTIONS),
        db,
        verifier: Arc::new(Verifier::new(providers, references.clone())),
        references,
        clock: Clock::system(),
        public_url: config.public_url.clone(),
        operations: operations.clone(),
        webhook_networks: config.webhook_networks.clone(),
        connections: Connections::at_most(config.connections),
        limits: Arc::new(Limits::new(config.limits)),
        origins: Arc::new(config.origins.clone()),
        body_deadline: crate::http::contract::BODY_DEADLINE,
    };
    let grace = if welcome.is_some() {
        Duration::ZERO
    } else {
        Duration::from_secs(1)
    };
    actix_web::rt::System::new().block_on(async move {
        let (db, background) = (service.db.clone(), service.background.clone());
        let connections = service.connections.clone();
        let clock = service.clock.clone();
        let failed = |error: std::io::Error| format!("the server could not start: {error}");
        let server = http::serve(service, listener, cores).map_err(failed)?;
        let operators =
            operations::serve(operations.clone(), db, operations_listener).map_err(failed)?;
        let handles = [server.handle(), operators.handle()];
        let running = (
            actix_web::rt::spawn(server),
            actix_web::rt::spawn(operators),
        );
        actix_web::rt::spawn(memory::settle());
        actix_web::rt::spawn(connections.end_the_slow());
        actix_web::rt::spawn(http::idempotency::forget_regularly(background.clone()));
        actix_web::rt::spawn(reminders::run(background.clone(), clock.clone()));
        actix_web::rt::spawn(imports::run(
            background.clone(),
            clock.clone(),
            IMPORTS_POLL,
        ));
        actix_web::rt::spawn(deliver::run(
            background.clone(),
            clock,
            config.webhook_networks.clone(),
            WEBHOOK_POLL,
        ));
        actix_web::rt::spawn(sequencer::run(background, SEQUENCER_POLL));
        if let Some(welcome) = welcome {
            print(&welcome)?;
        }

        stop_signal().await?;
        // readiness turns false first, so that balancers send no more; then what has begun is finished
        operations.stopping.store(true, Ordering::Relaxed);
        tokio::time::sleep(grace).await;
        let [server, operators] = handles;
        server.stop(true).await;
        operators.stop(false).await;
        let _ = running.0.await;
        let _ = running.1.await;
        Ok(())
    })
}

/// How often an instance looks for entries that another has left unnumbered; its own it numbers at once.
const SEQUENCER_POLL: Duration = Duration::from_millis(500);

/// How often an instance looks for imports to carry out.
const IMPORTS_POLL: Duration = Duration::from_millis(500);

/// How often an instance looks for deliveries that are due.
const WEBHOOK_POLL: Duration = Duration::from_secs(1);

async fn stop_signal() -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen =
        |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// What `serve --local` prints: where everything is, and something to paste.
fn welcome(config: &Config, issuer: &Issuer) -> Result<String, String> {
    let identity = Identity {
        person_ref: demo::HR_ADMINISTRATOR.to_owned(),
        roles: [Role::HrAdministrator].into(),
        units: Default::default(),
    };
    let token = issuer.token(
        &identity,
        LOCAL_ISSUER,
        LOCAL_AUDIENCE,
        chrono::Utc::now(),
        chrono::Duration::hours(12),
    )?;
    let url = &config.public_url;
    Ok(format!(
        "\nkompetens is ready, with Hedemora's guideline.\n\n\
         API          {url}{BASE}\n\
         Swagger UI   {url}/docs/   (Authorize, and paste the token)\n\
         Operations   http://{operations}/readyz   /metrics\n\n\
         A token for an HR administrator, good for 12 hours\n\
         (others: {data}{program} token --person person-0003 --role planner --unit {unit}):\n\n\
         {token}\n\n\
         What does a planned event still lack, and what to do about it?\n\n\
         curl -s -H 'Authorization: Bearer {token}' {url}{BASE}/events/{event}/compliance\n\n",
        operations = config.operations_address,
        data = environment("KOMPETENS_DATA")
            .map(|data| format!("KOMPETENS_DATA='{data}' "))
            .unwrap_or_default(),
        unit = "0190a000-0000-7000-8000-000000000101",
        program = std::env::args()
            .next()
            .unwrap_or_else(|| "kompetens".to_owned()),
        event = demo::FIRST_EVENT,
    ))
}

fn health(address: SocketAddr) -> Result<(), String> {
    let local = if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    };
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&local, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(
            format!("GET /livez HTTP/1.1\r\nHost: {local}\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
        Ok(_) => Err(format!("the service at {local} is not well")),
        Err(error) => Err(format!(
            "no service answers at {local} (KOMPETENS_OPERATIONS_ADDRESS): {error}"
        )),
    }
}
