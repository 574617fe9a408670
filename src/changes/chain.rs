//! The chain: what binds each numbered entry to all that stand before it.
//!
//! `hash = sha256(hash of the entry before ‖ text)`, the first entry's predecessor being 32 zero bytes. The text is a JSON array
//! of the entry's metadata and the digest of its contents, so that anyone can check it with a JSON printer and `sha256sum`.

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::db::schema::changes;

/// What the first entry is chained to.
pub const BEGINNING: [u8; 32] = [0; 32];

/// An entry of the log without its contents, as it is stored.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = changes, check_for_backend(Pg))]
pub struct Entry {
    pub entry_id: i64,
    pub request_id: String,
    pub occurred_at: DateTime<Utc>,
    pub actor: String,
    pub on_behalf_of: Option<String>,
    pub client: Option<String>,
    pub operation: String,
    pub resource_type: String,
    pub resource_id: Uuid,
    pub revision: i32,
    pub event_id: Option<Uuid>,
    pub digest: Vec<u8>,
    pub number: Option<i64>,
    pub hash: Option<Vec<u8>>,
}

/// The hash of an entry under this number, after the entry with the hash `previous`.
pub fn link(previous: &[u8], number: i64, entry: &Entry) -> Vec<u8> {
    let text = json!([
        number,
        entry.entry_id,
        entry.request_id,
        entry.occurred_at.timestamp_micros(),
        entry.actor,
        entry.on_behalf_of,
        entry.client,
        entry.operation,
        entry.resource_type,
        entry.resource_id,
        entry.revision,
        entry.event_id,
        hex(&entry.digest),
    ]);
    sha256(&[previous, text.to_string().as_bytes()])
}

/// How many bytes a salt has: no more, so that it can hold nothing of the contents.
pub const SALT: usize = 16;

/// `sha256(salt ‖ "[" ‖ before ‖ "," ‖ after ‖ "]")` over the texts as they are stored, nothing for a state that there is none of.
/// Each is JSON, so that it can be read in one way only.
pub fn digest<'a>(salt: &[u8; SALT], before: Option<&'a str>, after: Option<&'a str>) -> Vec<u8> {
    let bytes = |state: Option<&'a str>| state.unwrap_or_default().as_bytes();
    sha256(&[salt, b"[", bytes(before), b",", bytes(after), b"]"])
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            entry_id: 7,
            request_id: "request".to_owned(),
            occurred_at: DateTime::UNIX_EPOCH,
            actor: "person-0001".to_owned(),
            on_behalf_of: None,
            client: None,
            operation: "create".to_owned(),
            resource_type: "event".to_owned(),
            resource_id: Uuid::nil(),
            revision: 1,
            event_id: None,
            digest: vec![0xab; 32],
            number: None,
            hash: None,
        }
    }

    #[test]
    fn the_hash_is_what_sha256sum_makes_of_the_documented_text() {
        // (head -c 32 /dev/zero; printf %s '[1,7,"request",0,…]') | sha256sum
        let text = format!(
            r#"[1,7,"request",0,"person-0001",null,null,"create","event","{}",1,null,"{}"]"#,
            Uuid::nil(),
            "ab".repeat(32)
        );
        let expected = sha256(&[&BEGINNING, text.as_bytes()]);
        assert_eq!(link(&BEGINNING, 1, &entry()), expected);
    }

    #[test]
    fn every_part_of_an_entry_moves_its_hash() {
        type Change = fn(&mut Entry);
        let changes: [Change; 12] = [
            |entry| entry.entry_id += 1,
            |entry| entry.request_id.push('x'),
            |entry| entry.occurred_at += chrono::Duration::microseconds(1),
            |entry| entry.actor.push('x'),
            |entry| entry.on_behalf_of = Some(String::new()),
            |entry| entry.client = Some(String::new()),
            |entry| entry.operation.push('x'),
            |entry| entry.resource_type.push('x'),
            |entry| entry.resource_id = Uuid::max(),
            |entry| entry.revision += 1,
            |entry| entry.event_id = Some(Uuid::nil()),
            |entry| entry.digest[31] ^= 1,
        ];
        let hash = link(&BEGINNING, 1, &entry());
        for change in changes {
            let mut changed = entry();
            change(&mut changed);
            assert_ne!(link(&BEGINNING, 1, &changed), hash, "{changed:?}");
        }
        assert_ne!(link(&BEGINNING, 2, &entry()), hash, "another number");
        assert_ne!(link(&hash, 1, &entry()), hash, "another predecessor");
    }
}
