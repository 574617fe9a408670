//! Identity providers (OpenID Connect): who may sign tokens of persons, with which keys, and how their claims are read.
//!
//! A provider's keys are its JWKS (RFC 7517), from an address or a file. They are held in memory and fetched anew by a thread of
//! their own: now and then, and when a token names a key that is not known, at most every ten seconds. A token with a known key never
//! waits; while the provider is down, the keys that were fetched last hold.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::watch;

use crate::http::outbound;

/// Clocks may differ by so much.
pub(super) const LEEWAY_SECONDS: u64 = 30;
/// How often keys are fetched when nobody asks for them.
const REGULARLY: Duration = Duration::from_secs(300);
/// How often at most, when a token names a key that is not known.
pub const AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// How long a provider may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a token with an unknown key waits for that.
const PATIENCE: Duration = Duration::from_secs(2);
const LARGEST_JWKS: u64 = 256 * 1024;
const MOST_KEYS: usize = 100;

/// A provider as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What its tokens say as `iss`.
    pub issuer: String,
    /// What its tokens for this service say as `aud`.
    pub audience: String,
    pub keys: KeySource,
    pub claims: ClaimNames,
    /// Normally [`AT_MOST_EVERY`].
    pub fetched_at_most_every: Duration,
}

/// Where a provider's JWKS is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The text itself, of the built-in issuer.
    Text(String),
    File(PathBuf),
    Address(String),
}

/// Which claims say who the person is. A name with dots is a path into objects, unless a claim is called so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    pub person: String,
    pub roles: String,
    pub units: String,
}

impl Default for ClaimNames {
    fn default() -> ClaimNames {
        ClaimNames {
            person: "sub".to_owned(),
            roles: "roles".to_owned(),
            units: "units".to_owned(),
        }
    }
}

impl ClaimNames {
    /// The claim of this name, by itself or as a path.
    pub fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
        let by_itself = claims.get(name);
        let by_path = || {
            name.split('.')
                .try_fold(claims, |value, part| value.get(part))
        };
        by_itself.or_else(by_path).filter(|value| !value.is_null())
    }
}

pub type Keys = HashMap<String, Arc<(DecodingKey, Validation)>>;

pub struct Provider {
    pub settings: Settings,
    /// None until they have been read once.
    keys: RwLock<Option<Arc<Keys>>>,
    fetching: Mutex<Fetching>,
    attempts: watch::Sender<u64>,
}

struct Fetching {
    wake: Option<mpsc::Sender<()>>,
    under_way: bool,
    last: Option<Instant>,
}

/// What checks the tokens that one key signed.
pub type Key = (DecodingKey, Validation);

/// A key by its `kid`, or why there is none.
pub enum Found {
    Key(Arc<Key>),
    Unknown,
    /// No keys have been fetched yet.
    NoKeys,
}

impl Provider {
    /// Starts to hold its keys. A text or a file that is none stops the start; an address may answer later.
    pub fn start(settings: Settings) -> Result<Arc<Provider>, String> {
        let at_hand = match &settings.keys {
            KeySource::Address(_) => None,
            KeySource::Text(_) | KeySource::File(_) => Some(Arc::new(fetch(&settings)?)),
        };
        let is_constant = matches!(settings.keys, KeySource::Text(_));
        let (wake, woken) = mpsc::channel();
        let provider = Arc::new(Provider {
            fetching: Mutex::new(Fetching {
                wake: (!is_constant).then_some(wake),
                under_way: at_hand.is_none(),
                last: None,
            }),
            keys: RwLock::new(at_hand),
            attempts: watch::Sender::new(0),
            settings,
        });
        if !is_constant {
            let held = Arc::downgrade(&provider);
            std::thread::Builder::new()
                .name("keys".to_owned())
                .spawn(move || keep(&held, &woken))
                .map_err(|error| format!("a thread could not be started: {error}"))?;
        }
        Ok(provider)
    }

    /// The key of this `kid`. One that is not known is asked for, and waited for briefly.
    pub async fn key(&self, kid: &str) -> Found {
        match self.known(kid) {
            Found::Key(key) => return Found::Key(key),
            Found::Unknown | Found::NoKeys => {}
        }
        let mut attempts = self.attempts.subscribe();
        if self.ask() {
            let _ = tokio::time::timeout(PATIENCE, attempts.changed()).await;
        }
        self.known(kid)
    }

    /// The key of this `kid` if it is at hand.
    pub(super) fn known(&self, kid: &str) -> Found {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match keys.as_ref() {
            None => Found::NoKeys,
            Some(keys) => keys
                .get(kid)
                .map_or(Found::Unknown, |key| Found::Key(key.clone())),
        }
    }

    /// Asks for the keys, unless that was done a moment ago; is it being done?
    fn ask(&self) -> bool {
        let mut fetching = self.fetching();
        let rested = fetching
            .last
            .is_none_or(|last| last.elapsed() >= self.settings.fetched_at_most_every);
        if !fetching.under_way && rested {
            fetching.under_way = fetching
                .wake
                .as_ref()
                .is_some_and(|wake| wake.send(()).is_ok());
        }
        fetching.under_way
    }

    /// Fetches the keys now, on the thread that is for it.
    fn fetch(&self) {
        match fetch(&self.settings) {
            Ok(keys) => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
            }
            Err(error) => log::warn!(
                "the keys of {} could not be fetched, what was fetched before holds: {error}",
                self.settings.issuer
            ),
        }
        let mut fetching = self.fetching();
        fetching.under_way = false;
        fetching.last = Some(Instant::now());
        drop(fetching);
        self.attempts.send_modify(|number| *number += 1);
    }

    /// How long to rest when nobody asks.
    fn rest(&self) -> Duration {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match *keys {
            Some(_) => REGULARLY,
            None => self.settings.fetched_at_most_every,
        }
    }

    fn fetching(&self) -> std::sync::MutexGuard<'_, Fetching> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread of a provider does, for as long as the provider is there.
fn keep(provider: &Weak<Provider>, woken: &mpsc::Receiver<()>) {
    let mut rest = Duration::ZERO;
    if let Some(provider) = provider.upgrade()
        && !provider.fetching().under_way
    {
        rest = provider.rest();
    }
    loop {
        if woken.recv_timeout(rest) == Err(mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
        let Some(provider) = provider.upgrade() else {
            return;
        };
        provider.fetching().under_way = true;
        provider.fetch();
        rest = provider.rest();
    }
}

fn fetch(settings: &Settings) -> Result<Keys, String> {
    let text = match &settings.keys {
        KeySource::Text(text) => text.clone(),
        KeySource::File(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
        }
        KeySource::Address(address) => download(address)?,
    };
    read(&text, settings).map_err(|error| match &settings.keys {
        KeySource::File(path) => format!("{}: {error}", path.display()),
        _ => error,
    })
}

fn download(address: &str) -> Result<String, String> {
    let failed = |error: ureq::Error| error.to_string();
    let mut response = outbound::agent(FETCH_TIMEOUT)
        .get(address)
        .header("Accept", "application/json")
        .call()
        .map_err(failed)?;
    if response.status() != 200 {
        return Err(format!("the answer was {}", response.status()));
    }
    response
        .body_mut()
        .with_config()
        .limit(LARGEST_JWKS)
        .read_to_string()
        .map_err(failed)
}

/// The keys of a JWKS that may sign: those for other uses, of other kinds or without `kid` are passed over, as RFC 7517 asks.
fn read(jwks: &str, settings: &Settings) -> Result<Keys, String> {
    let set: Value =
        serde_json::from_str(jwks).map_err(|error| format!("not a JWKS (RFC 7517): {error}"))?;
    let listed = set["keys"]
        .as_array()
        .ok_or("not a JWKS (RFC 7517): it has no list \"keys\"")?;
    let mut keys = Keys::new();
    let mut passed_over = Vec::new();
    for (position, listed) in listed.iter().enumerate().take(MOST_KEYS) {
        match signing_key(listed, settings) {
            Ok((kid, key)) => {
                if keys.insert(kid.clone(), Arc::new(key)).is_some() {
                    return Err(format!("two keys have the kid {kid}"));
                }
            }
            Err(reason) => passed_over.push(format!("key {position} {reason}")),
        }
    }
    if keys.is_empty() {
        let reasons = passed_over.join("; ");
        return Err(format!("the JWKS holds no key that can be used {reasons}"));
    }
    Ok(keys)
}

fn signing_key(
    listed: &Value,
    settings: &Settings,
) -> Result<(String, (DecodingKey, Validation)), String> {
    let jwk: Jwk =
        serde_json::from_value(listed.clone()).map_err(|error| format!("is not a JWK: {error}"))?;
    let kid = jwk.common.key_id.clone().ok_or("has no kid")?;
    let algorithm = algorithm(&jwk).ok_or("is not an RSA, EC or Ed25519 key for signatures")?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|error| format!("cannot be read: {error}"))?;
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY_SECONDS;
    Ok((kid, (key, validation)))
}

/// The one algorithm of a key: what it says, else what its type implies. Symmetric keys have none.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return None;
    }
    let implied = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => {
            Algorithm::ES384
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    match (jwk.common.key_algorithm, implied) {
        (None, implied) => Some(implied),
        (Some(KeyAlgorithm::RS256), Algorithm::RS256) => Some(Algorithm::RS256),
        (Some(KeyAlgorithm::RS384), Algorithm::RS256) => Some(Algorithm::RS384),
        (Some(KeyAlgorithm::RS512), Algorithm::RS256) => Some(Algorithm::RS512),
        (Some(KeyAlgorithm::PS256), Algorithm::RS256) => Some(Algorithm::PS256),
        (Some(KeyAlgorithm::PS384), Algorithm::RS256) => Some(Algorithm::PS384),
        (Some(KeyAlgorithm::PS512), Algorithm::RS256) => Some(Algorithm::PS512),
        (Some(KeyAlgorithm::ES256), Algorithm::ES256) => Some(Algorithm::ES256),
        (Some(KeyAlgorithm::ES384), Algorithm::ES384) => Some(Algorithm::ES384),
        (Some(KeyAlgorithm::EdDSA), Algorithm::EdDSA) => Some(Algorithm::EdDSA),
        _ => None,
    }
}
