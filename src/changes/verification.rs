//! Verification: does the log still say what it said? `kompetens verify-audit` reads it from the first entry to the last.
//!
//! A changed entry no longer fits its hash, a removed one leaves a gap, a moved one fits neither. Whoever may rewrite the whole
//! database could also rewrite all hashes or cut the end off; therefore the head is kept elsewhere, and compared with `--head`.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use std::fmt;
use std::str::FromStr;

use super::chain::{self, BEGINNING, Entry, hex};

/// How many entries are read at a time.
const BATCH: i64 = 2000;
/// How many findings are told one by one.
const TOLD: usize = 50;

/// A number and its hash, as it was kept elsewhere: `1234:5f1d…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub number: i64,
    pub hash: Vec<u8>,
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Head, String> {
        let parse = || {
            let (number, digits) = text.trim().split_once(':')?;
            let digits = Some(digits).filter(|digits| digits.len() == 64 && digits.is_ascii())?;
            let bytes = (0..32).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok());
            Some(Head {
                number: number.parse().ok().filter(|number| *number >= 1)?,
                hash: bytes.collect::<Option<_>>()?,
            })
        };
        parse().ok_or_else(|| {
            "expected NUMBER:HASH as verify-audit prints it, like 17:5f1d…, with 64 hex digits"
                .to_owned()
        })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, hex(&self.hash))
    }
}

/// What verification has found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The last number and its hash.
    pub head: Option<Head>,
    /// The entries that have no number yet, by their ids.
    pub unnumbered: Vec<i64>,
    /// How many entries' contents have been disposed of, by a decision that a later entry names.
    pub disposed: usize,
    /// What is wrong, in sentences; empty when all is well.
    pub faults: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in self.faults.iter().take(TOLD) {
            writeln!(f, "FAULT {fault}")?;
        }
        if self.faults.len() > TOLD {
            writeln!(f, "FAULT … and {} more", self.faults.len() - TOLD)?;
        }
        let numbered = self.head.as_ref().map_or(0, |head| head.number);
        if self.faults.is_empty() {
            writeln!(f, "{numbered} numbered entries verified")?;
        }
        if self.disposed > 0 {
            writeln!(
                f,
                "the contents of {} entries have been disposed of by decision; see GET /audit-entries?operation=dispose",
                self.disposed
            )?;
        }
        match (self.unnumbered.first(), self.unnumbered.last()) {
            (Some(first), Some(last)) => writeln!(
                f,
                "{} entries are not numbered yet: entries {first} to {last}",
                self.unnumbered.len()
            )?,
            _ => writeln!(f, "no entry waits for its number")?,
        }
        match &self.head {
            Some(head) => writeln!(f, "head {head}"),
            None => writeln!(f, "head none: no entry has been numbered"),
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    entry: Entry,
    #[diesel(sql_type = Nullable<Binary>)]
    salt: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    before: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    after: Option<String>,
    #[diesel(sql_type = Bool)]
    disposal_named: bool,
}

/// An entry with its contents as they are stored, and whether a later entry says that its event was disposed of.
const ROWS: &str = "select c.*, p.salt, p.before::text as before, p.after::text as after, \
     p.entry_id is null and exists (select from changes d where d.operation = 'dispose' \
         and d.event_id = c.event_id and d.entry_id > c.entry_id) as disposal_named \
     from changes c left join change_payloads p on p.entry_id = c.entry_id ";

/// Reads the whole log on one snapshot. The message of an error never names the URL.
pub fn verify(url: &str, kept: Option<&Head>) -> Result<Report, String> {
    let mut conn = PgConnection::establish(url).map_err(|_| {
        "the database could not be reached; check the URL and that it accepts connections"
            .to_owned()
    })?;
    conn.build_transaction()
        .repeatable_read()
        .read_only()
        .run(|conn| read_all(conn, kept))
        .map_err(|error| format!("the log could not be read: {error}"))
}

fn read_all(conn: &mut PgConnection, kept: Option<&Head>) -> QueryResult<Report> {
    let mut report = Report::default();
    let (mut number, mut hash) = (0, BEGINNING.to_vec());
    let mut is_kept_found = kept.is_none();
    let mut read = i64::MIN;
    loop {
        let rows: Vec<Row> = diesel::sql_query(format!(
            "{ROWS} where c.number > $1 order by c.number limit {BATCH}"
        ))
        .bind::<BigInt, _>(read)
        .load(conn)?;
        let Some(end) = rows.last().and_then(|row| row.entry.number) else {
            break;
        };
        read = end;
        for row in rows {
            let Some((own, stored)) = row.entry.number.zip(row.entry.hash.clone()) else {
                continue;
            };
            let name = name(&row.entry);
            if own <= number {
                report.faults.push(format!(
                    "number {own} is none that an entry gets: it was hidden from the readers of the log ({name})"
                ));
                continue;
            }
            if own == number + 1 {
                if chain::link(&hash, own, &row.entry) != stored {
                    report.faults.push(format!(
                        "number {own} does not fit its hash: it, or what stood before it, was changed or moved ({name})"
                    ));
                }
            } else {
                report.faults.push(format!(
                    "numbers {} to {} are missing: entries were removed before number {own} ({name})",
                    number + 1,
                    own - 1
                ));
            }
            report.check_contents(&row, &format!("number {own}"));
            if kept.is_some_and(|kept| kept.number == own) {
                is_kept_found = true;
                if kept.is_some_and(|kept| kept.hash != stored) {
                    report.faults.push(format!(
                        "number {own} has another hash than the head that was kept: the log was rewritten up to there"
                    ));
                }
            }
            (number, hash) = (own, stored);
        }
    }
    if number > 0 {
        report.head = Some(Head { number, hash });
    }
    if let Some(kept) = kept.filter(|_| !is_kept_found) {
        report.faults.push(format!(
            "the head that was kept, number {}, is not in the log: entries were removed from its end",
            kept.number
        ));
    }
    let mut last = i64::MIN;
    loop {
        let rows: Vec<Row> = diesel::sql_query(format!(
            "{ROWS} where c.number is null and c.entry_id > $1 order by c.entry_id limit {BATCH}"
        ))
        .bind::<BigInt, _>(last)
        .load(conn)?;
        let Some(end) = rows.last().map(|row| row.entry.entry_id) else {
            break;
        };
        last = end;
        for row in &rows {
            report.check_contents(
                row,
                &format!("entry {}, not numbered yet,", row.entry.entry_id),
            );
            report.unnumbered.push(row.entry.entry_id);
        }
    }
    Ok(report)
}

impl Report {
    /// Are the contents those that were digested, or disposed of by a decision that the log names?
    fn check_contents(&mut self, row: &Row, what: &str) {
        let name = name(&row.entry);
        match &row.salt {
            Some(salt) => {
                let digest = salt
                    .as_slice()
                    .try_into()
                    .map(|salt| chain::digest(salt, row.before.as_deref(), row.after.as_deref()));
                if digest.ok().as_ref() != Some(&row.entry.digest) {
                    self.faults.push(format!(
                        "{what} does not fit its contents: they were changed ({name})"
                    ));
                }
            }
            None if row.disposal_named => self.disposed += 1,
            None => self.faults.push(format!(
                "{what} has lost its contents without a decision of disposal ({name})"
            )),
        }
    }
}

fn name(entry: &Entry) -> String {
    format!(
        "entry {}: {} {} {}",
        entry.entry_id, entry.operation, entry.resource_type, entry.resource_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed_and_nothing_else_is_one() {
        let head = Head {
            number: 17,
            hash: vec![0x5f; 32],
        };
        assert_eq!(head.to_string().parse(), Ok(head));
        for wrong in [
            "",
            "17",
            "17:",
            "17:5f",
            "0:aa",
            "x:y",
            &format!("17:{}", "å".repeat(32)),
        ] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }
}
