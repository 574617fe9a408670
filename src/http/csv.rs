//! Tables as CSV (RFC 4180), for those who ask with `Accept: text/csv`.

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use std::convert::Infallible;
use std::future::{Ready, ready};

use super::answer::Answer;
use crate::error::Error;

/// Does the caller want CSV rather than JSON?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantsCsv(pub bool);

impl FromRequest for WantsCsv {
    type Error = Infallible;
    type Future = Ready<Result<WantsCsv, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let accept = request
            .headers()
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok());
        let first = accept
            .unwrap_or_default()
            .split(',')
            .next()
            .unwrap_or_default();
        ready(Ok(WantsCsv(
            first.split(';').next().unwrap_or_default().trim() == "text/csv",
        )))
    }
}

/// A table. For Excel in Swedish: with a byte order mark, and semicolons between the cells.
pub fn answer(
    columns: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    excel: bool,
) -> Result<Answer, Error> {
    let mut body = Vec::new();
    if excel {
        body.extend("\u{feff}".bytes());
    }
    let mut writer = csv::WriterBuilder::new()
        .delimiter(if excel { b';' } else { b',' })
        .terminator(csv::Terminator::CRLF)
        .from_writer(body);
    writer.write_record(columns).map_err(Error::internal)?;
    for row in rows {
        writer
            .write_record(row.into_iter().map(neutralised))
            .map_err(Error::internal)?;
    }
    let body = writer.into_inner().map_err(Error::internal)?;
    Ok(Answer {
        content_type: "text/csv; charset=utf-8",
        body,
        ..Answer::plain(&())?
    })
}

/// A cell that a spreadsheet would take for a formula is made text.
fn neutralised(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell
    }
}
