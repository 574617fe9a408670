//! How plain types of the domain become SQL values, so that the rules need not know diesel.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// A value stored as `jsonb`, on the wire exactly the value itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Jsonb)]
#[serde(transparent)]
pub struct AsJson<T>(pub T);

impl<T: DeserializeOwned> FromSql<Jsonb, Pg> for AsJson<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let bytes = value.as_bytes();
        // jsonb's binary form is a version byte, 1, and the text
        Ok(AsJson(serde_json::from_slice(
            bytes.get(1..).unwrap_or_default(),
        )?))
    }
}

impl<T: Serialize + std::fmt::Debug> ToSql<Jsonb, Pg> for AsJson<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[1])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

/// Maps enums of the domain to `text`, by the names that they have on the wire.
#[macro_export]
macro_rules! stored_as_text {
    ($($name:ty),+ $(,)?) => {$(
        const _: () = {
            use diesel::deserialize::{self, FromSql, Queryable};
            use diesel::expression::AsExpression;
            use diesel::internal::derives::as_expression::Bound;
            use diesel::pg::{Pg, PgValue};
            use diesel::serialize::{self, IsNull, Output, ToSql};
            use diesel::sql_types::{Nullable, Text};
            use serde::Deserialize as _;
            use std::io::Write as _;

            impl FromSql<Text, Pg> for $name {
                fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                    let text = std::str::from_utf8(value.as_bytes())?;
                    let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
                    Ok(<$name>::deserialize(name)?)
                }
            }

            impl ToSql<Text, Pg> for $name {
                fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                    let name = serde_json::to_value(self)?;
                    out.write_all(name.as_str().unwrap_or_default().as_bytes())?;
                    Ok(IsNull::No)
                }
            }

            impl ToSql<Nullable<Text>, Pg> for $name {
                fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                    <Self as ToSql<Text, Pg>>::to_sql(self, out)
                }
            }

            impl AsExpression<Text> for $name {
                type Expression = Bound<Text, Self>;
                fn as_expression(self) -> Self::Expression {
                    Bound::new(self)
                }
            }

            impl<'e> AsExpression<Text> for &'e $name {
                type Expression = Bound<Text, Self>;
                fn as_expression(self) -> Self::Expression {
                    Bound::new(self)
                }
            }

            impl Queryable<Text, Pg> for $name {
                type Row = Self;
                fn build(row: Self) -> deserialize::Result<Self> {
                    Ok(row)
                }
            }

            impl diesel::query_builder::QueryId for $name {
                type QueryId = Self;
                const HAS_STATIC_QUERY_ID: bool = true;
            }
        };
    )+};
}
