//! Events from idea to confirmation.

use crate::given::Hedemora;
use serde_json::json;

#[test]
fn a_planning_day_in_own_premises_is_planned_answered_followed_up_and_confirmed() {
    let hedemora = Hedemora::new();
    let app = &hedemora.app;
    let event = hedemora.draft(&hedemora.town_hall);
    assert_eq!(
        event.header("Location"),
        Some(format!("/kompetens/v1/events/{}", event.id()).as_str())
    );
    assert_eq!(event.body["status"], "draft");
    assert_eq!(event.body["isoWeek"], "2026-W41");
    let event = event.id();

    let refused = app
        .change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}))
        .expect_problem(409, "not-compliant");
    assert!(refused.body["errors"].as_array().is_some_and(|errors| {
        errors
            .iter()
            .any(|error| error["code"] == "question.purpose")
    }));

    hedemora.answer_everything(&event);
    assert_eq!(
        app.get(&hedemora.planner, &format!("/events/{event}")).body["openFindings"],
        json!(["question.followUp"])
    );
    let follow_up = hedemora.plan_follow_up(&event);
    assert_eq!(
        follow_up.body["dueDate"], "2027-01-03",
        "90 days after the last occasion"
    );
    assert_eq!(
        app.get(&hedemora.planner, &format!("/events/{event}/compliance"))
            .body["confirmable"],
        true
    );

    let confirmed = app
        .change_status(&hedemora.planner, &event, &json!({"status": "confirmed"}))
        .expect(200);
    assert_eq!(confirmed.body["status"], "confirmed");
    assert_eq!(confirmed.body["openFindings"], json!([]));
}
