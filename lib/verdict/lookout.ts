import type { Knex } from 'knex';
import type { RecentEvent } from '../cluster/recent-events';
import type { Operations } from '../cluster/stats';
import type { TreePicture } from '../cluster/tree-picture';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import type { RedisClient } from '../core/redis';
import { isForeign } from '../job/outbox/installation';
import { overdueByQueue } from '../job/outbox/overdue';
import { knownQueues } from '../job/queue/queue-names';
import type { QueueStatus } from '../job/queue/queue-status';
import { readQueues } from '../job/queue/queue-status';
import { readActs } from '../tree/operator-acts';
import { type ListedTree, TreeList } from '../tree/tree-list';
import { type FailingCron, type JobFailures, readFailingCron, readFailures } from './job-failures';
import { type MailFacts, readMail } from './mail-facts';
import { type PostgresFacts, readPostgres } from './postgres-facts';
import { type RedisFacts, readRedis } from './redis-facts';
import { type Reading, Source } from './source';

/** All that is known at one moment, of this tree and what it leans on. */
export interface Sighting {
  readonly at: Date;
  readonly own: Reading<TreePicture>;
  /** Every tree on this Redis, this one too. */
  readonly trees: Reading<readonly ListedTree[]>;
  readonly queues: Reading<readonly QueueStatus[]>;
  /** Whether the database was copied from another installation, and nobody has adopted its jobs. */
  readonly foreign: Reading<boolean>;
  /** Jobs that are due and still in the outbox, by queue; none where there are none. */
  readonly outbox: Reading<ReadonlyMap<string, number>>;
  /** What became of jobs lately. */
  readonly failures: Reading<JobFailures>;
  readonly cron: Reading<readonly FailingCron[]>;
  readonly postgres: Reading<PostgresFacts>;
  readonly redis: Reading<RedisFacts>;
  readonly mail: Reading<MailFacts>;
  /** What operators have done lately, newest first. */
  readonly acts: Reading<readonly RecentEvent[]>;
  /** Why the connection to Redis broke, where it told so. */
  readonly redisLost: string | null;
}

export interface LookoutOptions {
  readonly tree: Pick<Operations, 'look'>;
  readonly redis: { readonly client: RedisClient };
  readonly knex: Knex;
  readonly events: Events;
  readonly config: Pick<Config, 'jobs'>;
}

/**
 * Looks for everybody who looks at the overview in this process: however many they are, nothing is asked more often than
 * it changes.
 */
export class Lookout {
  private readonly own: Source<TreePicture>;
  private readonly trees: Source<readonly ListedTree[]>;
  private readonly queues: Source<readonly QueueStatus[]>;
  private readonly foreign: Source<boolean>;
  private readonly outbox: Source<ReadonlyMap<string, number>>;
  private readonly failures: Source<JobFailures>;
  private readonly cron: Source<readonly FailingCron[]>;
  private readonly postgres: Source<PostgresFacts>;
  private readonly redis: Source<RedisFacts>;
  private readonly mail: Source<MailFacts>;
  private readonly acts: Source<readonly RecentEvent[]>;
  private redisLost: string | null = null;

  constructor({ tree, redis, knex, events, config }: LookoutOptions) {
    const names = config.jobs.queues.map((queue) => queue.name);
    const known = () => knownQueues(redis.client, names);
    this.own = new Source(() => tree.look(), { freshMs: 900 });
    const list = new TreeList(redis.client);
    this.trees = new Source(() => list.list(), { freshMs: 900 });
    this.queues = new Source(async () => readQueues(redis.client, await known()), { freshMs: 1900 });
    this.foreign = new Source(() => isForeign(knex, redis.client), { freshMs: 4900 });
    this.outbox = new Source(async () => overdueByQueue(knex, await known()), { freshMs: 9000 });
    this.failures = new Source(async () => readFailures(redis.client, await known()), { freshMs: 4900 });
    this.cron = new Source(async () => readFailingCron(knex, redis.client, await known()), { freshMs: 9000 });
    this.postgres = new Source(() => readPostgres(knex), { freshMs: 4900 });
    this.redis = new Source(() => readRedis(redis.client), { freshMs: 1900 });
    this.mail = new Source(async () => readMail({ knex, redis: redis.client, queues: names }), { freshMs: 9000 });
    this.acts = new Source(() => readActs(redis.client), { freshMs: 900 });
    events.on('redis.lost', ({ error }) => {
      this.redisLost = 'code' in error && error.code ? String(error.code) : error.message || error.name;
    });
    events.on('redis.ready', () => {
      this.redisLost = null;
    });
  }

  async look(): Promise<Sighting> {
    const [own, trees, queues, foreign, outbox, failures, cron, postgres, redis, mail, acts] = await Promise.all([
      this.own.get(),
      this.trees.get(),
      this.queues.get(),
      this.foreign.get(),
      this.outbox.get(),
      this.failures.get(),
      this.cron.get(),
      this.postgres.get(),
      this.redis.get(),
      this.mail.get(),
      this.acts.get(),
    ]);
    return {
      at: new Date(),
      own,
      trees,
      queues,
      foreign,
      outbox,
      failures,
      cron,
      postgres,
      redis,
      mail,
      acts,
      redisLost: this.redisLost,
    };
  }
}
