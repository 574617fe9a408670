//! What is made before the crate is compiled.

use std::path::{Path, PathBuf};

fn main() {
    // the migrations are embedded, so a new one asks for a new build
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=src");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut values = Vec::new();
    read_enums(Path::new("src"), &mut values);
    values.sort();
    std::fs::write(out.join("enum_values.rs"), format!("&{values:?}"))
        .expect("OUT_DIR is writable");
}

/// The schema, value and meaning of each variant of the enums that are schemas: utoipa leaves the variants' doc comments out of
/// the document, and whoever reads it needs them.
fn read_enums(folder: &Path, values: &mut Vec<(String, String, String)>) {
    for entry in std::fs::read_dir(folder).expect("the source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_enums(&path, values);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("the source is text");
            // an item begins after an empty line, as cargo fmt and the style of this crate have it
            for item in source
                .split("\n\n")
                .filter(|item| item.contains("ToSchema"))
            {
                read_enum(item, values);
            }
        }
    }
}

fn read_enum(item: &str, values: &mut Vec<(String, String, String)>) {
    let Some((attributes, body)) = item.split_once("pub enum ") else {
        return;
    };
    let Some((name, variants)) = body.split_once(" {\n") else {
        return;
    };
    let schema = between(attributes, "schema(as = ", ")").unwrap_or(name);
    let mut meaning = Vec::new();
    let mut renamed = None;
    for line in variants.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push(text.trim().to_owned());
        } else if line.starts_with("#[serde(rename = ") {
            renamed = between(line, "rename = \"", "\"").map(str::to_owned);
        } else if line.starts_with(|first: char| first.is_ascii_uppercase()) {
            let variant = line.trim_end_matches(',');
            let value = renamed.take().unwrap_or_else(|| camel_case(variant));
            values.push((schema.to_owned(), value, meaning.join(" ")));
            meaning.clear();
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?
        .1
        .split_once(after)
        .map(|(found, _)| found)
}

fn camel_case(variant: &str) -> String {
    let mut letters = variant.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}
