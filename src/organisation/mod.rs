//! The municipal group: its units, people and offices, the goals that events serve, and the venues and contracts that the ladder reads.
//!
//! Everything is valid from a first day to a first day no longer valid; nothing is deleted, it is ended.
//! What must hold between them is a named constraint of the database.

/// What every resource here has alike: its name in the change log, and the queries that differ in nothing but the table.
/// A column that the body does not give stands last, `path: Vec<Uuid>`.
macro_rules! rows {
    ($table:ident, $row:ident, $new:ident, $name:literal $(, $column:ident: $type:ty)?) => {
        impl changes::Resource for $row {
            const NAME: &'static str = $name;

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
            now: DateTime<Utc>,
            $($column: $type,)?
        ) -> Result<$row, Error> {
            Ok(diesel::insert_into($table::table)
                .values((
                    $table::id.eq(id),
                    $table::revision.eq(1),
                    new,
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
    };
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
