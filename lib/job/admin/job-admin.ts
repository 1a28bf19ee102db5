import { DeadSet } from '../sets/dead-set';
import type { SetName } from '../sets/entry';
import { type FoundPlace, findJob } from '../sets/find-job';
import {
  type BulkOptions,
  type BulkResult,
  checkQueue,
  type JobRef,
  type Selection,
  type SetSources,
} from '../sets/query';
import { RetrySet } from '../sets/redis-set';
import { ScheduledSet } from '../sets/scheduled-set';
import { WaitingList } from '../sets/waiting-set';

/** What can be done to jobs by their ids, or to all of a set. */
export type Verb = 'retry' | 'promote' | 'reschedule' | 'kill' | 'delete';

interface ExactRef {
  readonly id: string;
  readonly queue: string;
}

/** A verb on the jobs of one set. */
interface SetMove {
  one(ref: ExactRef): Promise<boolean>;
  /** Absent where it is not for many. */
  many?(selection: Selection, options: BulkOptions): Promise<BulkResult>;
}

type MovesBySet = Partial<Record<SetName, SetMove>>;

/** From which sets a verb takes jobs. */
export const SETS_OF: Readonly<Record<Verb, readonly SetName[]>> = {
  retry: ['retry', 'dead'],
  promote: ['scheduled'],
  reschedule: ['retry', 'scheduled'],
  kill: ['retry', 'scheduled'],
  delete: ['retry', 'scheduled', 'dead', 'waiting'],
};

export const DONE: Readonly<Record<Verb, string>> = {
  retry: 'Retried',
  promote: 'Promoted',
  reschedule: 'Rescheduled',
  kill: 'Killed',
  delete: 'Deleted',
};

/** @param at of `reschedule`. */
export function movesOf(verb: Verb, sets: JobSets, at: Date): MovesBySet {
  const { retry, scheduled, dead } = sets;
  switch (verb) {
    case 'retry':
      return {
        retry: { one: (ref) => retry.retry(ref), many: (jobs, options) => retry.retryMany(jobs, options) },
        dead: { one: (ref) => dead.retry(ref), many: (jobs, options) => dead.retryMany(jobs, options) },
      };
    case 'promote':
      return {
        scheduled: { one: (ref) => scheduled.run(ref), many: (jobs, options) => scheduled.runMany(jobs, options) },
      };
    case 'reschedule':
      return fromBoth(sets, (set) => ({
        one: (ref) => set.reschedule(ref, at),
        many: (jobs, options) => set.rescheduleMany(jobs, at, options),
      }));
    case 'kill':
      return fromBoth(sets, (set) => ({
        one: (ref) => set.kill(ref),
        many: (jobs, options) => set.killMany(jobs, options),
      }));
    case 'delete':
      return {
        ...fromBoth(sets, deletion),
        dead: deletion(dead),
        waiting: { one: (ref) => sets.waiting(ref.queue).delete(ref) },
      };
  }
}

function fromBoth({ retry, scheduled }: JobSets, move: (set: JobSets['retry' | 'scheduled']) => SetMove): MovesBySet {
  return { retry: move(retry), scheduled: move(scheduled) };
}

function deletion(set: JobSets['retry' | 'scheduled' | 'dead']): SetMove {
  return { one: (ref) => set.delete(ref), many: (jobs, options) => set.deleteMany(jobs, options) };
}

/** All that operators can see and do with jobs, from any process. It holds nothing: make one whenever it is needed. */
export class JobSets {
  readonly retry: RetrySet;
  readonly scheduled: ScheduledSet;
  readonly dead: DeadSet;

  constructor(private readonly sources: SetSources) {
    this.retry = new RetrySet(sources);
    this.scheduled = new ScheduledSet(sources);
    this.dead = new DeadSet(sources);
  }

  /** @throws InvalidRequestError for what cannot be a queue's name. */
  waiting(queue: string): WaitingList {
    checkQueue(queue);
    return new WaitingList(this.sources, queue);
  }

  /** Where is this job now? @throws InvalidRequestError. */
  find(ref: JobRef): Promise<FoundPlace> {
    return findJob(this.sources, ref);
  }

  async sizes(): Promise<{ readonly retry: number; readonly scheduled: number; readonly dead: number }> {
    const [retry, scheduled, dead] = await Promise.all([this.retry.size(), this.scheduled.size(), this.dead.size()]);
    return { retry, scheduled, dead };
  }
}
