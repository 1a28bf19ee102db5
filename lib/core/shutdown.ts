import { Deadline } from '../support/async';

/** The part of a stop's remaining time that a phase may take. */
interface StopPhase {
  /** Maximum duration, ms. */
  readonly maxMs?: number;
  /** Maximum share of the remaining time, so that a stop that is nearly over still reaches every phase. */
  readonly share?: number;
  /** The phase ends this much before the deadline, ms; that time is for the phases after it. */
  readonly reserveMs?: number;
  /** Maximum share of the remaining time that is reserved. Default 1. */
  readonly reserveShare?: number;
  /** Minimum duration, ms, even when the stop's time is over. */
  readonly minMs?: number;
}

/**
 * The division of a stop's one deadline (SHUTDOWN_TIMEOUT after the first signal; for `halt` it has passed at once), by
 * process. `stopPhase` applies a phase to the deadline of the whole stop. A process that is asked to stop is sent the
 * remaining milliseconds, and divides these by the same table; `cluster/primary/child-handle` kills one that is left at
 * the end of its time.
 */
const STOP_PHASES = {
  // The primary, and in single mode the web server in it.
  /** The tree still accepts connections, until the router in front has stopped sending them. */
  lameDuck: { maxMs: 1500, share: 1 / 4 },
  /** The listening socket is closed in a moment without new connections. */
  quietGap: { maxMs: 250, share: 1 / 4 },
  /** All accepted connections are handed off to workers. */
  handOut: { maxMs: 1000, share: 1 / 4 },
  /** Requests and the job processor finish; the reserve lets late ones report that before they are killed. */
  drain: { reserveMs: 1000, reserveShare: 1 / 2 },
  /** WebSockets are ended by the app, which has heard `goodbye`; then by us. */
  goodbye: { maxMs: 1000, share: 1 / 4 },
  /** All workers but the last end, by force if need be; the last one still closes their idle connections. */
  handOff: { reserveMs: 500, reserveShare: 1 / 2 },
  /** The control socket sends its last answers, among them that to `catamount stop`. */
  lastAnswers: { maxMs: 1000, minMs: 1000 },
  /** Embedded servers hold data, so even a stop whose time is over lets them close their files. */
  embeddedServers: { minMs: 2000 },
  /** Embedded servers shut down in order; the reserve is for killing them and releasing their keeper and claim. */
  embeddedOrderly: { reserveMs: 250 },

  // The job processor, and the closing of connections in every process.
  /** Even a stop whose time is over tries to return jobs to their queues. */
  processor: { minMs: 500 },
  /** Running jobs go on until they must be returned. */
  runningJobs: { reserveMs: 3000, reserveShare: 1 / 2 },
  /** Handlers react to their aborted signal. */
  abortedJobs: { maxMs: 300, share: 1 / 2 },
  /** The last outcomes reach Redis. */
  outcomes: { maxMs: 2000, share: 1 / 2 },
  /** Statistics are flushed, and the processor leaves the list of processes. */
  deregistration: { maxMs: 1000, share: 1 / 2 },
  /** Mails in flight finish; the reserve is for recording interrupted ones as failed. */
  mails: { reserveMs: 500 },
  /** Records of sent mails are retried while Postgres is away. */
  mailRecords: { reserveMs: 2000 },
  /** The tree's last status goes to Redis, and its place there is released. */
  treeStatus: { maxMs: 1000 },
} as const satisfies Readonly<Record<string, StopPhase>>;

/** Time after the deadline at which throng ends a primary that has got a signal and has not ended, with exit code 1, ms. */
export const FORCED_EXIT_MS = 5000;
/** Time after the deadline at which `catamount stop` reports that the tree is still running, ms. */
export const OVERDUE_EXIT_MS = 10_000;

/**
 * @param deadline of the whole stop.
 * @param override values that replace the table's, for tests.
 * @returns the deadline of the phase, which begins now.
 */
export function stopPhase(deadline: Deadline, name: keyof typeof STOP_PHASES, override: StopPhase = {}): Deadline {
  const phase: StopPhase = { ...STOP_PHASES[name], ...override };
  const leftMs = deadline.remaining();
  const reservedMs = Math.min(phase.reserveMs ?? 0, leftMs * (phase.reserveShare ?? 1));
  const mostMs = Math.min(phase.maxMs ?? Number.POSITIVE_INFINITY, leftMs * (phase.share ?? 1), leftMs - reservedMs);
  return Deadline.after(Math.max(mostMs, phase.minMs ?? 0));
}

/** The ends of a tree's processes. The primary exits with 1 where one of these numbers is above 0 (`role/primary`). */
export interface StopOutcome {
  /** Processes that were killed, at the deadline of the stop or of their own phase. */
  readonly killed: number;
  /** Processes that ended by themselves, but aborted requests or failed with an error. Jobs that were returned do not count. */
  readonly failed: number;
}

export function sumOutcomes(outcomes: readonly StopOutcome[]): StopOutcome {
  const sum = (of: keyof StopOutcome) => outcomes.reduce((total, outcome) => total + outcome[of], 0);
  return { killed: sum('killed'), failed: sum('failed') };
}
