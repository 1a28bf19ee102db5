import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { UNLIMITED } from '../support/sign-up-limits';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../support/tree';

/** The servers of a tree in production: a migrated database, a Redis and an SMTP server, all for one test alone. */
export class Surroundings {
  /** A temporary folder for the test. */
  readonly folder = tempFolder('around');
  private readonly trees: Tree[] = [];

  private constructor(
    readonly database: TestDatabase,
    readonly redis: TestRedis,
    readonly sink: SmtpSink,
  ) {}

  /** @param ownDatabase replaces a migrated one on the run's Postgres; it need not be migrated. */
  static async make(ownDatabase?: TestDatabase): Promise<Surroundings> {
    const [database, redis, sink] = await Promise.all([
      ownDatabase ?? createDatabase({ migrated: true }),
      startTestRedis(),
      startSmtpSink(),
    ]);
    return new Surroundings(database, redis, sink);
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
    await Promise.all([this.redis.remove(), this.sink.stop(), this.database.drop()]);
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
