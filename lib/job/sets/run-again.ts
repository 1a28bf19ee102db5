import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { timeOrderedUuid } from '../../support/uuid';
import { type Keyring, readArguments } from '../record/encryption';
import { createPayload } from '../record/new-payload';
import { parsePayload } from '../record/payload';
import { insertJobs } from '../row/insert';
import type { NewJobRow } from '../row/job-row';
import type { Sql } from './set-reader';

interface FinishedRow extends Required<Pick<NewJobRow, 'id' | 'queue' | 'class' | 'payload' | 'tags' | 'priority'>> {
  readonly limitKey: string | null;
}

/**
 * Enqueues copies of finished jobs, which stay as they are: new jobs of the same class, queue, priority, arguments and tags.
 * @returns how many. @throws MissingKeyError for one whose arguments are encrypted with a key that this process lacks.
 */
export async function runAgain(knex: Knex, { sql, values }: Sql, keys: Keyring | undefined): Promise<number> {
  const { rows } = await knex.raw<{ rows: FinishedRow[] }>(
    `select id, queue, class, payload::text, tags, limit_key as "limitKey", priority from ${TABLES.finished} where id in (${sql})`,
    [...values],
  );
  await insertJobs(
    knex,
    rows.map((row) => copyOf(row, keys)),
  );
  return rows.length;
}

function copyOf({ id: finished, payload: text, limitKey, ...row }: FinishedRow, keys: Keyring | undefined): NewJobRow {
  const id = timeOrderedUuid();
  const { class: name, tags } = row;
  const payload = parsePayload(text);
  const { attrs: context, expiresInMs, encrypted } = payload;
  const args = readArguments({ ...payload, class: name }, finished, keys);
  const copy = { id, name, args, encrypt: encrypted !== undefined, tags, context, expiresInMs };
  const json = JSON.stringify(createPayload(copy, keys));
  return { ...row, id, payload: json, runAt: undefined, limitKey: limitKey ?? undefined };
}
