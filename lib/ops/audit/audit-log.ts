import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { EventMap, EventName, Events } from '../../core/events';
import { type RecentEvent, recentEvent } from '../../core/notable-events';
import { toError } from '../../support/to-error';

/** How long it is kept, days; what is older goes as new entries come, this many at once. */
const KEPT_DAYS = 90;
const PRUNED = 100;

/** What operators do with jobs, mails and sessions. Commands for a tree are the primary's to report: `record` keeps those. */
const AUDITED = [
  'operator.jobs',
  'operator.queue',
  'operator.cron',
  'operator.adopted',
  'operator.mails',
  'operator.sign-in',
] as const satisfies readonly EventName[];

export interface AuditEntry extends RecentEvent {
  readonly id: string;
  /** A `Caller`, such as `pages:ada@shop.example` or `cli:ada`. */
  readonly who: string;
}

/** Who did what: kept in Postgres, for all trees. */
export class AuditLog {
  private under = Promise.resolve();

  constructor(
    private readonly knex: Knex,
    private readonly events: Events,
  ) {}

  /** Records what operators do in this process, from now on. */
  follow(): this {
    this.events.onAny((name, payload) => {
      // A wrong password did nothing; the log has it.
      if (name === 'operator.sign-in' && !(payload as EventMap['operator.sign-in']).role) return;
      this.record(name, payload);
    }, AUDITED);
    return this;
  }

  /** Records one event. An error of Postgres is reported: what was done stays done. */
  record<E extends EventName>(name: E, payload: EventMap[E]): void {
    const { at, about } = recentEvent(name, payload);
    const who = String(about.via ?? `pages:${about.address}`);
    const kept = this.knex.raw(
      `with pruned as (
         delete from ${TABLES.audit} where id in (select id from ${TABLES.audit} order by id limit ${PRUNED})
           and at < clock_timestamp() - interval '${KEPT_DAYS} days')
       insert into ${TABLES.audit} (at, who, name, about) values (?, ?, ?, ?)`,
      [at, who, name, JSON.stringify(about)],
    );
    this.under = Promise.all([this.under, kept.catch((thrown) => this.report(thrown))]).then(() => undefined);
  }

  recorded(): Promise<void> {
    return this.under;
  }

  /**
   * Reads the newest entries.
   * @param who text that the caller contains, whatever its case. @param before id of the entry after them; null: the newest.
   */
  async list({ who, before, limit }: { who: string; before: string | null; limit: number }): Promise<AuditEntry[]> {
    const { rows } = await this.knex.raw<{ rows: (Omit<AuditEntry, 'at'> & { readonly at: Date })[] }>(
      `select id, at, who, name, about from ${TABLES.audit}
       where strpos(lower(who), lower(?)) > 0 and id < coalesce(?::bigint, 9223372036854775807)
       order by id desc limit ?`,
      [who, before, limit],
    );
    return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
  }

  private report(thrown: unknown): void {
    this.events.emit('process.error', { error: toError(thrown), during: 'recording what an operator did' });
  }
}
