//! Answers, their revisions and baselines in the database.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{GivenAnswer, Plan, PlanningItem};
use crate::db::schema::{
    baselines, occasions, planning_answer_revisions as revisions, planning_answers,
};
use crate::db::sql_types::AsJson;
use crate::error::Error;
use crate::events::OccasionPlaceKind;
use crate::follow_ups::StoredFollowUp;
use crate::guideline::Place;
use crate::http::call::Call;
use crate::http::paging::Paging;
use crate::rules::answers::PlanningAnswer;
use crate::rules::venue_ladder::OccasionPlace;
use crate::window;

crate::stored_as_text!(Place);

/// The answers that stand for an event.
pub fn answers(conn: &mut PgConnection, event_id: Uuid) -> Result<Vec<GivenAnswer>, Error> {
    Ok(planning_answers::table
        .filter(planning_answers::event_id.eq(event_id))
        .order(planning_answers::question_id)
        .select(GivenAnswer::as_select())
        .load(conn)?)
}

/// The answer that stands for a question of an event, or 404.
pub fn find_answer(
    conn: &mut PgConnection,
    event_id: Uuid,
    question_id: &str,
) -> Result<GivenAnswer, Error> {
    Ok(planning_answers::table
        .filter(planning_answers::event_id.eq(event_id))
        .filter(planning_answers::question_id.eq(question_id))
        .select(GivenAnswer::as_select())
        .first(conn)?)
}

/// The place of each occasion on its first day, as `rules::venue_ladder` reads it.
pub fn places(
    conn: &mut PgConnection,
    event_id: Uuid,
    municipality_code: &str,
) -> Result<Vec<OccasionPlace>, Error> {
    let venue_place = sql::<Nullable<Text>>("venue_place(venue_id, stockholm_day(starts_at), ")
        .bind::<Text, _>(municipality_code)
        .sql(")");
    let rows: Vec<(OccasionPlaceKind, Option<Place>)> = occasions::table
        .filter(occasions::event_id.eq(event_id))
        .select((occasions::place, venue_place))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(kind, place)| match (kind, place) {
            (OccasionPlaceKind::Digital, _) => OccasionPlace::Digital,
            (OccasionPlaceKind::Venue, Some(place)) => OccasionPlace::Venue(place),
            (OccasionPlaceKind::Venue, None) | (OccasionPlaceKind::Undecided, _) => {
                OccasionPlace::Undecided
            }
        })
        .collect())
}

/// Stores an answer, new or changed, and its revision.
pub fn store(conn: &mut PgConnection, given: &GivenAnswer) -> Result<(), Error> {
    let values = (
        planning_answers::revision.eq(given.revision),
        planning_answers::answer.eq(&given.answer),
        planning_answers::rung_id.eq(&given.rung_id),
        planning_answers::answered_by.eq(&given.answered_by),
        planning_answers::answered_at.eq(given.answered_at),
    );
    if given.revision == 1 {
        let keys = (
            planning_answers::id.eq(given.id),
            planning_answers::event_id.eq(given.event_id),
            planning_answers::question_id.eq(&given.question_id),
        );
        diesel::insert_into(planning_answers::table)
            .values((keys, values))
            .execute(conn)?;
    } else {
        diesel::update(planning_answers::table.find(given.id))
            .set(values)
            .execute(conn)?;
    }
    diesel::insert_into(revisions::table)
        .values((
            revisions::answer_id.eq(given.id),
            revisions::revision.eq(given.revision),
            revisions::answer.eq(&given.answer),
            revisions::rung_id.eq(&given.rung_id),
            revisions::answered_by.eq(&given.answered_by),
            revisions::answered_at.eq(given.answered_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// An answer as it was given once.
#[derive(Debug, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = revisions, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct AnswerRevision {
    /// The revision.
    #[schema(example = 1)]
    pub revision: i32,
    /// The answer as it was.
    #[schema(value_type = PlanningAnswer)]
    pub answer: AsJson<PlanningAnswer>,
    /// The rung of the venue ladder that a venue reason was given for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "procuredLocal")]
    pub rung_id: Option<String>,
    /// Who gave it.
    #[schema(example = "person-0003")]
    pub answered_by: String,
    /// When.
    #[schema(example = "2026-09-02T08:00:00Z")]
    pub answered_at: DateTime<Utc>,
    #[serde(skip)]
    pub answer_id: Uuid,
}

/// Every revision of the answer to a question, newest first.
pub fn answer_revisions(
    conn: &mut PgConnection,
    event_id: Uuid,
    question_id: &str,
    paging: &Paging,
) -> Result<(Vec<AnswerRevision>, Option<i64>), Error> {
    let answer_id: Uuid = planning_answers::table
        .filter(planning_answers::event_id.eq(event_id))
        .filter(planning_answers::question_id.eq(question_id))
        .select(planning_answers::id)
        .first(conn)?;
    let matching = || {
        revisions::table
            .filter(revisions::answer_id.eq(answer_id))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(AnswerRevision::as_select());
    let rows = window!(
        query,
        paging,
        true,
        revisions::revision,
        revisions::answer_id,
        i32
    )
    .load(conn)?;
    Ok((rows, total))
}

/// What was planned when an event was confirmed.
#[derive(Debug, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = baselines, check_for_backend(Pg))]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The id.
    #[schema(example = "0190a000-0000-7000-8000-000000001401")]
    pub id: Uuid,
    /// Who confirmed the event.
    #[schema(example = "person-0003")]
    pub confirmed_by: String,
    /// When.
    #[schema(example = "2026-09-15T08:00:00Z")]
    pub confirmed_at: DateTime<Utc>,
    /// Every question with its answer as it stood.
    #[diesel(column_name = answers)]
    #[schema(value_type = Vec<PlanningItem>)]
    pub items: AsJson<Vec<PlanningItem>>,
    /// The follow-ups as they were planned.
    #[schema(value_type = Vec<StoredFollowUp>)]
    pub follow_ups: AsJson<Vec<StoredFollowUp>>,
}

/// Freezes what is planned as the baseline of a confirmation (I11).
pub fn freeze(
    conn: &mut PgConnection,
    call: &Call,
    id: Uuid,
    event_id: Uuid,
    plan: &Plan,
) -> Result<(), Error> {
    diesel::insert_into(baselines::table)
        .values((
            baselines::id.eq(id),
            baselines::event_id.eq(event_id),
            baselines::confirmed_by.eq(call.author()),
            baselines::confirmed_at.eq(call.now),
            baselines::answers.eq(AsJson(plan.items())),
            baselines::follow_ups.eq(AsJson(plan.follow_ups.clone())),
        ))
        .execute(conn)?;
    Ok(())
}

/// The baselines of an event, newest first.
pub fn event_baselines(
    conn: &mut PgConnection,
    event_id: Uuid,
    paging: &Paging,
) -> Result<(Vec<Baseline>, Option<i64>), Error> {
    let matching = || {
        baselines::table
            .filter(baselines::event_id.eq(event_id))
            .into_boxed()
    };
    let total = paging.total(|| matching().count().get_result(conn))?;
    let query = matching().select(Baseline::as_select());
    let rows = window!(
        query,
        paging,
        true,
        baselines::confirmed_at,
        baselines::id,
        DateTime<Utc>
    )
    .load(conn)?;
    Ok((rows, total))
}

/// The baseline of the latest confirmation.
pub fn latest_baseline(conn: &mut PgConnection, event_id: Uuid) -> Result<Option<Baseline>, Error> {
    Ok(baselines::table
        .filter(baselines::event_id.eq(event_id))
        .order((baselines::confirmed_at.desc(), baselines::id.desc()))
        .select(Baseline::as_select())
        .first(conn)
        .optional()?)
}
