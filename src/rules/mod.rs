//! The guideline as code: facts in, verdict out.
//!
//! Nothing here knows the database, HTTP, the clock or the environment; today, now and ids come in as arguments, so
//! that every rule can be read beside its sentence in the guideline and tested as a table. The kinds of rule are
//! code; the rules themselves (questions, ladder, settings) are data, see [`crate::guideline`].
//!
//! Read in this order: [`scope`], [`venue_ladder`], [`answers`], [`compliance`], [`advice`].

pub mod access;
pub mod advice;
pub mod answers;
pub mod authority;
pub mod calendar;
pub mod compliance;
pub mod follow_up;
pub mod lifecycle;
pub mod personal_number;
pub mod scope;
pub mod venue_ladder;

use crate::guideline::Text;

/// Something in a body that a rule refuses: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: &'static str,
    /// What was expected and what to do, for people.
    pub detail: Text,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: Text) -> Fault {
        Fault {
            pointer: pointer.into(),
            code,
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// What a rule may not reach for; each is put together, so that this list does not find itself.
    const FORBIDDEN: [&[&str]; 9] = [
        &["die", "sel"],
        &["act", "ix"],
        &["Utc", "::now"],
        &["Local", "::now"],
        &["System", "Time"],
        &["std::", "env"],
        &["asy", "nc "],
        &["log", "::"],
        &["tok", "io"],
    ];

    fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).expect("a source file");
                found.push((path.display().to_string(), text));
            }
        }
    }

    #[test]
    fn the_rules_know_no_database_no_http_no_clock_no_environment_and_no_log() {
        let mut found = Vec::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules"),
            &mut found,
        );
        assert!(found.len() >= 8);
        for (path, text) in found {
            // comments may name what the code may not
            for line in text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                for parts in FORBIDDEN {
                    assert!(!line.contains(&parts.concat()), "{path}: {line}");
                }
            }
        }
    }
}
