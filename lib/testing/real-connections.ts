import { Events } from '../core/events';
import { Redis } from '../core/redis';
import { JobEnqueuer } from '../job/enqueue/enqueuer';
import { deleteRows } from '../job/outbox/outbox';
import { queueKey } from '../job/redis/keys';
import { DeadSet } from '../job/set/dead-set';
import { RetrySet } from '../job/set/retry-set';
import { ScheduledSet } from '../job/set/scheduled-set';
import type { Database } from '../model/database';
import { Deadline } from '../support/deadline';
import type { LedgerEntry } from './ledger';
import type { TestDatabase } from './test-database';

/** How long Redis may take to let us go, ms. */
const CLOSE_MS = 5000;

/** The stores of real jobs, as one process sees them. */
export class RealConnections {
  readonly enqueuer: JobEnqueuer;

  private constructor(
    private readonly testDatabase: TestDatabase,
    readonly redis: Redis,
    readonly redisUrl: string,
    readonly events: Events,
  ) {
    this.enqueuer = new JobEnqueuer(this.database.knex, redis.client, events);
  }

  /** @throws Error when Redis does not answer. */
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
    throw new Error(`useRealJobs: Redis does not answer at ${new URL(redisUrl).host}: ${refusal.message}`, {
      cause: refusal,
    });
  }

  get database(): Database {
    return this.testDatabase.database;
  }

  /** @throws Error while the test has a transaction of its own. */
  checkCommits(): void {
    if (!this.testDatabase.inTransaction) return;
    throw new Error('no job processor sees what a test writes after database.begin(): use fake or inline jobs there');
  }

  /** What waits for its time, or to be tried again, comes to the tail of its queue. */
  async bringForward(entries: readonly LedgerEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const ids = refsOf(entries);
    const sources = this.sources(queuesOf(entries));
    await new ScheduledSet(sources).runMany({ ids });
    await new RetrySet(sources).retryMany({ ids });
  }

  /** Removes these jobs from wherever they are. */
  async remove(entries: readonly LedgerEntry[]): Promise<void> {
    const selection = { ids: refsOf(entries) };
    const sources = this.sources(queuesOf(entries));
    for (const set of [new ScheduledSet(sources), new RetrySet(sources), new DeadSet(sources)]) {
      await set.deleteMany(selection);
    }
    for (const { request } of entries) {
      await this.redis.client.lRem(queueKey(request.queue, 'waiting'), 0, request.id);
      await this.redis.client.hDel(queueKey(request.queue, 'jobs'), request.id);
    }
    await deleteRows(
      this.database.knex,
      entries.map(({ request }) => request.id),
    );
  }

  async close(): Promise<void> {
    await this.redis.stop(Deadline.after(CLOSE_MS));
  }

  private sources(queues: readonly string[]) {
    const { database, redis, events } = this;
    return { knex: database.knex, redis: redis.client, events, queues, via: 'test' };
  }
}

function queuesOf(entries: readonly LedgerEntry[]): string[] {
  return [...new Set(entries.map(({ request }) => request.queue))];
}

function refsOf(entries: readonly LedgerEntry[]) {
  return entries.map(({ request: { id, queue } }) => ({ id, queue }));
}
