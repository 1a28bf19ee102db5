import type { LivingJobsSources } from '../job/set/living-jobs';
import { countMailsToRetry, TODAY } from './mails-to-retry';

export interface MailFacts {
  /** Since midnight, UTC. */
  readonly sentToday: number;
  /** Those that will be sent again are not among them, as far as Redis tells. */
  readonly failedToday: number;
  /** They have failed, and their jobs will send them again by themselves. */
  readonly retryingToday: number;
  /** null: no record tells of any. */
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

/** Of what was begun before only the last that was sent is looked at, by its index: the table may be long. */
const SQL = `
  with recent as (
    select state, sent_at, updated_at, error,
      ${TODAY} as today
    from mail_deliveries where created_at >= now() - interval '1 day'
  ), failure as (
    select updated_at, error from recent where state = 'failed' order by updated_at desc limit 1
  ), sent as (
    select max(sent_at) as last from mail_deliveries where state = 'sent'
  )
  select count(*) filter (where today and state = 'sent')::int as sent,
    count(*) filter (where today and state = 'failed')::int as failed,
    (select last from sent) as last_sent, (select updated_at from failure) as last_failed, (select error from failure) as error,
    count(*) filter (where state = 'failed' and updated_at > coalesce((select last from sent), '-infinity'))::int
      as failed_since
  from recent`;

/** @throws what Postgres does. */
export async function readMail(sources: LivingJobsSources): Promise<MailFacts> {
  const { rows } = await sources.knex.raw<{ rows: Row[] }>(SQL);
  const [row] = rows;
  if (!row) throw new Error('Postgres told nothing of mails');
  const { last_sent: lastSent, last_failed: failedAt, error } = row;
  // Without Redis nobody knows of jobs.
  const retrying = row.failed === 0 ? 0 : await countMailsToRetry(sources).catch(() => 0);
  const failing = failedAt !== null && (lastSent === null || failedAt > lastSent);
  return {
    sentToday: row.sent,
    failedToday: Math.max(0, row.failed - retrying),
    retryingToday: retrying,
    lastSent,
    failedSince: row.failed_since,
    failure: failing ? { at: failedAt, error: error ?? '' } : null,
  };
}
