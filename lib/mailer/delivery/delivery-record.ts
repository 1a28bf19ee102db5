import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { withoutPasswords } from '../../core/redact';
import { runPrepared } from '../../model/prepared';
import type { Draft } from '../compose/draft';
import type { IdempotencyKey, Receipt } from '../definition/mail-types';
import { answerIn, recipients } from '../transport/transport';

/** `mine`: this run sends the mail. `sent`: an earlier run has sent it. `busy`: another run is sending it now. */
export type Claim =
  | {
      readonly verdict: 'mine';
      readonly token: string;
      /** Message-ID of the first claim, which all later runs reuse. */
      readonly messageId: string;
      /** Recipients that an earlier run has settled: the server accepted them or refused them for good. */
      readonly settled: readonly string[];
    }
  | { readonly verdict: 'sent' }
  | { readonly verdict: 'busy' };

/** Returns those of the given job ids that may run again. */
export type LivingJobs = (ids: readonly string[]) => Promise<ReadonlySet<string>>;

/** The state of each mail, so that it is sent once: it is claimed before it is sent, then marked sent or failed. */
export interface DeliveryStore {
  claim(key: IdempotencyKey, draft: Draft): Promise<Claim>;
  /** A claim older than this is renewed before its mail is sent, ms. */
  readonly renewAfterMs: number;
  /** Restarts the lease of a claim. @returns false when another run holds the claim now. */
  renew(key: string, token: string): Promise<boolean>;
  /** Marks the mail sent, whoever holds the claim now, because it is out. @param recipients default: as claimed. */
  sent(key: string, receipt: Receipt, recipients?: readonly string[]): Promise<void>;
  /**
   * Records `settled` recipients, whoever holds the claim now, so that they get no second mail; then does the same
   * as `failed`.
   */
  recordPartial(key: string, token: string, settled: readonly string[], error: Error): Promise<void>;
  /** Marks the mail failed. Does nothing under another run's claim, for that run may be sending already. */
  failed(key: string, token: string, error: Error): Promise<void>;
  /** Gives the claim back without a failure: the mail is not to be sent. Does nothing under another run's claim. */
  release(key: string, token: string): Promise<void>;
  /** Removes old records that no job can need any more. @returns the number removed. */
  prune(): Promise<number>;
}

/**
 * Lease of a claim while its process lives. It is longer than the longest send. It is no longer than an idle pooled connection
 * is kept (30 s), since that connection shows that the process lives.
 */
const LEASE_MS = 30_000;
/**
 * Retention of sent mails and of all others, for operators who look them up. Records of living jobs are kept longer.
 */
const KEEP_SENT_DAYS = 60;
const KEEP_OTHERS_DAYS = 200;
const PAGE = 500;

/** SQL: the Postgres session that runs the statement. Unlike the view of all sessions, it costs nothing to look at. */
const SESSION = 'pg_stat_get_activity(pg_backend_pid())';

/**
 * Claims a mail in one statement, so that concurrent runs cannot both get it. A failed mail may be claimed again, and
 * so may one whose claimant is gone (its Postgres session has ended) or whose lease has expired.
 */
const CLAIM = () => `
  with mine as (
    insert into ${TABLES.deliveries} as d
      (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at, claimed_by_pid, claimed_by_since)
    select ?, ?, ?, ?::text[], ?, ?, 'claimed', ?::uuid, clock_timestamp(),
      pid, backend_start from ${SESSION}
    on conflict (key) do update set
      state = 'claimed', attempts = d.attempts + 1, subject = excluded.subject, error = null, response = null,
      claim = excluded.claim,
      claimed_at = excluded.claimed_at, claimed_by_pid = excluded.claimed_by_pid,
      claimed_by_since = excluded.claimed_by_since, updated_at = now()
    where d.state = 'failed' or d.state = 'claimed' and (
      d.claimed_at < clock_timestamp() - ?::float8 * interval '1 ms'
      or not exists (
        select from pg_stat_activity a where a.pid = d.claimed_by_pid and a.backend_start = d.claimed_by_since
      ))
    returning 'mine' as verdict, settled, message_id
  )
  select verdict, settled, message_id from mine
  union all
  select state, settled, message_id from ${TABLES.deliveries} where key = ? and not exists (select from mine)`;

/**
 * Replaces NUL characters, which Postgres rejects in text. Otherwise a server's answer that holds one could not be
 * recorded, and the mail would be sent again and again.
 */
function storable(text: string | undefined): string | null {
  return text?.replaceAll('\0', '\ufffd') ?? null;
}

/** SQL for the job id, which every key begins with. */
const JOB = `split_part(key, '/', 1) collate "C"`;

interface ClaimRow {
  readonly verdict: string;
  readonly settled: string[];
  readonly message_id: string;
}

const RENEW = () => `
  update ${TABLES.deliveries} as d
  set claimed_at = clock_timestamp(), claimed_by_pid = session.pid, claimed_by_since = session.backend_start
  from ${SESSION} as session
  where d.key = ? and d.claim = ?::uuid and d.state = 'claimed'`;

const SENT = () => `
  update ${TABLES.deliveries}
  set state = 'sent', response = ?, error = ?, recipients = coalesce(?::text[], recipients), sent_at = now(),
    updated_at = now()
  where key = ?`;

/** Appends to the settled recipients instead of replacing them: of two overlapping runs, each knows only its own. */
const SETTLED = () => `
  update ${TABLES.deliveries}
  set settled = settled || array(
      select address from unnest(?::text[]) with ordinality as fresh (address, n) where address <> all (settled) order by n
    ), updated_at = now()
  where key = ? and state <> 'sent'`;

/**
 * Delivery records in Postgres, written outside the caller's transaction.
 *
 * A mail is sent once per job, unless we cannot record that the server has accepted it: the connection breaks before its
 * answer arrives, the process dies, or `DurableWrites` gives up. The mail is then sent again, with the same Message-ID,
 * because a duplicate is better than a lost mail.
 */
export class DeliveryRecord implements DeliveryStore {
  readonly renewAfterMs: number;
  private readonly leaseMs: number;
  private readonly livingJobs: LivingJobs;

  /**
   * @param options.leaseMs default 30,000 ms.
   * @param options.livingJobs finds the jobs whose records `prune` keeps. Default: keeps none.
   */
  constructor(
    private readonly knex: Knex,
    options: { readonly leaseMs?: number; readonly livingJobs?: LivingJobs } = {},
  ) {
    this.livingJobs = options.livingJobs ?? (async () => new Set());
    this.leaseMs = options.leaseMs ?? LEASE_MS;
    this.renewAfterMs = this.leaseMs / 6;
  }

  async claim({ key, messageId }: IdempotencyKey, draft: Draft): Promise<Claim> {
    const token = randomUUID();
    const { mailer, action, subject } = draft;
    const values = [key, mailer, action, recipients(draft), subject, messageId, token, this.leaseMs, key];
    const { rows } = await runPrepared<ClaimRow>(this.knex, 'catamount claim mail', CLAIM(), values);
    const { verdict, settled = [], message_id: kept = messageId } = rows[0] ?? {};
    if (verdict === 'mine') return { verdict, token, messageId: kept, settled };
    // There is no row when another run inserted it while this statement ran.
    return { verdict: verdict === 'sent' ? 'sent' : 'busy' };
  }

  async renew(key: string, token: string): Promise<boolean> {
    const { rowCount } = await this.knex.raw<{ rowCount: number }>(RENEW(), [key, token]);
    return rowCount > 0;
  }

  async sent(key: string, receipt: Receipt, recipients?: readonly string[]): Promise<void> {
    const refused = receipt.refused?.map(({ address, answer }) => `${address}: ${answer}`).join('\n');
    const to = recipients ? [...recipients] : null;
    const values = [storable(receipt.response), storable(refused), to, key];
    await runPrepared(this.knex, 'catamount record sent mail', SENT(), values);
  }

  async recordPartial(key: string, token: string, settled: readonly string[], error: Error): Promise<void> {
    await this.knex.raw(SETTLED(), [[...settled], key]);
    await this.failed(key, token, error);
  }

  async release(key: string, token: string): Promise<void> {
    await this.knex(this.knex.raw(TABLES.deliveries))
      .where({ key, claim: token, state: 'claimed', settled: '{}' })
      .delete();
    await this.failed(key, token, new Error('cancelled'));
  }

  async failed(key: string, token: string, error: Error): Promise<void> {
    await this.knex(this.knex.raw(TABLES.deliveries))
      .where({ key, claim: token, state: 'claimed' })
      .update({
        state: 'failed',
        error: storable(withoutPasswords(error.message)),
        response: storable(answerIn(error)),
        updated_at: this.knex.fn.now(),
      });
  }

  async prune(): Promise<number> {
    let pruned = 0;
    for (let last = ''; ; ) {
      const jobs = await this.jobsOfOld(last);
      if (jobs.length === 0) return pruned;
      last = jobs.at(-1) ?? last;
      const living = await this.livingJobs(jobs);
      const ended = jobs.filter((job) => !living.has(job));
      pruned += await this.old().whereRaw(`${JOB} = any(?)`, [ended]).delete();
    }
  }

  /** Returns the next page of job ids, in order. `once` stands for mails outside of jobs. */
  private async jobsOfOld(after: string): Promise<string[]> {
    const rows = await this.old()
      .whereRaw(`${JOB} > ?`, [after])
      .distinct<{ job: string }[]>(this.knex.raw(`${JOB} as job`))
      .orderBy('job')
      .limit(PAGE);
    return rows.map(({ job }) => job);
  }

  private old(): Knex.QueryBuilder {
    const before = (days: number) => this.knex.raw(`now() - interval '${days} days'`);
    return this.knex(this.knex.raw(TABLES.deliveries)).where((either) =>
      either
        .where((sent) => sent.where('state', 'sent').where('sent_at', '<', before(KEEP_SENT_DAYS)))
        .orWhere((other) => other.whereNot('state', 'sent').where('created_at', '<', before(KEEP_OTHERS_DAYS))),
    );
  }
}

export interface Run {
  readonly attempt: number | undefined;
  readonly counts: Map<string, number>;
}
