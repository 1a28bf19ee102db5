import { TABLES } from '../../core/config';
import type { Caller } from '../../core/events';
import { killJobs, reviveJobs } from '../row/dead';
import { deleteChosen, makeReady } from '../row/moves';
import type { SetName } from './entry';
import {
  type BulkOptions,
  type BulkResult,
  BulkRun,
  type CheckedRef,
  checkFilter,
  checkRef,
  type JobAction,
  type Selection,
  type SetSources,
} from './query';
import { runAgain } from './run-again';
import { isOfEnded, MAX_COUNTED, matching, SetReader, type Sql, these } from './set-reader';

interface JobSetSources extends Pick<SetSources, 'knex' | 'events' | 'keys'> {
  /** undefined: code of the app moves the jobs, which is not reported. */
  readonly via?: Caller;
}

/**
 * A set of jobs that operators read and move. All methods throw InvalidRequestError for an invalid request, and errors of
 * Postgres.
 */
export class JobSet extends SetReader {
  constructor(
    private readonly sources: JobSetSources,
    name: SetName,
  ) {
    super(sources.knex, name);
  }

  /**
   * Moves jobs in chunks. Earlier chunks stay moved when a later one fails. Jobs that are to run go to the tails of their
   * queues. Retries keep their attempts; dead jobs get all of them again. Finished ones stay, and copies of them are enqueued, of
   * at most 10,000 in one call. @returns how many jobs were moved, without those that are not, or no longer, in this set.
   */
  async move(action: JobAction, selection: Selection, options: BulkOptions = {}): Promise<BulkResult> {
    const run = new BulkRun(options);
    const step = async (chosen: Sql): Promise<number> => {
      const moved = await this.moveChosen(action, chosen);
      if (moved > 0) await this.announce();
      run.add(moved);
      return moved;
    };
    try {
      if ('ids' in selection) return await this.moveThese(selection.ids.map(checkRef), run, step);
      const condition = matching(this.set, checkFilter(selection.filter));
      return await (action === 'rerun'
        ? this.copyMatching(condition, run, step)
        : this.moveMatching(condition, run, step));
    } finally {
      const { events, via } = this.sources;
      if (run.moved > 0 && via) events.emit('operator.jobs', { action, set: this.name, count: run.moved, via });
    }
  }

  /** Checks and moves in one statement: when two operators move the same job, one of them does. */
  private moveChosen(action: JobAction, chosen: Sql): Promise<number> {
    const table = this.set.table();
    if (action === 'delete') return deleteChosen(this.knex, table, chosen);
    if (action === 'rerun') return runAgain(this.knex, chosen, this.sources.keys);
    if (action !== 'kill' && this.name !== 'dead') return makeReady(this.knex, chosen);
    const { sql, values } = chosen;
    const deletion = { sql: `delete from ${table} where id in (${sql}) returning *`, values };
    return action === 'kill' ? killJobs(this.knex, deletion) : reviveJobs(this.knex, deletion);
  }

  private async moveThese(
    refs: readonly CheckedRef[],
    run: BulkRun,
    step: (chosen: Sql) => Promise<number>,
  ): Promise<BulkResult> {
    let done = 0;
    while (done < refs.length && run.chunk > 0) {
      const chunk = refs.slice(done, done + run.chunk);
      done += chunk.length;
      const { sql, values } = these(this.set, chunk);
      await step({
        sql: `select id from ${this.set.table()} where ${sql} order by ${this.set.order} for update`,
        values,
      });
    }
    return { moved: run.moved, complete: done >= refs.length };
  }

  /** The jobs stay in the set, so they are chosen once. */
  private async copyMatching(
    { sql, values }: Sql,
    run: BulkRun,
    step: (chosen: Sql) => Promise<number>,
  ): Promise<BulkResult> {
    const { rows } = await this.knex.raw<{ rows: CheckedRef[] }>(
      `select id, null as queue from ${this.set.table()} where ${sql} order by ${this.set.order} limit ${MAX_COUNTED}`,
      [...values],
    );
    const { moved, complete } = await this.moveThese(rows, run, step);
    return { moved, complete: complete && rows.length < MAX_COUNTED };
  }

  /** Jobs that come into the set while this runs are left alone, so that it ends. */
  private async moveMatching(
    condition: Sql,
    run: BulkRun,
    step: (chosen: Sql) => Promise<number>,
  ): Promise<BulkResult> {
    const { rows } = await this.knex.raw<{ rows: { readonly now: string }[] }>('select clock_timestamp()::text as now');
    const since = isOfEnded(this.set) ? this.set.time : 'greatest(created_at, claimed_at)';
    while (run.chunk > 0) {
      const limit = run.chunk;
      const moved = await step({
        sql: `select id from ${this.set.table()} where ${condition.sql} and ${since} <= ?::timestamptz
          order by ${this.set.order} limit ? for update skip locked`,
        values: [...condition.values, rows[0]?.now ?? '-infinity', limit],
      });
      if (moved < limit) return { moved: run.moved, complete: true };
    }
    return { moved: run.moved, complete: false };
  }

  /** Tells dispatchers of jobs that are ready, or were the last of a batch. One that is not told finds out later. */
  private async announce(): Promise<void> {
    await this.knex.raw("select pg_notify(?, 'look')", [TABLES.channel]).catch(() => undefined);
  }
}
