import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { killJobs, reviveJobs } from '../row/dead';
import { deleteChosen, makeReady, reschedule } from '../row/moves';
import type { SetName } from './entry';
import {
  type BulkOptions,
  type BulkResult,
  BulkRun,
  type CheckedRef,
  checkFilter,
  checkRef,
  InvalidRequestError,
  type JobAction,
  type Selection,
  type SetSources,
} from './query';
import { and, matching, orderOf, SetReader, type Sql, these } from './set-reader';

/**
 * A set of jobs that operators read and move. Each move checks and moves in one statement: when two operators move the same
 * job, one of them does. All methods throw InvalidRequestError for an invalid request, and errors of Postgres.
 */
export class JobSet extends SetReader {
  constructor(
    private readonly sources: SetSources,
    name: SetName,
  ) {
    super(sources.knex, name);
  }

  /** Deletes jobs for good. */
  deleteMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many('delete', selection, options, (knex, chosen) => deleteChosen(knex, this.set.table(), chosen));
  }

  /** Makes jobs run now: they go to the tails of their queues. Retries keep their attempts; dead jobs get all of them again. */
  runMany(action: 'retry' | 'promote', selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(action, selection, options, (knex, chosen) =>
      this.name === 'dead' ? reviveJobs(knex, this.deletion(chosen)) : makeReady(knex, chosen),
    );
  }

  /** Changes the time of jobs; a unique job's claim is extended by as much. @param at a time in the past means now. */
  async rescheduleMany(selection: Selection, at: Date, options?: BulkOptions): Promise<BulkResult> {
    const ms = at instanceof Date ? at.getTime() : Number.NaN;
    if (Number.isNaN(ms)) throw new InvalidRequestError(`the time is ${String(at)}; give a valid date`);
    const moment = new Date(Math.max(ms, 0)).toISOString();
    const elsewhen: Sql = { sql: 'run_at <> ?::timestamptz', values: [moment] };
    return this.many(
      'reschedule',
      selection,
      options,
      (knex, chosen) => reschedule(knex, chosen, moment),
      // Otherwise each chunk would choose the jobs of the one before.
      'filter' in selection ? elsewhen : undefined,
    );
  }

  /** Moves jobs to the dead set. */
  killMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many('kill', selection, options, (knex, chosen) => killJobs(knex, this.deletion(chosen)));
  }

  private deletion({ sql, values }: Sql): Sql {
    return { sql: `delete from ${this.set.table()} where id in (${sql}) returning *`, values };
  }

  /**
   * Moves jobs in chunks; earlier chunks stay moved when a later one fails.
   * @returns how many were moved, without those that are not, or no longer, in this set.
   */
  private async many(
    action: JobAction,
    selection: Selection,
    options: BulkOptions = {},
    move: (knex: Knex, chosen: Sql) => Promise<number>,
    also?: Sql,
  ): Promise<BulkResult> {
    const run = new BulkRun(options);
    const step = async (chosen: Sql): Promise<number> => {
      const moved = await move(this.knex, chosen);
      if (moved > 0 && action !== 'delete' && action !== 'kill') await this.announce();
      run.add(moved);
      return moved;
    };
    try {
      if ('ids' in selection) return await this.moveThese(selection.ids.map(checkRef), run, step);
      return await this.moveMatching(
        and([matching(this.set, checkFilter(selection.filter)), ...(also ? [also] : [])]),
        run,
        step,
      );
    } finally {
      const { events, via } = this.sources;
      if (run.moved > 0) events.emit('operator.jobs', { action, set: this.name, count: run.moved, via });
    }
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
        sql: `select id from ${this.set.table()} where ${sql} order by ${orderOf(this.set, undefined)} for update`,
        values,
      });
    }
    return { moved: run.moved, complete: done >= refs.length };
  }

  /** Jobs that come into the set while this runs are left alone, so that it ends. */
  private async moveMatching(
    condition: Sql,
    run: BulkRun,
    step: (chosen: Sql) => Promise<number>,
  ): Promise<BulkResult> {
    const { rows } = await this.knex.raw<{ rows: { readonly now: string }[] }>('select clock_timestamp()::text as now');
    const since = this.name === 'dead' ? 'died_at' : 'greatest(created_at, claimed_at)';
    while (run.chunk > 0) {
      const limit = run.chunk;
      const moved = await step({
        sql: `select id from ${this.set.table()} where ${condition.sql} and ${since} <= ?::timestamptz
          order by ${orderOf(this.set, undefined)} limit ? for update skip locked`,
        values: [...condition.values, rows[0]?.now ?? '-infinity', limit],
      });
      if (moved < limit) return { moved: run.moved, complete: true };
    }
    return { moved: run.moved, complete: false };
  }

  /** Tells dispatchers of jobs that are ready, or due at another time. One that is not told finds them later. */
  private async announce(): Promise<void> {
    await this.knex.raw("select pg_notify(?, 'look')", [TABLES.channel]).catch(() => undefined);
  }
}
