import type { RegistryKeys } from '../../core/heartbeat-registry';
import { isCount, isText, isTexts, isTime } from '../../support/type-guards';
import { commandsKey, PROCESS_PREFIX, PROCESSES, PROCESSES_WAKE, PROCESSES_WATCHED } from '../hint/keys';

/** The Redis keys of the job processors. */
export const PROCESS_KEYS: RegistryKeys = {
  members: PROCESSES,
  infoPrefix: PROCESS_PREFIX,
  commands: commandsKey,
  watched: PROCESSES_WATCHED,
  wake: PROCESSES_WAKE,
};

/** A running job. */
export interface BusyJob {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  /** 1 for the first run. */
  readonly attempt: number;
  /** ms since 1970. */
  readonly startedAt: number;
}

/** The status that a job processor reports. */
export interface ProcessInfo {
  /** Unique among all processors ever; the tokens of its deliveries begin with it. */
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
  /** Number of running jobs; `busy` has the first of them. */
  readonly busyCount: number;
  readonly busy: readonly BusyJob[];
  readonly rssMb: number;
  /** 99th percentile of the event loop's delay since the previous report, ms. */
  readonly lagP99Ms: number;
  /** Event-loop utilisation since the previous report, 0 to 1. */
  readonly utilization: number;
  /** Duration of the last round trip to Redis, ms; null before the first. */
  readonly redisMs: number | null;
}

/** Maximum number of jobs in `busy`. */
export const BUSY_SHOWN = 50;

/** A command for a processor: fetch no more jobs, fetch jobs again, or end for good. */
export type ProcessorCommand = (typeof PROCESSOR_COMMANDS)[number];
export const PROCESSOR_COMMANDS = ['quiet', 'resume', 'stop'] as const;

export function isProcessorCommand(text: string): text is ProcessorCommand {
  return (PROCESSOR_COMMANDS as readonly string[]).includes(text);
}

/** @returns the id of a processor's tree, with which its identity begins. */
export function treeIdOf(identity: string): string {
  return identity.replace(/-\d+$/, '');
}

/** @returns undefined for a text that no processor of this version or a near one has written. */
export function readProcessInfo(text: string | null): ProcessInfo | undefined {
  if (text === null) return undefined;
  try {
    const given = JSON.parse(text) as Partial<ProcessInfo> | null;
    if (!isText(given?.identity) || !isTexts(given.queues)) return undefined;
    const { identity, queues } = given;
    return { ...UNKNOWN, ...ofTheirKind(given), identity, queues };
  } catch {
    return undefined;
  }
}

/** Defaults for fields that another version does not report. */
export const UNKNOWN: Omit<ProcessInfo, 'identity' | 'queues'> = {
  tree: '',
  app: '',
  version: '',
  host: '',
  pid: 0,
  startedAt: 0,
  concurrency: 0,
  quiet: false,
  stopping: false,
  busyCount: 0,
  busy: [],
  rssMb: 0,
  lagP99Ms: 0,
  utilization: 0,
  redisMs: null,
};

const isFlag = (value: unknown) => typeof value === 'boolean';
const KINDS: { readonly [K in keyof typeof UNKNOWN]: (value: unknown) => boolean } = {
  tree: isText,
  app: isText,
  version: isText,
  host: isText,
  pid: isCount,
  startedAt: isTime,
  concurrency: isCount,
  quiet: isFlag,
  stopping: isFlag,
  busyCount: isCount,
  busy: (value) => Array.isArray(value) && value.every(isBusyJob),
  rssMb: Number.isFinite,
  lagP99Ms: Number.isFinite,
  utilization: Number.isFinite,
  redisMs: (value) => value === null || Number.isFinite(value),
};

function ofTheirKind(given: object): Partial<ProcessInfo> {
  const kept = Object.entries(KINDS).filter(([name, isOfItsKind]) => isOfItsKind(Reflect.get(given, name)));
  return Object.fromEntries(kept.map(([name]) => [name, Reflect.get(given, name)]));
}

function isBusyJob(value: unknown): value is BusyJob {
  const { id, class: name, queue, attempt, startedAt } = (value ?? {}) as Partial<BusyJob>;
  return isText(id) && isText(name) && isText(queue) && isCount(attempt) && isTime(startedAt);
}
