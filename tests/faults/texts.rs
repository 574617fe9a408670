//! A corpus of strings that break software, through every text field of every operation.

use serde_json::Value;
use std::collections::HashSet;

use crate::cluster::Cluster;
use crate::lies::Lies;
use crate::line::{Write, attempt, writes};
use crate::program::{
    Client, EVERYONE, Program, Reply, expect_nothing_secret_is_logged, free_address,
};
use crate::schema::{is_a, places, with};
use crate::{Row, rounds};

const CORPUS: &str = include_str!("../api/naughty-strings.json");

/// The free texts of a body: where they stand, and how long they may be.
fn texts(schema: &'static Value) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    places(schema, "", &mut all);
    let is_free =
        |at: &Value| is_a(at, "string") && at.get("enum").is_none() && at.get("format").is_none();
    all.retain(|(_, at)| is_free(at));
    all.into_iter()
        .map(|(place, at)| (place, at["maxLength"].as_u64().unwrap_or(1000) as usize))
        .collect()
}

/// As much of the corpus as a field may hold, from this string on.
fn much(allowed: &[&String], from: usize, longest: usize) -> String {
    let mut text = "å".to_owned();
    let mut length = 1;
    for one in allowed.iter().cycle().skip(from).take(allowed.len()) {
        let more = 1 + one.chars().count();
        if length + more <= longest {
            text = format!("{text} {one}");
            length += more;
        }
    }
    text
}

/// Does the text stand in the answer, at the same place or, of another shape, anywhere?
fn holds(answer: &Value, place: &str, text: &str) -> bool {
    fn anywhere(value: &Value, text: &str) -> bool {
        match value {
            Value::String(known) => known == text,
            Value::Array(items) => items.iter().any(|item| anywhere(item, text)),
            Value::Object(members) => members.values().any(|member| anywhere(member, text)),
            _ => false,
        }
    }
    match answer.pointer(place) {
        Some(Value::String(known)) => known == text,
        _ => anywhere(answer, text),
    }
}

struct Count {
    requests: u64,
    accepted: usize,
    altered: Vec<String>,
    broken: u64,
}

impl Count {
    /// Sends the body; an accepted one must come back as it was sent, and again when it is read.
    fn send(
        &mut self,
        client: &mut Client,
        write: &Write,
        body: &Value,
        texts: &[(&str, &str)],
    ) -> Reply {
        let sent = Write {
            name: write.name.clone(),
            method: write.method.clone(),
            path: write.path.clone(),
            body: Some(body.to_string()),
            schema: write.schema,
        };
        self.requests += 1;
        let key = format!("text-{}", self.requests);
        let reply = attempt(client, &sent, &key);
        self.broken += u64::from(reply.status >= 500);
        if reply.status >= 300 {
            return reply;
        }
        self.accepted += 1;
        let location = reply.header("Location").unwrap_or(&write.path).to_owned();
        let read = client.get(&location).unwrap();
        for (place, text) in texts {
            let is_kept = |answer: &Reply| holds(&answer.json(), place, text);
            // some answers tell of something else than what was sent, as the status of an event
            if !(is_kept(&reply) || read.status == 200 && is_kept(&read)) {
                let what = format!("{} {place} {text:?}: {}", write.name, reply.body);
                self.altered.push(what);
            }
        }
        reply
    }
}

#[test]
fn naughty_strings_in_every_text_field_come_back_byte_for_byte_or_are_refused() {
    let corpus: Vec<String> = serde_json::from_str(CORPUS).unwrap();
    let cluster = Cluster::with(&["fsync=off"]);
    // so that the webhook of the examples has an address
    let lies = Lies::new();
    let url = cluster.url("kompetens_service", "kompetens");
    let program = Program::at(free_address(), lies.told_to(&mut Program::command(&url)));
    let mut count = Count {
        requests: 0,
        accepted: 0,
        altered: Vec::new(),
        broken: 0,
    };
    let allowed: Vec<&String> = corpus
        .iter()
        .filter(|one| !one.chars().any(char::is_control))
        .collect();
    let step = rounds(150, 1);
    let (mut fields, mut never) = (0, Vec::new());
    for (number, write) in writes().iter().enumerate() {
        let (Some(example), Some(schema)) = (&write.body, write.schema) else {
            continue;
        };
        // an import answers before its lines are carried out, by what the single writes do
        if write.name == "create_import" {
            continue;
        }
        let example: Value = serde_json::from_str(example).unwrap();
        let all: Vec<(String, String)> = texts(schema)
            .into_iter()
            .map(|(place, longest)| (place, much(&allowed, number * 11, longest)))
            .collect();
        fields += all.len();
        let mut taken: HashSet<String> = HashSet::new();
        // first all fields at once, as some writes can be done once only; without those that are refused for what they say
        let mut filled = all.clone();
        let mut caller = 0;
        let mut clients: Vec<Client> = EVERYONE
            .iter()
            .map(|token| Client::new(program.address, token))
            .collect();
        while caller < clients.len() && !filled.is_empty() {
            let body = filled.iter().fold(example.clone(), |body, (place, text)| {
                with(schema, body, place, &Value::from(text.as_str()))
            });
            let pairs: Vec<(&str, &str)> = filled
                .iter()
                .map(|(place, text)| (place.as_str(), text.as_str()))
                .collect();
            let reply = count.send(&mut clients[caller], write, &body, &pairs);
            if reply.status < 300 {
                taken.extend(filled.iter().map(|(place, _)| place.clone()));
                break;
            }
            let errors = reply.json()["errors"].clone();
            let named: Vec<&str> = errors
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|error| error["pointer"].as_str())
                .collect();
            let before = filled.len();
            filled.retain(|(place, _)| !named.iter().any(|at| place.starts_with(at)));
            if filled.len() == before {
                caller += 1;
            }
        }
        // then each field with each string
        let client = &mut clients[caller % EVERYONE.len()];
        for (nth, (place, much)) in all.iter().enumerate() {
            let some = corpus.iter().skip((number + nth * 7) % step).step_by(step);
            for text in some.chain([much]) {
                let body = with(schema, example.clone(), place, &Value::from(text.as_str()));
                if count.send(client, write, &body, &[(place, text)]).status < 300 {
                    taken.insert(place.clone());
                }
            }
        }
        never.extend(
            all.iter()
                .filter(|(place, _)| !taken.contains(place))
                .map(|(place, _)| format!("{}{place}", write.name)),
        );
    }
    expect_nothing_secret_is_logged();
    println!("free texts that were taken in no request: {never:?}");
    assert!(count.altered.is_empty(), "{:#?}", count.altered);
    assert!(never.len() * 2 < fields, "{} of {fields}", never.len());
    Row {
        fault: "input: naughty strings in every text field",
        rounds: fields,
        requests: count.requests,
        acknowledged: count.accepted,
        lost: count.altered.len(),
        doubled: 0,
        broken: count.broken,
        note: format!(
            "{} of {fields} fields are names of things, not free texts",
            never.len()
        ),
    }
    .promise_kept();
}
