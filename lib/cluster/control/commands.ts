import { EXIT, UserError } from '../../core/errors';
import { camelCase, type SnakeCased, snakeCase } from '../../support/snake-case';
import { type OperatorSignal, STOP_SIGNALS } from '../operator-signals';
import type { Operations, TreeStats, TreeStatus } from '../status';

/** The argument of a command: a whole number from 0 up. */
export interface CommandArgument {
  readonly name: string;
  readonly meaning: string;
  /** Its value when it is not given. Default: it must be given. */
  readonly usual?: number;
}

export interface TreeCommand {
  readonly name: string;
  /** HTTP method on the socket: GET only reads, POST acts. */
  readonly method: 'GET' | 'POST';
  /** Signals to the primary with the same effect. */
  readonly signals: readonly OperatorSignal[];
  readonly takes?: readonly CommandArgument[];
  /** Further options on the command line, with their meanings: `--out FILE`. */
  readonly options?: readonly (readonly [usage: string, meaning: string])[];
  /** One line, for the help and the guide to operations. */
  readonly help: string;
  /** Printed afterwards, where the effect may be misunderstood. */
  readonly remark?: string;
  /** Answered only when done, which may take as long as the work in flight. */
  readonly slow?: true;
  /** Ends the process: the answer is sent before it begins. */
  readonly final?: true;
  run(operations: Operations, ...args: readonly number[]): Promise<object>;
}

const done = (work: Promise<unknown>): Promise<object> => work.then(() => ({ status: 'ok' }));
const scaled = (work: Promise<number>): Promise<object> => work.then((workers) => ({ status: 'ok', workers }));

const PROCESS: CommandArgument = { name: 'PROCESS', meaning: 'the pid of a process of the tree' };
const OUT = ['--out FILE', 'also copy it there'] as const;

/**
 * The one table of commands: the socket, the CLI, the help and the signals that do not stop the tree are derived from it. A
 * test compares it with the guide lib/cluster/README.md.
 */
export const TREE_COMMANDS: readonly TreeCommand[] = [
  {
    name: 'stats',
    method: 'GET',
    signals: [],
    help: 'every process with its load, memory and restarts; --json prints all of it',
    run: (operations) => operations.stats().then(snakeCase),
  },
  {
    name: 'status',
    method: 'GET',
    signals: [],
    help: 'whether all is well, or what needs attention (exit code 2) or is broken (3); --json adds its whole status',
    run: (operations) => operations.status().then(statusJson),
  },
  {
    name: 'stacks',
    method: 'GET',
    signals: ['SIGPWR'],
    help: 'what each process runs at this moment, also a blocked one, with files and lines; the log gets it, too',
    run: (operations) => operations.stacks().then((stacks) => ({ stacks: snakeCase(stacks) })),
  },
  {
    name: 'profile',
    method: 'POST',
    signals: [],
    takes: [PROCESS, { name: 'SECONDS', meaning: 'its length', usual: 10 }],
    options: [['--seconds N', 'how long to measure, 1 to 60 (10)'], OUT],
    help: 'CPU profile of a process: a pid, worker N, processor or primary, as the file .cpuprofile',
    slow: true,
    run: (operations, pid = 0, seconds = 0) => operations.profile(pid, seconds).then(snakeCase),
  },
  {
    name: 'heap-snapshot',
    method: 'POST',
    signals: [],
    takes: [PROCESS],
    options: [OUT],
    help: 'all objects in the memory of a process, as the file .heapsnapshot; the process stands still meanwhile',
    slow: true,
    run: (operations, pid = 0) => operations.heapSnapshot(pid).then(snakeCase),
  },
  {
    name: 'phased-restart',
    method: 'POST',
    signals: ['SIGUSR1', 'SIGUSR2'],
    help: 'replace the workers one by one, then the job processor, with newly loaded code; requests finish',
    slow: true,
    run: (operations) => done(operations.phasedRestart()),
  },
  {
    name: 'restart',
    method: 'POST',
    signals: [],
    help: 'start a new primary with new Node and Catamount on the same sockets, then end the old one; no request is lost',
    slow: true,
    run: (operations) => done(operations.restart()),
  },
  {
    name: 'stop',
    method: 'POST',
    signals: STOP_SIGNALS,
    help: 'finish what is in flight and end',
    final: true,
    run: (operations) => done(operations.stop()),
  },
  {
    name: 'halt',
    method: 'POST',
    signals: ['SIGQUIT'],
    help: 'kill everything at once, also during a stop; requests are cut off, and jobs run again at the next start',
    final: true,
    run: (operations) => done(operations.halt()),
  },
  {
    name: 'recycle',
    method: 'POST',
    signals: [],
    takes: [{ name: 'N', meaning: 'the slot of a worker' }],
    help: 'replace the worker in slot N with a fresh one; requests finish',
    slow: true,
    run: (operations, slot = 0) => done(operations.recycle(slot)),
  },
  {
    name: 'worker-count-up',
    method: 'POST',
    signals: ['SIGTTIN'],
    help: 'add a worker',
    run: (operations) => scaled(operations.scale(1)),
  },
  {
    name: 'worker-count-down',
    method: 'POST',
    signals: ['SIGTTOU'],
    help: 'remove a worker',
    slow: true,
    run: (operations) => scaled(operations.scale(-1)),
  },
  {
    name: 'max-threads',
    method: 'POST',
    signals: [],
    takes: [{ name: 'N', meaning: 'the number of requests that each worker is to serve at once' }],
    help: 'serve N requests at once in each worker until the next start or `restart`',
    run: (operations, count = 0) =>
      operations.setMaxThreads(count).then((warning) => ({ status: 'ok', max_threads: count, warning })),
  },
  {
    name: 'jobs quiet',
    method: 'POST',
    signals: ['SIGTSTP'],
    help: 'the job processor fetches no more jobs and finishes those it has',
    slow: true,
    run: (operations) => done(operations.quietJobs()),
  },
  {
    name: 'jobs resume',
    method: 'POST',
    signals: [],
    help: 'the job processor fetches jobs again after a quiet',
    remark: 'paused queues stay paused (jobs resume QUEUE)',
    run: (operations) => done(operations.resumeJobs()),
  },
];

/** @throws Error for a name that is not in the table. */
export function findCommand(name: string): TreeCommand {
  const command = TREE_COMMANDS.find((each) => each.name === name);
  if (!command) throw new Error(`there is no command ${name}`);
  return command;
}

/** Maximum length of a wrong argument in a message, characters. */
const MAX_SHOWN_LENGTH = 100;

/** Path of a command on the socket: `/jobs/quiet` for `jobs quiet`. */
export function commandPath(command: TreeCommand): string {
  return `/${command.name.replaceAll(' ', '/')}`;
}

/** The command as it is typed: `recycle N`. */
export function commandUsage({ name, takes = [] }: TreeCommand): string {
  return [name, ...takes.filter(({ usual }) => usual === undefined).map((argument) => argument.name)].join(' ');
}

/** @throws UserError, a usage error, when the texts are not the arguments that the command needs. */
export function parseArguments(command: TreeCommand, texts: readonly string[]): readonly number[] {
  const { takes = [], name } = command;
  const surplus = texts[takes.length]?.slice(0, MAX_SHOWN_LENGTH);
  if (surplus !== undefined && takes.length === 0)
    throw new UserError(`${name} takes no argument, but was given "${surplus}".`, EXIT.usage);
  return takes.map(({ meaning, usual }, index) => {
    // The last has what is too much.
    const text = index < takes.length - 1 ? texts[index] : texts.slice(index).join('/') || undefined;
    if (text === undefined && usual !== undefined) return usual;
    if (text !== undefined && /^\d{1,7}$/.test(text)) return Number(text);
    const complaint = text === undefined ? 'nothing was given' : `"${text.slice(0, MAX_SHOWN_LENGTH)}" is not one`;
    throw new UserError(`${commandUsage(command)} needs ${meaning}, a whole number: ${complaint}.`, EXIT.usage);
  });
}

/** JSON of `stats`. */
export type StatsJson = SnakeCased<TreeStats>;

/** JSON of `status`: the essentials, and the whole status as `tree`. */
export interface StatusJson {
  readonly status: 'ok';
  readonly pid: number;
  readonly started_at: string;
  readonly phase: number;
  readonly workers: number;
  readonly booted_workers: number;
  readonly job_processor: string;
  readonly tree: SnakeCased<TreeStatus>;
}

function statusJson(tree: TreeStatus): StatusJson {
  const { pid, startedAt, phase, workers, bootedWorkers, jobProcessor } = tree.stats;
  return {
    status: 'ok',
    pid,
    started_at: startedAt,
    phase,
    workers,
    booted_workers: bootedWorkers,
    job_processor: jobProcessor.state,
    tree: snakeCase(tree),
  };
}

export function readTree(answer: Readonly<Record<string, unknown>>): TreeStatus {
  return camelCase(answer.tree) as TreeStatus;
}
