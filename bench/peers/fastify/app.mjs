// Get, list and create as a Fastify user would write them, on the service's own tables.

import cluster from 'node:cluster'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { createLocalJWKSet, jwtVerify } from 'jose'
import pg from 'pg'

const { DATABASE_URL, PORT, JWKS_FILE, ISSUER, AUDIENCE } = process.env

if (cluster.isPrimary) {
  cluster.fork()
  cluster.fork()
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.kill()
    process.exit()
  })
} else {
  await serve()
}

async function serve() {
  pg.types.setTypeParser(pg.types.builtins.INT8, Number)
  const url = new URL(DATABASE_URL.replace('///', '//x/'))
  const pool = new pg.Pool({
    host: url.searchParams.get('host'), port: Number(url.searchParams.get('port')), user: url.searchParams.get('user'),
    database: url.pathname.slice(1), max: 4,
  })
  const keys = createLocalJWKSet(JSON.parse(readFileSync(JWKS_FILE)))
  const app = Fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: 'array' } } })

  app.addHook('onRequest', async (request, reply) => {
    try {
      const token = (request.headers.authorization ?? '').replace(/^Bearer /, '')
      request.claims = (await jwtVerify(token, keys, { issuer: ISSUER, audience: AUDIENCE })).payload
    } catch {
      return reply.code(401).send({ title: 'unauthenticated' })
    }
  })

  const uuid = { type: 'string', format: 'uuid' }
  const text = (maxLength) => ({ type: 'string', minLength: 1, maxLength })
  const participants = {
    type: 'object', required: ['total'], additionalProperties: false,
    properties: {
      total: { type: 'integer', minimum: 0, maximum: 100000 },
      perUnit: {
        type: 'array', maxItems: 200,
        items: { type: 'object', required: ['unitId', 'count'], additionalProperties: false, properties: { unitId: uuid, count: { type: 'integer', minimum: 0, maximum: 100000 } } },
      },
    },
  }
  const moment = { type: 'string', format: 'date-time' }
  const occasion = { type: 'object', properties: { id: uuid, startsAt: moment, endsAt: moment, place: { type: 'string' }, venueId: uuid } }
  const event = {
    type: 'object',
    properties: {
      id: uuid, revision: { type: 'integer' }, title: { type: 'string' }, description: { type: 'string' }, kind: { type: 'string' },
      arranger: { type: 'string' }, partners: { type: 'array', items: { type: 'string' } }, organisingUnitIds: { type: 'array', items: uuid },
      responsiblePerson: { type: 'string' }, occasions: { type: 'array', items: occasion }, expectedParticipants: participants,
      actualParticipants: participants, estimatedCost: { type: 'integer' }, actualCost: { type: 'integer' }, registryNumber: { type: 'string' },
      externalReference: { type: 'string' }, guidelineVersionId: uuid, status: { type: 'string' }, firstStart: moment, lastEnd: moment,
      isoWeek: { type: 'string' }, openFindings: { type: 'array', items: { type: 'string' } }, sourceSystem: { type: 'string' },
      externalId: { type: 'string' }, createdAt: moment, updatedAt: moment,
    },
  }
  const newEvent = {
    type: 'object', additionalProperties: false,
    required: ['title', 'kind', 'arranger', 'organisingUnitIds', 'responsiblePerson', 'occasions'],
    properties: {
      title: { ...text(200), pattern: '\\S' }, description: { type: 'string', maxLength: 5000 },
      kind: { enum: ['planningDay', 'kickOff', 'trainingDay', 'training', 'conference', 'other'] }, arranger: { enum: ['group', 'coArranged'] },
      partners: { type: 'array', items: text(200) }, organisingUnitIds: { type: 'array', items: uuid, minItems: 1, maxItems: 20 },
      responsiblePerson: text(100),
      occasions: {
        type: 'array', minItems: 1, maxItems: 100,
        items: {
          type: 'object', additionalProperties: false, required: ['startsAt', 'endsAt', 'place'],
          properties: { startsAt: moment, endsAt: moment, place: { enum: ['venue', 'digital', 'undecided'] }, venueId: uuid },
        },
      },
      expectedParticipants: participants, estimatedCost: { type: 'integer', minimum: 0, maximum: 1000000000 },
      registryNumber: text(100), externalReference: text(200),
    },
  }

  const columns = `id, revision, title, description, kind, arranger, partners, organising_unit_ids as "organisingUnitIds",
    responsible_person as "responsiblePerson", occasions, expected_participants as "expectedParticipants",
    actual_participants as "actualParticipants", estimated_cost as "estimatedCost", actual_cost as "actualCost",
    registry_number as "registryNumber", external_reference as "externalReference", guideline_version_id as "guidelineVersionId", status,
    first_start as "firstStart", last_end as "lastEnd", iso_week as "isoWeek", open_findings as "openFindings",
    source_system as "sourceSystem", external_id as "externalId", created_at as "createdAt", updated_at as "updatedAt"`
  const clean = (row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
  const maySee = (row, claims) =>
    row.status !== 'draft' || claims.roles.includes('hrAdministrator') || row.organisingUnitIds.some((unit) => claims.units.includes(unit))
  const etag = (row) => `"${row.revision}-${createHash('sha256').update(JSON.stringify(row)).digest('hex').slice(0, 8)}"`

  app.get('/kompetens/v1/events/:id', { schema: { params: { type: 'object', properties: { id: uuid } }, response: { 200: event } } }, async (request, reply) => {
    const { rows } = await pool.query({ name: 'get', text: `select ${columns} from event_details where id = $1`, values: [request.params.id] })
    if (rows.length === 0 || !maySee(rows[0], request.claims)) return reply.code(404).send({ title: 'not found' })
    const row = clean(rows[0])
    return reply.header('etag', etag(row)).send(row)
  })

  const query = {
    type: 'object',
    properties: { limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 }, cursor: text(1000), from: { type: 'string', format: 'date', default: '1900-01-01' } },
  }
  const page = { type: 'object', properties: { items: { type: 'array', items: event }, nextCursor: { type: 'string' } } }
  app.get('/kompetens/v1/events', { schema: { querystring: query, response: { 200: page } } }, async (request) => {
    const { limit, cursor, from } = request.query
    const [after, last] = cursor ? JSON.parse(Buffer.from(cursor, 'base64url')) : [from, '00000000-0000-0000-0000-000000000000']
    const { rows } = await pool.query({
      name: 'list',
      text: `select ${columns} from event_details
             where last_end > $1 and first_start >= $2 and (first_start > $2 or id > $3) and (status <> 'draft' or organising_unit_ids && $4::uuid[])
             order by first_start, id limit $5`,
      values: [from, after, last, request.claims.units, limit + 1],
    })
    const items = rows.slice(0, limit).map(clean)
    const end = items.at(-1)
    const nextCursor = rows.length > limit ? Buffer.from(JSON.stringify([end.firstStart, end.id])).toString('base64url') : undefined
    return { items, nextCursor }
  })

  app.post('/kompetens/v1/events', { schema: { body: newEvent, response: { 201: event } } }, async (request, reply) => {
    const { body, claims } = request
    if (!claims.roles.includes('hrAdministrator') && !body.organisingUnitIds.some((unit) => claims.units.includes(unit))) {
      return reply.code(403).send({ title: 'forbidden' })
    }
    const bad = body.occasions.some((o) => new Date(o.endsAt) <= new Date(o.startsAt) || (o.place === 'venue') !== (o.venueId !== undefined))
    if (bad) return reply.code(422).send({ title: 'invalid body' })
    const [now, id] = [new Date(), randomUUID()]
    const client = await pool.connect()
    try {
      await client.query('begin')
      const run = (name, text, values) => client.query({ name, text, values })
      const units = await run('units', 'select id from units where id = any($1) and valid_from <= $2 for share', [body.organisingUnitIds, now])
      const person = await run('person', 'select from people where person_ref = $1', [body.responsiblePerson])
      if (units.rowCount < body.organisingUnitIds.length || person.rowCount === 0) {
        await client.query('rollback')
        return reply.code(422).send({ title: 'unknown unit or person' })
      }
      const version = await run('version', 'select id from guideline_versions where valid_from <= $1 order by valid_from desc, posted desc limit 1', [now])
      const starts = body.occasions.map((o) => new Date(o.startsAt)).sort((a, b) => a - b)
      const ends = body.occasions.map((o) => new Date(o.endsAt)).sort((a, b) => a - b)
      await run('event',
        `insert into events (id, revision, title, description, kind, arranger, partners, responsible_person, expected_participants,
           estimated_cost, registry_number, external_reference, guideline_version_id, status, first_start, last_end, created_at, updated_at)
         values ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'draft', $13, $14, $15, $15)`,
        [id, body.title, body.description, body.kind, body.arranger, JSON.stringify(body.partners ?? []), body.responsiblePerson,
          body.expectedParticipants, body.estimatedCost, body.registryNumber, body.externalReference, version.rows[0].id, starts[0], ends.at(-1), now])
      for (const [position, unit] of body.organisingUnitIds.entries()) {
        await run('organiser', 'insert into event_organisers (event_id, unit_id, position) values ($1, $2, $3)', [id, unit, position])
      }
      for (const o of body.occasions) {
        await run('occasion', 'insert into occasions (id, event_id, starts_at, ends_at, place, venue_id) values ($1, $2, $3, $4, $5, $6)',
          [randomUUID(), id, o.startsAt, o.endsAt, o.place, o.venueId])
      }
      const row = clean((await run('get', `select ${columns} from event_details where id = $1`, [id])).rows[0])
      const [after, salt] = [JSON.stringify(row), randomBytes(16)]
      const digest = createHash('sha256').update(salt).update(after).digest()
      const entry = await run('change',
        `insert into changes (request_id, occurred_at, actor, operation, resource_type, resource_id, revision, event_id, digest)
         values ($1, $2, $3, 'create', 'event', $4, 1, $4, $5) returning entry_id`, [randomUUID(), now, claims.sub, id, digest])
      await run('payload', 'insert into change_payloads (entry_id, salt, after) values ($1, $2, $3)', [entry.rows[0].entry_id, salt, after])
      await client.query('commit')
      return reply.code(201).header('etag', etag(row)).send(row)
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  })

  await app.listen({ host: '127.0.0.1', port: Number(PORT) })
}
