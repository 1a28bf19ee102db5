import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { UNLIMITED } from '../support/sign-up-limits';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../support/tree';

/** What a tree in production finds around it: a migrated database, a Redis and an SMTP server, all one's own. */
export class Surroundings {
  /** For whatever a test wants written. */
  readonly folder = tempFolder('around');
  private readonly trees: Tree[] = [];

  private constructor(
    readonly database: TestDatabase,
    readonly redis: TestRedis,
    readonly sink: SmtpSink,
  ) {}

  /** @param ownDatabase instead of one on the run's Postgres; migrated or not. */
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

  /** A tree that serves. */
  async start(options: TreeOptions = {}): Promise<Tree> {
    return this.keep(await startTree(this.withOurs(options)));
  }

  /** A tree that may not come up. */
  spawn(options: TreeOptions = {}): Tree {
    return this.keep(spawnTree(this.withOurs(options)));
  }

  /** All trees that were started here, those that have ended included. */
  get started(): readonly Tree[] {
    return this.trees;
  }

  /** Addresses of all users, in order. */
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
