//! Tokens whose signature was checked before: checking one costs more than reading an event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;

use super::Identity;
use super::providers::{Found, Key, Provider};

/// How many are remembered at most.
const MOST: usize = 10_000;

/// Who the tokens are about, by SHA-256 of the token, so that no token lies in memory.
#[derive(Default)]
pub struct Remembered(Mutex<HashMap<[u8; 32], Known>>);

/// A token that was good: it is so until it expires, and while its key is the provider's.
pub struct Known {
    pub identity: Identity,
    /// In seconds since 1970, with the leeway for clocks that differ.
    pub expires: i64,
    pub provider: Arc<Provider>,
    pub kid: String,
    pub key: Arc<Key>,
}

impl Known {
    fn is_good(&self) -> bool {
        let holds = |found: Found| matches!(found, Found::Key(key) if Arc::ptr_eq(&key, &self.key));
        Utc::now().timestamp() < self.expires && holds(self.provider.known(&self.kid))
    }
}

impl Remembered {
    /// The person of a token that was good and still is.
    pub fn get(&self, token: &str) -> Option<Identity> {
        let known = self.known();
        let known = known.get(&digest(token))?;
        known.is_good().then(|| known.identity.clone())
    }

    pub fn keep(&self, token: &str, new: Known) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.retain(|_, known| known.is_good());
        }
        if known.len() >= MOST {
            // so many at once: begin anew, and check each again
            known.clear();
        }
        known.insert(digest(token), new);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(token: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
