//! What keeps the service standing among strangers: limits, what browsers are told, and logs without secrets.

use crate::app::{Caller, ISSUER, Reply, TestApp, fresh_database, scratch, service_url};
use crate::given::Hedemora;
use crate::webhooks::Receiver;
use kompetens::http::browsers::Origins;
use kompetens::http::document;
use kompetens::http::limits::{Limits, Settings};
use kompetens::identity::tokens::{LOCAL_AUDIENCE, LOCAL_ISSUER};
use serde_json::{Value, json};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const INTRANET: &str = "https://intranet.hedemora.example";

/// A service behind one proxy, so that a test can come from any address.
fn limited(requests_per_minute: u32, failed_logins_per_minute: u32) -> TestApp {
    let database = fresh_database();
    TestApp::adjusted(&service_url(&database), &database, 4, |service| {
        service.limits = Arc::new(Limits::new(Settings {
            requests_per_minute: Some(requests_per_minute),
            failed_logins_per_minute: Some(failed_logins_per_minute),
            proxies: 1,
        }));
    })
}

fn from(app: &TestApp, address: &str, caller: &Caller) -> Reply {
    app.send(caller, "GET", "/me", &[("X-Forwarded-For", address)], None)
}

fn nonsense() -> Caller {
    Caller(Some("nonsense".to_owned()))
}

#[test]
fn a_credential_that_asks_too_often_waits_and_no_other_does() {
    let app = limited(3, 0);
    let (one, other) = (app.employee("person-one"), app.employee("person-other"));
    for _ in 0..3 {
        from(&app, "192.0.2.1", &one).expect(200);
    }
    // from wherever it comes, it is the same credential
    let refused = from(&app, "192.0.2.2", &one).expect_problem(429, "too-many-requests");
    let wait: u64 = refused
        .header("Retry-After")
        .and_then(|seconds| seconds.parse().ok())
        .expect("Retry-After in seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    from(&app, "192.0.2.1", &other).expect(200);
}

#[test]
fn guesses_from_an_address_are_limited_and_lock_nobody_out() {
    let app = limited(0, 3);
    for _ in 0..3 {
        from(&app, "192.0.2.1", &nonsense()).expect_problem(401, "unauthenticated");
    }
    from(&app, "192.0.2.1", &nonsense()).expect_problem(429, "too-many-requests");
    // a client cannot choose its address: only what the proxy adds counts
    from(&app, "198.51.100.7, 192.0.2.1", &nonsense()).expect_problem(429, "too-many-requests");
    from(&app, "192.0.2.2", &nonsense()).expect_problem(401, "unauthenticated");
    // who has a good credential, or asks without any, guesses nothing
    from(&app, "192.0.2.1", &app.employee("person-one")).expect(200);
    from(&app, "192.0.2.1", &Caller(None)).expect_problem(401, "unauthenticated");
    // one network of IPv6 is one address
    for last in 1..=3 {
        from(&app, &format!("2001:db8::{last}"), &nonsense()).expect(401);
    }
    from(&app, "2001:db8::4", &nonsense()).expect(429);
    from(&app, "2001:db8:0:1::4", &nonsense()).expect(401);
}

#[test]
fn limits_are_judged_before_any_thread_of_the_database() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!(
        "postgresql://nobody@{}/none",
        nobody.local_addr().expect("an address")
    );
    let app = TestApp::adjusted(&url, "none", 1, |service| {
        service.limits = Arc::new(Limits::new(Settings {
            requests_per_minute: Some(1),
            failed_logins_per_minute: Some(1),
            proxies: 1,
        }));
    });
    from(&app, "192.0.2.1", &nonsense()).expect(401);
    from(&app, "192.0.2.1", &nonsense()).expect(429);
    from(&app, "192.0.2.1", &app.employee("person-one")).expect(503);
    from(&app, "192.0.2.1", &app.employee("person-one")).expect(429);
}

#[test]
fn only_named_origins_may_call_from_a_browser_and_by_default_none() {
    let database = fresh_database();
    let app = TestApp::adjusted(&service_url(&database), &database, 4, |service| {
        service.origins = Arc::new(Origins([INTRANET.to_owned()].into()));
    });
    let caller = app.employee("person-one");
    let asked = |app: &TestApp, origin: &str, method: &str| {
        let preflight = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            (
                "Access-Control-Request-Headers",
                "authorization,content-type",
            ),
        ];
        let headers = if method == "OPTIONS" {
            &preflight[..]
        } else {
            &preflight[..1]
        };
        app.send(&caller, method, "/events", headers, None)
    };
    let preflight = asked(&app, INTRANET, "OPTIONS").expect(204);
    assert_eq!(
        preflight.header("Access-Control-Allow-Origin"),
        Some(INTRANET)
    );
    let methods = preflight
        .header("Access-Control-Allow-Methods")
        .expect("methods");
    assert!(
        methods.contains("GET") && methods.contains("POST"),
        "{methods}"
    );
    let may_send = preflight
        .header("Access-Control-Allow-Headers")
        .expect("headers");
    // every header that the document knows
    let components = &document()["components"];
    let parameters = components["parameters"].as_object().expect("parameters");
    let sent = parameters
        .values()
        .filter(|parameter| parameter["in"] == "header")
        .filter_map(|parameter| parameter["name"].as_str());
    for name in sent.chain(["Authorization", "Content-Type", "X-Request-Id"]) {
        assert!(may_send.split(", ").any(|may| may == name), "{name}");
    }
    let answer = asked(&app, INTRANET, "GET").expect(200);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(INTRANET));
    let may_read = answer
        .header("Access-Control-Expose-Headers")
        .expect("headers");
    let headers = components["headers"].as_object().expect("headers");
    assert!(headers.len() >= 6);
    for name in headers.keys() {
        assert!(may_read.split(", ").any(|may| may == name), "{name}");
    }
    // a page asks first without a token, of any path
    let first = [
        ("Origin", INTRANET),
        ("Access-Control-Request-Method", "PATCH"),
    ];
    let path = format!("/events/{}", Uuid::nil());
    let asked_first = app.send(&Caller(None), "OPTIONS", &path, &first, None);
    let methods = asked_first.expect(204);
    let methods = methods.header("Access-Control-Allow-Methods");
    assert!(methods.is_some_and(|methods| methods.contains("PATCH")));
    // an error too, so that the page can show it
    let unknown = app.send(&caller, "GET", "/nothing", &[("Origin", INTRANET)], None);
    assert_eq!(
        unknown.header("Access-Control-Allow-Origin"),
        Some(INTRANET)
    );
    assert!(unknown.header("Access-Control-Allow-Credentials").is_none());

    let plain = TestApp::empty();
    for (app, origin) in [
        (&app, "https://evil.example"),
        (&app, "null"),
        (&app, "https://intranet.hedemora.example.evil.example"),
        (&plain, INTRANET),
    ] {
        for method in ["OPTIONS", "GET"] {
            let refused = asked(app, origin, method);
            assert!(
                refused.header("Access-Control-Allow-Origin").is_none(),
                "{origin} {method}"
            );
        }
    }
}

#[test]
fn every_answer_is_framed_by_nobody_and_kept_by_nobody_else() {
    let app = TestApp::empty();
    let caller = app.employee("person-one");
    for (caller, path, status) in [
        (&caller, "/me", 200),
        (&Caller(None), "/me", 401),
        (&caller, "/nothing", 404),
    ] {
        let reply = app.get(caller, path).expect(status);
        for (name, expected) in [
            (
                "Content-Security-Policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
        ] {
            assert_eq!(reply.header(name), Some(expected), "{path}");
        }
        let kept = reply.header("Cache-Control").expect("Cache-Control");
        assert!(["private, no-cache", "no-store"].contains(&kept), "{kept}");
        assert!(reply.header("Strict-Transport-Security").is_none());
    }
    // Swagger UI: its own scripts and no others, none of them in the page itself
    let page = app.get(&Caller(None), &format!("http://{}/docs/", app.address));
    let policy = page
        .expect(200)
        .header("Content-Security-Policy")
        .expect("a policy")
        .to_owned();
    assert!(policy.contains("script-src 'self';"), "{policy}");
    let page = app
        .get(
            &Caller(None),
            &format!("http://{}/docs/index.html", app.address),
        )
        .expect(200)
        .text;
    for script in page.split("<script").skip(1) {
        let tag = script.split('>').next().expect("a tag");
        assert!(tag.contains(" src=\""), "a script in the page: {script}");
        assert!(!tag.contains("//"), "a script from elsewhere: {tag}");
    }
    let database = fresh_database();
    let behind_tls = TestApp::adjusted(&service_url(&database), &database, 4, |service| {
        service.public_url = "https://kompetens.example.se".to_owned();
    });
    assert_eq!(
        behind_tls
            .get(&Caller(None), "/me")
            .header("Strict-Transport-Security"),
        Some("max-age=31536000")
    );
}

/// The shipped program, ended with the test.
struct Program {
    child: Child,
    address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PASSWORD: &str = "kanarie-i-databasens-adress";
const FORGED: &str = "eyJhbGciOiJub25lIn0.a2FuYXJpZQ.kanariesignatur";
const PERSONAL: &str = "19121212-1212";

impl Program {
    fn start(database_url: &str, format: &str) -> Program {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            listener.local_addr().expect("an address").to_string()
        };
        let (address, operations) = (free(), free());
        let jwks = scratch().join("canary-jwks.json");
        std::fs::write(&jwks, &ISSUER.jwks).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_kompetens"))
            .arg("serve")
            .env("DATABASE_URL", database_url)
            .env("KOMPETENS_ADDRESS", &address)
            .env("KOMPETENS_OPERATIONS_ADDRESS", &operations)
            .env("KOMPETENS_ISSUER", LOCAL_ISSUER)
            .env("KOMPETENS_AUDIENCE", LOCAL_AUDIENCE)
            .env("KOMPETENS_JWKS_FILE", jwks)
            .env("KOMPETENS_LOG_FORMAT", format)
            .env("KOMPETENS_WEBHOOK_NETWORKS", "127.0.0.0/8")
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it listens in time"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Program { child, address }
    }

    /// What it wrote until it was ended.
    fn written(mut self) -> String {
        self.child.kill().expect("it runs");
        let mut written = String::new();
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        stdout
            .expect("a pipe")
            .read_to_string(&mut written)
            .expect("text");
        stderr
            .expect("a pipe")
            .read_to_string(&mut written)
            .expect("text");
        written
    }
}

/// Uses everything that has a secret, good and bad; answers the secrets, and what shows that they are known.
fn use_every_secret(
    send: &impl Fn(&Caller, &str, &str, Option<&str>) -> Reply,
    hr: &Caller,
    unit: &str,
) -> Vec<String> {
    let made =
        |path: &str, body: Value| send(hr, "POST", path, Some(&body.to_string())).expect(201);
    let text = |reply: &Reply, name: &str| reply.body[name].as_str().expect("a secret").to_owned();

    let client = made(
        "/api-clients",
        json!({"name": "Kanarie", "scopes": ["events:read"], "sourceSystem": "hr", "expiresAt": "2099-01-01T00:00:00Z"}),
    );
    let secret = text(&client, "secret");
    send(&Caller(Some(secret.clone())), "GET", "/me", None).expect(200);
    let wrong = format!("{}fel", &secret[..secret.len() - 3]);
    send(&Caller(Some(wrong.clone())), "GET", "/me", None).expect(401);

    let receiver = Receiver::new();
    let subscription = made("/webhook-subscriptions", json!({"url": receiver.url}));
    let signing = text(&subscription, "secret");
    let test = format!(
        "/webhook-subscriptions/{}/test-deliveries",
        subscription.id()
    );
    send(hr, "POST", &test, None);
    let sent = receiver.until(1);
    let signature = sent[0].header("webhook-signature").to_owned();
    assert!(signature.starts_with("v1,"), "{signature}");

    let feed = made("/calendar-feeds", json!({"unitId": unit}));
    let address = text(&feed, "address");
    let secret_part = address.rsplit('/').next().expect("a part").to_owned();
    let path = address.split("/kompetens/v1").nth(1).expect("a path");
    send(&Caller(None), "GET", path, None).expect(200);
    // base64url has an underscore of its own
    let bare = |secret: &str| secret.splitn(3, '_').last().expect("a part").to_owned();
    vec![
        bare(&secret),
        bare(&wrong),
        signing.trim_start_matches("whsec_").to_owned(),
        signature,
        secret_part.trim_end_matches(".ics").to_owned(),
    ]
}

#[test]
fn no_secret_and_no_personal_number_is_logged_at_any_level() {
    let hedemora = Hedemora::new();
    let (app, hr) = (&hedemora.app, hedemora.hr.clone());
    let token = hr.0.clone().expect("a token");
    let url = service_url(&app.database);
    let with_password = format!("{url}&password={PASSWORD}");
    let unreachable = format!("postgresql://service:{PASSWORD}@127.0.0.1:1/kompetens");
    for (database_url, format) in [
        (&with_password, "text"),
        (&with_password, "json"),
        (&unreachable, "json"),
    ] {
        let program = Program::start(database_url, format);
        let base = format!("http://{}/kompetens/v1", program.address);
        let send = |caller: &Caller, method: &str, path: &str, body: Option<&str>| {
            let headers = [
                ("X-Request-Id", PERSONAL),
                ("Cookie", "session=kanariekaka"),
            ];
            app.send(caller, method, &format!("{base}{path}"), &headers, body)
        };
        let forged = Caller(Some(FORGED.to_owned()));
        send(&forged, "GET", "/me", None).expect(401);
        let named = [("X-Request-Id", "canary-request")];
        app.send(&hr, "GET", &format!("{base}/api-info"), &named, None)
            .expect(200);
        send(&hr, "GET", "/api-info", None).expect(200);
        let answered = send(&hr, "GET", "/me", None).status;
        assert_eq!(
            answered,
            if database_url == &unreachable {
                503
            } else {
                200
            }
        );
        for path in [
            "/people/19121212-1212".to_owned(),
            "/events?q=19121212-1212".to_owned(),
            format!("/me?access_token={token}"),
            "/calendars/kanarie-kalender.ics".to_owned(),
        ] {
            let status = send(&hr, "GET", &path, None).status;
            assert!((400..=503).contains(&status), "{path}: {status}");
        }
        let person = format!(
            r#"{{"personRef":"person-1","displayName":"{PERSONAL}","unitId":"0190a000-0000-7000-8000-000000000101","validFrom":"2020-01-01","{PERSONAL}":1}}"#
        );
        send(&hr, "POST", "/people", Some(&person)).expect(422);
        // a method may be anything that its writer likes
        let agent = format!("{base}/me");
        app.send(&hr, PERSONAL, &agent, &[], None).expect(405);
        let mut shown = Vec::new();
        if database_url != &unreachable {
            shown = use_every_secret(&send, &hr, &hedemora.municipality);
        }
        let written = program.written();
        for secret in shown.iter().map(String::as_str).chain([
            token.as_str(),
            PASSWORD,
            FORGED,
            PERSONAL,
            "191212121212",
            "kanariekaka",
            "kanarie-kalender",
            "kanariesignatur",
        ]) {
            let line = written.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{format}");
        }
        let of_request = |id: &str| written.lines().filter(|line| line.contains(id)).count();
        assert_eq!(of_request("canary-request"), 1, "one line a request");
        let lines: Vec<&str> = written
            .lines()
            .filter(|line| line.contains("get_me"))
            .collect();
        assert!(!lines.is_empty(), "{written}");
        if format == "json" {
            for line in written.lines() {
                let line: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(line["time"].is_string() && line["message"].is_string());
            }
            let line: Value = serde_json::from_str(lines[0]).expect("JSON");
            assert_eq!(line["operation"], "get_me");
            assert_eq!(line["method"], "GET");
            assert_eq!(line["status"], answered);
            assert_eq!(line["level"], "info");
            assert!(line["milliseconds"].is_number() && line["requestId"].is_string());
        }
    }
}
