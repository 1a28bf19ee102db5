import fs from 'node:fs';
import path from 'node:path';
import { buildFixtureApp } from '../../support/fixture-app';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../../support/tree';

/** Long enough that no test meets a timeout of the product that it does not set itself, however slow the machine. */
const UNHURRIED = {
  WORKER_BOOT_TIMEOUT: '10m',
  WORKER_TIMEOUT: '10m',
  WEB_QUEUE_TIMEOUT: '10m',
  SHUTDOWN_TIMEOUT: '10m',
};

const OUR_MIGRATIONS = ['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations'];

/** The test app in production, with its own database and Redis, and switches that break it. */
export class Stage {
  private readonly flags = tempFolder('flags');
  private readonly trees: Tree[] = [];

  private constructor(
    readonly database: TestDatabase,
    readonly redis: TestRedis,
    private readonly entry: string,
  ) {}

  static async make(): Promise<Stage> {
    return new Stage(
      await createDatabase({ migrated: OUR_MIGRATIONS }),
      await startTestRedis(),
      await buildFixtureApp('supervisor-app'),
    );
  }

  async start(env: TreeOptions['env'] = {}, options: TreeOptions = {}): Promise<Tree> {
    const tree = await startTree(this.options(env, options));
    this.trees.push(tree);
    return tree;
  }

  spawn(env: TreeOptions['env'] = {}, options: TreeOptions = {}): Tree {
    const tree = spawnTree(this.options(env, options));
    this.trees.push(tree);
    return tree;
  }

  /** The environment that the tree is started with. */
  get env(): Record<string, string> {
    return {
      NODE_ENV: 'production',
      DATABASE_URL: this.database.url,
      REDIS_URL: this.redis.url,
      MAIL_DELIVERY: 'log',
      APP_URL: 'https://patience.example',
      PATIENCE_FLAGS: this.flags,
      ...UNHURRIED,
    };
  }

  get entryFile(): string {
    return this.entry;
  }

  /** Switches on one of the app's faults. @returns a function that repairs it and may be called repeatedly. */
  spoil(
    flag:
      | 'broken'
      | 'helper'
      | 'hold'
      | 'slow-boot'
      | 'jobs-crash'
      | 'slow-check'
      | 'slow-jobs'
      | 'broken-setup'
      | 'odd-cron'
      | 'own-boot'
      | 'own-stop'
      | 'last-job',
  ): () => void {
    const file = path.join(this.flags, flag);
    fs.writeFileSync(file, '');
    return () => fs.rmSync(file, { force: true });
  }

  /** The calls of the app's hooks so far. */
  hooks(): { readonly hook: string; readonly [key: string]: unknown }[] {
    return this.noted('hooks') as { hook: string }[];
  }

  /** The notes of the app's job setup so far. */
  jobNotes(): readonly object[] {
    return this.noted('jobs');
  }

  /** The notes of the app's mail setup so far. */
  mailNotes(): readonly object[] {
    return this.noted('mails');
  }

  async remove(): Promise<void> {
    await Promise.all(this.trees.map((tree) => tree.cleanup()));
    await Promise.all([this.redis.remove(), this.database.drop()]);
    removeFolder(this.flags);
  }

  private noted(name: 'hooks' | 'jobs' | 'mails'): object[] {
    const file = path.join(this.flags, name);
    if (!fs.existsSync(file)) return [];
    const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as object);
  }

  private options(env: TreeOptions['env'], options: TreeOptions): TreeOptions {
    return { entry: this.entry, ...options, env: { ...this.env, ...env } };
  }
}
