//! The service tried as its users would: through HTTP, against real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod api_clients;
mod app;
mod given;

mod access;
mod audit;
mod bad_input;
mod calendar_feeds;
mod change_feed;
mod decision_reports;
mod definitions;
mod demo;
mod docs;
mod events;
mod exceptions;
mod exceptions_attacks;
mod exceptions_properties;
mod exceptions_races;
mod external_ids;
mod follow_up_status;
mod follow_ups;
mod gate;
mod guideline;
mod hardening;
mod http;
mod idempotency;
mod imports;
mod lessons;
mod lists;
mod many;
mod migrations;
mod openapi;
mod organisation;
mod planning;
mod plans;
mod policy;
mod preconditions;
mod profile;
mod providers;
mod released;
mod reminders;
mod retention;
mod schema;
mod statistics;
mod token;
mod webhooks;
