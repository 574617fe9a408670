//! The sequencer: numbers and chains the entries of the log after they were committed, one sequencer at a time among all instances.
//!
//! A number is given only to what is committed, in the order of `entry_id` within one snapshot. An entry that commits late gets a
//! later number, so a reader that follows the numbers misses none; and no write waits for another.

use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool};
use std::time::Duration;

use super::chain::{self, BEGINNING, Entry};
use crate::db::Db;
use crate::db::schema::changes;
use crate::error::Error;

/// How many entries are numbered in one transaction at most; some 50 ms of work.
const BATCH: i64 = 1000;
/// Between two rounds, so that under load a round numbers many entries at once.
const PAUSE: Duration = Duration::from_millis(50);
/// Any number will do that no other lock has.
const LOCK: i64 = 0x6b6f_6d70_6e75_6d62;

/// What a round has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// So many entries were numbered; more may stand if it was a whole batch.
    Numbered(usize),
    /// Another instance is at it.
    Busy,
}

/// Numbers the entries that are visible now, in the transaction of the caller.
pub fn number(conn: &mut PgConnection) -> Result<Round, Error> {
    // first the lock, then, as a later statement, the snapshot: so the numbers of the sequencer before are seen
    let turn = sql::<Bool>(&format!("pg_try_advisory_xact_lock({LOCK})"));
    if !diesel::select(turn).get_result::<bool>(conn)? {
        return Ok(Round::Busy);
    }
    let entries: Vec<Entry> = changes::table
        .filter(changes::number.is_null())
        .order(changes::entry_id)
        .limit(BATCH)
        .select(Entry::as_select())
        .load(conn)?;
    if entries.is_empty() {
        return Ok(Round::Numbered(0));
    }
    let (mut number, mut hash) = head(conn)?;
    let (mut ids, mut numbers, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &entries {
        number += 1;
        hash = chain::link(&hash, number, entry);
        ids.push(entry.entry_id);
        numbers.push(number);
        hashes.push(hash.clone());
    }
    diesel::sql_query(
        "update changes set number = n.number, hash = n.hash \
         from unnest($1, $2, $3) as n (entry_id, number, hash) where changes.entry_id = n.entry_id",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<BigInt>, _>(numbers)
    .bind::<Array<Binary>, _>(hashes)
    .execute(conn)?;
    Ok(Round::Numbered(entries.len()))
}

/// The last number and its hash; before the first entry, 0 and the beginning.
pub fn head(conn: &mut PgConnection) -> Result<(i64, Vec<u8>), Error> {
    let last: Option<(Option<i64>, Option<Vec<u8>>)> = changes::table
        .filter(changes::number.is_not_null())
        .order(changes::number.desc())
        .select((changes::number, changes::hash))
        .first(conn)
        .optional()?;
    Ok(match last {
        Some((Some(number), Some(hash))) => (number, hash),
        _ => (0, BEGINNING.to_vec()),
    })
}

fn is_anything_unnumbered(conn: &mut PgConnection) -> Result<bool, Error> {
    let unnumbered = changes::table.filter(changes::number.is_null());
    Ok(diesel::select(diesel::dsl::exists(unnumbered)).get_result(conn)?)
}

/// Numbers for as long as the service runs: when this instance has written, and every `poll` for what others left behind.
pub async fn run(db: Db, poll: Duration) {
    loop {
        match step(&db).await {
            // there may be more
            Ok(Round::Numbered(1..)) => db.numbered().notify_one(),
            Ok(Round::Numbered(0)) => {
                let _ = tokio::time::timeout(poll, db.written().notified()).await;
            }
            // whoever has the turn may have taken its snapshot before our write
            Ok(Round::Busy) => tokio::time::sleep(PAUSE * 4).await,
            // the database is away, or has enough to do
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn step(db: &Db) -> Result<Round, Error> {
    // an idle log costs one look at an index
    if !db.read(is_anything_unnumbered).await? {
        return Ok(Round::Numbered(0));
    }
    db.keep_house(number).await
}
