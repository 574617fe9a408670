//! The rules for every operation: problems, the order of refusals, methods, limits, and what is not even HTTP.

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use kompetens::http::document;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use uuid::Uuid;

const NOBODY: Caller = Caller(None);

/// Sends these bytes on a connection of their own and returns all that comes back within three seconds.
pub fn raw(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.address).expect("the port is open");
    let patience = Some(Duration::from_secs(3));
    stream.set_read_timeout(patience).unwrap();
    // the service may answer and close before it has read everything
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn alive(app: &TestApp) {
    app.get(&NOBODY, "/api-info").expect(200);
}

#[test]
fn every_problem_is_whole_and_speaks_swedish_or_english() {
    let app = TestApp::empty();
    let swedish = "Adressen finns men stöder inte metoden.";
    let english = "The address exists but does not support the method.";
    for (accepted, language, detail) in [
        ("", "sv", swedish),
        ("sv", "sv", swedish),
        ("en", "en", english),
        ("en-GB,sv;q=0.5", "en", english),
        ("sv;q=0.4, en;q=0.8", "en", english),
        ("de, *;q=0.1", "sv", swedish),
        ("en;q=0", "sv", swedish),
        ("de", "sv", swedish),
        (";;;,,q=x", "sv", swedish),
        ("en;q=NaN", "sv", swedish),
    ] {
        let reply = app
            .send(
                &app.hr(),
                "DELETE",
                "/units",
                &[("Accept-Language", accepted)],
                None,
            )
            .expect_problem(405, "method-not-allowed");
        assert_eq!(
            reply.header("Content-Language"),
            Some(language),
            "{accepted:?}"
        );
        assert_eq!(reply.header("Vary"), Some("Accept-Language"));
        assert_eq!(reply.body["instance"], "/kompetens/v1/units");
        let shown = reply.body["detail"].as_str().unwrap();
        assert!(shown.starts_with(detail), "{accepted:?}: {shown}");
    }
}

#[test]
fn refusals_come_in_the_order_of_the_contract() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let draft = hedemora.draft(&hedemora.town_hall);
    let draft = format!("/events/{}", draft.id());
    let nowhere = format!("/events/{}", Uuid::now_v7());
    let stranger = app.employee("person-other");
    let long = "x".repeat(9000);
    let (xml, json_type) = (
        ("Content-Type", "text/xml"),
        ("Content-Type", "application/json"),
    );
    let (stale, malformed) = (("If-Match", "\"99\""), ("If-Match", "ett"));
    let (form, data) = (r#"{"title":1}"#, r#"{"responsiblePerson":"nobody"}"#);

    type Case<'a> = (
        &'a Caller,
        &'a str,
        String,
        Vec<(&'a str, &'a str)>,
        &'a str,
        u16,
        &'a str,
    );
    // each request has every fault that is judged later too
    let cases: Vec<Case> = vec![
        (
            &NOBODY,
            "DELETE",
            format!("{draft}?x={long}"),
            vec![xml, malformed],
            "{",
            401,
            "unauthenticated",
        ),
        (
            &stranger,
            "DELETE",
            format!("{draft}?x={long}"),
            vec![xml, malformed],
            "{",
            405,
            "method-not-allowed",
        ),
        (
            &stranger,
            "PATCH",
            format!("{nowhere}?x={long}"),
            vec![xml, malformed],
            "{",
            414,
            "uri-too-long",
        ),
        (
            &stranger,
            "PATCH",
            format!("{nowhere}?x=1"),
            vec![xml, malformed],
            "{",
            415,
            "unsupported-media-type",
        ),
        (
            &stranger,
            "PATCH",
            format!("{nowhere}?x=1"),
            vec![json_type, malformed],
            "{",
            400,
            "invalid-parameter",
        ),
        (
            &stranger,
            "PATCH",
            nowhere.clone(),
            vec![malformed],
            "{",
            400,
            "invalid-header",
        ),
        (
            &stranger,
            "PATCH",
            nowhere.clone(),
            vec![],
            "{",
            400,
            "malformed-json",
        ),
        (
            &stranger,
            "PATCH",
            nowhere.clone(),
            vec![],
            form,
            422,
            "invalid-body",
        ),
        (
            &stranger,
            "PATCH",
            nowhere.clone(),
            vec![],
            data,
            428,
            "if-match-required",
        ),
        (
            &stranger,
            "PATCH",
            nowhere,
            vec![stale],
            data,
            404,
            "not-found",
        ),
        (
            &stranger,
            "PATCH",
            draft.clone(),
            vec![stale],
            data,
            404,
            "not-found",
        ),
        (
            &hedemora.planner,
            "PATCH",
            draft.clone(),
            vec![stale],
            data,
            412,
            "stale-revision",
        ),
        (
            &hedemora.planner,
            "PATCH",
            draft.clone(),
            vec![("If-Match", "\"1\"")],
            data,
            422,
            "unknown-person",
        ),
    ];
    for (caller, method, path, headers, body, status, code) in cases {
        app.send(caller, method, &path, &headers, Some(body))
            .expect_problem(status, code);
    }

    // a closed subject is 409 only when all else is right
    let event = app.get(&hedemora.planner, &draft).id();
    app.change_status(
        &hedemora.planner,
        &event,
        &json!({"status": "cancelled", "reason": "Ingen lokal."}),
    )
    .expect(200);
    let patch = |caller: &Caller, body: &str| {
        app.send(
            caller,
            "PATCH",
            &draft,
            &[("If-Match", "\"2\"")],
            Some(body),
        )
    };
    patch(&stranger, r#"{"title":"Ny"}"#).expect_problem(403, "forbidden");
    patch(&hedemora.planner, data).expect_problem(422, "unknown-person");
    patch(&hedemora.planner, r#"{"title":"Ny"}"#).expect_problem(409, "not-editable-in-status");
    let hidden = app.get(
        &stranger,
        &format!("/events/{}", hedemora.draft(&hedemora.hotel).id()),
    );
    let absent = app.get(&stranger, &format!("/events/{}", Uuid::now_v7()));
    let without = |reply: &Reply| {
        let mut body = reply.body.clone();
        body["instance"] = Value::Null;
        body["requestId"] = Value::Null;
        body
    };
    assert_eq!(
        without(&hidden),
        without(&absent),
        "what one may not know of looks absent"
    );
}

/// A path of the document with its parameters filled in.
pub fn concrete(path: &str) -> String {
    let parts: Vec<String> = path
        .split('/')
        .map(|part| match part {
            "{questionId}" => "purpose".to_owned(),
            part if part.starts_with('{') => Uuid::now_v7().to_string(),
            part => part.to_owned(),
        })
        .collect();
    parts.join("/")
}

#[test]
fn every_path_says_what_it_allows_and_answers_head_as_get() {
    let app = TestApp::empty();
    for (path, item) in document()["paths"].as_object().unwrap() {
        let methods: Vec<String> = item
            .as_object()
            .unwrap()
            .keys()
            .map(|m| m.to_uppercase())
            .collect();
        let path = concrete(path);
        let options = app.send(&NOBODY, "OPTIONS", &path, &[], None).expect(204);
        let allow: Vec<&str> = options
            .header("Allow")
            .expect("Allow")
            .split(", ")
            .collect();
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "PURGE",
        ] {
            let expected = methods.iter().any(|m| m == method)
                || method == "HEAD" && methods.iter().any(|m| m == "GET");
            assert_eq!(
                allow.contains(&method),
                expected,
                "{method} {path}: {allow:?}"
            );
            if !expected {
                let refused = app.send(&app.hr(), method, &path, &[], None);
                assert_eq!(refused.status, 405, "{method} {path}");
                assert_eq!(
                    refused.header("Allow"),
                    options.header("Allow"),
                    "{method} {path}"
                );
            }
        }
        if methods.iter().any(|method| method == "GET") {
            let named = [("X-Request-Id", "samma")];
            let get = app.send(&app.hr(), "GET", &path, &named, None);
            let head = app.send(&app.hr(), "HEAD", &path, &named, None);
            let comparable = |reply: &Reply| {
                let mut headers = reply.headers.clone();
                headers.retain(|(name, _)| !["date", "traceparent"].contains(&name.as_str()));
                headers.sort();
                (reply.status, headers)
            };
            assert_eq!(comparable(&head), comparable(&get), "{path}");
            assert_eq!(head.text, "");
        }
    }
    for page in [
        "",
        "/docs/",
        "/docs/openapi.json",
        "/kompetens/v1/openapi.json",
    ] {
        let page = format!("http://{}{page}", app.address);
        let refused = app
            .send(&NOBODY, "POST", &page, &[], Some("{}"))
            .expect_problem(405, "method-not-allowed");
        assert_eq!(refused.header("Allow"), Some("GET, HEAD, OPTIONS"));
        assert!(
            app.send(&NOBODY, "HEAD", &page, &[], None).status < 400,
            "{page}"
        );
        app.send(&NOBODY, "OPTIONS", &page, &[], None).expect(204);
    }
}

#[test]
fn an_address_that_is_not_an_operations_is_404() {
    let app = TestApp::empty();
    for path in [
        "/kompetens/v1/units/",
        "/kompetens/v1//units",
        "//kompetens/v1/units",
        "/kompetens/v2/units",
        "/units",
        "/kompetens/v1",
        "/kompetens/v1/",
        "/kompetens/v1/Units",
        "/kompetens/v1/%75nits",
        "/kompetens/v1/api-info/",
        "/kompetens/v1/unit",
        "/kompetens/v1/events/../units",
        "/livez",
        "/metrics",
        "/docs2",
    ] {
        app.get(&app.hr(), &format!("http://{}{path}", app.address))
            .expect_problem(404, "not-found");
    }
}

#[test]
fn requests_and_traces_keep_their_names() {
    let app = TestApp::empty();
    let named =
        |name: &str, value: &str| app.send(&NOBODY, "GET", "/api-info", &[(name, value)], None);
    for id in [
        "a",
        "0190a000-0000-7000-8000-000000000001",
        "min.egen_id~1",
        &"x".repeat(100),
    ] {
        assert_eq!(named("X-Request-Id", id).header("X-Request-Id"), Some(id));
    }
    for id in [
        "",
        "två ord",
        "a/b",
        "å",
        &"x".repeat(101),
        "191212121212",
        "a-19121212-1212",
    ] {
        let made = named("X-Request-Id", id);
        let made = made.header("X-Request-Id").unwrap();
        assert!(
            made != id && Uuid::parse_str(made).is_ok(),
            "{id:?} → {made:?}"
        );
    }
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let answered = named("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    let answered = answered.header("traceparent").unwrap();
    assert!(
        answered.starts_with(&format!("00-{trace}-")) && answered.ends_with("-01"),
        "{answered}"
    );
    assert!(!answered.contains("00f067aa0ba902b7"), "a span of our own");
    for broken in [
        "",
        "00",
        "00-0-0-0",
        "zz-1-1-1",
        &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        &format!("00-{trace}-00f067aa0ba902b7-x1"),
        // what is logged holds no personal number
        "00-191212121212aaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-01",
        "00-aaaaaaaaaaaaaaaaaaa-191212121212-00f067aa0ba902b7-01",
    ] {
        let made = named("traceparent", broken);
        let made = made.header("traceparent").unwrap();
        assert_eq!((made.len(), &made[..3]), (55, "00-"), "{broken:?} → {made}");
        assert!(!made.contains("1212121212"), "{made}");
    }
    // also on a problem, and on the pages
    assert!(app.get(&NOBODY, "/units").header("traceparent").is_some());
}

#[test]
fn what_is_too_large_or_of_another_kind_is_refused_by_name() {
    let app = TestApp::empty();
    let hr = app.hr();
    let Caller(Some(token)) = &hr else {
        unreachable!()
    };
    let sized = |size: usize| {
        let head = r#"{"kind":"kickOff","arranger":"group"}"#;
        format!("{head}{}", " ".repeat(size - head.len()))
    };
    app.send(&hr, "POST", "/scope-checks", &[], Some(&sized(64 * 1024)))
        .expect(200);
    app.send(
        &hr,
        "POST",
        "/scope-checks",
        &[],
        Some(&sized(64 * 1024 + 1)),
    )
    .expect_problem(413, "body-too-large");

    let head = format!(
        "POST /kompetens/v1/scope-checks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let expect = format!("{head}Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    for (name, request) in [("expect", expect), ("chunked", chunked)] {
        let answer = raw(&app, request.as_bytes());
        assert!(
            answer.contains("413 Payload Too Large") && answer.contains("body-too-large"),
            "{name}: {answer}"
        );
    }
    let slow = format!("{head}Connection: close\r\nContent-Length: 100\r\n\r\n{{");
    let begun = Instant::now();
    let answer = raw(&app, slow.as_bytes());
    assert!(
        answer.contains("408 Request Timeout") && answer.contains("request-timeout"),
        "{answer}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "half a second is this service's patience"
    );

    let long = |length: usize| "x".repeat(length - "/kompetens/v1/units?parentId=".len());
    app.get(&hr, &format!("/units?parentId={}", long(8192)))
        .expect_problem(400, "invalid-parameter");
    app.get(&hr, &format!("/units?parentId={}", long(8193)))
        .expect_problem(414, "uri-too-long");
    let many: Vec<(String, &str)> = (0..65).map(|number| (format!("x-{number}"), "1")).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    app.send(&hr, "GET", "/me", &many, None)
        .expect_problem(431, "headers-too-large");
    app.send(&hr, "GET", "/me", &many[..50], None).expect(200);
    let large = "x".repeat(16 * 1024);
    app.send(&hr, "GET", "/me", &[("x-large", &large)], None)
        .expect_problem(431, "headers-too-large");

    let body = sized(100);
    for (name, value, accepted) in [
        ("Content-Type", "application/json; charset=utf-8", true),
        ("Content-Type", "Application/JSON;charset=\"UTF-8\"", true),
        ("Content-Type", "application/json; charset=latin1", false),
        ("Content-Type", "application/merge-patch+json", false),
        ("Content-Type", "text/plain", false),
        ("Content-Type", "application/x-www-form-urlencoded", false),
        ("Content-Type", "", false),
        ("Content-Encoding", "gzip", false),
        ("Content-Encoding", "identity", true),
    ] {
        let reply = app.send(&hr, "POST", "/scope-checks", &[(name, value)], Some(&body));
        if accepted {
            reply.expect(200);
        } else {
            let refused = reply.expect_problem(415, "unsupported-media-type");
            assert_eq!(refused.faults(), [name], "{value}");
        }
    }
    let untyped = format!(
        "POST /kompetens/v1/scope-checks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(raw(&app, untyped.as_bytes()).contains("415 Unsupported Media Type"));
    alive(&app);
}

#[test]
fn what_is_not_http_neither_hangs_nor_kills_the_service() {
    let app = TestApp::empty();
    let get = "GET /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n";
    let post = "POST /kompetens/v1/scope-checks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let cases: Vec<(String, &str)> = vec![
        ("\r\n\r\n\r\n".to_owned(), ""),
        ("HEJ\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        (format!("{get}Connection: close\r\nx: {}\r\n\r\n", "y".repeat(200_000)), ""),
        (format!("{get}Connection: close\r\n{}\r\n", "x: y\r\n".repeat(500)), ""),
        (format!("{get}: empty\r\nConnection: close\r\n\r\n"), "400"),
        (format!("{get}x\r\n\r\n"), "400"),
        (format!("{get}x: \u{1}\r\n\r\n"), "400"),
        (format!("{post}Content-Length: -1\r\n\r\n"), "400"),
        (format!("{post}Content-Length: 99999999999999999999\r\n\r\n"), "400"),
        (format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"), "400"),
        (format!("{post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "40"),
        (format!("{post}Transfer-Encoding: gzip\r\n\r\n"), "40"),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nZZ\r\n"), "40"),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"), "40"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "x".repeat(100_000)), ""),
        ("GET /kompetens/v1/events/å HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "40"),
        ("GET /kompetens/v1/events/%FF HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "401"),
        ("GET http://elsewhere.example/kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "200"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "40"),
        ("CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "40"),
        (format!("{get}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"), ""),
        (format!("{get}Connection: close\r\nAuthorization: Bearer \u{e5}\u{0}\r\n\r\n"), "400"),
        (format!("{get}Connection: close\r\n\r\n"), "200"),
        ("GET /kompetens/v1/api-info HTTP/1.0\r\n\r\n".to_owned(), "200"),
    ];
    std::thread::scope(|scope| {
        for (request, status) in &cases {
            let app = &app;
            scope.spawn(move || {
                let begun = Instant::now();
                let answer = raw(app, request.as_bytes());
                let start: String = request.chars().take(90).collect();
                assert!(begun.elapsed() < Duration::from_secs(9), "{start:?} hangs");
                assert!(
                    answer.is_empty() && status.is_empty()
                        || answer.starts_with(&format!("HTTP/1.1 {status}"))
                        || answer.starts_with(&format!("HTTP/1.0 {status}")),
                    "{start:?}: {answer}"
                );
                assert!(!answer.starts_with("HTTP/1.1 5"), "{start:?}: {answer}");
            });
        }
    });
    // refused with a body unread, a connection serves on or closes, but never takes the body for a request
    let smuggled = format!(
        "{}Content-Length: 60\r\n\r\nGET /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n\r\n{}",
        post.replace("Connection: close\r\n", ""),
        " ".repeat(12)
    );
    assert!(!raw(&app, smuggled.as_bytes()).contains("200 OK"));
    alive(&app);
}

/// How many answers begin in what came back.
fn answers(text: &str) -> Vec<&str> {
    text.match_indices("HTTP/1.")
        .map(|(at, _)| text.get(at + 9..at + 12).unwrap_or_default())
        .collect()
}

#[test]
fn a_request_that_two_readers_could_read_otherwise_is_refused_and_nothing_after_it_is_answered() {
    let app = TestApp::empty();
    let body = r#"{"kind":"kickOff","arranger":"group"}"#;
    let length = body.len();
    let smuggled = "GET /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let Caller(Some(token)) = app.hr() else {
        unreachable!()
    };
    let post = format!(
        "POST /kompetens/v1/scope-checks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    // headers, body: what stands behind them is a second request, for him who reads them so
    let cases: Vec<(String, String)> = [
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", &*chunked),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", &chunked),
        ("Content-Length: 5\r\nContent-Length: 37", body),
        ("Content-Length: 37, 37", body),
        ("Content-Length: 37,5", body),
        ("Content-Length: +37", body),
        ("Content-Length: 0x25", body),
        ("Content-Length: 37abc", body),
        ("Content-Length: 3 7", body),
        ("Content-Length: ", body),
        ("Content-Length : 37", body),
        ("Transfer-Encoding: chunked, identity", &chunked),
        ("Transfer-Encoding: identity, chunked, chunked", &chunked),
        ("Transfer-Encoding: xchunked", &chunked),
        ("Transfer-Encoding: \u{b}chunked", &chunked),
        ("Transfer-Encoding : chunked", &chunked),
        ("Transfer-Encoding\t: chunked", &chunked),
        (" Transfer-Encoding: chunked", &chunked),
        ("X: y\r\n Transfer-Encoding: chunked", &chunked),
        (
            "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 0",
            &chunked,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            &chunked,
        ),
        ("Transfer-Encoding: chunked", "25;a=\"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0x25\r\n"),
        ("Transfer-Encoding: chunked", "-1\r\n"),
        ("Transfer-Encoding: chunked", "+25\r\n"),
        ("Transfer-Encoding: chunked", "10000000000000025\r\n"),
        ("Transfer-Encoding: chunked", "2 5\r\n"),
        ("Transfer-Encoding: chunked", "\r\n"),
        ("Transfer-Encoding: chunked", "1\r\n{x"),
    ]
    .map(|(headers, body)| (headers.to_owned(), body.to_owned()))
    .into();
    std::thread::scope(|scope| {
        for (headers, body) in &cases {
            let (app, post) = (&app, &post);
            scope.spawn(move || {
                let text = raw(
                    app,
                    format!("{post}{headers}\r\n\r\n{body}{smuggled}").as_bytes(),
                );
                let answers = answers(&text);
                assert!(
                    answers.len() <= 1 && answers.iter().all(|status| status.starts_with('4')),
                    "{headers:?} {body:?}: {text}"
                );
            });
        }
    });
    // the control: one that is right is answered, and so is the next on its connection, in order
    for (headers, body) in [
        (format!("Content-Length: {length}"), body),
        ("Transfer-Encoding: chunked".to_owned(), &*chunked),
    ] {
        let text = raw(
            &app,
            format!("{post}{headers}\r\n\r\n{body}{smuggled}").as_bytes(),
        );
        assert_eq!(answers(&text), ["200", "200"], "{headers}: {text}");
        let (first, second) = (text.find("\"covered\""), text.find("\"released\""));
        assert!(first.is_some() && first < second, "in order: {text}");
    }
    alive(&app);
}

#[test]
fn a_head_that_is_not_as_http_has_it_is_refused() {
    let app = TestApp::empty();
    let nul = "GET /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n";
    // what comes back begins so; nothing: closed without a word
    let cases: Vec<(String, &[&str])> = vec![
        (
            "GET /kompetens/v1/api-info\r\n\r\n".to_owned(),
            &["400", ""],
        ),
        (
            "GET /kompetens/v1/api-info HTTP/0.9\r\n\r\n".to_owned(),
            &["400", "505"],
        ),
        (
            "GET /kompetens/v1/api-info HTTP/1.2\r\nHost: x\r\n\r\n".to_owned(),
            &["400", "505"],
        ),
        (
            "GET /kompetens/v1/api-info HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(),
            &["400", "505"],
        ),
        (
            "GET /kompetens/v1/api-info http/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400"],
        ),
        (
            "GET  /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400"],
        ),
        (
            "GET\t/kompetens/v1/api-info\tHTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400"],
        ),
        (
            " GET /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400"],
        ),
        (
            "G\u{0}T /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400"],
        ),
        (
            "GET /kompetens/v1/\u{0}api-info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400"],
        ),
        (
            "GET /kompetens/v1/api info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400"],
        ),
        (
            "GET kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &["400", "404"],
        ),
        (
            "get /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                .to_owned(),
            &["405"],
        ),
        (
            format!(
                "{} /kompetens/v1/api-info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                "M".repeat(3000)
            ),
            &["400", "405"],
        ),
        (format!("{nul}X\u{0}: y\r\n\r\n"), &["400"]),
        (format!("{nul}X: \u{0}\r\n\r\n"), &["400"]),
        (format!("{nul}X: a\rb\r\n\r\n"), &["400"]),
        (format!("{nul}X Y: z\r\n\r\n"), &["400"]),
        (format!("{nul}X(: z\r\n\r\n"), &["400"]),
        // obsolete folding
        (format!("{nul}X: a\r\n b\r\n\r\n"), &["400"]),
        (format!("{nul}X: a\r\n\tb\r\n\r\n"), &["400"]),
        // a header flood, one huge header, and a request line without end
        (
            format!("{nul}Connection: close\r\n{}\r\n", "x: y\r\n".repeat(90)),
            &["431"],
        ),
        (
            format!("{nul}{}\r\n", "x: y\r\n".repeat(20_000)),
            &["400", "431", ""],
        ),
        (
            format!("{nul}X: {}\r\n\r\n", "y".repeat(1 << 20)),
            &["400", "431", ""],
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20)),
            &["400", "414", "431", ""],
        ),
        (
            "GET /".to_owned() + &"x".repeat(200_000),
            &["400", "408", "414", "431", ""],
        ),
    ];
    std::thread::scope(|scope| {
        for (request, expected) in &cases {
            let app = &app;
            scope.spawn(move || {
                let text = raw(app, request.as_bytes());
                let answers = answers(&text);
                let start: String = request.chars().take(90).collect();
                assert!(answers.len() <= 1, "{start:?}: {text}");
                let first = answers.first().copied().unwrap_or_default();
                assert!(expected.contains(&first), "{start:?}: {text}");
            });
        }
    });
    // a line may end with a bare LF (RFC 9112, 2.2), and then it means the same to everyone
    let bare = raw(
        &app,
        b"GET /kompetens/v1/api-info HTTP/1.1\nHost: x\nConnection: close\n\n",
    );
    assert!(matches!(answers(&bare)[..], ["200"] | ["400"]), "{bare}");
    alive(&app);
}

#[test]
fn a_panic_is_answered_as_a_problem_and_the_service_lives() {
    let app = TestApp::empty();
    let hr = app.hr();
    app.break_the_clock();
    for _ in 0..3 {
        let reply = app.send(&hr, "GET", "/units", &[("X-Request-Id", "den-har")], None);
        let reply = reply.expect_problem(500, "internal-error");
        assert_eq!(reply.header("X-Request-Id"), Some("den-har"));
        assert!(reply.header("traceparent").is_some());
    }
    alive(&app);
    let metrics = app
        .get(
            &NOBODY,
            &format!("http://{}/metrics", app.operations_address),
        )
        .expect(200);
    assert!(
        metrics.text.contains("kompetens_panics_total 3"),
        "{}",
        metrics.text
    );
    assert!(
        metrics
            .text
            .contains(r#"kompetens_requests_total{operation="get_api_info",status="200"} 1"#),
        "{}",
        metrics.text
    );
    assert!(metrics.text.ends_with("# EOF\n"));
}
