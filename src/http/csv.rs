//! Tables as CSV (RFC 4180), for those who ask with `Accept: text/csv`.

use actix_web::dev::Payload;
use actix_web::http::header::{self, Accept, Header, Quality, QualityItem};
use actix_web::mime::{self, Mime};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use std::cmp::Reverse;
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
        let accept = Accept::parse(request).map(|accept| accept.0);
        ready(Ok(WantsCsv(accept.is_ok_and(|ranges| {
            preference(&ranges, &mime::TEXT_CSV) > preference(&ranges, &mime::APPLICATION_JSON)
        }))))
    }
}

/// How much the caller wants this media type (RFC 9110, section 12.5.1): by the most specific range that covers it, and of ranges
/// with the same quality the more specific or the earlier one is meant more. Nothing when it is not wanted.
fn preference(
    ranges: &[QualityItem<Mime>],
    wanted: &Mime,
) -> Option<(Quality, u8, Reverse<usize>)> {
    let (specificity, position, quality) = ranges
        .iter()
        .enumerate()
        .filter_map(|(position, range)| {
            let specificity = match (range.item.type_(), range.item.subtype()) {
                (mime::STAR, mime::STAR) => 0,
                (group, mime::STAR) if group == wanted.type_() => 1,
                _ if range.item.essence_str() == wanted.essence_str() => 2,
                _ => return None,
            };
            Some((specificity, Reverse(position), range.quality))
        })
        .max_by_key(|(specificity, position, _)| (*specificity, *position))?;
    (quality > Quality::ZERO).then_some((quality, specificity, position))
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

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn csv_is_sent_to_whom_it_is_dearer_than_json() {
        for (accept, wants_csv) in [
            ("text/csv", true),
            ("Text/CSV; charset=utf-8", true),
            ("text/*", true),
            ("text/csv, */*", true),
            ("text/csv, application/json", true),
            ("application/json;q=0.5, text/csv;q=0.9", true),
            ("*/*;q=0.1, text/csv;q=0.2", true),
            ("application/json, text/csv", false),
            ("text/csv;q=0.5, application/json;q=0.9", false),
            ("text/csv;q=0, application/json", false),
            ("text/csv;q=0", false),
            ("text/csv;q=0.1, */*", false),
            ("*/*", false),
            ("application/pdf", false),
            ("csv", false),
            ("", false),
        ] {
            let request = TestRequest::get().insert_header(("Accept", accept));
            let found = WantsCsv::from_request(&request.to_http_request(), &mut Payload::None);
            assert_eq!(
                found.into_inner(),
                Ok(WantsCsv(wants_csv)),
                "Accept: {accept}"
            );
        }
        let request = TestRequest::get().to_http_request();
        let found = WantsCsv::from_request(&request, &mut Payload::None);
        assert_eq!(found.into_inner(), Ok(WantsCsv(false)));
    }
}
