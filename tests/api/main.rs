//! The service tried as its users would: through HTTP, against real PostgreSQL.

mod access;
mod app;
mod given;

mod crashes;
mod definitions;
mod demo;
mod docs;
mod events;
mod migrations;
mod openapi;
mod profile;
mod guideline;
mod organisation;
mod bad_input;
mod events;
mod http;
mod token;
