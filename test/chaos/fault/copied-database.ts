import { execFile } from 'node:child_process';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import createKnex, { type Knex } from 'knex';
import { MailLedger } from '../../process/mail-ledger';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { startTree, type Tree } from '../../support/tree';
import { until } from '../../support/until';
import { JobLedger } from '../ledger';
import type { Environment } from '../scene/environment';
import { ChaosPostgres } from '../scene/postgres';
import type { Fault } from './faults';

const LIMIT = { timeoutMs: 90_000, everyMs: 100 };
/** Long enough for the dispatcher to look several times, ms. */
const LOOKED_MS = 3000;
/** A task id that no client uses. */
const OWN = 0;

/** Staging gets a copy of production's database, with jobs that are due, but has its own Redis. */
export const COPIED_DATABASE: Fault = {
  name: 'database-copied',
  about:
    'a second tree starts on a copy of the database, with its own Redis: it dispatches nothing until an operator adopts the copy',
  async inject(environment) {
    const staging = await Staging.make();
    try {
      for (let n = 0; n < 5; n++) await environment.traffic.tasks.enqueue('later');
      await staging.take(environment.postgres);
      await staging.check(environment);
    } finally {
      await staging.remove();
    }
  },
};

/** A second installation, into whose database the copy is loaded. */
class Staging {
  private tree: Tree | undefined;
  private readonly record: JobLedger;
  private readonly knex: Knex;

  private constructor(
    private readonly folder: string,
    private readonly postgres: ChaosPostgres,
    private readonly redis: TestRedis,
    private readonly mails: MailLedger,
  ) {
    this.record = new JobLedger(path.join(folder, 'job-ledger'));
    this.knex = createKnex({ client: 'pg', connection: postgres.urlBy(postgres.port), pool: { min: 0, max: 1 } });
  }

  static async make(): Promise<Staging> {
    const [postgres, redis, mails] = await Promise.all([ChaosPostgres.make(), startTestRedis(), MailLedger.start()]);
    return new Staging(tempFolder('staging'), postgres, redis, mails);
  }

  /** Copies the rows of all tables from one snapshot. */
  async take(from: ChaosPostgres): Promise<void> {
    const source = await from.connect('postgres');
    try {
      await source.query('begin isolation level repeatable read');
      const { rows: tables } = await source.query<{ name: string }>(
        "select tablename as name from pg_tables where schemaname = 'public' and tablename not like 'knex_%'",
      );
      for (const { name } of tables) {
        const { rows } = await source.query<{ all: string }>(
          `select jsonb_agg(to_jsonb(t))::text as all from ${name} t`,
        );
        await this.knex.raw(`truncate ${name}`);
        await this.knex.raw(
          `insert into ${name} overriding system value select * from jsonb_populate_recordset(null::${name}, ?::jsonb)`,
          [rows[0]?.all ?? '[]'],
        );
      }
    } finally {
      await source.end();
    }
  }

  async check({ ledger, platform }: Environment): Promise<void> {
    const brought = await this.due();
    if (brought === 0) ledger.broken.push('the copy of the database has no jobs, so this run proves nothing');
    this.tree = await startTree({ entry: platform.entry, env: this.env, cwd: this.folder });
    await this.tree.waitForLine(/jobs adopt/);
    // It is accepted, and waits like those of the copy.
    await this.tree.request('POST', `/tasks/alone?id=${OWN}`);
    await wait(LOOKED_MS);
    const ran = [...this.record.tasks().keys()];
    const ticks = this.record.ticks().size;
    const left = await this.due();
    if (ran.length + ticks + this.mails.entries.length > 0 || left !== brought + 1)
      ledger.broken.push(
        `a copied database ran ${ran.length} jobs and ${ticks} ticks and sent ${this.mails.entries.length} mails before it was adopted; ${left} of ${brought + 1} jobs were left`,
      );
    await promisify(execFile)(process.execPath, [platform.entry, 'jobs', 'adopt', '--yes'], {
      cwd: this.folder,
      env: { PATH: process.env.PATH, ...this.env },
    });
    await until('the jobs of the copy have run', async () => (await this.due()) === 0, LIMIT);
    const { code } = await this.tree.stop();
    if (code !== 0) ledger.broken.push(`the tree on the copied database ended with code ${code}`);
  }

  async remove(): Promise<void> {
    await this.tree?.cleanup();
    await this.knex.destroy();
    await Promise.all([this.postgres.remove(), this.redis.remove(), this.mails.stop()]);
    removeFolder(this.folder);
  }

  private get env() {
    return {
      NODE_ENV: 'production',
      DATABASE_URL: this.postgres.urlBy(this.postgres.port),
      REDIS_URL: this.redis.url,
      SMTP_URL: this.mails.url,
      APP_URL: 'https://staging.example',
      WEB_CONCURRENCY: '1',
      CHAOS_RECORD: this.record.file,
    };
  }

  /** Number of jobs, without the recurring ones. */
  private async due(): Promise<number> {
    const [row] = await this.knex('job_queue').whereNot('class', 'TickJob').count<{ count: string }[]>();
    return Number(row?.count);
  }
}
