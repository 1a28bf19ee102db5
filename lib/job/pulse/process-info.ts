import { isCount, isText, isTexts, isTime } from '../record/kinds';

/** A job in hand. */
export interface BusyJob {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  /** 1 for the first run. */
  readonly attempt: number;
  /** ms since 1970. */
  readonly startedAt: number;
}

/** What a job processor tells of itself with every beat. */
export interface ProcessInfo {
  /** Unlike any other's, ever; what the tokens of its deliveries begin with. */
  readonly identity: string;
  /** The same for all processors that one primary has started, one after the other. */
  readonly tree: string;
  readonly app: string;
  /** Catamount's. */
  readonly version: string;
  readonly host: string;
  readonly pid: number;
  /** ms since 1970. */
  readonly startedAt: number;
  readonly queues: readonly string[];
  readonly concurrency: number;
  /** Takes no more jobs, until it is resumed. */
  readonly quiet: boolean;
  /** Finishes what it has, and ends. */
  readonly stopping: boolean;
  /** Jobs in hand; `busy` shows the first of them. */
  readonly busyCount: number;
  readonly busy: readonly BusyJob[];
  readonly rssMb: number;
  /** 99th percentile of the event loop's delay since the beat before, ms. */
  readonly lagP99Ms: number;
  /** Event-loop utilisation since the beat before, 0 to 1. */
  readonly utilization: number;
  /** What the last round trip to Redis took, ms; null before the first. */
  readonly redisMs: number | null;
}

/** How many jobs a processor shows. */
export const BUSY_SHOWN = 50;

/** What can be asked of a processor: take no more jobs, take jobs again, or end for good. */
export type ProcessOrder = (typeof PROCESS_ORDERS)[number];
export const PROCESS_ORDERS = ['quiet', 'resume', 'stop'] as const;

export function isProcessOrder(text: string): text is ProcessOrder {
  return (PROCESS_ORDERS as readonly string[]).includes(text);
}

/** @returns undefined for what no processor of this version or a near one has written. */
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

/** Stands in for what an older version does not tell. */
const UNKNOWN: Omit<ProcessInfo, 'identity' | 'queues'> = {
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
