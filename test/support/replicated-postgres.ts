import pg from 'pg';
import { OwnPostgres } from './own-postgres';
import { TcpProxy } from './tcp-proxy';
import { until } from './until';

const SETTINGS = { shared_buffers: '16MB', max_wal_size: '128MB', wal_keep_size: '512MB', max_connections: '60' };
const DATABASE = 'shop';

/**
 * A Postgres with a standby, behind one address. A COMMIT that is acknowledged is on both (`synchronous_standby_names`), unless its
 * session has asked for less.
 */
export class ReplicatedPostgres {
  /** How often the standby has taken over. */
  failovers = 0;
  private leader!: OwnPostgres;
  private standby!: OwnPostgres;
  private proxy!: TcpProxy;

  get url(): string {
    return this.proxy.url;
  }

  /** Starts both; after `end`, lets the standby take over, and gives that a standby of its own. */
  async start(): Promise<void> {
    if (this.proxy === undefined) await this.found();
    else await this.failOver();
    await this.follow();
  }

  /** SIGKILL: of the leader; otherwise of all. */
  async end(signal: 'SIGKILL' | 'SIGINT'): Promise<void> {
    if (signal === 'SIGKILL') return this.leader.kill();
    await this.proxy?.down();
    await Promise.all([this.leader?.remove(), this.standby?.remove()]);
  }

  private async found(): Promise<void> {
    this.leader = await OwnPostgres.prepare();
    await this.leader.makeData();
    await launch(this.leader);
    await query(this.leader, `create database ${DATABASE}`);
    this.proxy = await TcpProxy.start(this.leader.urlOf(DATABASE));
  }

  private async failOver(): Promise<void> {
    const dead = this.leader;
    this.leader = this.standby;
    await query(this.leader, 'select pg_promote()');
    this.proxy.lead(this.leader.urlOf(DATABASE));
    this.proxy.cut();
    this.failovers++;
    await dead.remove();
  }

  private async follow(): Promise<void> {
    this.standby = await OwnPostgres.prepare();
    const { leader, standby } = this;
    await withClient(leader, async (client) => {
      await client.query(`select pg_backup_start('standby', true)`);
      standby.copyData(leader);
      const { rows } = await client.query<{ label: string }>('select labelfile as label from pg_backup_stop(false)');
      standby.write('backup_label', rows[0]?.label ?? '');
    });
    const source = new URL(leader.urlOf('postgres'));
    standby.write(
      'postgresql.auto.conf',
      `primary_conninfo = 'host=${source.hostname} port=${source.port} user=postgres'\n`,
    );
    standby.write('standby.signal', '');
    await launch(standby);
    await query(leader, `alter system set synchronous_standby_names = '*'`);
    await query(leader, 'select pg_reload_conf()');
    const follows = `select from pg_stat_replication where state = 'streaming' and sync_state = 'sync'`;
    await until('the standby has what is committed', async () => (await query(leader, follows)).length === 1);
  }
}

async function launch(server: OwnPostgres): Promise<void> {
  server.launch(SETTINGS);
  await until('Postgres answers queries', async () => server.hasEnded || (await query(server, 'select 1')));
  if (server.hasEnded) throw new Error(`Postgres exited:\n${server.log}`);
}

async function query(server: OwnPostgres, sql: string): Promise<unknown[]> {
  return withClient(server, async (client) => (await client.query(sql)).rows);
}

async function withClient<T>(server: OwnPostgres, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(server.urlOf('postgres'));
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
