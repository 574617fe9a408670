//! What to do about a finding, in words (R03): every blocked road has a way on.

use super::compliance::{Finding, RuleFinding, VENUE_LADDER, question_rule};
use crate::guideline::{AnswerKind, Question, Requires, Rung, Text, Weight};

/// Where a rule comes from and what to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The guideline's heading.
    pub section: Text,
    /// What to do now, for whoever plans the event and for whoever writes the program that asks.
    pub text: Text,
}

/// The advice on a finding of a version with these questions and this ladder.
pub fn advise(questions: &[Question], ladder: &[Rung], of: &RuleFinding) -> Advice {
    let question = questions.iter().find(|question| match of.rule_id.as_str() {
        VENUE_LADDER => question.answer_kind == AnswerKind::Reason,
        rule => question_rule(&question.id) == rule,
    });
    let text = match question {
        Some(question) if of.rule_id != VENUE_LADDER => about_question(question, of.finding),
        reason => about_venue(reason, ladder, of),
    };
    let section = question.map_or_else(
        || {
            Text::new(
                "Riktlinjen om val av lokal",
                "The guideline on the choice of venue",
            )
        },
        |question| question.section.clone(),
    );
    Advice { section, text }
}

fn about_question(question: &Question, finding: Finding) -> Text {
    use AnswerKind::{Attestation, BusinessGoals, Choice, Facets, FollowUps, GuidelineGoals};

    let put = format!("PUT /events/{{eventId}}/planning-answers/{}", question.id);
    match (finding, question.answer_kind) {
        (Finding::Met, FollowUps) => Text::new(
            "Klart: uppföljningen är planerad. Du behöver inte göra något mer.",
            "Done: the follow-up is planned. There is nothing more to do.",
        ),
        (Finding::Met, _) => Text::new(
            "Klart: frågan är besvarad. Du behöver inte göra något mer.",
            "Done: the question is answered. There is nothing more to do.",
        ),
        (Finding::AnswerNeeded, FollowUps) => Text::new(
            "Planera minst en uppföljning med en ansvarig person, tidigast samma dag som sista tillfället (POST \
             /events/{eventId}/follow-ups).",
            "Plan at least one follow-up with a responsible person, due on the day of the last occasion or later \
             (POST /events/{eventId}/follow-ups).",
        ),
        (Finding::AnswerNeeded, kind) => {
            let (sv, en) = match kind {
                Choice if question.multiple == Some(true) => (
                    "Välj det eller de alternativ som passar",
                    "Choose what fits",
                ),
                Choice => (
                    "Välj det alternativ som passar bäst",
                    "Choose what fits best",
                ),
                BusinessGoals => (
                    "Ange minst ett av verksamhetens mål (GET /business-goals)",
                    "Name at least one of the operation's goals (GET /business-goals)",
                ),
                GuidelineGoals => (
                    "Ange minst ett av riktlinjens mål",
                    "Name at least one of the guideline's goals",
                ),
                Facets => (
                    "Skriv några ord om varje del av frågan",
                    "Write a few words about each part of the question",
                ),
                Attestation => ("Svara ja eller nej", "Answer yes or no"),
                _ => ("Besvara frågan", "Answer the question"),
            };
            if question.weight == Weight::Mandatory {
                Text::new(
                    format!(
                        "{sv} ({put}). Frågan är obligatorisk: utan ett svar som uppfyller den behövs ett undantag."
                    ),
                    format!(
                        "{en} ({put}). The question is mandatory: without an answer that satisfies it an exception is needed."
                    ),
                )
            } else {
                Text::new(
                    format!("{sv}, eller ange varför frågan inte är aktuell ({put})."),
                    format!("{en}, or say why the question does not apply ({put})."),
                )
            }
        }
        (Finding::ReasonNeeded, _) => Text::new(
            format!("Ni har svarat nej. Berätta kort varför, så är frågan klar (reason i {put})."),
            format!(
                "You have answered no. Say briefly why, and the question is done (reason in {put})."
            ),
        ),
        (Finding::ExceptionNeeded, _) => Text::new(
            format!(
                "Frågan är obligatorisk. Ändra svaret om det går ({put}), eller ansök om undantag i god tid före \
                 första tillfället (POST /events/{{eventId}}/exception-requests)."
            ),
            format!(
                "The question is mandatory. Change the answer if you can ({put}), or ask for an exception well before \
                 the first occasion (POST /events/{{eventId}}/exception-requests)."
            ),
        ),
        (Finding::CoveredByException, _) => covered(),
        (Finding::NotApplicable, _) => Text::new(
            "Klart: ni har angett varför frågan inte är aktuell. Du behöver inte göra något mer.",
            "Done: you have said why the question does not apply. There is nothing more to do.",
        ),
    }
}

fn about_venue(reason: Option<&Question>, ladder: &[Rung], of: &RuleFinding) -> Text {
    let rung = ladder
        .iter()
        .find(|rung| Some(&rung.id) == of.rung_id.as_ref());
    // is there a venue to choose instead that asks for less?
    let may_climb = ladder
        .iter()
        .take_while(|rung| Some(&rung.id) != of.rung_id.as_ref())
        .any(|rung| rung.requires != Requires::Exception);
    match of.finding {
        Finding::Met if rung.is_some_and(|rung| rung.requires == Requires::Reason) => Text::new(
            "Klart: lokalvalet är motiverat. Du behöver inte göra något mer.",
            "Done: the choice of venue has its reason. There is nothing more to do.",
        ),
        Finding::Met => Text::new(
            "Klart: lokalen kan användas utan motivering. Du behöver inte göra något mer.",
            "Done: the venue can be used without giving a reason. There is nothing more to do.",
        ),
        Finding::AnswerNeeded => Text::new(
            "Bestäm var varje tillfälle ska hållas: i en lokal eller digitalt (PATCH /events/{eventId}, occasions). \
             Titta först bland de egna lokalerna (GET /venues).",
            "Decide where each occasion is to be held: at a venue or online (PATCH /events/{eventId}, occasions). \
             Look among your own premises first (GET /venues).",
        ),
        Finding::ReasonNeeded => {
            let id = reason.map_or("{questionId}", |question| question.id.as_str());
            let put = format!("PUT /events/{{eventId}}/planning-answers/{id}");
            if !may_climb {
                return Text::new(
                    format!("Berätta varför den här lokalen valdes ({put})."),
                    format!("Say why this venue was chosen ({put})."),
                );
            }
            Text::new(
                format!(
                    "Berätta varför ingen lokal högre upp på trappan passar ({put}), eller välj en sådan lokal (PATCH \
                     /events/{{eventId}})."
                ),
                format!(
                    "Say why no venue higher on the ladder suits ({put}), or choose such a venue (PATCH \
                     /events/{{eventId}})."
                ),
            )
        }
        Finding::ExceptionNeeded if !may_climb => Text::new(
            "Lokalen kräver ett undantag. Ansök om det i god tid före första tillfället (POST /events/{eventId}/exception-requests).",
            "The venue needs an exception. Ask for it well before the first occasion (POST /events/{eventId}/exception-requests).",
        ),
        Finding::ExceptionNeeded => Text::new(
            "Lokalen kräver ett undantag. Välj en lokal högre upp på trappan (PATCH /events/{eventId}), eller ansök \
             om undantag i god tid före första tillfället (POST /events/{eventId}/exception-requests).",
            "The venue needs an exception. Choose one higher on the ladder (PATCH /events/{eventId}), or ask for an \
             exception well before the first occasion (POST /events/{eventId}/exception-requests).",
        ),
        Finding::CoveredByException => covered(),
        Finding::NotApplicable => Text::new(
            "Allt hålls digitalt, så inget lokalval behöver göras. Du behöver inte göra något mer.",
            "Everything is held online, so there is no venue to choose. There is nothing more to do.",
        ),
    }
}

fn covered() -> Text {
    Text::new(
        "Klart: ett godkänt undantag gäller. Ändras tider, lokal eller arrangörer behöver det sökas på nytt.",
        "Done: an approved exception applies. If times, venue or organisers change, it must be asked for anew.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guideline::hedemora;
    use crate::rules::compliance::VENUE_LADDER;

    const FINDINGS: [Finding; 6] = [
        Finding::Met,
        Finding::AnswerNeeded,
        Finding::ReasonNeeded,
        Finding::ExceptionNeeded,
        Finding::CoveredByException,
        Finding::NotApplicable,
    ];

    fn advice_on(rule_id: &str, finding: Finding, weight: Weight) -> Advice {
        let mut version = hedemora();
        for question in &mut version.questions {
            question.weight = weight;
        }
        let of = RuleFinding {
            rule_id: rule_id.to_owned(),
            finding,
            rung_id: None,
            exception_request_id: None,
        };
        advise(&version.questions, &version.ladder, &of)
    }

    fn every_rule() -> Vec<String> {
        hedemora()
            .questions
            .iter()
            .map(|question| match question.answer_kind {
                AnswerKind::Reason => VENUE_LADDER.to_owned(),
                _ => question_rule(&question.id),
            })
            .collect()
    }

    #[test]
    fn every_open_finding_names_the_request_that_closes_it_in_both_languages() {
        for rule in every_rule() {
            for weight in [Weight::Advisory, Weight::Mandatory] {
                for finding in FINDINGS {
                    let text = advice_on(&rule, finding, weight).text;
                    for text in [text.sv, text.en] {
                        let names_a_request = text.contains("/events/{eventId}");
                        assert_eq!(
                            names_a_request,
                            finding.is_open(),
                            "{rule} {finding:?}: {text}"
                        );
                        assert!(text.ends_with('.') && !text.contains("  "), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_needed_exception_says_where_to_ask_for_it() {
        for rule in every_rule() {
            let text = advice_on(&rule, Finding::ExceptionNeeded, Weight::Mandatory).text;
            assert!(
                text.sv
                    .contains("POST /events/{eventId}/exception-requests"),
                "{rule}"
            );
            assert!(
                text.en
                    .contains("POST /events/{eventId}/exception-requests"),
                "{rule}"
            );
        }
    }

    #[test]
    fn a_question_says_where_to_answer_it_and_only_an_advisory_one_may_be_said_not_to_apply() {
        let advisory = advice_on("question.purpose", Finding::AnswerNeeded, Weight::Advisory).text;
        assert!(
            advisory
                .en
                .contains("PUT /events/{eventId}/planning-answers/purpose")
        );
        assert!(
            advisory
                .en
                .contains("or say why the question does not apply")
        );
        let mandatory =
            advice_on("question.purpose", Finding::AnswerNeeded, Weight::Mandatory).text;
        assert!(!mandatory.en.contains("does not apply"));
    }

    #[test]
    fn the_section_is_the_questions_and_the_ladders_is_that_of_the_reason_question() {
        let version = hedemora();
        for (rule, id) in [
            ("question.guidelineGoals", "guidelineGoals"),
            (VENUE_LADDER, "venueChoice"),
        ] {
            let asked = version
                .questions
                .iter()
                .find(|question| question.id == id)
                .expect("asked");
            assert_eq!(
                advice_on(rule, Finding::Met, Weight::Advisory).section,
                asked.section
            );
        }
    }
}
