import { CronTable } from '../cron/cron-table';
import { ProcessList } from '../processes/process-list';
import { DeadSet } from '../sets/dead-set';
import type { SetName } from '../sets/entry';
import { type FoundPlace, findJob } from '../sets/find-job';
import type { JobSet } from '../sets/job-set';
import {
  type BulkOptions,
  type BulkResult,
  checkQueue,
  InvalidRequestError,
  type JobAction,
  type JobRef,
  type Selection,
  type SetSources,
} from '../sets/query';
import { RetrySet } from '../sets/redis-set';
import { ScheduledSet } from '../sets/scheduled-set';
import { WaitingList } from '../sets/waiting-set';
import { History } from '../stats/history';
import { Queues } from './queues';

/** The sets that each action applies to; the commands and the pages are both made from this table. */
export const SETS_BY_ACTION: Readonly<Record<JobAction, readonly SetName[]>> = {
  retry: ['retry', 'dead'],
  promote: ['scheduled'],
  reschedule: ['retry', 'scheduled'],
  kill: ['retry', 'scheduled'],
  delete: ['retry', 'scheduled', 'dead', 'waiting'],
};

/** @returns the actions that apply to a set, in the order in which they are offered: the most frequent one first. */
export function actionsOn(set: string): JobAction[] {
  const actions = Object.keys(SETS_BY_ACTION) as JobAction[];
  return actions.filter((action) => SETS_BY_ACTION[action].some((name) => name === set));
}

const SETS = { retry: RetrySet, scheduled: ScheduledSet, dead: DeadSet } as const;

/** The sets that hold jobs of all queues. */
export type ListedSet = keyof typeof SETS;

interface ActionOptions extends BulkOptions {
  /** The new time, for `reschedule`. Default: now. */
  readonly at?: Date | undefined;
}

/**
 * What operators do with jobs, from any process; the commands, the pages and `top` share it. It checks no permissions:
 * `ops/auth/access` does so for the pages, and whoever has the app's shell may run its commands. Create an instance for
 * each use: it reads the names of the queues only once.
 */
export class JobAdmin {
  private known: Promise<string[]> | undefined;

  /** @param sources its `queues` are those that are configured or that classes name. */
  constructor(private readonly sources: SetSources) {}

  get queues(): Queues {
    return new Queues(this.sources);
  }

  get cron(): CronTable {
    return new CronTable(this.sources.knex, this.sources);
  }

  get processes(): ProcessList {
    return new ProcessList(this.sources.redis, this.sources);
  }

  get history(): History {
    return new History(this.sources.redis);
  }

  /** @returns the queues of the sources, and all others that exist. @throws when Redis does not answer. */
  queueNames(): Promise<string[]> {
    this.known ??= this.queues.names();
    return this.known;
  }

  /** @throws when Redis does not answer. The dead set needs no Redis, so dead jobs can be retried meanwhile. */
  async set<Name extends ListedSet>(name: Name): Promise<InstanceType<(typeof SETS)[Name]>> {
    const sources = name === 'dead' ? this.sources : { ...this.sources, queues: await this.queueNames() };
    return new SETS[name](sources) as InstanceType<(typeof SETS)[Name]>;
  }

  /** @returns the jobs that wait in a queue. @throws InvalidRequestError for an invalid queue name. */
  waiting(queue: string): WaitingList {
    checkQueue(queue);
    return new WaitingList(this.sources, queue);
  }

  /** Finds a job in any place. @throws InvalidRequestError. */
  async find(ref: JobRef): Promise<FoundPlace> {
    return findJob({ ...this.sources, queues: () => this.queueNames() }, ref);
  }

  async size(name: ListedSet): Promise<number> {
    return ((await this.set(name)) as JobSet).size();
  }

  async sizes(): Promise<Readonly<Record<ListedSet, number>>> {
    const [retry, scheduled, dead] = await Promise.all([this.size('retry'), this.size('scheduled'), this.size('dead')]);
    return { retry, scheduled, dead };
  }

  /**
   * Performs an action on jobs of a set. Waiting jobs are given by references that name their queues.
   * @returns how many jobs were changed, without those that have left the set meanwhile.
   * @throws InvalidRequestError for an action that does not apply to the set, and for invalid arguments.
   */
  async act(
    action: JobAction,
    set: SetName,
    jobs: JobRef | Selection,
    options: ActionOptions = {},
  ): Promise<BulkResult> {
    const { at = new Date(), ...bulk } = options;
    const selection: Selection = typeof jobs === 'string' || 'id' in jobs ? { ids: [jobs] } : jobs;
    switch (action) {
      case 'retry':
        if (set === 'retry' || set === 'dead') return (await this.set(set)).retryMany(selection, bulk);
        break;
      case 'promote':
        if (set === 'scheduled') return (await this.set(set)).promoteMany(selection, bulk);
        break;
      case 'reschedule':
        if (set === 'retry' || set === 'scheduled') return (await this.set(set)).rescheduleMany(selection, at, bulk);
        break;
      case 'kill':
        if (set === 'retry' || set === 'scheduled') return (await this.set(set)).killMany(selection, bulk);
        break;
      case 'delete':
        if (set === 'waiting' && 'ids' in selection) return this.deleteWaiting(selection.ids);
        if (set in SETS) return (await this.set(set as ListedSet)).deleteMany(selection, bulk);
    }
    throw new InvalidRequestError(`${action} is not for ${set} jobs; it is for ${SETS_BY_ACTION[action].join(', ')}`);
  }

  private async deleteWaiting(refs: readonly JobRef[]): Promise<BulkResult> {
    let moved = 0;
    for (const ref of refs) {
      const queue = typeof ref === 'string' ? undefined : ref.queue;
      if (queue === undefined) throw new InvalidRequestError('a waiting job is deleted by its id and its queue');
      if (await this.waiting(queue).delete(ref)) moved += 1;
    }
    return { moved, complete: true };
  }
}
