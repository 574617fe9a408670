//! The SQL of the follow-up status: one source of rows, which the list shows and the summary counts.
//!
//! Only what is asked for becomes part of a statement, so that the planner sees which index serves it; values are always bound.

use chrono::{DateTime, Days, NaiveDate, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{FollowUpStatusFilter, FollowUpStatusRow, FollowUpSummaryRow, SummaryGroupBy};
use crate::db::schema::guideline_versions as versions;
use crate::db::sql_types::AsJson;
use crate::error::Error;
use crate::guideline::NewGuidelineVersion;
use crate::http::paging::Paging;
use crate::rules::access::Reach;
use crate::rules::calendar;
use crate::rules::follow_up::{self, AgeBand, DueStatus};

/// A request for the status, by one who may read these reports.
pub struct Asked<'a> {
    pub filter: &'a FollowUpStatusFilter,
    pub reach: &'a Reach,
    pub now: DateTime<Utc>,
}

// The parameters of every statement: what happened before this moment counts ($1); the bounds of the day: overdue before ($2), and by
// version ($3) due soon until ($4); units ($5), kinds ($6), people ($7), business goals ($8), goals of the guideline ($9), levels ($10), due
// from ($11) and to ($12), due statuses ($13), the days overdue of the age bands, from ($14) and to ($15); these units may be read ($16)
// and these with all below ($17); today ($18); now ($19).

/// As the follow-up stands now, which is as it stands at the end of today.
const NOW: &str = "select f.status, f.completed_on";

/// As it stood: the first entry that counted then completed it.
const THEN: &str = "
    select case when f.status in ('waived', 'cancelled') and f.status_changed_at < $1 then f.status
                when done.conducted_on is not null then 'completed' else 'planned' end as status,
        case when not (f.status in ('waived', 'cancelled') and f.status_changed_at < $1) then done.conducted_on end as completed_on
    from (select 1) one left join lateral (
        select n.conducted_on from follow_up_entries n left join follow_up_entry_voidings v on v.entry_id = n.id
        where n.follow_up_id = f.id and n.recorded_at < $1 and (v.voided_at is null or v.voided_at >= $1)
          and n.carried_out <> 'notCarriedOut'
          and array_position(array['reaction', 'learning', 'behaviour', 'results'], n.level)
              >= array_position(array['reaction', 'learning', 'behaviour', 'results'], f.level)
        order by n.number limit 1
    ) done on true";

/// The SQL of `rules::follow_up::due_status`.
const DUE_STATUS: &str = "
    case s.status
        when 'planned' then case when f.due_date < $2 then 'overdue' when f.due_date <= b.due_soon_until then 'dueSoon' else 'upcoming' end
        when 'completed' then case when s.completed_on > f.due_date then 'completedLate' else 'completedOnTime' end
        else s.status
    end";

/// The answers of an event to questions of this kind.
fn goals(kind: &str) -> String {
    format!(
        "planning_answers a join guideline_questions q
         on a.event_id = e.id and q.version_id = e.guideline_version_id and q.question_id = a.question_id and q.answer_kind = '{kind}'"
    )
}

struct Statement {
    /// One line for each follow-up that matches.
    rows: String,
    /// What events must match, of `events e`.
    of_events: String,
    /// Are events counted through their follow-ups?
    by_follow_ups: bool,
}

fn statement(asked: &Asked<'_>) -> Statement {
    let filter = asked.filter;
    let is_today = as_of(asked) == calendar::stockholm_date(asked.now);
    let mut of_events = String::from("e.created_at < $1");
    let mut also = |clause: &str| {
        of_events.push_str(" and ");
        of_events.push_str(clause);
    };
    if filter.unit_id.is_some() {
        let units = if filter.include_subtree {
            "u.path && $5"
        } else {
            "u.id = any ($5)"
        };
        also(&format!(
            "e.id in (select g.event_id from event_organisers g join units u on u.id = g.unit_id where {units})"
        ));
    }
    if let Reach::Part { .. } = asked.reach {
        also(
            "e.id in (select g.event_id from event_organisers g join units u on u.id = g.unit_id where u.id = any ($16) or u.path && $17)",
        );
    }
    if filter.kind.is_some() {
        also("e.kind = any ($6)");
    }
    if filter.business_goal_id.is_some() {
        also(&format!(
            "exists (select from {} where a.answer -> 'goalIds' ?| $8)",
            goals("businessGoals")
        ));
    }
    if filter.guideline_goal.is_some() {
        also(&format!(
            "exists (select from {} where a.answer -> 'goalIds' ?| $9)",
            goals("guidelineGoals")
        ));
    }

    let mut of_follow_ups = String::from("f.created_at < $1");
    let mut by_follow_ups = false;
    let mut also = |clause: &str| {
        by_follow_ups = true;
        of_follow_ups.push_str(" and ");
        of_follow_ups.push_str(clause);
    };
    if filter.responsible_person.is_some() {
        also("f.responsible_person = any ($7)");
    }
    if filter.level.is_some() {
        also("f.level = any ($10)");
    }
    if filter.due_from.is_some() {
        also("f.due_date >= $11");
    }
    if filter.due_to.is_some() {
        also("f.due_date <= $12");
    }
    let planned = [DueStatus::Upcoming, DueStatus::DueSoon, DueStatus::Overdue];
    if let Some(statuses) = &filter.due_status {
        also(&format!("{DUE_STATUS} = any ($13)"));
        // what the index of planned follow-ups can serve
        if is_today && statuses.iter().all(|status| planned.contains(status)) {
            also("f.status = 'planned'");
            if statuses.iter().all(|status| *status == DueStatus::Overdue) {
                also("f.due_date < $2");
            } else if !statuses.contains(&DueStatus::Overdue) {
                also("f.due_date >= $2");
            }
        }
    }
    if filter.age_band.is_some() {
        also("s.status = 'planned' and f.due_date < $2");
        also(
            "exists (select from unnest($14::bigint[], $15::bigint[]) as band (since, until) where $2 - f.due_date between since and until)",
        );
        if is_today {
            also("f.status = 'planned'");
        }
    }
    let stands = if is_today { NOW } else { THEN };
    let rows = format!(
        "select f.id, f.event_id, f.level, f.method, f.due_date, f.responsible_person, s.completed_on, {DUE_STATUS} as due_status
         from follow_ups f
         join events e on e.id = f.event_id
         join unnest($3::uuid[], $4::date[]) as b (version_id, due_soon_until) on b.version_id = e.guideline_version_id
         cross join lateral ({stands}) s
         where {of_events} and {of_follow_ups}"
    );
    Statement {
        rows,
        of_events,
        by_follow_ups,
    }
}

/// The day that was asked for.
fn as_of(asked: &Asked<'_>) -> NaiveDate {
    asked
        .filter
        .as_of
        .unwrap_or_else(|| calendar::stockholm_date(asked.now))
}

/// The rows that match, in order of their due dates.
pub fn list(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    descending: bool,
    paging: &Paging,
) -> Result<(Vec<FollowUpStatusRow>, Option<i64>), Error> {
    let Statement { rows, .. } = statement(asked);
    let total = if paging.include_total {
        let counted = format!("select to_jsonb(count(*)) as item from ({rows}) r");
        let total: Vec<i64> = items(conn, asked, &counted, Window::default())?;
        total.first().copied()
    } else {
        None
    };
    let (order, beyond) = if descending {
        ("desc", "<")
    } else {
        ("asc", ">")
    };
    let window = Window {
        limit: paging.rows(),
        offset: paging.offset(),
        after: paging.after()?,
    };
    let start = match window.after {
        // the first comparison is the index's
        Some(_) => {
            format!("and f.due_date {beyond}= $22 and (f.due_date, f.id) {beyond} ($22, $23)")
        }
        None => String::new(),
    };
    let named = |kind: &str| {
        format!(
            "coalesce((select jsonb_agg(distinct goal) from {} cross join jsonb_array_elements_text(a.answer -> 'goalIds') goal), '[]')",
            goals(kind)
        )
    };
    let (business_goals, guideline_goals) = (named("businessGoals"), named("guidelineGoals"));
    let statement = format!(
        "select jsonb_strip_nulls(jsonb_build_object(
            'id', r.id, 'eventId', r.event_id, 'eventTitle', e.title, 'eventStatus', e.status, 'kind', e.kind,
            'organisingUnitIds', (select jsonb_agg(g.unit_id order by g.position) from event_organisers g where g.event_id = e.id),
            'organisingUnitNames', (select jsonb_agg(u.name order by g.position)
                                    from event_organisers g join units u on u.id = g.unit_id where g.event_id = e.id),
            'heldOn', case when e.status in ('held', 'closed') and e.kept_at < $1 then stockholm_last_day(e.last_end) end,
            'level', r.level, 'method', r.method, 'dueDate', r.due_date, 'dueStatus', r.due_status,
            'daysOverdue', case when r.due_status = 'overdue' then $2 - r.due_date end, 'completedOn', r.completed_on,
            'responsiblePerson', r.responsible_person, 'responsibleName', p.display_name,
            'responsibleHasLeft', coalesce(p.valid_to <= $18, false),
            'businessGoalIds', {business_goals}, 'guidelineGoals', {guideline_goals})) as item
         from ({rows} {start} order by f.due_date {order}, f.id {order} limit $20 offset $21) r
         join events e on e.id = r.event_id
         join people p on p.person_ref = r.responsible_person
         order by r.due_date {order}, r.id {order}"
    );
    Ok((items(conn, asked, &statement, window)?, total))
}

/// The numbers, a row for each group, in no order.
pub fn summary(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    group_by: Option<SummaryGroupBy>,
) -> Result<Vec<FollowUpSummaryRow>, Error> {
    let Statement {
        rows,
        of_events,
        by_follow_ups,
    } = statement(asked);
    // by what their events are, or by what they are themselves
    let of_event = |pairs: String| {
        (
            format!(
                "select r.*, k.key, k.name from rows r join ({pairs}) k on k.event_id = r.event_id"
            ),
            Some(pairs),
        )
    };
    let of_row = |key: &str, name: &str, also: &str| {
        (
            format!("select r.*, {key} as key, {name} as name from rows r {also}"),
            None,
        )
    };
    let goal_pairs = |kind: &str, name: &str, joined: &str| {
        format!(
            "select distinct e.id as event_id, goal as key, {name} as name from matching e cross join lateral (select a.answer from {}) a
             cross join jsonb_array_elements_text(a.answer -> 'goalIds') as goal {joined}",
            goals(kind)
        )
    };
    let unit_pairs = if asked.filter.include_subtree {
        "select distinct g.event_id, above.id::text as key, above.name from matching e
         join event_organisers g on g.event_id = e.id join units u on u.id = g.unit_id join units above on above.id = any (u.path)"
    } else {
        "select distinct g.event_id, u.id::text as key, u.name from matching e
         join event_organisers g on g.event_id = e.id join units u on u.id = g.unit_id"
    };
    let ((grouped, pairs), says) = match group_by {
        None => (of_row("null::text", "null::text", ""), ""),
        Some(SummaryGroupBy::Year) => (of_row("to_char(r.due_date, 'YYYY')", "null::text", ""), "'period', k.key"),
        Some(SummaryGroupBy::Tertial) => (
            of_row("to_char(r.due_date, 'YYYY') || '-T' || (extract(month from r.due_date)::integer + 3) / 4", "null::text", ""),
            "'period', k.key",
        ),
        Some(SummaryGroupBy::Month) => (of_row("to_char(r.due_date, 'YYYY-MM')", "null::text", ""), "'period', k.key"),
        Some(SummaryGroupBy::Responsible) => (
            of_row("r.responsible_person", "p.display_name", "join people p on p.person_ref = r.responsible_person"),
            "'responsiblePerson', k.key, 'responsibleName', k.name",
        ),
        Some(SummaryGroupBy::AgeBand) => (
            of_row(
                "band.name",
                "null::text",
                "join (select ordinality, name, since, until from unnest($14::bigint[], $15::bigint[], $24::text[]) with ordinality
                       as band (since, until, name, ordinality)) band
                 on r.due_status = 'overdue' and $2 - r.due_date between band.since and band.until",
            ),
            "'ageBand', k.key",
        ),
        Some(SummaryGroupBy::Kind) => (
            of_event("select e.id as event_id, e.kind as key, null::text as name from matching e".to_owned()),
            "'kind', k.key",
        ),
        Some(SummaryGroupBy::Unit) => (of_event(unit_pairs.to_owned()), "'unitId', k.key, 'unitName', k.name"),
        Some(SummaryGroupBy::Goal) => (of_event(goal_pairs("guidelineGoals", "null::text", "")), "'guidelineGoal', k.key"),
        Some(SummaryGroupBy::BusinessGoal) => (
            of_event(goal_pairs("businessGoals", "b.title", "join business_goals b on b.id::text = goal")),
            "'businessGoalId', k.key, 'businessGoalTitle', k.name",
        ),
    };
    // everything is one row, were it of zeros
    let whole = match group_by {
        None => "union select null, null",
        Some(_) => "",
    };
    // events: all that match, or those of the rows
    let through_rows = if by_follow_ups {
        "and e.id in (select event_id from rows)"
    } else {
        ""
    };
    let event_groups = match (&pairs, group_by) {
        (Some(pairs), _) => pairs.clone(),
        (None, None) => {
            "select e.id as event_id, null::text as key, null::text as name from matching e"
                .to_owned()
        }
        (None, Some(_)) => "select distinct event_id, key, name from grouped".to_owned(),
    };
    let statement = format!(
        "with rows as materialized ({rows}), matching as materialized (
            select e.id, e.kind, e.guideline_version_id,
                e.status in ('held', 'closed') and e.kept_at < $1 as held,
                e.status in ('held', 'closed') and e.kept_at < $1 and exists (
                    select from follow_ups f where f.event_id = e.id and f.created_at < $1
                      and not (f.status = 'cancelled' and f.status_changed_at < $1)) as followed_up,
                e.status in ('held', 'closed') and e.kept_at < $1 and exists (
                    select from guideline_questions q where q.version_id = e.guideline_version_id and q.answer_kind = 'followUps'
                      and e.kept_findings @> jsonb_build_array(jsonb_build_object(
                          'ruleId', 'question.' || q.question_id, 'finding', 'coveredByException'))) as excepted,
                e.status in ('held', 'closed') and e.kept_at < $1 and exists (
                    select from status_changes c where c.event_id = e.id and c.from_status = 'draft' and c.to_status = 'held') as unplanned,
                (e.status in ('draft', 'confirmed') or e.kept_at >= $1) and e.last_end <= least($1, $19) as ended
            from events e where {of_events} {through_rows}
         ), grouped as ({grouped}), event_groups as ({event_groups}),
         counted as (
            select key, name, count(*) as follow_ups,
                count(*) filter (where due_status = 'upcoming') as upcoming, count(*) filter (where due_status = 'dueSoon') as due_soon,
                count(*) filter (where due_status = 'overdue') as overdue,
                count(*) filter (where due_status = 'completedOnTime') as on_time,
                count(*) filter (where due_status = 'completedLate') as late,
                count(*) filter (where due_status = 'waived') as waived, count(*) filter (where due_status = 'cancelled') as cancelled
            from grouped group by key, name
         ), events_counted as (
            select g.key, g.name, count(*) filter (where e.held) as held, count(*) filter (where e.followed_up) as followed_up,
                count(*) filter (where e.excepted) as excepted, count(*) filter (where e.unplanned) as unplanned,
                count(*) filter (where e.ended) as ended
            from event_groups g join matching e on e.id = g.event_id group by g.key, g.name
         ), k as (
            select key, name from counted union select key, name from events_counted {whole}
         )
         select jsonb_build_object('group', jsonb_build_object({says}),
            'held', coalesce(v.held, 0), 'heldWithFollowUp', coalesce(v.followed_up, 0), 'heldExcepted', coalesce(v.excepted, 0),
            'heldWithoutPlan', coalesce(v.unplanned, 0), 'endedNotHeld', coalesce(v.ended, 0),
            'followUps', coalesce(c.follow_ups, 0), 'upcoming', coalesce(c.upcoming, 0), 'dueSoon', coalesce(c.due_soon, 0),
            'overdue', coalesce(c.overdue, 0), 'completedOnTime', coalesce(c.on_time, 0), 'completedLate', coalesce(c.late, 0),
            'waived', coalesce(c.waived, 0), 'cancelled', coalesce(c.cancelled, 0)) as item
         from k left join counted c on c.key is not distinct from k.key
         left join events_counted v on v.key is not distinct from k.key"
    );
    items(conn, asked, &statement, Window::default())
}

/// The part of the list that is read.
#[derive(Default)]
struct Window {
    limit: i64,
    offset: i64,
    after: Option<(NaiveDate, Uuid)>,
}

#[derive(QueryableByName)]
struct Item {
    #[diesel(sql_type = Jsonb)]
    item: Value,
}

fn items<T: DeserializeOwned>(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    statement: &str,
    window: Window,
) -> Result<Vec<T>, Error> {
    let (filter, day) = (asked.filter, as_of(asked));
    let settings: Vec<(Uuid, AsJson<NewGuidelineVersion>)> = versions::table
        .select((versions::id, versions::content))
        .load(conn)?;
    let soon =
        |version: &NewGuidelineVersion| follow_up::bounds(day, version.settings.due_soon_days);
    let (version_ids, due_soon_until): (Vec<Uuid>, Vec<NaiveDate>) = settings
        .iter()
        .map(|(id, AsJson(version))| (*id, soon(version).due_soon_until))
        .unzip();
    let bands: &[AgeBand] = filter.age_band.as_deref().unwrap_or(&AgeBand::ALL);
    let (since, until): (Vec<i64>, Vec<i64>) = bands.iter().map(|band| band.days()).unzip();
    let (exact, subtrees): (Vec<Uuid>, Vec<Uuid>) = match asked.reach {
        Reach::Everything => (Vec::new(), Vec::new()),
        Reach::Part {
            units, subtrees, ..
        } => (
            units.iter().copied().collect(),
            subtrees.iter().copied().collect(),
        ),
    };
    let goal_ids = filter.business_goal_id.as_ref();
    let goal_ids = goal_ids.map(|ids| ids.iter().map(Uuid::to_string).collect::<Vec<_>>());
    let (after_day, after_id) = window.after.unzip();
    let items: Vec<Item> = diesel::sql_query(statement)
        .bind::<Timestamptz, _>(calendar::start_of_day(day + Days::new(1)))
        .bind::<Date, _>(follow_up::bounds(day, 0).overdue_before)
        .bind::<Array<SqlUuid>, _>(version_ids)
        .bind::<Array<Date>, _>(due_soon_until)
        .bind::<Nullable<Array<SqlUuid>>, _>(filter.unit_id.clone())
        .bind::<Nullable<Array<Text>>, _>(names(&filter.kind))
        .bind::<Nullable<Array<Text>>, _>(filter.responsible_person.clone())
        .bind::<Nullable<Array<Text>>, _>(goal_ids)
        .bind::<Nullable<Array<Text>>, _>(filter.guideline_goal.clone())
        .bind::<Nullable<Array<Text>>, _>(names(&filter.level))
        .bind::<Nullable<Date>, _>(filter.due_from)
        .bind::<Nullable<Date>, _>(filter.due_to)
        .bind::<Nullable<Array<Text>>, _>(names(&filter.due_status))
        .bind::<Array<BigInt>, _>(since)
        .bind::<Array<BigInt>, _>(until)
        .bind::<Array<SqlUuid>, _>(exact)
        .bind::<Array<SqlUuid>, _>(subtrees)
        .bind::<Date, _>(calendar::stockholm_date(asked.now))
        .bind::<Timestamptz, _>(asked.now)
        .bind::<BigInt, _>(window.limit)
        .bind::<BigInt, _>(window.offset)
        .bind::<Nullable<Date>, _>(after_day)
        .bind::<Nullable<SqlUuid>, _>(after_id)
        .bind::<Array<Text>, _>(bands.iter().filter_map(name).collect::<Vec<_>>())
        .load(conn)?;
    items
        .into_iter()
        .map(|Item { item }| serde_json::from_value(item).map_err(Error::internal))
        .collect()
}

fn names<T: Serialize>(values: &Option<Vec<T>>) -> Option<Vec<String>> {
    values
        .as_ref()
        .map(|values| values.iter().filter_map(name).collect())
}

fn name(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value)
        .ok()?
        .as_str()
        .map(str::to_owned)
}
