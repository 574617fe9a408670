//! Settings, from the environment alone. A wrong or missing one stops the start with its name and what was expected.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

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
    pub mode: Mode,
}

/// Where the database and the identities come from.
#[derive(Debug)]
pub enum Mode {
    /// `--local`: a private PostgreSQL and the built-in issuer, in the data directory.
    Local { data: PathBuf },
    Server {
        database_url: String,
        issuer: String,
        audience: String,
        jwks_file: PathBuf,
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
                issuer: required(
                    environment,
                    "KOMPETENS_ISSUER",
                    "the `iss` of the identity provider's tokens",
                )?,
                audience: required(
                    environment,
                    "KOMPETENS_AUDIENCE",
                    "the `aud` of tokens for this service",
                )?,
                jwks_file: required(
                    environment,
                    "KOMPETENS_JWKS_FILE",
                    "the path of the identity provider's JWKS (RFC 7517)",
                )?
                .into(),
            }
        };
        Ok(Config {
            operations_address: operations_address(environment)?,
            public_url: public_url(environment, address)?,
            connections: number(environment, "KOMPETENS_CONNECTIONS", 8..=20_000, 4096)?,
            database_connections: number(
                environment,
                "KOMPETENS_DATABASE_CONNECTIONS",
                1..=100,
                8,
            )?,
            address,
            mode,
        })
    }
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
    let authority = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .unwrap_or_default();
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
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
    fn a_wrong_or_missing_setting_is_named_with_what_was_expected() {
        let server = [
            ("DATABASE_URL", "postgres://service@db/kompetens"),
            ("KOMPETENS_ISSUER", "https://login.example.se"),
            ("KOMPETENS_AUDIENCE", "kompetens"),
            ("KOMPETENS_JWKS_FILE", "jwks.json"),
        ];
        assert!(read(false, &server).is_ok());
        for (name, _) in server {
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
