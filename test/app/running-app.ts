import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { connectJobs } from '../../lib/job/connect';
import { Database } from '../../lib/model/database';
import { Model } from '../../lib/model/model';
import { connectTransactions } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { Serving } from '../web/serving';
import { SeverableProxy } from './severable-proxy';

/** The app's routes on a real server and a real Postgres, wired as a web worker wires them; Redis is never there. */
export class RunningApp {
  private constructor(
    readonly serving: Serving,
    readonly database: TestDatabase,
    /** The way from the app to its database; the tests' own goes round it. */
    readonly postgres: SeverableProxy,
    private readonly pool: Database,
    private readonly disconnectJobs: () => void,
  ) {}

  static async start(): Promise<RunningApp> {
    const created = await createDatabase({ migrated: true });
    const events = new Events();
    const { hostname, port } = new URL(created.url);
    const postgres = new SeverableProxy({ host: hostname, port: Number(port) });
    const url = new URL(created.url);
    url.host = `127.0.0.1:${await postgres.open()}`;
    const pool = new Database(url.toString(), { production: false, events });
    Model.knex(pool.knex);
    connectTransactions(pool.knex);
    const redis = new Redis('redis://127.0.0.1:1', events);
    const disconnectJobs = connectJobs({ database: pool, redis, events });
    const { default: routes } = await import('../../lib/app/routes');
    return new RunningApp(await Serving.start({ routes }), created, postgres, pool, disconnectJobs);
  }

  async stop(): Promise<void> {
    await this.serving.stop();
    this.disconnectJobs();
    connectTransactions(undefined);
    await this.pool.stop(Deadline.after(60_000));
    await this.postgres.sever();
    await this.database.drop();
  }

  async clear(): Promise<void> {
    this.serving.errors.length = 0;
    await this.database.query('truncate users restart identity');
    await this.database.query('truncate job_outbox');
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
      'select class, queue, payload from job_outbox order by id',
    );
  }

  signUp(body: unknown, headers: Record<string, string> = {}) {
    return this.serving.post('/users', JSON.stringify(body), headers);
  }
}
