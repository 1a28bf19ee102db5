import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { UNLIMITED } from '../support/sign-up-limits';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { type SuiteOptions, useInSuite } from '../support/suite';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../support/tree';

/** Connections of a tree of two workers: one of each, and two of the processor, of which one waits for hints. */
export const CONNECTIONS_TO_REDIS = 4;

interface DeploymentOptions {
  /** Makes its database. Default: a migrated one on the run's Postgres. */
  readonly database?: () => Promise<TestDatabase>;
}

/** The servers of a tree in production (Postgres, Redis and SMTP), all for one test alone, and the trees on them. */
export class Deployment {
  /** A temporary folder for the test. */
  folder = '';
  database!: TestDatabase;
  redis!: TestRedis;
  sink!: SmtpSink;
  private trees: Tree[] = [];

  constructor(private readonly options: DeploymentOptions = {}) {}

  async open(): Promise<void> {
    const { database = () => createDatabase({ migrated: true }) } = this.options;
    this.trees = [];
    this.folder = tempFolder('deployment');
    [this.database, this.redis, this.sink] = await Promise.all([database(), startTestRedis(), startSmtpSink()]);
  }

  get env(): Record<string, string> {
    return {
      NODE_ENV: 'production',
      DATABASE_URL: this.database.url,
      REDIS_URL: this.redis.url,
      SMTP_URL: this.sink.url,
      APP_URL: 'https://catamount.example',
      ...UNLIMITED,
    };
  }

  /** Starts a tree and waits until it serves. */
  async start(options: TreeOptions = {}): Promise<Tree> {
    return this.keep(await startTree(this.withOurs(options)));
  }

  /** Starts a tree that may fail to start. */
  spawn(options: TreeOptions = {}): Tree {
    return this.keep(spawnTree(this.withOurs(options)));
  }

  /** All trees that were started here, including those that have ended. */
  get started(): readonly Tree[] {
    return this.trees;
  }

  /** Mail addresses of all users, sorted. */
  async users(): Promise<string[]> {
    const rows = await this.database.query<{ email: string }>('select email from users');
    return rows.map((row) => row.email).sort();
  }

  async remove(): Promise<void> {
    await Promise.all(this.trees.map((tree) => tree.cleanup()));
    await Promise.all([this.redis?.remove(), this.sink?.stop(), this.database?.drop()]);
    removeFolder(this.folder);
  }

  private withOurs(options: TreeOptions): TreeOptions {
    return { ...options, env: { ...this.env, ...options.env } };
  }

  private keep(tree: Tree): Tree {
    this.trees.push(tree);
    return tree;
  }
}

/** A deployment for the tests of a suite. */
export function useDeployment({ each, ...options }: DeploymentOptions & SuiteOptions = {}): Deployment {
  return useInSuite(new Deployment(options), { each });
}
