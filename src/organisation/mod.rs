//! The municipal group: its units, people and offices, the goals that events serve, and the venues and contracts that the ladder reads.
//!
//! Everything is valid from a first day to a first day no longer valid; nothing is deleted, it is ended.
//! What must hold between them is a named constraint of the database.

/// What every resource here has alike: its name in the change log, and the queries that differ in nothing but the table.
/// A column that the body does not give stands last, `path: Vec<Uuid>`.
macro_rules! rows {
    ($table:ident, $row:ident, $new:ident, $name:ident, $path:literal $(, $column:ident: $type:ty)? $(; $($rights:tt)+)?) => {
        impl changes::Resource for $row {
            const NAME: changes::ResourceType = changes::ResourceType::$name;

            fn id(&self) -> Uuid {
                self.id
            }

            fn revision(&self) -> i32 {
                self.revision
            }
        }

        pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<$row, Error> {
            Ok($table::table
                .find(id)
                .select($row::as_select())
                .first(conn)?)
        }

        pub fn find_for_update(conn: &mut PgConnection, id: Uuid) -> Result<$row, Error> {
            Ok($table::table
                .find(id)
                .select($row::as_select())
                .for_no_key_update()
                .first(conn)?)
        }

        pub(super) fn insert(
            conn: &mut PgConnection,
            id: Uuid,
            new: &$new,
            origin: Option<&Origin>,
            now: DateTime<Utc>,
            $($column: $type,)?
        ) -> Result<$row, Error> {
            Ok(diesel::insert_into($table::table)
                .values((
                    $table::id.eq(id),
                    $table::revision.eq(1),
                    new,
                    (
                        $table::source_system.eq(origin.map(|from| &from.id.source_system)),
                        $table::external_id.eq(origin.map(|from| &from.id.external_id)),
                        $table::external_digest.eq(origin.map(|from| &from.digest)),
                    ),
                    $table::created_at.eq(now),
                    $table::updated_at.eq(now),
                    $($table::$column.eq($column),)?
                ))
                .returning($row::as_returning())
                .get_result(conn)?)
        }

        pub(super) fn update(
            conn: &mut PgConnection,
            before: &$row,
            new: &$new,
            now: DateTime<Utc>,
        ) -> Result<$row, Error> {
            Ok(diesel::update($table::table.find(before.id))
                .set((
                    new,
                    $table::revision.eq(before.revision + 1),
                    $table::updated_at.eq(now),
                ))
                .returning($row::as_returning())
                .get_result(conn)?)
        }

        impl External for $row {
            type Body = $new;
            const PATH: &'static str = $path;

            fn find(conn: &mut PgConnection, id: &ExternalId) -> Result<$row, Error> {
                Ok($table::table
                    .filter($table::source_system.eq(&id.source_system))
                    .filter($table::external_id.eq(&id.external_id))
                    .select($row::as_select())
                    .first(conn)?)
            }

            fn find_for_update(
                conn: &mut PgConnection,
                id: &ExternalId,
            ) -> Result<Option<($row, Option<Vec<u8>>)>, Error> {
                Ok($table::table
                    .filter($table::source_system.eq(&id.source_system))
                    .filter($table::external_id.eq(&id.external_id))
                    .select(($row::as_select(), $table::external_digest))
                    .for_no_key_update()
                    .first(conn)
                    .optional()?)
            }

            fn keep_digest(
                conn: &mut PgConnection,
                id: Uuid,
                digest: &[u8],
            ) -> Result<(), Error> {
                diesel::update($table::table.find(id))
                    .set($table::external_digest.eq(digest))
                    .execute(conn)?;
                Ok(())
            }

            fn create(
                conn: &mut PgConnection,
                call: &Call,
                ids: &[Uuid],
                body: &$new,
                origin: &Origin,
            ) -> Result<$row, Error> {
                create(conn, call, first_of(ids)?, body, Some(origin))
            }

            fn replace(
                conn: &mut PgConnection,
                call: &Call,
                _: &[Uuid],
                before: &$row,
                body: &$new,
            ) -> Result<$row, Error> {
                change(conn, call, before, body)
            }

            $($($rights)+)?
        }
    };
}

/// Those of a query's rows that have this external id, or come from this system, if that is asked for.
macro_rules! external {
    ($query:expr, $table:ident, $filter:ident) => {{
        let mut query = $query;
        if let Some(system) = &$filter.source_system {
            query = query.filter($table::source_system.eq(system));
        }
        if let Some(id) = &$filter.external_id {
            query = query.filter($table::external_id.eq(id));
        }
        query
    }};
}

/// Those of a query's rows that are valid on a day, if one is given.
macro_rules! valid_on {
    ($query:expr, $table:ident, $day:expr) => {
        match $day {
            None => $query,
            Some(day) => $query
                .filter($table::valid_from.le(day))
                .filter($table::valid_to.is_null().or($table::valid_to.gt(day))),
        }
    };
}

pub mod appointments;
pub mod contracts;
pub mod goals;
pub mod people;
pub mod units;
pub mod venues;

use utoipa_actix_web::service_config::ServiceConfig;

use crate::rules::scope::UnitType;

crate::stored_as_text!(UnitType);

pub fn configure(config: &mut ServiceConfig) {
    config
        .configure(units::configure)
        .configure(people::configure)
        .configure(appointments::configure)
        .configure(goals::configure)
        .configure(venues::configure)
        .configure(contracts::configure);
}
