import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { makeDataFolder } from '../../lib/embedded/data-folder';
import { PLATFORM, packageFolder, postgresBinaries } from '../../lib/embedded/find-binaries';
import { postgresUser } from '../../lib/embedded/postgres-server';
import { run } from '../../lib/embedded/server-process';
import { databaseAt, type TestDatabase } from './postgres';
import { serverPort } from './server-port';
import { removeFolder, tempFolder } from './temp-folder';
import { until } from './until';

const NAME = 'shop';
const SETTINGS = { listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off', jit: 'off' };

/** The oldest Postgres that Catamount is tested with, with one empty database. */
export class OlderPostgres {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly port: number,
  ) {}

  static async start(): Promise<OlderPostgres> {
    const { initdb, postgres } = postgresBinaries(() => packageFolder(`postgres-15-${PLATFORM}`));
    const around = tempFolder('older');
    const folder = path.join(around, 'postgres');
    const { wrapper, user } = await postgresUser(folder, undefined);
    fs.chmodSync(around, 0o711);
    makeDataFolder(folder, user);
    const data = path.join(folder, 'data');
    const options = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
    await run({ argv: [...wrapper, initdb, '-D', data, ...options], user });
    const port = await serverPort();
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const [program = '', ...args] = [...wrapper, postgres, '-D', data, '-p', String(port), ...settings];
    const log = fs.openSync(path.join(around, 'log'), 'a');
    const child = spawn(program, args, { ...user, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    const made = new OlderPostgres(child, around, port);
    const first = made.at('postgres');
    await until('the older Postgres answers queries', async () => made.hasEnded || (await first.query('select 1')));
    if (made.hasEnded) throw new Error(`Postgres exited:\n${fs.readFileSync(path.join(around, 'log'), 'utf8')}`);
    await first.query(`create database ${NAME}`);
    return made;
  }

  get database(): TestDatabase {
    return this.at(NAME);
  }

  /** Stops it and removes its data. */
  async remove(): Promise<void> {
    if (!this.hasEnded) {
      const exited = once(this.child, 'exit');
      // SIGQUIT also ends its children.
      this.child.kill('SIGQUIT');
      await exited;
    }
    removeFolder(this.folder);
  }

  private get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** `drop` does nothing, since the database is removed with the server. */
  private at(name: string): TestDatabase {
    return databaseAt(`postgres://postgres@127.0.0.1:${this.port}/${name}`, async () => undefined);
  }
}
