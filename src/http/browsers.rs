//! What browsers are told: which other sites' pages may call the service (CORS), and what a page that it serves may do.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeSet;

/// Swagger UI brings its own scripts, and sets styles in place.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// An answer of the API is no page.
const ANSWER_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// What a page may send with a request, and read of an answer.
const SENT: &str = "Accept, Accept-Language, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, traceparent, X-Request-Id";
const READ: &str = "Allow, Content-Disposition, Content-Language, ETag, Idempotency-Replayed, Link, Location, Retry-After, \
                    traceparent, WWW-Authenticate, X-Request-Id";
/// For how long a browser may remember what it may send, in seconds.
const REMEMBERED: &str = "600";

/// The origins whose pages may call the service, like `https://intranet.hedemora.example`. None: no other site's.
///
/// The service knows no cookies, so a page shows a token of its own or gets 401, from any origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub BTreeSet<String>);

/// What a request of a browser says of itself.
pub struct Visit {
    origin: Option<HeaderValue>,
    asks_first: bool,
}

impl Visit {
    pub fn of(headers: &HeaderMap) -> Visit {
        Visit {
            origin: headers.get(header::ORIGIN).cloned(),
            asks_first: headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
        }
    }
}

impl Origins {
    /// Adds to an answer what the visitor's page may do with it.
    pub fn allow(&self, visit: &Visit, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = visit.origin.as_ref().filter(|origin| self.knows(origin)) else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if let Some(methods) = headers.get(header::ALLOW).cloned()
            && visit.asks_first
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            for (name, value) in [
                (header::ACCESS_CONTROL_ALLOW_HEADERS, SENT),
                (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        } else {
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(READ),
            );
        }
    }

    fn knows(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.0.contains(origin))
    }
}

/// Every answer is read as what it says it is, framed by nobody, kept by nobody but the caller, and tells no other site where it was.
pub fn protect(headers: &mut HeaderMap, is_page: bool, behind_tls: bool) {
    let policy = if is_page { PAGE_POLICY } else { ANSWER_POLICY };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if behind_tls {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if !is_page && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        );
    }
}
