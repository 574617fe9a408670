//! JSON as the contract takes it: strict where `serde_json` is lenient.

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Utc};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

use super::call::pointer;
use crate::error::{Code, Error};
use crate::rules::calendar;

const DUPLICATE: &str = "duplicate key";

/// Parses a whole body; a key that stands twice in one object is refused, at its place.
pub fn parse(body: &[u8]) -> Result<Value, Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed: Result<Strict, _> = serde_path_to_error::deserialize(&mut json);
    match parsed {
        Ok(Strict(value)) => match json.end() {
            Ok(()) => Ok(value),
            Err(_) => Err(Error::new(Code::MalformedJson)),
        },
        Err(error) if error.inner().to_string().starts_with(DUPLICATE) => {
            Err(Error::at_pointer(Code::DuplicateKey, pointer(error.path())))
        }
        Err(_) => Err(Error::new(Code::MalformedJson)),
    }
}

/// What a value of an enum is called on the wire.
pub fn name(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// A hyphenated UUID (RFC 9562), and no other spelling of one.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(position, byte)| match position {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
}

/// A full date (RFC 3339) between 1900 and 2199.
pub fn is_date(text: &str) -> bool {
    // chrono would take a space for a leading zero
    let is_formed = text.bytes().enumerate().all(|(position, byte)| {
        if matches!(position, 4 | 7) {
            byte == b'-'
        } else {
            byte.is_ascii_digit()
        }
    });
    text.len() == 10
        && is_formed
        && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok_and(|date| in_range(date.year()))
}

/// A moment of a body, to the microsecond, as PostgreSQL keeps it: .NET writes seven digits, Java and Go nine.
pub fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    DateTime::<Utc>::deserialize(deserializer).map(|at| at.trunc_subsecs(6))
}

/// A date-time with offset (RFC 3339) between 1900 and 2199, in Stockholm too, to the nanosecond at most, without leap seconds.
pub fn is_date_time(text: &str) -> bool {
    let fraction = text.split_once('.').map_or(0, |(_, rest)| {
        rest.bytes().take_while(u8::is_ascii_digit).count()
    });
    text.is_ascii()
        && text.as_bytes().get(10) == Some(&b'T')
        && text.get(17..19) != Some("60")
        && fraction <= 9
        && DateTime::parse_from_rfc3339(text).is_ok_and(|at| {
            let day = calendar::stockholm_date(at.to_utc());
            in_range(at.year()) && in_range(at.to_utc().year()) && in_range(day.year())
        })
}

/// Is it a year that dates may lie in?
pub fn in_range(year: i32) -> bool {
    (1900..=calendar::LAST_DAY.year()).contains(&year)
}

/// A JSON value whose objects hold each key once.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

/// The second value of a key: always an error.
struct Duplicate;

impl<'de> Deserialize<'de> for Duplicate {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Duplicate, D::Error> {
        Err(D::Error::custom(DUPLICATE))
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // 3.0 is an integer (JSON Schema, 6.1.1); below 2^53 nothing is lost
        #[allow(
            clippy::cast_possible_truncation,
            reason = "it has no fraction and is small"
        )]
        if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
            return Ok(Value::from(value as i64));
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                // failing within the value leaves the key in the error's path
                members.next_value::<Duplicate>()?;
            }
            let Strict(value) = members.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
