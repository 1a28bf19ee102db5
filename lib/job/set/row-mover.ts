import type { Knex } from 'knex';
import { deleteRows, isUuid } from '../outbox/outbox';
import { newRecord } from '../record/record';
import { buryUnknown } from './bury-script';
import type { CheckedFilter } from './filter';
import type { Move } from './mover';
import type { CheckedRef } from './reference';
import { killedRecord, rewritten } from './rewrites';
import { rowCondition, theseRows } from './row-filter';
import { databaseTime, deleteScheduledRows, lockRows, type RowChoice, rescheduleRows, runRows } from './scheduled-rows';
import type { BulkRun } from './selection';
import { settleRows } from './settle-rows';
import type { SetSources } from './sources';

/** Moves jobs that wait in the outbox. */
export class RowMover {
  constructor(private readonly sources: Pick<SetSources, 'knex' | 'redis'>) {}

  /** @returns how many were moved. */
  async moveRefs(move: Move, refs: readonly CheckedRef[]): Promise<number> {
    let moved = 0;
    // One statement for all that name no queue, and one for each queue that is named.
    for (const queue of new Set(refs.map((ref) => ref.queue))) {
      const ids = [...new Set(refs.filter((ref) => ref.queue === queue && isUuid(ref.id)).map((ref) => ref.id))];
      if (ids.length === 0) continue;
      const condition = theseRows(ids, queue === undefined ? undefined : [queue]);
      moved += (await this.move(move, { condition, limit: ids.length, locked: 'wait' })).moved;
    }
    return moved;
  }

  /** @returns whether it came to the end. */
  async moveMatching(move: Move, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    const condition = rowCondition(filter);
    const until = await databaseTime(this.sources.knex);
    while (run.chunk > 0) {
      const limit = run.chunk;
      const { moved, chosen } = await this.move(move, { condition, limit, locked: 'pass over', until });
      run.add(moved);
      // Chosen but not moved: it would be chosen for ever.
      if (chosen < limit || moved === 0) return true;
    }
    return false;
  }

  private async move(move: Move, choice: RowChoice): Promise<{ readonly moved: number; readonly chosen: number }> {
    const { knex } = this.sources;
    if (move.to === 'bury') return this.bury(choice);
    const moved = await (move.to === 'queue'
      ? runRows(knex, choice)
      : move.to === 'delay'
        ? rescheduleRows(knex, choice, move.at ?? 0)
        : deleteScheduledRows(knex, choice));
    return { moved, chosen: moved };
  }

  /**
   * Dead in Redis first, then the row goes: after a crash between the two the settler deletes it. The lock keeps the
   * relay and other operators away meanwhile.
   */
  private async bury(choice: RowChoice): Promise<{ readonly moved: number; readonly chosen: number }> {
    const { knex, redis } = this.sources;
    const { rows, buried } = await knex.transaction((trx: Knex.Transaction) => this.buryLocked(trx, choice));
    await settleRows({ knex, redis }, buried);
    return { moved: buried.length, chosen: rows };
  }

  private async buryLocked(trx: Knex.Transaction, choice: RowChoice) {
    const rows = await lockRows(trx, choice);
    if (rows.length === 0) return { rows: 0, buried: [] };
    const jobs = rows.map(({ id, queue, payload }) => {
      const fresh = newRecord(payload);
      return { id, queue, record: rewritten(fresh, killedRecord) ?? fresh };
    });
    const states = await buryUnknown(this.sources.redis, jobs);
    const over = jobs.filter((_, index) => states[index] !== 'known').map((job) => job.id);
    if (over.length > 0) await deleteRows(trx, over);
    return { rows: rows.length, buried: jobs.filter((_, index) => states[index] === 'buried') };
  }
}
