import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { dispatch } from '../enqueue/dispatch-script';
import { newRecord } from '../record/record';
import { Recurring } from '../recurring';
import { claimDue, deleteRows, msUntilDue } from './outbox';

/** Rows per transaction and script call. */
const BATCH = 500;
/** The poll that stands in for lost notices, ms. */
const POLL_MS = 1000;

export interface RelayOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  readonly onError: (error: Error) => void;
}

/**
 * Copies outbox rows that are due to their queues, with the row's id as the job's. A crash between Redis and COMMIT
 * makes it copy a row again, which the dispatch script sees.
 */
export class Relay {
  private noticed = false;
  private readonly chore: Recurring;

  constructor(private readonly options: RelayOptions) {
    this.chore = new Recurring({ everyMs: POLL_MS, work: () => this.pass(), onError: options.onError });
  }

  start(): void {
    this.chore.start();
  }

  /** There may be rows to copy. */
  nudge(): void {
    this.noticed = true;
    this.chore.nudge();
  }

  stop(): Promise<void> {
    return this.chore.stop();
  }

  /** @returns ms until the next row is due. */
  private async pass(): Promise<number | undefined> {
    const { knex, redis } = this.options;
    // Its `ready` nudges.
    if (!redis.isReady) return undefined;
    if (!this.noticed) {
      const ms = await msUntilDue(knex);
      if (ms === undefined || ms > 0) return ms;
    }
    this.noticed = false;
    const copied = await this.copyBatch();
    return copied === BATCH ? 0 : msUntilDue(knex);
  }

  private async copyBatch(): Promise<number> {
    const { knex, redis } = this.options;
    return knex.transaction(async (trx) => {
      const rows = await claimDue(trx, BATCH);
      if (rows.length === 0) return 0;
      const jobs = rows.map(({ id, queue, payload }) => ({ id, queue, record: newRecord(payload) }));
      const states = await dispatch(redis, jobs);
      const ended = rows.filter((_, index) => states[index] === 'finished').map((row) => row.id);
      if (ended.length > 0) await deleteRows(trx, ended);
      return rows.length;
    });
  }
}
