//! What stands before a test begins, said in sentences.

use crate::app::{Caller, Reply, TestApp, fresh_database};
use kompetens::rules::access::Role;
use serde_json::{Value, json};

/// Hedemora's group in small, on a fresh database.
pub struct Hedemora {
    pub app: TestApp,
    pub hr: Caller,
    /// A planner of the education department.
    pub planner: Caller,
    pub municipality: String,
    pub education: String,
    pub care: String,
    pub preschool: String,
    pub energy: String,
    pub visit_dalarna: String,
    /// Own premises.
    pub town_hall: String,
    /// A hired venue in town whose supplier has a contract in force from 2020 on.
    pub hotel: String,
    /// A hired venue elsewhere whose supplier has a contract in force.
    pub conference_centre: String,
    /// A venue without any contract.
    pub castle: String,
}

/// The day of the events that tests plan: far enough ahead of any clock that a test sets.
pub const NOW: &str = "2026-09-01T08:00:00Z";

impl Hedemora {
    pub fn new() -> Hedemora {
        Hedemora::on(&fresh_database())
    }

    pub fn on(database: &str) -> Hedemora {
        let app = TestApp::on(database, 8);
        app.it_is(NOW);
        let hr = app.hr();
        let create = |path: &str, body: Value| app.post(&hr, path, &body).expect(201).id();
        let unit = |name: &str, unit_type: &str, parent: Option<&str>| {
            create(
                "/units",
                json!({"name": name, "type": unit_type, "parentId": parent, "validFrom": "2020-01-01"}),
            )
        };
        let municipality = unit("Hedemora kommun", "municipality", None);
        let education = unit("Bildningsförvaltningen", "department", Some(&municipality));
        let care = unit("Omsorgsförvaltningen", "department", Some(&municipality));
        let preschool = unit("Förskolan", "unit", Some(&education));
        let energy = unit("Hedemora Energi AB", "company", Some(&municipality));
        let visit_dalarna = unit(
            "Visit Dalarna AB",
            "partlyOwnedCompany",
            Some(&municipality),
        );
        for (person, unit) in [
            ("person-hr", &municipality),
            ("person-planner", &education),
            ("person-head", &education),
            ("person-other", &care),
        ] {
            create(
                "/people",
                json!({"personRef": person, "displayName": person, "unitId": unit, "validFrom": "2020-01-01"}),
            );
        }
        let venue = |name: &str, code: &str, owner: Option<&str>, supplier: Option<&str>| {
            create(
                "/venues",
                json!({"name": name, "municipalityCode": code, "ownerUnitId": owner, "supplierId": supplier, "validFrom": "2020-01-01"}),
            )
        };
        let town_hall = venue("Stadshuset", "2083", Some(&municipality), None);
        let hotel = venue("Stadshotellet", "2083", None, Some("556000-0011"));
        let conference_centre = venue("Konferensgården", "2080", None, Some("556000-0012"));
        let castle = venue("Slottet", "2083", None, None);
        for (supplier, name) in [
            ("556000-0011", "Stadshotellet AB"),
            ("556000-0012", "Konferensgården AB"),
        ] {
            create(
                "/supplier-contracts",
                json!({"supplierId": supplier, "supplierName": name, "title": "Konferens", "validFrom": "2020-01-01"}),
            );
        }
        let planner = app.person("person-planner", &[Role::Planner], &[&education]);
        Hedemora {
            app,
            hr,
            planner,
            municipality,
            education,
            care,
            preschool,
            energy,
            visit_dalarna,
            town_hall,
            hotel,
            conference_centre,
            castle,
        }
    }

    /// A planning day of the education department on 2026-10-05, in this venue.
    pub fn planning_day(&self, venue: &str) -> Value {
        json!({
            "title": "Planeringsdag",
            "kind": "planningDay",
            "arranger": "group",
            "organisingUnitIds": [self.education],
            "responsiblePerson": "person-planner",
            "occasions": [{
                "startsAt": "2026-10-05T08:30:00+02:00",
                "endsAt": "2026-10-05T16:30:00+02:00",
                "place": "venue",
                "venueId": venue,
            }],
        })
    }

    /// A draft of such a day.
    pub fn draft(&self, venue: &str) -> Reply {
        self.app
            .post(&self.planner, "/events", &self.planning_day(venue))
            .expect(201)
    }

    /// Answers every question of Hedemora's version that takes an answer, but the venue's.
    pub fn answer_everything(&self, event: &str) {
        let goal = self
            .app
            .post(&self.hr, "/business-goals", &json!({"unitId": self.education, "title": "Fler behöriga", "validFrom": "2020-01-01"}))
            .expect(201)
            .id();
        let questions = self
            .app
            .get(&self.planner, &format!("/events/{event}/planning-answers"))
            .expect(200)
            .body;
        for item in questions["items"].as_array().expect("items") {
            let question = &item["question"];
            let id = question["id"].as_str().expect("an id");
            let choices = question["choices"].as_array().cloned().unwrap_or_default();
            let answer = match question["answerKind"].as_str().expect("a kind") {
                "text" => json!({"text": "Det här vill vi uppnå."}),
                "choice" => json!({"choices": [choices[0]["id"]]}),
                "businessGoals" => json!({"goalIds": [goal]}),
                "guidelineGoals" => json!({"goalIds": [self.first_guideline_goal()]}),
                "facets" => {
                    json!({"facets": choices.iter().map(|choice| json!({"facetId": choice["id"], "text": "Så här."})).collect::<Vec<_>>()})
                }
                "attestation" => json!({"attested": true, "text": "Ja, så är det."}),
                _ => continue,
            };
            self.app
                .put(
                    &self.planner,
                    &format!("/events/{event}/planning-answers/{id}"),
                    &answer,
                )
                .expect(201);
        }
    }

    fn first_guideline_goal(&self) -> Value {
        let versions = self
            .app
            .get(&self.hr, "/guideline-versions")
            .expect(200)
            .body;
        versions["items"][0]["goals"][0]["id"].clone()
    }

    /// Plans a follow-up at the level of behaviour.
    pub fn plan_follow_up(&self, event: &str) -> Reply {
        let body = json!({"level": "behaviour", "method": "interview", "responsiblePerson": "person-planner"});
        self.app
            .post(&self.planner, &format!("/events/{event}/follow-ups"), &body)
            .expect(201)
    }

    /// Does every planned follow-up of an event that was held, today and as deep as was planned.
    pub fn follow_up_everything(&self, event: &str) {
        let today = self.app.today();
        for follow_up in self.follow_ups(event) {
            if follow_up["status"] == "planned" {
                let entry = json!({"conductedOn": today, "level": follow_up["level"], "carriedOut": "asPlanned"});
                let path = format!(
                    "/follow-ups/{}/entries",
                    follow_up["id"].as_str().expect("an id")
                );
                self.app.post(&self.hr, &path, &entry).expect(201);
            }
        }
    }

    /// The follow-ups of an event, the next one due first.
    pub fn follow_ups(&self, event: &str) -> Vec<Value> {
        let path = format!("/events/{event}/follow-ups");
        let listed = self.app.get(&self.hr, &path).expect(200).body;
        listed["items"].as_array().expect("items").clone()
    }

    /// A draft in own premises that lacks nothing.
    pub fn ready(&self) -> String {
        let event = self.draft(&self.town_hall).id();
        self.answer_everything(&event);
        self.plan_follow_up(&event);
        event
    }

    /// A confirmed event.
    pub fn confirmed(&self) -> String {
        let event = self.ready();
        self.app
            .change_status(&self.planner, &event, &json!({"status": "confirmed"}))
            .expect(200);
        event
    }

    /// Occasions of the planning day, one after the other, at these places: a venue's id, `digital` or `undecided`.
    pub fn occasions_at(&self, places: &[&str]) -> Value {
        let at = |(hour, place): (usize, &&str)| {
            let mut occasion = json!({
                "startsAt": format!("2026-10-05T{:02}:30:00+02:00", 8 + hour),
                "endsAt": format!("2026-10-05T{:02}:30:00+02:00", 9 + hour),
                "place": if place.len() == 36 { "venue" } else { place },
            });
            if place.len() == 36 {
                occasion["venueId"] = json!(place);
            }
            occasion
        };
        places.iter().enumerate().map(at).collect()
    }

    /// Moves an event to these places.
    pub fn hold_at(&self, event: &str, places: &[&str]) -> Reply {
        let body = json!({"occasions": self.occasions_at(places)});
        self.app
            .patch(&self.planner, &format!("/events/{event}"), &body)
    }

    /// Answers a question of an event, from the answer that stands if there is one.
    pub fn answer(&self, event: &str, question: &str, answer: &Value) -> Reply {
        let path = format!("/events/{event}/planning-answers/{question}");
        let standing = self.app.get(&self.planner, &path);
        let headers: Vec<_> = standing
            .header("ETag")
            .map(|etag| ("If-Match", etag))
            .into_iter()
            .collect();
        let body = answer.to_string();
        self.app
            .send(&self.planner, "PUT", &path, &headers, Some(&body))
    }

    /// The finding of one rule of an event.
    pub fn finding(&self, event: &str, rule: &str) -> String {
        let compliance = self
            .app
            .get(&self.planner, &format!("/events/{event}/compliance"))
            .expect(200)
            .body;
        let item = compliance["items"]
            .as_array()
            .expect("items")
            .iter()
            .find(|item| item["ruleId"] == rule);
        item.unwrap_or_else(|| panic!("{rule} in {compliance}"))["finding"]
            .as_str()
            .expect("a finding")
            .to_owned()
    }
}
