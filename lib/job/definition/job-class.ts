import type { Knex } from 'knex';
import type { Model } from 'objection';
import type { Attributes, JsonValue } from '../../core/execution-context';
import type { Duration } from '../../support/duration';
import type { RunAt } from './options';
import type { RetryDecision, RetryOptions } from './retry-policy';

/** What `this.context` tells a running job of its run. */
export interface JobContext {
  readonly id: string;
  /** 1 for the first run. */
  readonly attempt: number;
  readonly queue: string;
  /** Name of the job's class. */
  readonly class: string;
  readonly tags: readonly string[];
  readonly enqueuedAt: Date;
  /** Deliveries without an outcome, this one included: above 1 a process died, or stalled, with the job. */
  readonly deliveries: number;
  /**
   * Aborted when the process stops and cannot wait: what still runs then goes back to the head of its queue, and so does
   * what ends because of it, by an error or without. Also with a JobTimeoutError, when the class's `timeout` is up.
   */
  readonly signal: AbortSignal;
}

/**
 * Options as a class may write them, `static override unique = { until: 'executed' }`: TypeScript takes their texts for
 * any texts there, unless they are annotated, or `as const`. What they say is checked when the class is loaded.
 */
export type Written<T> = T extends string
  ? string
  : T extends boolean
    ? boolean
    : T extends (...args: never[]) => unknown
      ? T
      : T extends readonly (infer Item)[]
        ? readonly Written<Item>[]
        : T extends object
          ? { readonly [K in keyof T]: Written<T[K]> }
          : T;

/** Anything with a `perform`, whatever its arguments. */
export interface Performable {
  perform(...args: never[]): unknown;
  beforePerform?(...args: never[]): unknown;
  aroundPerform?(perform: () => Promise<void>, ...args: never[]): unknown;
  afterPerform?(...args: never[]): unknown;
  afterDiscard?(error: Error, ...args: never[]): unknown;
}

/** A concrete subclass of `Job`, as a value. */
export interface JobClass<J extends Performable = Performable> {
  new (): J;
  readonly name: string;
  readonly jobName?: string;
  readonly queue: string;
  readonly retry: RetryOptions;
  readonly durable: boolean;
  readonly unique?: Written<UniqueOptions | true>;
  /** Travel with each job, for those who look for it. */
  readonly tags?: readonly string[];
  /** After this long its run is aborted (`context.signal`); if it then rejects, it failed with a JobTimeoutError. */
  readonly timeout?: Written<Duration>;
  /** Of this class at most so many run at once, over all processes. */
  readonly concurrency?: number;
  readonly cron?: Written<string | CronOptions | readonly CronOptions[]>;
  /** false: logs and reports show no arguments of this class. Default true. */
  readonly logArguments?: boolean;
  retryIn?(attempt: number, error: Error): RetryDecision;
}

/** While one job of a key is on its way, another is a duplicate and is not enqueued. */
export interface UniqueOptions {
  /** What of the arguments makes the key. Default: all of them. */
  readonly by?: (...args: never[]) => unknown;
  /** executed: until it has its outcome. executing: until it begins, so that a change meanwhile runs it once more. Default executed. */
  readonly until?: 'executed' | 'executing';
  /** The claim counts no longer than this, from when the job may run. Default: for as long as the job lives. */
  readonly ttl?: Duration;
}

/**
 * A schedule by the clock: each tick is enqueued once, however many processors there are. The run finds the moment it is
 * for in `currentContext().attributes.scheduledFor`, as ISO text in UTC.
 */
export interface CronOptions {
  /**
   * Five fields, or six with seconds first, such as `0 3 * * *`; or `@daily` and the like. Where clocks change, a fixed
   * time comes once a day all the same, and an interval (`*`, a step) goes by what has really passed: see `Schedule`.
   */
  readonly at: string;
  /** IANA name. Default UTC. */
  readonly timeZone?: string;
  /**
   * What becomes of ticks that nobody was awake for. skip: nothing, when they are more than a minute late. once: the
   * latest is run. all: each is, up to 1,000. Default once.
   */
  readonly catchUp?: 'skip' | 'once' | 'all';
  /** For `perform`. No type can see that it needs some: give them here. Default none. */
  readonly args?: readonly unknown[];
  /** Tells several schedules of one class apart, and operators which is which. Default: the class's name. */
  readonly name?: string;
}

export interface JobOptions {
  /** Not before this much time has passed. */
  readonly wait?: Duration | undefined;
  /** Not before this moment. */
  readonly waitUntil?: Date | undefined;
  /** Instead of the class's own. */
  readonly queue?: string | undefined;
  /** Beside the class's own. */
  readonly tags?: readonly string[] | undefined;
  /** Enqueues in this transaction; needed only where `transaction()` is not in use. */
  readonly trx?: Knex.Transaction | undefined;
}

export type Args<J extends Performable> = Parameters<J['perform']>;

export function jobNameOf(jobClass: Pick<JobClass, 'jobName' | 'name'>): string {
  return jobClass.jobName ?? jobClass.name;
}

/**
 * What travels although JSON has no form for it. Name here what your own serializers take:
 * `declare module 'catamount' { interface SerializableTypes { money: Money } }`.
 */
export interface SerializableTypes {
  date: Date;
  bigint: bigint;
  /** By class and id: loaded again before the job is performed. */
  model: Model;
}

/** What a job may be given. */
export type JobArgument =
  | JsonValue
  | SerializableTypes[keyof SerializableTypes]
  | readonly JobArgument[]
  | { readonly [key: string]: JobArgument };

/** undefined stands for an optional argument that is left out; it cannot be passed. */
export type JobArguments = readonly (JobArgument | undefined)[];

/** A job that is ready to be enqueued, with others, by `performAllLater`. Enqueued twice, it is two jobs. */
export interface PreparedJob {
  readonly jobClass: JobClass;
  readonly args: readonly unknown[];
  readonly options: JobOptions;
}

/** What came of one `performLater`. */
export interface EnqueuedJob {
  /** A UUID: the job's own in Redis, in the outbox and in `this.context`; of a duplicate, that of the job it repeats. */
  readonly id: string;
  /** false: nothing was enqueued, for the `reason`. */
  readonly enqueued: boolean;
  readonly reason?: 'duplicate' | 'cancelled';
}

/** A unique job's claim: while another job holds its key, this one is a duplicate. */
export interface UniqueClaim {
  readonly key: string;
  readonly until: 'executed' | 'executing';
  /** The claim counts no longer than this, from when the job may run, ms; null: for as long as the job lives. */
  readonly ttlMs: number | null;
}

/** The context of the code that enqueues, carried into the job's own. */
export interface CarriedContext {
  readonly requestId?: string;
  readonly locale?: string;
  /** The app's own, as `withAttributes` set them. */
  readonly attributes?: Attributes;
}

export interface EnqueueRequest {
  readonly id: string;
  readonly jobClass: JobClass;
  readonly name: string;
  /** Serialised: what travels. */
  readonly args: readonly JsonValue[];
  readonly queue: string;
  readonly durable: boolean;
  /** undefined: at once. */
  readonly runAt: RunAt | undefined;
  /** The one that was given, or the ambient one. */
  readonly trx: Knex.Transaction | undefined;
  readonly unique: UniqueClaim | undefined;
  readonly tags: readonly string[];
  readonly context: CarriedContext;
}

/** Job classes by the name that travels. */
export interface JobLookup {
  get(name: string): JobClass | undefined;
}
