import { isUuid } from '../outbox/outbox';
import { deleteOverdueRow } from '../outbox/overdue';
import { queueKey } from '../redis/keys';
import { readCursor, writeCursor } from './cursor';
import { describeJob, type JobEntry } from './entry';
import { checkFilter, isFiltering, type JobFilter, luaFilter } from './filter';
import type { FoundJob } from './found-job';
import { ANY, moveJobs } from './move-script';
import { checkBounds, type JobPage, type PageRequest } from './page';
import { checkRef, type JobRef } from './reference';
import { tracesOf } from './rewrites';
import { settleRows } from './settle-rows';
import type { SetSources } from './sources';
import { waitingWalker } from './waiting-script';
import { countWalk, type Walker, walkPage } from './walk';

/** The jobs of one queue that wait to be fetched, the next one first. */
export class WaitingList {
  constructor(
    private readonly sources: SetSources,
    readonly queue: string,
  ) {}

  /** @param request `queue` of it does not count. @throws InvalidRequestError. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const bounds = checkBounds(request);
    const after = request.after === undefined ? undefined : readCursor('waiting', request.after).id;
    const { jobs, total, complete, next } = await walkPage(this.walker(request), bounds, after);
    return {
      entries: jobs.map((job) => this.describe(job)),
      total,
      complete,
      next: next === undefined ? undefined : writeCursor('waiting', { score: 0, queue: this.queue, id: next }),
    };
  }

  /** @throws InvalidRequestError. */
  async count(filter: JobFilter = {}): Promise<number> {
    return (await countWalk(this.walker(filter))).total;
  }

  /**
   * One that is due and still in the outbox waits here, too.
   * @returns false when it is not, or no longer, waiting here. @throws InvalidRequestError.
   */
  async delete(ref: JobRef): Promise<boolean> {
    const { knex, events, via } = this.sources;
    const { id } = checkRef(ref);
    const deleted = (await this.deleteHere(id)) || (isUuid(id) && (await deleteOverdueRow(knex, this.queue, id)));
    if (deleted) events.emit('operator.jobs', { action: 'delete', set: 'waiting', count: 1, via });
    return deleted;
  }

  private async deleteHere(id: string): Promise<boolean> {
    const { redis } = this.sources;
    const { queue } = this;
    const text = (await redis.hGet(queueKey(queue, 'jobs'), id)) ?? undefined;
    const job = { id, queue, sha: ANY, record: undefined, traces: tracesOf(text) };
    const [state] = await moveJobs(redis, { from: 'waiting', to: 'drop' }, [job]);
    if (state !== 'moved') return false;
    if (job.traces.includes('f')) await settleRows(this.sources, [job]);
    return true;
  }

  private walker(request: JobFilter): Walker<string> {
    const checked = checkFilter({ ...request, queue: undefined });
    return waitingWalker(this.sources.redis, this.queue, isFiltering(checked) ? luaFilter(checked) : '');
  }

  private describe({ id, text, progress }: FoundJob): JobEntry {
    return describeJob({ id, queue: this.queue, set: 'waiting', at: undefined, text, progress });
  }
}
