//! Idempotency-Key: the same request sent again is answered again and done once.
//!
//! The record lies in the transaction of the write itself, so that both are there or neither. Only 2xx are kept, for 24 hours;
//! refusals are judged anew. A secret is never kept: its answer is stored without a body, and the replay refused.

use chrono::{DateTime, Duration, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::upsert::excluded;

use super::answer::Answer;
use super::call::Call;
use crate::db::Db;
use crate::db::schema::idempotency_records as records;
use crate::error::{At, Code, Error};

define_sql_function! {
    /// Locks until the transaction ends, or says at once that another has the lock.
    fn pg_try_advisory_xact_lock(key: BigInt) -> Bool;
}

/// How long an answer is kept.
const KEPT: Duration = Duration::hours(24);

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = records, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
struct Record {
    caller: String,
    key: String,
    fingerprint: Vec<u8>,
    status: i16,
    location: Option<String>,
    etag: Option<String>,
    body: Vec<u8>,
    created_at: DateTime<Utc>,
}

impl Call {
    /// Runs the use case, or replays its answer when this caller's key was used for the same request before.
    ///
    /// To be called after the caller's right to it has been checked.
    pub fn once(
        &self,
        conn: &mut PgConnection,
        use_case: impl Fn(&mut PgConnection) -> Result<Answer, Error>,
    ) -> Result<Answer, Error> {
        let Some(key) = &self.key else {
            return use_case(conn);
        };
        let caller = self.actor.name();

        let had: bool = diesel::select(pg_try_advisory_xact_lock(lock_number(caller, &key.key)))
            .get_result(conn)?;
        if !had {
            return Err(Error::new(Code::KeyInUse));
        }
        if let Some(record) = self.record(conn, &key.key)? {
            if record.fingerprint != key.fingerprint {
                return Err(Error::at(Code::KeyReused, At::Header("Idempotency-Key")));
            }
            if record.body.is_empty() {
                let refused = Error::new(Code::SecretAlreadyShown);
                return Err(match record.location {
                    Some(location) => refused.header("Location", location),
                    None => refused,
                });
            }
            return Ok(Answer {
                status: record.status.unsigned_abs(),
                location: record.location,
                etag: record.etag,
                link: None,
                content_type: "application/json",
                body: record.body,
                replayed: true,
                shows_secret: false,
            });
        }

        let answer = use_case(conn)?;
        let record = Record {
            caller: caller.to_owned(),
            key: key.key.clone(),
            fingerprint: key.fingerprint.clone(),
            status: i16::try_from(answer.status).map_err(Error::internal)?,
            location: answer.location.clone(),
            etag: answer.etag.clone(),
            // no answer of ours is empty but one whose secret is withheld
            body: if answer.shows_secret {
                Vec::new()
            } else {
                answer.body.clone()
            },
            created_at: self.now,
        };
        diesel::insert_into(records::table)
            .values(&record)
            .on_conflict((records::caller, records::key))
            .do_update()
            .set((
                records::fingerprint.eq(excluded(records::fingerprint)),
                records::status.eq(excluded(records::status)),
                records::location.eq(excluded(records::location)),
                records::etag.eq(excluded(records::etag)),
                records::body.eq(excluded(records::body)),
                records::created_at.eq(excluded(records::created_at)),
            ))
            .execute(conn)?;
        Ok(answer)
    }

    /// Has this caller's key its answer? Then the request makes nothing new: it is replayed or refused.
    pub fn is_answered(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        match &self.key {
            Some(key) => Ok(self.record(conn, &key.key)?.is_some()),
            None => Ok(false),
        }
    }

    fn record(&self, conn: &mut PgConnection, key: &str) -> Result<Option<Record>, Error> {
        Ok(records::table
            .find((self.actor.name(), key))
            .filter(records::created_at.gt(self.now - KEPT))
            .select(Record::as_select())
            .first(conn)
            .optional()?)
    }
}

/// Removes records past their day, every few minutes, for as long as the service runs.
pub async fn forget_regularly(db: Db) {
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        // while the database is away there is nothing to forget
        let _ = db.keep_house(forget_expired).await;
    }
}

fn forget_expired(conn: &mut PgConnection) -> Result<(), Error> {
    let expired = records::table.filter(records::created_at.lt(Utc::now() - KEPT));
    diesel::delete(expired).execute(conn)?;
    Ok(())
}

fn lock_number(caller: &str, key: &str) -> i64 {
    let text = format!("{caller}\0{key}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | i64::from(*byte))
}
