//! OpenID Connect: several identity providers, their kinds of keys, key rotation, and a provider that is down.

use crate::app::{Caller, TestApp, fresh_database, service_url};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use kompetens::identity::providers::{ClaimNames, KeySource, Settings};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A key of a test issuer.
enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

struct Signer {
    kid: String,
    algorithm: &'static str,
    key: Key,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn new(kid: &str, algorithm: &'static str) -> Signer {
        let key = match algorithm {
            "ES256" => {
                Key::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
            }
            "ES384" => {
                Key::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key"))
            }
            "EdDSA" => Key::Ed(Ed25519KeyPair::generate().expect("a key")),
            _ => Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
        };
        Signer {
            kid: kid.to_owned(),
            algorithm,
            key,
        }
    }

    fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Rsa(pair) => {
                let public = pair.public_key();
                json!({"kty": "RSA", "n": b64(public.modulus().big_endian_without_leading_zero()), "e": b64(public.exponent().big_endian_without_leading_zero())})
            }
            Key::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
            }
            Key::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())}),
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", b64(header), b64(claims));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Ed(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
            Key::Ec(pair) => pair
                .sign(&random, text.as_bytes())
                .expect("signed")
                .as_ref()
                .to_vec(),
            Key::Rsa(pair) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = match self.algorithm {
                    "PS256" => &RSA_PSS_SHA256,
                    "RS512" => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, text.as_bytes(), &mut signature)
                    .expect("signed");
                signature
            }
        };
        format!("{text}.{}", b64(signature))
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm, "kid": self.kid, "typ": "JWT"})
    }

    fn token(&self, claims: &Value) -> Caller {
        Caller(Some(
            self.sign(&self.header().to_string(), &claims.to_string()),
        ))
    }
}

const ISSUER: &str = "https://login.example.se";

fn claims(person: &str) -> Value {
    json!({"iss": ISSUER, "aud": "kompetens", "sub": person, "exp": Utc::now().timestamp() + 600, "roles": ["planner"], "units": []})
}

/// An address that answers with a JWKS, or with nothing, and counts how often it was asked.
struct Address {
    at: SocketAddr,
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Address {
    fn of(signers: &[&Signer]) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = Address {
            at: listener.local_addr().expect("an address"),
            answer: Arc::default(),
            asked: Arc::default(),
        };
        address.publish(signers);
        let (answer, asked) = (address.answer.clone(), address.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().expect("an answer").clone();
                let _ = stream.read(&mut [0; 4096]);
                if let Some(body) = answer {
                    let length = body.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                }
            }
        });
        address
    }

    fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        *self.answer.lock().expect("an answer") = Some(json!({"keys": keys}).to_string());
    }

    fn go_down(&self) {
        *self.answer.lock().expect("an answer") = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn settings(&self, issuer: &str, at_most_every: Duration) -> Settings {
        Settings {
            issuer: issuer.to_owned(),
            audience: "kompetens".to_owned(),
            keys: KeySource::Address(format!("http://{}/keys", self.at)),
            claims: ClaimNames::default(),
            fetched_at_most_every: at_most_every,
        }
    }
}

fn trusting(providers: Vec<Settings>) -> TestApp {
    let database = fresh_database();
    TestApp::trusting(&service_url(&database), &database, 2, providers)
}

fn status(app: &TestApp, caller: &Caller) -> u16 {
    let reply = app.get(caller, "/me");
    if reply.status == 401 {
        let challenge = reply.header("WWW-Authenticate");
        assert_eq!(challenge, Some("Bearer error=\"invalid_token\""));
    }
    reply.status
}

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn rsa_ec_and_ed25519_keys_sign_each_with_its_one_algorithm() {
    let signers = ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
        .map(|algorithm| Signer::new(&format!("key-{algorithm}"), algorithm));
    let listed: Vec<&Signer> = signers.iter().collect();
    let address = Address::of(&listed);
    let app = trusting(vec![address.settings(ISSUER, LONG)]);
    for signer in &signers {
        assert_eq!(
            status(&app, &signer.token(&claims("person-1"))),
            200,
            "{}",
            signer.algorithm
        );
        for other in &signers {
            // another algorithm, or another key, under this kid
            if signer.algorithm != other.algorithm {
                let header = json!({"alg": other.algorithm, "kid": signer.kid}).to_string();
                let claims = claims("person-1").to_string();
                for forged in [signer.sign(&header, &claims), other.sign(&header, &claims)] {
                    let found = status(&app, &Caller(Some(forged)));
                    assert_eq!(found, 401, "{} as {}", signer.algorithm, other.algorithm);
                }
            }
        }
    }
    assert_eq!(address.asked(), 1);
}

#[test]
fn a_part_that_names_a_member_twice_and_keys_that_a_token_brings_along_let_nobody_in() {
    let (ours, theirs) = (Signer::new("ours", "ES256"), Signer::new("theirs", "ES256"));
    let address = Address::of(&[&ours]);
    let elsewhere = Address::of(&[&theirs]);
    let app = trusting(vec![address.settings(ISSUER, LONG)]);
    let good = claims("person-1").to_string();
    let twice = |member: &str| good.replacen('{', &format!("{{{member},"), 1);
    let header = ours.header().to_string();
    for claims in [
        twice("\"sub\":\"person-2\""),
        twice("\"iss\":\"https://other.example.se\""),
        twice("\"exp\":1"),
        twice("\"roles\":[\"hrAdministrator\"]"),
    ] {
        assert_eq!(
            status(&app, &Caller(Some(ours.sign(&header, &claims)))),
            401,
            "{claims}"
        );
    }
    for (name, value) in [
        ("jku", json!(format!("http://{}/keys", elsewhere.at))),
        ("x5u", json!(format!("http://{}/keys", elsewhere.at))),
        ("jwk", theirs.jwk()),
    ] {
        for kid in ["ours", "theirs"] {
            let mut header = theirs.header();
            header["kid"] = json!(kid);
            header[name] = value.clone();
            let token = theirs.sign(&header.to_string(), &good);
            assert_eq!(status(&app, &Caller(Some(token))), 401, "{name} {kid}");
            // beside a good signature they are not looked at
            let mut header = ours.header();
            header[name] = value.clone();
            let token = ours.sign(&header.to_string(), &good);
            assert_eq!(status(&app, &Caller(Some(token))), 200, "{name}");
        }
    }
    assert_eq!(elsewhere.asked(), 0);
    let mut header = ours.header();
    header["crit"] = json!(["exp"]);
    assert_eq!(
        status(&app, &Caller(Some(ours.sign(&header.to_string(), &good)))),
        401
    );
    // alg in the header says HS256, the secret is the public key
    let mut header = ours.header();
    header["alg"] = json!("HS256");
    let text = format!("{}.{}", b64(header.to_string()), b64(&good));
    let public = ours.jwk().to_string();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
    assert_eq!(
        status(&app, &Caller(Some(format!("{text}.{}", b64(tag))))),
        401
    );
}

#[test]
fn a_new_key_is_known_with_the_first_token_that_it_signs_and_a_withdrawn_one_no_more() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "EdDSA"));
    let address = Address::of(&[&old]);
    let app = trusting(vec![address.settings(ISSUER, Duration::ZERO)]);
    let (of_old, of_new) = (
        old.token(&claims("person-1")),
        new.token(&claims("person-1")),
    );
    assert_eq!((status(&app, &of_old), status(&app, &of_new)), (200, 401));
    address.publish(&[&old, &new]);
    assert_eq!((status(&app, &of_new), status(&app, &of_old)), (200, 200));
    address.publish(&[&new]);
    // the next fetch, here for a key that nobody has, ends the old one
    assert_eq!(
        status(
            &app,
            &Signer::new("nobody", "EdDSA").token(&claims("person-1"))
        ),
        401
    );
    assert_eq!((status(&app, &of_new), status(&app, &of_old)), (200, 401));
}

#[test]
fn while_the_provider_is_down_known_keys_hold_and_before_it_was_ever_up_the_answer_is_503() {
    let signer = Signer::new("key", "ES384");
    let address = Address::of(&[&signer]);
    address.go_down();
    let app = trusting(vec![address.settings(ISSUER, Duration::from_millis(50))]);
    let caller = signer.token(&claims("person-1"));
    let away = app
        .get(&caller, "/me")
        .expect_problem(503, "identity-provider-unavailable");
    assert_eq!(away.header("Retry-After"), Some("10"));
    address.publish(&[&signer]);
    // it is asked anew as soon as it may be, so that a provider that is back is found within that time
    let began = Instant::now();
    while status(&app, &caller) != 200 {
        app.get(&caller, "/api-info").expect(200);
        assert!(began.elapsed() < Duration::from_secs(20), "it was found");
    }
    address.go_down();
    assert_eq!(
        status(
            &app,
            &Signer::new("new", "ES384").token(&claims("person-1"))
        ),
        401
    );
    assert_eq!(status(&app, &caller), 200);
    // so does one of whom no token has been seen
    assert_eq!(status(&app, &signer.token(&claims("person-2"))), 200);
}

#[test]
fn a_token_that_is_good_for_longer_than_numbers_go_is_let_in_each_time() {
    let signer = Signer::new("key", "EdDSA");
    let address = Address::of(&[&signer]);
    let app = trusting(vec![address.settings(ISSUER, LONG)]);
    for exp in [json!(u64::MAX), json!(i64::MAX), json!(1e300)] {
        let mut claims = claims("person-1");
        claims["exp"] = exp.clone();
        let caller = signer.token(&claims);
        let twice = [status(&app, &caller), status(&app, &caller)];
        // as a number it may be refused; what is taken once is taken again
        assert!(matches!(twice, [200, 200] | [401, 401]), "{exp}: {twice:?}");
    }
}

#[test]
fn a_flood_of_unknown_kids_asks_the_provider_once_and_holds_up_nobody_with_a_known_one() {
    let signer = Signer::new("key", "EdDSA");
    let address = Address::of(&[&signer]);
    let app = trusting(vec![address.settings(ISSUER, LONG)]);
    let known = signer.token(&claims("person-1"));
    assert_eq!(status(&app, &known), 200);
    let (before, jobs) = (address.asked(), app.database_jobs());
    address.go_down();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for flooder in 0..8 {
            let (app, signer) = (&app, &signer);
            scope.spawn(move || {
                for number in 0..25 {
                    let header = json!({"alg": "EdDSA", "kid": format!("kid-{flooder}-{number}")});
                    let token = signer.sign(&header.to_string(), &claims("person-1").to_string());
                    assert_eq!(status(app, &Caller(Some(token))), 401);
                }
            });
        }
        for _ in 0..25 {
            assert_eq!(status(&app, &known), 200);
        }
    });
    assert!(
        address.asked() <= before + 1 && app.database_jobs() == jobs + 25,
        "asked {} times, {} jobs for the database",
        address.asked(),
        app.database_jobs() - jobs
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn each_provider_vouches_with_its_own_keys_and_names_its_own_claims() {
    let (one, two) = (Signer::new("same", "ES256"), Signer::new("same", "ES256"));
    let (first, second) = (Address::of(&[&one]), Address::of(&[&two]));
    let elsewhere = "https://login.energi.example.se";
    let mut settings = second.settings(elsewhere, LONG);
    settings.claims = ClaimNames {
        person: "employee.id".to_owned(),
        roles: "https://energi.example.se/roles".to_owned(),
        units: "realm.units".to_owned(),
    };
    let app = trusting(vec![first.settings(ISSUER, LONG), settings]);
    let unit = "0190a000-0000-7000-8000-000000000101";
    let theirs = json!({
        "iss": elsewhere, "aud": ["kompetens"], "sub": "a-number", "exp": Utc::now().timestamp() + 600,
        "employee": {"id": "person-7"}, "https://energi.example.se/roles": ["unitManager", "unknown"], "realm": {"units": [unit]},
        "roles": ["hrAdministrator"], "units": [],
    });
    let me = app.get(&two.token(&theirs), "/me").expect(200).body;
    assert_eq!(me["personRef"], "person-7");
    assert_eq!(
        (&me["roles"], &me["units"]),
        (&json!(["employee", "unitManager"]), &json!([unit]))
    );
    assert_eq!(
        app.get(&one.token(&claims("person-1")), "/me")
            .expect(200)
            .body["personRef"],
        "person-1"
    );
    // the keys of the one do not sign for the other
    assert_eq!(status(&app, &one.token(&theirs)), 401);
    assert_eq!(status(&app, &two.token(&claims("person-1"))), 401);
    for claim in ["sub", "employee", "aud", "exp"] {
        let mut without = theirs.clone();
        without.as_object_mut().expect("claims").remove(claim);
        assert_eq!(status(&app, &two.token(&without)), 401, "{claim}");
    }
    let mut third = theirs.clone();
    third["iss"] = json!("https://login.other.example.se");
    assert_eq!(status(&app, &two.token(&third)), 401);
}
