import type { DeadlinePart } from '../support/deadline';

/**
 * How a stop's one deadline is divided: SHUTDOWN_TIMEOUT after the first signal or `catamount stop`. The file in brackets
 * applies the phase, by `Deadline.part`. The primary sends each child the milliseconds of `drain`. The child divides them by
 * this same table. `cluster/primary/child-handle` kills a child that outlasts its time.
 */
export const STOP_PHASES = {
  // The primary.
  /** The tree still accepts connections, until the router in front has stopped sending them (worker-pool). */
  lameDuck: { maxMs: 1500, share: 1 / 4 },
  /** The listening socket is closed at a moment without new connections (cluster/primary/listener). */
  quietGap: { maxMs: 250, share: 1 / 4 },
  /** Workers confirm all connections that were accepted (cluster/primary/listener). */
  dispatch: { maxMs: 1000, share: 1 / 4 },
  /** Requests and jobs finish; the reserve lets a late child report its end before it is killed (child-handle). */
  drain: { reserveMs: 1000, reserveShare: 1 / 2 },
  /** The app, warned by `goodbye`, closes its WebSockets; the rest are closed after that (web/server). */
  goodbye: { maxMs: 1000, share: 1 / 4 },
  /** A worker that hands off its idle connections exits or is killed; the reserve is for those who get them (child-handle). */
  handOff: { reserveMs: 500, reserveShare: 1 / 2 },
  /** What a child runs that will be killed is read in the last part of its time (child-handle). */
  stacks: { reserveMs: 500, reserveShare: 1 / 4 },
  /** The control socket sends its last answers, among them the one to `catamount stop` (cluster/control/server). */
  lastAnswers: { maxMs: 1000, minMs: 1000 },
  /** Embedded servers hold data, so even a stop that is out of time lets them close their files (`role/start/primary`). */
  embeddedServers: { minMs: 2000 },
  /** Embedded servers shut down in order; the reserve is for killing them and ending the keeper (embedded/server-lifecycle). */
  embeddedOrderly: { reserveMs: 250 },

  // The job processor, and the closing of connections in every process.
  /** Even a processor that stops at once, after an uncaught error, tries to return its jobs (job/processor, as the next four). */
  processor: { minMs: 500 },
  /** Running jobs continue until they must be returned. */
  runningJobs: { reserveMs: 3000, reserveShare: 1 / 2 },
  /** Handlers react to their aborted signal. */
  abortedJobs: { maxMs: 300, share: 1 / 2 },
  /** The last outcomes reach Postgres. */
  outcomes: { maxMs: 2000, share: 1 / 2 },
  /** Statistics are flushed, and the processor leaves the list of processes. */
  deregistration: { maxMs: 1000, share: 1 / 2 },
  /** Mails in flight finish; the reserve is for recording interrupted ones as failed (mailer/delivery/delivery). */
  mails: { reserveMs: 500 },
  /** Records of sent mails are retried while Postgres is unavailable (mailer/delivery/durable-writes). */
  mailRecords: { reserveMs: 2000 },
  /** The last spans reach the collector, if it answers (core/opentelemetry). */
  spans: { maxMs: 1000, share: 1 / 2 },
  /** The tree's last status is written to Redis, and its entry there is released (tree/tree-reporter). */
  treeStatus: { maxMs: 1000 },
} as const satisfies Readonly<Record<string, DeadlinePart>>;

/** In a tree with forked workers throng force-exits a signalled primary this long after the deadline, with code 1, ms. */
export const FORCED_EXIT_MS = 5000;
/** Time after the deadline at which `catamount stop` reports that the tree is still running, ms. */
export const OVERDUE_EXIT_MS = 10_000;
