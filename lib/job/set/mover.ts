import type { CheckedFilter } from './filter';
import type { FoundJob } from './found-job';
import { locate } from './locate-script';
import { type MoveState, type MoveTo, moveJobs } from './move-script';
import type { RedisSet } from './redis-set';
import type { CheckedRef } from './reference';
import { isRetrying, queuedAt, tracesOf } from './rewrites';
import type { BulkRun } from './selection';
import { settleRows } from './settle-rows';
import type { OperatorAction, SetSources } from './sources';
import type { Position } from './walk-script';

/** A job whose record changes under our hands is read again so often. */
const TRIES = 3;

export interface Move {
  readonly action: OperatorAction;
  readonly to: MoveTo;
  /** When it is due, ms since 1970; of `delay`. */
  readonly at?: number;
  /** Makes the records that go with the move, and whatever must be there before it; undefined: as it is. */
  readonly prepare?: (jobs: readonly FoundJob[]) => Promise<readonly (string | undefined)[]>;
}

/** Moves jobs out of a set that is in Redis, and tells the log of it. */
export class Mover {
  constructor(
    private readonly sources: SetSources,
    private readonly set: RedisSet,
  ) {}

  /** @returns how many were moved; those that are not in the set, or not any more, are passed over. */
  async moveRefs(move: Move, refs: readonly CheckedRef[]): Promise<number> {
    let left = refs;
    let moved = 0;
    for (let tries = 0; left.length > 0 && tries < TRIES; tries++) {
      const { kind, sources } = this.set;
      const found = await locate(this.sources.redis, kind.key, sources.queues, left);
      const ours = found.filter((job) => kind.retrying === undefined || isRetrying(job.text) === kind.retrying);
      const states = await this.move(move, ours);
      moved += states.filter((state) => state === 'moved').length;
      left = ours.filter((_, index) => states[index] === 'changed');
    }
    return moved;
  }

  /** Jobs that come into the set, or back into it, while this runs are left alone. */
  async moveMatching(move: Move, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    const walker = this.set.walker(filter);
    let left = await this.set.extent(filter);
    let after: Position | undefined;
    if (this.set.kind.newestFirst) {
      after = { score: Math.min(run.startedAt, filter.until ?? run.startedAt), queue: '', id: '' };
    }
    while (left > 0 && run.chunk > 0) {
      const step = await walker.step({ after, skip: 0, limit: run.chunk, counting: false });
      const jobs = step.jobs.filter((job) => this.concerns(move, job, run));
      const states = await this.move(move, jobs);
      const changed = jobs.filter((_, index) => states[index] === 'changed');
      run.add(states.filter((state) => state === 'moved').length + (await this.moveRefs(move, changed)));
      after = step.position;
      left -= step.scanned;
      if (step.done) return true;
    }
    return left <= 0;
  }

  private concerns(move: Move, job: FoundJob, run: BulkRun): boolean {
    const at = queuedAt(job.text);
    // What is of the future was not put on its queue while this ran: whoever wrote it has another clock.
    const isNew = at > run.startedAt && at <= Date.now();
    return !isNew && !(move.to === 'delay' && job.score === move.at);
  }

  private async move(move: Move, jobs: readonly FoundJob[]): Promise<MoveState[]> {
    if (jobs.length === 0) return [];
    const records = (await move.prepare?.(jobs)) ?? [];
    const { key } = this.set.kind;
    const ends = move.to === 'bury' || move.to === 'drop';
    const moved = jobs.map(({ id, queue, sha, text }, index) => {
      // Even a dead job may have a row: one that a crash left behind.
      const traces = !ends ? '' : key === 'dead' ? 'f' : tracesOf(text);
      return { id, queue, sha, record: records[index], traces };
    });
    const states = await moveJobs(this.sources.redis, { from: key, to: move.to, at: move.at }, moved);
    if (ends) {
      await settleRows(
        this.sources,
        moved.filter((job, index) => states[index] === 'moved' && job.traces.includes('f')),
      );
    }
    return states;
  }
}
