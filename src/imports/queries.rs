//! Imports in the database.

use chrono::{DateTime, Duration, Utc};
use diesel::dsl::{exists, not};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use uuid::Uuid;

use super::{
    ImportJob, ImportLine, ImportOutcome, ImportProblem, ImportRow, ImportStatus, Importer,
    Received,
};
use crate::db::schema::{import_rows, imports};
use crate::db::sql_types::AsJson;
use crate::error::{Code, Error};
use crate::guideline::Text;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::window;

/// A body that has not come further for so long never will: its instance has given it up long since.
const PATIENCE: Duration = Duration::minutes(5);
/// How long the results of an import are kept.
pub const KEPT: Duration = Duration::days(90);
/// How many imports of one sender may be on their way at once.
pub const MOST_AT_ONCE: i64 = 10;

/// 429 when the sender has too many on their way; what is only to be answered again is none more.
pub fn open(conn: &mut PgConnection, call: &Call, id: Uuid, dry_run: bool) -> Result<(), Error> {
    let arriving = imports::status
        .eq(ImportStatus::Receiving)
        .and(imports::updated_at.ge(call.now - PATIENCE));
    let on_their_way: i64 = imports::table
        .filter(arriving.or(imports::status.eq(ImportStatus::Running)))
        .filter(imports::created_by.eq(call.actor.name()))
        .count()
        .get_result(conn)?;
    if on_their_way >= MOST_AT_ONCE && !call.is_answered(conn)? {
        let detail = Text::new(
            "Tio importer från samma avsändare är redan på väg. Vänta tills någon av dem är klar.",
            "Ten imports of the same sender are on their way already. Wait until one of them is completed.",
        );
        return Err(Error::new(Code::TooManyRequests)
            .detail(detail)
            .header("Retry-After", "10".to_owned()));
    }
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
    let received = diesel::update(imports::table.find(import))
        .filter(imports::status.eq(ImportStatus::Receiving))
        .set((
            imports::lines.eq(imports::lines + count(rows.len())),
            imports::processed.eq(imports::processed + count(refused)),
            imports::refused.eq(imports::refused + count(refused)),
            imports::updated_at.eq(now),
        ))
        .execute(conn)?;
    if received == 0 {
        return Err(Error::new(Code::RequestTimeout));
    }
    Ok(())
}

/// The body has come whole; 408 when it was given up meanwhile.
pub fn start(conn: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<ImportJob, Error> {
    diesel::update(imports::table.find(id))
        .filter(imports::status.eq(ImportStatus::Receiving))
        .set((
            imports::status.eq(ImportStatus::Running),
            imports::updated_at.eq(now),
        ))
        .returning(ImportJob::as_returning())
        .get_result(conn)
        .optional()?
        .ok_or_else(|| Error::new(Code::RequestTimeout))
}

/// As if it had never come; what has come whole stays.
pub fn forget(conn: &mut PgConnection, id: Uuid) -> Result<(), Error> {
    let incomplete = imports::table
        .find(id)
        .filter(imports::status.eq(ImportStatus::Receiving))
        .select(imports::id)
        .for_update()
        .first::<Uuid>(conn)
        .optional()?;
    if incomplete.is_some() {
        remove(conn, id)?;
    }
    Ok(())
}

fn remove(conn: &mut PgConnection, id: Uuid) -> Result<(), Error> {
    diesel::delete(import_rows::table.filter(import_rows::import_id.eq(id))).execute(conn)?;
    diesel::delete(imports::table.find(id)).execute(conn)?;
    Ok(())
}

/// Gives up one body that stopped on its way, and forgets the results of one import whose time is past.
pub fn forget_old(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), Error> {
    let stopped = imports::table
        .filter(imports::status.eq(ImportStatus::Receiving))
        .filter(imports::updated_at.lt(now - PATIENCE))
        .select(imports::id)
        .for_update()
        .skip_locked()
        .first::<Uuid>(conn)
        .optional()?;
    if let Some(id) = stopped {
        diesel::delete(import_rows::table.filter(import_rows::import_id.eq(id))).execute(conn)?;
        diesel::update(imports::table.find(id))
            .set((
                imports::status.eq(ImportStatus::Interrupted),
                imports::lines.eq(0),
                imports::processed.eq(0),
                imports::refused.eq(0),
                imports::updated_at.eq(now),
            ))
            .execute(conn)?;
    }
    let past = imports::table
        .filter(imports::status.eq_any([ImportStatus::Completed, ImportStatus::Interrupted]))
        .filter(imports::created_at.lt(now - KEPT))
        .order(imports::created_at)
        .select(imports::id)
        .for_update()
        .skip_locked()
        .first::<Uuid>(conn)
        .optional()?;
    past.map_or(Ok(()), |id| remove(conn, id))
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

/// The one that has waited longest among the oldest of each sender, if no other instance is at it; held until the transaction ends.
pub fn take(conn: &mut PgConnection) -> Result<Option<Taken>, Error> {
    let earlier = diesel::alias!(imports as earlier);
    let is_earlier = earlier
        .filter(earlier.field(imports::status).eq(ImportStatus::Running))
        .filter(earlier.field(imports::created_by).eq(imports::created_by))
        .filter(
            earlier
                .field(imports::created_at)
                .lt(imports::created_at)
                .or(earlier
                    .field(imports::created_at)
                    .eq(imports::created_at)
                    .and(earlier.field(imports::id).lt(imports::id))),
        );
    Ok(imports::table
        .filter(imports::status.eq(ImportStatus::Running))
        .filter(not(exists(is_earlier)))
        .order((imports::updated_at, imports::id))
        .select(Taken::as_select())
        .for_no_key_update()
        .skip_locked()
        .first(conn)
        .optional()?)
}

/// A line that waits for its result.
#[derive(Queryable)]
pub struct Waiting {
    pub id: Uuid,
    pub said: AsJson<ImportLine>,
    pub tries: i16,
}

/// The import's next line.
pub fn next(conn: &mut PgConnection, import: Uuid) -> Result<Option<Waiting>, Error> {
    Ok(import_rows::table
        .filter(import_rows::import_id.eq(import))
        .filter(import_rows::said.is_not_null())
        .order(import_rows::line)
        .select((
            import_rows::id,
            import_rows::said.assume_not_null(),
            import_rows::tries,
        ))
        .first(conn)
        .optional()?)
}

/// The database gave the line up this time.
pub fn try_again(conn: &mut PgConnection, row: Uuid) -> Result<(), Error> {
    diesel::update(import_rows::table.find(row))
        .set(import_rows::tries.eq(import_rows::tries + 1))
        .execute(conn)?;
    Ok(())
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

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<ImportJob, Error> {
    Ok(imports::table
        .find(id)
        .select(ImportJob::as_select())
        .first(conn)?)
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
