import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { JsonValue } from '../../../lib/core/execution-context';
import type { RedisClient } from '../../../lib/core/redis';
import { insertDeaths } from '../../../lib/job/outbox/dead-jobs';

/** A job that a test stores in Redis or Postgres. */
export interface StoredJob {
  readonly id?: string;
  readonly queue?: string;
  readonly class?: string;
  readonly args?: readonly JsonValue[];
  readonly via?: 'outbox' | 'redis' | 'fallback';
  readonly tags?: readonly string[];
  readonly requestId?: string;
  readonly attributes?: Readonly<Record<string, JsonValue>>;
  /** Messages, newest first. Each one gets a stack. */
  readonly errors?: readonly string[];
  readonly reason?: string;
  readonly timestamp?: number;
  readonly status?: string;
  readonly progress?: JsonValue;
}

const FRAMES = '\n    at run (/srv/shop/jobs/some-file.js:12:34)\n    at next (node:internal/tick:95:5)';

export function payloadText(job: StoredJob): string {
  const { class: name = 'PlainJob', args = [], via = 'redis', tags, requestId, attributes } = job;
  const attrs = { ...(requestId !== undefined && { requestId }), locale: 'en', ...(attributes && { attributes }) };
  return JSON.stringify({ v: 1, class: name, args, via, attrs, ...(tags && { tags }), enqueuedAt: 1_700_000_000_000 });
}

/** @returns the record as bee-queue and our own code write it. */
export function recordText(job: StoredJob): string {
  const { errors = [], reason, timestamp = 1_700_000_000_000, status = 'created', progress = 0 } = job;
  return JSON.stringify({
    data: JSON.parse(payloadText(job)) as unknown,
    options: {
      timestamp,
      stacktraces: errors.map((message) => `Error: ${message}${FRAMES}`),
      ...(errors.length > 0 && { attempts: errors.length }),
      ...(reason !== undefined && { reason }),
    },
    status,
    progress,
  });
}

/** Stores a dead job in Postgres. @returns its id. */
export async function storeDead(
  knex: Knex,
  job: StoredJob & { readonly at?: number; readonly text?: string | undefined },
): Promise<string> {
  const { id = randomUUID(), queue = 'default', at = 1_700_000_000_000 } = job;
  const record = 'text' in job ? job.text : recordText({ status: 'failed', ...job });
  await insertDeaths(knex, [{ id, queue, record, diedAt: at }]);
  return id;
}

/** Stores a job in Redis: in `delayed`, in `dead` on its way to Postgres, or at the tail of `waiting`. @returns its id. */
export async function store(
  redis: RedisClient,
  place: 'delayed' | 'dead' | 'waiting',
  job: StoredJob & { readonly at?: number; readonly text?: string | undefined },
): Promise<string> {
  const { id = randomUUID(), queue = 'default', at = 1_700_000_000_000 } = job;
  const usual = place === 'dead' ? 'failed' : job.errors ? 'retrying' : 'created';
  await redis.hSet(`bq:${queue}:jobs`, id, job.text ?? recordText({ status: usual, ...job }));
  if (place === 'waiting') await redis.lPush(`bq:${queue}:waiting`, id);
  else await redis.zAdd(`bq:${queue}:${place}`, { score: at, value: id });
  return id;
}
