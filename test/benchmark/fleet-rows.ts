import fs from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import type { Redis } from '../../lib/core/redis';
import { until } from '../support/until';
import type { Bench } from './harness/bench';

const PAYLOAD = '{"v":1,"class":"AnyJob","args":[],"attrs":{},"enqueuedAt":0}';
/** Postgres adds the counts of a session to its statistics when the session has been idle for this long, ms. */
const COUNTED_MS = 11_000;
/** Pause between two rows, ms. */
const APART_MS = 60;

/** The cost of a lone row without a hint for Postgres, without its INSERT and its notification. */
export interface RowCosts {
  /** Transactions that dispatchers begin. */
  readonly transactions: number;
  /**
   * Notifications that listening sessions read. Postgres counts each as a transaction as well, but only when the session
   * gets its next statement, up to 15 minutes later, so they are not included in `transactions`.
   */
  readonly notificationsRead: number;
  /** CPU time of all processes of Postgres. */
  readonly postgresCpuMs: number;
  /** Transactions of looks and checks by all processors together in the minute after a row, not included in the above. */
  readonly pollsPerSecond: number;
}

/** For each counter, the increase due to the work, and the increase per second without it. */
interface Counted {
  readonly added: readonly number[];
  readonly perSecond: readonly number[];
}

/** @returns the increase of the counters due to the work, without that of heartbeats and polls before and after it. */
export async function beside(
  counters: () => Promise<readonly number[]>,
  idleMs: number,
  work: () => Promise<unknown>,
): Promise<Counted> {
  const at: { readonly counts: readonly number[]; readonly ms: number }[] = [];
  const count = async () => {
    at.push({ counts: await counters(), ms: performance.now() });
  };
  await count();
  for (const act of [() => wait(idleMs), work, () => wait(idleMs)]) {
    await act();
    await count();
  }
  const [before, busy, after] = at.slice(1).map(({ counts, ms }, index) => {
    const since = at[index];
    return { counts: counts.map((n, counter) => n - (since?.counts[counter] ?? 0)), ms: ms - (since?.ms ?? 0) };
  });
  if (!before || !busy || !after) throw new Error('nothing was counted');
  const perMs = before.counts.map((n, counter) => (n + (after.counts[counter] ?? 0)) / (before.ms + after.ms));
  return {
    added: busy.counts.map((n, counter) => n - (perMs[counter] ?? 0) * busy.ms),
    perSecond: perMs.map((n) => n * 1000),
  };
}

/** @param query sends one statement to Postgres. */
export async function insertRow(query: (sql: string) => Promise<unknown>): Promise<void> {
  await query(
    `insert into ${TABLES.jobs} (id, queue, class, payload) values (gen_random_uuid(), 'unserved', 'AnyJob', '${PAYLOAD}')`,
  );
  await query(`select pg_notify('${TABLES.channel}', 'look')`);
}

/**
 * Measures the costs of lone rows for all dispatchers together. Each must have been listening for half a minute: the
 * statement that it then sends on its LISTEN connection makes Postgres count the notifications of the start.
 */
export async function measureRows(bench: Bench, redis: Redis, dispatchers: number): Promise<RowCosts> {
  const { databaseUrl } = await (await bench.stores()).urls(0);
  // One session is kept, since each new one would be a further transaction; the other gets the dispatchers' notifications.
  const [session, listener] = [0, 1].map(() => new Client({ connectionString: databaseUrl })) as [Client, Client];
  await session.connect();
  await listener.connect();
  let notifications = 0;
  listener.on('notification', () => notifications++);
  await listener.query(`LISTEN ${TABLES.channel}; LISTEN ${TABLES.leaderChannel}`);
  const cpu = new ServerCpu(backendOf(session), [backendOf(session), backendOf(listener)]);
  const rows = bench.options.quick ? 50 : 200;
  let own = 0;
  const counters = async () => {
    await wait(COUNTED_MS);
    const counted = await session.query<{ n: number }>(
      'select (xact_commit + xact_rollback)::int as n from pg_stat_database where datname = current_database()',
    );
    own++;
    return [(counted.rows[0]?.n ?? Number.NaN) - own, notifications * dispatchers, cpu.ms()];
  };
  const hinted = () => redis.client.lLen('bq:unserved:waiting');
  const row = async () => {
    const before = await hinted();
    await insertRow((sql) => session.query(sql));
    own += 2;
    await until('Redis has its hint', async () => (await hinted()) === before + 1, { everyMs: 2 });
    await wait(APART_MS);
  };
  // For a minute after this row the dispatchers look as often as those of a busy tree, as they do during the work.
  await row();
  // No idle time is needed, since `counters` waits itself.
  const { added, perSecond } = await beside(counters, 0, async () => {
    for (let n = 0; n < rows; n++) await row();
  });
  await session.end();
  await listener.end();
  const [transactions = Number.NaN, notificationsRead = Number.NaN, postgresCpuMs = Number.NaN] = added.map(
    (n) => n / rows,
  );
  return { transactions, notificationsRead, postgresCpuMs, pollsPerSecond: perSecond[0] ?? Number.NaN };
}

/** `pg` knows the pid of its backend, but declares no type for it. */
function backendOf(client: Client): number {
  return (client as Client & { readonly processID: number }).processID;
}

/** The CPU time of a Postgres server on this machine, from /proc. */
class ServerCpu {
  private readonly server: number;
  private readonly seen = new Map<number, number>();
  private total = 0;

  /** @param backend a process of the server. @param except processes that are not counted. */
  constructor(
    backend: number,
    private readonly except: readonly number[],
  ) {
    this.server = parentOf(backend) ?? Number.NaN;
    this.ms();
  }

  /** @returns ms since the first call. The last usage of processes that end between two calls is missing. */
  ms(): number {
    for (const name of fs.readdirSync('/proc')) {
      const pid = Number(name);
      if (!(pid > 0) || this.except.includes(pid) || parentOf(pid) !== this.server) continue;
      const ms = Number(read(`/proc/${pid}/schedstat`).split(' ')[0]) / 1e6;
      this.total += ms - (this.seen.get(pid) ?? 0);
      this.seen.set(pid, ms);
    }
    return this.total;
  }
}

function parentOf(pid: number): number | undefined {
  const [, parent] = /^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`)) ?? [];
  return parent === undefined ? undefined : Number(parent);
}

/** @returns the file's text, or '' if the process has ended. */
function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
