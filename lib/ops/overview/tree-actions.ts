import { processorsOf, type TreeStatus, webLoad } from '../../cluster/status';
import type { RemoteCommand } from '../../tree/remote-command';

/** The command of a form. The texts are `processes.flash.<what>`. */
export interface ProcessFlash {
  readonly what: TreeAction['key'];
  readonly name: string;
  readonly slot: number;
}

/** A command that the pages offer for a tree. Its texts are `processes.actions.<key>`. */
export interface TreeAction {
  readonly key: 'restart' | 'recycle' | 'add' | 'remove' | 'quiet' | 'resume';
  readonly command: RemoteCommand;
  /** True when it is for one slot, which the query names. */
  readonly slot?: true;
  /** True when it interrupts work, so that its button warns. */
  readonly danger?: true;
  /** True when the command is applicable now. @param slot for a command with one. */
  isAvailable(treeStatus: TreeStatus, slot: number): boolean;
}

const hasWorkers = ({ stats }: TreeStatus) => stats.workers > 0;
const runsJobs = ({ limits }: TreeStatus) => limits.jobConcurrency > 0;
const isOpen = ({ stats }: TreeStatus) => !['quiet', 'stopping'].includes(stats.jobProcessor.state);

export const TREE_ACTIONS: readonly TreeAction[] = [
  {
    key: 'restart',
    command: 'phased-restart',
    danger: true,
    isAvailable: (treeStatus) => hasWorkers(treeStatus) && !treeStatus.phasedRestart,
  },
  {
    key: 'recycle',
    command: 'recycle',
    slot: true,
    danger: true,
    isAvailable: ({ slots }, slot) => slots.some(({ index }) => index === slot),
  },
  { key: 'add', command: 'worker-count-up', isAvailable: hasWorkers },
  { key: 'remove', command: 'worker-count-down', danger: true, isAvailable: ({ stats }) => stats.workers > 1 },
  {
    key: 'quiet',
    command: 'jobs quiet',
    danger: true,
    isAvailable: (treeStatus) => runsJobs(treeStatus) && isOpen(treeStatus),
  },
  { key: 'resume', command: 'jobs resume', isAvailable: (treeStatus) => runsJobs(treeStatus) && !isOpen(treeStatus) },
];

/** The commands that are possible now, but for those that are for one worker. */
export function possibleActions(treeStatus: TreeStatus): TreeAction['key'][] {
  return TREE_ACTIONS.filter((action) => !action.slot && action.isAvailable(treeStatus, 0)).map(({ key }) => key);
}

/** A process that an action affects, with its work. */
export interface Touched {
  readonly slot: number | null;
  readonly inFlight: number;
  readonly waiting: number;
}

/** Lists the processes that an action affects, for its confirmation page. */
export function touchedBy({ key }: TreeAction, treeStatus: TreeStatus, slot: number): Touched[] {
  const { stats, slots, nextCulled } = treeStatus;
  if (key === 'quiet' || key === 'resume') {
    const running = processorsOf(stats).flatMap(({ lastStatus }) => lastStatus.inFlight ?? []);
    return [{ slot: null, inFlight: running.length, waiting: 0 }];
  }
  if (key === 'add') return [];
  const chosen = slots.filter(({ index }) => key === 'restart' || index === (key === 'recycle' ? slot : nextCulled));
  return chosen.map(({ index }) => {
    const here = stats.workerStatus.filter((worker) => worker.index === index);
    const sum = (name: 'busyThreads' | 'backlog') =>
      here.reduce((total, one) => total + (one.lastStatus[name] ?? 0), 0);
    return { slot: index, inFlight: sum('busyThreads'), waiting: sum('backlog') };
  });
}

export function actionValues(treeStatus: TreeStatus, slot: number): Record<string, unknown> {
  const { name, stats, limits } = treeStatus;
  return {
    name,
    slot,
    count: stats.workers,
    next: stats.workers + 1,
    others: stats.workers - 1,
    culled: treeStatus.nextCulled,
    drainS: Math.round(limits.drainMs / 1000),
    of: webLoad(treeStatus)?.of,
    threads: limits.maxThreads,
  };
}
