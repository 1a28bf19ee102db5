import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';
import { makeDataFolder, type User } from './data-folder';
import { type PostgresBinaries, postgresBinaries } from './find-binaries';
import { newPassword, readPassword, writePassword, writePrivately } from './password';
import type { EmbeddedServer, Recorded } from './server-lifecycle';
import { type Command, postgresAnswers, run } from './server-process';

const DATABASE = 'catamount';

const MIN_CONNECTIONS = 60;
/** Connections that are left for a developer's own tools and tests. */
const SPARE_CONNECTIONS = 20;

/**
 * The settings are modest, because the tree has few connections. With `synchronous_commit=off`, COMMIT does not
 * wait for the disk. Committed data survives the end of any of our processes, even by `kill -9`, because Postgres
 * already has it. Only a crash of Postgres or of the machine loses the most recent commits (up to three times
 * wal_writer_delay, 0.6 s), and it never corrupts data.
 */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '16MB',
  max_wal_size: '128MB',
  synchronous_commit: 'off',
  jit: 'off',
  io_method: 'sync',
  autovacuum_max_workers: '1',
  max_logical_replication_workers: '0',
  log_checkpoints: 'off',
};

/** The rules of pg_hba.conf: password logins from this machine only. Postgres stores the password salted and hashed. */
const RULES = 'host all all 127.0.0.1/32 scram-sha-256\n';

export class PostgresServer implements EmbeddedServer {
  readonly name = 'postgres';
  readonly title = 'Postgres';
  readonly variable = 'DATABASE_URL';
  readonly stopSignal = 'INT';
  /** The free port has just been taken, or processes of a killed server are still exiting. */
  readonly transient = /could not create any TCP\/IP sockets|shared memory block/;
  readonly folder: string;
  /** The data folder. */
  readonly mark: string;
  private readonly rulesFile: string;

  constructor(
    stateDir: string,
    private readonly actingFor?: User,
    private readonly connections = 0,
  ) {
    this.folder = path.join(stateDir, 'postgres');
    this.mark = path.join(this.folder, 'data');
    this.rulesFile = path.join(this.folder, 'pg_hba.conf');
  }

  url(port: number): string {
    return `postgres://postgres:${readPassword(this.folder)}@127.0.0.1:${port}/${DATABASE}`;
  }

  recorded(): PidFile | undefined {
    return readPidFile(this.mark);
  }

  lastPort(): number | undefined {
    return lastPort(this.mark);
  }

  /** Postgres itself has a record. */
  record(): void {}

  async isReady({ pid, port }: Recorded): Promise<boolean> {
    const recorded = readPidFile(this.mark);
    return recorded?.pid === pid && recorded.status === 'ready' && (await postgresAnswers(port));
  }

  async prepare(): Promise<(port: number) => Command> {
    const binaries = postgresBinaries();
    const as = await postgresUser(this.folder, this.actingFor);
    const { wrapper, user } = as;
    makeDataFolder(this.folder, user);
    await initialise(this.mark, DATABASE, binaries, as);
    disownPidFile(this.mark);
    await this.requirePassword(binaries, as);
    const settings = Object.entries({
      ...SETTINGS,
      max_connections: Math.max(MIN_CONNECTIONS, this.connections + SPARE_CONNECTIONS),
      hba_file: this.rulesFile,
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const argv = [...wrapper, binaries.postgres, '-D', this.mark];
    return (port) => ({ argv: [...argv, '-p', String(port), ...settings], user });
  }

  /** Rejects clients without the password, whatever rules the data folder itself contains. */
  private async requirePassword(binaries: PostgresBinaries, user: PostgresUser): Promise<void> {
    writePrivately(this.rulesFile, RULES, user.user);
    if (readPassword(this.folder) !== undefined) return;
    const password = newPassword();
    await setPassword(this.mark, password, binaries, user);
    // The file is written last, since the next start sets the password again as long as the file is missing.
    writePassword(this.folder, password, user.user);
  }
}

const DRAFT = 'draft-';
/** Texts are ordered by bytes, and have upper and lower case in all scripts, whatever locales the machine has. */
const LOCALE = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
const INITDB = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', ...LOCALE, '--no-sync', '--no-instructions'];
const SINGLE = ['-F', '-c', 'io_method=sync', '-c', 'log_checkpoints=off', 'template1'];

/**
 * Creates the data folder with an empty database, unless it exists. The folder gets its final name only when it is complete, so
 * after an interruption it is created again. Each draft has a new name, since the initdb of a killed run may still be running.
 */
async function initialise(
  dataDir: string,
  database: string,
  { initdb, postgres }: PostgresBinaries,
  user: PostgresUser,
): Promise<void> {
  const folder = path.dirname(dataDir);
  removeDrafts(folder);
  if (fs.existsSync(path.join(dataDir, 'PG_VERSION'))) return;
  const draft = path.join(folder, `${DRAFT}${process.pid}-${Date.now()}`);
  const make = async (as: PostgresUser) => {
    await runAs(as, [initdb, '-D', draft, ...INITDB]);
    await runAs(as, [postgres, '--single', '-D', draft, ...SINGLE], `CREATE DATABASE "${database}"\n`);
  };
  await make(user).catch((error: Error) => {
    // Unlike the server, initdb needs a user that has a name. In a namespace every user is nobody.
    if (!error.message.includes('effective user ID')) throw error;
    return make({ ...user, wrapper: IN_NAMESPACE });
  });
  fs.renameSync(draft, dataDir);
}

/** Sets the password of a stopped server, through a pipe, so that the process list does not show it. */
async function setPassword(
  dataDir: string,
  password: string,
  { postgres }: PostgresBinaries,
  user: PostgresUser,
): Promise<void> {
  const statement = `SET password_encryption = 'scram-sha-256'; ALTER ROLE postgres PASSWORD '${password}'`;
  await runAs(user, [postgres, '--single', '-D', dataDir, ...SINGLE], `${statement}\n`);
}

function removeDrafts(folder: string): void {
  for (const name of fs.readdirSync(folder).filter((entry) => entry.startsWith(DRAFT))) {
    try {
      fs.rmSync(path.join(folder, name), { recursive: true, force: true });
    } catch {
      // The initdb of a killed run writes files faster than we remove them. The next start removes the rest.
    }
  }
}

async function runAs(
  { wrapper, user, note = '' }: PostgresUser,
  argv: readonly string[],
  input?: string,
): Promise<void> {
  try {
    await run({ argv: [...wrapper, ...argv], user }, input);
  } catch (thrown) {
    const { message, stderr } = thrown as Error & { readonly stderr?: string };
    throw new UserError(
      `Cannot create the data of the embedded Postgres: ${stderr?.trim() || message}\n${note}` +
        'Or set DATABASE_URL to a Postgres of your own.',
    );
  }
}

/** The fields of `postmaster.pid` that we read. Postgres writes the file, and reads it at its next start. */
interface PidFile extends Recorded {
  readonly status: string;
}

/** Indexes of lines in `postmaster.pid`. */
const PORT = 3;
const STATUS = 7;

function readPidFile(dataDir: string): PidFile | undefined {
  try {
    const lines = fs.readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), port: Number(lines[PORT]), status: lines[STATUS]?.trim() ?? '' };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** @returns the port of the last run, from the command line that Postgres records in `postmaster.opts`. */
function lastPort(dataDir: string): number | undefined {
  const file = path.join(dataDir, 'postmaster.opts');
  const port = fs.existsSync(file) ? /"-p" "(\d+)"/.exec(fs.readFileSync(file, 'utf8'))?.[1] : undefined;
  return port === undefined ? undefined : Number(port);
}

/**
 * Makes Postgres ignore the pid file of a server that is gone. Otherwise Postgres may refuse to start: another program may have
 * that pid by now, or the system may still list it.
 *
 * The pid in the file is replaced by ours, since Postgres knows that its parent cannot be a server. The rest of the file stays:
 * from it Postgres makes sure that no process of the old server still uses the data.
 */
function disownPidFile(dataDir: string): void {
  const file = path.join(dataDir, 'postmaster.pid');
  if (!fs.existsSync(file)) return;
  const [, ...rest] = fs.readFileSync(file, 'utf8').split('\n');
  fs.writeFileSync(file, [process.pid, ...rest].join('\n'));
}

/** The user that Postgres runs as, since it refuses to run as root. */
interface PostgresUser {
  /** Words put before every command. */
  readonly wrapper: readonly string[];
  readonly user: User | undefined;
  /** Added to the error when a command fails. */
  readonly note?: string;
}

const NOBODY: User = { uid: 65534, gid: 65534 };
const NOBODY_NOTE =
  'Postgres refuses to run as root, and this machine forbids user namespaces, so it runs as nobody: ' +
  'let other users enter this folder and the folders above it (chmod o+x), or do not start as root.\n';
/** Runs a command in a user namespace, where root appears as nobody. Files still belong to the real user. */
const IN_NAMESPACE: readonly string[] = ['unshare', '--user'];

/**
 * Chooses the user if we are root, in this order:
 * - the owner of existing data;
 * - the owner of the checkout;
 * - root in a user namespace, who may enter folders that are closed to other users;
 * - if namespaces are forbidden, nobody.
 */
export async function postgresUser(
  folder: string,
  actingFor: User | undefined,
  namespaces: () => Promise<boolean> = namespacesWork,
): Promise<PostgresUser> {
  if (process.getuid?.() !== 0) return { wrapper: [], user: undefined };
  if (fs.existsSync(folder)) {
    const { uid, gid } = fs.statSync(folder);
    if (uid !== 0) return { wrapper: [], user: { uid, gid } };
  } else if (actingFor) {
    return { wrapper: [], user: actingFor };
  }
  return (await namespaces())
    ? { wrapper: IN_NAMESPACE, user: undefined }
    : { wrapper: [], user: NOBODY, note: NOBODY_NOTE };
}

async function namespacesWork(): Promise<boolean> {
  return run({ argv: [...IN_NAMESPACE, 'true'] }).then(
    () => true,
    () => false,
  );
}
