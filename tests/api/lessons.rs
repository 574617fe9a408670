//! Lessons: what was learned, for every employee to find, without drafts and without persons (R24).

use crate::app::{Caller, TestApp, fresh_database, service_url};
use crate::many;
use serde_json::{Value, json};

fn lessons(app: &TestApp, caller: &Caller, query: &str) -> Vec<Value> {
    let page = app
        .get(caller, &format!("/lessons?limit=100&{query}"))
        .expect(200)
        .body;
    page["items"].as_array().expect("items").clone()
}

#[test]
fn every_employee_finds_lessons_in_any_inflection_and_across_lesson_and_event() {
    let database = fresh_database();
    kompetens::demo::load(&service_url(&database)).expect("the demo data loads");
    let app = TestApp::on(&database, 8);
    let employee = app.employee("somebody");
    let all = lessons(&app, &employee, "");
    assert!(!all.is_empty());
    for lesson in &all {
        assert!(
            lesson.get("lessons").is_some() || lesson.get("knowledgeSharing").is_some(),
            "{lesson}"
        );
        assert!(!lesson.to_string().contains("person-"), "{lesson}");
        let event = app
            .get(
                &employee,
                &format!("/events/{}", lesson["eventId"].as_str().unwrap()),
            )
            .expect(200)
            .body;
        assert!(event["status"] == "held" || event["status"] == "closed");
        assert_eq!(
            (
                &lesson["eventTitle"],
                &lesson["kind"],
                &lesson["organisingUnitIds"]
            ),
            (&event["title"], &event["kind"], &event["organisingUnitIds"])
        );
        // found by a word of each of its texts, and by both together
        let title = lesson["eventTitle"].as_str().unwrap();
        let text = lesson["lessons"]
            .as_str()
            .or(lesson["knowledgeSharing"].as_str())
            .unwrap();
        let longest = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric())
                .max_by_key(|word| word.chars().count())
                .unwrap()
                .to_owned()
        };
        for words in [
            longest(title),
            longest(text),
            format!("{}+{}", longest(title), longest(text).to_uppercase()),
        ] {
            let found = lessons(&app, &employee, &format!("q={}", encoded(&words)));
            assert!(found.contains(lesson), "{words}: {lesson}");
        }
    }
    assert!(lessons(&app, &employee, "q=finnsinte").is_empty());
    assert!(lessons(&app, &employee, "q=och").is_empty());
    assert!(lessons(&app, &employee, "q=%27%20%26%20%7C%20%21%20%3A%2A%20%28").is_empty());
    let refused = app
        .get(&employee, "/lessons?q=19121212-1212")
        .expect_problem(400, "invalid-parameter");
    assert!(!refused.text.contains("1212"));
}

/// A word as a value of an address.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'+' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[test]
fn lessons_are_filtered_and_paged_as_other_lists_and_the_newest_come_first() {
    let database = fresh_database();
    many::fill(&database, 300, 2, 7);
    let app = TestApp::on(&database, 8);
    app.it_is(many::NOW);
    let employee = app.employee("person-0003");
    let whole = app
        .get(&employee, "/lessons?includeTotal=true&limit=100")
        .expect(200)
        .body;
    let standing = "select count(*) from follow_up_entries n join follow_ups f on f.id = n.follow_up_id join events e on e.id = f.event_id
        where e.status in ('held', 'closed') and (n.lessons is not null or n.knowledge_sharing is not null)
          and n.id not in (select entry_id from follow_up_entry_voidings)";
    assert_eq!(whole["totalItems"], json!(app.count(standing)));
    for sort in ["-conductedOn", "conductedOn"] {
        let mut walked: Vec<(String, String)> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = app
                .get(&employee, &format!("/lessons?sort={sort}&limit=7{cursor}"))
                .expect(200)
                .body;
            walked.extend(page["items"].as_array().unwrap().iter().map(|lesson| {
                (
                    lesson["conductedOn"].as_str().unwrap().to_owned(),
                    lesson["id"].as_str().unwrap().to_owned(),
                )
            }));
            match page["nextCursor"].as_str() {
                None => break,
                Some(next) => cursor = format!("&cursor={next}"),
            }
        }
        let mut sorted = walked.clone();
        sorted.sort();
        sorted.dedup();
        if sort.starts_with('-') {
            sorted.reverse();
        }
        assert_eq!(walked, sorted, "{sort}");
        assert_eq!(json!(walked.len()), whole["totalItems"]);
    }
    let unit = "0190b001-0000-7000-8000-000000000009";
    for (query, of_event) in [
        (
            format!("unitId={unit}"),
            format!(
                "exists (select from event_organisers o where o.event_id = e.id and o.unit_id = '{unit}')"
            ),
        ),
        (
            "kind=training,other".to_owned(),
            "e.kind in ('training', 'other')".to_owned(),
        ),
        (
            "from=2026-01-01&to=2026-03-31".to_owned(),
            "e.last_end > '2025-12-31T23:00:00Z' and e.first_start < '2026-03-31T22:00:00Z'"
                .to_owned(),
        ),
        (
            "q=turordningen".to_owned(),
            "n.lessons like '%turordning%'".to_owned(),
        ),
    ] {
        let page = app
            .get(&employee, &format!("/lessons?includeTotal=true&{query}"))
            .expect(200)
            .body;
        let expected = app.count(&format!("{standing} and {of_event}"));
        assert_eq!(page["totalItems"], json!(expected), "{query}");
        assert!(expected > 0, "{query}");
    }
    app.get(&employee, "/lessons?from=2026-02-01&to=2026-01-01")
        .expect_problem(400, "invalid-parameter");
}
