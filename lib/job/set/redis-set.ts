import { readCursor, writeCursor } from './cursor';
import { describeJob, type JobEntry } from './entry';
import { type CheckedFilter, checkFilter, isFiltering, type JobFilter, luaFilter } from './filter';
import type { FoundJob } from './found-job';
import { checkBounds, type JobPage, type PageRequest } from './page';
import { type Position, setWalker, sizeOf, type Walk } from './page-script';
import type { SetSources } from './sources';
import { countWalk, type Walker, walkPage } from './walk';

export interface RedisSetKind {
  readonly name: 'retry' | 'dead' | 'scheduled';
  readonly key: 'dead' | 'delayed';
  readonly newestFirst: boolean;
  /** Of `delayed`: only those that failed, or only the others. */
  readonly retrying?: boolean;
}

/** Reads a set that is a sorted set of Redis in each queue. */
export class RedisSet {
  constructor(
    readonly sources: Pick<SetSources, 'redis' | 'queues'>,
    readonly kind: RedisSetKind,
  ) {}

  /** @throws InvalidRequestError. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const { name } = this.kind;
    const bounds = checkBounds(request);
    const after = request.after === undefined ? undefined : readCursor(name, request.after);
    const page = await walkPage(this.walker(checkFilter(request)), bounds, after);
    const { total, complete, next } = page;
    const entries = page.jobs.map((job) => this.describe(job));
    return { entries, total, complete, next: next && writeCursor(name, next) };
  }

  /** @throws InvalidRequestError. */
  async count(filter: JobFilter = {}): Promise<number> {
    return (await countWalk(this.walker(checkFilter(filter)))).total;
  }

  /** How many jobs a walk may meet at most. */
  extent(filter: CheckedFilter): Promise<number> {
    return sizeOf(this.sources.redis, this.walk(filter));
  }

  walker(filter: CheckedFilter, { idsOnly = false } = {}): Walker<Position> {
    return setWalker(this.sources.redis, { ...this.walk(filter), idsOnly });
  }

  private walk(filter: CheckedFilter): Walk {
    const { key, newestFirst, retrying } = this.kind;
    const looking = retrying !== undefined || isFiltering(filter);
    const queues = [...new Set(filter.queues ?? this.sources.queues)].sort();
    return { key, newestFirst, queues, filter: looking ? luaFilter(filter, retrying) : '' };
  }

  describe({ id, queue, score, text, progress }: FoundJob): JobEntry {
    return describeJob({ id, queue, set: this.kind.name, at: new Date(score), text, progress });
  }
}
