import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import createKnex from 'knex';
import pg from 'pg';
import { postgresBinaries } from '../../../lib/embedded/find-binaries';
import { freePort, postgresAnswers } from '../../../lib/embedded/server-process';
import { migrateUp } from '../../../lib/model/migrator';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

const ROOT = path.resolve(__dirname, '../../..');
const MIGRATIONS = ['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations', 'migrations'];
/** As many as the smallest managed plans allow to others than the superuser. */
const CONNECTIONS = 20;
const RESERVED = 3;
/** No fault ends the machine: data that COMMIT has written to the files need not reach the disk. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: String(CONNECTIONS + RESERVED),
  superuser_reserved_connections: String(RESERVED),
  fsync: 'off',
  io_method: 'sync',
  max_wal_size: '16MB',
  jit: 'off',
};
const SUPERUSER = 'postgres';
/** The app connects as this user. */
const APP_USER = 'app';
const DATABASE = 'chaos';
const TRIES = 50;
/** Of the fixture app: what its mails are about, and which of them it has sent. */
const NOTES = `create table notes (
  id bigint generated always as identity primary key, chore int not null, text text not null, sent bool not null default false
)`;
/** Several times what a long run needs. */
const DISK_MB = 256;

/** A Postgres of the run's own that faults stop, kill and starve. Its address and its data stay. */
export class ChaosPostgres {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    readonly disk: SmallDisk,
  ) {}

  /** Started, and migrated. */
  static async make(): Promise<ChaosPostgres> {
    const folder = tempFolder('postgres');
    const made = new ChaosPostgres(await freePort(), folder, await diskIn(folder));
    // With small files of the write-ahead log, a full disk soon has an effect.
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
    await knex.raw(NOTES);
    await knex.destroy();
    return made;
  }

  get data(): string {
    return path.join(this.folder, 'disk/data');
  }

  /** As the app connects, through `port`. */
  urlBy(port: number): string {
    return `postgres://${APP_USER}@127.0.0.1:${port}/${DATABASE}`;
  }

  /** As the superuser, for whom connections are reserved. */
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
      const answers = async () => hasEnded(child) || (await postgresAnswers(this.port));
      await until('Postgres answers', answers, { timeoutMs: 60_000 });
      if (await this.takesQueries(child)) {
        this.child = child;
        return;
      }
      // Children of a killed Postgres may still be ending.
      await this.end(child, 'SIGINT');
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

  /** After a fault that it may not have survived: resolves when it serves, after a restart if it needs one. */
  async revive(): Promise<void> {
    const { child } = this;
    if (child && (await this.takesQueries(child))) return;
    await this.stop('SIGQUIT');
    await this.start();
  }

  /** With its data. */
  async remove(): Promise<void> {
    await this.stop('SIGQUIT');
    await this.disk.unmount();
  }

  log(): string {
    return fs.readFileSync(path.join(this.folder, 'log'), 'utf8');
  }

  private spawn(): ChildProcess {
    const log = fs.openSync(path.join(this.folder, 'log'), 'a');
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const argv = [
      ...this.disk.entrance,
      postgresBinaries().postgres,
      '-D',
      this.data,
      '-p',
      String(this.port),
      ...settings,
    ];
    const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', log, log] });
    fs.closeSync(log);
    return child;
  }

  private async takesQueries(child: ChildProcess): Promise<boolean> {
    const ready = async () => hasEnded(child) || (await this.administer('select 1', 'postgres'));
    await until('Postgres takes queries', ready, { timeoutMs: 20_000, everyMs: 50 }).catch(() => undefined);
    return this.administer('select 1', 'postgres').then(
      () => !hasEnded(child),
      () => false,
    );
  }

  private async end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    if (hasEnded(child)) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  private async run(program: string, args: readonly string[]): Promise<void> {
    const [first = '', ...rest] = [...this.disk.entrance, program, ...args];
    await promisify(execFile)(first, rest);
  }
}

function diskIn(folder: string): Promise<SmallDisk> {
  const place = path.join(folder, 'disk');
  fs.mkdirSync(place);
  return SmallDisk.mount(place, DISK_MB);
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Bytes of one write: first large ones, then small ones for the rest. */
const PART = 2 ** 20;
const LAST_PART = 512;

/** A disk in memory, to be filled. Only processes started by `entrance` see it, and it is gone when the last of them ends. */
class SmallDisk {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly folder: string,
  ) {}

  /** @param folder where those processes see it. */
  static async mount(folder: string, mb: number): Promise<SmallDisk> {
    // It ends with its input, so that a run that dies leaves no disk behind.
    const script = `mount -t tmpfs -o size=${mb}m,mode=700 none "$0" && echo here && exec cat`;
    const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', script, folder];
    const holder = spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [said] = (await Promise.race([once(holder.stdout, 'data'), once(holder, 'close')])) as unknown[];
    if (!Buffer.isBuffer(said)) {
      throw new Error('this machine forbids user namespaces, or a disk in one: the chaos run cannot fill its own');
    }
    return new SmallDisk(holder, folder);
  }

  /** Put before a command: it sees the disk, and is not root, which Postgres refuses to be. */
  get entrance(): readonly string[] {
    const pid = String(this.holder.pid);
    return ['nsenter', '--target', pid, '--user', '--mount', '--preserve-credentials', '--', 'unshare', '--user'];
  }

  /** To the last byte. */
  fill(): void {
    const file = fs.openSync(this.ballast, 'a');
    try {
      for (const bytes of [PART, LAST_PART]) while (this.append(file, bytes));
    } finally {
      fs.closeSync(file);
    }
  }

  free(): void {
    fs.rmSync(this.ballast, { force: true });
  }

  async unmount(): Promise<void> {
    if (this.holder.exitCode !== null || this.holder.signalCode !== null) return;
    const ended = once(this.holder, 'exit');
    this.holder.stdin?.end();
    await ended;
  }

  private get ballast(): string {
    return path.join(`/proc/${this.holder.pid}/root`, this.folder, 'ballast');
  }

  private append(file: number, bytes: number): boolean {
    try {
      return fs.writeSync(file, Buffer.alloc(bytes)) > 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
      throw error;
    }
  }
}
