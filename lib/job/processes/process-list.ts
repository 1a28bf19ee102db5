import { randomBytes } from 'node:crypto';
import { UserError } from '../../core/errors';
import { HeartbeatRegistry, type RegistryKeys } from '../../core/heartbeat-registry';
import type { RedisClient } from '../../core/redis';
import { compareText } from '../../support/text';
import { isCount, isText, isTexts, isTime } from '../../support/type-guards';
import { commandsKey, PROCESS_PREFIX, PROCESSES } from '../queue/keys';
import type { Auditor } from '../sets/query';

/** Every job processor on this Redis. */
export const PROCESS_KEYS: RegistryKeys = {
  members: PROCESSES,
  infoPrefix: PROCESS_PREFIX,
  commands: commandsKey,
};

/** A job processor, as it was at its last report. */
export interface ListedProcess extends ProcessInfo {
  /** How long ago it last showed that it lives, ms. Above some 2000 it is blocked, cut off or dead. */
  readonly heartbeatAgeMs: number;
}

/** Every job processor of every tree that shares this Redis. For any process: it only reads, and leaves commands. */
export class ProcessList {
  private readonly registry: HeartbeatRegistry;

  /** @param audit where its commands are told. Default: nowhere. */
  constructor(
    redis: RedisClient,
    private readonly audit?: Auditor,
  ) {
    this.registry = new HeartbeatRegistry(redis, PROCESS_KEYS);
  }

  /** By tree, then by age. @throws when Redis does not answer. */
  async list(): Promise<ListedProcess[]> {
    const found = await this.registry.list(readProcessInfo);
    const listed = found.map(({ info, heartbeatAgeMs }) => ({ ...info, heartbeatAgeMs }));
    return listed.sort((a, b) => compareText(a.tree, b.tree) || a.startedAt - b.startedAt);
  }

  /**
   * Leaves a command for one processor, which looks for them every second: `quiet` (take no more jobs), `resume` (take
   * jobs again) or `stop` (finish, end, and stay away until it is resumed or restarted on its own machine). A command that
   * is not fetched within a minute is void.
   * @returns false when no such processor is listed.
   * @throws UserError for another command; Error when Redis does not answer.
   */
  async send(identity: string, command: ProcessorCommand): Promise<boolean> {
    if (!isProcessorCommand(command)) {
      throw new UserError(`"${command}" is no command for a job processor; use ${PROCESSOR_COMMANDS.join(', ')}.`);
    }
    const text = `${command} ${randomBytes(6).toString('hex')}`;
    if (!(await this.registry.send(identity, text))) return false;
    this.audit?.events.emit('operator.processor', { command, processor: identity, via: this.audit.via });
    return true;
  }
}

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

/** What a job processor tells of itself with every report. */
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
  /** 99th percentile of the event loop's delay since the report before, ms. */
  readonly lagP99Ms: number;
  /** Event-loop utilisation since the report before, 0 to 1. */
  readonly utilization: number;
  /** What the last round trip to Redis took, ms; null before the first. */
  readonly redisMs: number | null;
}

/** How many jobs a processor shows. */
export const BUSY_SHOWN = 50;

/** What can be asked of a processor: take no more jobs, take jobs again, or end for good. */
export type ProcessorCommand = (typeof PROCESSOR_COMMANDS)[number];
const PROCESSOR_COMMANDS = ['quiet', 'resume', 'stop'] as const;

export function isProcessorCommand(text: string): text is ProcessorCommand {
  return (PROCESSOR_COMMANDS as readonly string[]).includes(text);
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

/** Host and pid. */
export function processName({ host, pid }: Pick<ListedProcess, 'host' | 'pid'>): string {
  return `${host}:${pid}`;
}
