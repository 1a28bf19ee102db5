import type { JsonValue } from './execution-context';
import type { ShedReason } from './request-counts';

type Listener<E extends EventName> = (payload: EventMap[E]) => void;
type EveryListener = (name: EventName, payload: EventMap[EventName]) => void;

interface Registered {
  /** undefined: every event. */
  readonly name: EventName | undefined;
  readonly listener: EveryListener;
}

/** A typed emitter. A listener that throws is reported as `process.error` and disturbs nobody. */
export class Events {
  private readonly registered = new Set<Registered>();
  /** Who hears what, put together when first emitted after a change: some events come thousands of times a second. */
  private readonly hearing = new Map<EventName, readonly EveryListener[]>();

  emit<E extends EventName>(name: E, payload: EventMap[E]): void {
    for (const listener of this.hearing.get(name) ?? this.listenersOf(name)) {
      try {
        listener(name, payload);
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (name !== 'process.error') this.emit('process.error', { error, during: `a listener of ${name}` });
      }
    }
  }

  /** Hears every event. @returns a function that removes the listener. */
  onAny(listener: EveryListener): () => void {
    return this.register({ name: undefined, listener });
  }

  /** Hears one kind of event. @returns a function that removes the listener. */
  on<E extends EventName>(name: E, listener: Listener<E>): () => void {
    return this.register({ name, listener: (_name, payload) => listener(payload as EventMap[E]) });
  }

  /** Resolves with the next such event. */
  next<E extends EventName>(name: E): Promise<EventMap[E]> {
    return new Promise((resolve) => {
      const off = this.on(name, (payload) => {
        off();
        resolve(payload);
      });
    });
  }

  private register(entry: Registered): () => void {
    this.registered.add(entry);
    this.hearing.clear();
    return () => {
      this.registered.delete(entry);
      this.hearing.clear();
    };
  }

  private listenersOf(name: EventName): readonly EveryListener[] {
    const concerned = [...this.registered].filter((entry) => entry.name === undefined || entry.name === name);
    const listeners = concerned.map(({ listener }) => listener);
    this.hearing.set(name, listeners);
    return listeners;
  }
}

/**
 * Everything that happens worth knowing, by name. Code emits; the log subscriber writes the lines, and statistics,
 * hooks and tests listen to the same events. Payloads are plain data. Times are milliseconds unless named otherwise.
 */
export interface EventMap {
  // The process at hand
  'process.warning': { readonly message: string };
  /** No file can be opened, and no connection accepted. Told again as long as it lasts. */
  'descriptors.exhausted': { readonly code: string };
  'descriptors.freed': Record<string, never>;
  'process.error': { readonly error: Error; readonly during: string };
  /** The app's job setup is here, with the keys whose values it wants hidden. */
  'setup.loaded': { readonly filterArguments: readonly (string | RegExp)[] };

  // Postgres and Redis, as this process sees them
  'redis.ready': Record<string, never>;
  'redis.lost': { readonly error: Error };
  /** It has not answered for a moment, seen by the one process of the tree that looks after this. */
  'service.lost': { readonly service: Service; readonly cause: string };
  /** It answers again. */
  'service.restored': { readonly service: Service; readonly outageMs: number };
  'migration.done': { readonly name: string; readonly direction: 'up' | 'down' };
  'database.error': { readonly error: Error };

  // Embedded servers
  'embedded.started': {
    readonly server: 'postgres' | 'redis';
    readonly pid: number;
    readonly adopted: boolean;
    readonly durationMs: number;
  };
  'embedded.stopped': { readonly server: 'postgres' | 'redis'; readonly pid: number };
  /** It ended by itself and is started again. */
  'embedded.exited': { readonly server: 'postgres' | 'redis'; readonly pid: number };

  // The primary
  'worker.forked': { readonly slot: number; readonly pid: number; readonly phase: number };
  'worker.ready': { readonly slot: number; readonly pid: number; readonly durationMs: number };
  'worker.exited': {
    readonly slot: number;
    readonly pid: number;
    readonly code: number | null;
    readonly signal: string | null;
    readonly expected: boolean;
  };
  'worker.restart-scheduled': { readonly slot: number; readonly waitMs: number; readonly attempt: number };
  /** Its heartbeats have ceased; what it did by the last of them. */
  'worker.unresponsive': {
    readonly slot: number;
    readonly pid: number;
    readonly heartbeatAgeMs: number;
    readonly inFlight: readonly { readonly what: string; readonly id: string; readonly ageMs: number }[];
    /** Finished or not. */
    readonly lastRequest: { readonly what: string; readonly id: string; readonly ageMs: number } | null;
  };
  'worker.replaced': { readonly slot: number; readonly pid: number; readonly reason: string };
  'processor.forked': { readonly pid: number };
  'processor.ready': { readonly pid: number; readonly durationMs: number };
  'processor.exited': {
    readonly pid: number;
    readonly code: number | null;
    readonly signal: string | null;
    readonly expected: boolean;
  };
  'processor.unresponsive': {
    readonly pid: number;
    readonly heartbeatAgeMs: number;
    readonly inFlight: readonly { readonly what: string; readonly id: string; readonly ageMs: number }[];
  };
  /** Its successor could not boot. */
  'processor.kept': { readonly pid: number; readonly reason: string };
  /** It crashed so often that it is now restarted only rarely. */
  'processor.crash-loop': { readonly crashes: number };
  'processor.restart-scheduled': { readonly waitMs: number; readonly attempt: number };
  /** On command, and not started again until `resume`. */
  'processor.stopped': Record<string, never>;
  'phase.started': { readonly phase: number };
  'phase.completed': { readonly phase: number; readonly durationMs: number };
  'phase.aborted': { readonly phase: number; readonly reason: string };
  /** How WEB_CONCURRENCY=auto came to its number. */
  'workers.auto-sized': { readonly calculation: string };
  /** How the limit is divided, at the start. */
  'memory.planned': {
    readonly limitMb: number;
    readonly workers: number;
    readonly workerMb: number;
    readonly jobsMb: number | null;
  };
  /** The tree takes more memory than it should. */
  'memory.high': {
    readonly totalMb: number;
    readonly limitMb: number;
    readonly slot: number;
    readonly workerMb: number;
  };
  /** Somebody asked for it, by the socket or a signal. */
  'operator.command': { readonly command: string; readonly via: string };
  /** The command could not be carried out. */
  'operator.rejected': { readonly command: string; readonly via: string; readonly reason: string };
  /** Redis or Postgres did not answer when somebody asked for it at the pages. */
  'operator.failed': {
    readonly command: OperatorAction;
    /** A queue, a recurring job; of jobs their set. */
    readonly of: string;
    readonly count: number;
    readonly service: 'redis' | 'postgres';
    readonly via: string;
  };
  /** Somebody paused, resumed or emptied a queue. */
  'operator.queue': {
    readonly action: 'pause' | 'resume' | 'clear';
    readonly queue: string;
    /** Deleted by a clear. */
    readonly jobs: number;
    readonly via: string;
  };
  /** Somebody steered a recurring job. */
  'operator.cron': {
    readonly action: 'trigger' | 'pause' | 'resume' | 'forget';
    readonly name: string;
    readonly via: string;
  };
  /** Somebody said that the jobs of a database that was copied are to run here. */
  'operator.adopted': { readonly via: string };
  /** Somebody left a command for one job processor, wherever it runs. */
  'operator.processor': {
    readonly command: 'quiet' | 'resume' | 'stop';
    /** Its identity. */
    readonly processor: string;
    readonly via: string;
  };
  /** Somebody deleted mails that `file` delivery had written, or sent a preview as a test. */
  'operator.mails': { readonly action: 'delete' | 'test'; readonly count: number; readonly via: string };
  /** Somebody tried to sign in to the operator's pages; `role` is null for a wrong name or password. */
  'operator.sign-in': {
    readonly role: 'operator' | 'viewer' | null;
    readonly address: string;
    /** Too many wrong ones came from that address: it must wait. */
    readonly locked: boolean;
  };
  /** Somebody moved jobs by hand. */
  'operator.jobs': { readonly action: string; readonly set: string; readonly count: number; readonly via: string };
  'child.output': { readonly child: string; readonly line: string };
  'child.killed': { readonly child: string; readonly pid: number; readonly reason: string };
  'primary.starting': { readonly banner: readonly string[] };
  'primary.listening': {
    readonly address: string;
    readonly durationMs: number;
    /** What a browser on this machine opens. */
    readonly pages?: readonly string[];
  };
  'primary.stopping': { readonly reason: string; readonly timeoutMs: number };
  'primary.stopped': { readonly durationMs: number; readonly killed: number };

  // A web worker
  'request.finished': {
    readonly method: string;
    readonly path: string;
    readonly status: number;
    /** To the hundredth. */
    readonly durationMs: number;
    /** Time spent waiting for a slot, to the hundredth. */
    readonly queuedMs: number;
    /** Answered by Catamount itself: health checks, the operator's pages. */
    readonly internal: boolean;
    /** Why it was turned away before the app saw it; null when it was not. */
    readonly shedReason: ShedReason | null;
    readonly requestId: string;
    readonly remoteAddress: string;
  };
  /** The deadline came before its answer. */
  'request.aborted': { readonly request: string; readonly requestId: string; readonly ageMs: number };
  'request.error': {
    readonly error: Error;
    readonly method: string;
    readonly path: string;
    readonly requestId: string;
  };

  // Jobs
  'job.enqueued': {
    readonly id: string;
    readonly class: string;
    readonly queue: string;
    readonly via: 'outbox' | 'redis';
  };
  /** A unique job was not enqueued, for the job `id` holds its claim. */
  'job.duplicate': { readonly id: string; readonly class: string; readonly queue: string };
  /** A callback or a middleware kept it from being enqueued. */
  'job.cancelled': { readonly id: string; readonly class: string; readonly queue: string };
  /** `waitedMs`: since it could have run. */
  'job.started': AboutJob & { readonly waitedMs: number };
  'job.succeeded': Omit<AboutJob, 'attempt' | 'args'> & { readonly durationMs: number };
  'job.retrying': AboutJob & { readonly waitMs: number; readonly error: Error };
  'job.dead': AboutJob & { readonly reason: string; readonly error: Error };
  'job.discarded': AboutJob & { readonly error: Error };
  /** Its timeout was up long ago, and its handler goes on all the same. Once a run. */
  'job.timeout-ignored': {
    readonly id: string;
    readonly class: string;
    readonly queue: string;
    readonly ageMs: number;
  };
  /** Its process stops: it is at the head of its queue again, as if it had not been started. */
  'job.released': { readonly id: string; readonly class: string; readonly queue: string };
  /** Its outcome came too late: it had been given to another process. */
  'job.fenced': { readonly id: string; readonly class: string; readonly queue: string };
  /** Taken back from a process that died or stalled. */
  'job.rescued': { readonly id: string; readonly queue: string };
  /** Another process's heartbeats have ceased: its jobs return to their queues. */
  'processor.rescued': {
    readonly identity: string;
    readonly host: string;
    readonly pid: number;
    /** At least so long. */
    readonly heartbeatAgeMs: number;
    readonly jobs: number;
  };
  /** Redis has lost its data: whatever was not in the outbox as well. */
  'redis.emptied': Record<string, never>;
  /** Work that `transaction()` did not wait for has enqueued one behind its commit. Once for a class in each process. */
  'job.left-transaction': { readonly class: string };
  /** A model's query came behind the COMMIT of the transaction that it was begun in; once for a model. */
  'query.left-transaction': { readonly model: string };
  /** Jobs that Redis had lost are taken from the outbox again. */
  'outbox.redispatched': { readonly count: number };
  /** The database was copied from another installation: none of its jobs is dispatched until somebody adopts them. */
  'installation.foreign': { readonly database: string; readonly redis: string };
  /** Dead jobs are gone for good: their queue's set was full, or they had been in it for 180 days. */
  'dead.dropped': { readonly queue: string; readonly count: number; readonly reason: 'limit' | 'age' };
  /** Redis had the records of these jobs, but no list that they were on: they are back where they belong. */
  'queue.restored': { readonly queue: string; readonly count: number };
  /** Queues or outbox could not be worked on; tried again without end. The first failure in a row only. */
  'queue.error': { readonly error: Error; readonly during: string };
  /** A recurring job's time has come, or somebody asked for it. */
  'cron.enqueued': {
    readonly name: string;
    readonly class: string;
    readonly id: string;
    readonly scheduledFor: Date;
  };
  /** It has come, but the job's own rules (uniqueness, middleware) want no other run. */
  'cron.skipped': {
    readonly name: string;
    readonly class: string;
    readonly scheduledFor: Date;
    readonly reason: string;
  };
  /** Nobody was there at its times; `caughtUp` of these are enqueued now. `limited`: there were more, uncounted. */
  'cron.missed': {
    readonly name: string;
    readonly class: string;
    readonly policy: 'skip' | 'once' | 'all';
    readonly missed: number;
    readonly caughtUp: number;
    readonly limited: boolean;
  };
  /** Recurring jobs, or one of them by name, could not be enqueued; tried again without end. The first failure in a row only. */
  'cron.error': { readonly error: Error; readonly name?: string };

  /** Its oldest job has waited for longer than JOB_LATENCY_WARNING. Once, until it has caught up. */
  'queue.latency-high': {
    readonly queue: string;
    readonly latencyMs: number;
    readonly size: number;
    /** false: by no process that is known. */
    readonly served: boolean;
  };
  'queue.latency-normal': { readonly queue: string; readonly latencyMs: number; readonly size: number };
  /** The same of jobs that are due in the outbox and not yet on their queues. */
  'outbox.latency-high': { readonly latencyMs: number; readonly size: number };
  'outbox.latency-normal': { readonly latencyMs: number; readonly size: number };

  // Mail
  'mail.sent': {
    readonly mailer: string;
    readonly action: string;
    readonly to: readonly string[];
    readonly via: string;
    readonly messageId: string;
    readonly durationMs: number;
  };
  /** `log` delivery: the mail itself. */
  'mail.logged': {
    readonly to: readonly string[];
    readonly subject: string;
    readonly text: string;
    readonly messageId: string;
  };
  'mail.skipped': { readonly mailer: string; readonly action: string; readonly reason: string };
  'mail.failed': { readonly mailer: string; readonly action: string; readonly error: Error };
}

/** What every tree leans on. */
type Service = 'redis' | 'postgres';

/** A run of a job. */
interface AboutJob {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  /** 1 for the first run. */
  readonly attempt: number;
  /** Of the request that led to it. */
  readonly requestId?: string | undefined;
  /** Its arguments, fit to be shown; undefined where none are to be. Asked only by those who show them. */
  readonly args?: () => readonly JsonValue[] | undefined;
}

export type EventName = keyof EventMap;

/** The actions that the pages' forms ask for and that need Redis or Postgres. */
export type OperatorAction =
  | `${'pause' | 'resume' | 'clear'} queue`
  | `${'trigger' | 'pause' | 'resume' | 'forget'} recurring job`
  | `${'retry' | 'promote' | 'reschedule' | 'kill' | 'delete'} jobs`
  | 'send a test of';
