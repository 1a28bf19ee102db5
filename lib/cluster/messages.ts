import type { RecentEvent } from '../core/notable-events';
import type { Credentials } from '../core/tls';
import type { Arrival } from '../internals/socket-handoff';
import type { JobsHealth, ProcessorStatus, Tree, Work, WorkerStatus } from './status';

/** Interval of the heartbeats of every process that serves requests or runs jobs, ms. */
export const HEARTBEAT_INTERVAL_MS = 1000;

/**
 * No more work will come: finish what is in flight, then exit. A worker sends `drained` first, and waits for `exit`. The
 * deadline is sent as remaining milliseconds, since each process has its own monotonic clock.
 */
export interface StopMessage {
  readonly catamount: 'stop';
  readonly remainingMs: number;
  /** true: the worker hands off its idle connections, by `handoff`, and the primary sends them to other workers. */
  readonly handOff: boolean;
}

/** A broadcast, on its way to the primary or from it. */
export interface BroadcastMessage {
  readonly catamount: 'broadcast';
  /** The channel, a space, the message as JSON. */
  readonly frame: string;
}

/** `subscribe`: from now on it wants the broadcasts of the tree's other processes. */
export type FromSubscriber = BroadcastMessage | { readonly catamount: 'subscribe' };

/** Messages between the primary and its children over IPC. */
export type ToWorker =
  /** The reply to `online`: load the app. */
  | {
      readonly catamount: 'assign';
      readonly slot: number;
      readonly phase: number;
      /** undefined: no client speaks TLS. */
      readonly tls?: Credentials | undefined;
    }
  | { readonly catamount: 'tls'; readonly tls: Credentials }
  /** Keep serving, but close each connection after its response. Reply `idle` when no request is left. */
  | { readonly catamount: 'lame-duck'; readonly atMostMs: number }
  | StopMessage
  /** Carries a connection, new or handed off by another worker: serve it. Reply `taken` at once. */
  | { readonly catamount: 'connection'; readonly arrival?: Arrival | undefined }
  /** Asks for the number of connections received. Reply `count`. */
  | { readonly catamount: 'count' }
  /** State of the job processor; without one the tree is degraded. */
  | { readonly catamount: 'jobs'; readonly jobs: JobsHealth }
  /** Serve so many requests at once. */
  | { readonly catamount: 'max-threads'; readonly count: number }
  /** A worker of this tree has been ready for the first time. */
  | { readonly catamount: 'tree-served' }
  /** Become the tree's reporter in Redis, or stop being it. */
  | { readonly catamount: 'reporter'; readonly on: boolean }
  | ReplyMessage
  | BroadcastMessage
  /** The primary has seen `drained`, and every connection handed off before it: exit. */
  | { readonly catamount: 'exit' };

export type FromWorker =
  /**
   * The first message: the worker listens now. Earlier messages to it are lost: cluster's own listener swallows them.
   */
  | { readonly catamount: 'online' }
  /** `journalFile`: path of the worker's request journal. */
  | { readonly catamount: 'ready'; readonly journalFile?: string | undefined }
  /** Sent every second, and once when ready. */
  | { readonly catamount: 'heartbeat'; readonly status: WorkerStatus }
  /** `/ready` was answered with 200 for the first time. */
  | { readonly catamount: 'tree-served' }
  | { readonly catamount: 'idle' }
  /** The connection has arrived; no byte of it was read before this was sent. */
  | { readonly catamount: 'taken' }
  /**
   * The answer to `count`: how many connections have arrived. It comes after their `taken`, so one that the primary sent
   * before it asked, and that is not among them, was lost.
   */
  | { readonly catamount: 'count'; readonly taken: number }
  /** All slots are in use, or no longer. */
  | { readonly catamount: 'full'; readonly full: boolean }
  /** Carries an idle connection, which the primary sends to another worker. */
  | { readonly catamount: 'handoff'; readonly arrival?: Arrival | undefined }
  /** The drain is over. `aborted`: requests left unanswered at the deadline. `status`: null if it never served. */
  | { readonly catamount: 'drained'; readonly aborted: number; readonly status: WorkerStatus | null }
  /** Asks for a replacement: this worker was signalled alone, or had an uncaught error. */
  | { readonly catamount: 'replace-me'; readonly reason: string }
  | RequestMessage
  | FromSubscriber
  | BootFailure;

/** Requests an operation of the tree, which is answered by `reply`. */
export interface RequestMessage {
  readonly catamount: 'request';
  readonly id: number;
  readonly operation: keyof Tree;
  readonly args: readonly (number | string | RecentEvent | readonly number[])[];
}

/** The outcome of a `request`. */
export interface ReplyMessage {
  readonly catamount: 'reply';
  readonly id: number;
  readonly value: unknown;
  /** `ours`: the error is a UserError, whose message may be shown. */
  readonly refusal?: { readonly message: string; readonly ours: boolean };
}

export type ToProcessor =
  | StopMessage
  /** Stop fetching; running jobs continue. */
  | { readonly catamount: 'quiet' }
  | { readonly catamount: 'resume' }
  /** Rescue the jobs of that processor, which ended without returning them. */
  | { readonly catamount: 'rescue'; readonly identity: string }
  /** Become the tree's reporter in Redis, or stop being it. */
  | { readonly catamount: 'reporter'; readonly on: boolean }
  | ReplyMessage
  | BroadcastMessage;

export type FromProcessor =
  | { readonly catamount: 'ready' }
  | BootFailure
  | RequestMessage
  | FromSubscriber
  | { readonly catamount: 'heartbeat'; readonly status: ProcessorStatus; readonly work: Work }
  | { readonly catamount: 'event'; readonly event: RecentEvent };

/** The child cannot start. `final`: another try cannot help (a port in use, a broken jobs folder). */
export interface BootFailure {
  readonly catamount: 'boot-failed';
  readonly message: string;
  readonly exitCode: number;
  readonly final: boolean;
}

/**
 * What arrives over IPC: a message of ours, or one of the app, which may send its own. Only ours have the key.
 */
export type Incoming<M> = M | { readonly catamount?: undefined } | null | undefined;
