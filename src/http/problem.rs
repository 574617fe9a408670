//! Errors as `application/problem+json` (RFC 9457), in the language that the caller asks for.

use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use super::contract;
use crate::error::{At, Code, Error};
use crate::guideline::Text;

/// What a problem says of its request.
#[derive(Debug, Clone)]
pub struct Context {
    /// The request's path.
    pub instance: String,
    pub request_id: String,
    pub language: Language,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Swedish,
    English,
}

impl Language {
    /// The better liked of the two by `Accept-Language` (RFC 9110); Swedish without a match.
    pub fn negotiate(accept_language: Option<&str>) -> Language {
        let mut best = (Language::Swedish, 0.0);
        for range in accept_language.unwrap_or_default().split(',') {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight: f32 = weight
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.parse().ok())
                .unwrap_or(0.0);
            let language = match tag
                .trim()
                .split('-')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .as_str()
            {
                "sv" | "*" => Language::Swedish,
                "en" => Language::English,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    pub fn tag(self) -> &'static str {
        match self {
            Language::Swedish => "sv",
            Language::English => "en",
        }
    }

    pub fn of(self, text: &Text) -> &str {
        match self {
            Language::Swedish => &text.sv,
            Language::English => &text.en,
        }
    }
}

/// Where the types of problems are named; the same in every installation.
pub const TYPES: &str = "https://kompetens.example.se/problems/";

/// The one place where an error becomes an answer.
pub fn render(error: &Error, context: &Context) -> HttpResponse {
    let code = error.code();
    let errors: Vec<Value> = error
        .errors()
        .iter()
        .map(|fault| {
            let mut shown =
                json!({"code": fault.code, "detail": context.language.of(&fault.detail)});
            match &fault.at {
                At::Pointer(pointer) => shown["pointer"] = json!(shown_place(pointer)),
                At::Parameter(name) => shown["parameter"] = json!(shown_place(name)),
                At::Header(name) => shown["header"] = json!(name),
                At::Rule => {}
            }
            shown
        })
        .collect();
    let mut problem = json!({
        "type": format!("{TYPES}{}", code.as_str()),
        "title": context.language.of(&code.title()),
        "status": code.status(),
        "detail": context.language.of(&error.shown_detail()),
        "instance": shown_place(&context.instance),
        "code": code.as_str(),
        "requestId": context.request_id,
    });
    if !errors.is_empty() {
        problem["errors"] = Value::from(errors);
    }

    let mut response = HttpResponse::build(
        StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    );
    response
        .content_type("application/problem+json")
        .insert_header((header::CONTENT_LANGUAGE, context.language.tag()))
        .insert_header((header::VARY, "Accept-Language"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    match code {
        Code::Unauthenticated => _ = response.insert_header((header::WWW_AUTHENTICATE, "Bearer")),
        Code::KeyInUse | Code::DatabaseUnavailable | Code::OutcomeUnknown => {
            _ = response.insert_header((header::RETRY_AFTER, "1"));
        }
        Code::IdentityProviderUnavailable => {
            _ = response.insert_header((header::RETRY_AFTER, "10"));
        }
        // the rest of what was being sent is not read
        Code::BodyTooLarge | Code::RequestTimeout => {
            _ = response.insert_header((header::CONNECTION, "close"))
        }
        _ => {}
    }
    if let Some((name, value)) = error.extra_header() {
        response.insert_header((*name, value.as_str()));
    }
    response.body(problem.to_string())
}

/// A place of the request as it may be shown: for each part with a personal number in it (I17) stands a dash.
pub fn shown_place(place: &str) -> String {
    let parts = place.split('/').map(|part| {
        let read = contract::decode(part, false);
        if contract::is_personal(read.as_deref().unwrap_or(part)) {
            "-"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Carries the error to the outermost middleware, which knows the request and renders it.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}
