-- The municipal group: guideline versions, units, people, offices, goals, venues and suppliers.
-- `valid_from` is the first day, `valid_to` the first day no longer valid (null: open).

set local lock_timeout = '2s';

create table guideline_versions (
    id         uuid primary key,
    posted     bigint generated always as identity,
    valid_from day not null,
    content    jsonb not null,
    created_at moment not null
);
create index guideline_versions_latest on guideline_versions (valid_from desc, posted desc);

-- What SQL judges by, out of `content`: reading a few narrow rows is many times cheaper than unpacking the whole version.
create table guideline_questions (
    version_id  uuid not null references guideline_versions,
    position    smallint not null,
    question_id text not null,
    answer_kind text not null,
    mandatory   boolean not null,
    unit_id     uuid,
    primary key (version_id, position)
);
create table guideline_rungs (
    version_id        uuid not null references guideline_versions,
    position          smallint not null,
    rung_id           text not null,
    place             text not null,
    requires          text not null,
    municipality_code text not null,
    primary key (version_id, position)
);

create function spread_guideline() returns trigger
    language plpgsql security definer set search_path = pg_catalog, public as $$
begin
    insert into guideline_questions
    select new.id, position, question ->> 'id', question ->> 'answerKind', question ->> 'weight' = 'mandatory',
        (question ->> 'unitId')::uuid
    from jsonb_array_elements(new.content -> 'questions') with ordinality as q (question, position);
    insert into guideline_rungs
    select new.id, position, rung ->> 'id', rung ->> 'place', rung ->> 'requires', new.content ->> 'municipalityCode'
    from jsonb_array_elements(new.content -> 'ladder') with ordinality as r (rung, position);
    return null;
end $$;
create trigger guideline_versions_spread after insert on guideline_versions
    for each row execute function spread_guideline();

create table units (
    id                  uuid primary key,
    revision            integer not null,
    name                text collate "sv-x-icu" not null,
    type                text not null,
    parent_id           uuid references units,
    organisation_number text,
    board               text,
    successor_of        uuid references units,
    valid_from          day not null,
    valid_to            day,
    path                uuid[] not null,
    created_at          moment not null,
    updated_at          moment not null,
    constraint units_known_type check (type in ('municipality', 'department', 'company', 'unit', 'partlyOwnedCompany')),
    constraint units_validity check (valid_to > valid_from),
    constraint units_root_is_municipality check ((type = 'municipality') = (parent_id is null))
);
create unique index units_one_municipality on units (type) where type = 'municipality';
create index units_by_parent on units (parent_id);
create index units_by_successor_of on units (successor_of);
create index units_by_name on units (name, id);
create index units_by_path on units using gin (path);

create table people (
    id           uuid primary key,
    revision     integer not null,
    person_ref   text not null,
    display_name text collate "sv-x-icu" not null,
    unit_id      uuid not null references units,
    valid_from   day not null,
    valid_to     day,
    created_at   moment not null,
    updated_at   moment not null,
    constraint people_person_ref unique (person_ref),
    constraint people_validity check (valid_to > valid_from)
);
create index people_by_unit on people (unit_id);
create index people_by_name on people (display_name, id);

create table office_appointments (
    id          uuid primary key,
    revision    integer not null,
    office_type text not null,
    unit_id     uuid not null references units,
    person_ref  text not null references people (person_ref),
    capacity    text not null,
    valid_from  day not null,
    valid_to    day,
    created_at  moment not null,
    updated_at  moment not null,
    constraint office_appointments_known_office check (office_type in ('municipalDirector', 'departmentHead', 'chiefExecutive')),
    constraint office_appointments_known_capacity check (capacity in ('ordinary', 'acting', 'actingShortAbsence')),
    constraint office_appointments_validity check (valid_to > valid_from),
    constraint office_appointments_one_ordinary_holder exclude using gist
        (unit_id with =, office_type with =, daterange(valid_from, valid_to) with &&) where (capacity = 'ordinary')
);
create index office_appointments_by_unit on office_appointments (unit_id);
create index office_appointments_by_person on office_appointments (person_ref);
create index office_appointments_by_start on office_appointments (valid_from, id);

create table business_goals (
    id         uuid primary key,
    revision   integer not null,
    unit_id    uuid not null references units,
    title      text collate "sv-x-icu" not null,
    valid_from day not null,
    valid_to   day,
    created_at moment not null,
    updated_at moment not null,
    constraint business_goals_validity check (valid_to > valid_from)
);
create index business_goals_by_unit on business_goals (unit_id);
create index business_goals_by_title on business_goals (title, id);

create table venues (
    id                uuid primary key,
    revision          integer not null,
    name              text collate "sv-x-icu" not null,
    municipality_code text not null,
    owner_unit_id     uuid references units,
    supplier_id       text,
    valid_from        day not null,
    valid_to          day,
    created_by        text not null,
    created_at        moment not null,
    updated_at        moment not null,
    constraint venues_validity check (valid_to > valid_from)
);
create index venues_by_owner on venues (owner_unit_id);
create index venues_by_name on venues (name, id);

create table supplier_contracts (
    id              uuid primary key,
    revision        integer not null,
    supplier_id     text not null,
    supplier_name   text collate "sv-x-icu" not null,
    title           text not null,
    registry_number text,
    valid_from      day not null,
    valid_to        day,
    created_at      moment not null,
    updated_at      moment not null,
    constraint supplier_contracts_validity check (valid_to > valid_from)
);
create index supplier_contracts_by_supplier on supplier_contracts (supplier_id, valid_from);
create index supplier_contracts_by_name on supplier_contracts (supplier_name, id);

-- Is [inner_from, inner_to) within [outer_from, outer_to)?
create function lies_within(inner_from date, inner_to date, outer_from date, outer_to date) returns boolean
    language sql immutable parallel safe
    return outer_from <= inner_from and (outer_to is null or (inner_to is not null and inner_to <= outer_to));

-- A unit lies within its parent's dates and fits below it; the parent is locked, so that it cannot end meanwhile.
create function unit_fits_parent() returns trigger language plpgsql as $$
declare parent units;
begin
    if new.parent_id is not null then
        select * into parent from units where id = new.parent_id for share;
        if not lies_within(new.valid_from, new.valid_to, parent.valid_from, parent.valid_to) then
            raise exception 'the parent is not valid on all the dates of the unit'
                using errcode = 'check_violation', constraint = 'units_parent_valid';
        end if;
        if not (case new.type
                when 'unit' then parent.type in ('department', 'company', 'unit')
                else parent.type = 'municipality' end) then
            raise exception 'a % cannot lie below a %', new.type, parent.type
                using errcode = 'check_violation', constraint = 'units_parent_type';
        end if;
    end if;
    if tg_op = 'UPDATE' then
        if exists (select from units child where child.parent_id = new.id
                   and not lies_within(child.valid_from, child.valid_to, new.valid_from, new.valid_to))
           or exists (select from office_appointments a where a.unit_id = new.id
                   and not lies_within(a.valid_from, a.valid_to, new.valid_from, new.valid_to)) then
            raise exception 'a unit below it or an appointment needs the unit on those dates'
                using errcode = 'check_violation', constraint = 'units_still_in_use';
        end if;
    end if;
    return null;
end $$;
create constraint trigger units_parent after insert or update on units
    for each row execute function unit_fits_parent();

-- An appointment lies within the dates of its unit and its person, on a unit that has such an office.
create function appointment_fits() returns trigger language plpgsql as $$
declare
    unit units;
    person people;
begin
    select * into unit from units where id = new.unit_id for share;
    select * into person from people where person_ref = new.person_ref for share;
    if unit.type <> (case new.office_type
            when 'municipalDirector' then 'municipality'
            when 'departmentHead' then 'department'
            else 'company' end) then
        raise exception 'a % has no %', unit.type, new.office_type
            using errcode = 'check_violation', constraint = 'office_appointments_unit_type';
    end if;
    if not lies_within(new.valid_from, new.valid_to, unit.valid_from, unit.valid_to) then
        raise exception 'the unit is not valid on all the dates of the appointment'
            using errcode = 'check_violation', constraint = 'office_appointments_unit_valid';
    end if;
    if not lies_within(new.valid_from, new.valid_to, person.valid_from, person.valid_to) then
        raise exception 'the person is not valid on all the dates of the appointment'
            using errcode = 'check_violation', constraint = 'office_appointments_person_valid';
    end if;
    return null;
end $$;
create constraint trigger office_appointments_fit after insert or update on office_appointments
    for each row execute function appointment_fits();

create function person_still_needed() returns trigger language plpgsql as $$
begin
    if exists (select from office_appointments a where a.person_ref = new.person_ref
               and not lies_within(a.valid_from, a.valid_to, new.valid_from, new.valid_to)) then
        raise exception 'an appointment needs the person on those dates'
            using errcode = 'check_violation', constraint = 'people_still_in_use';
    end if;
    return null;
end $$;
create constraint trigger people_in_use after update on people
    for each row execute function person_still_needed();
