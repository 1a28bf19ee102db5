import fs from 'node:fs';
import path from 'node:path';
import { buildFixtureApp } from '../support/fixture-app';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { startTree, type Tree } from '../support/tree';

const OUR_MIGRATIONS = ['lib/job/migrations', 'lib/mailer/migrations'];

/** What the jobs of `test/fixtures/jobs-app` write down. */
export interface Entry {
  /** Of the processor that ran it. */
  readonly pid: number;
  readonly chore?: number;
  readonly long?: string;
  readonly attempt?: number;
  /** The time it was due, as ISO 8601. */
  readonly tick?: string;
  /** The id of a tick's job. */
  readonly job?: string;
}

/** Trees of one app on one database and one Redis, and the book that all their jobs write into. */
export class Chores {
  private readonly folder = tempFolder('chores');
  private readonly trees: Tree[] = [];

  private constructor(
    readonly database: TestDatabase,
    readonly redis: TestRedis,
    private readonly entry: string,
  ) {}

  static async make(): Promise<Chores> {
    const [database, redis, entry] = await Promise.all([
      createDatabase({ migrated: OUR_MIGRATIONS }),
      startTestRedis(),
      buildFixtureApp('jobs-app'),
    ]);
    return new Chores(database, redis, entry);
  }

  async start(env: Readonly<Record<string, string>> = {}): Promise<Tree> {
    const tree = await startTree({
      entry: this.entry,
      env: {
        NODE_ENV: 'production',
        DATABASE_URL: this.database.url,
        REDIS_URL: this.redis.url,
        MAIL_DELIVERY: 'log',
        APP_URL: 'https://chores.example',
        WEB_CONCURRENCY: '1',
        CHORES_BOOK: this.book,
        ...env,
      },
    });
    this.trees.push(tree);
    return tree;
  }

  entries(): Entry[] {
    if (!fs.existsSync(this.book)) return [];
    const lines = fs.readFileSync(this.book, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Entry);
  }

  /** Each run of a long job, in order. */
  longs(): Entry[] {
    return this.entries().filter((entry) => entry.long !== undefined);
  }

  /** Classes of the jobs that have no outcome yet, but for ticks. */
  async inOutbox(): Promise<string[]> {
    const rows = await this.database.query<{ class: string }>(`select class from job_outbox where class <> 'TickJob'`);
    return rows.map((row) => row.class);
  }

  async remove(): Promise<void> {
    await Promise.all(this.trees.map((tree) => tree.cleanup()));
    await Promise.all([this.redis.remove(), this.database.drop()]);
    removeFolder(this.folder);
  }

  private get book(): string {
    return path.join(this.folder, 'book');
  }
}
