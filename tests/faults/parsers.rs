//! Every parser of what comes from outside, under input that is almost right and input that is nothing: it never panics, takes
//! what it should and nothing else, and reads 100,000 bytes in no time.

use actix_web::FromRequest;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::test::TestRequest;
use chrono::{DateTime, NaiveDate, Utc};
use kompetens::changes::verification::Head;
use kompetens::error::{Code, Error};
use kompetens::http::call::{Call, IfMatch};
use kompetens::http::contract::{Admission, Contract};
use kompetens::http::paging::Paging;
use kompetens::http::{document, json_text};
use kompetens::identity::providers::Provider;
use kompetens::identity::tokens::{Issuer, LOCAL_AUDIENCE, LOCAL_ISSUER, Verifier};
use kompetens::identity::{Actor, Identity};
use kompetens::imports::{Lines, received};
use kompetens::references::References;
use kompetens::rules::access::Role;
use kompetens::rules::personal_number::contains_personal_number;
use kompetens::webhooks::address::Networks;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use std::cell::Cell;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use uuid::Uuid;

use crate::cluster::{Cluster, scratch};
use crate::line::writes;
use crate::program::{Client, HR, Program, read_reply};
use crate::schema::{places, with};
use crate::{Row, rounds};

/// One change of a text: where, over how many bytes, and what is put there.
type Edit = (Index, usize, Vec<u8>);

/// One of the seeds with a few changes, or a splice of two, or bytes of no origin.
fn almost(seeds: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let of_no_origin = prop::collection::vec(any::<u8>(), 0..80);
    const PIECES: [&str; 14] = [
        "\"",
        "\\",
        "\0",
        "%00",
        "\r\n",
        "-",
        "9",
        " ",
        "é",
        "🎉",
        "\u{202e}",
        "99999999999999999999",
        "=",
        ".",
    ];
    let piece = prop_oneof![
        select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let edit = (any::<Index>(), 0..4usize, piece);
    let seed = select(seeds);
    let edited = (seed.clone(), prop::collection::vec(edit, 0..5)).prop_map(
        |(seed, edits): (String, Vec<Edit>)| {
            let mut bytes = seed.into_bytes();
            for (at, over, put) in edits {
                let at = at.index(bytes.len() + 1);
                let end = (at + over).min(bytes.len());
                bytes.splice(at..end, put);
            }
            bytes
        },
    );
    let spliced = (seed.clone(), seed, any::<Index>(), any::<Index>()).prop_map(
        |(one, other, end, begin)| {
            let mut bytes = one.as_bytes()[..end.index(one.len() + 1)].to_vec();
            bytes.extend_from_slice(&other.as_bytes()[begin.index(other.len() + 1)..]);
            bytes
        },
    );
    prop_oneof![8 => edited, 2 => spliced, 1 => of_no_origin]
}

fn seeds(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Tries a parser with many inputs; the check says whether the input was taken, or panics.
fn try_with<T: std::fmt::Debug>(
    parser: &str,
    all: usize,
    inputs: impl Strategy<Value = T>,
    check: impl Fn(T) -> bool,
) {
    let cases = rounds(300, all);
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let taken = Cell::new(0);
    TestRunner::new(config)
        .run(&inputs, |input| {
            taken.set(taken.get() + usize::from(check(input)));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{parser}: {error}"));
    Row {
        fault: &format!("input: {parser}"),
        rounds: cases,
        requests: cases as u64,
        acknowledged: taken.get(),
        lost: 0,
        doubled: 0,
        broken: 0,
        note: "acknowledged: taken as right".to_owned(),
    }
    .promise_kept();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::new(document()).unwrap());

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// What becomes of a request at the door.
fn admit(request: TestRequest) -> Result<ServiceRequest, Error> {
    let mut request = request.to_srv_request();
    let admission = runtime().block_on(CONTRACT.admit(
        &mut request,
        Duration::from_secs(1),
        async |_| Ok(Actor::System),
        |actor| Call::new(actor, Utc::now(), "a-request"),
    ));
    match admission {
        Ok(Admission::Operation(_) | Admission::Options(_)) => Ok(request),
        Err(error) => {
            let status = error.code().status();
            assert!((400..500).contains(&status), "{error:?}");
            Err(error)
        }
    }
}

/// The list that an address asks for; nothing when it could not be sent at all.
fn list(query: &str) -> Option<Result<Paging, Error>> {
    let address = format!("/kompetens/v1/events?{query}");
    address.parse::<actix_web::http::Uri>().ok()?;
    let request = match admit(TestRequest::get().uri(&address)) {
        Ok(request) => request,
        Err(error) => return Some(Err(error)),
    };
    Some(runtime().block_on(Paging::from_request(request.request(), &mut Payload::None)))
}

/// The cursor of a list after a row with this key.
fn cursor_after<K: serde::Serialize + Clone>(key: &K, id: Uuid) -> String {
    let paging = list("limit=1&status=draft").unwrap().unwrap();
    let mut rows = vec![0, 1];
    let cursor = paging.cut(&mut rows, |_| (key.clone(), id)).unwrap();
    cursor.unwrap()
}

#[test]
fn a_cursor_comes_back_as_it_was_given_and_a_mended_one_is_refused() {
    // the longest text that a list is ordered by: 500 characters, none of them control characters
    let keys = prop_oneof!["[^\\p{Cc}]{0,500}", Just("1850-05-01".to_owned())];
    try_with(
        "a cursor that was given",
        20_000,
        (keys, any::<u128>()),
        |(key, id)| {
            let id = Uuid::from_u128(id);
            let cursor = cursor_after(&key, id);
            let again = list(&format!("status=draft&cursor={cursor}")).unwrap();
            let after = again.unwrap().after::<String>();
            assert_eq!(after.unwrap(), Some((key, id)));
            // a cursor belongs to its list
            let elsewhere = list(&format!("status=held&cursor={cursor}")).unwrap();
            assert_eq!(elsewhere.unwrap_err().code(), Code::InvalidCursor);
            true
        },
    );
    let good: Vec<String> = vec![
        cursor_after(&"Planeringsdag", Uuid::nil()),
        cursor_after(&"2026-10-05T06:30:00Z", Uuid::max()),
        cursor_after(&17, Uuid::nil()),
        cursor_after(&Value::Null, Uuid::nil()),
    ];
    let place = |cursor: &str| {
        let read = list(&format!("status=draft&cursor={cursor}")).unwrap();
        read.map(|paging| paging.after::<Value>().unwrap())
    };
    let known: Vec<Option<(Value, Uuid)>> =
        good.iter().map(|cursor| place(cursor).unwrap()).collect();
    try_with("cursor", 50_000, almost(good), |bytes| {
        let cursor: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        // one that is taken means a place that was given, however it was mended
        place(&cursor).is_ok_and(|place| {
            assert!(known.contains(&place), "{}", text(&bytes));
            true
        })
    });
}

#[test]
fn an_address_is_read_or_refused() {
    let queries = seeds(&[
        "status=draft,held&limit=5&includeTotal=true",
        "from=2026-10-05&to=2026-10-25&q=dag&page=2",
        "updatedSince=2026-10-05T06:30:00%2B02:00&sort=-title",
        "unitId=0190a000-0000-7000-8000-000000000101&includeSubtree=true",
        "a=%C3%A5&b=%FF&c=%zz&&=&=1",
    ]);
    try_with("query of an address", 50_000, almost(queries), |bytes| {
        list(&text(&bytes)).is_some_and(|read| read.is_ok())
    });
    let paths = seeds(&[
        "/kompetens/v1/events/0190a000-0000-7000-8000-000000000101",
        "/kompetens/v1/external-people/hr/4711%20a",
        "/kompetens/v1/events/0190a000-0000-7000-8000-000000000101/planning-answers/purpose/revisions",
    ]);
    try_with("path of an address", 50_000, almost(paths), |bytes| {
        let path = text(&bytes);
        path.parse::<actix_web::http::Uri>().is_ok_and(|uri| {
            uri.path().starts_with('/') && admit(TestRequest::get().uri(&path)).is_ok()
        })
    });
}

/// A value as a header, when HTTP lets it be one.
fn header(bytes: &[u8]) -> Option<actix_web::http::header::HeaderValue> {
    actix_web::http::header::HeaderValue::from_bytes(bytes).ok()
}

#[test]
fn an_etag_is_a_revision_or_refused() {
    let unit = "/kompetens/v1/units/0190a000-0000-7000-8000-000000000101";
    let etags = seeds(&[
        "\"1\"",
        "\"17-5f1d7a2c\"",
        "*",
        "W/\"3\"",
        "\"999999999\"",
        "\"1\", \"2\"",
        "\"0017\"",
    ]);
    try_with("ETag (If-Match)", 50_000, almost(etags), |bytes| {
        let Some(value) = header(&bytes) else {
            return false;
        };
        let request = TestRequest::patch()
            .uri(unit)
            .insert_header(("Content-Type", "application/json"))
            .insert_header(("If-Match", value))
            .set_payload("{}");
        let Ok(request) = admit(request) else {
            return false;
        };
        let call = runtime().block_on(Call::from_request(request.request(), &mut Payload::None));
        let sent = text(&bytes);
        match call.unwrap().if_match {
            Some(IfMatch::Any) => assert_eq!(sent, "*"),
            Some(IfMatch::Revision(revision)) => {
                let tag = sent
                    .strip_prefix('"')
                    .and_then(|tag| tag.strip_suffix('"'))
                    .unwrap();
                let (digits, hash) = tag.split_once('-').unwrap_or((tag, "00000000"));
                assert_eq!(digits.parse(), Ok(revision));
                assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
                assert_eq!(
                    u32::from_str_radix(hash, 16)
                        .map(|hash| format!("{hash:08x}"))
                        .unwrap(),
                    hash
                );
            }
            None => panic!("{sent:?} is no condition"),
        }
        true
    });
}

#[test]
fn an_idempotency_key_is_255_visible_characters_or_refused() {
    let keys = seeds(&[
        "a",
        "0190a000-0000-7000-8000-000000000001",
        "import-2026-11/17",
        &"k".repeat(254),
        "19121212-1212",
    ]);
    try_with("Idempotency-Key", 50_000, almost(keys), |bytes| {
        let Some(value) = header(&bytes) else {
            return false;
        };
        let request = TestRequest::post()
            .uri("/kompetens/v1/scope-checks")
            .insert_header(("Content-Type", "application/json"))
            .insert_header(("Idempotency-Key", value))
            .set_payload(r#"{"kind":"kickOff","arranger":"group"}"#);
        let taken = admit(request);
        let is_key = (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        let key = text(&bytes);
        let personal = contains_personal_number(&key) && !json_text::is_uuid(&key);
        assert_eq!(taken.is_ok(), is_key && !personal, "{key:?}");
        taken.is_ok()
    });
}

#[test]
fn a_token_with_one_other_character_is_nobodys() {
    let issuer = Issuer::create(&scratch().join("issuer-of-parsers")).unwrap();
    let provider = Provider::start(issuer.provider()).unwrap();
    let verifier = Verifier::new(vec![provider], Arc::new(References::default()));
    let identity = Identity {
        person_ref: "person-0003".to_owned(),
        roles: [Role::Planner].into(),
        units: [Uuid::nil()].into(),
    };
    let hour = chrono::Duration::hours(1);
    let good = issuer
        .token(&identity, LOCAL_ISSUER, LOCAL_AUDIENCE, Utc::now(), hour)
        .unwrap();
    let stale = issuer
        .token(
            &identity,
            LOCAL_ISSUER,
            LOCAL_AUDIENCE,
            Utc::now() - hour * 2,
            hour,
        )
        .unwrap();
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwZXJzb24tMDAwMSJ9.";
    let tokens = vec![good.clone(), good.clone(), stale, none.to_owned()];
    try_with("token", 50_000, almost(tokens), |bytes| {
        let token = text(&bytes);
        if token.trim().starts_with("kompetens_") {
            return false;
        }
        let actor =
            runtime().block_on(verifier.actor(Some(&format!("Bearer {token}")), Utc::now()));
        assert_eq!(actor.is_ok(), token.trim() == good, "{token}");
        actor.is_ok()
    });
    let lines = seeds(&[
        "Bearer",
        "Bearer ",
        "bearer x",
        "Basic dTpw",
        "Bearer a b",
        "",
    ]);
    try_with_none_taken("Authorization", almost(lines), |bytes| {
        runtime()
            .block_on(verifier.actor(Some(&text(&bytes)), Utc::now()))
            .is_ok()
    });
}

/// The same for what is never right.
fn try_with_none_taken(
    parser: &str,
    inputs: impl Strategy<Value = Vec<u8>>,
    check: impl Fn(Vec<u8>) -> bool,
) {
    try_with(parser, 100_000, inputs, |bytes| {
        assert!(!check(bytes));
        true
    });
}

#[test]
fn what_the_door_takes_for_a_date_a_time_or_an_id_is_one() {
    let dates = seeds(&["2026-10-05", "1900-01-01", "2199-12-31", "2024-02-29"]);
    try_with("date", 50_000, almost(dates), |bytes| {
        let sent = text(&bytes);
        let taken = json_text::is_date(&sent);
        if taken {
            let read: NaiveDate = serde_json::from_value(sent.clone().into()).unwrap();
            assert_eq!(read.to_string(), sent);
        }
        taken
    });
    let times = seeds(&[
        "2026-10-05T06:30:00Z",
        "2026-10-05T08:30:00.123456789+02:00",
        "1900-01-01T00:00:00Z",
        "2199-12-31T23:59:59Z",
    ]);
    try_with("time", 50_000, almost(times), |bytes| {
        let sent = text(&bytes);
        let taken = json_text::is_date_time(&sent);
        if taken {
            let _: DateTime<Utc> = serde_json::from_value(sent.into()).unwrap();
        }
        taken
    });
    let ids = seeds(&[
        "0190a000-0000-7000-8000-000000000101",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ]);
    try_with("id", 50_000, almost(ids), |bytes| {
        let sent = text(&bytes);
        let taken = json_text::is_uuid(&sent);
        if taken {
            let read: Uuid = serde_json::from_value(sent.clone().into()).unwrap();
            assert_eq!(read.to_string(), sent.to_lowercase());
        }
        taken
    });
    let heads = seeds(&[
        &format!("17:{}", "5f".repeat(32)),
        &format!("1:{}", "0".repeat(64)),
    ]);
    try_with("head of the change log", 50_000, almost(heads), |bytes| {
        let read = text(&bytes).parse::<Head>();
        if let Ok(head) = &read {
            assert_eq!(head.to_string().parse().as_ref(), Ok(head));
        }
        read.is_ok()
    });
}

/// The lines of a body that arrives in pieces of this size: their numbers, and what they say or why it cannot be read.
fn lines(body: &[u8], piece: usize) -> Vec<(i32, Result<Vec<u8>, Code>)> {
    let (mut cut, mut found) = (Lines::default(), Vec::new());
    let parts = body
        .chunks(piece)
        .flat_map(|piece| piece.split_inclusive(|byte| *byte == b'\n'));
    for part in parts {
        let line = cut.feed(part);
        found.extend(line.map(|(number, said)| (number, said.map(<[u8]>::to_vec))));
    }
    let last = cut.last();
    found.extend(last.map(|(number, said)| (number, said.map(<[u8]>::to_vec))));
    found
}

#[test]
fn an_import_is_cut_into_lines_however_it_arrives_and_a_line_that_is_taken_says_what_it_said() {
    let line = |resource: &str, body: &str| {
        format!(
            r#"{{"resource":"{resource}","sourceSystem":"hr-system","externalId":"4711","body":{body}}}"#
        )
    };
    let goal = line(
        "businessGoal",
        r#"{"unitId":"0190a000-0000-7000-8000-000000000101","title":"Fler elever når målen","validFrom":"2030-01-01"}"#,
    );
    let person = line(
        "person",
        r#"{"personRef":"person-4711","name":"Åsa Öberg"}"#,
    );
    let bodies = seeds(&[
        &goal,
        &format!("{goal}\r\n\n{person}\n"),
        &format!("\u{feff}{person}\n{goal}"),
        &line("event", "{}"),
        "{\"resource\":\"unit\"}",
    ]);
    let call = Call::new(Actor::System, Utc::now(), "a-request");
    let pieces = 1..100usize;
    try_with(
        "import",
        50_000,
        (almost(bodies), pieces),
        |(bytes, piece)| {
            let whole = lines(&bytes, bytes.len().max(1));
            assert_eq!(lines(&bytes, piece), whole, "{}", text(&bytes));
            let mut taken = false;
            for (number, line) in whole {
                let line = line.unwrap();
                let read = received(&call, number, Ok(&line));
                if read.problem.is_some() {
                    continue;
                }
                let said = read.said.unwrap();
                let theirs: Value = serde_json::from_slice(&line).unwrap();
                assert_eq!(theirs["externalId"], said.external_id, "{}", text(&line));
                assert_eq!(
                    without_fractions(theirs["body"].clone()),
                    said.body,
                    "{}",
                    text(&line)
                );
                let stored = serde_json::to_vec(&said).unwrap();
                assert_eq!(received(&call, number, Ok(&stored)).said, Some(said));
                taken = true;
            }
            taken
        },
    );
}

#[test]
fn json_is_taken_only_when_the_library_takes_it_and_then_says_the_same() {
    let bodies: Vec<String> = writes()
        .into_iter()
        .filter_map(|write| write.body)
        .collect();
    try_with("JSON", 100_000, almost(bodies), |bytes| {
        let ours = json_text::parse(&bytes);
        if let Ok(value) = &ours {
            let theirs: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(value.to_string(), without_fractions(theirs).to_string());
        }
        ours.is_ok()
    });
}

/// 3.0 is 3.
fn without_fractions(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                Value::from(float as i64)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(without_fractions).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, member)| (name, without_fractions(member)))
            .collect(),
        other => other,
    }
}

#[test]
fn a_personal_number_is_found_wherever_it_stands_and_no_text_is_too_much() {
    let texts = seeds(&[
        "Fråga 19121212-1212 om lokalen",
        "121212+1212",
        "KS 2026/00121-12",
        "2026-10-05",
        "556036-0793",
        "１２１２１２－１２１２",
    ]);
    try_with("personal number", 200_000, almost(texts), |bytes| {
        let sent = text(&bytes);
        let found = contains_personal_number(&sent);
        // what stands beside it, apart, hides it from nobody
        assert!(
            contains_personal_number(&format!("{sent}, 19121212-1212")),
            "{sent:?}"
        );
        found
    });
}

#[test]
fn a_webhook_goes_to_no_address_inside_however_it_is_written() {
    let outside = Networks::default();
    let spelled = |address: Ipv4Addr, how: u8| {
        let [a, b, c, d] = address.octets();
        match how {
            0 => format!("{a}.{b}.{c}.{d}"),
            1 => u32::from(address).to_string(),
            2 => format!("0x{:x}", u32::from(address)),
            3 => format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            4 => format!("{a}.{}", u32::from(address) & 0xff_ffff),
            5 => format!("[::ffff:{a}.{b}.{c}.{d}]"),
            6 => format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
            7 => format!("0x{a:x}.0x{b:x}.{}", u32::from(address) & 0xffff),
            _ => format!("[::{a}.{b}.{c}.{d}]"),
        }
    };
    let inside = prop_oneof![
        (any::<u32>()).prop_map(|low| u32::from(Ipv4Addr::new(10, 0, 0, 0)) | low & 0xff_ffff),
        (any::<u32>()).prop_map(|low| u32::from(Ipv4Addr::LOCALHOST) | low & 0xff_ffff),
        (any::<u32>()).prop_map(|low| u32::from(Ipv4Addr::new(192, 168, 0, 0)) | low & 0xffff),
        (any::<u32>()).prop_map(|low| u32::from(Ipv4Addr::new(172, 16, 0, 0)) | low & 0xf_ffff),
        (any::<u32>()).prop_map(|low| u32::from(Ipv4Addr::new(169, 254, 0, 0)) | low & 0xffff),
        Just(0),
    ];
    try_with(
        "webhook address inside",
        20_000,
        (inside, 0..9u8, any::<bool>()),
        |(address, how, tls)| {
            let scheme = if tls { "https" } else { "http" };
            let url = format!("{scheme}://{}:8443/hook", spelled(address.into(), how));
            assert!(outside.judge(&url).is_err(), "{url}");
            true
        },
    );
    // numbers only: a name would be looked up
    let urls = seeds(&[
        "https://1.1.1.1/hook",
        "https://[2606:4700::1111]:8443/hook?a=b",
        "http://127.0.0.1:80/",
        "https://user:secret@1.1.1.1/",
        "https://1.1.1.1#@127.0.0.1/",
    ]);
    let names_nothing = |url: &str| {
        let host = url.split('/').nth(2).unwrap_or_default();
        host.bytes().all(|byte| {
            matches!(
                byte,
                b'0'..=b'9' | b'.' | b':' | b'[' | b']' | b'@' | b'#' | b'?'
            )
        })
    };
    try_with("webhook address", 50_000, almost(urls), |bytes| {
        let url = text(&bytes);
        if !names_nothing(&url) {
            return false;
        }
        let taken = outside.judge(&url).is_ok();
        assert!(
            !taken || url.to_lowercase().starts_with("https://"),
            "{url}"
        );
        taken
    });
    let networks = seeds(&["10.1.0.0/16", "10.1.0.0/16, fd00::/8", "0.0.0.0/0,::/0", ""]);
    try_with(
        "networks that webhooks may reach",
        100_000,
        almost(networks),
        |bytes| text(&bytes).parse::<Networks>().is_ok(),
    );
}

#[test]
fn a_hundred_thousand_bytes_take_no_parser_longer_than_twice_fifty_thousand() {
    let networks = Networks::default();
    type Parser = Box<dyn Fn(&str)>;
    let parsers: [(&str, Parser); 8] = [
        (
            "personal number",
            Box::new(|text| {
                black_box(contains_personal_number(text));
            }),
        ),
        (
            "JSON",
            Box::new(|text| {
                let _ = black_box(json_text::parse(text.as_bytes()));
            }),
        ),
        (
            "date",
            Box::new(|text| {
                black_box(json_text::is_date(text));
            }),
        ),
        (
            "time",
            Box::new(|text| {
                black_box(json_text::is_date_time(text));
            }),
        ),
        (
            "head",
            Box::new(|text| {
                let _ = black_box(text.parse::<Head>());
            }),
        ),
        (
            "networks",
            Box::new(|text| {
                let _ = black_box(text.parse::<Networks>());
            }),
        ),
        (
            "webhook address",
            Box::new(move |text| {
                let _ = black_box(networks.judge(&format!("https://[{text}]/")));
            }),
        ),
        (
            "header",
            Box::new(|text| {
                let Some(value) = header(text.as_bytes()) else {
                    return;
                };
                let request = TestRequest::post().uri("/kompetens/v1/scope-checks");
                let request = request.insert_header(("Idempotency-Key", value.clone()));
                let _ = black_box(admit(request.insert_header(("If-Match", value))));
            }),
        ),
    ];
    let time = |parser: &dyn Fn(&str), text: &str| {
        let of_several = (0..3).map(|_| {
            let begun = Instant::now();
            parser(text);
            begun.elapsed()
        });
        of_several.min().unwrap()
    };
    for piece in [
        "a",
        "1",
        "121212 ",
        "121212 - ",
        "\"",
        "[",
        "{\"a\":",
        "\\u00",
        "-",
        " ",
        "é",
        "%",
        ",",
    ] {
        let (half, whole) = (
            piece.repeat(50_000 / piece.len()),
            piece.repeat(100_000 / piece.len()),
        );
        for (name, parser) in &parsers {
            // quadratic time would be four times as long, however often it is tried; what takes no time is not compared
            let is_linear = (0..20)
                .any(|_| time(parser, &whole) < time(parser, &half) * 3 + Duration::from_millis(1));
            assert!(is_linear, "{name} of {piece:?}");
        }
    }
}

#[test]
fn bodies_that_are_almost_right_are_taken_or_refused_and_nothing_breaks() {
    let cluster = Cluster::with(&["fsync=off"]);
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let mut client = Client::new(program.address, &HR);
    let values: Vec<Value> = serde_json::from_str(
        r#"[null, true, 0, -1, 1e300, 2147483648, 9223372036854775807, 0.5, "", " ", "a", "2026-02-30", "2026-10-05",
            "9999-12-31", "0190a000-0000-7000-8000-000000000101", "0190a000-0000-7000-8000-0000000000ff", "person-0001",
            "system", "client:1", [], [null], {}, {"a": 1}, "draft", "held", "*"]"#,
    )
    .unwrap();
    let (mut requests, mut taken) = (0, 0);
    for write in writes() {
        let (Some(example), Some(schema)) = (&write.body, write.schema) else {
            continue;
        };
        let example: Value = serde_json::from_str(example).unwrap();
        let mut all = Vec::new();
        places(schema, "", &mut all);
        let all: Vec<String> = all.into_iter().map(|(place, _)| place).collect();
        let choices = (
            select(all),
            select(values.clone()),
            select(values.clone()),
            any::<Index>(),
        );
        let config = Config {
            cases: u32::try_from(rounds(8, 400)).unwrap(),
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new(config);
        let mut bodies = Vec::new();
        for _ in 0..rounds(8, 400) {
            let (place, value, other, at) = choices.new_tree(&mut runner).unwrap().current();
            let mut body = with(schema, example.clone(), &place, &value);
            // and sometimes a second fault
            if let Some(members) = body.as_object_mut().filter(|members| !members.is_empty()) {
                let nth = at.index(members.len() * 2);
                if let Some(member) = members.values_mut().nth(nth) {
                    *member = other;
                }
            }
            bodies.push(body.to_string());
        }
        for body in bodies {
            let headers = [("If-Match", "*")];
            let reply = client
                .send(&write.method, &write.path, &headers, Some(&body))
                .unwrap();
            assert!(reply.status < 500, "{} {body}: {}", write.name, reply.body);
            reply.expect_well_formed();
            requests += 1;
            taken += usize::from(reply.status < 300);
        }
    }
    crate::ledger::expect_numbered(&cluster);
    assert!(cluster.verify_audit().is_ok());
    Row {
        fault: "input: bodies that are almost right, every write",
        rounds: rounds(8, 400),
        requests,
        acknowledged: taken,
        lost: 0,
        doubled: 0,
        broken: 0,
        note: String::new(),
    }
    .promise_kept();
}

#[test]
fn bytes_that_are_almost_http_are_answered_or_closed_and_the_service_lives() {
    use std::io::{BufReader, Read, Write};
    let cluster = Cluster::with(&["fsync=off"]);
    let program = Program::start(&cluster.url("kompetens_service", "kompetens"));
    let body = r#"{"kind":"kickOff","arranger":"group"}"#;
    let authorized = format!("Host: a\r\nAuthorization: Bearer {}\r\n", *HR);
    let requests = vec![
        format!("GET /kompetens/v1/units?limit=1 HTTP/1.1\r\n{authorized}\r\n"),
        format!(
            "POST /kompetens/v1/scope-checks HTTP/1.1\r\n{authorized}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!(
            "POST /kompetens/v1/scope-checks HTTP/1.1\r\n{authorized}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ];
    try_with(
        "HTTP, as bytes on a connection",
        20_000,
        almost(requests),
        |bytes| {
            let mut stream = std::net::TcpStream::connect(program.address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let _ = stream.write_all(&bytes);
            // no more will come: what is whole is answered, what is half is given up
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut stream = BufReader::new(stream);
            let mut statuses = Vec::new();
            while let Ok(reply) = read_reply(&mut stream) {
                statuses.push(reply.status);
            }
            let mut rest = Vec::new();
            let closed = stream.read_to_end(&mut rest);
            assert!(
                closed.is_ok() || statuses.len() < 4,
                "it ends: {}",
                text(&bytes)
            );
            assert!(
                statuses.iter().all(|status| *status < 500),
                "{statuses:?}: {}",
                text(&bytes)
            );
            statuses.first().is_some_and(|status| *status < 300)
        },
    );
    assert_eq!(
        Client::new(program.address, &HR)
            .get("/units")
            .unwrap()
            .status,
        200
    );
    crate::program::expect_nothing_secret_is_logged();
}
