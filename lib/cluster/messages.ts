/**
 * What the primary and its children say to each other over IPC. Times go as milliseconds remaining, since each
 * process has its own monotonic clock.
 */
export type ToWorker =
  /** The answer to `hello`: who you are. */
  | { readonly catamount: 'assign'; readonly slot: number; readonly phase: number }
  /** Go on serving, but close each connection after its response. Answer `calm` when requests have ceased. */
  | { readonly catamount: 'polite'; readonly atMostMs: number }
  /** Stop accepting, finish what is in flight, then say `closed`. `passOn`: idle connections go to other workers. */
  | { readonly catamount: 'drain'; readonly remainingMs: number; readonly passOn: boolean }
  /** With a connection that another worker had: serve it. */
  | { readonly catamount: 'adopt' }
  /** `closed` was seen, so no connection is on its way to you any more: exit. */
  | { readonly catamount: 'bye' };

export type FromWorker =
  /** First message: I listen now. (What came before is lost: cluster's own listener swallows it.) */
  | { readonly catamount: 'hello' }
  | { readonly catamount: 'ready'; readonly address: string }
  | { readonly catamount: 'calm' }
  /** With an idle connection: another worker should have it. */
  | { readonly catamount: 'adopt' }
  | { readonly catamount: 'closed' }
  /** Somebody signalled this worker alone, or it no longer trusts itself: please replace me. */
  | { readonly catamount: 'leave'; readonly reason: string }
  | BootFailure;

export type ToProcessor = { readonly catamount: 'stop'; readonly remainingMs: number };

export type FromProcessor = { readonly catamount: 'ready' } | BootFailure;

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
