import { type EventMap, type EventName, Events } from '../core/events';
import { Redis } from '../core/redis';
import { redisPlace } from '../core/redis-url';
import { EnqueueError } from '../job/definition/errors';
import type { EnqueuedJob, EnqueueRequest, JobClass } from '../job/definition/job-class';
import { JobEnqueuer } from '../job/enqueue/enqueuer';
import { Hints } from '../job/hint/hints';
import { JobRegistry } from '../job/job-registry';
import type { SetName } from '../job/sets/entry';
import { JobSet } from '../job/sets/job-set';
import type { Database } from '../model/database';
import { currentTransaction, onOutcome } from '../model/transaction';
import { Deadline } from '../support/async';
import { JobLog, LoggedJob } from './job-log';
import { performReal, type Workplace } from './real-perform';
import type { TestDatabase } from './test-database';
import type { JobMode, PerformOptions, TestDependencies } from './use-jobs';

/** Jobs in Redis and Postgres, performed by a job processor within the test's process. */
export class RealJobs implements JobMode {
  readonly name = 'real';
  readonly jobLog = new JobLog();
  private readonly registry = new RealRegistry();
  private readonly byId = new Map<string, LoggedJob>();
  private closed = false;

  constructor(
    readonly dependencies: TestDependencies,
    private readonly connections: RealConnections,
    private readonly limits: Pick<Workplace, 'concurrency' | 'timeoutMs'>,
  ) {
    const { events } = connections;
    const follow = <E extends EventName & `job.${string}`>(
      name: E,
      apply: (entry: LoggedJob, event: EventMap[E]) => void,
    ) =>
      events.on(name, (event) => {
        const entry = 'id' in event ? this.byId.get(event.id) : undefined;
        if (entry) apply(entry, event);
      });
    follow('job.started', (entry) => {
      entry.state = 'performing';
      entry.runs += 1;
      entry.error = undefined;
    });
    follow('job.succeeded', (entry) => {
      entry.state = 'succeeded';
    });
    follow('job.retrying', (entry, { waitMs, error }) => {
      Object.assign(entry, { state: 'enqueued', error, dueAt: Date.now() + waitMs });
    });
    follow('job.left', (entry, { waitMs, error }) => {
      Object.assign(entry, { state: 'enqueued', error, dueAt: Date.now() + waitMs });
    });
    follow('job.discarded', (entry, { error }) => {
      Object.assign(entry, { state: 'discarded', error });
    });
    follow('job.dead', (entry, { error }) => {
      Object.assign(entry, { state: 'dead', error });
    });
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    const entries = requests.map((request) => this.note(request));
    let outcome: readonly (EnqueuedJob | Error)[] = [];
    try {
      outcome = await this.connections.enqueuer.enqueue(requests);
      return [...outcome] as EnqueuedJob[];
    } catch (thrown) {
      if (thrown instanceof EnqueueError) outcome = thrown.jobs;
      throw thrown;
    } finally {
      entries.forEach((entry, i) => {
        const job = outcome[i];
        if (job && !(job instanceof Error) && job.enqueued) this.follow(entry);
        else this.forget(entry);
      });
    }
  }

  async perform(options: PerformOptions, since: number): Promise<void> {
    const { connections, registry, dependencies, jobLog, limits } = this;
    await performReal({ connections, registry, dependencies, jobLog, ...limits }, options, since);
  }

  async clear(): Promise<void> {
    // A job that was running when its processor stopped is in its queue again.
    const left = this.jobLog.in(['pending', 'enqueued', 'performing', 'dead']);
    if (left.length > 0) await this.connections.remove(left);
    this.jobLog.clear();
    this.byId.clear();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.clear();
    await this.connections.close();
  }

  /** Logs the job before it is enqueued, since a processor may fetch it at once. */
  private note(request: EnqueueRequest): LoggedJob {
    if (this.registry.get(request.name) !== request.jobClass) this.registry.add(request.jobClass);
    const entry = new LoggedJob(request);
    this.jobLog.add(entry);
    this.byId.set(request.id, entry);
    return entry;
  }

  private follow(entry: LoggedJob): void {
    const trx = entry.request.trx ?? currentTransaction();
    if (trx) onOutcome(trx, (committed) => (committed ? accept(entry) : this.forget(entry)));
    else accept(entry);
  }

  private forget(entry: LoggedJob): void {
    this.jobLog.remove(entry);
    this.byId.delete(entry.request.id);
  }
}

/** Hides the schedules of recurring jobs, since the processor must run only what the test has enqueued. */
class RealRegistry extends JobRegistry {
  override *[Symbol.iterator](): Iterator<JobClass> {
    const classes = { [Symbol.iterator]: () => super[Symbol.iterator]() };
    for (const jobClass of classes) yield Object.create(jobClass, { cron: { value: undefined } }) as JobClass;
  }
}

/** Marks the job as enqueued, unless it has already been performed. */
function accept(entry: LoggedJob): void {
  if (entry.state === 'pending') entry.state = 'enqueued';
}

/** Timeout for closing the Redis connection, ms. */
const CLOSE_MS = 5000;

/** The connections of real jobs to Redis and Postgres. */
export class RealConnections {
  readonly enqueuer: JobEnqueuer;

  private constructor(
    private readonly testDatabase: TestDatabase,
    readonly redis: Redis,
    readonly redisUrl: string,
    readonly events: Events,
  ) {
    this.enqueuer = new JobEnqueuer(this.database.knex, new Hints(redis.client), events);
  }

  /** @throws Error if Redis does not answer. */
  static async open(database: TestDatabase, redisUrl: string): Promise<RealConnections> {
    const events = new Events();
    const redis = new Redis(redisUrl, events);
    const connections = new RealConnections(database, redis, redisUrl, events);
    const ready = events.next('redis.ready').then(() => undefined);
    const lost = events.next('redis.lost').then(({ error }) => error);
    await redis.start();
    const refusal = await Promise.race([ready, lost]);
    if (!refusal) return connections;
    await connections.close();
    throw new Error(`useRealJobs: Redis does not answer at ${redisPlace(redisUrl)}: ${refusal.message}`, {
      cause: refusal,
    });
  }

  get database(): Database {
    return this.testDatabase.database;
  }

  /** @throws Error while `begin()` of the test database has a transaction open. */
  checkCommits(): void {
    if (!this.testDatabase.inTransaction) return;
    throw new Error('a job processor cannot see what a test writes after database.begin(): use fake or inline jobs');
  }

  /** Moves scheduled jobs and jobs waiting for a retry to the tail of their queues. */
  async bringForward(entries: readonly LoggedJob[]): Promise<void> {
    if (entries.length === 0) return;
    const ids = toRefs(entries);
    await this.set('scheduled').runMany('promote', { ids });
    await this.set('retry').runMany('retry', { ids });
  }

  /** Removes these jobs, wherever they are. */
  async remove(entries: readonly LoggedJob[]): Promise<void> {
    const selection = { ids: toRefs(entries) };
    for (const name of ['waiting', 'active', 'blocked', 'scheduled', 'retry', 'dead'] as const)
      await this.set(name).deleteMany(selection);
  }

  async close(): Promise<void> {
    await this.redis.stop(Deadline.after(CLOSE_MS));
  }

  private set(name: SetName): JobSet {
    const { database, redis, events } = this;
    return new JobSet({ knex: database.knex, redis: redis.client, events, queues: [], via: 'cli:test' }, name);
  }
}

function toRefs(entries: readonly LoggedJob[]) {
  return entries.map(({ request: { id, queue } }) => ({ id, queue }));
}
