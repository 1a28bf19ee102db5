import path from 'node:path';
import { createClient } from 'redis';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { stopSharedServers } from '../../support/shared-servers';
import type { Stores } from '../contender/contender';
import { Child } from './child';

const PROXY = path.join(__dirname, '../delay/process.js');

/** The stores of a benchmark: a Redis that writes nothing to disk and a migrated Postgres, near and far. */
export class Grounds {
  private readonly proxies = new Map<string, { readonly child: Child; readonly port: number }>();

  private constructor(
    readonly redis: TestRedis,
    readonly database: TestDatabase,
    /** For looking. */
    readonly client: ReturnType<typeof clientOf>,
  ) {}

  static async make(): Promise<Grounds> {
    const database = await createDatabase({ migrated: true });
    // The embedded one does not wait for its disk. Those of production do.
    await database.query(`alter database ${new URL(database.url).pathname.slice(1)} set synchronous_commit = on`);
    const redis = await startTestRedis('--appendonly', 'no');
    const client = clientOf(redis.url);
    client.on('error', (error: Error) => process.stderr.write(`redis: ${error.message}\n`));
    await client.connect();
    return new Grounds(redis, database, client);
  }

  /** What a tree finds in its environment. */
  get env(): Record<string, string> {
    return {
      REDIS_URL: this.redis.url,
      DATABASE_URL: this.database.url,
      MAIL_DELIVERY: 'test',
      APP_URL: 'https://shop.example',
      LOG_FORMAT: 'json',
    };
  }

  /** @param rttMs 0: without a proxy between. */
  async stores(rttMs: number): Promise<Stores> {
    const { redis, database } = this;
    return { redisUrl: await this.far(redis.url, rttMs), databaseUrl: await this.far(database.url, rttMs) };
  }

  /** Nothing is left of earlier runs. */
  async clear(): Promise<void> {
    await this.client.flushAll();
    await this.database.query('truncate job_outbox, mail_deliveries, users');
    await this.database.query('drop schema if exists graphile_worker cascade');
  }

  async outboxSize(): Promise<number> {
    const [row] = await this.database.query<{ count: number }>('select count(*)::int from job_outbox');
    return row?.count ?? Number.NaN;
  }

  /** What Redis has spent since it started. */
  async redisSpent(): Promise<{ readonly cpuUs: number }> {
    const info = await this.client.info('cpu');
    const read = (field: string) => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(info)?.[1]);
    return { cpuUs: (read('used_cpu_user') + read('used_cpu_sys')) * 1e6 };
  }

  async remove(): Promise<void> {
    for (const { child } of this.proxies.values()) {
      child.send('end');
      await child.ended();
    }
    this.client.destroy();
    await this.redis.remove();
    await this.database.drop();
    await stopSharedServers();
  }

  private async far(url: string, rttMs: number): Promise<string> {
    if (rttMs === 0) return url;
    const target = new URL(url);
    const key = `${target.port} ${rttMs}`;
    const proxy = this.proxies.get(key) ?? (await startProxy(Number(target.port), rttMs / 2));
    this.proxies.set(key, proxy);
    target.port = String(proxy.port);
    return target.toString();
  }
}

function clientOf(url: string) {
  return createClient({ url });
}

async function startProxy(port: number, delayMs: number) {
  const child = new Child(PROXY, { port, delayMs }, { limitMs: 2 ** 31 - 1 });
  return { child, port: await child.next<number>() };
}
