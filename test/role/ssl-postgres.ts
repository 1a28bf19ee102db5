import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { Events } from '../../lib/core/events';
import { EmbeddedServers } from '../../lib/embedded/embedded-servers';
import { Deadline } from '../../lib/support/deadline';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import type { Certificate } from './certificates';

const SSL_ONLY = 'hostssl all all 0.0.0.0/0 scram-sha-256\n';

/** A real Postgres that refuses every connection without SSL. */
export class SslPostgres {
  private count = 0;

  private constructor(
    private readonly servers: EmbeddedServers,
    private readonly base: URL,
  ) {}

  static async start(certificate: Certificate): Promise<SslPostgres> {
    const stateDir = tempFolder('ssl-postgres');
    const servers = new EmbeddedServers({
      stateDir,
      needPostgres: true,
      needRedis: false,
      events: new Events(),
      graceMs: 0,
    });
    const { databaseUrl = '' } = await servers.start();
    try {
      const postgres = new SslPostgres(servers, new URL(databaseUrl));
      await postgres.insistOnSsl(path.join(stateDir, 'postgres/data'), certificate);
      return postgres;
    } catch (error) {
      await servers.stop(Deadline.after(60_000));
      throw error;
    }
  }

  /** Creates an empty database. @returns its URL at `host`, with `sslmode` unless it is undefined. */
  async createDatabase(host: string, sslmode: string | undefined): Promise<string> {
    const name = `shop_${++this.count}`;
    await this.query(`create database ${name}`);
    return this.urlOf(name, host, sslmode);
  }

  urlOf(name: string, host: string, sslmode: string | undefined): string {
    const url = new URL(this.base);
    url.hostname = host;
    url.pathname = name;
    if (sslmode !== undefined) url.searchParams.set('sslmode', sslmode);
    return url.toString();
  }

  /** @param url one of our databases. Default: the server's first. */
  async query<Row extends pg.QueryResultRow>(sql: string, url?: string): Promise<Row[]> {
    const { pathname } = new URL(url ?? this.base);
    return rows<Row>(this.urlOf(pathname, '127.0.0.1', undefined), sql, { rejectUnauthorized: false });
  }

  async stop(): Promise<void> {
    await this.servers.stop(Deadline.after(60_000));
  }

  private async insistOnSsl(dataDir: string, { chain, key }: Certificate): Promise<void> {
    // Postgres may run as a different user, and only reads a key that it owns.
    const { uid, gid } = fs.statSync(dataDir);
    for (const [name, text] of [
      ['server.crt', chain],
      ['server.key', key],
      // The embedded server keeps its access rules next to its data folder.
      ['../pg_hba.conf', SSL_ONLY],
    ] as const) {
      const file = path.join(dataDir, name);
      fs.writeFileSync(file, text, { mode: 0o600 });
      fs.chownSync(file, uid, gid);
    }
    await rows(this.base.toString(), 'alter system set ssl = on');
    await rows(this.base.toString(), 'select pg_reload_conf()');
    await until('Postgres accepts connections with SSL', () => this.query('select 1'));
    await until('Postgres rejects connections without SSL', () =>
      rows(this.base.toString(), 'select 1').then(
        () => false,
        () => true,
      ),
    );
  }
}

async function rows<Row extends pg.QueryResultRow>(
  connectionString: string,
  sql: string,
  ssl: pg.ClientConfig['ssl'] = false,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString, ssl });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}
