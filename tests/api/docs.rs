//! What the documents say is so: the tour runs, the tables are the code's, and what they name exists.

use crate::app::{TestApp, scratch};
use kompetens::error::Code;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const README: &str = "README.md";
const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
const API: &str = "docs/API.md";
const OPERATIONS: &str = "docs/OPERATIONS.md";
const INTEGRATION: &str = "docs/INTEGRATION.md";
const FRONTEND: &str = "docs/FRONTEND.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .collect()
}

/// The code spans of a text, outside its fenced blocks.
fn code_spans(text: &str) -> BTreeSet<String> {
    let prose: String = text.split("```").step_by(2).collect();
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The first column of the rows of the one table whose header begins so.
fn first_column(text: &str, header: &str) -> BTreeSet<String> {
    let (_, table) = text
        .split_once(header)
        .unwrap_or_else(|| panic!("a table that begins with {header}"));
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('`').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_tour_of_the_readme_prints_what_it_says() {
    let database = crate::app::fresh_database();
    let app = TestApp::on(&database, 8);
    kompetens::demo::load(&crate::app::service_url(&database)).expect("the demo data loads");

    let readme = read(README);
    let program = Path::new(env!("CARGO_BIN_EXE_kompetens"));
    let path = std::env::join_paths(program.parent().map(Path::to_owned).into_iter().chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()),
    ));
    let output = Command::new("bash")
        .args([
            "-eu",
            "-o",
            "pipefail",
            "-c",
            &blocks(&readme, "sh").concat(),
        ])
        .current_dir(scratch())
        .env("API", format!("http://{}/kompetens/v1", app.address))
        .env("KOMPETENS_DATA", scratch())
        .env("PATH", path.expect("a search path"))
        .env_remove("http_proxy")
        .output()
        .expect("bash runs");

    let (printed, complaints) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        printed == blocks(&readme, "text").concat() && output.status.success(),
        "the tour printed:\n{printed}\n{complaints}"
    );
}

#[test]
fn every_setting_of_the_code_is_in_the_readme_and_the_other_way_round() {
    let code = read("src/config.rs");
    let (code, _) = code.split_once("#[cfg(test)]").expect("tests at the end");
    let named: BTreeSet<String> = code
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with("KOMPETENS_") || *text == "DATABASE_URL")
        .filter(|text| text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .map(str::to_owned)
        .collect();
    assert!(named.len() >= 9, "{named:?}");
    assert_eq!(first_column(&read(README), "| setting |"), named);
}

#[test]
fn the_problem_catalogue_of_the_api_document_is_the_codes() {
    let mut table = "| code | status | title | what to do |\n|---|---|---|---|\n".to_owned();
    for code in Code::ALL {
        table.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            code.as_str(),
            code.status(),
            code.title().en,
            code.advice().en
        ));
    }
    assert!(
        format!("{}\n", read(API)).contains(&format!("\n{table}\n")),
        "{API} does not hold the catalogue. This is the right table:\n\n{table}"
    );
}

#[test]
fn every_metric_is_in_the_operations_document_and_the_other_way_round() {
    let app = TestApp::empty();
    app.get(&app.hr(), "/units").expect(200);
    let metrics = app
        .get(
            &app.hr(),
            &format!("http://{}/metrics", app.operations_address),
        )
        .expect(200)
        .text;
    let told: BTreeSet<String> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(first_column(&read(OPERATIONS), "| metric |"), told);
}

#[test]
fn what_the_documents_name_exists() {
    let mut missing = Vec::new();
    for document in [README, ARCHITECTURE, API, OPERATIONS, INTEGRATION, FRONTEND] {
        let text = read(document);
        let paths = code_spans(&text).into_iter().filter(|span| {
            ["src/", "tests/", "docs/", "migrations/", "openapi/"]
                .iter()
                .any(|folder| span.starts_with(folder))
                && !span.contains(['*', '{', ' ', '<'])
        });
        let folder = root().join(document);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .filter(|link| !link.contains("://") && !link.starts_with('#'))
            .map(|link| folder.with_file_name(link.split('#').next().unwrap_or_default()));
        missing.extend(
            paths
                .map(|path| root().join(path))
                .chain(links)
                .filter(|path| !path.exists())
                .map(|path| format!("{document}: {}", path.display())),
        );
    }
    assert!(missing.is_empty(), "named, but not there: {missing:#?}");
}

#[test]
fn the_map_of_the_architecture_names_every_folder_and_file_of_the_source() {
    let spans = code_spans(&read(ARCHITECTURE));
    let entries = std::fs::read_dir(root().join("src")).expect("the source");
    let unnamed: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let slash = if path.is_dir() { "/" } else { "" };
            !spans.contains(&format!("src/{name}{slash}"))
        })
        .collect();
    assert!(unnamed.is_empty(), "not on the map: {unnamed:#?}");
}
