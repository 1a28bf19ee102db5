import fs from 'node:fs';
import path from 'node:path';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { readSettings } from '../../lib/core/settings';
import { Database } from '../../lib/model/database';
import { Model } from '../../lib/model/model';
import { connectTransactions } from '../../lib/model/transaction';
import type { RouteEnvironment, Routes } from '../../lib/role/app/app-definition';
import { connectJobs } from '../../lib/role/connect/connect-app';
import { Deadline } from '../../lib/support/deadline';
import { RateLimits } from '../../lib/web/rate-limit';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { UNLIMITED } from '../support/sign-up-limits';
import { TcpProxy } from '../support/tcp-proxy';
import { until } from '../support/until';
import { Serving } from '../web/serving';

export interface RunningOptions {
  /** Overrides the settings, which do not limit sign-ups. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: an address where nothing listens. */
  readonly redisUrl?: string;
  /** The folder of an app that `catamount new` has written in JavaScript, as CommonJS. Default: the sample app. */
  readonly generated?: string;
}

/** The app's routes on a real server and a real Postgres, wired as a web worker wires them. */
export class RunningApp {
  private constructor(
    readonly serving: Serving,
    readonly database: TestDatabase,
    /** The proxy between the app and its database, which `database` bypasses. */
    readonly postgres: TcpProxy,
    private readonly pool: Database,
    readonly redis: Redis,
    private readonly disconnectJobs: () => void,
  ) {}

  static async start(options: RunningOptions = {}): Promise<RunningApp> {
    const { env = {}, redisUrl = 'redis://127.0.0.1:1', generated } = options;
    const created = await createDatabase({ migrated: true });
    const events = new Events();
    const postgres = await TcpProxy.start(created.url);
    const pool = new Database(postgres.url, { production: false, events });
    Model.knex(pool.knex);
    connectTransactions(pool.knex);
    const redis = new Redis(redisUrl, events);
    if (redisUrl !== 'redis://127.0.0.1:1') {
      await redis.start();
      await until('Redis is connected', () => redis.client.isReady);
    }
    const disconnectJobs = connectJobs({ database: pool, redis, events });
    const { default: routes } = await (generated === undefined
      ? import('../../lib/app/routes')
      : loadGenerated(generated, pool));
    const settings = { NODE_ENV: 'test', ...UNLIMITED, SIGN_UPS_PER_MAILBOX: 'off', ...env };
    const config = readSettings({ env: settings, cwd: process.cwd() });
    const limits = new RateLimits('catamount', redis.client);
    const environment: RouteEnvironment = {
      config,
      limit: (name, rate) => limits.limit(name, rate),
      stats: async () => ({}),
    };
    const serving = await Serving.start({ routes, environment, trustProxy: config.trustProxy });
    return new RunningApp(serving, created, postgres, pool, redis, disconnectJobs);
  }

  async stop(): Promise<void> {
    await this.serving.stop();
    this.disconnectJobs();
    connectTransactions(undefined);
    await this.redis.stop(Deadline.after(60_000));
    await this.pool.stop(Deadline.after(60_000));
    await this.postgres.down();
    await this.database.drop();
  }

  async clear(): Promise<void> {
    this.serving.errors.length = 0;
    await this.database.query('truncate users restart identity');
    await this.database.query('truncate job_queue');
  }

  users() {
    return this.database.query<{
      id: string;
      email: string;
      name: string | null;
      locale: string;
      token_digest: Buffer;
    }>('select * from users order by id');
  }

  jobs() {
    return this.database.query<{ class: string; queue: string; payload: unknown }>(
      'select class, queue, payload from job_queue order by id',
    );
  }

  signUp(body: unknown, headers: Record<string, string> = {}) {
    return this.serving.post('/users', JSON.stringify(body), headers);
  }
}

/** Replaces the table of the sample app by that of the generated one. @returns its routes, on the code under test. */
async function loadGenerated(folder: string, { knex }: Database): Promise<{ readonly default: Routes }> {
  const ours = path.resolve(__dirname, '../../lib/index.ts');
  const link = path.join(folder, 'node_modules/catamount/index.js');
  fs.mkdirSync(path.dirname(link), { recursive: true });
  fs.writeFileSync(link, `module.exports = require(${JSON.stringify(ours)});\n`);
  await knex.schema.dropTable('users');
  const [migration = ''] = fs.readdirSync(path.join(folder, 'migrations'));
  await (require(path.join(folder, 'migrations', migration)) as { up(on: typeof knex): Promise<void> }).up(knex);
  return { default: require(path.join(folder, 'lib/routes')) as Routes };
}
