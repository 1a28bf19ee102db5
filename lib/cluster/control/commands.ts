import { EXIT, UserError } from '../../core/errors';
import { camelCase, type SnakeCased, snakeCase } from '../../support/snake-case';
import { type OperatorSignal, STOP_SIGNALS } from '../operator-signals';
import type { Operations, TreeStats, TreeStatus } from '../status';

/** The argument of a command: a whole number from 0 up. */
export interface CommandArgument {
  readonly name: string;
  readonly meaning: string;
}

/** A command that an operator can send to a running tree. */
export interface TreeCommand {
  readonly name: string;
  /** HTTP method on the socket: GET only reads, POST acts. */
  readonly method: 'GET' | 'POST';
  /** Signals to the primary with the same effect. */
  readonly signals: readonly OperatorSignal[];
  readonly argument?: CommandArgument;
  /** One line, for the help and the guide to operations. */
  readonly help: string;
  /** Printed afterwards, where the effect may be misunderstood. */
  readonly remark?: string;
  /** Answered only when done, which may take as long as the work in flight. */
  readonly slow?: true;
  /** Ends the process: the answer is sent before it begins. */
  readonly final?: true;
  run(operations: Operations, argument: number): Promise<object>;
}

const done = (work: Promise<unknown>): Promise<object> => work.then(() => ({ status: 'ok' }));
const scaled = (work: Promise<number>): Promise<object> => work.then((workers) => ({ status: 'ok', workers }));

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
    argument: { name: 'N', meaning: 'the slot of a worker' },
    help: 'replace the worker in slot N with a fresh one; requests finish',
    slow: true,
    run: (operations, slot) => done(operations.recycle(slot)),
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
export function commandUsage({ name, argument }: TreeCommand): string {
  return argument === undefined ? name : `${name} ${argument.name}`;
}

/** @throws UserError, a usage error, when the text is not the argument that the command needs. */
export function parseArgument(command: TreeCommand, text: string | undefined): number {
  const { argument, name } = command;
  if (argument === undefined) {
    if (text !== undefined) {
      throw new UserError(`${name} takes no argument, but was given "${text.slice(0, MAX_SHOWN_LENGTH)}".`, EXIT.usage);
    }
    return 0;
  }
  if (text !== undefined && /^\d{1,6}$/.test(text)) return Number(text);
  const complaint = text === undefined ? 'nothing was given' : `"${text.slice(0, MAX_SHOWN_LENGTH)}" is not one`;
  throw new UserError(`${commandUsage(command)} needs ${argument.meaning}, a whole number: ${complaint}.`, EXIT.usage);
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
