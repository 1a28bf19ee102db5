import { createHash, randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { currentContext } from '../../core/execution-context';
import { domainOf } from '../../support/email-address';
import type { Draft } from '../compose/draft';
import type { IdempotencyKey, Receipt } from '../definition/mail-types';
import { answerIn } from '../transport/smtp';
import { recipients } from '../transport/transport';

/** `mine`: go and send. `sent`: it has been sent before. `busy`: another run is sending it now. */
export type Claim =
  | {
      readonly verdict: 'mine';
      readonly token: string;
      /** As of the first claim. */
      readonly messageId: string;
      /** Recipients whom an earlier run has dealt with. */
      readonly settled: readonly string[];
    }
  | { readonly verdict: 'sent' }
  | { readonly verdict: 'busy' };

/** Which of these jobs may run again. */
export type LivingJobs = (ids: readonly string[]) => Promise<ReadonlySet<string>>;

/** What is known of each mail, so that it goes out once: claimed before it is sent, then sent or failed. */
export interface DeliveryStore {
  claim(key: IdempotencyKey, draft: Draft): Promise<Claim>;
  /** A claim that is older is to be renewed before its mail is sent, ms. */
  readonly renewAfterMs: number;
  /** The claim counts from now. @returns false when it is somebody else's by now. */
  renew(key: string, token: string): Promise<boolean>;
  /** Whoever holds the claim by now: the mail is out. @param recipients default: as claimed. */
  sent(key: string, receipt: Receipt, recipients?: readonly string[]): Promise<void>;
  /** As `failed`, but for these recipients all is done, whoever holds the claim by now: they are not sent to again. */
  recordPartial(key: string, token: string, settled: readonly string[], error: Error): Promise<void>;
  /** Only under one's own claim: a later run may be sending already. */
  failed(key: string, token: string, error: Error): Promise<void>;
  /** Only under one's own claim: the mail is not to be sent after all. */
  release(key: string, token: string): Promise<void>;
  /** Removes what no job can ask for any more. @returns how many. */
  prune(): Promise<number>;
}

/**
 * How long a claim is trusted while its process lives: longer than the longest send, and not longer than a pooled
 * connection outlives its last use (30 s), for that connection is what shows that the process lives.
 */
const LEASE_MS = 30_000;
/** For operators, who look mails up. As long as its job may run again, a record is kept in any case. */
const KEEP_SENT_DAYS = 60;
const KEEP_OTHERS_DAYS = 200;
/** Jobs that are asked for at once. */
const PAGE = 500;

/**
 * One statement decides, whatever else runs: a failed mail may be claimed again, and so may one whose claimant is gone
 * (its Postgres session ended with the process) or has held the claim too long.
 */
const CLAIM = `
  with session as (
    select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()
  ), mine as (
    insert into mail_deliveries as d
      (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at, claimed_by_pid, claimed_by_since)
    select :key, :mailer, :action, :recipients, :subject, :messageId, 'claimed', :token::uuid, clock_timestamp(),
      pid, backend_start from session
    on conflict (key) do update set
      state = 'claimed', attempts = d.attempts + 1, subject = excluded.subject, error = null, response = null,
      claim = excluded.claim,
      claimed_at = excluded.claimed_at, claimed_by_pid = excluded.claimed_by_pid,
      claimed_by_since = excluded.claimed_by_since, updated_at = now()
    where d.state = 'failed' or d.state = 'claimed' and (
      d.claimed_at < clock_timestamp() - :leaseMs * interval '1 ms'
      or not exists (
        select from pg_stat_activity a where a.pid = d.claimed_by_pid and a.backend_start = d.claimed_by_since
      ))
    returning 'mine' as verdict, settled, message_id
  )
  select verdict, settled, message_id from mine
  union all
  select state, settled, message_id from mail_deliveries where key = :key and not exists (select from mine)`;

/** What a server has said may hold a NUL, which no text of Postgres does: the mail would be sent again and again. */
function storable(text: string | undefined): string | null {
  return text?.replaceAll('\0', '\ufffd') ?? null;
}

/** Keys begin with the job's id. */
const JOB = `split_part(key, '/', 1) collate "C"`;

interface ClaimRow {
  readonly verdict: string;
  readonly settled: string[];
  readonly message_id: string;
}

const RENEW = `
  update mail_deliveries as d
  set claimed_at = clock_timestamp(), claimed_by_pid = session.pid, claimed_by_since = session.backend_start
  from pg_stat_activity as session
  where session.pid = pg_backend_pid() and d.key = ? and d.claim = ?::uuid and d.state = 'claimed'`;

const SENT = `
  update mail_deliveries
  set state = 'sent', response = ?, error = ?, recipients = coalesce(?::text[], recipients), sent_at = now(),
    updated_at = now()
  where key = ?`;

/** Added to whom is settled already: of two runs that overlap, each knows only of its own. */
const SETTLED = `
  update mail_deliveries
  set settled = settled || array(
      select address from unnest(?::text[]) with ordinality as fresh (address, n) where address <> all (settled) order by n
    ), updated_at = now()
  where key = ? and state <> 'sent'`;

/**
 * In Postgres, and never part of the caller's transaction.
 *
 * So a mail goes out once per job, with one gap that SMTP leaves: when the process dies, or the connection breaks,
 * after the server took the mail and before we heard so. It is sent again then, with the same Message-ID: rather
 * twice than never.
 */
export class DeliveryRecord implements DeliveryStore {
  readonly renewAfterMs: number;
  private readonly leaseMs: number;
  private readonly livingJobs: LivingJobs;

  /** @param options.leaseMs default 30,000. @param options.livingJobs whose records are kept. Default: none are. */
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
    const { leaseMs } = this;
    const values = { key, messageId, token, mailer, action, subject, leaseMs, recipients: recipients(draft) };
    const { rows } = await this.knex.raw<{ rows: ClaimRow[] }>(CLAIM, values);
    const { verdict, settled = [], message_id: kept = messageId } = rows[0] ?? {};
    if (verdict === 'mine') return { verdict, token, messageId: kept, settled };
    // No row: another run inserted it while this statement ran.
    return { verdict: verdict === 'sent' ? 'sent' : 'busy' };
  }

  async renew(key: string, token: string): Promise<boolean> {
    const { rowCount } = await this.knex.raw<{ rowCount: number }>(RENEW, [key, token]);
    return rowCount > 0;
  }

  async sent(key: string, receipt: Receipt, recipients?: readonly string[]): Promise<void> {
    const refused = receipt.refused?.map(({ address, answer }) => `${address}: ${answer}`).join('\n');
    const to = recipients ? [...recipients] : null;
    await this.knex.raw(SENT, [storable(receipt.response), storable(refused), to, key]);
  }

  async recordPartial(key: string, token: string, settled: readonly string[], error: Error): Promise<void> {
    await this.knex.raw(SETTLED, [[...settled], key]);
    await this.failed(key, token, error);
  }

  async release(key: string, token: string): Promise<void> {
    await this.knex('mail_deliveries').where({ key, claim: token, state: 'claimed', settled: '{}' }).delete();
    await this.failed(key, token, new Error('cancelled'));
  }

  async failed(key: string, token: string, error: Error): Promise<void> {
    await this.knex('mail_deliveries')
      .where({ key, claim: token, state: 'claimed' })
      .update({
        state: 'failed',
        error: storable(error.message),
        response: storable(answerIn(error)),
        updated_at: this.knex.fn.now(),
      });
  }

  async prune(): Promise<number> {
    let pruned = 0;
    for (let last = ''; ; ) {
      const jobs = await this.jobsOfOld(last);
      if (jobs.length === 0) return pruned;
      last = jobs[jobs.length - 1] ?? last;
      const living = await this.livingJobs(jobs);
      const ended = jobs.filter((job) => !living.has(job));
      pruned += await this.old().whereRaw(`${JOB} = any(?)`, [ended]).delete();
    }
  }

  /** The next page, by id. `once` stands for mails outside of jobs. */
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
    return this.knex('mail_deliveries').where((either) =>
      either
        .where((sent) => sent.where('state', 'sent').where('sent_at', '<', before(KEEP_SENT_DAYS)))
        .orWhere('created_at', '<', before(KEEP_OTHERS_DAYS)),
    );
  }
}

interface Run {
  readonly attempt: number | undefined;
  /** How often this run has sent the same. */
  readonly counts: Map<string, number>;
}

/**
 * Names mails within a job's run: `<job id>/<digest of action, recipients, arguments and params>/<n>`, n counting mails
 * that are otherwise alike. Anything less loses mails: of two that share a name, the one that a later run sends is taken
 * for the one that an earlier run has sent. What a run makes anew, such as a token, makes another mail of it: rather
 * twice than never.
 */
export class IdempotencyKeys {
  private readonly runs = new Map<string, Run>();

  /** Outside a job every mail has a key of its own. @param given digest of arguments and params. */
  next(draft: Draft, given: string): IdempotencyKey {
    const { jobId } = currentContext();
    const id = randomUUID();
    const key = jobId === undefined ? `once/${id}` : this.within(jobId, draft, given);
    const local = `${jobId ?? 'once'}.${id}`.replace(/[^A-Za-z0-9._-]/g, escaped);
    return { key, messageId: `<${local}@${domainOf(draft.from.address)}>` };
  }

  /** A job's run begins or has ended: its count starts anew. */
  forget(jobId: string): void {
    this.runs.delete(jobId);
  }

  private within(jobId: string, draft: Draft, given: string): string {
    const { attempt } = currentContext();
    const known = this.runs.get(jobId);
    const run: Run = known && known.attempt === attempt ? known : { attempt, counts: new Map() };
    this.runs.set(jobId, run);
    const identity = digest([draft.mailer, draft.action, ...recipients(draft).sort(), given]);
    const n = (run.counts.get(identity) ?? 0) + 1;
    run.counts.set(identity, n);
    return `${jobId}/${identity}/${n}`;
  }
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

function escaped(character: string): string {
  return `_${character.codePointAt(0)?.toString(16)}`;
}
