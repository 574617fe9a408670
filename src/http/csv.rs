//! Tables as CSV (RFC 4180), for those who ask with `Accept: text/csv`.

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::time::Duration;
use uuid::Uuid;

use super::answer::{Answer, CACHE_CONTROL};
use super::paging::Paging;
use crate::error::{Code, Error};

const CONTENT_TYPE: &str = "text/csv; charset=utf-8";
/// How many rows of a table that is streamed are read at once.
const PART: i64 = 1_000;
/// How often a part is asked for while the database has no time for it, and how long it is waited in between.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

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
    Ok(Answer {
        content_type: CONTENT_TYPE,
        body: written(Some(columns), rows, excel)?,
        ..Answer::plain(&())?
    })
}

/// The same of any length: every row that `read` finds, sent part after part as they are read. The first part is read before the
/// answer begins, so what is to be refused is a problem; if a later one fails, the connection is closed before the end.
pub async fn stream<T, K, F>(
    columns: &'static [&'static str],
    cells: fn(&T) -> Vec<String>,
    excel: bool,
    paging: Paging,
    key: impl Fn(&T) -> (K, Uuid) + Clone + 'static,
    read: impl Fn(Paging) -> F + Clone + 'static,
) -> Result<HttpResponse, Error>
where
    K: Serialize + 'static,
    F: Future<Output = Result<(Vec<T>, Option<i64>), Error>> + 'static,
    T: 'static,
{
    // the text of a part, and the window after it if there may be more
    let part = move |window: Paging, columns: Option<&'static [&'static str]>| {
        let (key, read) = (key.clone(), read.clone());
        async move {
            let (mut rows, _) = read(window.clone()).await?;
            let more = window.cut(&mut rows, &key)?.is_some();
            let next = match rows.last().filter(|_| more) {
                Some(row) => Some(window.after_row(&key(row))?),
                None => None,
            };
            let text = written(columns, rows.iter().map(cells), excel)?;
            Ok::<_, Error>((Bytes::from(text), next))
        }
    };
    let (first, next) = part(paging.from_the_start(PART), Some(columns)).await?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(CONTENT_TYPE)
        .insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
    if next.is_none() {
        return Ok(response.body(first));
    }
    let rest = stream::try_unfold(next, move |next| {
        let part = part.clone();
        async move {
            let Some(window) = next else { return Ok(None) };
            let mut attempt = 1;
            loop {
                match part(window.clone(), None).await {
                    Err(error)
                        if error.code() == Code::DatabaseUnavailable && attempt < ATTEMPTS =>
                    {
                        attempt += 1;
                        tokio::time::sleep(PAUSE).await;
                    }
                    outcome => return outcome.map(Some),
                }
            }
        }
    });
    Ok(response.streaming(stream::once(ready(Ok::<_, Error>(first))).chain(rest)))
}

/// Rows as text, after the columns if they are to be named.
fn written(
    columns: Option<&[&str]>,
    rows: impl IntoIterator<Item = Vec<String>>,
    excel: bool,
) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    if excel && columns.is_some() {
        body.extend("\u{feff}".bytes());
    }
    let mut writer = csv::WriterBuilder::new()
        .delimiter(if excel { b';' } else { b',' })
        .terminator(csv::Terminator::CRLF)
        .from_writer(body);
    if let Some(columns) = columns {
        writer.write_record(columns).map_err(Error::internal)?;
    }
    for row in rows {
        writer
            .write_record(row.into_iter().map(neutralised))
            .map_err(Error::internal)?;
    }
    writer.into_inner().map_err(Error::internal)
}

/// A cell that a spreadsheet would take for a formula is made text.
fn neutralised(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell
    }
}
