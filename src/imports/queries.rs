//! Imports in the database.

use chrono::{DateTime, Duration, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use uuid::Uuid;

use super::{
    Import, ImportLine, ImportOutcome, ImportProblem, ImportRow, ImportStatus, Importer, Received,
};
use crate::db::schema::{import_rows, imports};
use crate::db::sql_types::AsJson;
use crate::error::Error;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::window;

/// A body that has not come further for so long never will.
const PATIENCE: Duration = Duration::minutes(2);

pub fn open(conn: &mut PgConnection, call: &Call, id: Uuid, dry_run: bool) -> Result<(), Error> {
    diesel::insert_into(imports::table)
        .values((
            imports::id.eq(id),
            imports::status.eq(ImportStatus::Receiving),
            imports::dry_run.eq(dry_run),
            imports::created_by.eq(call.actor.name()),
            imports::importer.eq(AsJson(Importer::of(call)?)),
            imports::request_id.eq(&call.request_id),
            imports::created_at.eq(call.now),
            imports::updated_at.eq(call.now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Stores lines in one statement.
pub fn add(
    conn: &mut PgConnection,
    import: Uuid,
    rows: &[Received],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let values: Vec<_> = rows
        .iter()
        .map(|row| {
            let (said, waits) = (row.said.as_ref(), row.problem.is_none());
            (
                import_rows::id.eq(row.id),
                import_rows::import_id.eq(import),
                import_rows::line.eq(row.line),
                import_rows::outcome.eq(if waits {
                    ImportOutcome::Pending
                } else {
                    ImportOutcome::Refused
                }),
                import_rows::resource.eq(said.map(|said| said.resource)),
                import_rows::source_system.eq(said.and_then(|said| said.source_system.clone())),
                import_rows::external_id.eq(said.map(|said| said.external_id.clone())),
                import_rows::problem.eq(row.problem.clone().map(AsJson)),
                import_rows::said.eq(said.filter(|_| waits).cloned().map(AsJson)),
            )
        })
        .collect();
    diesel::insert_into(import_rows::table)
        .values(values)
        .execute(conn)?;
    let refused = rows.iter().filter(|row| row.problem.is_some()).count();
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    diesel::update(imports::table.find(import))
        .set((
            imports::lines.eq(imports::lines + count(rows.len())),
            imports::processed.eq(imports::processed + count(refused)),
            imports::refused.eq(imports::refused + count(refused)),
            imports::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// The body has come whole.
pub fn start(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<Import, Error> {
    Ok(diesel::update(imports::table.find(id))
        .set((
            imports::status.eq(ImportStatus::Running),
            imports::updated_at.eq(now),
        ))
        .returning(Import::as_returning())
        .get_result(conn)?)
}

/// As if it had never come.
pub fn forget(conn: &mut PgConnection, id: Uuid) -> Result<(), Error> {
    diesel::delete(import_rows::table.filter(import_rows::import_id.eq(id))).execute(conn)?;
    diesel::delete(imports::table.find(id)).execute(conn)?;
    Ok(())
}

/// An import whose lines are to be carried out.
#[derive(Queryable, Selectable)]
#[diesel(table_name = imports, check_for_backend(Pg))]
pub struct Taken {
    pub id: Uuid,
    pub dry_run: bool,
    pub importer: AsJson<Importer>,
    pub request_id: String,
}

/// The oldest that no other instance is at, held until the transaction ends.
pub fn take(conn: &mut PgConnection) -> Result<Option<Taken>, Error> {
    Ok(imports::table
        .filter(imports::status.eq(ImportStatus::Running))
        .order((imports::created_at, imports::id))
        .select(Taken::as_select())
        .for_no_key_update()
        .skip_locked()
        .first(conn)
        .optional()?)
}

/// Its next line.
pub fn next(
    conn: &mut PgConnection,
    import: Uuid,
) -> Result<Option<(Uuid, AsJson<ImportLine>)>, Error> {
    Ok(import_rows::table
        .filter(import_rows::import_id.eq(import))
        .filter(import_rows::said.is_not_null())
        .order(import_rows::line)
        .select((import_rows::id, import_rows::said.assume_not_null()))
        .first(conn)
        .optional()?)
}

/// Stores a line's result and forgets what it said.
pub fn settle(
    conn: &mut PgConnection,
    row: Uuid,
    outcome: ImportOutcome,
    resource_id: Option<Uuid>,
    problem: Option<ImportProblem>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let import: Uuid = diesel::update(import_rows::table.find(row))
        .set((
            import_rows::outcome.eq(outcome),
            import_rows::resource_id.eq(resource_id),
            import_rows::problem.eq(problem.map(AsJson)),
            import_rows::said.eq(None::<AsJson<ImportLine>>),
        ))
        .returning(import_rows::import_id)
        .get_result(conn)?;
    let one = |counted: ImportOutcome| i32::from(outcome == counted);
    diesel::update(imports::table.find(import))
        .set((
            imports::processed.eq(imports::processed + 1),
            imports::created.eq(imports::created + one(ImportOutcome::Created)),
            imports::changed.eq(imports::changed + one(ImportOutcome::Changed)),
            imports::unchanged.eq(imports::unchanged + one(ImportOutcome::Unchanged)),
            imports::outside_guideline
                .eq(imports::outside_guideline + one(ImportOutcome::OutsideGuideline)),
            imports::refused.eq(imports::refused + one(ImportOutcome::Refused)),
            imports::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn complete(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), Error> {
    diesel::update(imports::table.find(id))
        .set((
            imports::status.eq(ImportStatus::Completed),
            imports::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn find(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<Import, Error> {
    let mut import: Import = imports::table
        .find(id)
        .select(Import::as_select())
        .first(conn)?;
    if import.status == ImportStatus::Receiving && import.updated_at + PATIENCE < now {
        import.status = ImportStatus::Interrupted;
    }
    Ok(import)
}

pub fn rows(
    conn: &mut PgConnection,
    import: Uuid,
    outcomes: Option<&[ImportOutcome]>,
    paging: &Paging,
) -> Result<(Vec<ImportRow>, Option<i64>), Error> {
    let matching = || {
        let mut query = import_rows::table
            .filter(import_rows::import_id.eq(import))
            .into_boxed();
        if let Some(outcomes) = outcomes {
            query = query.filter(import_rows::outcome.eq_any(outcomes.to_vec()));
        }
        query
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let rows = window!(
        matching().select(ImportRow::as_select()),
        paging,
        false,
        import_rows::line,
        import_rows::id,
        i32
    )
    .load(conn)?;
    Ok((rows, total))
}
