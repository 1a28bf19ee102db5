import type { JobEntry } from './entry';
import type { CheckedFilter, JobFilter } from './filter';
import { JobSet } from './job-set';
import { type Move, Mover } from './mover';
import type { Outlines } from './outline';
import type { JobPage, PageRequest } from './page';
import { RedisSet, type RedisSetKind } from './redis-set';
import type { CheckedRef } from './reference';
import type { BulkRun } from './selection';
import type { SetSources } from './sources';

/** A set that is in Redis alone. */
export abstract class RedisJobSet extends JobSet {
  private readonly jobs: RedisSet;
  private readonly mover: Mover;

  constructor(sources: SetSources, kind: RedisSetKind) {
    super(sources);
    this.jobs = new RedisSet(sources, kind);
    this.mover = new Mover(sources, this.jobs);
  }

  protected pageByTime(request: PageRequest): Promise<JobPage> {
    return this.jobs.page(request);
  }

  protected readOutlines(filter: CheckedFilter, limit: number): Promise<Outlines> {
    return this.jobs.outlines(filter, limit);
  }

  protected entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]> {
    return this.jobs.entriesOf(refs);
  }

  count(filter?: JobFilter): Promise<number> {
    return this.jobs.count(filter);
  }

  size(): Promise<number> {
    return this.jobs.size();
  }

  protected moveRefs(move: Move, refs: readonly CheckedRef[]): Promise<number> {
    return this.mover.moveRefs(move, refs);
  }

  protected moveMatching(move: Move, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    return this.mover.moveMatching(move, filter, run);
  }
}
