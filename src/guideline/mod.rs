//! Guideline versions: what the rules read.
//!
//! A municipality's guideline for competence development as data: the questions to answer when planning (R25–R32),
//! the goals (R13–R17) and desired effects (R22–R24), the venue ladder (R28), titles and settings. A version never
//! changes. An event keeps the version it was planned under; a new event gets the one with the latest `validFrom`
//! not after today. [`hedemora`] is the version built in; another municipality posts its own.

pub mod handlers;
pub mod queries;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::rules::Fault;

/// The id of the built-in version, the same in every installation.
pub const HEDEMORA_ID: Uuid = Uuid::from_u128(0x016f_5e66_e800_7000_8000_0000_0000_2083);

/// Hedemora kommun's version, built in.
///
/// # Panics
/// Never in a program whose tests have passed: the file is part of the program, and a test reads it.
pub fn hedemora() -> NewGuidelineVersion {
    serde_json::from_str(include_str!("hedemora.json"))
        .expect("the built-in version is well-formed")
}

/// A text in Swedish and English.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Text {
    /// The text in Swedish.
    #[schema(min_length = 1, max_length = 2000, pattern = r"\S", example = "Syfte")]
    pub sv: String,
    /// The text in English.
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"\S",
        example = "Purpose"
    )]
    pub en: String,
}

impl Text {
    pub fn new(sv: impl Into<String>, en: impl Into<String>) -> Text {
        Text {
            sv: sv.into(),
            en: en.into(),
        }
    }
}

/// An id that a guideline version gives a question, choice, rung, goal or effect.
// only a type of its own can bound the items of a list in the published document
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 64,
    pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$",
    example = "workshop"
)]
pub struct VersionKey(pub String);

/// How a planning question is answered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum AnswerKind {
    /// In free text.
    Text,
    /// By one of the question's choices, or several where it is `multiple`.
    Choice,
    /// By the business goals that the event contributes to.
    BusinessGoals,
    /// By the guideline's own goals that the event contributes to.
    GuidelineGoals,
    /// By a text for each of the question's choices.
    Facets,
    /// By yes or no; a no asks for a reason.
    Attestation,
    /// By the reason for the choice of venue, while the venue ladder asks for one.
    Reason,
    /// By planned follow-ups.
    FollowUps,
}

/// What a "no" does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Weight {
    /// A "no" or "not applicable" needs a reason.
    Advisory,
    /// A "no" or "not applicable" needs an approved exception.
    Mandatory,
}

/// What a venue is to the municipal group on a given day.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// Owned by a unit of the group, its wholly owned companies included.
    OwnPremises,
    /// A supplier with a contract in force, and premises in the municipality.
    ProcuredLocal,
    /// A supplier with a contract in force, and premises elsewhere.
    ProcuredOther,
    /// Neither owned nor under a contract in force.
    NotProcured,
}

/// What a rung of the venue ladder asks for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Requires {
    /// Nothing: the venue may be used as it is.
    Nothing,
    /// The reason why no better rung would do.
    Reason,
    /// An approved exception.
    Exception,
}

/// On what ground an office decides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Basis {
    /// In execution of a policy already adopted (verkställighet).
    Execution,
    /// By delegation from a board; such decisions are reported to it.
    Delegated,
    /// In the management of a company.
    CompanyManagement,
}

/// One of a question's choices: an answer of kind `choice`, a facet of kind `facets`, a code of kind `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Choice {
    /// Unique within the question.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$", example = "workshop")]
    pub id: String,
    /// What the choice is called.
    pub text: Text,
}

/// A question to answer before an event is confirmed (R25–R32).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    /// Unique within the version; the rule that judges its answer is `question.<id>`. Statistics count answers to `individualEffects` and
    /// `residentEffects` as effects that were planned, and answers of the kind `businessGoals`, whatever its id.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$", example = "purpose")]
    pub id: String,
    /// The guideline's heading that the question comes from.
    pub section: Text,
    /// The question.
    pub text: Text,
    /// How it is answered.
    pub answer_kind: AnswerKind,
    /// The choices, exactly for the kinds `choice` and `facets`; for `reason`, the codes to choose among, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50)]
    pub choices: Option<Vec<Choice>>,
    /// Several choices may be made; only for the kind `choice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = false)]
    pub multiple: Option<bool>,
    /// What a "no" does.
    pub weight: Weight,
    /// A unit's own question: asked only of events that this unit, or one below it, organises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0192f0c1-7a00-7000-8000-000000000001")]
    pub unit_id: Option<Uuid>,
}

/// A rung of the venue ladder (R28).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rung {
    /// Unique within the version.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$", example = "ownPremises")]
    pub id: String,
    /// The venues that stand on it; each place stands on one rung at most.
    pub place: Place,
    /// What the rung asks for.
    pub requires: Requires,
}

/// One of the guideline's goals (R13–R17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Goal {
    /// Unique within the version.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$", example = "improveOperations")]
    pub id: String,
    /// The goal.
    pub text: Text,
}

/// An effect that the guideline wants to see (R22–R24).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DesiredEffect {
    /// Unique within the version.
    #[schema(
        pattern = "^[A-Za-z][A-Za-z0-9]{0,63}$",
        example = "effectInOperations"
    )]
    pub id: String,
    /// The effect.
    pub text: Text,
}

/// What the municipality calls the offices, kinds, forms and roles of the contract. A missing title leaves the id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Titles {
    /// By office: `municipalDirector`, `departmentHead`, `chiefExecutive`.
    #[serde(default)]
    pub office_types: BTreeMap<String, Text>,
    /// By kind of event: `planningDay`, `kickOff`, `trainingDay`, `training`, `conference`, `other`.
    #[serde(default)]
    pub event_kinds: BTreeMap<String, Text>,
    /// By form: `lecture`, `internalLearning`, `supervision`, `workshop`, `other`.
    #[serde(default)]
    pub forms: BTreeMap<String, Text>,
    /// By role: `employee`, `planner`, `unitManager`, `hrAdministrator`, `archivist`, `auditor`.
    #[serde(default)]
    pub roles: BTreeMap<String, Text>,
}

/// On what ground each office decides on exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionBasis {
    /// Of the municipal director.
    pub municipal_director: Basis,
    /// Of a department head.
    pub department_head: Basis,
    /// Of a chief executive.
    pub chief_executive: Basis,
}

/// What the guideline leaves to the municipality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Days from the last occasion until a follow-up is due, unless its plan says otherwise.
    #[schema(minimum = 0, maximum = 3650, example = 90)]
    pub follow_up_due_days: u32,
    /// Days before the due date from which a follow-up is due soon.
    #[schema(minimum = 0, maximum = 3650, example = 14)]
    pub due_soon_days: u32,
    /// The municipal director may decide for the companies too.
    #[schema(example = true)]
    pub director_decides_for_companies: bool,
    /// Every concerned head must approve; otherwise one of them is enough.
    #[schema(example = true)]
    pub require_all_heads: bool,
    /// On what ground each office decides.
    pub decision_basis: DecisionBasis,
}

/// A guideline version to post. It is judged as a whole and never changes afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewGuidelineVersion {
    /// What people call the version.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"\S",
        example = "Hedemora kommun, inbyggd version"
    )]
    pub version_label: String,
    /// The first day on which new events get this version, in Stockholm.
    #[schema(example = "2020-01-01")]
    pub valid_from: NaiveDate,
    /// The municipality's code, four digits: a venue with this code lies in the municipality.
    #[schema(pattern = "^[0-9]{4}$", example = "2083")]
    pub municipality_code: String,
    /// The guideline's title.
    pub title: Text,
    /// What the municipality calls the fixed values of the contract.
    pub titles: Titles,
    /// The questions, in the order in which they are asked.
    #[schema(min_items = 1, max_items = 100)]
    pub questions: Vec<Question>,
    /// The goals of competence development.
    #[schema(max_items = 50)]
    pub goals: Vec<Goal>,
    /// The effects that the guideline wants to see.
    #[schema(max_items = 50)]
    pub desired_effects: Vec<DesiredEffect>,
    /// The venue ladder, the best rung first. A place that it does not list needs an exception.
    #[schema(min_items = 1, max_items = 4)]
    pub ladder: Vec<Rung>,
    /// What the guideline leaves to the municipality.
    pub settings: Settings,
}

/// A guideline version. It never changes, so that every event can be read as it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuidelineVersion {
    /// The version's id.
    #[schema(example = "016f5e66-e800-7000-8000-000000002083")]
    pub id: Uuid,
    /// Always 1: a version never changes.
    #[schema(minimum = 1, maximum = 1, example = 1)]
    pub revision: i32,
    /// What people call the version.
    #[schema(
        min_length = 1,
        max_length = 100,
        example = "Hedemora kommun, inbyggd version"
    )]
    pub version_label: String,
    /// The first day on which new events get this version, in Stockholm.
    #[schema(example = "2020-01-01")]
    pub valid_from: NaiveDate,
    /// The municipality's code, four digits: a venue with this code lies in the municipality.
    #[schema(pattern = "^[0-9]{4}$", example = "2083")]
    pub municipality_code: String,
    /// The guideline's title.
    pub title: Text,
    /// What the municipality calls the fixed values of the contract.
    pub titles: Titles,
    /// The questions, in the order in which they are asked.
    #[schema(min_items = 1, max_items = 100)]
    pub questions: Vec<Question>,
    /// The goals of competence development.
    #[schema(max_items = 50)]
    pub goals: Vec<Goal>,
    /// The effects that the guideline wants to see.
    #[schema(max_items = 50)]
    pub desired_effects: Vec<DesiredEffect>,
    /// The venue ladder, the best rung first. A place that it does not list needs an exception.
    #[schema(min_items = 1, max_items = 4)]
    pub ladder: Vec<Rung>,
    /// What the guideline leaves to the municipality.
    pub settings: Settings,
    /// When the version was posted.
    #[schema(example = "2026-01-15T08:30:00Z")]
    pub created_at: DateTime<Utc>,
}

impl GuidelineVersion {
    /// The resource that a posted version becomes.
    pub fn new(id: Uuid, content: NewGuidelineVersion, created_at: DateTime<Utc>) -> Self {
        GuidelineVersion {
            id,
            revision: 1,
            version_label: content.version_label,
            valid_from: content.valid_from,
            municipality_code: content.municipality_code,
            title: content.title,
            titles: content.titles,
            questions: content.questions,
            goals: content.goals,
            desired_effects: content.desired_effects,
            ladder: content.ladder,
            settings: content.settings,
            created_at,
        }
    }

    /// The question with this id.
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id)
    }
}

/// The values of the contract that a version gives titles to, or offers as choices.
const OFFICE_TYPES: &[&str] = &["municipalDirector", "departmentHead", "chiefExecutive"];
const EVENT_KINDS: &[&str] = &[
    "planningDay",
    "kickOff",
    "trainingDay",
    "training",
    "conference",
    "other",
];
const FORMS: &[&str] = &[
    "lecture",
    "internalLearning",
    "supervision",
    "workshop",
    "other",
];
const TRAINERS: &[&str] = &["internal", "external", "both"];
const ROLES: &[&str] = &[
    "employee",
    "planner",
    "unitManager",
    "hrAdministrator",
    "archivist",
    "auditor",
];

impl NewGuidelineVersion {
    /// What is wrong with the version as a whole; empty when nothing is. What the published schema says of single
    /// fields (patterns, lengths, ranges) is not said again here.
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.check_ids(&mut faults);
        for (index, question) in self.questions.iter().enumerate() {
            check_question(&format!("/questions/{index}"), question, &mut faults);
        }
        self.check_special_questions(&mut faults);
        self.check_ladder(&mut faults);
        let titles = &self.titles;
        check_keys(
            "/titles/officeTypes",
            titles.office_types.keys(),
            OFFICE_TYPES,
            &mut faults,
        );
        check_keys(
            "/titles/eventKinds",
            titles.event_kinds.keys(),
            EVENT_KINDS,
            &mut faults,
        );
        check_keys("/titles/forms", titles.forms.keys(), FORMS, &mut faults);
        check_keys("/titles/roles", titles.roles.keys(), ROLES, &mut faults);
        faults
    }

    fn check_ids(&self, faults: &mut Vec<Fault>) {
        check_unique("/questions", self.questions.iter().map(|it| &it.id), faults);
        check_unique("/goals", self.goals.iter().map(|it| &it.id), faults);
        check_unique(
            "/desiredEffects",
            self.desired_effects.iter().map(|it| &it.id),
            faults,
        );
        check_unique("/ladder", self.ladder.iter().map(|it| &it.id), faults);
    }

    /// Follow-ups answer one question and the ladder asks for one reason, whoever organises; goals can only be chosen where there are some.
    fn check_special_questions(&self, faults: &mut Vec<Fault>) {
        let of_kind = |kind| {
            self.questions
                .iter()
                .filter(move |question| question.answer_kind == kind)
                .count()
        };
        if of_kind(AnswerKind::FollowUps) != 1 {
            faults.push(Fault::new(
                "/questions",
                "one-follow-ups-question",
                Text::new(
                    "Exakt en fråga ska ha answerKind followUps: den som besvaras med uppföljningar.",
                    "Exactly one question must have the answerKind followUps: the one that follow-ups answer.",
                ),
            ));
        }
        if of_kind(AnswerKind::GuidelineGoals) > 0 && self.goals.is_empty() {
            faults.push(Fault::new(
                "/goals",
                "goals-required",
                Text::new(
                    "En fråga av slaget guidelineGoals besvaras med versionens mål. Lägg till mål eller ta bort frågan.",
                    "A question of the kind guidelineGoals is answered with the version's goals. Add goals or remove the question.",
                ),
            ));
        }
        let reasons = of_kind(AnswerKind::Reason);
        let reason_asked = self
            .ladder
            .iter()
            .any(|rung| rung.requires == Requires::Reason);
        if reasons > 1 || (reasons == 0 && reason_asked) {
            faults.push(Fault::new(
                "/questions",
                "one-reason-question",
                Text::new(
                    "Högst en fråga får ha answerKind reason, och en behövs när något steg på trappan kräver reason.",
                    "At most one question may have the answerKind reason, and one is needed when a rung requires a reason.",
                ),
            ));
        }
    }

    fn check_ladder(&self, faults: &mut Vec<Fault>) {
        let mut places = BTreeSet::new();
        for (index, rung) in self.ladder.iter().enumerate() {
            if !places.insert(rung.place) {
                faults.push(Fault::new(
                    format!("/ladder/{index}/place"),
                    "duplicate-place",
                    Text::new(
                        "Varje slags lokal får stå på högst ett steg. Ta bort det ena.",
                        "Each place may stand on one rung at most. Remove one of them.",
                    ),
                ));
            }
        }
    }
}

fn check_question(path: &str, question: &Question, faults: &mut Vec<Fault>) {
    use AnswerKind::{Choice, Facets, FollowUps, Reason};

    let mut refuse = |field: &str, code, sv: &str, en: &str| {
        faults.push(Fault::new(
            format!("{path}/{field}"),
            code,
            Text::new(sv, en),
        ));
    };
    let kind = question.answer_kind;
    match &question.choices {
        None if matches!(kind, Choice | Facets) => refuse(
            "choices",
            "choices-required",
            "En fråga av slaget choice eller facets behöver val att svara med. Lägg till choices.",
            "A question of the kind choice or facets needs choices to answer with. Add choices.",
        ),
        Some(_) if !matches!(kind, Choice | Facets | Reason) => refuse(
            "choices",
            "choices-not-allowed",
            "Bara frågor av slagen choice, facets och reason har val. Ta bort choices.",
            "Only questions of the kinds choice, facets and reason have choices. Remove choices.",
        ),
        _ => {}
    }
    if question.multiple.is_some() && kind != Choice {
        refuse(
            "multiple",
            "multiple-not-allowed",
            "Bara frågor av slaget choice kan ta flera val. Ta bort multiple.",
            "Only questions of the kind choice can take several choices. Remove multiple.",
        );
    }
    if question.unit_id.is_some() && matches!(kind, Reason | FollowUps) {
        refuse(
            "unitId",
            "unit-not-allowed",
            "Frågorna om lokalval och uppföljning ställs till alla. Ta bort unitId.",
            "The questions about the venue and the follow-up are for everyone. Remove unitId.",
        );
    }
    let path = format!("{path}/choices");
    let ids = || question.choices.iter().flatten().map(|choice| &choice.id);
    check_unique(&path, ids(), faults);
    // statistics count these two by the contract's own values
    match question.id.as_str() {
        "form" => check_keys(&path, ids(), FORMS, faults),
        "trainer" => check_keys(&path, ids(), TRAINERS, faults),
        _ => {}
    }
}

fn check_unique<'a>(path: &str, ids: impl Iterator<Item = &'a String>, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (index, id) in ids.enumerate() {
        if !seen.insert(id) {
            faults.push(Fault::new(
                format!("{path}/{index}/id"),
                "duplicate-id",
                Text::new(
                    "Samma id står tidigare i listan. Välj ett eget id.",
                    "The same id stands earlier in the list. Choose another.",
                ),
            ));
        }
    }
}

/// The pointer is the whole list's, since an unknown key may be anything that a person can write.
fn check_keys<'a>(
    path: &str,
    mut keys: impl Iterator<Item = &'a String>,
    known: &[&str],
    faults: &mut Vec<Fault>,
) {
    if keys.any(|key| !known.contains(&key.as_str())) {
        let known = known.join(", ");
        faults.push(Fault::new(
            path,
            "unknown-value",
            Text::new(
                format!("Här finns ett värde som tjänsten inte känner till. Använd bara {known}."),
                format!("There is a value here that the service does not know. Use only {known}."),
            ),
        ));
    }
}

#[cfg(test)]
mod tests;
