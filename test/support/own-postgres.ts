import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { makeDataFolder } from '../../lib/embedded/data-folder';
import { type PostgresBinaries, postgresBinaries } from '../../lib/embedded/find-binaries';
import { postgresUser } from '../../lib/embedded/postgres-server';
import { run } from '../../lib/embedded/server-process';
import { descendants } from './processes';
import { serverPort } from './server-port';
import { removeFolder, tempFolder } from './temp-folder';

const SETTINGS = { listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off', jit: 'off' };
const INITDB = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];

/** A Postgres for a test alone, without a password. */
export class OwnPostgres {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly around: string,
    private readonly binaries: PostgresBinaries,
    private readonly as: Awaited<ReturnType<typeof postgresUser>>,
  ) {}

  /** Finds a folder and a port for a server that has no data yet. */
  static async prepare(binaries = postgresBinaries()): Promise<OwnPostgres> {
    const around = tempFolder('postgres');
    fs.chmodSync(around, 0o711);
    const folder = path.join(around, 'postgres');
    const as = await postgresUser(folder, undefined);
    makeDataFolder(folder, as.user);
    return new OwnPostgres(await serverPort(), around, binaries, as);
  }

  urlOf(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  get hasEnded(): boolean {
    return this.child === undefined || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get log(): string {
    return fs.readFileSync(path.join(this.around, 'log'), 'utf8');
  }

  async makeData(): Promise<void> {
    await run({ argv: [...this.as.wrapper, this.binaries.initdb, '-D', this.data, ...INITDB], user: this.as.user });
  }

  /** Copies the data of a server, which may be writing it: all but its WAL. */
  copyData(of: OwnPostgres): void {
    copyFolder(of.data, this.data, (copy) => this.giveAway(copy));
  }

  /** Writes a file of its data. */
  write(name: string, text: string): void {
    const file = path.join(this.data, name);
    fs.writeFileSync(file, text, { mode: 0o600 });
    this.giveAway(file);
  }

  /** Starts the process, without waiting until it answers. */
  launch(more: Readonly<Record<string, string>> = {}): void {
    const settings = Object.entries({ ...SETTINGS, ...more }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const command = [...this.as.wrapper, this.binaries.postgres, '-D', this.data, '-p', String(this.port)];
    const [program = '', ...args] = [...command, ...settings];
    const log = fs.openSync(path.join(this.around, 'log'), 'a');
    this.child = spawn(program, args, { ...this.as.user, stdio: ['ignore', log, log] });
    fs.closeSync(log);
  }

  /** Kills all of its processes at once, as when its machine fails. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child?.pid === undefined || this.hasEnded) return;
    const exited = once(child, 'exit');
    const all = [child.pid, ...descendants(child.pid).map(({ pid }) => pid)];
    for (const pid of all) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    await exited;
  }

  /** Stops it and removes its data. */
  async remove(): Promise<void> {
    await this.kill();
    removeFolder(this.around);
  }

  private get data(): string {
    return path.join(this.around, 'postgres/data');
  }

  private giveAway(file: string): void {
    if (this.as.user) fs.chownSync(file, this.as.user.uid, this.as.user.gid);
  }
}

function copyFolder(from: string, to: string, done: (copy: string) => void): void {
  fs.mkdirSync(to, { mode: 0o700 });
  done(to);
  if (path.basename(from) === 'pg_wal') return;
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, copy] = [path.join(from, entry.name), path.join(to, entry.name)];
    try {
      if (entry.isDirectory()) copyFolder(source, copy, done);
      else if (!entry.name.startsWith('postmaster.')) {
        fs.copyFileSync(source, copy);
        done(copy);
      }
    } catch (error) {
      // The server has removed it meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
