//! The municipal group: its units, people and offices, the goals that events serve, and the venues and contracts that the ladder reads.
//!
//! Everything is valid from a first day to a first day no longer valid; nothing is deleted, it is ended.
//! What must hold between them is a named constraint of the database.

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
