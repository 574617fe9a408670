"""A client that openapi-python-client generated is used against the running service: client.py ADDRESS TOKEN."""

import datetime
import sys
from uuid import UUID, uuid4

from kompetens_client import AuthenticatedClient
from kompetens_client.api.events import change_event, change_event_status, create_event, get_event, list_events
from kompetens_client.api.planning import get_compliance, put_planning_answer
from kompetens_client.api.service import get_api_info
from kompetens_client.models import (
    EventPatch,
    EventStatus,
    Finding,
    NewEvent,
    NewOccasion,
    NewStatusChange,
    OccasionPlaceKind,
    PlanningAnswer,
    Problem,
    ProposedArranger,
    ProposedKind,
)

EDUCATION = UUID("0190a000-0000-7000-8000-000000000101")

address, token = sys.argv[1:]
client = AuthenticatedClient(base_url=address, token=token, headers={"Accept-Language": "en"}, raise_on_unexpected_status=True)

assert get_api_info.sync(client=client).name == "kompetens"

# every event of the demo data, page by page, by cursor
seen, cursor = set(), None
while True:
    page = list_events.sync(client=client, limit=5, **({"cursor": cursor} if cursor else {}))
    seen |= {event.id for event in page.items}
    cursor = page.next_cursor
    if not cursor:
        break
assert len(seen) >= 20, len(seen)

# an event is created once, however often the request is repeated
starts = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=60)
new = NewEvent(
    title="Planeringsdag",
    kind=ProposedKind.PLANNINGDAY,
    arranger=ProposedArranger.GROUP,
    organising_unit_ids=[EDUCATION],
    responsible_person="person-0003",
    occasions=[
        NewOccasion(starts_at=starts, ends_at=starts + datetime.timedelta(hours=7), place=OccasionPlaceKind.DIGITAL)
    ],
)
key = str(uuid4())
created = create_event.sync_detailed(client=client, body=new, idempotency_key=key)
assert created.status_code == 201, created
again = create_event.sync_detailed(client=client, body=new, idempotency_key=key)
assert again.parsed.id == created.parsed.id and again.headers["Idempotency-Replayed"] == "true", again
event = created.parsed
assert event.status is EventStatus.DRAFT and event.occasions[0].starts_at == starts, event

# changed with its tag; with an old one it is refused, and the problem is a type too
changed = change_event.sync_detailed(
    event.id, client=client, body=EventPatch(title="Planeringsdag för alla"), if_match=created.headers["ETag"]
)
assert changed.parsed.title == "Planeringsdag för alla" and changed.parsed.revision == 2, changed
stale = change_event.sync(event.id, client=client, body=EventPatch(title="Nej"), if_match=created.headers["ETag"])
assert isinstance(stale, Problem) and stale.code == "stale-revision", stale

# what it lacks, one answer, and the refusal that names the rest
answered = put_planning_answer.sync(event.id, "purpose", client=client, body=PlanningAnswer(text="Alla ska arbeta lika."))
assert answered.answer.text == "Alla ska arbeta lika.", answered
compliance = get_compliance.sync(event.id, client=client)
findings = {item.rule_id: item.finding for item in compliance.items}
assert findings["question.purpose"] is Finding.MET and not compliance.confirmable, findings
refused = change_event_status.sync(
    event.id, client=client, body=NewStatusChange(status=EventStatus.CONFIRMED), if_match=changed.headers["ETag"]
)
assert isinstance(refused, Problem) and refused.code == "not-compliant", refused
named = {fault.code for fault in refused.errors}
assert named == {rule for rule, finding in findings.items() if finding is Finding.ANSWERNEEDED}, named

missing = get_event.sync(uuid4(), client=client)
assert isinstance(missing, Problem) and missing.status == 404, missing
print(f"Python client: {len(seen)} events read, one written, four refusals understood")
