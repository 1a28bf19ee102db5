import { readCursor, writeCursor } from './cursor';
import { describeJob, type JobEntry } from './entry';
import { type CheckedFilter, checkFilter, isFiltering, type JobFilter, luaFilter } from './filter';
import type { FoundJob } from './found-job';
import { locate } from './locate-script';
import type { Outlines } from './outline';
import { readOutlines } from './outline-script';
import { checkBounds, type JobPage, type PageRequest } from './page';
import { setWalker, sizeOf } from './page-script';
import type { CheckedRef } from './reference';
import { isRetrying } from './rewrites';
import { sizeInRedis } from './set-size';
import type { SetSources } from './sources';
import { countWalk, type Walker, walkPage } from './walk';
import type { Position, Walk } from './walk-script';

export interface RedisSetKind {
  readonly name: 'retry' | 'dead' | 'scheduled';
  readonly key: 'dead' | 'delayed';
  readonly newestFirst: boolean;
  /** Of `delayed`: only those that failed, or only the others. */
  readonly retrying?: boolean;
}

interface WalkOptions {
  /** Default: as the set is. */
  readonly newestFirst?: boolean;
  readonly idsOnly?: boolean;
  readonly trustIds?: boolean;
}

/** Reads a set that is a sorted set of Redis in each queue. */
export class RedisSet {
  constructor(
    readonly sources: Pick<SetSources, 'redis' | 'queues'>,
    readonly kind: RedisSetKind,
  ) {}

  /** In the order of time. @throws InvalidRequestError. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const { name, newestFirst } = this.kind;
    const bounds = checkBounds(request);
    const after = request.after === undefined ? undefined : readCursor(name, request.after);
    const order = { newestFirst: request.sort?.descending ?? newestFirst };
    const page = await walkPage(this.walker(checkFilter(request), order), bounds, after);
    const { total, complete, next } = page;
    const entries = page.jobs.map((job) => this.describe(job));
    return { entries, total, complete, next: next && writeCursor(name, next) };
  }

  /** @throws InvalidRequestError. */
  async count(filter: JobFilter = {}): Promise<number> {
    return (await countWalk(this.walker(checkFilter(filter)))).total;
  }

  size(): Promise<number> {
    return sizeInRedis(this.kind.name, this.sources);
  }

  /** The first of them, in the set's order. */
  outlines(filter: CheckedFilter, limit: number): Promise<Outlines> {
    return readOutlines(this.sources.redis, this.walk(filter), limit);
  }

  /** The entries of these jobs, in their order; of those that have left the set meanwhile none. */
  async entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]> {
    const { redis, queues } = this.sources;
    const { key, retrying } = this.kind;
    const located = await locate(redis, key, queues, refs);
    const found = located.filter((job) => retrying === undefined || isRetrying(job.text) === retrying);
    return refs.flatMap(({ id, queue }) => {
      const job = found.find((one) => one.id === id && (queue === undefined || one.queue === queue));
      return job ? [this.describe(job)] : [];
    });
  }

  /** How many jobs a walk may meet at most. */
  extent(filter: CheckedFilter): Promise<number> {
    return sizeOf(this.sources.redis, this.walk(filter));
  }

  walker(filter: CheckedFilter, { newestFirst, ...options }: WalkOptions = {}): Walker<Position> {
    const walk = this.walk(filter, options.trustIds);
    return setWalker(this.sources.redis, {
      ...walk,
      newestFirst: newestFirst ?? walk.newestFirst,
      idsOnly: options.idsOnly ?? false,
    });
  }

  private walk(filter: CheckedFilter, trustIds = false): Walk {
    const { key, newestFirst, retrying } = this.kind;
    const looking = retrying !== undefined || isFiltering(filter);
    const queues = [...new Set(filter.queues ?? this.sources.queues)].sort();
    const { since, until } = filter;
    return { key, newestFirst, queues, since, until, filter: looking ? luaFilter(filter, { retrying, trustIds }) : '' };
  }

  describe({ id, queue, score, text, progress }: FoundJob): JobEntry {
    return describeJob({ id, queue, set: this.kind.name, at: new Date(score), text, progress });
  }
}
