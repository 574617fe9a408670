//! The SQL of statistics, put together from parts that each say one thing: what is counted, what it is grouped by, and which
//! numbers come of it. A row comes out as the JSON of its type.
//!
//! `counted` has one line for each event or request that is counted; a grouping is a set of pairs of a line and a key.

use chrono::{DateTime, Days, NaiveDate, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Date, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use super::{GroupBy, Row, StatisticsFilter};
use crate::error::Error;
use crate::rules::access::Reach;
use crate::rules::calendar;

/// A request for statistics, by one who may read these reports.
pub struct Asked<'a> {
    pub filter: &'a StatisticsFilter,
    pub reach: &'a Reach,
    pub now: DateTime<Utc>,
}

/// What one of the statistics counts.
pub struct Counting {
    /// The columns of `counted` beside `id` and `event_id`, the table they come from, and what bounds the period.
    columns: &'static str,
    from: &'static str,
    /// Of lines of `counted`: the months that they lie in, with those days cut to the period.
    months: &'static str,
    /// The rules of a line.
    rules: &'static str,
    /// More tables for the numbers, and how they are joined.
    also: &'static str,
    joined: &'static str,
    /// What rows are always grouped by, and the members of the row that say it.
    always: &'static str,
    always_says: &'static str,
    /// The members of the row.
    numbers: &'static str,
}

// The parameters of every statement: from ($1) and to ($2) as moments, as days ($3, $4); units ($5) and with those below
// them ($6); kinds ($7); everything may be read ($8), or these units ($9) and these with all below ($10); now ($11); today ($12).

const OF_EVENTS: &str = "
    events e
    where ($1::timestamptz is null or e.last_end > $1 and e.first_start >= first_start_of_what_goes_on($1))
      and ($2::timestamptz is null or e.first_start < $2)
      and ($1 is null and $2 is null or exists (
          select from occasions o
          where o.event_id = e.id and ($1 is null or o.ends_at > $1) and ($2 is null or o.starts_at < $2)))";

const MONTHS_OF_EVENTS: &str = "
    select c.id, month
    from counted c join occasions o on o.event_id = c.event_id
    cross join greatest(stockholm_day(o.starts_at), $3::date) as first
    cross join least(stockholm_last_day(o.ends_at), $4::date) as last
    cross join generate_series(date_trunc('month', first::timestamp), last::timestamp, '1 month') as month
    where first <= last";

/// Open findings: of drafts and confirmed events that have not ended as they are now, of others as kept.
const RULES_OF_EVENTS: &str = "
    select c.id, f.rule_id as key from counted c cross join lateral event_findings(c.event_id) f
    where c.status in ('draft', 'confirmed') and c.last_end > $11
      and f.finding in ('answerNeeded', 'reasonNeeded', 'exceptionNeeded')
    union
    select c.id, f ->> 'ruleId' from counted c cross join lateral jsonb_array_elements(c.kept_findings) f
    where c.kept_findings is not null and f ->> 'finding' in ('answerNeeded', 'reasonNeeded', 'exceptionNeeded')";

pub const EVENTS: Counting = Counting {
    columns: "e.id, e.id as event_id, e.guideline_version_id as version_id, e.kind, e.responsible_person, e.status, e.last_end, e.kept_findings,
        e.status in ('held', 'closed') as happened,
        (e.expected_participants ->> 'total')::bigint as expected, (e.actual_participants ->> 'total')::bigint as actual,
        e.estimated_cost, e.actual_cost",
    from: OF_EVENTS,
    months: MONTHS_OF_EVENTS,
    rules: RULES_OF_EVENTS,
    also: "
        , plans as (
            select c.id,
                bool_or(a.question_id = 'individualEffects') as individual,
                bool_or(q.answer_kind = 'businessGoals') as operation,
                bool_or(a.question_id = 'residentEffects') as resident
            from counted c join planning_answers a on a.event_id = c.event_id
            join guideline_questions q on q.version_id = c.version_id and q.question_id = a.question_id
            where (q.answer_kind = 'businessGoals' or a.question_id in ('individualEffects', 'residentEffects'))
                and not a.answer ? 'notApplicable'
            group by c.id
        ), effects as (
            select c.id,
                (array_agg(n.individual_effect ->> 'effect' order by n.conducted_on desc, n.recorded_at desc, n.id desc)
                    filter (where n.individual_effect is not null))[1] as individual,
                (array_agg(n.operation_effect ->> 'effect' order by n.conducted_on desc, n.recorded_at desc, n.id desc)
                    filter (where n.operation_effect is not null))[1] as operation,
                (array_agg(n.resident_effect ->> 'effect' order by n.conducted_on desc, n.recorded_at desc, n.id desc)
                    filter (where n.resident_effect is not null))[1] as resident
            from counted c join follow_ups f on f.event_id = c.event_id join follow_up_entries n on n.follow_up_id = f.id
            where not exists (select from follow_up_entry_voidings v where v.entry_id = n.id)
            group by c.id
        )",
    joined: "left join plans p on p.id = c.id left join effects x on x.id = c.id",
    always: "",
    always_says: "",
    numbers: "
        'events', count(*),
        'draft', count(*) filter (where c.status = 'draft'),
        'confirmed', count(*) filter (where c.status = 'confirmed'),
        'held', count(*) filter (where c.status = 'held'),
        'closed', count(*) filter (where c.status = 'closed'),
        'cancelled', count(*) filter (where c.status = 'cancelled'),
        'outcome', jsonb_build_object(
            'events', count(*) filter (where happened),
            'expectedParticipants', coalesce(sum(expected) filter (where happened), 0),
            'actualParticipants', coalesce(sum(actual) filter (where happened), 0),
            'withoutExpectedParticipants', count(*) filter (where happened and expected is null),
            'estimatedCost', coalesce(sum(estimated_cost) filter (where happened), 0),
            'actualCost', coalesce(sum(actual_cost) filter (where happened), 0),
            'withoutEstimatedCost', count(*) filter (where happened and estimated_cost is null),
            'withoutActualCost', count(*) filter (where happened and actual_cost is null)),
        'individualEffect', jsonb_build_object(
            'planned', count(*) filter (where p.individual),
            'none', count(*) filter (where x.individual = 'none'), 'some', count(*) filter (where x.individual = 'some'),
            'full', count(*) filter (where x.individual = 'full'), 'tooEarly', count(*) filter (where x.individual = 'tooEarly')),
        'operationEffect', jsonb_build_object(
            'planned', count(*) filter (where p.operation),
            'none', count(*) filter (where x.operation = 'none'), 'some', count(*) filter (where x.operation = 'some'),
            'full', count(*) filter (where x.operation = 'full'), 'tooEarly', count(*) filter (where x.operation = 'tooEarly')),
        'residentEffect', jsonb_build_object(
            'planned', count(*) filter (where p.resident),
            'none', count(*) filter (where x.resident = 'none'), 'some', count(*) filter (where x.resident = 'some'),
            'full', count(*) filter (where x.resident = 'full'), 'tooEarly', count(*) filter (where x.resident = 'tooEarly'))",
};

pub const EXCEPTIONS: Counting = Counting {
    columns: "r.id, e.id as event_id, e.guideline_version_id as version_id, e.kind, e.responsible_person, r.rule_ids, r.created_at,
        case when r.status = 'submitted' and r.first_start <= $11 then 'lapsed' else r.status end as status, r.stale",
    from: "
        exception_request_details r join events e on e.id = r.event_id
        where ($1::timestamptz is null or r.created_at >= $1) and ($2::timestamptz is null or r.created_at < $2)",
    months: "select c.id, date_trunc('month', stockholm_day(c.created_at)::timestamp) as month from counted c",
    rules: "select c.id, rule as key from counted c cross join unnest(c.rule_ids) as rule",
    also: "",
    joined: "",
    always: "",
    always_says: "",
    numbers: "
        'requests', count(*),
        'submitted', count(*) filter (where c.status = 'submitted'),
        'pendingOverSevenDays', count(*) filter (where c.status = 'submitted' and stockholm_day(c.created_at) < $12::date - 7),
        'approved', count(*) filter (where c.status = 'approved'),
        'rejected', count(*) filter (where c.status = 'rejected'),
        'withdrawn', count(*) filter (where c.status = 'withdrawn'),
        'revoked', count(*) filter (where c.status = 'revoked'),
        'lapsed', count(*) filter (where c.status = 'lapsed'),
        'stale', count(*) filter (where c.stale and c.status in ('submitted', 'approved'))",
};

pub const VENUES: Counting = Counting {
    columns: "e.id, e.id as event_id, e.guideline_version_id as version_id, e.kind, e.responsible_person, e.status, e.last_end, e.kept_findings",
    from: OF_EVENTS,
    months: MONTHS_OF_EVENTS,
    rules: RULES_OF_EVENTS,
    also: "
        , rungs as (
            select v.id as version_id, v.content ->> 'municipalityCode' as municipality
            from guideline_versions v where v.id in (select version_id from counted)
        ), turns as (
            -- the days on which a venue's place may change: only where an owner or a contract begins or ends
            select v.id as venue_id, '1900-01-01'::date as day from venues v
            union select v.id, day from venues v join units owner on owner.id = v.owner_unit_id
                join units u on u.id = any (owner.path) cross join unnest(array[u.valid_from, u.valid_to]) as day where day is not null
            union select v.id, day from venues v join supplier_contracts s on s.supplier_id = v.supplier_id
                cross join unnest(array[s.valid_from, s.valid_to]) as day where day is not null
        ), places as materialized (
            select t.venue_id, m.municipality, t.day, lead(t.day, 1, 'infinity') over (partition by t.venue_id, m.municipality order by t.day) as until,
                venue_place(t.venue_id, t.day, m.municipality) as place
            from turns t cross join (select distinct municipality from rungs) m
        ), standing as materialized (
            select c.id,
                case when bool_or(o.place = 'undecided') then 'undecided'
                     when not bool_or(o.place = 'venue') then 'digital'
                     -- the worst rung, by its number before its place; a place that the ladder does not list is worse than any
                     else substr(max((1000 + coalesce(l.position, 1000))::text || v.place collate \"C\") filter (where o.place = 'venue'), 5)
                end as place
            from counted c join rungs using (version_id)
            join occasions o on o.event_id = c.event_id
            left join places v on v.venue_id = o.venue_id and v.municipality = rungs.municipality
                and v.day <= stockholm_day(o.starts_at) and stockholm_day(o.starts_at) < v.until
            left join guideline_rungs l on l.version_id = c.version_id and l.place = v.place
            group by c.id
        )",
    joined: "join standing s on s.id = c.id",
    always: "",
    always_says: "",
    numbers: "
        'events', count(*),
        'ownPremises', count(*) filter (where s.place = 'ownPremises'),
        'procuredLocal', count(*) filter (where s.place = 'procuredLocal'),
        'procuredOther', count(*) filter (where s.place = 'procuredOther'),
        'notProcured', count(*) filter (where s.place = 'notProcured'),
        'digital', count(*) filter (where s.place = 'digital'),
        'undecided', count(*) filter (where s.place = 'undecided')",
};

pub const GOALS: Counting = Counting {
    columns: "e.id, e.id as event_id, e.guideline_version_id as version_id, e.kind, e.responsible_person, e.status, e.last_end, e.kept_findings",
    from: OF_EVENTS,
    months: MONTHS_OF_EVENTS,
    rules: RULES_OF_EVENTS,
    also: "
        , completed as (
            select distinct c.id from counted c join follow_ups f on f.event_id = c.event_id where f.status = 'completed'
        )",
    joined: "left join completed d on d.id = c.id",
    // an event and a goal that it is planned for, or that an entry says something of
    always: "
        select told.id, told.goal, b.id as business_goal, b.title, bool_or(told.planned) as planned, max(told.effect) as effect
        from (
            select c.id, goal, true as planned, null as effect
            from counted c join planning_answers a on a.event_id = c.event_id
            join guideline_questions q on q.version_id = c.version_id and q.question_id = a.question_id
                and q.answer_kind in ('businessGoals', 'guidelineGoals')
            cross join jsonb_array_elements_text(a.answer -> 'goalIds') as goal
            union all
            select * from (
                select distinct on (c.id, seen ->> 'goalId') c.id, seen ->> 'goalId', false, seen ->> 'effect'
                from counted c join follow_ups f on f.event_id = c.event_id join follow_up_entries n on n.follow_up_id = f.id
                cross join jsonb_array_elements(n.goal_effects) as seen
                where not exists (select from follow_up_entry_voidings v where v.entry_id = n.id)
                order by c.id, seen ->> 'goalId', n.conducted_on desc, n.recorded_at desc, n.id desc
            ) latest
        ) told
        left join business_goals b on b.id::text = told.goal
        group by told.id, told.goal, b.id",
    always_says: "'guidelineGoal', case when g0.business_goal is null then g0.goal end,
        'businessGoalId', g0.business_goal, 'businessGoalTitle', g0.title",
    numbers: "
        'events', count(*) filter (where g0.planned),
        'heldOrClosed', count(*) filter (where g0.planned and c.status in ('held', 'closed')),
        'followedUp', count(*) filter (where g0.planned and c.status in ('held', 'closed') and d.id is not null),
        'none', count(*) filter (where g0.effect = 'none'),
        'some', count(*) filter (where g0.effect = 'some'),
        'full', count(*) filter (where g0.effect = 'full'),
        'tooEarly', count(*) filter (where g0.effect = 'tooEarly')",
};

/// The units that are asked for, below the caller's reach.
const WITHIN: &str = "
    and ($5::uuid[] is null or e.id in (
        select g.event_id from event_organisers g join units u on u.id = g.unit_id
        where case when $6 then u.path && $5 else u.id = any ($5) end))
    and ($7::text[] is null or e.kind = any ($7))
    and ($8 or e.id in (
        select g.event_id from event_organisers g join units u on u.id = g.unit_id
        where u.id = any ($9) or u.path && $10))";

/// What a grouping is made of: pairs of a line and a key, perhaps with a name; and the members of the row that say it.
fn grouping(by: GroupBy, counting: &Counting) -> (String, &'static str) {
    let period = |key: &str| {
        format!(
            "select distinct id, {key} as key, null as name from ({}) m",
            counting.months
        )
    };
    let goals = |kind: &str, name: &str, joined: &str| {
        format!(
            "select distinct c.id, goal as key, {name} as name from counted c
             join planning_answers a on a.event_id = c.event_id
             join guideline_questions q on q.version_id = c.version_id and q.question_id = a.question_id and q.answer_kind = '{kind}'
             cross join jsonb_array_elements_text(a.answer -> 'goalIds') as goal {joined}"
        )
    };
    match by {
        GroupBy::Year => (period("to_char(month, 'YYYY')"), "'period', {}.key"),
        GroupBy::Tertial => (
            period(
                "to_char(month, 'YYYY') || '-T' || (extract(month from month)::integer + 3) / 4",
            ),
            "'period', {}.key",
        ),
        GroupBy::Month => (period("to_char(month, 'YYYY-MM')"), "'period', {}.key"),
        GroupBy::Unit => (
            "select distinct c.id, a.id::text as key, a.name from counted c
             join event_organisers g on g.event_id = c.event_id join units u on u.id = g.unit_id
             join units a on a.id = any (case when $6 then u.path else array[u.id] end)
             where $5::uuid[] is null or case when $6 then a.path && $5 else a.id = any ($5) end"
                .to_owned(),
            "'unitId', {}.key, 'unitName', {}.name",
        ),
        GroupBy::Kind => (
            "select c.id, c.kind as key, null as name from counted c".to_owned(),
            "'kind', {}.key",
        ),
        GroupBy::Goal => (
            goals("guidelineGoals", "null", ""),
            "'guidelineGoal', {}.key",
        ),
        GroupBy::BusinessGoal => (
            goals(
                "businessGoals",
                "b.title",
                "join business_goals b on b.id = goal::uuid",
            ),
            "'businessGoalId', {}.key, 'businessGoalTitle', {}.name",
        ),
        GroupBy::Responsible => (
            "select c.id, c.responsible_person as key, p.display_name as name from counted c
             join people p on p.person_ref = c.responsible_person"
                .to_owned(),
            "'responsiblePerson', {}.key, 'responsibleName', {}.name",
        ),
        // no parameter of statistics asks for age bands
        GroupBy::Rule | GroupBy::AgeBand => (
            format!("select id, key, null as name from ({}) r", counting.rules),
            "'ruleId', {}.key",
        ),
    }
}

#[derive(QueryableByName)]
struct Item {
    #[diesel(sql_type = Jsonb)]
    item: Value,
}

/// Every row of a statistic, in no order.
pub fn count<T: Row>(conn: &mut PgConnection, asked: &Asked<'_>) -> Result<Vec<T>, Error> {
    let filter = asked.filter;
    let after = |day: NaiveDate| calendar::start_of_day(day + Days::new(1));
    let today = calendar::stockholm_date(asked.now);
    let (everything, exact, subtrees): (bool, Vec<Uuid>, Vec<Uuid>) = match asked.reach {
        Reach::Everything => (true, Vec::new(), Vec::new()),
        Reach::Part {
            units, subtrees, ..
        } => (
            false,
            units.iter().copied().collect(),
            subtrees.iter().copied().collect(),
        ),
    };
    let kinds = filter.kind.clone();
    let items: Vec<Item> = diesel::sql_query(statement(&T::SQL, filter.groupings()))
        .bind::<Nullable<Timestamptz>, _>(filter.from.map(calendar::start_of_day))
        .bind::<Nullable<Timestamptz>, _>(filter.to.map(after))
        .bind::<Nullable<Date>, _>(filter.from)
        .bind::<Nullable<Date>, _>(filter.to)
        .bind::<Nullable<Array<SqlUuid>>, _>(filter.unit_id.clone())
        .bind::<Bool, _>(filter.include_subtree)
        .bind::<Nullable<Array<Text>>, _>(kinds)
        .bind::<Bool, _>(everything)
        .bind::<Array<SqlUuid>, _>(exact)
        .bind::<Array<SqlUuid>, _>(subtrees)
        .bind::<Timestamptz, _>(asked.now)
        .bind::<Date, _>(today)
        .load(conn)?;
    items
        .into_iter()
        .map(|Item { item }| {
            let mut row: T = serde_json::from_value(item).map_err(Error::internal)?;
            row.group_mut().date(filter.from, filter.to);
            Ok(row)
        })
        .collect()
}

/// The statement for these groupings.
fn statement(counting: &Counting, group_by: &[GroupBy]) -> String {
    let mut tables = String::new();
    let mut joins = String::new();
    let mut members = Vec::new();
    let mut keys = Vec::new();
    if !counting.always.is_empty() {
        tables.push_str(&format!(", g0 as ({})", counting.always));
        joins.push_str(" join g0 on g0.id = c.id");
        members.push(counting.always_says.to_owned());
        keys.push("g0.goal, g0.business_goal, g0.title".to_owned());
    }
    for (by, name) in group_by.iter().zip(["g1", "g2"]) {
        let (pairs, says) = grouping(*by, counting);
        tables.push_str(&format!(", {name} as ({pairs})"));
        joins.push_str(&format!(" join {name} on {name}.id = c.id"));
        members.push(says.replace("{}", name));
        keys.push(format!("{name}.key, {name}.name"));
    }
    let Counting {
        columns,
        from,
        also,
        joined,
        numbers,
        ..
    } = counting;
    let group = members.join(", ");
    let grouped = if keys.is_empty() {
        String::new()
    } else {
        format!("group by {}", keys.join(", "))
    };
    format!(
        "with counted as materialized (select {columns} from {from} {WITHIN}) {tables} {also}
         select jsonb_build_object('group', jsonb_build_object({group}), {numbers}) as item
         from counted c {joins} {joined} {grouped}"
    )
}
