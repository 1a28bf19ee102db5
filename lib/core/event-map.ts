import type { JsonValue } from './execution-context';
import type { AboutStandstill } from './failure-cause';
import type {
  ListeningEvent,
  PhaseCompletedEvent,
  ProcessorExitedEvent,
  StoppedEvent,
  StoppingEvent,
  WorkerExitedEvent,
  WorkerForkedEvent,
  WorkerReadyEvent,
} from './hook-events';
import type { ShedReason } from './request-counts';

/**
 * The origin of a request: on the pages with the address, at the terminal with the user, by a signal with its name. It
 * is stored and sent in this form; `callerText` words it for the log, `Formatter.caller` for the pages.
 */
export type Caller = `pages:${string}` | `cli:${string}` | `signal:${string}` | 'socket' | 'redis' | 'app';

/**
 * The payloads of all events, by name. Code emits events; one subscriber logs them, and statistics, hooks and tests
 * listen to the same ones. Payloads are plain data. Durations are in ms.
 */
export interface EventMap {
  // The process at hand
  'process.warning': { readonly message: string };
  /** The wall clock moved by itself, ms; negative: it was set back. */
  'clock.set': { readonly ms: number };
  /** What the tree keeps in Redis is gone. */
  'redis.emptied': Record<string, never>;
  /** No file can be opened, and no connection accepted. Repeated while it lasts. */
  'descriptors.exhausted': { readonly code: string };
  'descriptors.freed': Record<string, never>;
  'process.error': { readonly error: Error; readonly during: string };
  /** From now on, lines of this process's log are also given to `take`, in JSON. */
  'log.kept': { readonly take: (line: string) => void };
  /** The app's job setup was loaded, with the keys whose values are to be redacted. */
  'setup.loaded': { readonly filterArguments: readonly (string | RegExp)[] };

  // Postgres and Redis, as this process sees them
  /**
   * `awayMs`: how long Redis had not been reachable, ms. null: this is the process's first connection, and it succeeded at
   * once.
   */
  'redis.ready': { readonly awayMs: number | null };
  'redis.lost': { readonly error: Error };
  'migration.done': {
    readonly name: string;
    readonly did: 'applied' | 'rolled back' | 'took over from knex_migrations the';
  };
  'database.error': { readonly error: Error };

  /** Broadcasts to another process or to Redis are dropped, since it has not taken the earlier ones. Emitted once until it has. */
  'broadcast.dropped': { readonly to: string };

  // Embedded servers
  'embedded.started': {
    readonly server: 'postgres' | 'redis';
    readonly pid: number;
    readonly durationMs: number;
  };
  'embedded.stopped': { readonly server: 'postgres' | 'redis'; readonly pid: number };
  /** The server exited by itself and is restarted. */
  'embedded.exited': { readonly server: 'postgres' | 'redis'; readonly pid: number };

  // The primary
  'worker.forked': WorkerForkedEvent;
  'worker.ready': WorkerReadyEvent;
  'worker.exited': WorkerExitedEvent;
  'worker.restart-scheduled': { readonly slot: number; readonly waitMs: number; readonly attempt: number };
  /** The worker has sent no heartbeats; the requests are those of the last one. */
  'worker.unresponsive': {
    readonly slot: number;
    readonly pid: number;
    readonly heartbeatAgeMs: number;
    readonly inFlight: readonly { readonly what: string; readonly id: string; readonly ageMs: number }[];
    /** The latest request that it began, finished or not. */
    readonly lastRequest: { readonly what: string; readonly id: string; readonly ageMs: number } | null;
  };
  'worker.replaced': { readonly slot: number; readonly pid: number; readonly reason: string };
  'processor.forked': { readonly pid: number };
  'processor.ready': { readonly pid: number; readonly durationMs: number };
  'processor.exited': ProcessorExitedEvent;
  'processor.unresponsive': {
    readonly pid: number;
    readonly heartbeatAgeMs: number;
    readonly inFlight: readonly { readonly what: string; readonly id: string; readonly ageMs: number }[];
  };
  /** The processor keeps running, since its successor could not boot. */
  'processor.kept': { readonly pid: number; readonly reason: string };
  /** The processor crashed so often that it is restarted only rarely now. */
  'processor.crash-loop': { readonly crashes: number };
  /** A part of the processor makes no progress although it has work; `about` names the queue, or is the error's message. */
  'processor.stalled': AboutStandstill;
  'processor.recovered': Omit<AboutStandstill, 'cause' | 'reason'>;
  'processor.restart-scheduled': { readonly waitMs: number; readonly attempt: number };
  /** A new primary starts, which is to take over the sockets. */
  'primary.restarting': { readonly pid: number };
  /** The new primary serves; this one finishes what it has. */
  'primary.restarted': { readonly pid: number; readonly durationMs: number };
  /** The new primary could not start: this one serves on. */
  'primary.kept': { readonly reason: string };
  'phase.started': { readonly phase: number };
  'phase.completed': PhaseCompletedEvent;
  'phase.aborted': { readonly phase: number; readonly reason: string };
  'workers.auto-sized': { readonly calculation: string };
  /** The division of the memory limit, at the start. */
  'memory.planned': {
    readonly limitMb: number;
    readonly workers: number;
    readonly workerMb: number;
    readonly jobsMb: number | null;
  };
  /** The tree takes more memory than planned, so its largest worker is recycled; `slot: null`: its job processor. */
  'memory.high': {
    readonly totalMb: number;
    readonly limitMb: number;
    readonly slot: number | null;
    readonly workerMb: number;
  };
  /** A certificate is in use. `isOver`: it is valid no longer. */
  'tls.loaded': { readonly names: string; readonly validTo: string; readonly isOver: boolean };
  /** The files of the certificate have changed, but cannot be used. */
  'tls.kept': { readonly reason: string };
  /** A tree without a web answers probes at this address. */
  'primary.probes': { readonly address: string };
  /** An operator sent a command, by the control socket, a signal or Redis. */
  'operator.command': { readonly command: string; readonly via: Caller };
  'operator.rejected': { readonly command: string; readonly via: Caller; readonly reason: string };
  'operator.queue': {
    readonly action: 'pause' | 'resume' | 'clear';
    readonly queue: string;
    /** Number of jobs that a clear deleted; otherwise 0. */
    readonly jobs: number;
    readonly via: Caller;
  };
  'operator.cron': {
    readonly action: 'trigger' | 'pause' | 'resume' | 'forget';
    readonly name: string;
    readonly via: Caller;
  };
  /** An operator adopted the jobs of a database that was copied from another installation. */
  'operator.adopted': { readonly via: Caller };
  /** An operator deleted mails that `file` delivery had written. */
  'operator.mails': { readonly action: 'delete'; readonly count: number; readonly via: Caller };
  /** An attempt to sign in to the operator's pages; `role` is null for a wrong name or password. */
  'operator.sign-in': {
    readonly role: 'operator' | null;
    readonly address: string;
    /** true: that address is locked for a while after too many wrong attempts. */
    readonly locked: boolean;
  };
  'operator.jobs': { readonly action: string; readonly set: string; readonly count: number; readonly via: Caller };
  /** A child printed a line outside its log. */
  'child.output': { readonly child: string; readonly line: string };
  /** The app's own logger wrote a line of JSON with a level in a child, which is logged unchanged. */
  'child.record': { readonly line: string };
  /** What a child runs, because an operator asked, or because it is about to be killed. */
  'child.stacks': {
    readonly child: string;
    readonly pid: number;
    /** The threads that run JavaScript, with their calls, the innermost first. */
    readonly threads: readonly { readonly thread: string; readonly frames: readonly string[] }[];
    /** Why they cannot be read. */
    readonly failure: string | null;
  };
  /** The event loop of a child has been blocked, or delayed in each second, for ten seconds. */
  'child.lagging': { readonly child: string; readonly pid: number };
  'profile.taken': {
    readonly kind: 'cpu' | 'heap';
    readonly child: string;
    readonly pid: number;
    readonly file: string;
    /** true: by itself, because the process lagged. */
    readonly automatic: boolean;
  };
  /** No profile was taken of a process that lagged. */
  'profile.failed': { readonly message: string };
  'child.killed': { readonly child: string; readonly pid: number; readonly reason: string };
  'primary.starting': { readonly banner: readonly string[] };
  /** A tree of the same folder is stopping; this one starts when that has ended. */
  'primary.waiting': { readonly pid: number; readonly limitMs: number };
  'primary.listening': ListeningEvent;
  'primary.stopping': StoppingEvent;
  'primary.stopped': StoppedEvent;

  // A web worker
  /** A connection was closed because of what it began with, and so were others since this was told last: `count` of them. */
  'connection.refused': { readonly reason: string; readonly peer: string; readonly count: number };
  /** The app, or Catamount itself, is about to serve it. */
  'request.started': { readonly method: string; readonly path: string; readonly requestId: string };
  'request.finished': {
    readonly method: string;
    readonly path: string;
    readonly status: number;
    /** Rounded to hundredths. */
    readonly durationMs: number;
    /** Time spent waiting for a slot, rounded to hundredths. */
    readonly queuedMs: number;
    /** Sum of the times of its statements, rounded to hundredths, and their number. */
    readonly sqlMs: number;
    readonly sqlCount: number;
    /** Answered by Catamount itself: health checks, the operator's pages. */
    readonly internal: boolean;
    /** The reason why it was shed before the app saw it; null when it was not. */
    readonly shedReason: ShedReason | null;
    readonly requestId: string;
    readonly remoteAddress: string;
  };
  /** The stop's deadline came before the response. */
  'request.aborted': { readonly request: string; readonly requestId: string; readonly ageMs: number };
  'request.error': {
    readonly error: Error;
    readonly method: string;
    readonly path: string;
    readonly requestId: string;
  };

  // Alerts
  /** Operators were told of an issue, or of its end. */
  'alert.sent': { readonly event: 'alert' | 'recovery'; readonly line: string; readonly channel: string };
  /** If no channel takes an alert, the next look tries again. */
  'alert.failed': { readonly channel: string; readonly error: Error };

  // Jobs
  /** `source`: the place in the app that enqueued it, with LOG_ENQUEUES. */
  'job.enqueued': {
    readonly id: string;
    readonly class: string;
    readonly queue: string;
    readonly source?: string | undefined;
  };
  /** A unique job was not enqueued, since the job `id` holds its claim. */
  'job.duplicate': { readonly id: string; readonly class: string; readonly queue: string };
  /** A job that waits, which has this id, got the arguments and the time of a later enqueue. */
  'job.replaced': EventMap['job.enqueued'];
  /** A job was discarded by `throttle`; none has this id. */
  'job.throttled': { readonly id: string; readonly class: string; readonly queue: string };
  /** A callback or a middleware prevented the enqueue. */
  'job.enqueue-cancelled': { readonly id: string; readonly class: string; readonly queue: string };
  /** `waitedMs` counts from the time at which the job was ready. */
  'job.started': AboutJob & { readonly waitedMs: number };
  'job.succeeded': Omit<AboutJob, 'attempt' | 'args'> & { readonly durationMs: number };
  /** The job is done and was kept, but without its result. */
  'job.result-lost': { readonly id: string; readonly class: string; readonly queue: string; readonly why: string };
  /** A line that the job has written. Its fields are attributes of the context. */
  'job.log': { readonly id: string; readonly class: string; readonly text: string };
  'job.retrying': AboutJob & { readonly waitMs: number; readonly error: Error };
  'job.dead': AboutJob & { readonly reason: string; readonly error: Error };
  'job.discarded': AboutJob & { readonly error: Error };
  /** The job was cancelled: it has left, and does not run, or run again. `reason` is '' when none was given. */
  'job.cancelled': {
    readonly id: string;
    readonly class: string;
    readonly queue: string;
    readonly reason: string;
    readonly was: 'waiting' | 'running';
  };
  /** The job had not begun within its `expiresIn`, and has left without a run. */
  'job.expired': AboutJob & { readonly error: Error };
  /** The job's run has asked to run again later. That is not a failure. */
  'job.snoozed': AboutJob & { readonly waitMs: number };
  /** The job's timeout expired long ago, but its handler is still running. Emitted once per run. */
  'job.timeout-ignored': {
    readonly id: string;
    readonly class: string;
    readonly queue: string;
    readonly ageMs: number;
  };
  /** The job's process stops: the job is at the head of its queue again, as if it had not been started. */
  'job.released': { readonly id: string; readonly class: string; readonly queue: string };
  /** This app cannot run the job, which is left to processors that can. `wasLogged`: the log has just warned of its class. */
  'job.left': {
    readonly id: string;
    readonly class: string;
    readonly queue: string;
    readonly waitMs: number;
    readonly wasLogged: boolean;
    readonly error: Error;
  };
  /** The job was told to wait, with the other jobs of `key`; null: alone. It runs again after that. */
  'job.rate-limited': {
    readonly id: string;
    readonly class: string;
    readonly queue: string;
    readonly waitMs: number;
    readonly key: string | null;
    readonly error: Error;
  };
  /** The job's outcome came too late, since it had been delivered to another process. */
  'job.fenced': { readonly id: string; readonly class: string; readonly queue: string };
  /** The job was taken back from a process that died or stalled; `identity` is that of its job processor. */
  'job.rescued': { readonly id: string; readonly queue: string; readonly identity: string };
  /** A job was enqueued after COMMIT by work that `transaction()` did not await. Once per class and process. */
  'job.left-transaction': { readonly class: string };
  /** A model's query ran after the COMMIT of the transaction in which it was begun. Once per model. */
  'query.left-transaction': { readonly model: string };
  /**
   * The database is a copy of another one, whose jobs it has: none of them runs here until somebody adopts them. `here` and `made`
   * are the server's identifier and the database's, now and where its tables were made; null when that is not known.
   */
  'database.copied': { readonly here: string; readonly made: string | null };
  /** Notifications of Postgres do not reach the job processor, as through a pooler in transaction mode. */
  'notifications.lost': Record<string, never>;
  /** Notifications of Postgres reach the job processor again. */
  'notifications.restored': Record<string, never>;
  /** Dead jobs were deleted: their queue had too many, or they had been dead for 180 days. */
  'dead.dropped': { readonly queue: string; readonly count: number; readonly reason: 'limit' | 'age' };
  /** Work on queues failed; it is retried without end. Emitted for the first failure in a row only. */
  'queue.error': { readonly error: Error; readonly during: string };
  /** A recurring job was enqueued, at its time or by an operator's trigger. */
  'cron.enqueued': {
    readonly name: string;
    readonly class: string;
    readonly id: string;
    readonly scheduledFor: Date;
  };
  /** A recurring job was due but not enqueued, by the job's own rules (uniqueness, middleware). */
  'cron.skipped': {
    readonly name: string;
    readonly class: string;
    readonly scheduledFor: Date;
    readonly reason: string;
  };
  /** No processor ran at some times; `caughtUp` of these are enqueued now. `limited`: there were more, uncounted. */
  'cron.missed': {
    readonly name: string;
    readonly class: string;
    readonly policy: 'skip' | 'once' | 'all';
    readonly missed: number;
    readonly caughtUp: number;
    readonly limited: boolean;
  };
  /**
   * Recurring jobs, or the one named, could not be enqueued, which is retried without end. Emitted for the first failure
   * in a row only.
   */
  'cron.error': { readonly error: Error; readonly name?: string };

  /** A monitor did not get the ping of a recurring job's class, after several tries. */
  'cron.ping-failed': { readonly class: string; readonly host: string; readonly error: Error };

  /** A queue's oldest job has waited for longer than JOB_LATENCY_WARNING. Emitted once until that is normal again. */
  'queue.latency-high': { readonly queue: string; readonly latencyMs: number; readonly size: number };
  'queue.latency-normal': { readonly queue: string; readonly latencyMs: number; readonly size: number };

  // Mail
  /** The mail is built: its action, its templates, its callbacks and the interceptors have run. */
  'mail.processed': { readonly mailer: string; readonly action: string; readonly durationMs: number };
  'mail.sent': {
    readonly mailer: string;
    readonly action: string;
    readonly to: readonly string[];
    readonly via: string;
    readonly messageId: string;
    readonly durationMs: number;
  };
  /** The mail itself, for `log` delivery. */
  'mail.logged': {
    readonly to: readonly string[];
    readonly subject: string;
    readonly text: string;
    readonly messageId: string;
  };
  'mail.skipped': { readonly mailer: string; readonly action: string; readonly reason: string };
  'mail.failed': { readonly mailer: string; readonly action: string; readonly error: Error };
}

interface AboutJob {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  /** 1 for the first run. */
  readonly attempt: number;
  /** Id of the request that enqueued the job, if any. */
  readonly requestId?: string | undefined;
  /** Makes the redacted arguments, only for listeners that show them; undefined when none may be shown. */
  readonly args?: () => readonly JsonValue[] | undefined;
}

export type EventName = keyof EventMap;
