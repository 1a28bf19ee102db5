import fs from 'node:fs';
import path from 'node:path';
import { buildFixtureApp } from '../../support/fixture-app';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { type SuiteOptions, useInSuite } from '../../support/suite';
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

type Flag =
  | 'broken'
  | 'helper'
  | 'hold'
  | 'slow-boot'
  | 'jobs-crash'
  | 'slow-check'
  | 'slow-jobs'
  | 'before-fork'
  | 'no-fork'
  | 'before-restart'
  | 'no-restart'
  | 'own-boot'
  | 'own-stop'
  | 'last-job';

/** The app of test/fixtures/supervisor-app in production, with its own database and Redis, and switches that break it. */
export class SupervisorApp {
  database!: TestDatabase;
  redis!: TestRedis;
  /** Path of its entry file. */
  entryFile = '';
  private flags = '';
  private trees: Tree[] = [];

  async open(): Promise<void> {
    this.trees = [];
    this.flags = tempFolder('flags');
    [this.database, this.redis, this.entryFile] = await Promise.all([
      createDatabase({ migrated: OUR_MIGRATIONS }),
      startTestRedis(),
      buildFixtureApp('supervisor-app'),
    ]);
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
      APP_URL: 'https://supervised.example',
      APP_FLAGS: this.flags,
      ...UNHURRIED,
    };
  }

  /** Switches on one of the app's faults. @returns a function that repairs it and may be called repeatedly. */
  switchOn(flag: Flag): () => void {
    const file = path.join(this.flags, flag);
    fs.writeFileSync(file, '');
    return () => fs.rmSync(file, { force: true });
  }

  /** What the app has noted so far: calls of its hooks, of its job setup, or of its mail setup. */
  notes(of: 'hooks' | 'jobs' | 'mails'): { readonly [key: string]: unknown }[] {
    const file = path.join(this.flags, of);
    if (!fs.existsSync(file)) return [];
    const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as { readonly [key: string]: unknown });
  }

  async remove(): Promise<void> {
    await Promise.all(this.trees.map((tree) => tree.cleanup()));
    await Promise.all([this.redis?.remove(), this.database?.drop()]);
    removeFolder(this.flags);
  }

  private options(env: TreeOptions['env'], options: TreeOptions): TreeOptions {
    return { entry: this.entryFile, ...options, env: { ...this.env, ...env } };
  }
}

/** That app for the tests of a suite. */
export function useSupervisorApp(options: SuiteOptions = {}): SupervisorApp {
  return useInSuite(new SupervisorApp(), options);
}
