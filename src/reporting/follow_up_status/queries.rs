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
use crate::error::Error;
use crate::guideline;
use crate::http::json_text::name;
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
// version ($3) due soon until ($4), at the least ($5) and at the most ($6); units ($7), kinds ($8), people ($9), business goals ($10), goals
// of the guideline ($11), levels ($12), due from ($13) and to ($14), due statuses ($15); the age bands ($16) and their days overdue, from
// ($17) and to ($18); these units may be read ($19) and these with all below ($20); today ($21); now ($22); the part of the list that is
// read: how many ($23), past how many ($24), and after which due date ($25) and id ($26).

/// The follow-up as it stood: if its status has changed since, the first entry that counted then completed it.
const THEN: &str = "
    select case when coalesce(f.status_changed_at < $1, true) then f.status
                when done.conducted_on is null then 'planned' else 'completed' end as status,
        case when coalesce(f.status_changed_at < $1, true) then f.completed_on else done.conducted_on end as completed_on
    from (select 1) one left join lateral (
        select n.conducted_on from follow_up_entries n left join follow_up_entry_voidings v on v.entry_id = n.id
        where f.status_changed_at >= $1 and n.follow_up_id = f.id and n.recorded_at < $1 and (v.voided_at is null or v.voided_at >= $1)
          and n.carried_out <> 'notCarriedOut'
          and array_position(array['reaction', 'learning', 'behaviour', 'results'], n.level)
              >= array_position(array['reaction', 'learning', 'behaviour', 'results'], f.level)
        order by n.number limit 1
    ) done on true";

/// The status of event `e` as it was: what its first change since then changed, if there was one.
const STATUS_THEN: &str = "
    coalesce((select c.from_status from status_changes c where c.event_id = e.id and c.changed_at >= $1
              order by c.changed_at, c.id limit 1), e.status)";

/// The same as of today: as it stands.
const NOW: &str = "select f.status, f.completed_on";

/// The SQL of `rules::follow_up::due_status`. Only where versions differ in what is soon is the event's version looked up.
const DUE_STATUS: &str = "
    case s.status
        when 'planned' then
            case when f.due_date < $2 then 'overdue' when f.due_date <= $5 then 'dueSoon' when f.due_date > $6 then 'upcoming'
                 when f.due_date <= (select soon.until from events v join unnest($3::uuid[], $4::date[]) as soon (version_id, until)
                                     on soon.version_id = v.guideline_version_id where v.id = f.event_id) then 'dueSoon'
                 else 'upcoming' end
        when 'completed' then case when s.completed_on > f.due_date then 'completedLate' else 'completedOnTime' end
        else s.status
    end";

/// The answers to questions of this kind, of events `v`.
fn goals(kind: &str) -> String {
    format!(
        "planning_answers a join events v on v.id = a.event_id
         join guideline_questions q
             on q.version_id = v.guideline_version_id and q.question_id = a.question_id and q.answer_kind = '{kind}'"
    )
}

/// What is asked of an event with this id, each clause with its `and`.
fn of_events(asked: &Asked<'_>, id: &str) -> String {
    let filter = asked.filter;
    let organised = |units: &str| {
        format!(
            " and {id} in (select g.event_id from event_organisers g join units u on u.id = g.unit_id where {units})"
        )
    };
    let mut clauses = String::new();
    if filter.unit_id.is_some() {
        clauses.push_str(&organised(if filter.include_subtree {
            "u.path && $7"
        } else {
            "u.id = any ($7)"
        }));
    }
    if let Reach::Part { .. } = asked.reach {
        clauses.push_str(&organised("u.id = any ($19) or u.path && $20"));
    }
    if filter.kind.is_some() {
        clauses.push_str(&format!(
            " and {id} in (select k.id from events k where k.kind = any ($8))"
        ));
    }
    for (kind, asked_for, ids) in [
        ("businessGoals", filter.business_goal_id.is_some(), "$10"),
        ("guidelineGoals", filter.guideline_goal.is_some(), "$11"),
    ] {
        if asked_for {
            let goals = goals(kind);
            clauses.push_str(&format!(
                " and {id} in (select a.event_id from {goals} where a.answer -> 'goalIds' ?| {ids})"
            ));
        }
    }
    clauses
}

/// What is asked of a follow-up itself, each clause with its `and`; empty if nothing is.
fn of_follow_ups(asked: &Asked<'_>) -> String {
    let filter = asked.filter;
    let mut clauses = String::new();
    let mut also = |clause: &str| {
        clauses.push_str(" and ");
        clauses.push_str(clause);
    };
    if filter.responsible_person.is_some() {
        also("f.responsible_person = any ($9)");
    }
    if filter.level.is_some() {
        also("f.level = any ($12)");
    }
    if filter.due_from.is_some() {
        also("f.due_date >= $13");
    }
    if filter.due_to.is_some() {
        also("f.due_date <= $14");
    }
    let mut only_planned = filter.age_band.is_some();
    if let Some(statuses) = &filter.due_status {
        also(&format!("{DUE_STATUS} = any ($15)"));
        // what the index of planned follow-ups can serve
        let only = |these: &[DueStatus]| statuses.iter().all(|status| these.contains(status));
        only_planned |= only(&[DueStatus::Upcoming, DueStatus::DueSoon, DueStatus::Overdue]);
        if only(&[DueStatus::Overdue]) {
            also("f.due_date < $2");
        } else if only(&[DueStatus::DueSoon]) {
            also("f.due_date between $2 and $6");
        } else if only(&[DueStatus::Upcoming, DueStatus::DueSoon]) {
            also("f.due_date >= $2");
        }
    }
    if filter.age_band.is_some() {
        also("s.status = 'planned' and f.due_date < $2");
        also(
            "exists (select from unnest($17::bigint[], $18::bigint[]) as band (since, until) where $2 - f.due_date between since and until)",
        );
    }
    if only_planned && is_today(asked) {
        also("f.status = 'planned'");
    }
    clauses
}

/// One line for each follow-up that matches; more clauses may be added at its end.
fn rows(asked: &Asked<'_>) -> String {
    let stands = if is_today(asked) { NOW } else { THEN };
    let (of_events, of_follow_ups) = (of_events(asked, "f.event_id"), of_follow_ups(asked));
    format!(
        "select f.id, f.event_id, f.level, f.method, f.due_date, f.responsible_person, s.completed_on, {DUE_STATUS} as due_status
         from follow_ups f cross join lateral ({stands}) s
         where f.created_at < $1 {of_events} {of_follow_ups}"
    )
}

/// The day that was asked for.
fn as_of(asked: &Asked<'_>) -> NaiveDate {
    let today = calendar::stockholm_date(asked.now);
    asked.filter.as_of.unwrap_or(today)
}

fn is_today(asked: &Asked<'_>) -> bool {
    as_of(asked) == calendar::stockholm_date(asked.now)
}

/// The rows that match, in order of their due dates.
pub fn list(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    descending: bool,
    paging: &Paging,
) -> Result<(Vec<FollowUpStatusRow>, Option<i64>), Error> {
    let rows = rows(asked);
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
            format!("and f.due_date {beyond}= $25 and (f.due_date, f.id) {beyond} ($25, $26)")
        }
        None => String::new(),
    };
    let named = |kind: &str| {
        format!(
            "coalesce((select jsonb_agg(distinct goal) from {} cross join jsonb_array_elements_text(a.answer -> 'goalIds') goal
                       where a.event_id = r.event_id), '[]')",
            goals(kind)
        )
    };
    let (business_goals, guideline_goals) = (named("businessGoals"), named("guidelineGoals"));
    let status = if is_today(asked) {
        "e.status"
    } else {
        STATUS_THEN
    };
    let statement = format!(
        "select jsonb_strip_nulls(jsonb_build_object(
            'id', r.id, 'eventId', r.event_id, 'eventTitle', e.title, 'eventStatus', {status}, 'kind', e.kind,
            'organisingUnitIds', (select jsonb_agg(g.unit_id order by g.position) from event_organisers g where g.event_id = e.id),
            'organisingUnitNames', (select jsonb_agg(u.name order by g.position)
                                    from event_organisers g join units u on u.id = g.unit_id where g.event_id = e.id),
            'heldOn', case when e.status in ('held', 'closed') and e.kept_at < $1 then stockholm_last_day(e.last_end) end,
            'level', r.level, 'method', r.method, 'dueDate', r.due_date, 'dueStatus', r.due_status,
            'daysOverdue', case when r.due_status = 'overdue' then $2 - r.due_date end, 'completedOn', r.completed_on,
            'responsiblePerson', r.responsible_person, 'responsibleName', p.display_name,
            'responsibleHasLeft', coalesce(p.valid_to <= $21, false),
            'businessGoalIds', {business_goals}, 'guidelineGoals', {guideline_goals})) as item
         from ({rows} {start} order by f.due_date {order}, f.id {order} limit $23 offset $24) r
         join events e on e.id = r.event_id
         join people p on p.person_ref = r.responsible_person
         order by r.due_date {order}, r.id {order}"
    );
    Ok((items(conn, asked, &statement, window)?, total))
}

/// One line for each event and each thing that the summary says of it.
fn facts(asked: &Asked<'_>) -> String {
    let mut matching = of_events(asked, "e.id");
    // all events that match, or those of the follow-ups that do
    if !of_follow_ups(asked).is_empty() {
        matching.push_str(" and e.id in (select event_id from rows)");
    }
    let today = is_today(asked);
    let held = "e.status in ('held', 'closed') and e.kept_at < $1";
    let standing = if today {
        "f.status <> 'cancelled'"
    } else {
        "f.created_at < $1 and not (f.status = 'cancelled' and f.status_changed_at < $1)"
    };
    let fact = |name: &str, when: &str| {
        format!("select e.id as event_id, '{name}' as what from events e where {when} {matching}")
    };
    let mut facts = vec![
        fact("held", held),
        fact(
            "heldWithFollowUp",
            &format!("{held} and e.id in (select f.event_id from follow_ups f where {standing})"),
        ),
        // the first comparison is the index's
        fact(
            "heldExcepted",
            &format!(
                "{held} and e.kept_findings @> '[{{\"finding\": \"coveredByException\"}}]' and exists (
                    select from guideline_questions q where q.version_id = e.guideline_version_id and q.answer_kind = 'followUps'
                      and e.kept_findings @> jsonb_build_array(jsonb_build_object(
                          'ruleId', 'question.' || q.question_id, 'finding', 'coveredByException')))"
            ),
        ),
        fact(
            "heldWithoutPlan",
            &format!(
                "{held} and e.id in (select c.event_id from status_changes c where c.from_status = 'draft' and c.to_status = 'held')"
            ),
        ),
        fact(
            "endedNotHeld",
            "e.status in ('draft', 'confirmed') and e.created_at < $1 and e.last_end <= least($1, $22)",
        ),
    ];
    if !today {
        facts.push(fact(
            "endedNotHeld",
            "e.kept_at >= $1 and e.created_at < $1 and e.last_end <= $1",
        ));
    }
    facts.join(" union all ")
}

/// How events are grouped: what tells their groups apart, the signature, of each event with an id (`of_each`) or of all at once; and the
/// keys of a signature. Lines are counted by signature first, so that an event of two units need not be told apart line by line.
struct Signatures {
    of_each: String,
    of_all: String,
    keys: String,
}

fn signatures(asked: &Asked<'_>, group_by: SummaryGroupBy) -> Option<Signatures> {
    let of_goals = |kind: &str, key: &str| {
        let goals = goals(kind);
        Signatures {
            of_each: format!(
                "select jsonb_agg(a.answer -> 'goalIds') as signature from {goals} where a.event_id = l.event_id and a.answer ? 'goalIds'"
            ),
            of_all: format!(
                "select a.event_id, jsonb_agg(a.answer -> 'goalIds') as signature from {goals} where a.answer ? 'goalIds' group by a.event_id"
            ),
            keys: format!(
                "select distinct {key} as key from jsonb_array_elements(signature) answer cross join jsonb_array_elements_text(answer) goal"
            ),
        }
    };
    Some(match group_by {
        SummaryGroupBy::Kind => Signatures {
            of_each: "select e.kind as signature from events e where e.id = l.event_id".to_owned(),
            of_all: "select e.id as event_id, e.kind as signature from events e".to_owned(),
            keys: "select signature as key".to_owned(),
        },
        SummaryGroupBy::Unit => {
            let (counts_in, asked_for) = if asked.filter.include_subtree {
                ("any (u.path)", "o.path && $7")
            } else {
                ("u.id", "o.id = any ($7)")
            };
            let asked_for = match asked.filter.unit_id {
                Some(_) => asked_for,
                None => "true",
            };
            Signatures {
                of_each: "select array_agg(g.unit_id) as signature from event_organisers g where g.event_id = l.event_id".to_owned(),
                of_all: "select g.event_id, array_agg(g.unit_id) as signature from event_organisers g group by g.event_id".to_owned(),
                keys: format!(
                    "select distinct o.id as key from units u join units o on o.id = {counts_in} where u.id = any (signature) and {asked_for}"
                ),
            }
        }
        SummaryGroupBy::Goal => of_goals("guidelineGoals", "goal"),
        SummaryGroupBy::BusinessGoal => of_goals("businessGoals", "goal::uuid"),
        _ => return None,
    })
}

/// How the follow-ups are grouped by what they are themselves: the key of a row, and what tells it.
fn key_of_row(group_by: SummaryGroupBy) -> (&'static str, &'static str) {
    match group_by {
        SummaryGroupBy::Year => ("to_char(l.due_date, 'YYYY')", ""),
        SummaryGroupBy::Tertial => (
            "to_char(l.due_date, 'YYYY') || '-T' || (extract(month from l.due_date)::integer + 3) / 4",
            "",
        ),
        SummaryGroupBy::Month => ("to_char(l.due_date, 'YYYY-MM')", ""),
        SummaryGroupBy::AgeBand => (
            "band.name",
            "join unnest($16::text[], $17::bigint[], $18::bigint[]) as band (name, since, until)
             on l.what = 'overdue' and $2 - l.due_date between band.since and band.until",
        ),
        _ => ("l.responsible_person", ""),
    }
}

/// The numbers, a row for each group, in no order.
pub fn summary(
    conn: &mut PgConnection,
    asked: &Asked<'_>,
    group_by: Option<SummaryGroupBy>,
) -> Result<Vec<FollowUpSummaryRow>, Error> {
    let says = match group_by {
        None => "",
        Some(SummaryGroupBy::Year | SummaryGroupBy::Tertial | SummaryGroupBy::Month) => {
            "'period', key"
        }
        Some(SummaryGroupBy::Responsible) => {
            "'responsiblePerson', key, 'responsibleName', (select p.display_name from people p where p.person_ref = key)"
        }
        Some(SummaryGroupBy::AgeBand) => "'ageBand', key",
        Some(SummaryGroupBy::Kind) => "'kind', key",
        Some(SummaryGroupBy::Unit) => {
            "'unitId', key, 'unitName', (select u.name from units u where u.id = key)"
        }
        Some(SummaryGroupBy::Goal) => "'guidelineGoal', key",
        Some(SummaryGroupBy::BusinessGoal) => {
            "'businessGoalId', key, 'businessGoalTitle', (select b.title from business_goals b where b.id = key)"
        }
    };
    // how many lines of which kind there are by key; of everything too, were it of zeros
    let (counted, grouped) = match group_by {
        None => (
            "counted as (
                 select what, true as of_follow_ups, count(*) as n from rows group by what
                 union all select what, false, count(*) from facts group by what)"
                .to_owned(),
            "",
        ),
        Some(by) => match signatures(asked, by) {
            Some(signatures) => {
                let Signatures {
                    of_each,
                    of_all,
                    keys,
                } = signatures;
                let of_all_events = of_events(asked, "").is_empty();
                let signed = if of_all_events {
                    format!("join ({of_all}) s on s.event_id = l.event_id")
                } else {
                    format!("cross join lateral ({of_each}) s")
                };
                (
                    format!(
                        "lines as (
                             select event_id, what, true as of_follow_ups from rows
                             union all select event_id, what, false from facts),
                         signed as (
                             select signature, what, of_follow_ups, count(*) as n from lines l {signed} group by signature, what, of_follow_ups),
                         counted as (
                             select k.key, what, of_follow_ups, n from signed cross join lateral ({keys}) k)"
                    ),
                    "group by key",
                )
            }
            None => {
                let (key, told_by) = key_of_row(by);
                (
                    // events are in the groups of their follow-ups
                    format!(
                        "keyed as (select l.event_id, l.what, {key} as key from rows l {told_by}),
                         counted as (
                             select key, what, true as of_follow_ups, count(*) as n from keyed group by key, what
                             union all
                             select k.key, f.what, false, count(*)
                             from (select distinct event_id, key from keyed) k join facts f on f.event_id = k.event_id group by k.key, f.what)"
                    ),
                    "group by key",
                )
            }
        },
    };
    let numbers: String = FollowUpSummaryRow::NUMBERS
        .iter()
        .map(|name| match *name {
            "followUps" => {
                ", 'followUps', coalesce(sum(n) filter (where of_follow_ups), 0)".to_owned()
            }
            name => format!(", '{name}', coalesce(sum(n) filter (where what = '{name}'), 0)"),
        })
        .collect();
    let (rows, facts) = (rows(asked), facts(asked));
    let statement = format!(
        "with rows as (select r.id, r.event_id, r.due_date, r.responsible_person, r.due_status as what from ({rows}) r),
         facts as ({facts}), {counted}
         select jsonb_build_object('group', jsonb_build_object({says}) {numbers}) as item from counted {grouped}"
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
    let (version_ids, due_soon_until): (Vec<Uuid>, Vec<NaiveDate>) =
        guideline::queries::due_soon_days(conn)?
            .into_iter()
            .map(|(id, days)| (id, follow_up::bounds(day, days).due_soon_until))
            .unzip();
    let soonest = due_soon_until.iter().min().copied();
    let latest = due_soon_until.iter().max().copied();
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
        .bind::<Nullable<Date>, _>(soonest)
        .bind::<Nullable<Date>, _>(latest)
        .bind::<Nullable<Array<SqlUuid>>, _>(filter.unit_id.clone())
        .bind::<Nullable<Array<Text>>, _>(names(&filter.kind))
        .bind::<Nullable<Array<Text>>, _>(filter.responsible_person.clone())
        .bind::<Nullable<Array<Text>>, _>(goal_ids)
        .bind::<Nullable<Array<Text>>, _>(filter.guideline_goal.clone())
        .bind::<Nullable<Array<Text>>, _>(names(&filter.level))
        .bind::<Nullable<Date>, _>(filter.due_from)
        .bind::<Nullable<Date>, _>(filter.due_to)
        .bind::<Nullable<Array<Text>>, _>(names(&filter.due_status))
        .bind::<Array<Text>, _>(bands.iter().map(name).collect::<Vec<_>>())
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
        .load(conn)?;
    items
        .into_iter()
        .map(|Item { item }| serde_json::from_value(item).map_err(Error::internal))
        .collect()
}

fn names<T: Serialize>(values: &Option<Vec<T>>) -> Option<Vec<String>> {
    values
        .as_ref()
        .map(|values| values.iter().map(name).collect())
}
