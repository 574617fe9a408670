//! The tables as diesel sees them; a test compares every column with the migrated database.

use diesel::{allow_tables_to_appear_in_same_query, joinable, table};

table! {
    changes (entry_id) {
        entry_id -> BigInt,
        request_id -> Text,
        occurred_at -> Timestamptz,
        actor -> Text,
        on_behalf_of -> Nullable<Text>,
        client -> Nullable<Text>,
        operation -> Text,
        resource_type -> Text,
        resource_id -> Uuid,
        revision -> Integer,
        event_id -> Nullable<Uuid>,
        digest -> Binary,
        number -> Nullable<BigInt>,
        hash -> Nullable<Binary>,
    }
}

table! {
    change_payloads (entry_id) {
        entry_id -> BigInt,
        salt -> Binary,
        before -> Nullable<Json>,
        after -> Nullable<Json>,
    }
}

table! {
    retention_rules (id) {
        id -> Uuid,
        revision -> Integer,
        posted -> BigInt,
        record_kind -> Text,
        years -> Nullable<Integer>,
        decision_reference -> Text,
        created_by -> Text,
        created_at -> Timestamptz,
    }
}

table! {
    reminders (resource_id, kind, date) {
        resource_id -> Uuid,
        kind -> Text,
        date -> Date,
    }
}

table! {
    webhook_subscriptions (id) {
        id -> Uuid,
        revision -> Integer,
        url -> Text,
        description -> Nullable<Text>,
        resource_types -> Nullable<Array<Text>>,
        status -> Text,
        secret -> Binary,
        previous_secret -> Nullable<Binary>,
        previous_until -> Nullable<Timestamptz>,
        last_number -> BigInt,
        failing_since -> Nullable<Timestamptz>,
        claimed_until -> Nullable<Timestamptz>,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    webhook_deliveries (id) {
        id -> Uuid,
        subscription_id -> Uuid,
        number -> Nullable<BigInt>,
        status -> Text,
        requested -> Bool,
        attempts -> Integer,
        next_attempt_at -> Nullable<Timestamptz>,
        last_attempt_at -> Nullable<Timestamptz>,
        response_status -> Nullable<Integer>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

table! {
    idempotency_records (caller, key) {
        caller -> Text,
        key -> Text,
        fingerprint -> Binary,
        status -> SmallInt,
        location -> Nullable<Text>,
        etag -> Nullable<Text>,
        body -> Binary,
        created_at -> Timestamptz,
    }
}

table! {
    guideline_versions (id) {
        id -> Uuid,
        posted -> BigInt,
        valid_from -> Date,
        content -> Jsonb,
        created_at -> Timestamptz,
    }
}

table! {
    guideline_questions (version_id, position) {
        version_id -> Uuid,
        position -> SmallInt,
        question_id -> Text,
        answer_kind -> Text,
        mandatory -> Bool,
        unit_id -> Nullable<Uuid>,
    }
}

table! {
    guideline_rungs (version_id, position) {
        version_id -> Uuid,
        position -> SmallInt,
        rung_id -> Text,
        place -> Text,
        requires -> Text,
        municipality_code -> Text,
    }
}

table! {
    units (id) {
        id -> Uuid,
        revision -> Integer,
        name -> Text,
        #[sql_name = "type"]
        unit_type -> Text,
        parent_id -> Nullable<Uuid>,
        organisation_number -> Nullable<Text>,
        board -> Nullable<Text>,
        successor_of -> Nullable<Uuid>,
        valid_from -> Date,
        valid_to -> Nullable<Date>,
        path -> Array<Uuid>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        external_digest -> Nullable<Binary>,
    }
}

table! {
    people (id) {
        id -> Uuid,
        revision -> Integer,
        person_ref -> Text,
        display_name -> Text,
        unit_id -> Uuid,
        valid_from -> Date,
        valid_to -> Nullable<Date>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        external_digest -> Nullable<Binary>,
    }
}

table! {
    office_appointments (id) {
        id -> Uuid,
        revision -> Integer,
        office_type -> Text,
        unit_id -> Uuid,
        person_ref -> Text,
        capacity -> Text,
        valid_from -> Date,
        valid_to -> Nullable<Date>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        external_digest -> Nullable<Binary>,
    }
}

table! {
    business_goals (id) {
        id -> Uuid,
        revision -> Integer,
        unit_id -> Uuid,
        title -> Text,
        valid_from -> Date,
        valid_to -> Nullable<Date>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        external_digest -> Nullable<Binary>,
    }
}

table! {
    venues (id) {
        id -> Uuid,
        revision -> Integer,
        name -> Text,
        municipality_code -> Text,
        owner_unit_id -> Nullable<Uuid>,
        supplier_id -> Nullable<Text>,
        valid_from -> Date,
        valid_to -> Nullable<Date>,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        external_digest -> Nullable<Binary>,
    }
}

table! {
    supplier_contracts (id) {
        id -> Uuid,
        revision -> Integer,
        supplier_id -> Text,
        supplier_name -> Text,
        title -> Text,
        registry_number -> Nullable<Text>,
        valid_from -> Date,
        valid_to -> Nullable<Date>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        external_digest -> Nullable<Binary>,
    }
}

table! {
    events (id) {
        id -> Uuid,
        revision -> Integer,
        title -> Text,
        description -> Nullable<Text>,
        kind -> Text,
        arranger -> Text,
        partners -> Jsonb,
        responsible_person -> Text,
        expected_participants -> Nullable<Jsonb>,
        actual_participants -> Nullable<Jsonb>,
        estimated_cost -> Nullable<BigInt>,
        actual_cost -> Nullable<BigInt>,
        registry_number -> Nullable<Text>,
        external_reference -> Nullable<Text>,
        guideline_version_id -> Uuid,
        status -> Text,
        first_start -> Timestamptz,
        last_end -> Timestamptz,
        kept_findings -> Nullable<Jsonb>,
        kept_at -> Nullable<Timestamptz>,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        external_digest -> Nullable<Binary>,
    }
}

table! {
    event_organisers (event_id, unit_id) {
        event_id -> Uuid,
        unit_id -> Uuid,
        position -> SmallInt,
    }
}

table! {
    occasions (id) {
        id -> Uuid,
        event_id -> Uuid,
        starts_at -> Timestamptz,
        ends_at -> Timestamptz,
        place -> Text,
        venue_id -> Nullable<Uuid>,
    }
}

table! {
    status_changes (id) {
        id -> Uuid,
        event_id -> Uuid,
        from_status -> Text,
        to_status -> Text,
        reason -> Nullable<Text>,
        changed_by -> Text,
        changed_at -> Timestamptz,
    }
}

table! {
    planning_answers (id) {
        id -> Uuid,
        event_id -> Uuid,
        question_id -> Text,
        revision -> Integer,
        answer -> Jsonb,
        rung_id -> Nullable<Text>,
        answered_by -> Text,
        answered_at -> Timestamptz,
    }
}

table! {
    planning_answer_revisions (answer_id, revision) {
        answer_id -> Uuid,
        revision -> Integer,
        answer -> Jsonb,
        rung_id -> Nullable<Text>,
        answered_by -> Text,
        answered_at -> Timestamptz,
    }
}

table! {
    follow_ups (id) {
        id -> Uuid,
        event_id -> Uuid,
        revision -> Integer,
        level -> Text,
        method -> Text,
        due_date -> Date,
        responsible_person -> Text,
        status -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        completing_entry_id -> Nullable<Uuid>,
        completed_on -> Nullable<Date>,
        status_reason -> Nullable<Text>,
        status_changed_by -> Nullable<Text>,
        status_changed_at -> Nullable<Timestamptz>,
    }
}

table! {
    follow_up_entries (id) {
        id -> Uuid,
        follow_up_id -> Uuid,
        number -> Integer,
        conducted_on -> Date,
        level -> Text,
        carried_out -> Text,
        observed_behaviour -> Nullable<Text>,
        goal_effects -> Jsonb,
        individual_effect -> Nullable<Jsonb>,
        operation_effect -> Nullable<Jsonb>,
        resident_effect -> Nullable<Jsonb>,
        knowledge_sharing -> Nullable<Text>,
        lessons -> Nullable<Text>,
        next_step -> Nullable<Text>,
        author -> Text,
        recorded_by -> Nullable<Text>,
        recorded_at -> Timestamptz,
    }
}

table! {
    follow_up_entry_voidings (entry_id) {
        entry_id -> Uuid,
        reason -> Text,
        voided_by -> Text,
        voided_at -> Timestamptz,
    }
}

table! {
    /// The view that shows an entry with its voiding, and beside it what was planned.
    follow_up_entry_details (id) {
        id -> Uuid,
        follow_up_id -> Uuid,
        number -> Integer,
        conducted_on -> Date,
        level -> Text,
        carried_out -> Text,
        observed_behaviour -> Nullable<Text>,
        goal_effects -> Jsonb,
        individual_effect -> Nullable<Jsonb>,
        operation_effect -> Nullable<Jsonb>,
        resident_effect -> Nullable<Jsonb>,
        knowledge_sharing -> Nullable<Text>,
        lessons -> Nullable<Text>,
        next_step -> Nullable<Text>,
        author -> Text,
        recorded_by -> Nullable<Text>,
        recorded_at -> Timestamptz,
        revision -> Integer,
        voiding_reason -> Nullable<Text>,
        voided_by -> Nullable<Text>,
        voided_at -> Nullable<Timestamptz>,
        planned -> Nullable<Jsonb>,
    }
}

table! {
    baselines (id) {
        id -> Uuid,
        event_id -> Uuid,
        confirmed_by -> Text,
        confirmed_at -> Timestamptz,
        answers -> Jsonb,
        follow_ups -> Jsonb,
    }
}

table! {
    /// The view that shows an event in one row.
    event_details (id) {
        id -> Uuid,
        revision -> Integer,
        title -> Text,
        description -> Nullable<Text>,
        kind -> Text,
        arranger -> Text,
        partners -> Jsonb,
        organising_unit_ids -> Array<Uuid>,
        responsible_person -> Text,
        occasions -> Jsonb,
        expected_participants -> Nullable<Jsonb>,
        actual_participants -> Nullable<Jsonb>,
        estimated_cost -> Nullable<BigInt>,
        actual_cost -> Nullable<BigInt>,
        registry_number -> Nullable<Text>,
        external_reference -> Nullable<Text>,
        guideline_version_id -> Uuid,
        status -> Text,
        first_start -> Timestamptz,
        last_end -> Timestamptz,
        iso_week -> Text,
        open_findings -> Array<Text>,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        kept_findings -> Nullable<Jsonb>,
        kept_at -> Nullable<Timestamptz>,
        organiser_paths -> Jsonb,
    }
}

table! {
    exception_requests (id) {
        id -> Uuid,
        event_id -> Uuid,
        revision -> Integer,
        rule_ids -> Array<Text>,
        reason -> Text,
        alternatives_considered -> Text,
        addressee -> Text,
        decision_needed_by -> Date,
        previous_request_id -> Nullable<Uuid>,
        requested_by -> Text,
        status -> Text,
        snapshot -> Jsonb,
        first_start -> Timestamptz,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    exception_request_rules (request_id, rule_id) {
        request_id -> Uuid,
        rule_id -> Text,
        event_id -> Uuid,
        open -> Bool,
    }
}

table! {
    decisions (id) {
        id -> Uuid,
        request_id -> Uuid,
        office_appointment_id -> Uuid,
        office_type -> Text,
        unit_id -> Uuid,
        person_ref -> Text,
        capacity -> Text,
        outcome -> Text,
        reasons -> Text,
        conditions -> Nullable<Text>,
        basis -> Text,
        decided_at -> Timestamptz,
    }
}

table! {
    recorded_decisions (request_id) {
        request_id -> Uuid,
        decided_by -> Text,
        capacity -> Text,
        decided_at -> Timestamptz,
        outcome -> Text,
        reasons -> Text,
        document_reference -> Text,
        recorded_by -> Text,
        recorded_at -> Timestamptz,
    }
}

table! {
    /// The view of requests that says whether each is stale.
    exception_request_details (id) {
        id -> Uuid,
        event_id -> Uuid,
        revision -> Integer,
        rule_ids -> Array<Text>,
        reason -> Text,
        alternatives_considered -> Text,
        addressee -> Text,
        decision_needed_by -> Date,
        previous_request_id -> Nullable<Uuid>,
        requested_by -> Text,
        status -> Text,
        snapshot -> Jsonb,
        first_start -> Timestamptz,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        stale -> Bool,
        event_title -> Text,
    }
}

table! {
    decision_reports (id) {
        id -> Uuid,
        board -> Text,
        period_from -> Date,
        period_to -> Date,
        meeting_date -> Date,
        created_by -> Text,
        created_at -> Timestamptz,
    }
}

table! {
    decision_report_entries (decision_id) {
        decision_id -> Uuid,
        report_id -> Uuid,
    }
}

table! {
    /// The view of delegated decisions with their boards and reports.
    delegated_decision_details (id) {
        id -> Uuid,
        request_id -> Uuid,
        event_id -> Uuid,
        event_title -> Text,
        rule_ids -> Array<Text>,
        office_type -> Text,
        unit_id -> Uuid,
        board -> Nullable<Text>,
        person_ref -> Text,
        capacity -> Text,
        outcome -> Text,
        reasons -> Text,
        conditions -> Nullable<Text>,
        decided_at -> Timestamptz,
        report_id -> Nullable<Uuid>,
        meeting_date -> Nullable<Date>,
    }
}

table! {
    imports (id) {
        id -> Uuid,
        status -> Text,
        dry_run -> Bool,
        lines -> Integer,
        processed -> Integer,
        created -> Integer,
        changed -> Integer,
        unchanged -> Integer,
        outside_guideline -> Integer,
        refused -> Integer,
        created_by -> Text,
        importer -> Jsonb,
        request_id -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    import_rows (id) {
        id -> Uuid,
        import_id -> Uuid,
        line -> Integer,
        outcome -> Text,
        resource -> Nullable<Text>,
        source_system -> Nullable<Text>,
        external_id -> Nullable<Text>,
        resource_id -> Nullable<Uuid>,
        problem -> Nullable<Jsonb>,
        said -> Nullable<Jsonb>,
        tries -> SmallInt,
    }
}

table! {
    calendar_feeds (id) {
        id -> Uuid,
        revision -> Integer,
        owner -> Text,
        name -> Nullable<Text>,
        unit_id -> Nullable<Uuid>,
        include_subtree -> Bool,
        person_ref -> Nullable<Text>,
        secret_hash -> Binary,
        created_at -> Timestamptz,
    }
}

table! {
    api_clients (id) {
        id -> Uuid,
        revision -> Integer,
        name -> Text,
        scopes -> Array<Text>,
        unit_ids -> Nullable<Array<Uuid>>,
        source_system -> Text,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    api_client_details (id) {
        id -> Uuid,
        revision -> Integer,
        name -> Text,
        scopes -> Array<Text>,
        unit_ids -> Nullable<Array<Uuid>>,
        source_system -> Text,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        secrets -> Jsonb,
    }
}

table! {
    api_client_secrets (id) {
        id -> Uuid,
        client_id -> Uuid,
        hash -> Binary,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
    }
}

table! {
    api_client_uses (secret_id) {
        secret_id -> Uuid,
        last_used_at -> Timestamptz,
    }
}

table! {
    reference_versions (name) {
        name -> Text,
        version -> BigInt,
    }
}

table! {
    /// The view of lessons, without anyone's name.
    lesson_details (id) {
        id -> Uuid,
        event_id -> Uuid,
        event_title -> Text,
        kind -> Text,
        organising_unit_ids -> Array<Uuid>,
        first_start -> Timestamptz,
        last_end -> Timestamptz,
        level -> Text,
        conducted_on -> Date,
        lessons -> Nullable<Text>,
        knowledge_sharing -> Nullable<Text>,
    }
}

joinable!(api_client_secrets -> api_clients (client_id));
joinable!(event_organisers -> units (unit_id));
joinable!(follow_up_entry_voidings -> follow_up_entries (entry_id));
joinable!(follow_ups -> events (event_id));
joinable!(occasions -> events (event_id));
joinable!(occasions -> venues (venue_id));
allow_tables_to_appear_in_same_query!(api_clients, api_client_secrets);
allow_tables_to_appear_in_same_query!(
    baselines,
    delegated_decision_details,
    event_details,
    exception_request_details,
    exception_requests,
    event_organisers,
    events,
    follow_up_entries,
    follow_up_entry_voidings,
    follow_ups,
    guideline_versions,
    lesson_details,
    occasions,
    office_appointments,
    people,
    planning_answers,
    planning_answer_revisions,
    supplier_contracts,
    units,
    venues,
);
