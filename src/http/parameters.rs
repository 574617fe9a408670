//! Parameters that many operations share.

use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::{At, Code, Error, FieldError};
use crate::guideline::Text;

/// The precondition of a change.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the header, which the door reads")]
pub struct IfMatch {
    /// The ETag of what is changed, as it was read: `"<revision>-<hash>"`, or only `"<revision>"`; `*` changes it whatever its revision.
    #[serde(rename = "If-Match")]
    #[param(
        required = true,
        pattern = r#"^(\*|"[0-9]{1,9}(-[0-9a-f]{8})?")$"#,
        example = "\"3-5f1d7a2c\""
    )]
    if_match: String,
}

/// Read only what has changed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the header, which the answer compares")]
pub struct IfNoneMatch {
    /// The ETag of the copy that the caller has: equal, and the answer is 304.
    #[serde(rename = "If-None-Match")]
    #[param(required = false, example = "\"3-5f1d7a2c\"")]
    if_none_match: Option<String>,
}

/// The preconditions of a PUT that creates or replaces.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the headers, which the door reads")]
pub struct PutPreconditions {
    /// To replace: the ETag of what stands.
    #[serde(rename = "If-Match")]
    #[param(
        required = false,
        pattern = r#"^(\*|"[0-9]{1,9}(-[0-9a-f]{8})?")$"#,
        example = "\"1-5f1d7a2c\""
    )]
    if_match: Option<String>,
    /// `*`: only create, never replace.
    #[serde(rename = "If-None-Match")]
    #[param(required = false, pattern = r"^\*$", example = "*")]
    if_none_match: Option<String>,
}

/// 400 for a period that ends before it starts.
pub fn expect_period(from: Option<NaiveDate>, to: Option<NaiveDate>) -> Result<(), Error> {
    expect_order(("from", from), ("to", to))
}

/// The same for a period in parameters of other names.
pub fn expect_order(
    (first, from): (&str, Option<NaiveDate>),
    (last, to): (&str, Option<NaiveDate>),
) -> Result<(), Error> {
    if from.zip(to).is_none_or(|(from, to)| from <= to) {
        return Ok(());
    }
    Err(Error::new(Code::InvalidParameter).with(FieldError {
        at: At::Parameter(last.to_owned()),
        code: "ends-before-start".to_owned(),
        detail: Text::new(
            format!("{last} får inte ligga före {first}."),
            format!("{last} may not be before {first}."),
        ),
    }))
}
