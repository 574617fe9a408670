//! Bearer tokens (RFC 6750): of persons, JWTs (RFC 7519) of an identity provider for this service, signed with one asymmetric
//! algorithm per key; of machines, the secrets of API clients. And the built-in issuer that `serve --local` and trying out use.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

use super::clients::{self, Uses, Verdict};
use super::providers::{ClaimNames, Found, KeySource, LEEWAY_SECONDS, Provider, Settings};
use super::remembered::{Known, Remembered};
use super::{Actor, CLIENT, Identity, Integration, SYSTEM};
use crate::error::{Code, Error};
use crate::http::json_text;
use crate::references::References;
use crate::rules::access::Role;
use crate::rules::personal_number;

/// The issuer and audience of the built-in issuer.
pub const LOCAL_ISSUER: &str = "https://kompetens.example.se/local";
pub const LOCAL_AUDIENCE: &str = "kompetens";

/// A longer token is refused unread.
const LONGEST_TOKEN: usize = 8 * 1024;
/// How long the secrets of machines hold while the database does not answer.
pub const SECRETS_HOLD: std::time::Duration = std::time::Duration::from_secs(300);
/// A longer personRef is refused.
const LONGEST_PERSON_REF: usize = 100;

/// Everything by which callers are known: the providers of persons' tokens, and the secrets of machines.
pub struct Verifier {
    providers: Vec<Arc<Provider>>,
    references: Arc<References>,
    pub uses: Arc<Uses>,
    remembered: Remembered,
    /// Normally [`SECRETS_HOLD`].
    pub secrets_hold: std::time::Duration,
}

impl Verifier {
    pub fn new(providers: Vec<Arc<Provider>>, references: Arc<References>) -> Verifier {
        Verifier {
            providers,
            references,
            uses: Arc::default(),
            remembered: Remembered::default(),
            secrets_hold: SECRETS_HOLD,
        }
    }

    /// The caller behind a value of the header `Authorization`, or 401. Takes no database thread.
    pub async fn actor(
        &self,
        authorization: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Actor, Error> {
        let (scheme, token) = authorization
            .and_then(|value| value.split_once(' '))
            .unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            // RFC 6750: who sends no credentials is told no error
            return Err(Error::new(Code::Unauthenticated));
        }
        let token = token.trim();
        if token.len() > LONGEST_TOKEN {
            Err(invalid_token())
        } else if token.starts_with(clients::PREFIX) {
            let integration = self.integration(token, now).await?;
            Ok(Actor::Integration(integration))
        } else {
            self.identity(token).await.map(Actor::Person)
        }
    }

    /// The machine whose secret this is. A secret that was made a moment ago is looked for once more; with the database down, those
    /// that were good hold for five minutes.
    async fn integration(
        &self,
        secret: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Integration>, Error> {
        let judge = || {
            let known = self.references.clients.get(self.secrets_hold);
            known.map(|known| known.judge(secret, now))
        };
        let mut verdict = judge();
        if matches!(verdict, None | Some(Verdict::Unknown)) {
            self.references.refreshed().await;
            verdict = judge();
        }
        match verdict {
            Some(Verdict::Good(id, integration)) => {
                self.uses.note(id, now);
                Ok(integration)
            }
            Some(_) => Err(invalid_token()),
            None => Err(Error::new(Code::DatabaseUnavailable)),
        }
    }

    /// The person that a JWT is about.
    async fn identity(&self, token: &str) -> Result<Identity, Error> {
        if let Some(identity) = self.remembered.get(token) {
            return Ok(identity);
        }
        let (kid, issuer) = names(token).ok_or_else(invalid_token)?;
        let provider = self
            .providers
            .iter()
            .find(|provider| provider.settings.issuer == issuer)
            .ok_or_else(invalid_token)?;
        let key = match provider.key(&kid).await {
            Found::Key(key) => key,
            Found::Unknown => return Err(invalid_token()),
            Found::NoKeys => return Err(Error::new(Code::IdentityProviderUnavailable)),
        };
        let claims = jsonwebtoken::decode::<Value>(token, &key.0, &key.1)
            .map_err(|_| invalid_token())?
            .claims;
        let identity = identity(&claims, &provider.settings.claims).ok_or_else(invalid_token)?;
        let known = Known {
            identity: identity.clone(),
            // a token may be good for longer than numbers go
            expires: (claims["exp"].as_f64().unwrap_or_default() as i64)
                .saturating_add(LEEWAY_SECONDS as i64),
            provider: provider.clone(),
            kid,
            key,
        };
        self.remembered.keep(token, known);
        Ok(identity)
    }
}

/// 401 for a token that is no good, whatever is wrong with it.
fn invalid_token() -> Error {
    Error::new(Code::Unauthenticated).header(
        "WWW-Authenticate",
        "Bearer error=\"invalid_token\"".to_owned(),
    )
}

/// The `kid` and `iss` by which the key is found. A part that names a member twice, or a header that asks for what is not known
/// here (`crit`), is refused; where else a key might lie (`jku`, `jwk`, `x5u`) is not looked at.
fn names(token: &str) -> Option<(String, String)> {
    let mut parts = token.split('.').take(2).map(|part| {
        let text = URL_SAFE_NO_PAD.decode(part).ok()?;
        json_text::parse(&text).ok()
    });
    let (header, claims) = (parts.next()??, parts.next()??);
    if header.get("crit").is_some() {
        return None;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some((text(&header["kid"])?, text(&claims["iss"])?))
}

/// Who the claims say that the person is: roles and units are lists or absent. An identity provider may know roles that are not ours.
fn identity(claims: &Value, names: &ClaimNames) -> Option<Identity> {
    let list = |name: &str| match ClaimNames::find(claims, name) {
        None => Some(Vec::new()),
        Some(value) => Vec::<String>::deserialize(value).ok(),
    };
    let person_ref = ClaimNames::find(claims, &names.person)?.as_str()?;
    let units: Result<_, _> = list(&names.units)?
        .iter()
        .map(|unit| Uuid::try_parse(unit))
        .collect();
    is_person_ref(person_ref).then_some(Identity {
        person_ref: person_ref.to_owned(),
        roles: list(&names.roles)?
            .iter()
            .filter_map(|name| role(name))
            .chain([Role::Employee])
            .collect(),
        units: units.ok()?,
    })
}

/// Could a person of the group be called so? What could not would stand in the change log as nobody, or as the service itself.
pub fn is_person_ref(sub: &str) -> bool {
    (1..=LONGEST_PERSON_REF).contains(&sub.chars().count())
        && !sub.chars().any(|c| c.is_whitespace() || c.is_control())
        && sub != SYSTEM
        && !sub.starts_with(CLIENT)
        && !personal_number::contains_personal_number(sub)
}

/// A role by its name on the wire.
pub fn role(name: &str) -> Option<Role> {
    serde_json::from_value(serde_json::Value::from(name)).ok()
}

/// A signing key on disk, for the built-in issuer and for trying out.
pub struct Issuer {
    key: EncodingKey,
    kid: String,
    /// The public half as a JWKS.
    pub jwks: String,
}

impl Issuer {
    /// The file names in a directory of [`Issuer::create`].
    pub const KEY_FILE: &str = "key.pem";
    pub const JWKS_FILE: &str = "jwks.json";

    /// Writes a new Ed25519 key and its JWKS into the directory; keeps a key that is there.
    pub fn create(directory: &Path) -> Result<Issuer, String> {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let path = directory.join(Self::KEY_FILE);
        if !path.exists() {
            let pair = Ed25519KeyPair::generate().map_err(|_| "no key could be made".to_owned())?;
            let der = pair
                .to_pkcs8v1()
                .map_err(|_| "no key could be made".to_owned())?;
            let pem = format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                STANDARD.encode(der.as_ref())
            );
            // written aside and renamed, so that a killed program leaves no half a key
            let half = directory.join(format!(".key-{}", std::process::id()));
            let written = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&half)
                .and_then(|mut file| file.write_all(pem.as_bytes()))
                .and_then(|()| std::fs::rename(&half, &path));
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let issuer = Issuer::open(&path)?;
        let jwks = directory.join(Self::JWKS_FILE);
        std::fs::write(&jwks, &issuer.jwks)
            .map_err(|error| format!("{}: {error}", jwks.display()))?;
        Ok(issuer)
    }

    /// Opens a key that [`Issuer::create`] wrote.
    pub fn open(key_file: &Path) -> Result<Issuer, String> {
        let problem = |what: &str| {
            format!(
                "{}: {what}; expected an Ed25519 key that `kompetens token --new-key DIR` wrote",
                key_file.display()
            )
        };
        let pem = std::fs::read_to_string(key_file).map_err(|error| problem(&error.to_string()))?;
        let base64: String = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = STANDARD.decode(base64).map_err(|_| problem("not PEM"))?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| problem("not such a key"))?;
        let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        // the thumbprint of RFC 7638, so that a key always has the same kid
        let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            thumbprint.as_bytes(),
        ));
        let jwks = serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public, "kid": kid, "alg": "EdDSA", "use": "sig"}]});
        let key =
            EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| problem("not such a key"))?;
        Ok(Issuer {
            key,
            kid,
            jwks: format!("{jwks:#}\n"),
        })
    }

    /// The built-in issuer as a provider of tokens.
    pub fn provider(&self) -> Settings {
        Settings {
            issuer: LOCAL_ISSUER.to_owned(),
            audience: LOCAL_AUDIENCE.to_owned(),
            keys: KeySource::Text(self.jwks.clone()),
            claims: ClaimNames::default(),
            fetched_at_most_every: super::providers::AT_MOST_EVERY,
        }
    }

    /// A token for a person with roles and units, good for `lifetime` from `now`.
    pub fn token(
        &self,
        identity: &Identity,
        issuer: &str,
        audience: &str,
        now: DateTime<Utc>,
        lifetime: Duration,
    ) -> Result<String, String> {
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let claims = serde_json::json!({
            "sub": identity.person_ref,
            "roles": identity.roles,
            "units": identity.units,
            "iss": issuer,
            "aud": audience,
            "iat": now.timestamp(),
            "exp": (now + lifetime).timestamp(),
        });
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|error| format!("no token could be signed: {error}"))
    }
}
