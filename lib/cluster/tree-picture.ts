import type { Vitals } from '../core/vitals';
import type { RecentEvent } from './recent-events';
import type { RestartReason } from './slot';
import type { TreeStats } from './stats';

/** How a process ended that was not asked to. Times are ISO 8601. */
export interface Death {
  readonly at: string;
  readonly reason: RestartReason;
  /** Its own last words, or how it ended. */
  readonly words: string;
  /** Of one that was killed for its silence: for how long, and what it was doing by the last that was heard. */
  readonly silentMs: number | null;
  readonly doing: string | null;
}

/** A successor that waits for its time. */
export interface NextTry {
  readonly at: string;
  /** 1 for the first since it was last stable. */
  readonly attempt: number;
}

/** A worker's place: what its processes, which come and go, do not tell. */
export interface SlotPicture {
  readonly index: number;
  /** The last one; null where nobody has died. */
  readonly death: Death | null;
  readonly nextTry: NextTry | null;
  /** When what drains in it is cut off. */
  readonly drainUntil: string | null;
  /** pid of the one that is being replaced and serves on until its successor is ready. */
  readonly outgoing: number | null;
}

/** What an operator is shown of one tree: its figures, who it is, what it may take, what has happened. */
export interface TreePicture {
  /** When it was made, by its primary's clock. ISO 8601. */
  readonly at: string;
  /** Of this primary: unlike any other's, ever. */
  readonly id: string;
  /** For people: the dyno, or the host and port. */
  readonly name: string;
  /** The same after a restart, and of no other tree that runs: its history goes on there. */
  readonly place: string;
  readonly app: string;
  readonly host: string;
  /** Where it listens; null as long as, or where, it does not. */
  readonly address: string | null;
  readonly stats: TreeStats;
  readonly slots: readonly SlotPicture[];
  readonly processor: { readonly death: Death | null; readonly nextTry: NextTry | null };
  /** Of the primary. */
  readonly vitals: Vitals & { readonly pssMb: number | null };
  readonly limits: {
    readonly maxThreads: number;
    readonly backlog: number;
    /** 0 where it runs no jobs. */
    readonly jobConcurrency: number;
    readonly queues: readonly string[];
    readonly weighted: boolean;
    readonly latencyWarningMs: number;
    /** Above this the largest worker is recycled; null without a limit. */
    readonly recycleAboveMb: number | null;
    readonly drainMs: number;
  };
  /** Of the last seconds. */
  readonly rates: {
    readonly requestsPerS: number;
    /** Requests turned away with 503 in the last minute. */
    readonly turnedAway: number;
    /** Answers of 500 and above in the last minute, those 503 among them. */
    readonly serverErrors: number;
    /** Longest time that a request of the last five seconds took, ms. */
    readonly slowestMs: number;
  };
  /** Newest first. */
  readonly events: readonly RecentEvent[];
  /** Servers that this tree has started for itself. */
  readonly embedded: readonly ('postgres' | 'redis')[];
  readonly phasedRestart: boolean;
  readonly stopping: boolean;
}
