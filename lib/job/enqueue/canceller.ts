import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import { currentTransaction, endedTransaction, onOutcome } from '../../model/transaction';
import { toError } from '../../support/to-error';
import type { CancelCounts } from '../definition/job-class';
import { type CancelBounds, type CancelChoice, type CancelledRow, cancelRows } from '../row/cancel';
import { Outcomes } from '../stats/class-stats';
import { StatsWriter } from '../stats/stats-table';

/** Jobs in one statement. */
const STEP = 1000;

/** How far a cancel of many goes. */
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

  /**
   * Cancels the job, or the jobs that match. Those are cancelled a thousand in a statement, and what is enqueued meanwhile is
   * left alone. @throws errors of Postgres; some may be cancelled then.
   */
  async cancel(choice: CancelChoice, reason: string, { signal, onProgress }: Going = {}): Promise<CancelCounts> {
    const knex = await this.connection();
    const counts = { cancelled: 0, requested: 0 };
    const step = async (bounds: CancelBounds) => {
      const rows = await cancelRows(knex, choice, reason, bounds);
      for (const { became } of rows) counts[became]++;
      if (rows.length > 0) await this.tell(knex, rows, reason);
      return rows.length;
    };
    if ('id' in choice) {
      await step({ limit: 1 });
      return counts;
    }
    const { rows } = await knex.raw<{ rows: { readonly now: string }[] }>('select clock_timestamp()::text as now');
    const enqueuedUntil = rows[0]?.now ?? '-infinity';
    while (!signal?.aborted) {
      let count = await step({ enqueuedUntil, limit: STEP, skipsLocked: true });
      // What others have locked is waited for in the end, one by one.
      if (count === 0) count = await step({ enqueuedUntil, limit: 1 });
      if (count === 0) break;
      onProgress?.(counts.cancelled + counts.requested);
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

  /** Emits the events of the jobs that have left, and counts them, once they are committed. */
  private async tell(knex: Knex, rows: readonly CancelledRow[], reason: string): Promise<void> {
    const left = rows.filter(({ became }) => became === 'cancelled');
    const told = async () => {
      for (const { became: _, ...job } of left) this.events.emit('job.cancelled', { ...job, reason, was: 'waiting' });
      await this.count(left);
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
