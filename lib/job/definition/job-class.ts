import type { Knex } from 'knex';
import type { Model } from 'objection';
import type { Attributes, JsonValue } from '../../core/execution-context';
import type { Duration } from '../../support/duration';
import type { BatchRef } from './batch';
import type { RetryDecision, RetryOptions } from './retry-policy';

/** The data of its run that a job reads from `this.context`. */
export interface JobContext {
  /** The job's UUID, the same in every run and as `performLater` returned it: a key for work that must happen once. */
  readonly id: string;
  /** 1 for the first run. */
  readonly attempt: number;
  /** The queue from which the job was fetched. */
  readonly queue: string;
  /** Name of the job's class. */
  readonly class: string;
  /** Tags of the class and of the enqueue, by which operators find the job. */
  readonly tags: readonly string[];
  /** The moment of `performLater`; for a recurring job that of its enqueue, which may be later than its tick. */
  readonly enqueuedAt: Date;
  /** Deliveries without an outcome, this one included: above 1, a process died or stalled with the job. */
  readonly deliveries: number;
  /** The batch that it is a job or a callback of. */
  readonly batchId: string | undefined;
  /**
   * Aborted when the process stops and cannot wait any longer. A job that still runs then returns to the head of its queue. So
   * does one that ends because of it, with or without an error. The signal is also aborted, with a JobTimeoutError, when the
   * class's `timeout` is up, and with a JobCancelledError when the job is cancelled.
   */
  readonly signal: AbortSignal;
}

/** Anything with a `perform`, whatever its arguments. */
export interface Performable {
  /** The work of the job. */
  perform(...args: never[]): unknown;
  /** Called before `perform`. */
  beforePerform?(...args: never[]): unknown;
  /** Called around `perform`, which it must await. */
  aroundPerform?(perform: () => Promise<void>, ...args: never[]): unknown;
  /** Called after a `perform` that did not fail. */
  afterPerform?(...args: never[]): unknown;
  /** Called when the job is discarded or dies, or when its run ends as cancelled. */
  afterDiscard?(error: Error, ...args: never[]): unknown;
}

/** A concrete subclass of `Job`, as a value. */
export interface JobClass<J extends Performable = Performable> {
  /** Takes no arguments: those of the job go to `perform`. */
  new (): J;
  /** The class's own name, which the job carries unless `jobName` is set. */
  readonly name: string;
  /** The name that jobs carry instead of the class's own. */
  readonly jobName?: string;
  /** The queue of its jobs, or a function of their arguments that returns it, unless the enqueue names another. */
  readonly queue: string | ((...args: never[]) => string);
  /** The limit of retries for failures without a rule of their own. */
  readonly retry: RetryOptions;
  /** The queue in which its retries wait. Default: that of the job. */
  readonly retryQueue?: string;
  /** The rule by which one of its jobs is a duplicate; undefined: none is. */
  readonly unique?: UniqueOptions | boolean;
  /** Each enqueue postpones the one job that waits, and gives it new arguments. */
  readonly debounce?: DebounceOptions;
  /** At most one of its jobs, or of those with the same key, begins in a time. */
  readonly throttle?: ThrottleOptions;
  /** Attached to each job, so that operators can search for them. */
  readonly tags?: readonly string[];
  /** After this time the run is aborted (`context.signal`); if it then rejects, it failed with a JobTimeoutError. */
  readonly timeout?: Duration;
  /** After this time the run ends at its next checkpoint, and the job goes on later. */
  readonly maxRuntime?: Duration;
  /** A job that has not begun when it has been due for this long leaves without a run. */
  readonly expiresIn?: Duration;
  /** Which of the jobs of a queue run first: a whole number from -100 to 100, the smallest first. Default 0. */
  readonly priority?: number;
  /** How many of its jobs, or of those with the same key, run at once, over all processes. */
  readonly limit?: LimitOptions;
  /** How many of its jobs, or of those with the same key, start in a time, over all processes. */
  readonly rate?: RateOptions;
  /** The schedules by which it is enqueued; undefined: it is not. */
  readonly cron?: string | CronOptions | readonly CronOptions[];
  /** false: logs and reports show no arguments of this class. Default true. */
  readonly logArguments?: boolean;
  /** true: its arguments are stored encrypted, and shown nowhere. Default false. */
  readonly encrypt?: boolean;
  /** How long its finished jobs are kept, with their results. Default: they leave nothing. */
  readonly keep?: Duration | KeepOptions;
  /** Whether it performs in a thread of its own. Default false. */
  readonly thread?: boolean | ThreadOptions;
  /** Names of the fields whose values the next run of a job finds again. Default: none. */
  readonly persisted?: readonly string[];
  /** Decides the wait after one failure; undefined leaves it to the formula. */
  retryIn?(attempt: number, error: Error): RetryDecision;
}

/** How many jobs of a class run at once, over all processes. Those beyond wait in their order, and delay no other job. */
export interface LimitOptions {
  /** Maximum number of jobs that run at once: a whole number from 1. */
  readonly count: number;
  /**
   * Returns the key of a job, text or a number, from its arguments: the limit is then for each key, and keys take turns.
   * Default: one limit for the class.
   */
  readonly key?: (...args: never[]) => unknown;
}

/**
 * How many jobs of a class start in a time, over all processes: evenly spaced, one each `per / limit`. In no span of `per` do more
 * than `limit + burst` start.
 */
export interface RateOptions {
  /** Number of jobs in the time: a whole number from 1. */
  readonly limit: number;
  /** The time. */
  readonly per: Duration;
  /** Returns the key of a job, as that of `limit` does, which must be the same. Default: one rate for the class. */
  readonly key?: (...args: never[]) => unknown;
  /** How many more may start at once after a quiet time, or to make up for delays: a whole number. Default 0. */
  readonly burst?: number;
}

/** How long the finished jobs of a class are kept, with their results. */
export interface KeepOptions {
  /** The time from the end of a job on. */
  readonly for: Duration;
  /** Maximum number of finished jobs of the class: the newest ones. Default 10,000. */
  readonly limit?: number;
}

/** The thread in which jobs of a class perform. */
export interface ThreadOptions {
  /** Limit of its heap, from '32MB'. A run that needs more fails. Buffers do not count. Default '128MB'. */
  readonly memory: `${number}MB`;
}

/** While one job holds a key, another one with the same key is not enqueued, replaces it, or waits for its end. */
export interface UniqueOptions {
  /** Returns the part of the arguments that makes the key. Default: all of them. */
  readonly by?: (...args: never[]) => unknown;
  /**
   * The end of the claim. executed: the job has its outcome. executing: the job begins, so that a change during the run
   * enqueues another one. Default executed.
   */
  readonly until?: 'executed' | 'executing';
  /** Maximum lifetime of the claim, from when the job is due. Default: the lifetime of the job. */
  readonly ttl?: Duration;
  /**
   * What becomes of the later enqueue. discard: it is a duplicate, and is not enqueued. replace: the job that waits gets its
   * arguments and its time; behind one that runs it waits. wait: it is held until all earlier jobs of the key have ended.
   * `until` and `ttl` are for 'discard' only. Default discard.
   */
  readonly onConflict?: 'discard' | 'replace' | 'wait';
}

/** The job runs once no other was enqueued for a time, with the arguments of the last enqueue. */
export interface DebounceOptions {
  /** The time from the last enqueue to the run. */
  readonly wait: Duration;
  /** The time from the first enqueue after which the run is postponed no more: at least `wait`. */
  readonly maxWait: Duration;
  /** Returns the part of the arguments that makes the key. Default: one key for the class. */
  readonly key?: (...args: never[]) => unknown;
}

/** At most one job of a key begins in a time. */
export interface ThrottleOptions {
  /** The time between the beginnings of two runs. */
  readonly per: Duration;
  /** Returns the part of the arguments that makes the key. Default: one key for the class. */
  readonly key?: (...args: never[]) => unknown;
  /**
   * What becomes of an enqueue within that time. replace: all of them lead to one run at its end, with the arguments of the last.
   * discard: it is not enqueued. Default replace.
   */
  readonly onConflict?: 'replace' | 'discard';
}

/**
 * A schedule by the clock: each tick is enqueued once, however many processors there are. The run reads the time of its
 * tick from `currentContext().attributes.scheduledFor`, as ISO text in UTC.
 */
export interface CronOptions {
  /**
   * Five fields, or six with seconds first, such as `0 3 * * *`; or `@daily` and the like. At clock changes a fixed
   * time still comes once a day, and an interval (`*`, a step) goes by elapsed time: see `Schedule`.
   */
  readonly at: string;
  /** IANA name. Default UTC. */
  readonly timeZone?: string;
  /**
   * What happens to ticks during which no processor was alive. skip: those more than a minute late are dropped. once: the
   * latest is run. all: each is run, up to 1,000. Default once.
   */
  readonly catchUp?: 'skip' | 'once' | 'all';
  /** Arguments of `perform`, which no type can check here. Default none. */
  readonly args?: readonly unknown[];
  /** Tells several schedules of one class apart, for operators as well. Default: the class's name. */
  readonly name?: string;
  /**
   * URL of a monitor that raises an alarm when it hears nothing, such as `https://hc-ping.com/…`. It gets a GET after each success
   * of the class, and one of `…/fail` when a job of it has died. Default none.
   */
  readonly ping?: string;
}

/** Options of one enqueue, for `set()`: they override those of the class. */
export interface JobOptions {
  /** Runs the job after this time at the earliest. */
  readonly wait?: Duration | undefined;
  /** Runs the job at this moment at the earliest. */
  readonly waitUntil?: Date | undefined;
  /** Overrides the queue of the class. */
  readonly queue?: string | undefined;
  /** Overrides the class's `expiresIn`. */
  readonly expiresIn?: Duration | undefined;
  /** Overrides the priority of the class: a whole number from -100 to 100. Smaller ones run first. */
  readonly priority?: number | undefined;
  /** Added to the tags of the class. */
  readonly tags?: readonly string[] | undefined;
  /** Makes it a job of this batch. */
  readonly batch?: BatchRef | undefined;
  /** Enqueues in this transaction; needed only where `transaction()` is not in use. */
  readonly trx?: Knex.Transaction | undefined;
}

/** Options of one enqueue of many jobs. */
export interface BulkOptions {
  /** The jobs become due evenly over this time instead of at once: the first at its own time, each other one a step later. */
  readonly spread?: Duration | undefined;
}

/** The arguments of a job's `perform`. */
export type Args<J extends Performable> = Parameters<J['perform']>;

/**
 * Types that jobs can take although JSON has no form for them. Add the types of your own serializers: `declare module
 * 'catamount' { interface SerializableTypes { money: Money } }`.
 */
export interface SerializableTypes {
  /** Sent as ISO text, with milliseconds. */
  date: Date;
  /** Sent as decimal digits. */
  bigint: bigint;
  /** Sent as class and id, and loaded again before the job is performed. */
  model: Model;
}

/** The types that a job can take. */
export type JobArgument =
  | JsonValue
  | SerializableTypes[keyof SerializableTypes]
  | readonly JobArgument[]
  | { readonly [key: string]: JobArgument };

/** undefined stands for an optional argument that is left out; it cannot be passed. */
export type JobArguments = readonly (JobArgument | undefined)[];

/**
 * The arguments of one class, for its `Job<…>`: those of JobArguments, and objects of interfaces all of whose properties a
 * job can take. An instance of a class is not allowed, since its methods would be lost.
 */
export type ArgumentsOf<A> = JobArguments | (readonly unknown[] & { readonly [K in keyof A]: Taken<A[K]> });

/** The type itself if a job can take it; otherwise a type that no value fits. */
export type Taken<T> = T extends JobArgument | undefined
  ? T
  : T extends (...args: never[]) => unknown
    ? never
    : T extends object
      ? { readonly [K in keyof T]: Taken<T[K]> }
      : never;

/** A job that `performAllLater` can enqueue together with others. Enqueued twice, it is two jobs. */
export interface PreparedJob {
  /** The class whose `perform` is to run. */
  readonly jobClass: JobClass;
  /** The arguments for `perform`, not serialized yet. */
  readonly args: readonly unknown[];
  /** The options that were given to `set()`; empty without them. */
  readonly options: JobOptions;
  /** true: the arguments are stored encrypted, whatever the class says. */
  readonly encrypt?: boolean;
}

/** The result of one `performLater`, told apart by `enqueued` and `reason`. */
export type EnqueuedJob = AcceptedJob | DuplicateJob | ThrottledJob | CancelledJob;

/** The job was enqueued; inside a transaction, it will be with the commit. */
export interface AcceptedJob {
  /** A UUID: the job's own in Postgres and in `this.context`. */
  readonly id: string;
  /** true: the job was enqueued. */
  readonly enqueued: true;
  /** true: a job that was enqueued earlier, and has this id, got its arguments and its time. */
  readonly replaced?: true;
  /** Always absent, so that `reason` alone tells the results apart, too. */
  readonly reason?: undefined;
}

/** Nothing was enqueued, since another job holds the key of the class's `unique`. */
export interface DuplicateJob {
  /** The UUID of the other job, which was enqueued earlier. */
  readonly id: string;
  /** false: nothing was enqueued. */
  readonly enqueued: false;
  /** Tells this result from that of a cancelled job. */
  readonly reason: 'duplicate';
}

/** Nothing was enqueued, since a job of the same key began within the time of the class's `throttle`. */
export interface ThrottledJob {
  /** The UUID that the job would have had. No job has it. */
  readonly id: string;
  /** false: nothing was enqueued. */
  readonly enqueued: false;
  /** Tells this result from that of a duplicate. */
  readonly reason: 'throttled';
}

/** Nothing was enqueued, since a callback or a middleware prevented it. */
export interface CancelledJob {
  /** The UUID that the job would have had, by which the log names it. No job has it. */
  readonly id: string;
  /** false: nothing was enqueued. */
  readonly enqueued: false;
  /** Tells this result from that of a duplicate. */
  readonly reason: 'cancelled';
}

/** Options of `result`. */
export interface ResultOptions {
  /** How long to wait for the end of the job at most. Default 30 s. */
  readonly timeout?: Duration | undefined;
}

/** The end of a job, for those who have enqueued it. */
export interface JobHandle<R> {
  /**
   * Waits until the job has ended. @returns what its `perform` has returned, or the work of its `commit`.
   * @throws JobResultError when there is none: the class has no `keep`, the job died, or left without being done, or the time is
   * up. TypeError inside a transaction, for which the job may wait. Errors of the arguments' types, such as RecordGoneError.
   */
  result(options?: ResultOptions): Promise<R>;
}

/** What the `perform` of a job returns. */
export type ResultOf<J extends Performable> = Awaited<ReturnType<J['perform']>>;

/** Options of `cancel`. */
export interface CancelOptions {
  /** Up to 1,000 characters, for the job's signal, the log and the pages. Default none. */
  readonly reason?: string | undefined;
}

/** Options of `cancelAll`. */
export interface CancelAllOptions extends CancelOptions {
  /** Only jobs with this tag. Default: all of the class. */
  readonly tag?: string | undefined;
}

/**
 * What `cancel` did. cancelled: the job waited, and has left. requested: it runs, and its signal is aborted; its run decides
 * whether it ends as done or as cancelled. gone: it has ended, is dead, or never existed.
 */
export type CancelOutcome = 'cancelled' | 'requested' | 'gone';

/** What `cancelAll` did, in numbers of jobs; the words are those of CancelOutcome. */
export type CancelCounts = Readonly<Record<Exclude<CancelOutcome, 'gone'>, number>>;

/** The claim of a unique job: what becomes of it while another job holds its key. */
export interface UniqueClaim {
  /** The class's name and a digest of the arguments that count. */
  readonly key: string;
  /** The end of the claim: the job's outcome, or the start of its run. */
  readonly until: 'executed' | 'executing';
  /**
   * From when the job is due, ms: the maximum lifetime of the claim, or how long later enqueues that replace the job may postpone
   * it. null: without a limit.
   */
  readonly ttlMs: number | null;
  /** discard: this one is a duplicate. replace: the other one, if it waits, gets the arguments and the time of this one. */
  readonly onConflict: 'discard' | 'replace';
  /** true: it is discarded while the rate of its limit key leaves no room, too. */
  readonly isThrottled: boolean;
}

/** The earliest time of a run. A relative wait stays relative, so that only the database's clock counts. */
export type RunAt =
  | {
      /** Time from the enqueue on, ms. */
      readonly inMs: number;
    }
  | {
      /** The moment itself, as `waitUntil` gave it. */
      readonly at: Date;
    };

/** The context of the enqueuing code, which the job runs in. */
export interface CarriedContext {
  /** Id of the request that enqueued the job, directly or through other jobs. */
  readonly requestId?: string;
  /** Locale of the caller, in which mails of the job are written. */
  readonly locale?: string;
  /** The app's own attributes, as `withAttributes` set them. */
  readonly attributes?: Attributes;
}

/**
 * A job that is about to be enqueued, as an enqueue middleware sees it: it may pass on a changed copy. The arguments are
 * checked and serialized already.
 */
export interface EnqueueRequest {
  /** The UUID that the job will have. */
  readonly id: string;
  /** The class whose `perform` is to run. */
  readonly jobClass: JobClass;
  /** The name that the job carries: the class's `jobName`, otherwise its own name. */
  readonly name: string;
  /** The serialized arguments. */
  readonly args: readonly JsonValue[];
  /** true: they are stored encrypted. */
  readonly encrypt: boolean;
  /** The queue to which the job goes. */
  readonly queue: string;
  /** undefined: at once. */
  readonly runAt: RunAt | undefined;
  /** How long the job may have been due without having begun, ms; then it leaves without a run. undefined: for ever. */
  readonly expiresInMs?: number | undefined;
  /** Jobs of a queue with smaller ones run first; from -100 to 100. Default 0. */
  readonly priority?: number | undefined;
  /** The given or the ambient transaction. */
  readonly trx: Knex.Transaction | undefined;
  /** The key of a job whose class has a limit, after its name; undefined for others. */
  readonly limitKey: string | undefined;
  /** The claim of a job whose class is `unique`; undefined for others. */
  readonly unique: UniqueClaim | undefined;
  /** Tags of the class and of the enqueue, each once. */
  readonly tags: readonly string[];
  /** The batch that it is a job of; undefined for others. */
  readonly batchId?: string | undefined;
  /** Context that the job will run in. */
  readonly context: CarriedContext;
  /** The file and line of the app that enqueues it, such as `services/sign-up.ts:20`; only with LOG_ENQUEUES. */
  readonly source?: string | undefined;
}

/** Job classes by the name that jobs carry. */
export interface JobLookup {
  get(name: string): JobClass | undefined;
}
