import { processorsOf } from '../../cluster/stats';
import type { TreePicture } from '../../cluster/tree-picture';
import type { TreeCommand } from '../../tree/tree-order';
import { load } from '../overview/primary-view';

/** What an operator can have done to a tree here. Its texts are `processes.act.<key>`. */
export interface Act {
  readonly key: 'restart' | 'recycle' | 'add' | 'remove' | 'quiet' | 'resume';
  readonly command: TreeCommand;
  /** It is for one slot, which the query names. */
  readonly slot?: true;
  /** It costs something: the button warns. */
  readonly danger?: true;
  /** Whether it makes sense now. @param slot of an act that is for one. */
  fits(picture: TreePicture, slot: number): boolean;
}

const hasWorkers = ({ stats }: TreePicture) => stats.workers > 0;
const runsJobs = ({ limits }: TreePicture) => limits.jobConcurrency > 0;
const isOpen = ({ stats }: TreePicture) => !['quiet', 'stopped', 'stopping'].includes(stats.job_processor.state);

export const ACTS: readonly Act[] = [
  {
    key: 'restart',
    command: 'phased-restart',
    danger: true,
    fits: (picture) => hasWorkers(picture) && !picture.phasedRestart,
  },
  {
    key: 'recycle',
    command: 'recycle',
    slot: true,
    danger: true,
    fits: ({ slots }, slot) => slots.some(({ index }) => index === slot),
  },
  { key: 'add', command: 'worker-count-up', fits: hasWorkers },
  { key: 'remove', command: 'worker-count-down', danger: true, fits: ({ stats }) => stats.workers > 1 },
  { key: 'quiet', command: 'jobs quiet', danger: true, fits: (picture) => runsJobs(picture) && isOpen(picture) },
  { key: 'resume', command: 'jobs resume', fits: (picture) => runsJobs(picture) && !isOpen(picture) },
];

/** A process that the act touches, and what it has in hand. */
export interface Touched {
  readonly slot: number | null;
  readonly inFlight: number;
  readonly waiting: number;
}

/** The processes that the act touches. */
export function touchedBy({ key }: Act, picture: TreePicture, slot: number): Touched[] {
  const { stats, slots } = picture;
  if (key === 'quiet' || key === 'resume') {
    const running = processorsOf(stats).flatMap(({ last_status }) => last_status.in_flight ?? []);
    return [{ slot: null, inFlight: running.length, waiting: 0 }];
  }
  if (key === 'add') return [];
  const last = slots.at(-1)?.index;
  const chosen = slots.filter(({ index }) => key === 'restart' || index === (key === 'recycle' ? slot : last));
  return chosen.map(({ index }) => {
    const here = stats.worker_status.filter((worker) => worker.index === index);
    const sum = (name: 'busy_threads' | 'backlog') =>
      here.reduce((total, one) => total + (one.last_status[name] ?? 0), 0);
    return { slot: index, inFlight: sum('busy_threads'), waiting: sum('backlog') };
  });
}

/** What the texts of an act tell with. */
export function valuesOf(picture: TreePicture, slot: number): Record<string, unknown> {
  const { name, stats, limits } = picture;
  return {
    name,
    slot,
    count: stats.workers,
    next: stats.workers + 1,
    others: stats.workers - 1,
    last: stats.workers - 1,
    drainS: Math.round(limits.drainMs / 1000),
    of: load(picture)?.of,
    threads: limits.maxThreads,
  };
}
