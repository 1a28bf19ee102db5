import type { Knex } from 'knex';
import type { CheckedFilter } from './filter';
import { jsonNeedles, plainNeedles } from './needle';

/** A condition on rows of `job_outbox`, with its bindings. */
export interface RowCondition {
  readonly sql: string;
  readonly values: readonly Knex.RawBinding[];
}

/** Rows whose jobs Redis does not know yet, and whose time has not come. `now()`: an index can be asked for it. */
export const SCHEDULED = 'dispatched_at is null and run_at > now()';

/** What `filter-lua.ts` is to Redis. The text is looked for in the whole payload first: few rows must be parsed then. */
export function rowCondition(filter: CheckedFilter): RowCondition {
  const parts: RowCondition[] = [{ sql: SCHEDULED, values: [] }];
  const { queues, class: name, tag, error, text, since, until, failedSince } = filter;
  if (queues) parts.push({ sql: 'queue = any(?::text[])', values: [[...queues]] });
  if (name !== undefined) parts.push({ sql: 'class = ?', values: [name] });
  if (tag !== undefined) {
    const exists = `exists (select from json_array_elements_text(payload::json -> 'tags') as tag (name) where name = ?)`;
    parts.push({ sql: `strpos(payload, ?) > 0 and ${exists}`, values: [JSON.stringify(tag), tag] });
  }
  // They have not run yet: there are no errors.
  if (error !== undefined || failedSince !== undefined) parts.push({ sql: 'false', values: [] });
  if (text !== undefined) parts.push(textCondition(text));
  if (since !== undefined) parts.push({ sql: 'run_at >= ?::timestamptz', values: [new Date(since).toISOString()] });
  if (until !== undefined) parts.push({ sql: 'run_at <= ?::timestamptz', values: [new Date(until).toISOString()] });
  return { sql: parts.map((part) => `(${part.sql})`).join(' and '), values: parts.flatMap((part) => part.values) };
}

export function theseRows(ids: readonly string[], queues?: readonly string[]): RowCondition {
  const these = { sql: `${SCHEDULED} and id = any(?::uuid[])`, values: [[...ids]] };
  return queues ? { sql: `${these.sql} and queue = any(?::text[])`, values: [...these.values, [...queues]] } : these;
}

const WITHIN = [
  `payload::json -> 'args'`,
  `payload::json -> 'tags'`,
  `payload::json -> 'attrs' -> 'requestId'`,
  `payload::json -> 'attrs' -> 'attributes'`,
].map((part) => `lower((${part})::text) like any (?)`);

function textCondition(text: string): RowCondition {
  const plain = plainNeedles(text).map(likePattern);
  const encoded = jsonNeedles(text).map(likePattern);
  return {
    sql: `lower(id::text) like any (?) or lower(class) like any (?) or lower(payload) like any (?) and (${WITHIN.join(' or ')})`,
    values: [plain, plain, encoded, ...WITHIN.map(() => encoded)],
  };
}

function likePattern(needle: string): string {
  return `%${needle.replace(/[\\%_]/g, '\\$&')}%`;
}
