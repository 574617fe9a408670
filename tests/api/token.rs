//! `kompetens token`, the tokens of the local mode.

use crate::app::{Caller, TestApp, scratch};
use std::path::Path;
use std::process::{Command, Output};

fn token(data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kompetens"))
        .args(["token", "--person", "person-0003", "--role", "planner"])
        .env("KOMPETENS_DATA", data)
        .output()
        .expect("the program runs")
}

#[test]
fn a_token_is_signed_with_the_key_of_the_service_and_never_with_a_new_one() {
    let app = TestApp::empty();
    let output = token(&scratch());
    let printed = String::from_utf8(output.stdout).expect("text");
    let me = app.get(&Caller(Some(printed.trim().to_owned())), "/me");
    assert_eq!(me.expect(200).body["personRef"], "person-0003");

    let elsewhere = scratch().join("elsewhere");
    let output = token(&elsewhere);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && complaint.contains("KOMPETENS_DATA"),
        "{complaint}"
    );
    assert!(output.stdout.is_empty() && !elsewhere.exists());
}
