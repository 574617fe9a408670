//! Guideline versions in the database: stored whole, since a version is read whole and never changes.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use uuid::Uuid;

use super::{GuidelineVersion, HEDEMORA_ID, NewGuidelineVersion, Settings, hedemora};
use crate::changes::{self, Change, Operation, ResourceType};
use crate::db::schema::guideline_versions as versions;
use crate::db::sql_types::AsJson;
use crate::error::Error;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::identity::Actor;
use crate::window;

type Row = (Uuid, AsJson<NewGuidelineVersion>, DateTime<Utc>);

fn version((id, AsJson(content), created_at): Row) -> GuidelineVersion {
    GuidelineVersion::new(id, content, created_at)
}

/// Stores a version with its change entry.
pub fn insert(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    new: &NewGuidelineVersion,
) -> Result<GuidelineVersion, Error> {
    diesel::insert_into(versions::table)
        .values((
            versions::id.eq(id),
            versions::valid_from.eq(new.valid_from),
            versions::content.eq(AsJson(new.clone())),
            versions::created_at.eq(call.now),
        ))
        .execute(conn)?;
    let version = GuidelineVersion::new(id, new.clone(), call.now);
    let change = Change {
        operation: Operation::Create,
        resource: ResourceType::GuidelineVersion,
        id,
        revision: version.revision,
        event_id: None,
        before: None,
        after: Some(&version),
    };
    changes::append(conn, call, &change)?;
    Ok(version)
}

/// How many days ahead each version calls soon.
pub fn due_soon_days(conn: &mut PgConnection) -> Result<Vec<(Uuid, u32)>, Error> {
    let days = sql::<Integer>("(content -> 'settings' ->> 'dueSoonDays')::integer");
    let rows: Vec<(Uuid, i32)> = versions::table.select((versions::id, days)).load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, days)| (id, days.unsigned_abs()))
        .collect())
}

/// Stores the built-in version if the database does not have it.
pub fn insert_built_in(conn: &mut PgConnection) -> Result<(), Error> {
    let there: bool =
        diesel::select(diesel::dsl::exists(versions::table.find(HEDEMORA_ID))).get_result(conn)?;
    if there {
        return Ok(());
    }
    let call = Call::new(Actor::System, Utc::now(), &Uuid::now_v7().to_string());
    conn.transaction(|conn| insert(conn, &call, HEDEMORA_ID, &hedemora()).map(|_| ()))
}

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<GuidelineVersion, Error> {
    let row: Row = versions::table
        .find(id)
        .select((versions::id, versions::content, versions::created_at))
        .first(conn)?;
    Ok(version(row))
}

/// The settings of each of these versions.
pub fn settings(conn: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Settings>, Error> {
    let rows: Vec<(Uuid, AsJson<NewGuidelineVersion>)> = versions::table
        .filter(versions::id.eq_any(ids))
        .select((versions::id, versions::content))
        .load(conn)?;
    let settings =
        |(id, AsJson(content)): (Uuid, AsJson<NewGuidelineVersion>)| (id, content.settings);
    Ok(rows.into_iter().map(settings).collect())
}

/// The versions in force, first the one that an event created today is planned under: the latest, of equal ones the last posted.
#[diesel::dsl::auto_type(no_type_alias)]
pub fn in_force(today: NaiveDate) -> _ {
    versions::table
        .filter(versions::valid_from.le(today))
        .order((versions::valid_from.desc(), versions::posted.desc()))
}

/// The versions, and with `includeTotal` how many there are.
pub fn list(
    conn: &mut PgConnection,
    descending: bool,
    paging: &Paging,
) -> Result<(Vec<GuidelineVersion>, Option<i64>), Error> {
    let total = paging.total(|| versions::table.count().get_result(conn))?;
    let query = versions::table
        .select((versions::id, versions::content, versions::created_at))
        .into_boxed();
    let rows: Vec<Row> = window!(
        query,
        paging,
        descending,
        versions::valid_from,
        versions::id,
        NaiveDate
    )
    .load(conn)?;
    Ok((rows.into_iter().map(version).collect(), total))
}
