import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import { currentTransaction, endedTransaction, onOutcome } from '../../model/transaction';
import { toError } from '../../support/to-error';
import type { CancelCounts, CancelOutcome } from '../definition/job-class';
import { type CancelFilter, type CancelledRow, cancelRows } from '../row/cancel';
import { Outcomes } from '../stats/class-stats';
import { StatsWriter } from '../stats/stats-table';

/** Jobs in one statement. */
const STEP = 1000;

/** How far `all` goes. */
interface Going {
  /** Aborted: it stops between two steps. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each step with the number of jobs so far. */
  readonly onProgress?: ((count: number) => void) | undefined;
}

/** Cancels jobs in Postgres, from any process. Inside a transaction that belongs to it: a rollback takes it back. */
export class Canceller {
  constructor(
    private readonly knex: Knex,
    private readonly events: Events,
  ) {}

  /** @param queue the queue that the job must be in. Default: it may be in each. @throws errors of Postgres. */
  async one(id: string, reason: string, queue?: string): Promise<CancelOutcome> {
    const knex = await this.connection();
    const rows = await cancelRows(knex, { id, queue }, reason, { limit: 1 });
    await this.tell(knex, rows, reason);
    return rows[0]?.became ?? 'gone';
  }

  /**
   * Cancels the jobs that match, a thousand in a statement; those that are enqueued meanwhile are left alone.
   * @throws errors of Postgres; some may be cancelled then.
   */
  async all(filter: CancelFilter, reason: string, { signal, onProgress }: Going = {}): Promise<CancelCounts> {
    const knex = await this.connection();
    const { rows: clock } = await knex.raw<{ rows: { readonly now: string }[] }>(
      'select clock_timestamp()::text as now',
    );
    const enqueuedUntil = clock[0]?.now ?? '-infinity';
    const counts = { cancelled: 0, requested: 0 };
    // What others have locked is waited for in the end, one by one.
    for (let waits = false; !signal?.aborted; ) {
      const bounds = { enqueuedUntil, limit: waits ? 1 : STEP, skipsLocked: !waits };
      const rows = await cancelRows(knex, filter, reason, bounds);
      for (const { became } of rows) counts[became]++;
      await this.tell(knex, rows, reason);
      if (rows.length > 0) onProgress?.(counts.cancelled + counts.requested);
      else if (waits) break;
      waits = rows.length === 0;
    }
    return counts;
  }

  private async connection(): Promise<Knex> {
    if ((await endedTransaction()) === 'rolled back') {
      throw new Error(
        'a job was cancelled in a transaction that has been rolled back: await it inside transaction(), or call it where none is open',
      );
    }
    return currentTransaction() ?? this.knex;
  }

  /** Emits the events of these jobs and counts them, once they are committed. */
  private async tell(knex: Knex, rows: readonly CancelledRow[], reason: string): Promise<void> {
    if (rows.length === 0) return;
    const told = async () => {
      for (const { became, ...job } of rows) {
        if (became === 'requested') this.events.emit('job.cancel-requested', { ...job, reason });
        else this.events.emit('job.cancelled', { ...job, reason, was: 'waiting' });
      }
      await this.count(rows.filter(({ became }) => became === 'cancelled'));
    };
    if (!knex.isTransaction) await told();
    else await onOutcome(knex as Knex.Transaction, (committed) => (committed ? told() : undefined));
  }

  /** Only job processors count what they hear of; and they need not hear of these. */
  private async count(rows: readonly CancelledRow[]): Promise<void> {
    if (rows.length === 0) return;
    const outcomes = new Outcomes();
    for (const row of rows) outcomes.class(row.class).cancelled++;
    const taken = [outcomes];
    const counter = { take: () => taken.pop() ?? new Outcomes() };
    try {
      await new StatsWriter(this.knex, counter, randomUUID()).write();
    } catch (thrown) {
      this.events.emit('process.error', { error: toError(thrown), during: 'counting cancelled jobs' });
    }
  }
}
