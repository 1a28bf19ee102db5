import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { JsonValue } from '../../../lib/core/execution-context';
import { type JobHistory, searchedErrors } from '../../../lib/job/record/history';
import { SEARCH } from '../../../lib/job/row/dead';
import type { Delivery } from '../../../lib/job/row/job-row';

/** A readable UUID: `jobId(7)` ends in 07. */
export function jobId(n: number): string {
  return `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
}

/** A job that a test stores in Postgres. */
export interface StoredJob {
  readonly id?: string;
  readonly queue?: string;
  readonly class?: string;
  readonly args?: readonly JsonValue[];
  readonly tags?: readonly string[];
  readonly requestId?: string;
  readonly attributes?: Readonly<Record<string, JsonValue>>;
  /** Messages, newest first. Each one gets a stack. */
  readonly errors?: readonly string[];
  readonly reason?: string;
  readonly progress?: JsonValue;
  /** Time of death, or of the next run, ms since 1970. */
  readonly at?: number;
  /** The payload, as JSON. Default: one that has the fields above. */
  readonly payload?: string;
}

const FRAMES = '\n    at run (/srv/shop/jobs/some-file.js:12:34)\n    at next (node:internal/tick:95:5)';

export function payloadText(job: StoredJob): string {
  const { class: name = 'PlainJob', args = [], tags, requestId, attributes } = job;
  const attrs = { ...(requestId !== undefined && { requestId }), locale: 'en', ...(attributes && { attributes }) };
  return JSON.stringify({ v: 1, class: name, args, attrs, ...(tags && { tags }), enqueuedAt: 1_700_000_000_000 });
}

function historyOf({ errors = [], reason }: StoredJob): JobHistory {
  return {
    stacktraces: errors.map((message) => `Error: ${message}${FRAMES}`),
    ...(reason !== undefined && { reason }),
  };
}

const COLUMNS = ['id', 'queue', 'class', 'payload', 'tags', 'attempts', 'history', 'error', 'messages', 'progress'];

function valuesOf(job: StoredJob, id: string): unknown[] {
  const { queue = 'default', class: name = 'PlainJob', tags = [], errors = [], progress } = job;
  const history = historyOf(job);
  const { error, messages } = searchedErrors(history);
  const payload = job.payload ?? payloadText(job);
  const written = progress === undefined ? null : JSON.stringify(progress);
  return [id, queue, name, payload, tags, errors.length, JSON.stringify(history), error, messages, written];
}

const AT = `timestamptz 'epoch' + ?::float8 * interval '1 millisecond'`;

/** A job as a claim has it. */
export function deliveryOf(payload: string, more: Partial<Delivery> = {}): Delivery {
  const counts = { attempts: 0, deliveries: 1, readyAt: 0 };
  return { id: 'id-1', queue: 'default', payload, history: null, claimedAt: '', limitKey: null, ...counts, ...more };
}

/** Stores a dead job. @returns its id. */
export async function storeDead(knex: Knex, job: StoredJob): Promise<string> {
  const { id = randomUUID(), at = 1_700_000_000_000 } = job;
  await knex.raw(
    `insert into job_dead (${COLUMNS}, search, died_at)
     select ${COLUMNS}, ${SEARCH}, died_at
     from (values (?::uuid, ?, ?, ?::json, ?::text[], ?::int, ?::json, ?, ?, ?::json, ${AT}))
       as job (${COLUMNS}, died_at)`,
    [...valuesOf(job, id), at] as Knex.RawBinding[],
  );
  return id;
}

/** Stores a finished job. @param ending the JSON of an `Ending`. @returns its id. */
export async function storeFinished(knex: Knex, job: StoredJob, ending: object): Promise<string> {
  const { id = randomUUID(), at = 1_700_000_000_000 } = job;
  await knex.raw(
    `insert into job_finished (${COLUMNS}, search, finished_at, ending, keep_until, keep_limit)
     select ${COLUMNS}, ${SEARCH}, finished_at, ?, now() + interval '1 day', 10
     from (values (?::uuid, ?, ?, ?::json, ?::text[], ?::int, ?::json, ?, ?, ?::json, ${AT}))
       as job (${COLUMNS}, finished_at)`,
    [JSON.stringify(ending), ...valuesOf(job, id), at] as Knex.RawBinding[],
  );
  return id;
}

/** Stores a job that waits, or that is scheduled: with errors it is a retry. @returns its id. */
export async function store(knex: Knex, state: 'ready' | 'scheduled' | 'held', job: StoredJob): Promise<string> {
  const { id = randomUUID(), at = 1_700_000_000_000 } = job;
  await knex.raw(
    `insert into job_queue (${COLUMNS}, state, run_at)
     values (?::uuid, ?, ?, ?::json, ?::text[], ?::int, ?::json, ?, ?, ?::json, ?, ${AT})`,
    [...valuesOf(job, id), state, at] as Knex.RawBinding[],
  );
  return id;
}
