import assert from 'node:assert/strict';
import path from 'node:path';
import pg from 'pg';
import { createClient } from 'redis';
import type { ChaosPostgres } from '../chaos/scene/postgres';
import { createDatabase, databaseAt, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { TcpProxy } from '../support/tcp-proxy';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { startTree, type Tree } from '../support/tree';
import { until } from '../support/until';

const TOKEN = 'sesame-opens-0123456789';
/** Lets in to the pages. */
export const BEARER = { Authorization: `Bearer ${TOKEN}` } as const;
export const PASSWORD = 'first';
/** Polling seldom, since each request also loads the tree. */
const SELDOM = { everyMs: 100 };

/** Undoes what was injected. */
export type Undo = () => unknown;

/** A cause that brings jobs to a standstill, and how each place reports it. */
export interface Fault {
  readonly name: string;
  readonly inject: (faulty: FaultyTree) => Promise<Undo> | Undo;
  /** Matches the body of /ready. */
  readonly ready: RegExp;
  /** Matches a line of the log. */
  readonly log: RegExp;
  /** Codes of issues, at least one of which /ops shows; empty: it shows none of this. */
  readonly codes: readonly string[];
  /** true: meanwhile a job that is enqueued runs. Default false. */
  readonly jobsGoOn?: boolean;
}

async function connected(url: string) {
  const client = createClient({ url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** A tree whose connections to Postgres, Redis and SMTP all pass through switches of the test. */
export class FaultyTree {
  private readonly others: Tree[] = [];

  private constructor(
    readonly tree: Tree,
    /** Temporary files, removed with the tree. */
    readonly folder: string,
    /** The settings of the tree. */
    readonly env: Readonly<Record<string, string>>,
    readonly database: TestDatabase,
    /** The database role that only this tree uses. */
    readonly role: string,
    readonly redis: TestRedis,
    readonly admin: Awaited<ReturnType<typeof connected>>,
    readonly sink: SmtpSink,
    readonly proxies: Readonly<Record<'postgres' | 'direct' | 'redis' | 'smtp', TcpProxy>>,
  ) {}

  /**
   * @param options.entry of the app; default: the sample app.
   * @param options.postgres default: a database on the Postgres of the run. It is removed with the tree.
   */
  static async make({
    entry,
    postgres,
    env: more,
    unready = false,
  }: {
    readonly entry?: string | undefined;
    /** true: the tree will not be ready, and nothing is waited for. */
    readonly unready?: boolean;
    readonly postgres?: ChaosPostgres;
    readonly env?: Readonly<Record<string, string>>;
  } = {}): Promise<FaultyTree> {
    const folder = tempFolder('faulty');
    const own = postgres && databaseAt(postgres.superuserUrl, () => postgres.remove());
    const [database, redis, sink] = await Promise.all([own ?? createDatabase(), startTestRedis(), startSmtpSink()]);
    const url = new URL(database.url);
    const name = url.pathname.slice(1);
    const role = `ill_${name}`;
    await database.query(`create role ${role} login password '${PASSWORD}'`);
    await database.query(`alter database ${name} owner to ${role}`);
    await database.query(`alter schema public owner to ${role}`);
    url.username = role;
    url.password = PASSWORD;
    const proxies = {
      postgres: await TcpProxy.start(url.href),
      direct: await TcpProxy.start(url.href),
      redis: await TcpProxy.start(redis.url),
      smtp: await TcpProxy.start(sink.url),
    };
    const admin = await connected(redis.url);
    const env = {
      NODE_ENV: 'development',
      WEB_CONCURRENCY: '1',
      DATABASE_URL: proxies.postgres.url,
      DATABASE_DIRECT_URL: proxies.direct.url,
      REDIS_URL: proxies.redis.url,
      SMTP_URL: proxies.smtp.url.replace('://', '://ada:secret@'),
      OPS_TOKEN: TOKEN,
      JOBS_RECORD: path.join(folder, 'book'),
      WORKER_TIMEOUT: '10m',
      ...more,
    };
    const tree = await startTree({ ...(entry !== undefined && { entry }), env });
    const made = new FaultyTree(tree, folder, env, database, role, redis, admin, sink, proxies);
    if (unready) return made;
    // The web is ready before the processor, and only a processor at work can come to a standstill.
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await until('/ready says that all is well', () => made.isWell());
    return made;
  }

  /** Starts another tree of the same app, through the same proxies; it is removed with this one. */
  async another(): Promise<Tree> {
    const tree = await startTree({ env: this.env });
    this.others.push(tree);
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    return tree;
  }

  async signUp(): Promise<void> {
    const email = `faulty.${Date.now()}.${Math.random()}@example.com`;
    await this.tree.request('POST', '/users', { json: { email, name: 'Ill' } });
  }

  /** The pid of its job processor. */
  get processor(): number {
    return this.tree.processes().jobs ?? assert.fail('it has no job processor');
  }

  /** @returns the pid of the killed process. */
  killProcessor(): number {
    const pid = this.processor;
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /** @returns the pid of the next job processor, as soon as it has been forked. */
  async successorOf(pid: number): Promise<number> {
    const isNext = (row: { readonly pid: number; readonly command: string }) =>
      row.pid !== pid && /^catamount: jobs| processor /.test(row.command);
    return until('there is another job processor', () => this.tree.processes().all.find(isNext)?.pid);
  }

  /** Runs a script that keeps Redis from answering any client. */
  async runForEver(script: string): Promise<{ readonly end: () => void }> {
    const client = await connected(this.redis.url);
    client.eval(script).catch(() => undefined);
    return { end: () => client.destroy() };
  }

  /** The name of the tree's database. */
  get name(): string {
    return new URL(this.database.url).pathname.slice(1);
  }

  /** Terminates the tree's sessions in Postgres, so that it has to open new ones. */
  async endConnections(): Promise<void> {
    await this.database.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [this.role]);
  }

  /** Holds the locks of a statement. @returns a function that releases them. */
  async lock(sql: string): Promise<Undo> {
    const client = new pg.Client(this.database.url);
    await client.connect();
    await client.query('begin');
    await client.query(sql);
    return () => client.end();
  }

  async readyBody(): Promise<string> {
    return (await this.tree.request('GET', '/ready')).body;
  }

  async isWell(): Promise<boolean> {
    const { status, body } = await this.tree.request('GET', '/ready');
    return status === 200 && body.includes('"status":"ok"');
  }

  async codesOnOps(): Promise<string[]> {
    const { body } = await this.tree.request('GET', '/ops.json', { headers: BEARER });
    return [...body.matchAll(/"code":\s*"(\w+)"/g)].map(([, code = '']) => code);
  }

  /**
   * Injects the cause, waits until /ready, /ops and the log report it, cures it, and waits until they report its end.
   * @returns ms from the injection until all three had reported it.
   */
  async reports({ inject, ready, log, codes, jobsGoOn = false }: Fault): Promise<number> {
    const isTold = async () => (await this.codesOnOps()).some((code) => codes.includes(code));
    const from = Math.min(this.tree.lines.length, ...this.standstills().values());
    const undo = await inject(this);
    const since = performance.now();
    try {
      await Promise.all([
        until(`/ready reports ${ready}`, async () => ready.test(await this.readyBody()), SELDOM),
        this.tree.waitForLine(log, { from }),
        codes.length === 0 || until(`/ops reports one of ${codes}`, isTold, SELDOM),
      ]);
      const toldAfterMs = Math.round(performance.now() - since);
      if (jobsGoOn) {
        const had = this.sink.messages.length;
        await this.signUp();
        await this.sink.waitFor(had + 1);
      }
      return toldAfterMs;
    } finally {
      await undo();
      await until('/ready says that all is well again', () => this.isWell(), SELDOM);
      await until(`/ops no longer reports any of ${codes}`, async () => !(await isTold()), SELDOM);
      await until('the log says that all standstills have ended', () => this.standstills().size === 0, SELDOM);
      await until('all processes have reconnected to Redis', () => !this.hasLostRedis(), SELDOM);
    }
  }

  /** Parts that stand still according to the log, and the index of the line that says so: it is logged only once. */
  private standstills(): ReadonlyMap<string, number> {
    const open = new Map<string, number>();
    for (const [index, { json }] of this.tree.lines.entries()) {
      const [, part = '', verb] = /^(.+) (stands still: |goes on after )/.exec(String(json.msg ?? '')) ?? [];
      if (verb === undefined) continue;
      if (verb.startsWith('goes')) open.delete(part);
      else if (!open.has(part)) open.set(part, index);
    }
    return open;
  }

  /** An outage is logged once, so one that a process still sees would hide the next. */
  private hasLostRedis(): boolean {
    const reachable = new Map<number, boolean>();
    for (const { json } of this.tree.lines) {
      const [, verb] = /^Redis is (not reachable|reachable again)/.exec(String(json.msg ?? '')) ?? [];
      if (verb !== undefined) reachable.set(Number(json.pid), verb === 'reachable again');
    }
    const pids = this.tree.processes().all.map(({ pid }) => pid);
    return pids.some((pid) => reachable.get(pid) === false);
  }

  async remove(): Promise<void> {
    this.redis.resume();
    await Promise.all([this.tree, ...this.others].map((tree) => tree.cleanup()));
    removeFolder(this.folder);
    this.admin.destroy();
    await Promise.all(Object.values(this.proxies).map((way) => way.down()));
    await Promise.all([this.redis.remove(), this.sink.stop(), this.database.drop()]);
  }
}
