import path from 'node:path';
import { createClient } from 'redis';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { stopSharedServers } from '../../support/shared-servers';
import type { StoreUrls } from '../contender/contenders';
import { Child, NO_LIMIT } from './processes';

const PROXY = path.join(__dirname, 'delaying-proxy.js');

/** The stores of a run: a Redis without persistence and a migrated Postgres, reachable with any round trip time. */
export class Stores {
  private readonly proxies = new Map<string, { readonly child: Child; readonly port: number }>();

  private constructor(
    private readonly redis: TestRedis,
    readonly database: TestDatabase,
    /** A client for inspection. Measured processes have connections of their own. */
    readonly client: ReturnType<typeof clientOf>,
  ) {}

  static async start(): Promise<Stores> {
    const database = await createDurableDatabase();
    const redis = await startTestRedis('--appendonly', 'no');
    const client = clientOf(redis.url);
    client.on('error', (error: Error) => process.stderr.write(`redis: ${error.message}\n`));
    await client.connect();
    return new Stores(redis, database, client);
  }

  /** Environment variables of a tree on these stores. */
  get env(): Record<string, string> {
    return {
      REDIS_URL: this.redis.url,
      DATABASE_URL: this.database.url,
      MAIL_DELIVERY: 'test',
      APP_URL: 'https://shop.example',
      LOG_FORMAT: 'json',
    };
  }

  /** @param rttMs round trip time, ms; 0 connects directly, without a proxy. */
  async urls(rttMs: number): Promise<StoreUrls> {
    const { redis, database } = this;
    return { redisUrl: await this.delayed(redis.url, rttMs), databaseUrl: await this.delayed(database.url, rttMs) };
  }

  /** Removes all data of earlier measurements. */
  async clear(): Promise<void> {
    await this.client.flushAll();
    await this.database.query('truncate job_queue, job_dead, job_processes, job_stats, mail_deliveries, users');
    await this.database.query('drop schema if exists graphile_worker, pgboss cascade');
  }

  /** Jobs that have not ended; the dead do not count. */
  async jobCount(): Promise<number> {
    const [row] = await this.database.query<{ count: number }>('select count(*)::int from job_queue');
    return row?.count ?? Number.NaN;
  }

  /** CPU time that Redis has used since it started, µs. */
  async redisCpuUs(): Promise<number> {
    const info = await this.client.info('cpu');
    const read = (field: string) => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(info)?.[1]);
    return (read('used_cpu_user') + read('used_cpu_sys')) * 1e6;
  }

  async remove(): Promise<void> {
    for (const { child } of this.proxies.values()) await child.kill();
    this.client.destroy();
    await this.redis.remove();
    await this.database.drop();
    await stopSharedServers();
  }

  private async delayed(url: string, rttMs: number): Promise<string> {
    if (rttMs === 0) return url;
    const target = new URL(url);
    const key = `${target.port} ${rttMs}`;
    const proxy = this.proxies.get(key) ?? (await startProxy(Number(target.port), rttMs / 2));
    this.proxies.set(key, proxy);
    target.port = String(proxy.port);
    return target.toString();
  }
}

/** Creates a database whose commits wait for the disk, as in production; the embedded Postgres switches that off. */
export async function createDurableDatabase(migrated = true): Promise<TestDatabase> {
  const database = await createDatabase({ migrated });
  await database.query(`alter database ${new URL(database.url).pathname.slice(1)} set synchronous_commit = on`);
  return database;
}

function clientOf(url: string) {
  return createClient({ url });
}

async function startProxy(port: number, delayMs: number) {
  const child = new Child(PROXY, { port, delayMs }, NO_LIMIT);
  return { child, port: await child.next<number>() };
}
