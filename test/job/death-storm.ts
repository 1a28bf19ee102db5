import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import pg from 'pg';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { PostgresServer } from '../../lib/embedded/postgres-server';
import { findServer, startServer } from '../../lib/embedded/server-lifecycle';
import { JobAdmin } from '../../lib/job/admin/job-admin';
import { Database } from '../../lib/model/database';
import { migrateUp } from '../../lib/model/migrator';
import { connectTransactions } from '../../lib/model/transaction';
import { connectJobs } from '../../lib/role/connect/connect-app';
import { Deadline } from '../../lib/support/deadline';
import { dice } from '../support/dice';
import { migrationsIn } from '../support/migrations';
import { startTestRedis, type TestRedis } from '../support/redis';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { DyingJob } from './child-jobs';
import { startChildProcessor } from './child-processor';

export interface DeathStormOptions {
  /** How many jobs die in one round. */
  readonly jobs: number;
  /** How often something is killed while the jobs of a round die, and again as often after all were retried. */
  readonly kills: number;
  readonly seed: number;
  /** Rounds are repeated for this time, ms. Default: one round. */
  readonly ms?: number;
}

/** What is killed, in turn. */
const VICTIMS = ['processor', 'redis', 'postgres'] as const;

/** The embedded Postgres, whose COMMIT does not wait for the disk, for the test to kill. It keeps its address and its data. */
class KillablePostgres {
  private readonly server = new PostgresServer(path.join(tempFolder('postgres'), '.catamount'));
  private port: number | undefined;
  private pid = 0;

  get url(): string {
    return this.server.url(this.port ?? 0);
  }

  /** Retries, since children of a killed server may still be ending. */
  async start(): Promise<void> {
    const started = await until('Postgres has started', () => startServer(this.server, () => undefined, this.port));
    this.port = started.port;
    this.pid = started.pid;
  }

  async end(signal: 'SIGKILL' | 'SIGINT'): Promise<void> {
    process.kill(this.pid, signal);
    await until('Postgres has ended', async () => (await findServer(this.server).catch(() => 'ending')) === undefined);
  }
}

/** Whatever is killed while jobs die, each job is dead exactly once, and nowhere else. */
export function deathStorm({ jobs, kills, seed, ms = 0 }: DeathStormOptions): void {
  describe(`${jobs} jobs that die under kill -9 of everything (seed ${seed})`, () => {
    const roll = dice(seed);
    const postgres = new KillablePostgres();
    let redisServer: TestRedis;
    let database: Database;
    let redis: Redis;
    let disconnect: () => void;
    let child: ChildProcess;
    let generation = 0;
    let killed = 0;

    before(async () => {
      redisServer = await startTestRedis('--appendfsync', 'always');
      await postgres.start();
      const events = new Events();
      database = new Database(postgres.url, { production: false, events, poolMax: 4 });
      await migrateUp(database.knex, migrationsIn(['lib/job/migrations']));
      redis = new Redis(redisServer.url, events);
      await redis.start();
      await until('Redis is connected', () => redis.client.isReady);
      disconnect = connectJobs({ database, redis, events });
      connectTransactions(database.knex);
      begin();
    });
    after(async () => {
      child?.kill('SIGKILL');
      disconnect?.();
      connectTransactions(undefined);
      await redis?.stop(Deadline.after(WAIT_LIMIT_MS));
      await database?.stop(Deadline.after(WAIT_LIMIT_MS));
      await redisServer?.remove();
      await postgres.end('SIGINT');
    });

    function begin(): void {
      const lineage = { identity: `dying-${generation}`, dead: generation > 0 ? [`dying-${generation - 1}`] : [] };
      child = startChildProcessor(
        { database: postgres.url, redis: redisServer.url },
        { lineage, concurrency: 8, tuning: { dispatch: { lookMs: 100, upkeepMs: 1000 } } },
      );
      generation++;
    }

    async function strike(): Promise<void> {
      const victim = VICTIMS[killed++ % VICTIMS.length];
      if (victim === 'processor') {
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
        begin();
      } else if (victim === 'redis') {
        await redisServer.kill();
        await redisServer.start();
      } else {
        await postgres.end('SIGKILL');
        await postgres.start();
      }
    }

    /** Queries on a connection of its own, which no kill has cut. */
    async function query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
      const client = new pg.Client(postgres.url);
      client.on('error', () => undefined);
      await client.connect();
      try {
        return (await client.query<Row>(sql)).rows;
      } finally {
        await client.end();
      }
    }

    const deadIds = async () =>
      (await query<{ id: string }>('select id from job_dead order by id')).map(({ id }) => id);

    /** @param died returns how many deaths Postgres has recorded. */
    async function die(ids: readonly string[], died: () => Promise<number>): Promise<void> {
      for (let kill = 1; kill <= kills; kill++) {
        const wanted = Math.floor((ids.length * (kill - 1 + roll(100) / 100)) / (kills + 1));
        await until(`${wanted} have died`, async () => (await died()) >= wanted);
        await strike();
      }
      const expected = [...ids].sort();
      await until(
        'all jobs are dead, and nothing is left of them elsewhere',
        async () => {
          assert.deepEqual(await deadIds(), expected);
          assert.deepEqual(await query('select id from job_queue'), []);
          return true;
        },
        { timeoutMs: 2 * WAIT_LIMIT_MS, everyMs: 100 },
      );
    }

    it('are each dead once, and once again after a retry, and nowhere else', async function () {
      const round = WAIT_LIMIT_MS * (2 * kills + 6);
      this.timeout(ms + round);
      const end = performance.now() + ms;
      let deaths = 0;
      do {
        const numbers = Array.from({ length: jobs }, (_, n) => [n] as [number]);
        const enqueued = await DyingJob.performAllLater(numbers);
        // A killed Postgres of this kind forgets the commits of the last moments.
        await query('checkpoint');
        await die(
          enqueued.map(({ id }) => id),
          async () => (await deadIds()).length,
        );
        const before = (await query<{ at: string }>('select max(died_at)::text as at from job_dead'))[0]?.at ?? '';
        const sources = {
          knex: database.knex,
          events: new Events(),
          queues: [],
          via: 'cli:storm' as const,
        };
        const dead = new JobAdmin(sources).set('dead');
        await until('all dead jobs are retried', async () => (await dead.move('retry', { filter: {} })).complete);
        await query('checkpoint');
        await die(
          enqueued.map(({ id }) => id),
          async () => (await query(`select from job_dead where died_at > '${before}'`)).length,
        );
        const again = await query(`select from job_dead where died_at > '${before}'`);
        assert.equal(again.length, enqueued.length, 'each job has died once more');
        deaths += enqueued.length + again.length;
        await query('truncate job_dead');
      } while (performance.now() < end);
      this.runnable().title += `: ${deaths} deaths, ${killed} times kill -9`;
    });
  });
}
