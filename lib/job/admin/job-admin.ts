import { isUuid } from '../../support/uuid';
import { CronTable } from '../cron/cron-table';
import { checkReason, outcomeOf } from '../definition/cancel-options';
import type { CancelCounts, CancelOptions, CancelOutcome } from '../definition/job-class';
import { Canceller } from '../enqueue/canceller';
import { jobEquipment } from '../enqueue/connection';
import type { ListedProcess } from '../processes/process-list';
import { type RunningJob, readRunning } from '../processes/running-jobs';
import type { CancelChoice, CancelFilter } from '../row/cancel';
import type { SetName } from '../sets/entry';
import { type FoundPlace, findJob } from '../sets/find-job';
import { JobSet } from '../sets/job-set';
import {
  type BulkOptions,
  type BulkResult,
  checkFilter,
  checkRef,
  InvalidRequestError,
  type JobAction,
  type JobRef,
  type Selection,
  type SetSources,
} from '../sets/query';
import { History } from '../stats/history';
import { Batches } from './batches';
import { Queues } from './queues';

/** The sets that each action applies to; the commands and the pages are both made from this table. */
export const SETS_BY_ACTION: Readonly<Record<JobAction, readonly SetName[]>> = {
  retry: ['retry', 'dead'],
  promote: ['scheduled'],
  rerun: ['finished'],
  kill: ['retry', 'scheduled'],
  delete: ['retry', 'scheduled', 'dead', 'finished', 'waiting'],
};

const STATE: Readonly<Record<SetName, string>> = {
  waiting: 'waits in its queue',
  active: 'is running',
  blocked: 'is blocked by the limit or rate of its class, or by its priority',
  retry: 'failed, and will be retried',
  scheduled: 'is scheduled',
  dead: 'is dead',
  finished: 'is done',
};

/** How often a job that leaves its set at the same time is looked for. */
const MAX_LOOKS = 3;

/** @returns the actions that apply to a set, in the order in which they are offered: the most frequent one first. */
export function actionsOn(set: string): JobAction[] {
  const actions = Object.keys(SETS_BY_ACTION) as JobAction[];
  return actions.filter((action) => SETS_BY_ACTION[action].some((name) => name === set));
}

/** @throws InvalidRequestError for an action that does not exist. */
function setsOf(action: JobAction): readonly SetName[] {
  if (Object.hasOwn(SETS_BY_ACTION, action)) return SETS_BY_ACTION[action];
  throw new InvalidRequestError(`there is no action ${action}: there are ${Object.keys(SETS_BY_ACTION).join(', ')}`);
}

export type ListedSet = 'retry' | 'scheduled' | 'dead' | 'finished';

/**
 * What operators do with jobs, from any process. The commands, the pages and `top` share it. No permissions are checked here:
 * `ops/auth/access` does so for the pages, and whoever has the app's shell may run its commands. Create an instance for each
 * use, since it reads the names of the queues only once.
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

  /** The job processors of all trees. @returns undefined while Redis, which has the list, does not answer, or if there is none. */
  async knownProcesses(): Promise<readonly ListedProcess[] | undefined> {
    return this.sources.processes?.().catch(() => undefined);
  }

  /** What runs on the slots of all processors, the longest running first. */
  running(): Promise<readonly RunningJob[]> {
    return readRunning(this.sources.knex);
  }

  get batches(): Batches {
    return new Batches(this.sources);
  }

  get history(): History {
    return new History(this.sources.knex);
  }

  /** @returns the queues of the sources, and all others that exist. */
  queueNames(): Promise<string[]> {
    this.known ??= this.queues.names();
    return this.known;
  }

  /** @throws InvalidRequestError for a set that does not exist. */
  set(name: SetName): JobSet {
    if (Object.hasOwn(STATE, name)) return new JobSet({ ...this.sources, keys: jobEquipment().keys }, name);
    throw new InvalidRequestError(`there is no set of jobs ${name}: there are ${Object.keys(STATE).join(', ')}`);
  }

  /** Finds a job in any place. @throws InvalidRequestError. */
  find(ref: JobRef): Promise<FoundPlace> {
    return findJob(this.sources.knex, ref);
  }

  /** Counts the jobs of a set, up to 10,000. */
  size(name: SetName): Promise<number> {
    return this.set(name).count();
  }

  async sizes(): Promise<Readonly<Record<'retry' | 'scheduled' | 'dead', number>>> {
    const [retry, scheduled, dead] = await Promise.all([this.size('retry'), this.size('scheduled'), this.size('dead')]);
    return { retry, scheduled, dead };
  }

  /**
   * Cancels a job that waits, or asks one that runs. @returns what was done.
   * @throws InvalidRequestError for an invalid id; TypeError for an invalid reason.
   */
  async cancel(job: JobRef, { reason }: CancelOptions = {}): Promise<CancelOutcome> {
    const ref = checkRef(job);
    return isUuid(ref.id) ? outcomeOf(await this.cancelChosen(ref, { reason })) : 'gone';
  }

  /**
   * Cancels all jobs that match, except dead ones. @returns how many; a signal stops it between two steps.
   * @throws InvalidRequestError for an invalid filter; TypeError for an invalid reason.
   */
  async cancelAll(filter: CancelFilter, options?: CancelOptions & Omit<BulkOptions, 'limit'>): Promise<CancelCounts> {
    checkFilter(filter);
    return this.cancelChosen(filter, options);
  }

  private async cancelChosen(
    choice: CancelChoice,
    { reason, ...going }: CancelOptions & Omit<BulkOptions, 'limit'> = {},
  ): Promise<CancelCounts> {
    const { knex, events, via } = this.sources;
    const counts = await new Canceller(knex, events).cancel(choice, checkReason(reason), going);
    const count = counts.cancelled + counts.requested;
    if (count > 0) events.emit('operator.jobs', { action: 'cancel', set: 'waiting or running', count, via });
    return counts;
  }

  /**
   * Performs an action on jobs of a set.
   * @returns how many jobs were changed, without those that have left the set meanwhile.
   * @throws InvalidRequestError for an action that does not apply to the set, and for invalid arguments.
   */
  async act(action: JobAction, set: SetName, jobs: JobRef | Selection, options?: BulkOptions): Promise<BulkResult> {
    const selection: Selection = typeof jobs === 'string' || 'id' in jobs ? { ids: [jobs] } : jobs;
    if (!setsOf(action).includes(set))
      throw new InvalidRequestError(`${action} is not for ${set} jobs; it is for ${setsOf(action).join(', ')}`);
    return this.set(set).move(action, selection, options);
  }

  /**
   * Performs an action on a job, in whatever set it is. @returns false if there is no such job any longer.
   * @throws InvalidRequestError, which says where the job is, for an action that is not for it, and for an invalid id.
   */
  async move(action: JobAction, ref: JobRef): Promise<boolean> {
    const sets = setsOf(action);
    for (let look = 0; look < MAX_LOOKS; look++) {
      const { place, entry } = await this.find(ref);
      if (!entry || place === 'gone') return false;
      if (!sets.includes(place)) {
        const others = actionsOn(place);
        const hint = others.length === 0 ? '' : `; for this one, there is ${others.join(', ')}`;
        throw new InvalidRequestError(
          `Job ${entry.id} ${STATE[place]}: ${action} is for ${sets.join(' and ')} jobs${hint}.`,
        );
      }
      if ((await this.set(place).move(action, { ids: [entry] })).moved > 0) return true;
    }
    return false;
  }
}
