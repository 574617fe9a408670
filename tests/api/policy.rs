//! Every cell of tests/api/policy.txt, tried against the service; an operation of the document that is missing there fails.

use crate::app::{Caller, Reply, TestApp};
use crate::given::Hedemora;
use kompetens::http::document;
use kompetens::rules::access::Role;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const POLICY: &str = include_str!("policy.txt");
const ABSENT: &str = "0190a000-0000-7000-8000-00000000dead";
const SCOPES: [&str; 9] = [
    "events:read",
    "events:write",
    "exceptions:write",
    "follow-ups:write",
    "reports:read",
    "organisation:write",
    "imports:write",
    "changes:read",
    "audit:read",
];

/// A row of the table: the letters of each column by its name.
struct Row {
    operation: String,
    on: String,
    scope: String,
    cells: Vec<(String, String)>,
}

fn rows() -> Vec<Row> {
    let mut lines = POLICY
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let names: Vec<&str> = lines.next().expect("names").split_whitespace().collect();
    assert_eq!(names[..3], ["operation", "on", "scope"]);
    lines
        .map(|line| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(words.len(), names.len(), "{line}");
            let cells = names[3..].iter().map(|name| (*name).to_owned());
            Row {
                operation: words[0].clone(),
                on: words[1].clone(),
                scope: words[2].clone(),
                cells: cells.zip(words[3..].iter().cloned()).collect(),
            }
        })
        .collect()
}

/// An operation of the document: method, path and an example of its body.
struct Operation {
    method: String,
    path: String,
    body: Option<Value>,
}

fn operations() -> BTreeMap<String, Operation> {
    let mut operations = BTreeMap::new();
    for (path, item) in document()["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let content = &operation["requestBody"]["content"]["application/json"];
            operations.insert(
                operation["operationId"].as_str().expect("an id").to_owned(),
                Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    body: content.get("example").cloned(),
                },
            );
        }
    }
    operations
}

/// What lies on one event, by the name of the path parameter.
type Ids = BTreeMap<&'static str, String>;

/// Everything that the table is tried on.
struct Group {
    hedemora: Hedemora,
    /// The units of the relations, in their order.
    units: [String; 4],
    drafts: Vec<Ids>,
    published: Vec<Ids>,
}

impl Group {
    fn new() -> Group {
        let hedemora = Hedemora::new();
        let (app, hr) = (&hedemora.app, &hedemora.hr);
        for (person, unit) in [
            ("person-director", &hedemora.municipality),
            ("person-ceo", &hedemora.energy),
        ] {
            let body = json!({"personRef": person, "displayName": person, "unitId": unit, "validFrom": "2020-01-01"});
            app.post(hr, "/people", &body).expect(201);
        }
        for (office, person, unit) in [
            (
                "municipalDirector",
                "person-director",
                &hedemora.municipality,
            ),
            ("departmentHead", "person-head", &hedemora.education),
            ("departmentHead", "person-other", &hedemora.care),
            ("chiefExecutive", "person-ceo", &hedemora.energy),
        ] {
            let body = json!({"officeType": office, "unitId": unit, "personRef": person, "capacity": "ordinary", "validFrom": "2021-01-01"});
            app.post(hr, "/office-appointments", &body).expect(201);
        }
        let goal = json!({"unitId": hedemora.education, "title": "Fler behöriga", "validFrom": "2020-01-01"});
        app.post(hr, "/business-goals", &goal).expect(201);
        let units = [
            hedemora.education.clone(),
            hedemora.preschool.clone(),
            hedemora.care.clone(),
            hedemora.energy.clone(),
        ];
        let events = |publish: bool| -> Vec<Ids> {
            units
                .iter()
                .map(|unit| event(&hedemora, unit, publish))
                .collect()
        };
        let (drafts, mut published) = (events(false), events(true));
        app.it_is("2026-10-06T08:00:00Z");
        for ids in &mut published {
            let held = json!({"status": "held", "actualParticipants": {"total": 12}});
            app.change_status(hr, &ids["eventId"], &held).expect(200);
            let entry = json!({
                "conductedOn": "2026-10-05", "level": "behaviour", "carriedOut": "asPlanned", "observedBehaviour": "Alla gör likadant.",
                "individualEffect": {"effect": "full", "evidence": "Alla har övat."},
                "residentEffect": {"effect": "tooEarly", "evidence": "Enkäten kommer i mars."},
            });
            let path = format!("/follow-ups/{}/entries", ids["followUpId"]);
            let entry = app.post(hr, &path, &entry).expect(201).id();
            ids.insert("entryId", entry);
        }
        let webhook = json!({"url": "http://127.0.0.1:9/hook"});
        app.post(hr, "/webhook-subscriptions", &webhook).expect(201);
        Group {
            units,
            drafts,
            published,
            hedemora,
        }
    }

    /// The callers of the columns that are persons.
    fn callers(&self) -> BTreeMap<&'static str, Caller> {
        let app = &self.hedemora.app;
        let with = |person: &str, role| app.person(person, &[role], &[&self.hedemora.education]);
        BTreeMap::from([
            ("employee", with("person-employee", Role::Employee)),
            ("planner", with("person-plans", Role::Planner)),
            ("manager", with("person-manages", Role::UnitManager)),
            ("head", app.employee("person-head")),
            ("director", app.employee("person-director")),
            ("hr", with("person-administers", Role::HrAdministrator)),
            ("archivist", with("person-archives", Role::Archivist)),
            ("auditor", with("person-audits", Role::Auditor)),
        ])
    }

    fn machine(&self, scopes: &[&str]) -> Caller {
        let body = json!({"name": "Maskin", "scopes": scopes, "sourceSystem": "test", "expiresAt": "2099-01-01T00:00:00Z"});
        let app = &self.hedemora.app;
        let made = app
            .post(&self.hedemora.hr, "/api-clients", &body)
            .expect(201);
        Caller(made.body["secret"].as_str().map(str::to_owned))
    }

    /// What the operation is asked of, for each letter of a cell: the ids of its path, and the unit that its body names.
    fn targets(&self, row: &Row, operation: &Operation) -> Vec<(Ids, String)> {
        let whole = |ids: &Ids, unit: &str| (ids.clone(), unit.to_owned());
        match &*row.on {
            "-" => vec![(Ids::new(), self.units[0].clone())],
            "one" => {
                let (list, _) = operation.path.split_once("/{").expect("a parameter");
                let listed = self.hedemora.app.get(&self.hedemora.hr, list);
                let first = listed.body["items"][0]["id"].as_str().unwrap_or(ABSENT);
                [first, ABSENT]
                    .map(|id| (Ids::from([("*", id.to_owned())]), self.units[0].clone()))
                    .to_vec()
            }
            on => {
                let events = if on == "published" {
                    &self.published
                } else {
                    &self.drafts
                };
                let mut targets: Vec<_> = events
                    .iter()
                    .zip(&self.units)
                    .map(|(ids, unit)| whole(ids, unit))
                    .collect();
                targets.push((Ids::from([("*", ABSENT.to_owned())]), ABSENT.to_owned()));
                targets
            }
        }
    }

    /// Asks without changing what is there: from a revision that never stood, by an unknown person, with a conflict of interest.
    fn ask(
        &self,
        caller: &Caller,
        row: &Row,
        operation: &Operation,
        (ids, unit): &(Ids, String),
    ) -> Reply {
        let mut path = operation.path.clone();
        while let Some((before, rest)) = path.split_once('{') {
            let (name, after) = rest.split_once('}').expect("a whole parameter");
            let open = row.operation == "create_decision" && name == "exceptionRequestId";
            let id = match name {
                "questionId" => "residentEffects",
                "sourceSystem" => "test",
                "externalId" => unit,
                name => ids
                    .get(if open { "openRequestId" } else { name })
                    .or_else(|| ids.get("*"))
                    .unwrap_or_else(|| panic!("{}: a value for {name}", row.operation)),
            };
            path = format!("{before}{id}{after}");
        }
        let body = match &*row.operation {
            "create_event" | "put_external_event" => Some(draft_of(unit)),
            "put_external_unit" => Some(
                json!({"name": "Fritids", "type": "unit", "parentId": unit, "validFrom": "2020-01-01"}),
            ),
            "put_external_person" => Some(
                json!({"personRef": "person-new", "displayName": "Ny", "unitId": unit, "validFrom": "2020-01-01"}),
            ),
            "put_external_office_appointment" => Some(
                json!({"officeType": "departmentHead", "unitId": unit, "personRef": "person-planner", "capacity": "acting", "validFrom": "2027-01-01"}),
            ),
            "put_external_business_goal" => {
                Some(json!({"unitId": unit, "title": "Fler behöriga", "validFrom": "2020-01-01"}))
            }
            "put_external_venue" => Some(
                json!({"name": "Folkets hus", "municipalityCode": "2083", "ownerUnitId": unit, "validFrom": "2020-01-01"}),
            ),
            "put_external_supplier_contract" => Some(
                json!({"supplierId": "556000-0011", "supplierName": "Hotellet AB", "title": "Logi", "validFrom": "2020-01-01"}),
            ),
            // refused for its address, without asking for a name
            "create_webhook_subscription" => Some(json!({"url": "http://1.1.1.1/hook"})),
            // owner and supplier are HR's to set; the name is the last of the list, of which the first is not its maker's
            "create_venue" => Some(
                json!({"name": "Ödegården", "municipalityCode": "2083", "validFrom": "2020-01-01"}),
            ),
            "change_event" => Some(json!({"title": "Nytt namn"})),
            "change_event_status" if row.on == "published" => Some(json!({"status": "closed"})),
            "change_event_status" => Some(json!({"status": "confirmed"})),
            "create_decision" => Some(
                json!({"outcome": "approved", "reasons": "Ja.", "noConflictOfInterest": false}),
            ),
            "create_follow_up" => Some(
                json!({"level": "behaviour", "method": "survey", "responsiblePerson": "person-unknown"}),
            ),
            "put_planning_answer" => Some(json!({"text": "Så här."})),
            _ => operation.body.clone(),
        };
        let body = body.map(|body| body.to_string());
        let headers: &[(&str, &str)] = match &*operation.method {
            "GET" | "PUT" if row.operation.contains("external") => &[],
            "GET" => &[],
            _ => &[("If-Match", "\"999\"")],
        };
        let app = &self.hedemora.app;
        app.send(caller, &operation.method, &path, headers, body.as_deref())
    }
}

fn draft_of(unit: &str) -> Value {
    json!({"title": "Planeringsdag", "kind": "planningDay", "arranger": "group", "organisingUnitIds": [unit], "responsiblePerson": "person-planner",
        "occasions": [{"startsAt": "2026-10-05T08:30:00+02:00", "endsAt": "2026-10-05T16:30:00+02:00", "place": "digital"}]})
}

/// An event of this unit with an answer, a follow-up, an exception that the director approved, and one that waits for the unit's head.
fn event(hedemora: &Hedemora, unit: &str, publish: bool) -> Ids {
    let (app, hr) = (&hedemora.app, &hedemora.hr);
    let event = app.post(hr, "/events", &draft_of(unit)).expect(201).id();
    let path = format!("/events/{event}");
    let answer = |question: &str, answer: Value| {
        let path = format!("{path}/planning-answers/{question}");
        app.put(hr, &path, &answer).expect(201);
    };
    answer("residentEffects", json!({"text": "Kortare väntan."}));
    let head = if *unit == hedemora.energy {
        "chiefExecutive"
    } else {
        "departmentHead"
    };
    let asked = [("question.purpose", "municipalDirector"), ("question.form", head)].map(|(rule, addressee)| {
        let body = json!({"ruleIds": [rule], "reason": "Därför.", "alternativesConsidered": "Inga.", "addressee": addressee, "decisionNeededBy": "2026-10-01"});
        app.post(hr, &format!("{path}/exception-requests"), &body).expect(201).id()
    });
    let decided = app
        .post(
            &app.employee("person-director"),
            &format!("/exception-requests/{}/decisions", asked[0]),
            &json!({"outcome": "approved", "reasons": "Ja.", "noConflictOfInterest": true}),
        )
        .expect(201)
        .id();
    let follow_up = app
        .post(
            hr,
            &format!("{path}/follow-ups"),
            &json!({"level": "behaviour", "method": "survey", "responsiblePerson": "person-planner"}),
        )
        .expect(201)
        .id();
    if publish {
        let answers = app
            .get(hr, &format!("{path}/planning-answers"))
            .expect(200)
            .body;
        for item in answers["items"].as_array().expect("items") {
            let question = &item["question"];
            let (id, kind) = (
                question["id"].as_str().expect("an id"),
                &question["answerKind"],
            );
            if kind != "reason" && kind != "followUps" && id != "residentEffects" {
                answer(
                    id,
                    json!({"notApplicable": {"reason": "Prövas på annat håll."}}),
                );
            }
        }
        app.change_status(hr, &event, &json!({"status": "confirmed"}))
            .expect(200);
    }
    let [approved, open] = asked;
    Ids::from([
        ("eventId", event),
        ("exceptionRequestId", approved),
        ("openRequestId", open),
        ("decisionId", decided),
        ("followUpId", follow_up),
    ])
}

fn letter(reply: &Reply, is_absent: bool) -> char {
    let code = reply.body["code"].as_str().unwrap_or_default();
    match (reply.status, code) {
        (403, "forbidden" | "wrong-office" | "own-request") => 'F',
        (404, "not-found") => 'H',
        (422, _) if is_absent => 'U',
        // what comes after the question of access
        (200 | 201 | 204 | 409 | 412 | 422, _) | (404, "no-baseline") => 'A',
        _ => '?',
    }
}

#[test]
fn every_operation_of_the_document_has_its_cells_and_every_cell_holds() {
    let (rows, operations) = (rows(), operations());
    let named: BTreeSet<&String> = rows.iter().map(|row| &row.operation).collect();
    let documented: BTreeSet<&String> = operations.keys().collect();
    let missing: Vec<_> = documented.difference(&named).collect();
    let stale: Vec<_> = named.difference(&documented).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "missing in policy.txt: {missing:?}; not in the document: {stale:?}"
    );

    let group = Group::new();
    let callers = group.callers();
    let machines: BTreeMap<&str, (Caller, Caller)> = SCOPES
        .iter()
        .map(|scope| {
            let others: Vec<&str> = SCOPES.into_iter().filter(|other| other != scope).collect();
            (*scope, (group.machine(&[scope]), group.machine(&others)))
        })
        .collect();
    let (all, none) = (group.machine(&SCOPES), group.machine(&["imports:write"]));
    let mut wrong = Vec::new();
    let mut tried = 0;
    for row in &rows {
        let operation = &operations[&row.operation];
        let targets = group.targets(row, operation);
        let mut letters = |caller: &Caller| -> String {
            let asked = targets.iter().map(|target| {
                tried += 1;
                letter(
                    &group.ask(caller, row, operation, target),
                    target.1 == ABSENT,
                )
            });
            asked.collect()
        };
        for (column, cell) in &row.cells {
            let found = letters(&callers[&**column]);
            if found != *cell {
                wrong.push(format!(
                    "{} on {}, {column}: {cell} became {found}",
                    row.operation, row.on
                ));
            }
        }
        // of machines: the scope is enough and needed, wherever in the group
        let mut machine = |caller: &Caller, what: &str, holds: &dyn Fn(char) -> bool| {
            let found = letters(caller);
            let there = if targets.len() > 1 {
                &found[..found.len() - 1]
            } else {
                &found
            };
            if !there.chars().all(holds) {
                wrong.push(format!(
                    "{} on {}, {what} {}: {found}",
                    row.operation, row.on, row.scope
                ));
            }
        };
        match &*row.scope {
            "*" => machine(&none, "whatever", &|letter| letter == 'A'),
            "-" => machine(&all, "all scopes though it is", &|letter| letter != 'A'),
            scope => {
                let (with, without) = &machines[scope];
                machine(with, "with", &|letter| matches!(letter, 'A' | 'H'));
                machine(without, "all but", &|letter| letter != 'A');
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells of {tried} requests:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_list_and_its_count_show_each_caller_what_single_reads_allow_and_no_more() {
    let group = Group::new();
    let app: &TestApp = &group.hedemora.app;
    for (column, caller) in group.callers() {
        let mut allowed = [0, 0];
        for ids in group.drafts.iter().chain(&group.published) {
            for (count, path) in allowed.iter_mut().zip(["events", "exception-requests"]) {
                let name = if path == "events" {
                    "eventId"
                } else {
                    "exceptionRequestId"
                };
                let reply = app.get(&caller, &format!("/{path}/{}", ids[name]));
                *count += i64::from(reply.status == 200);
            }
        }
        // two requests on each event
        for (path, expected) in [
            ("events", allowed[0]),
            ("exception-requests", allowed[1] * 2),
        ] {
            let listed = app
                .get(&caller, &format!("/{path}?limit=100&includeTotal=true"))
                .expect(200)
                .body;
            let shown = listed["items"].as_array().map(Vec::len);
            assert_eq!(listed["totalItems"], json!(expected), "{column}: {path}");
            assert_eq!(shown, usize::try_from(expected).ok(), "{column}: {path}");
        }
    }
}

#[test]
fn with_the_database_stopped_whoever_is_not_let_in_and_whatever_is_not_there_is_answered_all_the_same()
 {
    let url = "postgresql://nobody@127.0.0.1:1/nowhere?connect_timeout=1";
    let app = TestApp::at_url(url, "nowhere", 2);
    let nobody = Caller(None);
    let hr = app.hr();
    for (name, operation) in operations() {
        let mut path = operation.path.clone();
        while let Some((before, rest)) = path.split_once('{') {
            let (_, after) = rest.split_once('}').expect("a whole parameter");
            path = format!("{before}{ABSENT}{after}");
        }
        let body = operation.body.as_ref().map(Value::to_string);
        if name != "get_api_info" {
            app.send(&nobody, &operation.method, &path, &[], body.as_deref())
                .expect_problem(401, "unauthenticated");
        }
        let refused = app
            .send(&hr, "TRACE", &path, &[], None)
            .expect_problem(405, "method-not-allowed");
        assert!(
            refused
                .header("Allow")
                .is_some_and(|allow| allow.contains(&operation.method)),
            "{name}"
        );
        let options = app.send(&nobody, "OPTIONS", &path, &[], None).expect(204);
        assert_eq!(options.header("Allow"), refused.header("Allow"), "{name}");
    }
    app.get(&hr, "/no-such-thing")
        .expect_problem(404, "not-found");
    app.get(&nobody, "/no-such-thing")
        .expect_problem(404, "not-found");
}
