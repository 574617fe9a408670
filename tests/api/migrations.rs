//! The schema: there and back again, and what the database itself guarantees.

use crate::app::{TestApp, fresh_database, owner_url};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use kompetens::db::migrations;
use serde_json::json;
use std::collections::BTreeMap;

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).expect("the database answers")
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Line> = diesel::sql_query(sql)
        .load(conn)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.into_iter().map(|row| row.line).collect()
}

/// The schema as pg_dump writes it, without the lines that differ each time.
fn dump(url: &str) -> String {
    let pg_dump = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin/pg_dump"))
        .filter(|path| path.exists())
        .max()
        .unwrap_or_else(|| "pg_dump".into());
    let output = std::process::Command::new(pg_dump)
        .args(["--schema-only", "--dbname", url])
        .output()
        .expect("pg_dump runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn up_down_and_up_again_leave_the_same_schema() {
    let url = owner_url(&fresh_database());
    // the running role's grants are no migration's
    connect(&url)
        .batch_execute("revoke all on all tables in schema public from kompetens_service; revoke all on schema public from kompetens_service")
        .expect("the grants can be taken back");
    let before = dump(&url);
    let mut conn = connect(&url);
    migrations::revert_all(&mut conn).expect("every migration has a way back");
    let left = lines(
        &mut conn,
        "select relname::text as line from pg_class c join pg_namespace n on n.oid = relnamespace
         where nspname = 'public' and relname not like '\\_\\_diesel%'
         union select proname::text from pg_proc p join pg_namespace n on n.oid = pronamespace
         where nspname = 'public'
         union select typname::text from pg_type t join pg_namespace n on n.oid = typnamespace
         where nspname = 'public' and typname not like '%\\_\\_diesel%'",
    );
    assert_eq!(left, Vec::<String>::new(), "nothing is left behind");
    migrations::run(&url).expect("the migrations run again");
    assert_eq!(before, dump(&url));
}

#[test]
fn two_migrators_at_once_leave_one_schema_and_one_built_in_version() {
    let url = owner_url(&fresh_database());
    migrations::revert_all(&mut connect(&url)).expect("every migration has a way back");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let migrators: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| migrations::run(&url)))
            .collect();
        migrators
            .into_iter()
            .map(|migrator| migrator.join().expect("no panic"))
            .collect()
    });
    assert_eq!(outcomes, vec![Ok(()); 4]);
    let mut conn = connect(&url);
    assert_eq!(
        lines(
            &mut conn,
            "select actor || ' ' || resource_type as line from changes"
        ),
        ["system guidelineVersion"]
    );
    assert_eq!(migrations::is_current(&mut conn), Ok(true));
}

#[test]
fn every_foreign_key_has_an_index_and_every_date_a_bound() {
    let mut conn = connect(&owner_url(&fresh_database()));
    let unindexed = lines(
        &mut conn,
        "select conname::text as line from pg_constraint c where contype = 'f' and not exists (
             select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
             and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)",
    );
    assert_eq!(unindexed, Vec::<String>::new());
    let unbounded = lines(
        &mut conn,
        "select table_name || '.' || column_name as line from information_schema.columns
         where table_schema = 'public' and data_type in ('date', 'timestamp with time zone') and domain_name is null
         and table_name not like '%\\_details' and table_name not like '\\_\\_diesel%'",
    );
    assert_eq!(unbounded, Vec::<String>::new());
}

#[test]
fn the_tables_that_diesel_knows_are_the_tables_that_there_are() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/schema.rs"))
        .expect("schema.rs");
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut table, mut sql_name) = (None, None);
    for line in source.lines().map(str::trim) {
        if line == "}" {
            table = None;
        }
        if let Some(name) = line
            .strip_prefix("#[sql_name = \"")
            .and_then(|rest| rest.strip_suffix("\"]"))
        {
            sql_name = Some(name.to_owned());
        } else if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with(") {")) {
            known.insert(name.to_owned(), Vec::new());
            table = Some(name.to_owned());
        } else if let (Some((column, sql_type)), Some(table)) =
            (line.trim_end_matches(',').split_once(" -> "), &table)
        {
            let column = sql_name.take().unwrap_or_else(|| column.to_owned());
            known
                .get_mut(table)
                .expect("its table")
                .push(format!("{column} {}", sql_type.to_lowercase()));
        }
    }
    let columns = lines(
        &mut connect(&owner_url(&fresh_database())),
        "select table_name || ' ' || column_name || ' ' || case when is_nullable = 'YES' and table_name not like '%\\_details' then 'nullable<' else '' end
             || case udt_name when 'int8' then 'bigint' when 'int4' then 'integer' when 'int2' then 'smallint' when 'bytea' then 'binary'
                when '_uuid' then 'array<uuid>' when '_text' then 'array<text>' else udt_name end
             || case when is_nullable = 'YES' and table_name not like '%\\_details' then '>' else '' end as line
         from information_schema.columns where table_schema = 'public' and table_name not like '\\_\\_diesel%' and column_name <> 'words'
         order by table_name, ordinal_position",
    );
    let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in columns {
        let (table, column) = line.split_once(' ').expect("a table and a column");
        there
            .entry(table.to_owned())
            .or_default()
            .push(column.to_owned());
    }
    // a view's columns can always be null for PostgreSQL
    let views = known
        .iter_mut()
        .filter(|(name, _)| name.ends_with("_details"));
    for column in views.flat_map(|(_, columns)| columns) {
        *column = column
            .replace("nullable<", "")
            .replace('>', "")
            .replace("array<uuid", "array<uuid>")
            .replace("array<text", "array<text>");
    }
    assert_eq!(known, there);
}

#[test]
fn the_running_role_can_neither_change_the_schema_nor_the_change_log() {
    let app = TestApp::empty();
    app.post(
        &app.hr(),
        "/units",
        &json!({"name": "Hedemora kommun", "type": "municipality", "validFrom": "2020-01-01"}),
    )
    .expect(201);
    let mut conn = app.database();
    for forbidden in [
        "alter table units add column x integer",
        "alter table changes disable trigger all",
        "drop table changes",
        "create table mine (x integer)",
        "truncate changes cascade",
        "delete from changes",
        "delete from change_payloads",
        "delete from units",
        "update changes set actor = 'someone else'",
        "update change_payloads set after = null",
        "update guideline_versions set content = '{}'",
        "update planning_answer_revisions set answer = '{}'",
        "update baselines set answers = '[]'",
        "update status_changes set reason = 'none'",
        "set role kompetens_owner",
    ] {
        let error = conn
            .batch_execute(forbidden)
            .expect_err(forbidden)
            .to_string();
        assert!(
            error.contains("permission denied") || error.contains("must be owner"),
            "{forbidden}: {error}"
        );
    }
}

#[test]
fn an_entry_of_the_change_log_takes_its_number_once_and_nothing_else_ever() {
    let app = TestApp::empty();
    app.post(
        &app.hr(),
        "/units",
        &json!({"name": "Hedemora kommun", "type": "municipality", "validFrom": "2020-01-01"}),
    )
    .expect(201);
    let mut owner = connect(&owner_url(&app.database));
    for refused in [
        "update changes set actor = 'someone else'",
        "update changes set number = 1, hash = '\\x00', actor = 'someone else'",
        "delete from changes",
        "truncate changes cascade",
        "update change_payloads set after = null",
        "delete from change_payloads",
    ] {
        let error = owner.batch_execute(refused).expect_err(refused).to_string();
        assert!(error.contains("append-only"), "{refused}: {error}");
    }
    // in a transaction of its own, so that the sequencer does not come first
    let mut conn = app.database();
    conn.batch_execute(
        "begin;
         insert into changes (request_id, occurred_at, actor, operation, resource_type, resource_id, revision, digest)
             values ('-', now(), 'person-0001', 'create', 'unit', gen_random_uuid(), 1, '\\x00')",
    )
    .expect("the running role appends");
    let number = "update changes set number = 1000 + entry_id, hash = sha256('x') where actor = 'person-0001'";
    conn.batch_execute(number)
        .expect("the running role numbers an entry once");
    assert!(
        conn.batch_execute(number)
            .expect_err("not twice")
            .to_string()
            .contains("append-only")
    );
}

#[test]
fn an_older_schema_is_not_ready_and_readiness_names_the_command() {
    let database = fresh_database();
    let app = TestApp::on(&database, 2);
    let ready = format!("http://{}/readyz", app.operations_address);
    let nobody = crate::app::Caller(None);
    app.get(&nobody, &ready).expect(200);
    connect(&owner_url(&database))
        .batch_execute("delete from __diesel_schema_migrations where version = (select max(version) from __diesel_schema_migrations)")
        .expect("the last migration is forgotten");
    let reply = app.get(&nobody, &ready).expect(503);
    assert!(reply.text.contains("kompetens migrate"), "{}", reply.text);

    connect(&owner_url(&database))
        .batch_execute("drop table __diesel_schema_migrations")
        .expect("nothing was ever migrated");
    let reply = app.get(&nobody, &ready).expect(503);
    assert!(reply.text.contains("kompetens migrate"), "{}", reply.text);
}
