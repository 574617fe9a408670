//! Delegated decisions are reported to the board, each once.

use crate::app::Caller;
use crate::given::Hedemora;
use serde_json::{Value, json};

/// A department whose head decides by delegation, with a board.
struct Delegation {
    hedemora: Hedemora,
    head: Caller,
}

impl Delegation {
    fn new() -> Delegation {
        let hedemora = Hedemora::new();
        let (app, hr) = (&hedemora.app, &hedemora.hr);
        app.patch(
            hr,
            &format!("/units/{}", hedemora.education),
            &json!({"board": "Bildningsnämnden"}),
        )
        .expect(200);
        let appointment = json!({
            "officeType": "departmentHead", "unitId": hedemora.education, "personRef": "person-head", "capacity": "ordinary", "validFrom": "2020-01-01",
        });
        app.post(hr, "/office-appointments", &appointment)
            .expect(201);
        let mut version = app.get(hr, "/guideline-versions").expect(200).body["items"][0].clone();
        for member in ["id", "revision", "createdAt"] {
            version.as_object_mut().expect("an object").remove(member);
        }
        version["settings"]["decisionBasis"]["departmentHead"] = json!("delegated");
        app.post(hr, "/guideline-versions", &version).expect(201);
        Delegation {
            head: app.employee("person-head"),
            hedemora,
        }
    }

    /// A decision of the head about a day in the castle.
    fn decision(&self, reasons: &str) -> String {
        let hedemora = &self.hedemora;
        let event = hedemora.draft(&hedemora.castle).id();
        let request = json!({
            "ruleIds": ["venueLadder"], "reason": "Vi behöver plats.", "alternativesConsidered": "Inga.",
            "addressee": "departmentHead", "decisionNeededBy": "2026-10-01",
        });
        let asked = hedemora
            .app
            .post(
                &hedemora.hr,
                &format!("/events/{event}/exception-requests"),
                &request,
            )
            .expect(201)
            .id();
        let decision =
            json!({"outcome": "approved", "reasons": reasons, "noConflictOfInterest": true});
        hedemora
            .app
            .post(
                &self.head,
                &format!("/exception-requests/{asked}/decisions"),
                &decision,
            )
            .expect(201)
            .id()
    }

    fn list(&self, query: &str) -> Vec<Value> {
        let page = self
            .hedemora
            .app
            .get(&self.hedemora.hr, &format!("/decision-reports{query}"))
            .expect(200)
            .body;
        page["items"].as_array().expect("items").clone()
    }
}

#[test]
fn a_delegated_decision_is_reported_to_its_board_once_and_others_are_not() {
    let delegation = Delegation::new();
    let (app, hr) = (&delegation.hedemora.app, &delegation.hedemora.hr);
    let ids = [delegation.decision("Ja."), delegation.decision("Ja då.")];
    assert_eq!(
        delegation
            .list("?reported=false&board=Bildningsn%C3%A4mnden")
            .len(),
        2
    );
    assert_eq!(delegation.list("?board=Omsorgsn%C3%A4mnden").len(), 0);
    assert_eq!(
        delegation.list("?from=2026-09-01&to=2026-09-01").len(),
        2,
        "both days are included"
    );
    assert_eq!(delegation.list("?from=2026-09-02").len(), 0);
    for path in ["/decision-reports", "/events"] {
        let backwards = app
            .get(hr, &format!("{path}?from=2026-09-02&to=2026-09-01"))
            .expect_problem(400, "invalid-parameter");
        assert_eq!(backwards.faults(), ["to"]);
    }

    let report = json!({"board": "Bildningsnämnden", "from": "2026-09-01", "to": "2026-09-30", "meetingDate": "2026-10-20"});
    app.post(&delegation.hedemora.planner, "/decision-reports", &report)
        .expect_problem(403, "forbidden");
    let reported = app.post(hr, "/decision-reports", &report).expect(201);
    let listed: Vec<&Value> = reported.body["decisions"]
        .as_array()
        .expect("decisions")
        .iter()
        .map(|decision| &decision["id"])
        .collect();
    assert_eq!(listed.len(), 2);
    assert!(ids.iter().all(|id| listed.contains(&&json!(id))));
    let path = reported
        .header("Location")
        .expect("a Location")
        .replace("/kompetens/v1", "");
    assert_eq!(app.get(hr, &path).expect(200).body, reported.body);

    app.post(hr, "/decision-reports", &report)
        .expect_problem(409, "nothing-to-report");
    let later = delegation.decision("Också ja.");
    let next = app.post(hr, "/decision-reports", &report).expect(201);
    assert_eq!(
        next.body["decisions"].as_array().map(Vec::len),
        Some(1),
        "each once"
    );
    assert_eq!(next.body["decisions"][0]["id"], json!(later));
    assert_eq!(delegation.list("?meetingDate=2026-10-20").len(), 3);
    assert_eq!(delegation.list("?reported=false").len(), 0);
}

#[test]
fn two_reports_at_once_share_the_decisions_and_double_none() {
    let delegation = Delegation::new();
    delegation.decision("Ja.");
    let report = json!({"board": "Bildningsnämnden", "from": "2026-09-01", "to": "2026-09-30", "meetingDate": "2026-10-20"});
    let barrier = std::sync::Barrier::new(4);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let reporters: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    delegation
                        .hedemora
                        .app
                        .post(&delegation.hedemora.hr, "/decision-reports", &report)
                        .status
                })
            })
            .collect();
        reporters
            .into_iter()
            .map(|reporter| reporter.join().expect("no panic"))
            .collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        3,
        "{statuses:?}"
    );
    assert_eq!(
        delegation
            .hedemora
            .app
            .count("select count(*) from decision_reports"),
        1
    );
}

#[test]
fn the_list_is_a_table_that_a_spreadsheet_opens_and_does_not_run() {
    let delegation = Delegation::new();
    delegation.decision("=HYPERLINK(\"x\"); åäö");
    let csv = |query: &str| {
        let path = format!("/decision-reports{query}");
        delegation
            .hedemora
            .app
            .send(
                &delegation.hedemora.hr,
                "GET",
                &path,
                &[("Accept", "text/csv")],
                None,
            )
            .expect(200)
    };
    let plain = csv("");
    assert_eq!(
        plain.header("Content-Type"),
        Some("text/csv; charset=utf-8")
    );
    let lines: Vec<&str> = plain.text.split("\r\n").collect();
    assert!(
        lines[0].starts_with("decidedAt,board,office,"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains(",Bildningsnämnden,departmentHead,"),
        "{}",
        lines[1]
    );
    assert!(
        lines[1].contains("\"'=HYPERLINK(\"\"x\"\"); åäö\""),
        "a formula is text: {}",
        lines[1]
    );
    let excel = csv("?excel=true");
    assert!(
        excel.text.starts_with('\u{feff}') && excel.text.contains(";Bildningsnämnden;"),
        "{}",
        excel.text
    );
}
