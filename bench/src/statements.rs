//! The statements that a request makes the service send, read from PostgreSQL's own log, and the pgbench script that sends the same.

use crate::database::Database;

/// One statement as the server received it.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub backend: String,
    pub sql: String,
    pub parameters: Vec<Option<String>>,
    /// Of the parameters, as PostgreSQL infers them from the statement.
    pub types: Vec<String>,
    /// Was it prepared under a name, to be sent again without being parsed?
    pub prepared: bool,
}

impl Statement {
    /// pgbench sends each use of a value as a parameter of its own, whose type PostgreSQL could not always infer.
    pub fn with_types(self, database: &Database) -> Result<Statement, String> {
        if self.parameters.is_empty() {
            return Ok(self);
        }
        // what PostgreSQL cannot infer, since the statement only passes it through, is text
        let mut declared = vec!["unknown"; self.parameters.len()];
        let types = loop {
            let asked = database.sql(
                "kompetens",
                &format!(
                    "prepare recorded ({}) as {}; select unnest(parameter_types) from pg_prepared_statements where name = 'recorded'",
                    declared.join(", "),
                    self.sql.trim_end_matches(';')
                ),
            );
            let unknown = asked.as_ref().err().and_then(|problem| {
                let number = problem.split("data type of parameter $").nth(1)?;
                number
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
                    .parse::<usize>()
                    .ok()
            });
            match unknown.and_then(|number| declared.get_mut(number.checked_sub(1)?)) {
                Some(of) if *of == "unknown" => *of = "text",
                _ => break asked?,
            }
        };
        Ok(Statement {
            types: types.lines().map(str::to_owned).collect(),
            ..self
        })
    }
}

/// The log's prefix: process and application.
pub const PREFIX: &str = "@@%p %a@";

/// What the service calls itself when it serves requests; its background work has another name.
const APPLICATION: &str = "kompetens";

/// Reads what requests sent from a log that was written with `log_statement = all` and the prefix. Lines that go on begin with a tab.
pub fn read(log: &str) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    for entry in format!("\n{log}").split("\n@@").skip(1) {
        let Some((head, entry)) = entry.split_once('@') else { continue };
        let Some((backend, APPLICATION)) = head.split_once(' ') else {
            continue;
        };
        let entry = entry.trim_end().replace("\n\t", "\n");
        if let Some(simple) = entry.strip_prefix("LOG:  statement: ") {
            statements.push(Statement {
                backend: backend.to_owned(),
                sql: simple.to_owned(),
                parameters: Vec::new(),
                types: Vec::new(),
                prepared: true,
            });
        } else if let Some((name, sql)) = entry.strip_prefix("LOG:  execute ").and_then(|rest| rest.split_once(": ")) {
            let prepared = name != "<unnamed>";
            statements.push(Statement {
                backend: backend.to_owned(),
                sql: sql.to_owned(),
                parameters: Vec::new(),
                types: Vec::new(),
                prepared,
            });
        } else if let Some(list) = entry.strip_prefix("DETAIL:  parameters: ")
            && let Some(statement) = statements.iter_mut().rev().find(|statement| statement.backend == backend)
        {
            statement.parameters = parameters(list);
        }
    }
    statements
}

/// `$1 = 'it''s', $2 = NULL`
fn parameters(mut list: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    while let Some((_, rest)) = list.split_once(" = ") {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let mut value = String::new();
            let mut rest = quoted;
            while let Some((part, after)) = rest.split_once('\'') {
                value.push_str(part);
                rest = after;
                match after.strip_prefix('\'') {
                    Some(after) => {
                        value.push('\'');
                        rest = after;
                    }
                    None => break,
                }
            }
            values.push(Some(value));
            list = rest;
        } else {
            values.push(None);
            list = rest.strip_prefix("NULL").unwrap_or(rest);
        }
    }
    values
}

/// Which numbers a run goes through.
#[derive(Debug, Clone, Copy)]
pub enum Numbers {
    Random {
        first: u64,
        last: u64,
    },
    /// Every `step`th, once.
    Once {
        first: u64,
        last: u64,
        step: u64,
    },
}

/// A script that sends these statements with other numbers than the one they were recorded for, and the values it is given.
pub fn script(statements: &[Statement], sample: u64, numbers: Numbers, connections: usize) -> (String, Vec<(String, String)>) {
    let mut text = match numbers {
        Numbers::Random { first, last } => format!("\\set n random({first}, {last})\n"),
        Numbers::Once { first, last, step } => {
            let each = (last - first) / step / connections as u64;
            format!("\\set n {first} + (:client_id * {each} + :k) * {step}\n")
        }
    };
    text.push_str("\\set k :k + 1\n\\set m :run * 1000000000 + :client_id * 1000000 + :k\n");
    let mut writer = Writer {
        sample: format!("{sample:x}"),
        new: Vec::new(),
        variables: Vec::new(),
    };
    for statement in statements {
        let mut sql = statement.sql.clone();
        // the last first, so that $1 is not taken for the beginning of $10
        for (index, value) in statement.parameters.iter().enumerate().rev() {
            let written = match value {
                None => "null".to_owned(),
                Some(value) => writer.write(value),
            };
            let of = statement.types.get(index).map(String::as_str).unwrap_or("text");
            sql = sql.replace(&format!("${}", index + 1), &format!("{written}::{of}"));
        }
        text.push_str(sql.trim_end_matches(';'));
        text.push_str(";\n");
    }
    (text, writer.variables)
}

struct Writer {
    sample: String,
    /// The ids that the service made for the request, in the order they were met.
    new: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Writer {
    fn write(&mut self, value: &str) -> String {
        if let Some(id) = self.id(value) {
            return id;
        }
        if let Some(items) = value.strip_prefix('{').and_then(|value| value.strip_suffix('}')) {
            let ids: Option<Vec<String>> = items.split(',').map(|item| self.id(item)).collect();
            if let Some(ids) = ids {
                let ids: Vec<String> = ids.into_iter().map(|id| format!("{id}::uuid")).collect();
                return format!("array[{}]", ids.join(", "));
            }
        }
        let name = format!("v{}", self.variables.len());
        self.variables.push((name.clone(), value.to_owned()));
        format!(":{name}")
    }

    /// An id that goes with the number, or that is made anew each time.
    fn id(&mut self, value: &str) -> Option<String> {
        let plain: String = value.chars().filter(|c| *c != '-').collect();
        if value.len() != 36 || plain.len() != 32 || !plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let number = plain.get(2..)?.trim_start_matches('0');
        if number == self.sample && ["00", "e0", "f0", "c0"].contains(&plain.get(..2)?) {
            let prefix = &plain[..2];
            return Some(format!("('{prefix}' || lpad(to_hex(:n::bigint), 30, '0'))"));
        }
        let made = i64::from_str_radix(plain.get(..12)?, 16).ok()?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_millis() as i64;
        if (now - made).abs() > 600_000 {
            return None;
        }
        let position = self.new.iter().position(|known| known == value).unwrap_or_else(|| {
            self.new.push(value.to_owned());
            self.new.len() - 1
        });
        Some(format!("('{}{position:02x}' || lpad(to_hex(:m::bigint), 18, '0'))", &plain[..12]))
    }
}
