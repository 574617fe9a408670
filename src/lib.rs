//! **kompetens**: a municipality's guideline for competence development and learning, lived.
//!
//! The walk of a request, `POST /events`:
//!
//! ```text
//! http            names the request, finds the operation, 401, limits, and checks the request against the published document
//! events/handlers create_event(call, db, Json<NewEvent>)
//!   db.write(|conn| {                                       one closure, one transaction
//!      organisation::units   the organising units           SQL
//!      rules::access         may the caller?                pure
//!      rules::scope          is it covered?                 pure
//!      events::queries       insert                         SQL
//!      changes::append       one entry                      SQL
//!   })
//! 201 Created + Location + ETag + the event                 any `?` is an Error, rendered as problem+json
//! ```
//!
//! | part | may touch | may not |
//! |---|---|---|
//! | `rules` | std, chrono, plain types | diesel, actix, the clock, the environment, async, logging |
//! | `*/queries` | diesel, the schema, own types | status codes |
//! | `*/mod` | use cases that handlers, the demo and later imports share: connection in, result out | extractors |
//! | `*/handlers` | actix, utoipa, use cases, queries, rules, db | the schema |
//! | `http` | everything's errors | decisions of the domain |
//! | `db` | the pool, its threads | table names |
//!
//! Read in this order: `rules` is the guideline, the folders after it its resources, the rest serves them.

pub mod rules;

pub mod calendar_feeds;
pub mod changes;
pub mod events;
pub mod exceptions;
pub mod external_ids;
pub mod follow_ups;
pub mod guideline;
pub mod imports;
pub mod organisation;
pub mod planning;
pub mod reporting;
pub mod retention;
pub mod webhooks;

pub mod db;
pub mod error;
pub mod http;
pub mod identity;
pub mod references;

pub mod cli;
pub mod config;
pub mod demo;
pub mod logging;
pub mod memory;
