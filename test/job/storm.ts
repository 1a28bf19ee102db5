import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import pg from 'pg';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { PostgresServer } from '../../lib/embedded/postgres-server';
import { findServer, startServer } from '../../lib/embedded/server-lifecycle';
import { Database } from '../../lib/model/database';
import { migrateUp } from '../../lib/model/migrator';
import { connectTransactions } from '../../lib/model/transaction';
import { connectJobs } from '../../lib/role/connect/connect-app';
import { Deadline } from '../../lib/support/deadline';
import { migrationsIn } from '../support/migrations';
import { startTestRedis, type TestRedis } from '../support/redis';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { startChildProcessor } from './child-processor';

/** What is killed, in turn. The second time, and each second time after it, Redis loses its data. */
const VICTIMS = ['processor', 'redis', 'postgres'] as const;

/** A Postgres that is killed, and started again at its address. */
interface StormPostgres {
  readonly url: string;
  start(): Promise<void>;
  /** SIGKILL: to start again; SIGINT: for good. */
  end(signal: 'SIGKILL' | 'SIGINT'): Promise<void>;
}

/** The embedded Postgres, whose COMMIT does not wait for the disk, for the test to kill. It keeps its address and its data. */
class KillablePostgres implements StormPostgres {
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

/** A job processor with a Postgres and a Redis of its own, each of which the test kills. */
export class JobStorm {
  killed = 0;
  private redisServer!: TestRedis;
  private redis!: Redis;
  private child!: ChildProcess;
  private disconnect: (() => void) | undefined;
  private generation = 0;
  /** Of this process, which enqueues. */
  database!: Database;

  constructor(private readonly postgres: StormPostgres = new KillablePostgres()) {}

  async start(): Promise<void> {
    this.redisServer = await startTestRedis('--appendfsync', 'always');
    await this.postgres.start();
    const events = new Events();
    this.database = new Database(this.postgres.url, { production: false, events, poolMax: 4 });
    await migrateUp(this.database.knex, migrationsIn(['lib/job/migrations']));
    this.redis = new Redis(this.redisServer.url, events);
    await this.redis.start();
    await until('Redis is connected', () => this.redis.client.isReady);
    this.disconnect = connectJobs({ database: this.database, redis: this.redis, events });
    connectTransactions(this.database.knex);
    this.begin();
  }

  async stop(): Promise<void> {
    this.child?.kill('SIGKILL');
    this.disconnect?.();
    connectTransactions(undefined);
    await this.redis?.stop(Deadline.after(WAIT_LIMIT_MS));
    await this.database?.stop(Deadline.after(WAIT_LIMIT_MS));
    await this.redisServer?.remove();
    await this.postgres.end('SIGINT');
  }

  /** Kills something and starts it again. Default: the next of the victims. @returns what was killed. */
  async strike(victim: (typeof VICTIMS)[number] = VICTIMS[this.killed % VICTIMS.length] ?? 'processor') {
    this.killed++;
    if (victim === 'processor') {
      const exited = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await exited;
      this.begin();
    } else if (victim === 'redis') {
      await this.redisServer.kill();
      await this.redisServer.restart({ wipe: this.killed % 2 === 1 });
    } else {
      await this.postgres.end('SIGKILL');
      await this.postgres.start();
    }
    return victim;
  }

  /** Queries on a connection of its own, which no kill has cut. */
  async query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    const client = new pg.Client(this.postgres.url);
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  private begin(): void {
    const dead = this.generation > 0 ? [`dying-${this.generation - 1}`] : [];
    this.child = startChildProcessor(
      { database: this.postgres.url, redis: this.redisServer.url },
      {
        lineage: { identity: `dying-${this.generation}`, dead },
        concurrency: 8,
        tuning: { dispatch: { lookMs: 100, upkeepMs: 1000 } },
      },
    );
    this.generation++;
  }
}
