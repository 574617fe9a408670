//! What an operation answers: a status, a JSON body and its ETag (RFC 9110), rendered once.

use actix_web::body::BoxBody;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;

use crate::error::Error;

/// What one may read depends on who asks, and a derived status on the day.
pub const CACHE_CONTROL: &str = "private, no-cache";

/// Where every path of the contract begins.
pub const BASE: &str = "/kompetens/v1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The path of what was created, below the host.
    pub location: Option<String>,
    pub etag: Option<String>,
    pub link: Option<String>,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// Is this the stored answer to an earlier request with the same Idempotency-Key?
    pub replayed: bool,
    /// Does the body show a secret, once? Then it is never stored, and its replay is 409 `secret-already-shown`.
    pub shows_secret: bool,
}

impl Answer {
    /// 200 with a resource at its revision.
    pub fn ok<T: Serialize>(resource: &T, revision: i32) -> Result<Answer, Error> {
        let answer = Answer::plain(resource)?;
        let etag = format!("\"{revision}-{}\"", short_hash(&answer.body));
        Ok(Answer {
            etag: Some(etag),
            ..answer
        })
    }

    /// 201 with the resource that was created and its path below the base.
    pub fn created<T: Serialize>(
        path: String,
        resource: &T,
        revision: i32,
    ) -> Result<Answer, Error> {
        Ok(Answer {
            status: 201,
            location: Some(format!("{BASE}{path}")),
            ..Answer::ok(resource, revision)?
        })
    }

    /// 200 with something that has no revision.
    pub fn plain<T: Serialize>(body: &T) -> Result<Answer, Error> {
        let body = serde_json::to_vec(body).map_err(Error::internal)?;
        Ok(Answer {
            status: 200,
            location: None,
            etag: None,
            link: None,
            content_type: "application/json",
            body,
            replayed: false,
            shows_secret: false,
        })
    }

    /// 200 with a text that is not JSON, and an ETag of its own.
    pub fn text(content_type: &'static str, body: String) -> Result<Answer, Error> {
        let body = body.into_bytes();
        Ok(Answer {
            etag: Some(format!("\"{}\"", short_hash(&body))),
            content_type,
            body,
            ..Answer::plain(&())?
        })
    }

    /// 204: what was asked to go is gone.
    pub fn gone() -> Result<Answer, Error> {
        Ok(Answer {
            status: 204,
            body: Vec::new(),
            ..Answer::plain(&())?
        })
    }

    /// Does `If-None-Match` name what would be answered?
    fn is_known(&self, request: &HttpRequest) -> bool {
        let Some(etag) = &self.etag else { return false };
        *request.method() == Method::GET
            && request
                .headers()
                .get_all(header::IF_NONE_MATCH)
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(str::trim)
                .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
    }
}

/// The first 8 hex digits of the body's SHA-256.
fn short_hash(body: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    digest
        .as_ref()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let known = self.is_known(request);
        let status = if known {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK)
        };
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
        if let Some(etag) = self.etag {
            response.insert_header((header::ETAG, etag));
        }
        if let Some(location) = self.location {
            response.insert_header((header::LOCATION, location));
        }
        if let Some(link) = self.link {
            response.insert_header((header::LINK, link));
        }
        if self.replayed {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        if known || status == StatusCode::NO_CONTENT {
            return response.finish();
        }
        response.content_type(self.content_type).body(self.body)
    }
}
