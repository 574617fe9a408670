//! Requests that the service itself sends, such as for the keys of identity providers.
//!
//! The client blocks, so it belongs on threads of its own, never on those that serve. TLS is rustls over aws-lc-rs, the crypto that
//! identity uses too; whom the operating system trusts is trusted (`SSL_CERT_FILE` and `SSL_CERT_DIR` say otherwise).

use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// A client that follows no redirect, takes any status for an answer, and gives up after so long in all.
pub fn agent(timeout: Duration) -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("kompetens/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .into()
}
