/** A job processor of any tree, by the last status that its tree has published (`tree/tree-directory`). */
export interface ListedProcess {
  /** Unique among all processors ever; the rows that it claims name it. */
  readonly identity: string;
  /** Identity of its tree, the same for all processors that one primary starts one after the other. */
  readonly tree: string;
  /** The name of the app. */
  readonly app: string;
  /** Version of Catamount. */
  readonly version: string;
  /** The host on which it runs. */
  readonly host: string;
  /** The id of its process. */
  readonly pid: number;
  /** ms since 1970. */
  readonly startedAt: number;
  /** The queues that it serves, in their order. */
  readonly queues: readonly string[];
  /** Maximum number of its running jobs. */
  readonly concurrency: number;
  /** true: it fetches no more jobs until it is resumed. */
  readonly quiet: boolean;
  /** true: it drains and then ends. */
  readonly stopping: boolean;
  /** Number of running jobs. */
  readonly busyCount: number;
  /** Resident memory, MB. */
  readonly rssMb: number;
  /** 99th percentile of the event loop's delay since the previous report, ms. */
  readonly lagP99Ms: number;
  /** Event-loop utilisation since the previous report, 0 to 1. */
  readonly utilization: number;
  /** Age of its last sign of life, ms: up to 1 s from it to its tree, and 1 s from the tree to Redis. */
  readonly heartbeatAgeMs: number;
}

/** Lists the job processors of all trees, by tree, then by age, the oldest first. @throws when Redis does not answer. */
export type ListProcesses = () => Promise<readonly ListedProcess[]>;

/** @returns host and pid, such as `web-1:4711`. */
export function processName({ host, pid }: Pick<ListedProcess, 'host' | 'pid'>): string {
  return `${host}:${pid}`;
}
