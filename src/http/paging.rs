//! Lists: `{items, page, limit, nextCursor, totalItems?}`, by page for the first 10,000 rows or by cursor to any depth.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::any::Any;
use std::future::{Ready, ready};
use utoipa::IntoParams;
use uuid::Uuid;

use super::call::Admitted;
use super::json_text;
use crate::error::{At, Code, Error};
use crate::guideline::Text;

/// How a list is read, in every list the same.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct PagingParameters {
    /// How many items at most.
    #[param(
        required = false,
        minimum = 1,
        maximum = 100,
        default = 20,
        example = 20
    )]
    #[serde(default = "default_limit")]
    limit: i64,
    /// Which page, from 1; together with `limit` within the first 10,000 rows. With `cursor` it may only be 1, which then says nothing.
    #[param(
        required = false,
        minimum = 1,
        maximum = 10000,
        default = 1,
        example = 1
    )]
    page: Option<i64>,
    /// Where to go on: `nextCursor` of the list before, with the same filters and sort.
    #[param(required = false, min_length = 1, max_length = 4000)]
    cursor: Option<String>,
    /// Count all items that match, as `totalItems`.
    #[param(required = false, default = false, example = false)]
    #[serde(default)]
    include_total: bool,
}

fn default_limit() -> i64 {
    20
}

/// The window of a list that is asked for.
#[derive(Debug, Clone)]
pub struct Paging {
    pub limit: i64,
    pub page: Option<i64>,
    /// Are all that match counted too?
    pub include_total: bool,
    after: Option<(Value, Uuid)>,
    /// The query without its paging; cursors are bound to it.
    filters: String,
    path: String,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    /// Which list, filters and row it belongs to, so that a mended cursor is noticed.
    f: String,
    /// The sort key of the last row, and its id.
    k: Value,
    i: Uuid,
}

impl Paging {
    /// The sort key and id that the last row before this window had.
    pub fn after<K: DeserializeOwned + 'static>(&self) -> Result<Option<(K, Uuid)>, Error> {
        let Some((key, id)) = &self.after else {
            return Ok(None);
        };
        serde_json::from_value(key.clone())
            .ok()
            .filter(|key: &K| can_be_a_row(key))
            .map(|key| Some((key, *id)))
            .ok_or_else(invalid_cursor)
    }

    /// The first so many rows of the whole list, for exports.
    pub fn from_the_start(&self, limit: i64) -> Paging {
        Paging {
            limit,
            page: None,
            include_total: false,
            after: None,
            ..self.clone()
        }
    }

    /// As many rows after the one with this key and id.
    pub fn after_row<K: Serialize>(&self, (key, id): &(K, Uuid)) -> Result<Paging, Error> {
        let key = serde_json::to_value(key).map_err(Error::internal)?;
        Ok(Paging {
            page: None,
            after: Some((key, *id)),
            ..self.clone()
        })
    }

    pub fn offset(&self) -> i64 {
        self.page.map_or(0, |page| (page - 1) * self.limit)
    }

    /// One row more than fits, to know whether there are more.
    pub fn rows(&self) -> i64 {
        self.limit + 1
    }

    /// How many match in all, when that is asked for.
    pub fn total(
        &self,
        count: impl FnOnce() -> diesel::QueryResult<i64>,
    ) -> Result<Option<i64>, Error> {
        Ok(self.include_total.then(count).transpose()?)
    }

    /// Cuts the rows that were read to the window and says where to go on.
    pub fn cut<T, K: Serialize>(
        &self,
        rows: &mut Vec<T>,
        key: impl Fn(&T) -> (K, Uuid),
    ) -> Result<Option<String>, Error> {
        let limit = usize::try_from(self.limit).map_err(Error::internal)?;
        if rows.len() <= limit {
            return Ok(None);
        }
        rows.truncate(limit);
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        let (key, id) = key(last);
        let cursor = Cursor {
            f: String::new(),
            k: serde_json::to_value(key).map_err(Error::internal)?,
            i: id,
        };
        let cursor = Cursor {
            f: fingerprint(&self.path, &self.filters, &cursor),
            ..cursor
        };
        Ok(Some(URL_SAFE_NO_PAD.encode(
            serde_json::to_vec(&cursor).map_err(Error::internal)?,
        )))
    }

    /// The header `Link` (RFC 8288).
    pub fn link(&self, next: Option<&str>) -> String {
        let address = |more: &str| {
            let separator = if self.filters.is_empty() { "" } else { "&" };
            format!(
                "{}?{}{separator}limit={}{more}",
                self.path, self.filters, self.limit
            )
        };
        let mut link = format!("<{}>; rel=\"first\"", address(""));
        if let Some(page) = self.page.filter(|page| *page > 1) {
            link.push_str(&format!(
                ", <{}>; rel=\"prev\"",
                address(&format!("&page={}", page - 1))
            ));
        }
        if let Some(next) = next {
            link.push_str(&format!(
                ", <{}>; rel=\"next\"",
                address(&format!("&cursor={next}"))
            ));
        }
        link
    }
}

impl FromRequest for Paging {
    type Error = Error;
    type Future = Ready<Result<Paging, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            request
                .extensions()
                .get::<Admitted>()
                .ok_or_else(|| Error::internal("a call that was not admitted"))
                .and_then(|admitted| {
                    let asked = PagingParameters::deserialize(&admitted.query)
                        .map_err(|_| Error::new(Code::InvalidParameter))?;
                    let path = request.path().to_owned();
                    let after = asked
                        .cursor
                        .as_deref()
                        .map(|cursor| open(cursor, &path, &admitted.filters))
                        .transpose()?;
                    // generated clients send each default, and page 1 is one
                    if after.is_some() && asked.page.is_some_and(|page| page != 1) {
                        return Err(Error::explained(
                            Code::InvalidParameter,
                            At::Parameter("page".to_owned()),
                            Text::new(
                                "Ange page eller cursor, inte båda: cursor säger redan var listan fortsätter.",
                                "Send page or cursor, not both: cursor says already where the list goes on.",
                            ),
                        ));
                    }
                    if asked.page.unwrap_or(1) * asked.limit > 10_000 {
                        return Err(Error::at(
                            Code::PageTooDeep,
                            At::Parameter("page".to_owned()),
                        ));
                    }
                    Ok(Paging {
                        limit: asked.limit,
                        page: if after.is_some() {
                            None
                        } else {
                            Some(asked.page.unwrap_or(1))
                        },
                        include_total: asked.include_total,
                        after,
                        filters: admitted.filters.clone(),
                        path,
                    })
                }),
        )
    }
}

fn open(cursor: &str, path: &str, filters: &str) -> Result<(Value, Uuid), Error> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|json| serde_json::from_slice::<Cursor>(&json).ok())
        .filter(|cursor| cursor.f == fingerprint(path, filters, cursor))
        .map(|cursor| (cursor.k, cursor.i))
        .ok_or_else(invalid_cursor)
}

fn invalid_cursor() -> Error {
    Error::at(Code::InvalidCursor, At::Parameter("cursor".to_owned()))
}

/// No row holds what the database would refuse to compare with, though whoever reads this can forge a cursor that does.
fn can_be_a_row(key: &dyn Any) -> bool {
    let date = key.downcast_ref::<NaiveDate>().copied();
    let moment = key
        .downcast_ref::<DateTime<Utc>>()
        .map(DateTime::date_naive);
    let text = key.downcast_ref::<String>();
    let year = date.or(moment).map(|day| day.year());
    year.is_none_or(json_text::in_range) && text.is_none_or(|text| !text.contains('\0'))
}

fn fingerprint(path: &str, filters: &str, cursor: &Cursor) -> String {
    let bound = format!("{path}?{filters}\0{}\0{}", cursor.k, cursor.i);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bound.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..9])
}

/// Declares the page of a list: a named type of its own, so that generated clients have one too.
#[macro_export]
macro_rules! page_of {
    ($(#[$doc:meta])* $name:ident, $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The items of this page.
            pub items: Vec<$item>,
            /// Which page this is; absent when read by cursor.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(example = 1)]
            pub page: Option<i64>,
            /// How many items a page holds at most.
            #[schema(example = 20)]
            pub limit: i64,
            /// Where to go on; null on the last page.
            #[schema(required = true)]
            pub next_cursor: Option<String>,
            /// How many items match in all; only with `includeTotal=true`.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(example = 1)]
            pub total_items: Option<i64>,
        }

        impl $name {
            /// The page of rows that were read with [`Paging::rows`]($crate::http::paging::Paging::rows), one more than fits.
            pub fn answer<K: serde::Serialize>(
                paging: &$crate::http::paging::Paging,
                (mut items, total_items): (Vec<$item>, Option<i64>),
                key: impl Fn(&$item) -> (K, uuid::Uuid),
            ) -> Result<$crate::http::answer::Answer, $crate::error::Error> {
                let next_cursor = paging.cut(&mut items, key)?;
                let link = Some(paging.link(next_cursor.as_deref()));
                let page = $name { items, page: paging.page, limit: paging.limit, next_cursor, total_items };
                Ok($crate::http::answer::Answer { link, ..$crate::http::answer::Answer::plain(&page)? })
            }
        }
    };
}

/// Orders a boxed query by a key with the id as tie-break, and cuts it to the window that is asked for.
///
/// `key >= last` stands beside the comparison proper so that an index serves any depth at the same cost.
#[macro_export]
macro_rules! window {
    ($query:expr, $paging:expr, $descending:expr, $key:expr, $id:expr, $type:ty) => {{
        use diesel::prelude::*;
        let paging: &$crate::http::paging::Paging = $paging;
        let mut query = $query;
        if let Some((key, id)) = paging.after::<$type>()? {
            query = if $descending {
                query.filter($key.le(key.clone()).and($key.lt(key).or($id.lt(id))))
            } else {
                query.filter($key.ge(key.clone()).and($key.gt(key).or($id.gt(id))))
            };
        }
        query = if $descending {
            query.order(($key.desc(), $id.desc()))
        } else {
            query.order(($key.asc(), $id.asc()))
        };
        query.limit(paging.rows()).offset(paging.offset())
    }};
}

/// Declares the orders of a list that has one sort key.
///
/// The names are `tt`: a `literal` reaches utoipa in a group of its own, and the document would show the variants' names instead.
#[macro_export]
macro_rules! sort_by {
    ($name:ident, $ascending:tt, $descending:tt, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
        pub enum $name {
            #[default]
            #[serde(rename = $ascending)]
            Ascending,
            #[serde(rename = $descending)]
            Descending,
        }

        impl $name {
            /// Is it the order with a leading `-`?
            pub fn is_descending(self) -> bool {
                self == $name::Descending
            }
        }

        // the derive does not see through a macro's literals
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some([$ascending, $descending]))
                    .default(Some($ascending.into()))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
