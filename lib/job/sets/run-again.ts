import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { timeOrderedUuid } from '../../support/uuid';
import { jobEquipment } from '../enqueue/connection';
import { readArguments, requireKeys } from '../record/encryption';
import { type Payload, parsePayload } from '../record/payload';
import { insertJobs } from '../row/insert';
import type { NewJobRow } from '../row/job-row';
import type { Sql } from './set-reader';

interface FinishedRow {
  readonly id: string;
  readonly queue: string;
  readonly class: string;
  readonly payload: string;
  readonly tags: readonly string[];
  readonly limit_key: string | null;
  readonly priority: number;
}

/**
 * Enqueues copies of finished jobs, which stay as they are: new jobs of the same class, queue, priority, arguments and tags.
 * @returns how many. @throws UserError or MissingKeyError for one whose arguments are encrypted with a key that this process lacks.
 */
export async function runAgain(knex: Knex, { sql, values }: Sql): Promise<number> {
  const { rows } = await knex.raw<{ rows: FinishedRow[] }>(
    `select id, queue, class, payload::text, tags, limit_key, priority from ${TABLES.finished} where id in (${sql})`,
    [...values],
  );
  await insertJobs(knex, rows.map(copyOf));
  return rows.length;
}

function copyOf({
  id: finished,
  queue,
  class: name,
  payload: text,
  tags,
  limit_key: limitKey,
  priority,
}: FinishedRow): NewJobRow {
  const id = timeOrderedUuid();
  const { v, attrs, expiresInMs, encrypted, args } = parsePayload(text);
  const payload: Payload = {
    v,
    class: name,
    ...(encrypted === undefined ? { args } : { args: [], encrypted: encryptedAgain(encrypted, name, finished, id) }),
    attrs,
    ...(tags.length > 0 && { tags }),
    ...(expiresInMs !== undefined && { expiresInMs }),
    enqueuedAt: Date.now(),
  };
  const json = JSON.stringify(payload);
  return { id, queue, class: name, payload: json, tags, runAt: undefined, limitKey: limitKey ?? undefined, priority };
}

/** Encrypted arguments belong to the id of their job. */
function encryptedAgain(encrypted: string, name: string, from: string, to: string): string {
  const keys = requireKeys(name, jobEquipment().keys);
  return keys.encrypt(readArguments({ class: name, args: [], encrypted }, from, keys), { id: to, class: name });
}
