//! Is this an answer to that question (R18–R31)?
//!
//! One flat shape serves every kind of question; [`check`] refuses the fields of other kinds. Whether an answer
//! satisfies the guideline is not asked here but in [`super::compliance`]: "no" is an answer too.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Fault;
use crate::guideline::{AnswerKind, Question, Text, VersionKey};

/// An answer to a planning question. Only the fields of the question's kind are allowed; `notApplicable` stands alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanningAnswer {
    /// The question does not apply to this event, and why. Any kind but `reason` and `followUps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<NotApplicable>,
    /// The answer of kind `text`; of kind `attestation`, what it rests on (optional).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 4000,
        example = "Vi vill möta anhöriga på samma sätt i alla verksamheter."
    )]
    pub text: Option<String>,
    /// The ids of the choices made, of kind `choice`: one, unless the question is `multiple`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50, value_type = Option<Vec<VersionKey>>, example = json!(["workshop"]))]
    pub choices: Option<Vec<String>>,
    /// The goals that the event contributes to: ids of business goals of kind `businessGoals`, of the guideline's
    /// goals of kind `guidelineGoals`. Never empty: "none" is `notApplicable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50, value_type = Option<Vec<GoalKey>>, example = json!(["improveOperations"]))]
    pub goal_ids: Option<Vec<String>>,
    /// One text for every facet of the question, of kind `facets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50)]
    pub facets: Option<Vec<FacetAnswer>>,
    /// Yes or no, of kind `attestation`. A no asks for a `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub attested: Option<bool>,
    /// Why: the answer of kind `reason`, or the reason for an attestation answered no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Documents that an attestation refers to (optional).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50, value_type = Option<Vec<Reference>>, example = json!(["Kompetensförsörjningsplan 2026–2028"]))]
    pub references: Option<Vec<String>>,
}

/// The id of a goal: a UUID for a business goal, the version's own id for a goal of the guideline.
// this and the next only bound the items of their lists in the published document
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(min_length = 1, max_length = 64, example = "improveOperations")]
pub struct GoalKey(pub String);

/// A document that an answer refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 500,
    example = "Kompetensförsörjningsplan 2026–2028"
)]
pub struct Reference(pub String);

/// Why a question does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotApplicable {
    /// Why, in a sentence or two.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "Dagen gäller bara våra egna rutiner."
    )]
    pub reason: String,
}

/// What is said of one facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FacetAnswer {
    /// The id of the facet, one of the question's choices.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$", example = "inclusive")]
    pub facet_id: String,
    /// What is done about it.
    #[schema(
        min_length = 1,
        max_length = 4000,
        example = "Materialet finns på lätt svenska och lokalen har hörslinga."
    )]
    pub text: String,
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reason {
    /// One of the question's choices, of kind `reason` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$", example = "capacity")]
    pub code: Option<String>,
    /// Why, in a sentence or two.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "Vi är 140 personer och våra egna lokaler tar som mest 90."
    )]
    pub text: String,
}

/// What is wrong with this answer to this question; empty when nothing is.
///
/// `guideline_goals` are the ids of the version's goals. That business goals exist is for the caller to look up; here
/// their ids need only be UUIDs, spelled as the service spells them.
pub fn check(
    question: &Question,
    answer: &PlanningAnswer,
    guideline_goals: &BTreeSet<&str>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_fields(question.answer_kind, answer, &mut faults);
    check_texts(answer, &mut faults);
    // what stands in a field that does not belong is not worth a second fault
    if faults.is_empty() {
        check_choices(question, answer, &mut faults);
        check_facets(question, answer, &mut faults);
        check_goals(question, answer, guideline_goals, &mut faults);
        check_reason(question, answer, &mut faults);
    }
    faults
}

/// The field that answers a question of this kind, and those that may stand beside it.
fn fields(kind: AnswerKind) -> (Option<&'static str>, &'static [&'static str]) {
    match kind {
        AnswerKind::Text => (Some("text"), &[]),
        AnswerKind::Choice => (Some("choices"), &[]),
        AnswerKind::BusinessGoals | AnswerKind::GuidelineGoals => (Some("goalIds"), &[]),
        AnswerKind::Facets => (Some("facets"), &[]),
        AnswerKind::Attestation => (Some("attested"), &["text", "reason", "references"]),
        AnswerKind::Reason => (Some("reason"), &[]),
        AnswerKind::FollowUps => (None, &[]),
    }
}

fn check_fields(kind: AnswerKind, answer: &PlanningAnswer, faults: &mut Vec<Fault>) {
    let (mut needed, mut beside) = fields(kind);
    if answer.not_applicable.is_some()
        && !matches!(kind, AnswerKind::Reason | AnswerKind::FollowUps)
    {
        (needed, beside) = (Some("notApplicable"), &[]);
    }
    let given = [
        ("notApplicable", answer.not_applicable.is_some()),
        ("text", answer.text.is_some()),
        ("choices", answer.choices.is_some()),
        ("goalIds", answer.goal_ids.is_some()),
        ("facets", answer.facets.is_some()),
        ("attested", answer.attested.is_some()),
        ("reason", answer.reason.is_some()),
        ("references", answer.references.is_some()),
    ];
    for (field, _) in given.into_iter().filter(|(_, given)| *given) {
        if needed != Some(field) && !beside.contains(&field) {
            faults.push(Fault::new(
                format!("/{field}"),
                "field-not-allowed",
                not_allowed(field, needed),
            ));
        }
    }
    match needed {
        None => faults.push(Fault::new(
            "",
            "answered-by-follow-ups",
            Text::new(
                "Frågan besvaras genom att planera en uppföljning: POST /events/{eventId}/follow-ups.",
                "The question is answered by planning a follow-up: POST /events/{eventId}/follow-ups.",
            ),
        )),
        Some(field) if !given.contains(&(field, true)) => {
            faults.push(Fault::new(format!("/{field}"), "required", required(kind, field)));
        }
        Some(_) => {}
    }
}

fn not_allowed(field: &str, needed: Option<&str>) -> Text {
    match needed {
        None => Text::new(
            format!("Ta bort {field}: frågan besvaras med uppföljningar."),
            format!("Remove {field}: the question is answered by follow-ups."),
        ),
        Some("notApplicable") => Text::new(
            format!(
                "notApplicable står ensamt. Ta bort {field}, eller ta bort notApplicable och besvara frågan."
            ),
            format!(
                "notApplicable stands alone. Remove {field}, or remove notApplicable and answer the question."
            ),
        ),
        Some("reason") if field == "notApplicable" => Text::new(
            "Lokalvalet ska motiveras när trappan kräver det. Ta bort notApplicable och ange reason.",
            "The choice of venue needs a reason when the ladder asks for one. Remove notApplicable and give reason.",
        ),
        Some(needed) => Text::new(
            format!("Frågan besvaras med {needed}. Ta bort {field}."),
            format!("The question is answered with {needed}. Remove {field}."),
        ),
    }
}

fn required(kind: AnswerKind, field: &str) -> Text {
    if kind == AnswerKind::Reason {
        Text::new(
            "Ange varför lokalen har valts, i reason.",
            "Say why the venue was chosen, in reason.",
        )
    } else {
        Text::new(
            format!(
                "Besvara frågan med {field}, eller ange i notApplicable varför den inte är aktuell."
            ),
            format!(
                "Answer the question with {field}, or say in notApplicable why it does not apply."
            ),
        )
    }
}

fn check_texts(answer: &PlanningAnswer, faults: &mut Vec<Fault>) {
    let mut check = |pointer: String, text: &str| {
        if text.trim().is_empty() {
            faults.push(Fault::new(
                pointer,
                "blank",
                Text::new(
                    "Texten är tom. Skriv en mening, eller ta bort fältet.",
                    "The text is blank. Write a sentence, or remove the field.",
                ),
            ));
        }
    };
    if let Some(text) = &answer.text {
        check("/text".to_owned(), text);
    }
    if let Some(not_applicable) = &answer.not_applicable {
        check("/notApplicable/reason".to_owned(), &not_applicable.reason);
    }
    if let Some(reason) = &answer.reason {
        check("/reason/text".to_owned(), &reason.text);
    }
    for (index, facet) in answer.facets.iter().flatten().enumerate() {
        check(format!("/facets/{index}/text"), &facet.text);
    }
    for (index, reference) in answer.references.iter().flatten().enumerate() {
        check(format!("/references/{index}"), reference);
    }
}

fn check_choices(question: &Question, answer: &PlanningAnswer, faults: &mut Vec<Fault>) {
    let Some(choices) = &answer.choices else {
        return;
    };
    check_unique(choices, |index| format!("/choices/{index}"), faults);
    for (index, choice) in choices.iter().enumerate() {
        check_offered(question, choice, format!("/choices/{index}"), faults);
    }
    let several = question.multiple == Some(true);
    if choices.is_empty() || (choices.len() > 1 && !several) {
        let text = if several {
            Text::new("Välj minst ett av valen.", "Choose at least one.")
        } else {
            Text::new("Välj ett av valen.", "Choose exactly one.")
        };
        faults.push(Fault::new("/choices", "wrong-number", text));
    }
}

fn check_facets(question: &Question, answer: &PlanningAnswer, faults: &mut Vec<Fault>) {
    let Some(facets) = &answer.facets else { return };
    let ids: Vec<_> = facets.iter().map(|facet| &facet.facet_id).collect();
    check_unique(&ids, |index| format!("/facets/{index}/facetId"), faults);
    for (index, id) in ids.iter().enumerate() {
        check_offered(question, id, format!("/facets/{index}/facetId"), faults);
    }
    let missing: Vec<_> = offered(question)
        .filter(|id| !ids.iter().any(|given| given == id))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        faults.push(Fault::new(
            "/facets",
            "facet-missing",
            Text::new(
                format!("Skriv något om varje del av frågan. Det som saknas är {missing}."),
                format!(
                    "Write something about each part of the question. What is missing is {missing}."
                ),
            ),
        ));
    }
}

fn check_goals(
    question: &Question,
    answer: &PlanningAnswer,
    guideline_goals: &BTreeSet<&str>,
    faults: &mut Vec<Fault>,
) {
    let Some(goal_ids) = &answer.goal_ids else {
        return;
    };
    check_unique(goal_ids, |index| format!("/goalIds/{index}"), faults);
    for (index, id) in goal_ids.iter().enumerate() {
        let pointer = format!("/goalIds/{index}");
        match question.answer_kind {
            // one spelling only, since goals are counted and searched as they are written here
            AnswerKind::BusinessGoals
                if Uuid::parse_str(id).is_ok_and(|parsed| parsed.to_string() == *id) => {}
            AnswerKind::BusinessGoals => faults.push(Fault::new(
                pointer,
                "invalid-id",
                Text::new(
                    "Ange verksamhetsmålets id som det står på GET /business-goals.",
                    "Give the business goal's id as it stands at GET /business-goals.",
                ),
            )),
            AnswerKind::GuidelineGoals if !guideline_goals.contains(id.as_str()) => {
                faults.push(Fault::new(
                    pointer,
                    "unknown-goal",
                    Text::new(
                        "Målet finns inte i evenemangets riktlinjeversion. Målen står under goals i GET \
                         /guideline-versions/{guidelineVersionId}.",
                        "The event's guideline version has no such goal. The goals stand under goals in GET \
                         /guideline-versions/{guidelineVersionId}.",
                    ),
                ));
            }
            _ => {}
        }
    }
    if goal_ids.is_empty() {
        faults.push(Fault::new(
            "/goalIds",
            "wrong-number",
            Text::new(
                "Ange minst ett mål, eller ange i notApplicable varför inget är aktuellt.",
                "Name at least one goal, or say in notApplicable why none applies.",
            ),
        ));
    }
}

fn check_reason(question: &Question, answer: &PlanningAnswer, faults: &mut Vec<Fault>) {
    let Some(reason) = &answer.reason else { return };
    if question.answer_kind == AnswerKind::Attestation && answer.attested == Some(true) {
        faults.push(Fault::new(
            "/reason",
            "field-not-allowed",
            Text::new(
                "Ett ja behöver ingen motivering. Ta bort reason, eller svara nej.",
                "A yes needs no reason. Remove reason, or answer no.",
            ),
        ));
    }
    let codes = question.answer_kind == AnswerKind::Reason && question.choices.is_some();
    match &reason.code {
        Some(code) if codes => check_offered(question, code, "/reason/code".to_owned(), faults),
        Some(_) => faults.push(Fault::new(
            "/reason/code",
            "field-not-allowed",
            Text::new(
                "Frågan har inga skäl att välja bland. Ta bort code och skriv skälet i text.",
                "The question has no codes to choose among. Remove code and write the reason in text.",
            ),
        )),
        None if codes => {
            let offered = offered(question).collect::<Vec<_>>().join(", ");
            faults.push(Fault::new(
                "/reason/code",
                "required",
                Text::new(
                    format!("Ange skälet med ett av {offered}, och berätta mer i text."),
                    format!("Name the reason by one of {offered}, and say more in text."),
                ),
            ));
        }
        None => {}
    }
}

fn offered(question: &Question) -> impl Iterator<Item = &str> {
    question
        .choices
        .iter()
        .flatten()
        .map(|choice| choice.id.as_str())
}

fn check_offered(question: &Question, id: &str, pointer: String, faults: &mut Vec<Fault>) {
    if !offered(question).any(|choice| choice == id) {
        let offered = offered(question).collect::<Vec<_>>().join(", ");
        faults.push(Fault::new(
            pointer,
            "unknown-choice",
            Text::new(
                format!("Frågan har inte det valet. Välj bland {offered}."),
                format!("The question has no such choice. Choose among {offered}."),
            ),
        ));
    }
}

fn check_unique<T: Ord>(ids: &[T], pointer: impl Fn(usize) -> String, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (index, id) in ids.iter().enumerate() {
        if !seen.insert(id) {
            faults.push(Fault::new(
                pointer(index),
                "duplicate-value",
                Text::new(
                    "Det står redan i listan. Ta bort det ena.",
                    "It is in the list already. Remove one.",
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests;
