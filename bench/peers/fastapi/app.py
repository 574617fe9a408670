"""Get, list and create as a FastAPI user would write them, on the service's own tables."""

import hashlib
import json
import os
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import asynccontextmanager
from datetime import date, datetime, timezone
from enum import Enum

import asyncpg
import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

KEYS = {key.key_id: key for key in jwt.PyJWKSet.from_json(open(os.environ["JWKS_FILE"]).read()).keys}


@asynccontextmanager
async def lifespan(app: FastAPI):
    async def codecs(connection):
        for name in ("json", "jsonb"):
            await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")

    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=4, init=codecs)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Kind(str, Enum):
    planningDay = "planningDay"
    kickOff = "kickOff"
    trainingDay = "trainingDay"
    training = "training"
    conference = "conference"
    other = "other"


class Place(str, Enum):
    venue = "venue"
    digital = "digital"
    undecided = "undecided"


class UnitCount(Model):
    unit_id: uuid.UUID
    count: int = Field(ge=0, le=100_000)


class Participants(Model):
    total: int = Field(ge=0, le=100_000)
    per_unit: list[UnitCount] = Field(default=[], max_length=200)


class NewOccasion(Model):
    starts_at: datetime
    ends_at: datetime
    place: Place
    venue_id: uuid.UUID | None = None

    @model_validator(mode="after")
    def fits(self):
        if self.ends_at <= self.starts_at or (self.place == Place.venue) != (self.venue_id is not None):
            raise ValueError("ends before it starts, or place and venueId disagree")
        return self


class NewEvent(Model):
    title: str = Field(min_length=1, max_length=200, pattern=r"\S")
    description: str | None = Field(None, max_length=5000)
    kind: Kind
    arranger: str = Field(pattern="^(group|coArranged)$")
    partners: list[str] = []
    organising_unit_ids: list[uuid.UUID] = Field(min_length=1, max_length=20)
    responsible_person: str = Field(min_length=1, max_length=100)
    occasions: list[NewOccasion] = Field(min_length=1, max_length=100)
    expected_participants: Participants | None = None
    estimated_cost: int | None = Field(None, ge=0, le=1_000_000_000)
    registry_number: str | None = Field(None, min_length=1, max_length=100)
    external_reference: str | None = Field(None, min_length=1, max_length=200)


COLUMNS = """id, revision, title, description, kind, arranger, partners, organising_unit_ids, responsible_person, occasions,
    expected_participants, actual_participants, estimated_cost, actual_cost, registry_number, external_reference, guideline_version_id,
    status, first_start, last_end, iso_week, open_findings, source_system, external_id, created_at, updated_at"""


class Event(Model):
    id: uuid.UUID
    revision: int
    title: str
    description: str | None
    kind: str
    arranger: str
    partners: list[str]
    organising_unit_ids: list[uuid.UUID]
    responsible_person: str
    occasions: list[dict]
    expected_participants: Participants | None
    actual_participants: Participants | None
    estimated_cost: int | None
    actual_cost: int | None
    registry_number: str | None
    external_reference: str | None
    guideline_version_id: uuid.UUID
    status: str
    first_start: datetime
    last_end: datetime
    iso_week: str
    open_findings: list[str]
    source_system: str | None
    external_id: str | None
    created_at: datetime
    updated_at: datetime


class Page(Model):
    items: list[Event]
    next_cursor: str | None


def caller(authorization: str = Header("")) -> dict:
    try:
        token = authorization.removeprefix("Bearer ")
        key = KEYS[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key.key, algorithms=["EdDSA"], issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"])
    except (jwt.PyJWTError, KeyError):
        raise HTTPException(401)


def may_see(event, claims) -> bool:
    return event["status"] != "draft" or "hrAdministrator" in claims["roles"] or any(str(u) in claims["units"] for u in event["organising_unit_ids"])


def etag(body: str, revision: int) -> str:
    return f'"{revision}-{hashlib.sha256(body.encode()).hexdigest()[:8]}"'


def answer(event: Event, status: int = 200) -> Response:
    body = event.model_dump_json(by_alias=True, exclude_none=True)
    return Response(body, status, {"ETag": etag(body, event.revision)}, "application/json")


@app.get("/kompetens/v1/events/{event_id}")
async def get_event(event_id: uuid.UUID, claims: dict = Depends(caller)):
    row = await app.state.pool.fetchrow(f"select {COLUMNS} from event_details where id = $1", event_id)
    if row is None or not may_see(row, claims):
        raise HTTPException(404)
    return answer(Event(**row))


@app.get("/kompetens/v1/events")
async def list_events(
    limit: int = Query(20, ge=1, le=100),
    cursor: str | None = Query(None, max_length=1000),
    from_: date = Query(date(1900, 1, 1), alias="from"),
    claims: dict = Depends(caller),
):
    at, last = datetime.combine(from_, datetime.min.time(), timezone.utc), uuid.UUID(int=0)
    after = at
    if cursor:
        key = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        after, last = datetime.fromisoformat(key[0]), uuid.UUID(key[1])
    rows = await app.state.pool.fetch(
        f"""select {COLUMNS} from event_details
            where last_end > $1 and first_start >= $2 and (first_start > $2 or id > $3)
              and (status <> 'draft' or organising_unit_ids && $4::uuid[])
            order by first_start, id limit $5""",
        at, after, last, [uuid.UUID(unit) for unit in claims["units"]], limit + 1,
    )
    items = [Event(**row) for row in rows[:limit]]
    more = None
    if len(rows) > limit:
        more = urlsafe_b64encode(json.dumps([items[-1].first_start.isoformat(), str(items[-1].id)]).encode()).decode().rstrip("=")
    return Response(Page(items=items, next_cursor=more).model_dump_json(by_alias=True, exclude_none=True), media_type="application/json")


@app.post("/kompetens/v1/events", status_code=201)
async def create_event(new: NewEvent, claims: dict = Depends(caller)):
    if "hrAdministrator" not in claims["roles"] and not any(str(unit) in claims["units"] for unit in new.organising_unit_ids):
        raise HTTPException(403)
    now, event_id = datetime.now(timezone.utc), uuid.uuid4()
    async with app.state.pool.acquire() as connection, connection.transaction():
        units = await connection.fetch("select id from units where id = any($1) and valid_from <= $2 for share", new.organising_unit_ids, now.date())
        person = await connection.fetchval("select exists (select from people where person_ref = $1)", new.responsible_person)
        if len(units) < len(new.organising_unit_ids) or not person:
            raise HTTPException(422)
        version = await connection.fetchval("select id from guideline_versions where valid_from <= $1 order by valid_from desc, posted desc limit 1", now.date())
        participants = new.expected_participants and new.expected_participants.model_dump(mode="json", by_alias=True)
        await connection.execute(
            """insert into events (id, revision, title, description, kind, arranger, partners, responsible_person, expected_participants,
                   estimated_cost, registry_number, external_reference, guideline_version_id, status, first_start, last_end, created_at, updated_at)
               values ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'draft', $13, $14, $15, $15)""",
            event_id, new.title, new.description, new.kind.value, new.arranger, new.partners, new.responsible_person, participants,
            new.estimated_cost, new.registry_number, new.external_reference, version,
            min(o.starts_at for o in new.occasions), max(o.ends_at for o in new.occasions), now,
        )
        await connection.executemany(
            "insert into event_organisers (event_id, unit_id, position) values ($1, $2, $3)",
            [(event_id, unit, position) for position, unit in enumerate(new.organising_unit_ids)],
        )
        await connection.executemany(
            "insert into occasions (id, event_id, starts_at, ends_at, place, venue_id) values ($1, $2, $3, $4, $5, $6)",
            [(uuid.uuid4(), event_id, o.starts_at, o.ends_at, o.place.value, o.venue_id) for o in new.occasions],
        )
        event = Event(**await connection.fetchrow(f"select {COLUMNS} from event_details where id = $1", event_id))
        after, salt = event.model_dump(mode="json", by_alias=True, exclude_none=True), os.urandom(16)
        digest = hashlib.sha256(salt + json.dumps(after).encode()).digest()
        entry = await connection.fetchval(
            """insert into changes (request_id, occurred_at, actor, operation, resource_type, resource_id, revision, event_id, digest)
               values ($1, $2, $3, 'create', 'event', $4, 1, $4, $5) returning entry_id""",
            str(uuid.uuid4()), now, claims["sub"], event_id, digest,
        )
        await connection.execute("insert into change_payloads (entry_id, salt, after) values ($1, $2, $3)", entry, salt, after)
    return answer(event, 201)
