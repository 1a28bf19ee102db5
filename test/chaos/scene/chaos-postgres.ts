import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import createKnex from 'knex';
import pg from 'pg';
import { postgresAnswers } from '../../../lib/embedded/answers';
import { freePort } from '../../../lib/embedded/free-port';
import { postgresBinaries } from '../../../lib/embedded/postgres-binaries';
import { postgresUser } from '../../../lib/embedded/postgres-user';
import { migrateUp } from '../../../lib/model/migrator';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

const ROOT = path.resolve(__dirname, '../../..');
const MIGRATIONS = ['lib/job/migrations', 'lib/mailer/migrations', 'migrations'];
/** What the smallest managed plans allow: others than the superuser get 20. */
const CONNECTIONS = 20;
const RESERVED = 3;
/** Not durable against the machine's own end, which is none of the faults; COMMIT has reached Postgres's files all the same. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: String(CONNECTIONS + RESERVED),
  superuser_reserved_connections: String(RESERVED),
  fsync: 'off',
  io_method: 'sync',
  jit: 'off',
};
const SUPERUSER = 'postgres';
/** Who the app connects as. */
const APP_USER = 'app';
const DATABASE = 'chaos';
const TRIES = 50;

/** A Postgres of this run's own, to be stopped, killed and starved. Its address and its data stay. */
export class ChaosPostgres {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly wrapper: readonly string[],
  ) {}

  /** Started, and migrated. */
  static async make(): Promise<ChaosPostgres> {
    const folder = tempFolder('postgres');
    const { wrapper, user } = await postgresUser(path.join(folder, 'none'), undefined);
    if (user) throw new Error('this machine forbids user namespaces: start the chaos run as a user other than root');
    const made = new ChaosPostgres(await freePort(), folder, wrapper);
    // Small files of the write-ahead log: a limit on the size of files must be above theirs.
    const options = ['-U', SUPERUSER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1'];
    await made.run(postgresBinaries().initdb, ['-D', made.data, ...options]);
    await made.start();
    await made.administer(`create role ${APP_USER} login`, 'postgres');
    await made.administer(`create database ${DATABASE} owner ${APP_USER}`, 'postgres');
    const knex = createKnex({ client: 'pg', connection: made.urlBy(made.port), pool: { min: 0, max: 1 } });
    await migrateUp(
      knex,
      MIGRATIONS.map((name) => path.join(ROOT, name)),
    );
    await knex.destroy();
    return made;
  }

  get data(): string {
    return path.join(this.folder, 'data');
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error('this Postgres is not running');
    return this.child.pid;
  }

  /** As the app connects, through `port`. */
  urlBy(port: number): string {
    return `postgres://${APP_USER}@127.0.0.1:${port}/${DATABASE}`;
  }

  /** As whoever looks after it, past any limit. */
  async administer<Row extends pg.QueryResultRow>(sql: string, database = DATABASE): Promise<Row[]> {
    const client = await this.connect(SUPERUSER, database);
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** A connection that counts like the app's. @throws Error when there are too many already. */
  connect(user: string = APP_USER, database = DATABASE): Promise<pg.Client> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user, database });
    client.on('error', () => undefined);
    return client.connect().then(() => client);
  }

  async start(): Promise<void> {
    for (let left = TRIES; ; left--) {
      const child = this.spawn();
      const ended = () => child.exitCode !== null || child.signalCode !== null;
      await until('Postgres answers', async () => ended() || (await postgresAnswers(this.port)), { timeoutMs: 60_000 });
      if (!ended() && (await this.takesQueries())) {
        this.child = child;
        return;
      }
      // Children of a killed one may still be on their way out.
      if (!ended()) await this.end(child, 'SIGINT');
      if (left === 0) throw new Error(`Postgres does not start:\n${this.log().slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** INT stops it in order, QUIT and KILL do not. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child) await this.end(child, signal);
  }

  /** Every process of it: the server, and one for each connection. */
  async pids(): Promise<number[]> {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(this.pid)]);
    return [this.pid, ...stdout.trim().split(/\s+/).map(Number)];
  }

  log(): string {
    return fs.readFileSync(path.join(this.folder, 'log'), 'utf8');
  }

  private spawn(): ChildProcess {
    const log = fs.openSync(path.join(this.folder, 'log'), 'a');
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const argv = [...this.wrapper, postgresBinaries().postgres, '-D', this.data, '-p', String(this.port), ...settings];
    const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', log, log] });
    fs.closeSync(log);
    return child;
  }

  private async takesQueries(): Promise<boolean> {
    const ready = () => this.administer('select 1', 'postgres').then(() => true);
    return until('Postgres takes queries', ready, { timeoutMs: 20_000, everyMs: 50 }).catch(() => false);
  }

  private async end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  private async run(program: string, args: readonly string[]): Promise<void> {
    const [first = '', ...rest] = [...this.wrapper, program, ...args];
    await promisify(execFile)(first, rest);
  }
}
