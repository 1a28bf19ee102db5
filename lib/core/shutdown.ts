import { Deadline } from '../support/async';

/** How much of what is left of a stop one of its phases may take. */
interface StopPhase {
  /** No longer than this, ms. */
  readonly maxMs?: number;
  /** No more than this part of what is left, so that a stop that is nearly over still reaches every phase. */
  readonly share?: number;
  /** It ends this much before the deadline, ms: the time belongs to the phases that follow. */
  readonly reserveMs?: number;
  /** Of what is left, no more than this part is reserved. */
  readonly reserveShare?: number;
  /** It has this long even when the stop's time is over, ms. */
  readonly minMs?: number;
}

/**
 * How a stop divides its one deadline (SHUTDOWN_TIMEOUT from the first signal; nothing at all for `halt`), in the order in
 * which the phases begin. Each is given to `stopPhase` together with the deadline of the whole stop. A process that is asked
 * to stop is told how many milliseconds remain, and divides these by the same table.
 */
const STOP_PHASES = {
  // The primary, and in single mode the web that it serves itself.
  /** The tree still accepts, until the router in front has stopped sending. */
  lameDuck: { maxMs: 1500, share: 1 / 4 },
  /** A moment is awaited in which nobody comes, to close the listening socket in. */
  quietGap: { maxMs: 250, share: 1 / 4 },
  /** Everybody who was accepted reaches a worker. */
  handOut: { maxMs: 1000, share: 1 / 4 },
  /** Requests, and the whole of the job processor, finish: who does it late has time to say so before it is killed. */
  drain: { reserveMs: 1000, reserveShare: 1 / 2 },
  /** All workers but the last are gone, by force if need be: that one still has to let go of their idle connections. */
  handOff: { reserveMs: 500, reserveShare: 1 / 2 },
  /** Answers of the control socket that are still due, the one to `catamount stop` among them. */
  lastAnswers: { maxMs: 1000, minMs: 1000 },
  /** Embedded servers hold the data: even a stop whose time is over lets them close their files. */
  embeddedServers: { minMs: 2000 },
  /** They end in order, before they are killed and their keeper and claim are let go. */
  embeddedOrderly: { reserveMs: 250 },

  // The job processor, and in every process what closes its connections.
  /** Even a stop whose time is over tries to hand jobs back. */
  processor: { minMs: 500 },
  /** Running jobs go on, until it is time to hand them back. */
  runningJobs: { reserveMs: 3000, reserveShare: 1 / 2 },
  /** Handlers heed their aborted signal. */
  abortedJobs: { maxMs: 300, share: 1 / 2 },
  /** The last outcomes reach Redis. */
  outcomes: { maxMs: 2000, share: 1 / 2 },
  /** The history and the list of processes hear of the end. */
  deregistration: { maxMs: 1000, share: 1 / 2 },
  /** Mails that are on their way finish; what is cut off is still to be recorded as failed. */
  mails: { reserveMs: 500 },
  /** Records of mails that are out are tried again while Postgres is away. */
  mailRecords: { reserveMs: 2000 },
  /** The tree's last status goes to Redis, and its place there is given up. */
  treeStatus: { maxMs: 1000 },
} as const satisfies Readonly<Record<string, StopPhase>>;

/** throng ends the primary this long after the deadline, ms, should nothing else have. */
export const FORCED_EXIT_MS = 5000;
/** `catamount stop` says that a tree is still there this long after its deadline, ms. */
export const OVERDUE_EXIT_MS = 10_000;

/**
 * @param deadline of the whole stop.
 * @param override what a test sets in the place of the table's.
 * @returns until when the phase may last that begins now.
 */
export function stopPhase(deadline: Deadline, name: keyof typeof STOP_PHASES, override: StopPhase = {}): Deadline {
  const phase: StopPhase = { ...STOP_PHASES[name], ...override };
  const leftMs = deadline.remaining();
  const reservedMs = Math.min(phase.reserveMs ?? 0, leftMs * (phase.reserveShare ?? 1));
  const mostMs = Math.min(phase.maxMs ?? Number.POSITIVE_INFINITY, leftMs * (phase.share ?? 1), leftMs - reservedMs);
  return Deadline.after(Math.max(mostMs, phase.minMs ?? 0));
}

/** How the processes of a tree have ended. */
export interface StopOutcome {
  /** The stop's deadline found them alive, and we killed them. */
  readonly killed: number;
  /** They ended by themselves, with requests that they had to cut off, or with an error. */
  readonly failed: number;
}

export function sumOutcomes(outcomes: readonly StopOutcome[]): StopOutcome {
  const sum = (of: keyof StopOutcome) => outcomes.reduce((total, outcome) => total + outcome[of], 0);
  return { killed: sum('killed'), failed: sum('failed') };
}
