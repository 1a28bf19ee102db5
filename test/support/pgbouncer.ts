import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { serverPort } from './server-port';
import { removeFolder, tempFolder } from './temp-folder';
import { until } from './until';

/** The user `nobody`, since PgBouncer refuses to run as root. */
const NOBODY = 65_534;

/** A PgBouncer in transaction mode in front of one database. Its port never changes. */
export class PgBouncer {
  private child: ChildProcess | undefined;
  private readonly folder = tempFolder('pgbouncer');
  private readonly runsAs = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

  private constructor(
    private readonly target: URL,
    private readonly port: number,
  ) {}

  /**
   * @param target URL of the database, with user and password.
   * @param settings further settings of PgBouncer, such as `{ max_prepared_statements: '0' }`.
   */
  static async start(target: string, settings: Readonly<Record<string, string>> = {}): Promise<PgBouncer> {
    const pooler = new PgBouncer(new URL(target), await serverPort());
    pooler.configure(settings);
    await pooler.start();
    return pooler;
  }

  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${this.port}`;
    return url.href;
  }

  async start(): Promise<void> {
    const log = fs.openSync(path.join(this.folder, 'log'), 'a');
    const child = spawn('pgbouncer', [this.file('pgbouncer.ini')], { ...this.runsAs, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    let missing: Error | undefined;
    child.once('error', (error) => {
      missing = error;
    });
    this.child = child;
    const ended = () => missing !== undefined || hasEnded(child);
    await until('PgBouncer answers queries', async () => ended() || (await this.answers()));
    if (ended()) throw missing ?? new Error(`PgBouncer exited:\n${this.log().slice(-1000)}`);
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child?.pid === undefined || hasEnded(child)) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** @returns the number of named prepared statements on each of its connections to Postgres. */
  async preparedStatements(): Promise<number[]> {
    const url = new URL(this.url);
    url.pathname = 'pgbouncer';
    const servers = await query(url.href, 'show servers');
    return servers.map(({ prepared_statements: count }) => Number(count));
  }

  log(): string {
    return fs.readFileSync(this.file('log'), 'utf8');
  }

  async remove(): Promise<void> {
    await this.kill();
    removeFolder(this.folder);
  }

  private file(name: string): string {
    return path.join(this.folder, name);
  }

  private configure(given: Readonly<Record<string, string>>): void {
    const { hostname, port, pathname, username, password } = this.target;
    const lines = {
      listen_addr: '127.0.0.1',
      listen_port: String(this.port),
      unix_socket_dir: '',
      pool_mode: 'transaction',
      auth_type: 'scram-sha-256',
      auth_file: this.file('users'),
      stats_users: username,
      ...given,
    };
    const settings = Object.entries(lines).map(([name, value]) => `${name} = ${value}`);
    const written = {
      'pgbouncer.ini': [
        '[databases]',
        `${pathname.slice(1)} = host=${hostname} port=${port}`,
        '[pgbouncer]',
        ...settings,
      ],
      users: [`"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"`],
    };
    const { uid = -1, gid = -1 } = this.runsAs;
    fs.chownSync(this.folder, uid, gid);
    for (const [name, content] of Object.entries(written)) {
      fs.writeFileSync(this.file(name), `${content.join('\n')}\n`, { mode: 0o600 });
      fs.chownSync(this.file(name), uid, gid);
    }
  }

  private async answers(): Promise<boolean> {
    return (await query(this.url, 'select 1')).length === 1;
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function query(url: string, sql: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client(url);
  try {
    await client.connect();
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
