//! The schema: embedded migrations, run one program at a time, and the grants of the running role.

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::time::{Duration, Instant};

use crate::guideline;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Any number will do, as long as every version of the program uses the same.
const LOCK: i64 = 0x006b_6f6d_7065_7465;

/// Brings the schema up to this program's and stores the built-in guideline version if it is absent.
///
/// Waits up to a minute for another migrator. The message of an error names what to look at, never the URL.
pub fn run(url: &str) -> Result<(), String> {
    let mut conn = PgConnection::establish(url).map_err(|_| {
        "the database could not be reached; check the URL and that it accepts connections"
            .to_owned()
    })?;
    let outcome = migrate(&mut conn);
    // the lock belongs to the session and ends with it
    outcome.map_err(|error| format!("the schema could not be migrated: {error}"))
}

fn migrate(conn: &mut PgConnection) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    conn.batch_execute("set lock_timeout = '60s'; set timezone = 'UTC'")?;
    conn.batch_execute(&format!("select pg_advisory_lock({LOCK})"))?;
    conn.batch_execute("set lock_timeout = '5s'")?;
    conn.run_pending_migrations(MIGRATIONS)?;
    guideline::queries::insert_built_in(conn)?;
    Ok(())
}

/// Has every migration of this program been run? Asked by readiness, with the running role's rights.
pub fn is_current(conn: &mut PgConnection) -> Result<bool, diesel::result::Error> {
    let known = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(diesel::result::Error::QueryBuilderError)?;
    // a database that was never migrated has no such table
    let migrated: bool = diesel::select(sql::<Bool>(
        "to_regclass('__diesel_schema_migrations') is not null",
    ))
    .get_result(conn)?;
    if !migrated {
        return Ok(false);
    }
    let table = "coalesce(array(select version::text from __diesel_schema_migrations), '{}')";
    let run: Vec<String> = diesel::select(sql::<Array<Text>>(table)).get_result(conn)?;
    Ok(known
        .iter()
        .all(|migration| run.contains(&migration.name().version().to_string())))
}

/// Waits a while for whoever migrates right now: until the schema is this program's and the role of the URL may read it.
pub fn await_current(url: &str) -> bool {
    const PATIENCE: Duration = Duration::from_secs(10);
    let current = || {
        PgConnection::establish(url).is_ok_and(|mut conn| is_current(&mut conn).unwrap_or(false))
    };
    let began = Instant::now();
    while !current() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Takes every migration back; for the test of up, down and up again.
pub fn revert_all(conn: &mut PgConnection) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    conn.revert_all_migrations(MIGRATIONS)?;
    Ok(())
}

/// What the running role may do: read and write data, add to the change log and number it, nothing else.
pub fn grant(url: &str, role: &str) -> Result<(), String> {
    let mut conn =
        PgConnection::establish(url).map_err(|_| "the database could not be reached".to_owned())?;
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    conn.batch_execute(&format!(
        "begin;
         select pg_advisory_xact_lock({LOCK});
         grant usage on schema public to {role};
         grant select on all tables in schema public to {role};
         grant insert, update, delete on idempotency_records, event_organisers, occasions, calendar_feeds,
             webhook_subscriptions, webhook_deliveries, imports, import_rows to {role};
         grant insert, update on units, people, office_appointments, business_goals, venues, supplier_contracts,
             events, planning_answers, follow_ups,
             exception_requests, exception_request_rules,
             api_clients, api_client_secrets, api_client_uses to {role};
         grant insert on guideline_versions, planning_answer_revisions, baselines, status_changes,
             changes, change_payloads, retention_rules, reminders, decisions, recorded_decisions, decision_reports, decision_report_entries,
             follow_up_entries, follow_up_entry_voidings to {role};
         grant update (number, hash) on changes to {role};
         commit;"
    ))
    .map_err(|error| format!("the grants to {role} failed: {error}"))
}
