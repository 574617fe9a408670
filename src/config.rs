//! Settings, from the environment alone. A wrong or missing one stops the start with its name and what was expected.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::http::browsers::Origins;
use crate::http::limits;
use crate::identity::providers::{self, ClaimNames, KeySource};
use crate::logging;
use crate::webhooks::address::Networks;

/// A setting that stops the start: its name and what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The environment, as a function, so that tests need not set theirs.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What `serve` needs.
#[derive(Debug)]
pub struct Config {
    /// `KOMPETENS_ADDRESS`: where clients are served. Default `127.0.0.1:8080`.
    pub address: SocketAddr,
    /// `KOMPETENS_OPERATIONS_ADDRESS`: where operators are served. Default `127.0.0.1:8081`.
    pub operations_address: SocketAddr,
    /// `KOMPETENS_PUBLIC_URL`: scheme and authority under which clients see the service. Default `http://` and the address.
    pub public_url: String,
    /// `KOMPETENS_CONNECTIONS`: how many connections of clients are held at most. Default 4096.
    pub connections: usize,
    /// `KOMPETENS_DATABASE_CONNECTIONS`: connections to the database, with a thread each. Default 8.
    pub database_connections: usize,
    /// `KOMPETENS_WEBHOOK_NETWORKS`: the networks inside that webhooks may reach. Default none.
    pub webhook_networks: Networks,
    /// `KOMPETENS_REQUESTS_PER_MINUTE`, `KOMPETENS_FAILED_LOGINS_PER_MINUTE` and `KOMPETENS_PROXIES`.
    pub limits: limits::Settings,
    /// `KOMPETENS_CORS_ORIGINS`: whose pages may call the service, separated by commas. Default none.
    pub origins: Origins,
    pub mode: Mode,
}

/// Where the database and the identities come from.
#[derive(Debug)]
pub enum Mode {
    /// `--local`: a private PostgreSQL and the built-in issuer, in the data directory.
    Local { data: PathBuf },
    Server {
        database_url: String,
        /// One at least.
        providers: Vec<providers::Settings>,
    },
}

impl Config {
    pub fn read(local: bool, environment: Environment<'_>) -> Result<Config, ConfigError> {
        let address = address(environment, "KOMPETENS_ADDRESS", "127.0.0.1:8080")?;
        let mode = if local {
            if environment("DATABASE_URL").is_some() {
                return Err(ConfigError(
                    "DATABASE_URL: must not be set together with --local, which runs its own PostgreSQL; unset it or leave --local out".to_owned(),
                ));
            }
            Mode::Local {
                data: data(environment),
            }
        } else {
            Mode::Server {
                database_url: database_url(environment)?,
                providers: providers(environment)?,
            }
        };
        Ok(Config {
            operations_address: operations_address(environment)?,
            public_url: public_url(environment, address)?,
            connections: number(environment, "KOMPETENS_CONNECTIONS", 8..=20_000, 4096)?,
            webhook_networks: environment("KOMPETENS_WEBHOOK_NETWORKS")
                .unwrap_or_default()
                .parse()
                .map_err(|error| {
                    ConfigError(format!(
                        "KOMPETENS_WEBHOOK_NETWORKS: expected networks separated by commas, like 10.1.0.0/16,fd00::/8; {error}"
                    ))
                })?,
            database_connections: number(
                environment,
                "KOMPETENS_DATABASE_CONNECTIONS",
                1..=100,
                8,
            )?,
            limits: limits::Settings {
                requests_per_minute: per_minute(environment, "KOMPETENS_REQUESTS_PER_MINUTE")?,
                failed_logins_per_minute: per_minute(
                    environment,
                    "KOMPETENS_FAILED_LOGINS_PER_MINUTE",
                )?,
                proxies: number(environment, "KOMPETENS_PROXIES", 0..=10, 0)?,
            },
            origins: origins(environment)?,
            address,
            mode,
        })
    }
}

/// The identity providers. The names of a second one's settings end in `_2`, those of a third in `_3`, and so on without a gap.
fn providers(environment: Environment<'_>) -> Result<Vec<providers::Settings>, ConfigError> {
    let mut all = vec![provider(environment, "")?];
    while let next = format!("_{}", all.len() + 1)
        && environment(&format!("KOMPETENS_ISSUER{next}")).is_some()
    {
        let provider = provider(environment, &next)?;
        if all.iter().any(|known| known.issuer == provider.issuer) {
            return Err(ConfigError(format!(
                "KOMPETENS_ISSUER{next}: expected another issuer than those before it"
            )));
        }
        all.push(provider);
    }
    Ok(all)
}

/// `KOMPETENS_ISSUER`, `KOMPETENS_AUDIENCE`, one of `KOMPETENS_JWKS_URL` and `KOMPETENS_JWKS_FILE`, and the names of the claims.
fn provider(
    environment: Environment<'_>,
    number: &str,
) -> Result<providers::Settings, ConfigError> {
    let named = |name: &str| format!("{name}{number}");
    let given = |name: &str| environment(&named(name)).filter(|value| !value.trim().is_empty());
    let claim = |name: &str, default: &str| given(name).unwrap_or_else(|| default.to_owned());
    let (url, file) = (given("KOMPETENS_JWKS_URL"), given("KOMPETENS_JWKS_FILE"));
    Ok(providers::Settings {
        issuer: required(
            environment,
            &named("KOMPETENS_ISSUER"),
            "the `iss` of the identity provider's tokens",
        )?,
        audience: required(
            environment,
            &named("KOMPETENS_AUDIENCE"),
            "the `aud` of tokens for this service",
        )?,
        keys: match (url, file) {
            (None, Some(file)) => KeySource::File(file.into()),
            (Some(url), None) if is_trustworthy(&url) => KeySource::Address(url),
            (Some(_), None) => {
                return Err(ConfigError(format!(
                    "{}: expected an address that begins with https:// (http:// only on this machine)",
                    named("KOMPETENS_JWKS_URL")
                )));
            }
            (None, None) => {
                return Err(ConfigError(format!(
                    "{}: missing; expected the address of the identity provider's JWKS (RFC 7517), or its path as {}",
                    named("KOMPETENS_JWKS_URL"),
                    named("KOMPETENS_JWKS_FILE")
                )));
            }
            (Some(_), Some(_)) => {
                return Err(ConfigError(format!(
                    "{}: expected either this or {}, not both",
                    named("KOMPETENS_JWKS_URL"),
                    named("KOMPETENS_JWKS_FILE")
                )));
            }
        },
        claims: ClaimNames {
            person: claim("KOMPETENS_PERSON_CLAIM", "sub"),
            roles: claim("KOMPETENS_ROLES_CLAIM", "roles"),
            units: claim("KOMPETENS_UNITS_CLAIM", "units"),
        },
        fetched_at_most_every: providers::AT_MOST_EVERY,
    })
}

/// Keys that anyone on the way could exchange would let anyone in.
fn is_trustworthy(url: &str) -> bool {
    let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    url.starts_with("https://") || local.iter().any(|local| url.starts_with(local))
}

/// `KOMPETENS_LOG_FORMAT`: `text` (default) or `json`.
pub fn log_format(environment: Environment<'_>) -> Result<logging::Format, ConfigError> {
    match environment("KOMPETENS_LOG_FORMAT").as_deref() {
        None | Some("text") => Ok(logging::Format::Text),
        Some("json") => Ok(logging::Format::Json),
        Some(other) => Err(ConfigError(format!(
            "KOMPETENS_LOG_FORMAT: expected text or json, got {other:?}"
        ))),
    }
}

/// A limit, if it is given; 0: as many as they like.
fn per_minute(environment: Environment<'_>, name: &str) -> Result<Option<u32>, ConfigError> {
    if environment(name).is_none() {
        return Ok(None);
    }
    let given = number(environment, name, 0..=100_000_000, 0)?;
    Ok(Some(u32::try_from(given).unwrap_or(u32::MAX)))
}

fn origins(environment: Environment<'_>) -> Result<Origins, ConfigError> {
    let given = environment("KOMPETENS_CORS_ORIGINS").unwrap_or_default();
    let origins: BTreeSet<String> = given
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        // browsers say it in small letters
        .map(str::to_lowercase)
        .collect();
    match origins.iter().find(|origin| authority(origin).is_none()) {
        None => Ok(Origins(origins)),
        Some(wrong) => Err(ConfigError(format!(
            "KOMPETENS_CORS_ORIGINS: expected origins like https://intranet.example.se, separated by commas, got {wrong:?}"
        ))),
    }
}

/// What stands after the scheme of an address that has nothing more.
fn authority(url: &str) -> Option<&str> {
    let authority = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let is_plain = !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ', '*']);
    is_plain.then_some(authority)
}

/// `DATABASE_URL`: a libpq URL.
pub fn database_url(environment: Environment<'_>) -> Result<String, ConfigError> {
    let url = required(
        environment,
        "DATABASE_URL",
        "postgres://user:password@host/database, or run with --local",
    )?;
    expect_database_url("DATABASE_URL", url)
}

/// `KOMPETENS_MIGRATION_DATABASE_URL`: the same with the role that owns the schema. Default `DATABASE_URL`.
pub fn migration_database_url(environment: Environment<'_>) -> Result<String, ConfigError> {
    match environment("KOMPETENS_MIGRATION_DATABASE_URL") {
        Some(url) => expect_database_url("KOMPETENS_MIGRATION_DATABASE_URL", url),
        None => database_url(environment),
    }
}

fn expect_database_url(name: &str, url: String) -> Result<String, ConfigError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(url)
    } else {
        // the value may hold a password
        Err(ConfigError(format!(
            "{name}: expected postgres://user:password@host/database"
        )))
    }
}

/// `KOMPETENS_DATA`: where `--local` keeps its database and key. Default `./data`.
pub fn data(environment: Environment<'_>) -> PathBuf {
    environment("KOMPETENS_DATA").map_or_else(|| PathBuf::from("data"), PathBuf::from)
}

pub fn operations_address(environment: Environment<'_>) -> Result<SocketAddr, ConfigError> {
    address(
        environment,
        "KOMPETENS_OPERATIONS_ADDRESS",
        "127.0.0.1:8081",
    )
}

fn required(
    environment: Environment<'_>,
    name: &str,
    expected: &str,
) -> Result<String, ConfigError> {
    environment(name)
        .filter(|value| !value.trim().is_empty())
        .ok_or_else(|| ConfigError(format!("{name}: missing; expected {expected}")))
}

fn address(
    environment: Environment<'_>,
    name: &str,
    default: &str,
) -> Result<SocketAddr, ConfigError> {
    let value = environment(name).unwrap_or_else(|| default.to_owned());
    value.parse().map_err(|_| {
        ConfigError(format!(
            "{name}: expected an IP address and a port like {default}, got {value:?}"
        ))
    })
}

fn number(
    environment: Environment<'_>,
    name: &str,
    bounds: RangeInclusive<usize>,
    default: usize,
) -> Result<usize, ConfigError> {
    let Some(value) = environment(name) else {
        return Ok(default);
    };
    value
        .parse()
        .ok()
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| {
            let (least, most) = (bounds.start(), bounds.end());
            ConfigError(format!(
                "{name}: expected a number from {least} to {most}, got {value:?}"
            ))
        })
}

fn public_url(environment: Environment<'_>, address: SocketAddr) -> Result<String, ConfigError> {
    let Some(url) = environment("KOMPETENS_PUBLIC_URL") else {
        return Ok(format!("http://{address}"));
    };
    if authority(&url).is_none() {
        return Err(ConfigError(format!(
            "KOMPETENS_PUBLIC_URL: expected scheme and authority only, like https://kompetens.example.se, got {url:?}"
        )));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(local: bool, set: &[(&str, &str)]) -> Result<Config, String> {
        let environment = |name: &str| {
            set.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::read(local, &environment).map_err(|error| error.0)
    }

    #[test]
    fn local_needs_no_setting() {
        let config = read(true, &[]).unwrap();
        assert_eq!(config.address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.operations_address.to_string(), "127.0.0.1:8081");
        assert_eq!(config.public_url, "http://127.0.0.1:8080");
    }

    #[test]
    fn a_limit_that_is_given_is_told_from_one_that_is_not() {
        let limits = |set: &[(&str, &str)]| {
            let limits = read(true, set).expect("settings").limits;
            (limits.requests_per_minute, limits.failed_logins_per_minute)
        };
        assert_eq!(limits(&[]), (None, None));
        let set = [
            ("KOMPETENS_REQUESTS_PER_MINUTE", "0"),
            ("KOMPETENS_FAILED_LOGINS_PER_MINUTE", "5"),
        ];
        assert_eq!(limits(&set), (Some(0), Some(5)));
    }

    #[test]
    fn a_wrong_or_missing_setting_is_named_with_what_was_expected() {
        let server = [
            ("DATABASE_URL", "postgres://service@db/kompetens"),
            ("KOMPETENS_ISSUER", "https://login.example.se"),
            ("KOMPETENS_AUDIENCE", "kompetens"),
            ("KOMPETENS_JWKS_FILE", "jwks.json"),
        ];
        assert!(read(false, &server).is_ok());
        for (name, _) in server.into_iter().take(3) {
            let rest: Vec<_> = server
                .into_iter()
                .filter(|(known, _)| *known != name)
                .collect();
            let message = read(false, &rest).unwrap_err();
            assert!(
                message.starts_with(&format!("{name}: missing; expected ")),
                "{message}"
            );
        }
        for (name, value) in [
            ("KOMPETENS_ADDRESS", "localhost"),
            ("KOMPETENS_OPERATIONS_ADDRESS", "8081"),
            ("KOMPETENS_REQUESTS_PER_MINUTE", "many"),
            ("KOMPETENS_FAILED_LOGINS_PER_MINUTE", "-1"),
            ("KOMPETENS_PROXIES", "11"),
            ("KOMPETENS_CORS_ORIGINS", "*"),
            ("KOMPETENS_CORS_ORIGINS", "https://a.example.se, intranet"),
            ("KOMPETENS_PUBLIC_URL", "kompetens.example.se"),
            (
                "KOMPETENS_PUBLIC_URL",
                "https://kompetens.example.se/kompetens/v1",
            ),
        ] {
            let message = read(true, &[(name, value)]).unwrap_err();
            assert!(
                message.starts_with(&format!("{name}: expected ")),
                "{message}"
            );
        }
    }

    #[test]
    fn several_identity_providers_are_numbered_and_each_has_keys_from_one_place() {
        let first = [
            ("DATABASE_URL", "postgres://service@db/kompetens"),
            ("KOMPETENS_ISSUER", "https://login.example.se"),
            ("KOMPETENS_AUDIENCE", "kompetens"),
        ];
        let with = |more: &[(&str, &str)]| read(false, &[&first[..], more].concat());
        let second = [
            ("KOMPETENS_JWKS_FILE", "jwks.json"),
            ("KOMPETENS_ISSUER_2", "https://login.energi.example.se"),
            ("KOMPETENS_AUDIENCE_2", "kompetens"),
            (
                "KOMPETENS_JWKS_URL_2",
                "https://login.energi.example.se/keys",
            ),
            ("KOMPETENS_PERSON_CLAIM_2", "employeeId"),
            ("KOMPETENS_ROLES_CLAIM_2", "realm_access.roles"),
        ];
        let Mode::Server { providers, .. } = with(&second).unwrap().mode else {
            panic!("a server");
        };
        let claims: Vec<_> = providers
            .iter()
            .map(|provider| (&*provider.claims.person, &*provider.claims.roles))
            .collect();
        assert_eq!(
            claims,
            [("sub", "roles"), ("employeeId", "realm_access.roles")]
        );

        for (more, complaint) in [
            (&[][..], "KOMPETENS_JWKS_URL: missing; expected "),
            (
                &[("KOMPETENS_JWKS_URL", "http://login.example.se/keys")][..],
                "KOMPETENS_JWKS_URL: expected ",
            ),
            (
                &[
                    ("KOMPETENS_JWKS_FILE", "a"),
                    ("KOMPETENS_JWKS_URL", "https://b"),
                ][..],
                "KOMPETENS_JWKS_URL: expected either",
            ),
            (
                &[
                    second[0],
                    ("KOMPETENS_ISSUER_2", "https://login.example.se"),
                    second[2],
                    second[3],
                ][..],
                "KOMPETENS_ISSUER_2: expected another",
            ),
            (
                &[second[0], second[1]][..],
                "KOMPETENS_AUDIENCE_2: missing; expected ",
            ),
        ] {
            let message = with(more).unwrap_err();
            assert!(message.starts_with(complaint), "{message}");
        }
    }

    #[test]
    fn a_wrong_database_url_is_never_repeated() {
        let message = read(false, &[("DATABASE_URL", "mysql://root:hemligt@db")]).unwrap_err();
        assert!(
            message.starts_with("DATABASE_URL: expected ") && !message.contains("hemligt"),
            "{message}"
        );
    }

    #[test]
    fn local_together_with_a_database_url_stops_the_start() {
        assert!(
            read(true, &[("DATABASE_URL", "postgres://db")])
                .unwrap_err()
                .starts_with("DATABASE_URL: must not be set")
        );
    }
}
