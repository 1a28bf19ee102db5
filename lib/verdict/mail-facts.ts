import type { Knex } from 'knex';

export interface MailFacts {
  /** Since midnight, UTC. */
  readonly sentToday: number;
  readonly failedToday: number;
  readonly lastSent: Date | null;
  /** Mails that failed after the last one that was sent. */
  readonly failedSince: number;
  /** The last failure, when no mail was sent after it. */
  readonly failure: { readonly at: Date; readonly error: string } | null;
}

interface Row {
  readonly sent: number;
  readonly failed: number;
  readonly last_sent: Date | null;
  readonly last_failed: Date | null;
  readonly error: string | null;
  readonly failed_since: number;
}

/** What was begun before is not looked at: the table may be long. */
const SQL = `
  with recent as (
    select state, sent_at, updated_at, error,
      created_at >= date_trunc('day', now() at time zone 'utc') at time zone 'utc' as today
    from mail_deliveries where created_at >= now() - interval '1 day'
  ), failure as (
    select updated_at, error from recent where state = 'failed' order by updated_at desc limit 1
  )
  select count(*) filter (where today and state = 'sent')::int as sent,
    count(*) filter (where today and state = 'failed')::int as failed,
    max(sent_at) as last_sent, (select updated_at from failure) as last_failed, (select error from failure) as error,
    count(*) filter (where state = 'failed' and updated_at > coalesce((select max(sent_at) from recent), '-infinity'))::int
      as failed_since
  from recent`;

/** @throws what Postgres does. */
export async function readMail(knex: Knex): Promise<MailFacts> {
  const { rows } = await knex.raw<{ rows: Row[] }>(SQL);
  const [row] = rows;
  if (!row) throw new Error('Postgres told nothing of mails');
  const { last_sent: lastSent, last_failed: failedAt, error } = row;
  const failing = failedAt !== null && (lastSent === null || failedAt > lastSent);
  return {
    sentToday: row.sent,
    failedToday: row.failed,
    lastSent,
    failedSince: row.failed_since,
    failure: failing ? { at: failedAt, error: error ?? '' } : null,
  };
}
