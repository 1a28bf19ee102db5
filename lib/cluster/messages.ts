import { UserError } from '../core/errors';
import { type Deferred, deferred, toError } from '../support/async';
import type {
  Operations,
  ProcessorStatus,
  RecentEvent,
  Rollup,
  TreeStats,
  TreeStatus,
  Work,
  WorkerStatus,
} from './status';

/**
 * What the primary and its children say to each other over IPC. Times go as milliseconds remaining, since each
 * process has its own monotonic clock.
 */
export type ToWorker =
  /** The answer to `hello`: who you are. */
  | { readonly catamount: 'assign'; readonly slot: number; readonly phase: number }
  /** Go on serving, but close each connection after its response. Answer `calm` when requests have ceased. */
  | { readonly catamount: 'polite'; readonly atMostMs: number }
  /**
   * No connection comes any more: finish what is in flight, then say `closed`. `handOff`: idle connections go to other
   * workers.
   */
  | { readonly catamount: 'drain'; readonly remainingMs: number; readonly handOff: boolean }
  /** With a connection, new or given back by another worker: serve it. Answer `taken` at once. */
  | { readonly catamount: 'connection' }
  /** How many connections have come? Answer `count`. */
  | { readonly catamount: 'count' }
  /** How the job processor does: without it the tree is degraded. */
  | { readonly catamount: 'jobs'; readonly running: boolean }
  | { readonly catamount: 'collect-garbage' }
  | { readonly catamount: 'reopen-log' }
  /** Keep the tree's place in Redis, or no longer. */
  | { readonly catamount: 'reporter'; readonly on: boolean }
  /** Write one and say where in `heap-snapshot`. */
  | { readonly catamount: 'heap-snapshot'; readonly file: string }
  | AnswerMessage
  /** `closed` was seen, and so was everything that you gave back: exit. */
  | { readonly catamount: 'bye' };

export type FromWorker =
  /** First message: I listen now. (What came before is lost: cluster's own listener swallows it.) */
  | { readonly catamount: 'hello' }
  /** `begunFile`: where it writes down what it begins. */
  | { readonly catamount: 'ready'; readonly begunFile?: string | undefined }
  /** Every second, and once when ready. */
  | { readonly catamount: 'heartbeat'; readonly status: WorkerStatus }
  | { readonly catamount: 'calm' }
  | { readonly catamount: 'heap-snapshot'; readonly file: string }
  /** The connection is here; not a byte of it was read before this was said. */
  | { readonly catamount: 'taken' }
  /** Behind `taken` for each: what was sent before this was asked for and is not counted will never come. */
  | { readonly catamount: 'count'; readonly taken: number }
  /** From now on all slots are in use, or no longer. */
  | { readonly catamount: 'full'; readonly full: boolean }
  /** With an idle connection: another worker should have it. */
  | { readonly catamount: 'pass-on' }
  /** Everything is answered; `cut`: requests that the deadline left unanswered. */
  | { readonly catamount: 'closed'; readonly cut: number }
  /** Somebody signalled this worker alone, or it no longer trusts itself: please replace me. */
  | { readonly catamount: 'leave'; readonly reason: string }
  | AskMessage
  | BootFailure;

/** An operator's page wants something of the tree; `answer` follows. */
export interface AskMessage {
  readonly catamount: 'ask';
  readonly id: number;
  readonly operation: keyof Operations;
  readonly args: readonly (number | string | RecentEvent)[];
}

/** What came of an `ask`. */
interface AnswerMessage {
  readonly catamount: 'answer';
  readonly id: number;
  readonly value: unknown;
  /** `ours`: a UserError, fit to be shown. */
  readonly refusal?: { readonly message: string; readonly ours: boolean };
}

export type ToProcessor =
  | { readonly catamount: 'stop'; readonly remainingMs: number }
  /** Fetch no more; go on with what runs. */
  | { readonly catamount: 'quiet' }
  /** Fetch again. */
  | { readonly catamount: 'resume' }
  /** That processor has ended without giving its jobs back. */
  | { readonly catamount: 'rescue'; readonly identity: string }
  /** Keep the tree's place in Redis, or no longer. */
  | { readonly catamount: 'reporter'; readonly on: boolean }
  | AnswerMessage
  | { readonly catamount: 'collect-garbage' }
  | { readonly catamount: 'reopen-log' };

export type FromProcessor =
  | { readonly catamount: 'ready' }
  | BootFailure
  | AskMessage
  | { readonly catamount: 'heartbeat'; readonly status: ProcessorStatus; readonly work: Work }
  | { readonly catamount: 'event'; readonly event: RecentEvent }
  /** Somebody has asked for it by Redis. The primary has it done, since its successors are to heed it too. */
  | { readonly catamount: 'command'; readonly command: ProcessorCommand };

export type ProcessorCommand = 'quiet' | 'resume' | 'stop';

/** The child cannot start. `final`: another try cannot help (a port taken, a broken jobs folder). */
export interface BootFailure {
  readonly catamount: 'failed';
  readonly message: string;
  readonly exitCode: number;
  readonly final: boolean;
}

/** An app may send messages of its own: ours are known by their key. */
export function isOurs<M extends { readonly catamount: string }>(message: unknown): message is M {
  return typeof message === 'object' && message !== null && 'catamount' in message;
}

/** For what the primary answers at once, ms. */
const PROMPT_MS = 5000;

/**
 * The tree's operations in a child of the primary: each is asked of the primary, and its answer or its refusal comes
 * back.
 */
export class PrimaryClient implements Operations {
  private readonly open = new Map<number, Deferred<unknown>>();
  private count = 0;

  /** @param send throws, or drops the message, when there is no primary any more. */
  constructor(private readonly send: (message: AskMessage) => void) {}

  stats(): Promise<TreeStats> {
    return this.ask('stats', [], PROMPT_MS);
  }

  status(): Promise<TreeStatus> {
    return this.ask('status', [], PROMPT_MS);
  }

  rollups(after: number): Promise<readonly Rollup[]> {
    return this.ask('rollups', [after], PROMPT_MS);
  }

  runCommand(command: string, argument: number, by: string): Promise<void> {
    return this.ask('runCommand', [command, argument, by], PROMPT_MS);
  }

  recordEvent(event: RecentEvent): Promise<void> {
    return this.ask('recordEvent', [event], PROMPT_MS);
  }

  recycle(slot: number): Promise<void> {
    return this.ask('recycle', [slot]);
  }

  phasedRestart(): Promise<void> {
    return this.ask('phasedRestart');
  }

  restart(): Promise<void> {
    return this.ask('restart');
  }

  stop(): Promise<void> {
    return this.ask('stop');
  }

  halt(): Promise<void> {
    return this.ask('halt');
  }

  scale(by: 1 | -1): Promise<number> {
    return this.ask('scale', [by]);
  }

  quietJobs(): Promise<void> {
    return this.ask('quietJobs');
  }

  resumeJobs(): Promise<void> {
    return this.ask('resumeJobs');
  }

  reopenLog(): Promise<void> {
    return this.ask('reopenLog');
  }

  gc(): Promise<void> {
    return this.ask('gc');
  }

  heapSnapshot(slot: number): Promise<string> {
    return this.ask('heapSnapshot', [slot]);
  }

  /** What the primary has answered. */
  hear(answer: AnswerMessage): void {
    const asked = this.open.get(answer.id);
    this.open.delete(answer.id);
    if (answer.refusal === undefined) asked?.resolve(answer.value);
    else asked?.reject(answer.refusal.ours ? new UserError(answer.refusal.message) : new Error(answer.refusal.message));
  }

  private async ask<T>(operation: keyof Operations, args: AskMessage['args'] = [], withinMs?: number): Promise<T> {
    const id = ++this.count;
    const asked = deferred<unknown>();
    this.open.set(id, asked);
    const late = () => asked.reject(new Error(`the primary has not answered ${operation} in ${PROMPT_MS / 1000} s`));
    const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs);
    try {
      this.send({ catamount: 'ask', id, operation, args });
      return (await asked.promise) as T;
    } finally {
      clearTimeout(timer);
      this.open.delete(id);
    }
  }
}

/** The primary's side: does what a worker asks for. */
export async function answerRequest(operations: Operations | undefined, asked: AskMessage): Promise<AnswerMessage> {
  const { id, operation, args } = asked;
  if (!operations) {
    const refusal = { message: 'this tree lets its processes ask for nothing', ours: false };
    return { catamount: 'answer', id, value: null, refusal };
  }
  try {
    const run = operations[operation] as (this: Operations, ...args: AskMessage['args']) => Promise<unknown>;
    return { catamount: 'answer', id, value: await run.apply(operations, [...args]) };
  } catch (thrown) {
    const { message } = toError(thrown);
    return { catamount: 'answer', id, value: null, refusal: { message, ours: thrown instanceof UserError } };
  }
}
