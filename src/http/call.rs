//! One call of an operation: who asks, when, under which conditions. Made once a request is admitted; the use cases take it,
//! and so does the demo loader, which passes moments of the past.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::future::{Ready, ready};
use std::sync::Arc;

use crate::error::{Code, Error};
use crate::identity::Actor;
use crate::rules::calendar;

#[derive(Debug, Clone)]
pub struct Call {
    pub actor: Arc<Actor>,
    /// The person whose request or entry it is, when another makes it for them; see [`Call::authored`].
    pub on_behalf_of: Option<String>,
    /// To the microsecond, as PostgreSQL keeps it.
    pub now: DateTime<Utc>,
    pub request_id: String,
    pub if_match: Option<IfMatch>,
    /// `If-None-Match: *`: only create.
    pub only_create: bool,
    pub key: Option<Arc<Key>>,
}

/// The header `If-Match` of a change: the revision it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    Revision(i32),
    /// `*`: whatever stands.
    Any,
}

/// An Idempotency-Key and the request that it was sent with.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    pub key: String,
    /// SHA-256 over method, path, query and body.
    pub fingerprint: Vec<u8>,
}

impl Call {
    pub fn new(actor: Actor, now: DateTime<Utc>, request_id: &str) -> Call {
        Call {
            actor: Arc::new(actor),
            on_behalf_of: None,
            now: now.trunc_subsecs(6),
            request_id: request_id.to_owned(),
            if_match: None,
            only_create: false,
            key: None,
        }
    }

    /// Today in Stockholm.
    pub fn today(&self) -> NaiveDate {
        calendar::stockholm_date(self.now)
    }

    /// 412 unless the change was made from the revision that stands. That the header is there was checked at the door.
    pub fn expect_revision(&self, revision: i32) -> Result<(), Error> {
        match self.if_match {
            Some(IfMatch::Revision(expected)) if expected != revision => {
                Err(Error::new(Code::StaleRevision))
            }
            _ => Ok(()),
        }
    }
}

impl FromRequest for Call {
    type Error = Error;
    type Future = Ready<Result<Call, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            request
                .extensions()
                .get::<Call>()
                .cloned()
                .ok_or_else(|| Error::internal("a call that was not admitted")),
        )
    }
}

/// What was checked at the door, for the extractors below.
#[derive(Debug, Default)]
pub struct Admitted {
    pub path: Value,
    pub query: Value,
    /// Shared by all extractors that read the query: what cursors are bound to.
    pub filters: String,
    pub body: Value,
}

macro_rules! extractor {
    ($(#[$doc:meta])* $name:ident, $part:ident, $code:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name<T>(pub T);

        impl<T: serde::de::DeserializeOwned + 'static> FromRequest for $name<T> {
            type Error = Error;
            type Future = Ready<Result<Self, Error>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let extensions = request.extensions();
                ready(match extensions.get::<Admitted>() {
                    Some(admitted) => typed(&admitted.$part, $code).map($name),
                    None => Err(Error::internal("a call that was not admitted")),
                })
            }
        }
    };
}

extractor!(
    /// The path parameters.
    Path, path, Code::InvalidParameter
);
extractor!(
    /// The query parameters.
    Query, query, Code::InvalidParameter
);
extractor!(
    /// The JSON body.
    Json, body, Code::InvalidBody
);

/// The value as the type that its schema describes. The schema has been checked; what it cannot say
/// (a number written `1.0` for an integer) is refused here, at its place.
pub fn typed<'a, T: Deserialize<'a>>(
    value: impl Deserializer<'a, Error = serde_json::Error>,
    code: Code,
) -> Result<T, Error> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| Error::at_pointer(code, pointer(error.path())))
}

/// A path of serde as a JSON pointer (RFC 6901).
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}
