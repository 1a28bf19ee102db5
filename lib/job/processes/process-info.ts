import type { RegistryKeys } from '../../core/heartbeat-registry';
import { isText, isTexts } from '../../support/type-guards';
import { commandsKey, PROCESS_PREFIX, PROCESSES, PROCESSES_WAKE, PROCESSES_WATCHED } from '../hint/keys';

/** The Redis keys of the job processors. */
export const PROCESS_KEYS: RegistryKeys = {
  members: PROCESSES,
  infoPrefix: PROCESS_PREFIX,
  commands: commandsKey,
  watched: PROCESSES_WATCHED,
  wake: PROCESSES_WAKE,
};

/** The status that a job processor reports. */
export interface ProcessInfo {
  /** Unique among all processors ever; the rows that it claims name it. */
  readonly identity: string;
  /** Identity of its tree, the same for all processors that one primary starts one after the other. */
  readonly tree: string;
  readonly app: string;
  /** Version of Catamount. */
  readonly version: string;
  readonly host: string;
  readonly pid: number;
  /** ms since 1970. */
  readonly startedAt: number;
  readonly queues: readonly string[];
  readonly concurrency: number;
  /** true: it fetches no more jobs until it is resumed. */
  readonly quiet: boolean;
  /** true: it drains and then ends. */
  readonly stopping: boolean;
  /** Number of running jobs. */
  readonly busyCount: number;
  readonly rssMb: number;
  /** 99th percentile of the event loop's delay since the previous report, ms. */
  readonly lagP99Ms: number;
  /** Event-loop utilisation since the previous report, 0 to 1. */
  readonly utilization: number;
}

/** @returns the id of a processor's tree, with which its identity begins. */
export function treeId(identity: string): string {
  return identity.replace(/-\d+$/, '');
}

/** @returns undefined for a text that is no status of a processor. */
export function readProcessInfo(text: string | null): ProcessInfo | undefined {
  if (text === null) return undefined;
  try {
    const info = JSON.parse(text) as ProcessInfo | null;
    return isText(info?.identity) && isText(info.host) && isTexts(info.queues) ? info : undefined;
  } catch {
    return undefined;
  }
}
