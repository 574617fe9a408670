//! Bearer tokens: JWTs (RFC 7519) of one issuer for one audience, signed with one asymmetric algorithm per key;
//! and the built-in issuer that `serve --local` and trying out use.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use uuid::Uuid;

use super::{Actor, CLIENT, Identity, SYSTEM};
use crate::error::{Code, Error};
use crate::rules::access::Role;
use crate::rules::personal_number;

/// The issuer and audience of the built-in issuer.
pub const LOCAL_ISSUER: &str = "https://kompetens.example.se/local";
pub const LOCAL_AUDIENCE: &str = "kompetens";

/// Clocks may differ by so much.
const LEEWAY_SECONDS: u64 = 30;
/// A longer token is refused unread.
const LONGEST_TOKEN: usize = 8 * 1024;
/// A longer personRef is refused.
const LONGEST_PERSON_REF: usize = 100;

/// What may sign for the service: the keys by their `kid`, and what every token must say.
pub struct Verifier {
    keys: HashMap<String, (DecodingKey, Validation)>,
}

/// What the service takes from a token; what else it must say is checked by [`Validation`].
#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    units: Vec<Uuid>,
}

impl Verifier {
    /// Reads a JWKS (RFC 7517). Keys without `kid` or for other uses than signatures are refused by name.
    pub fn new(jwks: &str, issuer: &str, audience: &str) -> Result<Verifier, String> {
        let set: JwkSet = serde_json::from_str(jwks)
            .map_err(|error| format!("not a JWKS (RFC 7517): {error}"))?;
        let mut keys = HashMap::new();
        for (position, jwk) in set.keys.iter().enumerate() {
            let kid = jwk
                .common
                .key_id
                .clone()
                .ok_or(format!("key {position} has no kid"))?;
            let algorithm = algorithm(jwk).ok_or(format!(
                "key {kid} is not an RSA, EC or Ed25519 signature key"
            ))?;
            let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {kid}: {error}"))?;
            let mut validation = Validation::new(algorithm);
            validation.set_issuer(&[issuer]);
            validation.set_audience(&[audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.validate_nbf = true;
            validation.leeway = LEEWAY_SECONDS;
            if keys.insert(kid.clone(), (key, validation)).is_some() {
                return Err(format!("two keys have the kid {kid}"));
            }
        }
        if keys.is_empty() {
            return Err("the JWKS holds no key".to_owned());
        }
        Ok(Verifier { keys })
    }

    /// The caller behind a value of the header `Authorization`, or 401.
    pub fn actor(&self, authorization: Option<&str>) -> Result<Actor, Error> {
        let (scheme, token) = authorization
            .and_then(|value| value.split_once(' '))
            .unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > LONGEST_TOKEN {
            return Err(Error::new(Code::Unauthenticated));
        }
        self.claims(token.trim())
            .and_then(|claims| is_person_ref(&claims.sub).then_some(claims))
            .map(|claims| {
                Actor::Person(Identity {
                    person_ref: claims.sub,
                    // an identity provider may know roles that are not ours
                    roles: claims
                        .roles
                        .iter()
                        .filter_map(|name| role(name))
                        .chain([Role::Employee])
                        .collect(),
                    units: claims.units.into_iter().collect::<BTreeSet<_>>(),
                })
            })
            .ok_or_else(|| {
                Error::new(Code::Unauthenticated).header(
                    "WWW-Authenticate",
                    "Bearer error=\"invalid_token\"".to_owned(),
                )
            })
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let (key, validation) = self.keys.get(&kid)?;
        jsonwebtoken::decode::<Claims>(token, key, validation)
            .ok()
            .map(|data| data.claims)
    }
}

/// Could a person of the group be called so? What could not would stand in the change log as nobody, or as the service itself.
fn is_person_ref(sub: &str) -> bool {
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

/// The one algorithm of a key: what it says, else what its type implies. Symmetric keys have none.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    use jsonwebtoken::jwk::{KeyAlgorithm, PublicKeyUse};
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
