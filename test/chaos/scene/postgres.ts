import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import createKnex from 'knex';
import pg from 'pg';
import { postgresBinaries } from '../../../lib/embedded/find-binaries';
import { postgresAnswers } from '../../../lib/embedded/server-process';
import { migrateUp } from '../../../lib/model/migrator';
import { migrationsIn } from '../../support/migrations';
import { serverPort } from '../../support/server-port';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

const MIGRATIONS = ['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations', 'migrations'];
/** Connections that the smallest managed plans allow to other users than the superuser. */
const CONNECTIONS = 20;
const RESERVED = 3;
/** No fault crashes the machine, so a COMMIT need not be flushed to disk. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
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
/** The table of the fixture app for the notes that it mails, with a flag for those it has sent. */
const NOTES = `create table notes (
  id bigint generated always as identity primary key, task int not null, text text not null, sent bool not null default false
)`;
/** What the jobs with steps write, each once: no constraint would hide a second time. */
const EFFECTS = 'create table effects (task int not null, name text not null)';
/** Several times the space that a long run needs. */
const DISK_MB = 256;

/** The run's own Postgres, which faults stop, kill and starve. Its port and its data stay. */
export class ChaosPostgres {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    readonly disk: SmallDisk,
    private readonly connections: number,
  ) {}

  /**
   * Creates, starts and migrates a server.
   * @param options.migrated false: the caller migrates and calls `makeNotes`.
   * @param options.walApart true: its write-ahead log is not on the small disk, so that it survives a full one.
   */
  static async make({ connections = CONNECTIONS, migrated = true, walApart = false } = {}): Promise<ChaosPostgres> {
    const folder = tempFolder('postgres');
    const made = new ChaosPostgres(await serverPort(), folder, await diskIn(folder), connections);
    // Small files of the write-ahead log make a full disk take effect soon.
    const options = ['-U', SUPERUSER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1'];
    if (walApart) options.push('--waldir', path.join(folder, 'wal'));
    await made.run(postgresBinaries().initdb, ['-D', made.data, ...options]);
    await made.start();
    await made.administer(`create role ${APP_USER} login`, 'postgres');
    await made.administer(`create database ${DATABASE} owner ${APP_USER}`, 'postgres');
    if (!migrated) return made;
    const knex = createKnex({ client: 'pg', connection: made.urlBy(made.port), pool: { min: 0, max: 1 } });
    await migrateUp(knex, migrationsIn(MIGRATIONS));
    await knex.destroy();
    await made.makeNotes();
    return made;
  }

  /** Makes the fixture app's own table. */
  async makeNotes(): Promise<void> {
    const client = await this.connect();
    await client.query(NOTES);
    await client.query(EFFECTS);
    await client.end();
  }

  get data(): string {
    return path.join(this.folder, 'disk/data');
  }

  /** The app's connection URL through `port`, which may be a proxy's. */
  urlBy(port: number): string {
    return `postgres://${APP_USER}@127.0.0.1:${port}/${DATABASE}`;
  }

  /** URL of the same database for the superuser. */
  get superuserUrl(): string {
    return `postgres://${SUPERUSER}@127.0.0.1:${this.port}/${DATABASE}`;
  }

  /** Runs SQL as the superuser, for whom connections are reserved. */
  async administer<Row extends pg.QueryResultRow>(sql: string, database = DATABASE): Promise<Row[]> {
    const client = await this.connect(SUPERUSER, database);
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** Opens a connection that counts against the app's limit. @throws Error when there are too many. */
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

  /** Stops the server. SIGINT shuts it down cleanly (fast shutdown), the others do not. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child) await this.end(child, signal);
  }

  /** Resolves when the server takes queries, after a restart if a fault has ended it. */
  async revive(): Promise<void> {
    const { child } = this;
    if (child && (await this.takesQueries(child))) return;
    await this.stop('SIGQUIT');
    await this.start();
  }

  /** Stops the server and removes its data. */
  async remove(): Promise<void> {
    await this.stop('SIGQUIT');
    await this.disk.unmount();
  }

  log(): string {
    return fs.readFileSync(path.join(this.folder, 'log'), 'utf8');
  }

  private spawn(): ChildProcess {
    const log = fs.openSync(path.join(this.folder, 'log'), 'a');
    const limits = { ...SETTINGS, max_connections: String(this.connections + RESERVED) };
    const settings = Object.entries(limits).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
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

/** Bytes per write that fills the disk: large writes first, small ones for the rest. */
const PART = 2 ** 20;
const LAST_PART = 512;

/** A tmpfs to be filled. Only processes started through `entrance` see it; it is gone when the last of them ends. */
class SmallDisk {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly folder: string,
  ) {}

  /** @param folder the mount point. @throws Error when the machine forbids user namespaces or mounts in them. */
  static async mount(folder: string, mb: number): Promise<SmallDisk> {
    // The holder ends with its stdin, so that a run that dies leaves no disk behind.
    const script = `mount -t tmpfs -o size=${mb}m,mode=700 none "$0" && echo here && exec cat`;
    const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', script, folder];
    const holder = spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [said] = (await Promise.race([once(holder.stdout, 'data'), once(holder, 'close')])) as unknown[];
    if (!Buffer.isBuffer(said)) {
      throw new Error('this machine forbids user namespaces, or a disk in one: the chaos run cannot fill its own');
    }
    return new SmallDisk(holder, folder);
  }

  /** Prefix of a command that must see the disk. It does not run as root, which Postgres refuses. */
  get entrance(): readonly string[] {
    const pid = String(this.holder.pid);
    return ['nsenter', '--target', pid, '--user', '--mount', '--preserve-credentials', '--', 'unshare', '--user'];
  }

  /** Fills the disk to the last byte. */
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
