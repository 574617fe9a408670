//! What every instance keeps in memory because it is asked for with each request: today, the credentials of machines.
//!
//! One row of `reference_versions` for each such thing says whether it has changed; a trigger counts it up in the transaction that
//! changes the thing. The rows are read each second, over a connection of their own, so that neither a full house nor a request waits
//! for it. What a write is judged by is not kept here: that is read in its transaction.
//!
//! To keep one thing more: a row and triggers in a migration, a [`Kept`] in [`References`], and its line in `References::refresh`.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

use crate::db::Db;
use crate::db::schema::reference_versions;
use crate::error::Error;
use crate::identity::clients;

/// How often the versions are read.
const EVERY: Duration = Duration::from_secs(1);
/// How often at most, when what is not known is asked for.
const AT_MOST_EVERY: Duration = Duration::from_millis(250);
/// How long a request waits for them.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everything that is kept.
pub struct References {
    pub clients: Kept<clients::Secrets>,
    asked: Notify,
    begun: AtomicU64,
    finished: watch::Sender<u64>,
}

impl Default for References {
    fn default() -> References {
        References {
            clients: Kept::new("apiClients", clients::queries::secrets),
            asked: Notify::new(),
            begun: AtomicU64::new(0),
            finished: watch::Sender::new(0),
        }
    }
}

impl References {
    /// Reads what has changed since it was last read, on one snapshot.
    fn refresh(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let began = Instant::now();
        let versions: Vec<(String, i64)> = reference_versions::table.load(conn)?;
        let versions = versions.into_iter().collect();
        self.clients.refresh(conn, &versions, began)
    }

    /// Keeps everything true, for as long as the service runs. While the database is away, what was last true is held.
    pub async fn keep(self: Arc<Self>, db: Db) {
        loop {
            let began = Instant::now();
            let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
            let references = self.clone();
            let _ = db.snapshot(move |conn| references.refresh(conn)).await;
            self.finished.send_replace(number);
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.asked.notified() => tokio::time::sleep_until((began + AT_MOST_EVERY).into()).await,
            }
        }
    }

    /// Waits until what the database says from now on has been read, or for a second.
    pub async fn refreshed(&self) {
        let mut finished = self.finished.subscribe();
        let next = self.begun.load(Ordering::Acquire) + 1;
        self.asked.notify_one();
        let _ = tokio::time::timeout(PATIENCE, finished.wait_for(|number| *number >= next)).await;
    }
}

/// One thing that is kept.
pub struct Kept<T> {
    name: &'static str,
    load: fn(&mut PgConnection) -> Result<T, Error>,
    held: RwLock<Option<Held<T>>>,
}

struct Held<T> {
    value: Arc<T>,
    version: i64,
    /// When the database last said that this is what stands.
    confirmed: Instant,
}

impl<T> Kept<T> {
    fn new(name: &'static str, load: fn(&mut PgConnection) -> Result<T, Error>) -> Kept<T> {
        Kept {
            name,
            load,
            held: RwLock::new(None),
        }
    }

    /// What stood at most so long ago; nothing when the database has not been heard of since.
    pub fn get(&self, age: Duration) -> Option<Arc<T>> {
        let held = self
            .held
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        held.as_ref()
            .filter(|held| held.confirmed.elapsed() <= age)
            .map(|held| held.value.clone())
    }

    fn refresh(
        &self,
        conn: &mut PgConnection,
        versions: &HashMap<String, i64>,
        began: Instant,
    ) -> Result<(), Error> {
        let version = *versions
            .get(self.name)
            .ok_or_else(|| Error::internal(format!("no version of {}", self.name)))?;
        if let Some(held) = self.held().as_mut()
            && held.version == version
        {
            held.confirmed = began;
            return Ok(());
        }
        let value = Arc::new((self.load)(conn)?);
        *self.held() = Some(Held {
            value,
            version,
            confirmed: began,
        });
        Ok(())
    }

    fn held(&self) -> std::sync::RwLockWriteGuard<'_, Option<Held<T>>> {
        self.held
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
