import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { UserError } from '../core/errors';
import { Deadline } from '../support/deadline';
import { postgresAnswers } from './answers';
import { makeDataFolder, type User } from './data-folder';
import type { EmbeddedServer, RunningServer } from './embedded-server';
import { freePort } from './free-port';
import { newPassword, readPassword, writePassword, writePrivately } from './password';
import { poll } from './poll';
import { type PostgresBinaries, postgresBinaries } from './postgres-binaries';
import { initialise, setPassword } from './postgres-data';
import { disownPidFile, lastPort, readPidFile } from './postgres-pid-file';
import { type PostgresUser, postgresUser } from './postgres-user';
import { hasArgument, isAlive } from './process-table';
import { StartError, startServer } from './start-server';

export const DATABASE = 'catamount';

/**
 * Small: the tree has at most twenty connections. `synchronous_commit=off`: COMMIT does not wait for the disk. What was
 * committed survives the end of any process of ours, `kill -9` included, since Postgres itself has it; only a crash of
 * Postgres or of the machine loses the last moments (three times wal_writer_delay, 0.6 s), and nothing is ever torn.
 */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '60',
  shared_buffers: '16MB',
  max_wal_size: '128MB',
  synchronous_commit: 'off',
  jit: 'off',
  io_method: 'sync',
  autovacuum_max_workers: '1',
  max_logical_replication_workers: '0',
  log_checkpoints: 'off',
};

/** Who may connect. The password that Postgres keeps is salted and hashed. */
const RULES = 'host all all 127.0.0.1/32 scram-sha-256\n';

/** How long a server that is starting or stopping is waited for. */
const SETTLE_MS = 15_000;
const TRIES = 4;
const AGAIN_MS = 100;
/** Reasons that pass: the free port was taken meanwhile, or processes of a killed server are on their way out. */
const PASSING = /could not create any TCP\/IP sockets|shared memory block/;

export class PostgresServer implements EmbeddedServer {
  readonly name = 'postgres';
  readonly stopSignal = 'INT';
  readonly folder: string;
  /** The data folder. */
  readonly mark: string;
  private readonly rulesFile: string;

  constructor(
    stateDir: string,
    private readonly actingFor?: User,
  ) {
    this.folder = path.join(stateDir, 'postgres');
    this.mark = path.join(this.folder, 'data');
    this.rulesFile = path.join(this.folder, 'pg_hba.conf');
  }

  url(port: number): string {
    const password = readPassword(this.folder);
    return `postgres://postgres${password === undefined ? '' : `:${password}`}@127.0.0.1:${port}/${DATABASE}`;
  }

  hasPassword(): boolean {
    return readPassword(this.folder) !== undefined;
  }

  async find(): Promise<RunningServer | undefined> {
    const recorded = readPidFile(this.mark);
    if (recorded === undefined || !(await this.isOurs(recorded.pid))) return undefined;
    const { pid } = recorded;
    const process = { pid, gone: () => !isAlive(pid) };
    const settled = () => process.gone() || readPidFile(this.mark)?.status === 'ready';
    await poll(settled, Deadline.after(SETTLE_MS));
    if (process.gone()) return undefined;
    if (await postgresAnswers(recorded.port)) return { process, port: recorded.port, adopted: true };
    throw new UserError(
      `The embedded Postgres of a former run, pid ${pid}, does not answer on port ${recorded.port}. ` +
        `Stop it (kill -INT ${pid}), then start again.`,
    );
  }

  async start(onPid: (pid: number) => void, port?: number): Promise<RunningServer> {
    const binaries = postgresBinaries();
    const user = await postgresUser(this.folder, this.actingFor);
    makeDataFolder(this.folder, user.user);
    await initialise(this.mark, DATABASE, binaries, user);
    disownPidFile(this.mark);
    await this.close(binaries, user);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.startOn(
          port ?? (await freePort(attempt === 1 ? lastPort(this.mark) : undefined)),
          binaries,
          user,
          onPid,
        );
      } catch (error) {
        if (attempt === TRIES || !(error instanceof StartError && PASSING.test(error.log))) throw error;
        await wait(AGAIN_MS);
      }
    }
  }

  /** Only who knows the password gets in, whatever the data folder's own rules say. */
  private async close(binaries: PostgresBinaries, user: PostgresUser): Promise<void> {
    writePrivately(this.rulesFile, RULES, user.user);
    if (this.hasPassword()) return;
    const password = newPassword();
    await setPassword(this.mark, password, binaries, user);
    // Last: without this file the password is set anew.
    writePassword(this.folder, password, user.user);
  }

  private async startOn(
    port: number,
    binaries: PostgresBinaries,
    { wrapper, user }: PostgresUser,
    onPid: (pid: number) => void,
  ): Promise<RunningServer> {
    const settings = Object.entries({ ...SETTINGS, hba_file: this.rulesFile }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ]);
    let pid = 0;
    const process = await startServer({
      name: 'Postgres',
      variable: 'DATABASE_URL',
      command: { argv: [...wrapper, binaries.postgres, '-D', this.mark, '-p', String(port), ...settings], user },
      logFile: path.join(this.folder, 'postgres.log'),
      onPid: (started) => {
        pid = started;
        onPid(started);
      },
      ready: () => {
        const recorded = readPidFile(this.mark);
        return recorded?.pid === pid && recorded.status === 'ready';
      },
    });
    return { process, port, adopted: false };
  }

  private async isOurs(pid: number): Promise<boolean> {
    return isAlive(pid) && (await hasArgument(pid, this.mark));
  }
}
