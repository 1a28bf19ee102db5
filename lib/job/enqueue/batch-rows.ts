import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import { currentTransaction, endedTransaction, onOutcome } from '../../model/transaction';
import type { BatchStatus, BatchStore, NewBatch } from '../definition/batch';
import type { CancelCounts, EnqueueRequest } from '../definition/job-class';
import { createBatch, endBatch, sealBatch } from '../row/batch';
import { readBatches } from '../row/batch-status';
import type { NewJobRow } from '../row/job-row';
import { JobSet } from '../sets/job-set';
import { Canceller } from './canceller';

/** Batches in Postgres, from any process. What is done inside a transaction belongs to it. */
export class BatchRows implements Omit<BatchStore, 'create'> {
  constructor(
    private readonly knex: Knex,
    private readonly events: Events,
    /** Called with batches that may have ended, once that is committed. */
    private readonly onChanged: (ids: readonly string[]) => void,
  ) {}

  async seal(id: string): Promise<void> {
    const knex = await this.connection();
    await sealBatch(knex, id);
    this.changed(knex, [id]);
  }

  async status(id: string): Promise<BatchStatus | undefined> {
    return (await readBatches(await this.connection(), { id }))[0];
  }

  async cancel(id: string, reason: string): Promise<CancelCounts> {
    const knex = await this.connection();
    const counts = { cancelled: 0, requested: 0 };
    const ids = await endBatch(knex, id);
    for (const batch of ids) {
      const { cancelled, requested } = await new Canceller(this.knex, this.events).cancel({ batch }, reason);
      counts.cancelled += cancelled;
      counts.requested += requested;
    }
    // A batch around it waits for it no longer.
    this.changed(knex, ids);
    return counts;
  }

  async retryDead(id: string): Promise<number> {
    const dead = new JobSet({ knex: await this.connection(), events: this.events }, 'dead');
    return (await dead.move('retry', { filter: { batch: id } })).moved;
  }

  private changed(knex: Knex, ids: readonly string[]): void {
    if (!knex.isTransaction) this.onChanged(ids);
    else onOutcome(knex as Knex.Transaction, (committed) => committed && this.onChanged(ids));
  }

  protected async connection(): Promise<Knex> {
    if ((await endedTransaction()) === 'rolled back') {
      throw new Error(
        'a batch was used in a transaction that has been rolled back: await it inside transaction(), or use it where none is open',
      );
    }
    return currentTransaction() ?? this.knex;
  }
}

/** Batches as the code of an app uses them. */
export class AppBatches extends BatchRows implements BatchStore {
  constructor(
    knex: Knex,
    events: Events,
    onChanged: (ids: readonly string[]) => void,
    private readonly toRow: (request: EnqueueRequest) => NewJobRow,
  ) {
    super(knex, events, onChanged);
  }

  async create({ callbacks, ...batch }: NewBatch<EnqueueRequest>): Promise<void> {
    // A callback knows its batch, but is no job of it.
    const rows = Object.entries(callbacks).map(
      ([event, request]) => [event, { ...this.toRow(request), batchId: undefined }] as const,
    );
    await createBatch(await this.connection(), { ...batch, callbacks: Object.fromEntries(rows) });
  }
}
