/** The tree serves: its address is open, and all its workers are ready. */
export interface ListeningEvent {
  /** The address for people, such as `http://127.0.0.1:3000`, or the path of a Unix socket. */
  readonly address: string;
  /** The addresses of its other sockets. Default: it has one. */
  readonly also?: readonly string[];
  /** Time from the start of the primary, ms. */
  readonly durationMs: number;
  /** URLs for a browser on this machine. */
  readonly pages?: readonly string[];
}

/** A web worker of the tree. */
export interface AboutWorker {
  /** Number of the worker's place in the tree, from 0; its successor gets the same. */
  readonly slot: number;
  /** The process id. */
  readonly pid: number;
}

/** A web worker was forked. It does not serve yet. */
export interface WorkerForkedEvent extends AboutWorker {
  /** The worker's phase: 0 at the start of the tree, one more with each phased restart. */
  readonly phase: number;
}

/** A web worker serves from now on. */
export interface WorkerReadyEvent extends AboutWorker {
  /** Time since its fork, ms. */
  readonly durationMs: number;
}

/** The way in which a process ended. */
export interface AboutExit {
  /** The exit code; null when a signal ended the process. */
  readonly code: number | null;
  /** The signal that ended the process, such as `SIGKILL`; null when it exited by itself. */
  readonly signal: string | null;
  /** false: it ended by itself, and another is started in its place. */
  readonly expected: boolean;
}

/** A web worker ended. */
export interface WorkerExitedEvent extends AboutWorker, AboutExit {}

/** The job processor ended. */
export interface ProcessorExitedEvent extends AboutExit {
  /** The process id. */
  readonly pid: number;
}

/** A phased restart is complete: every worker is of this phase. */
export interface PhaseCompletedEvent {
  /** The phase that has begun, from 1. */
  readonly phase: number;
  /** Time since the restart was requested, ms. */
  readonly durationMs: number;
}

/** The tree begins to stop. */
export interface StoppingEvent {
  /** The cause for people: the signal, or the command and who gave it. */
  readonly reason: string;
  /** Time that the whole tree has, ms. */
  readonly timeoutMs: number;
}

/** All processes of the tree have ended, and the primary is about to. */
export interface StoppedEvent {
  /** Time since the stop was requested, ms. */
  readonly durationMs: number;
  /** Number of processes that did not end in time and were killed. */
  readonly killed: number;
}
