//! Log lines on standard error, one a request: text for people, or one JSON object a line for machines.
//!
//! What libraries write below `info` is left out at every level: at `trace` they write what they send and receive, tokens too.
//! Of a panic only the place is written.

use env_logger::{Builder, Env};
use log::kv::{Key, Value as Given, VisitSource};
use log::{Level, Record};
use serde_json::{Map, Value, json};
use std::io::Write;

/// `KOMPETENS_LOG_FORMAT`: how lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Begins to log; `RUST_LOG` says from which level on.
pub fn init(format: Format) {
    Builder::from_env(Env::default().default_filter_or("info,actix_server=warn"))
        .format(move |to, record| {
            if !is_fit(record) {
                return Ok(());
            }
            let time = to.timestamp_millis();
            if format == Format::Json {
                return writeln!(to, "{}", object(record, &time.to_string()));
            }
            let level = record.level();
            let style = to.default_level_style(level);
            let (target, text) = (record.target(), record.args());
            writeln!(to, "{time} {style}{level:<5}{style:#} {target}: {text}")
        })
        .init();
    // what a panic says may hold what was asked, so only its place is written
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => log::error!("a panic at {}:{}", place.file(), place.line()),
        None => log::error!("a panic"),
    }));
}

/// Ours at any level, others' from `info` on.
fn is_fit(record: &Record) -> bool {
    let of_ours = record.target().split("::").next() == Some("kompetens");
    of_ours || record.level() <= Level::Info
}

/// A line as an object: `time`, `level`, `target`, `message`, and what the line names itself, like `operation` and `status`.
fn object(record: &Record, time: &str) -> Value {
    struct Members(Map<String, Value>);
    impl<'kvs> VisitSource<'kvs> for Members {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Given<'kvs>) -> Result<(), log::kv::Error> {
            let value = match value.to_i64() {
                Some(number) => json!(number),
                None => value
                    .to_f64()
                    .map_or_else(|| json!(value.to_string()), |number| json!(number)),
            };
            self.0.insert(key.as_str().to_owned(), value);
            Ok(())
        }
    }
    let mut members = Members(Map::new());
    for (name, value) in [
        ("time", time.to_owned()),
        ("level", record.level().as_str().to_lowercase()),
        ("target", record.target().to_owned()),
        ("message", record.args().to_string()),
    ] {
        members.0.insert(name.to_owned(), Value::from(value));
    }
    let _ = record.key_values().visit(&mut members);
    Value::Object(members.0)
}
