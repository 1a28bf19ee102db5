import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { ProcessList } from '../../lib/job/processes/process-list';
import { dispatch } from '../../lib/job/queue/dispatch';
import { newRecord } from '../../lib/job/record/record';
import { Deadline } from '../../lib/support/async';
import { until } from '../support/until';
import type { ContenderName } from './contender/contenders';
import type { DrainResult } from './contender/process';
import { now } from './fleet-process';
import { LONE, type Processors, startInProcess, startProcesses } from './fleet-processors';
import type { Bench, Benchmark } from './harness/bench';
import { interleave, median, percentile, short, table } from './harness/figures';

/** Processes of their own, and 50 in this one, for which a machine of two cores has no room otherwise. */
const PROCESSES = [1, 10];
const IN_PROCESS = 50;
const FULL = [1, 10];
const PAYLOAD = '{"v":1,"class":"AnyJob","args":[],"via":"outbox"}';
/** Postgres counts what a session did when it has been idle for this long, ms. */
const COUNTED_MS = 11_000;
/** Then what the start costs is over: the relays know who leads, and the reconcilers have compared, ms. */
const SETTLED_MS = 15_000;

interface Costs {
  readonly redisCalls: number;
  readonly transactions: number;
  readonly pickupP50Ms: number;
  readonly pickupP99Ms: number;
}

/** What a job costs the stores, by the number of processors, and how soon another relays when the one that leads is killed. */
export const fleet: Benchmark = {
  about:
    'a lone job with 1, 10 and 50 processors: calls of Redis, transactions, pickup; a full queue; the end of the relay that leads',
  peers: false,
  async run(bench) {
    const costs: Record<string, Costs> = {};
    for (const count of PROCESSES)
      if (bench.wants(`${count}`)) costs[count] = await measure(bench, () => startProcesses(bench, count));
    if (bench.wants(`${IN_PROCESS}`))
      costs[IN_PROCESS] = await measure(bench, (redis) => startInProcess(bench, IN_PROCESS, redis));
    const lines = Object.entries(costs).map(([count, figures]) => [count, ...Object.values(figures).map(short)]);
    const head = ['a lone job, processors', 'Redis calls', 'transactions', 'pickup p50', 'p99, ms'];
    if (lines.length > 0) bench.say(`\n${table(head, lines)}`);
    const jobsPerSecond: Record<string, Record<string, number>> = {};
    if (bench.wants('full queue')) for (const count of FULL) jobsPerSecond[count] = await drain(bench, count);
    const contenders = Object.keys(Object.values(jobsPerSecond)[0] ?? {});
    const speeds = Object.entries(jobsPerSecond).map(([count, by]) => [count, ...Object.values(by).map(short)]);
    if (speeds.length > 0) bench.say(`\n${table(['full queue, jobs a second, processors', ...contenders], speeds)}`);
    const takeOverMs = bench.wants('take-over') ? await takeOvers(bench) : [];
    bench.say(`\ntake-over after kill -9 of the relay that leads: ${takeOverMs.map(short).join(', ')} ms`);
    return { costs, jobsPerSecond, takeOverMs };
  },
};

async function measure(bench: Bench, start: (redis: Redis) => Promise<Processors>): Promise<Costs> {
  const stores = await bench.stores();
  await stores.clear();
  const redis = new Redis((await stores.urls(0)).redisUrl, new Events());
  await redis.start();
  await until('redis is connected', () => redis.client.isReady);
  const processors = await start(redis);
  const { pickups } = processors;
  const blocked = async () => Number(/^blocked_clients:(\d+)/m.exec(await redis.client.info('clients'))?.[1]);
  const allWait = () => until('all wait', async () => (await blocked()) === processors.waiting, { everyMs: 2 });
  const calls = async () => {
    const info = await redis.client.info('commandstats');
    const of = (name: string) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return of('evalsha') + of('eval') + of('blmove') + of('lrange');
  };
  const lone = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const expected = pickups.length + 1;
      const at = now();
      const record = newRecord(JSON.stringify({ class: 'NoopJob', args: [at] }));
      await dispatch(redis.client, [{ id: `${LONE}${at}`, queue: 'default', record }]);
      await until('it ran', () => pickups.length >= expected, { everyMs: 1 });
      await allWait();
    }
  };
  await allWait();
  await lone(10);
  await wait(SETTLED_MS);
  const count = bench.options.quick ? 50 : 200;
  const from = pickups.length;
  const redisCalls = (await beside(calls, 5000, () => lone(count))) / count;
  const measured = pickups.slice(from);
  const transactions = await rows(bench, redis);
  await processors.end();
  await redis.stop(Deadline.after(5000));
  const [pickupP50Ms, pickupP99Ms] = [percentile(measured, 50), percentile(measured, 99)];
  return { redisCalls, transactions, pickupP50Ms, pickupP99Ms };
}

/** @returns what the work adds to the counter, beside what heartbeats and polls add before it and after it. */
async function beside(counter: () => Promise<number>, idleMs: number, work: () => Promise<unknown>): Promise<number> {
  const counts: (readonly [count: number, at: number])[] = [];
  for (const act of [() => wait(idleMs), work, () => wait(idleMs)]) {
    if (counts.length === 0) counts.push([await counter(), performance.now()]);
    await act();
    counts.push([await counter(), performance.now()]);
  }
  const [before, busy, after] = counts.slice(1).map(([count, at], n) => {
    const [was, wasAt] = counts[n] ?? [count, at];
    return { added: count - was, ms: at - wasAt };
  });
  if (!before || !busy || !after) return Number.NaN;
  return busy.added - ((before.added + after.added) / (before.ms + after.ms)) * busy.ms;
}

/** @returns the transactions of all processors that one lone row costs, its INSERT and notification left out. */
async function rows(bench: Bench, redis: Redis): Promise<number> {
  const { database } = await bench.stores();
  const count = 50;
  let own = 0;
  const transactions = async () => {
    await wait(COUNTED_MS);
    const [row] = await database.query<{ n: number }>(
      'select (xact_commit + xact_rollback)::int as n from pg_stat_database where datname = current_database()',
    );
    own++;
    return (row?.n ?? 0) - own;
  };
  // Counting takes its time itself.
  const added = await beside(transactions, 0, async () => {
    for (let n = 0; n < count; n++) {
      await insertRow(bench);
      own += 2;
      await until('it is in Redis', async () => (await redis.client.lLen('bq:unserved:waiting')) === n + 1, {
        everyMs: 2,
      });
      await wait(60);
    }
  });
  return added / count;
}

async function insertRow(bench: Bench): Promise<void> {
  const { database } = await bench.stores();
  await database.query(
    `insert into ${TABLES.outbox} (id, queue, class, payload) values (gen_random_uuid(), 'unserved', 'AnyJob', '${PAYLOAD}')`,
  );
  await database.query(`select pg_notify('${TABLES.channel}', '')`);
}

/** @returns the speeds of all processors together, by contender: with `--against` also of the other checkout. */
async function drain(bench: Bench, processes: number): Promise<Record<string, number>> {
  const stores = await bench.stores();
  const count = bench.options.quick ? 20_000 : 80_000;
  // Each leaves some of its share, so that all are at work until the last one has been measured.
  const share = Math.floor((count / processes) * 0.7);
  const speeds = await interleave(bench.choose(['catamount']), bench.rounds, async (contender: ContenderName) => {
    await stores.clear();
    await bench.run(contender, 0, { kind: 'fill', count });
    const task = { kind: 'drain', concurrency: 2, count: share, warmUp: Math.ceil(share / 3), more: true } as const;
    const runs = Array.from({ length: processes }, () => bench.run<DrainResult>(contender, 0, task));
    return (await Promise.all(runs)).reduce((sum, { jobsPerSecond }) => sum + jobsPerSecond, 0);
  });
  return Object.fromEntries(Object.entries(speeds).map(([name, samples]) => [name, median(samples)]));
}

/** Kills the process whose relay leads. @returns the times from that to the next row's place in Redis, ms. */
async function takeOvers(bench: Bench): Promise<number[]> {
  const stores = await bench.stores();
  await stores.clear();
  const { redisUrl, databaseUrl } = await stores.urls(0);
  const redis = new Redis(redisUrl, new Events());
  await redis.start();
  await until('redis is connected', () => redis.client.isReady);
  const listener = new Client({ connectionString: databaseUrl });
  await listener.connect();
  let leader = '';
  listener.on('notification', ({ payload = '' }) => {
    leader = payload.split(' ')[0] ?? '';
  });
  await listener.query(`LISTEN ${TABLES.relayChannel}`);
  const length = () => redis.client.lLen('bq:unserved:waiting');
  const list = new ProcessList(redis.client);
  const times: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const { children, end } = await startProcesses(bench, 3);
    await wait(SETTLED_MS);
    const before = await length();
    leader = '';
    await insertRow(bench);
    await until('it is in Redis', async () => (await length()) === before + 1);
    const child = await until('the relay that leads is known', async () => {
      const found = (await list.list()).find(({ identity }) => identity === leader);
      return children.find(({ pid }) => pid === found?.pid);
    });
    await child.kill();
    const begun = performance.now();
    await insertRow(bench);
    await until('another relays', async () => (await length()) === before + 2);
    times.push(performance.now() - begun);
    await end();
  }
  await listener.end();
  await redis.stop(Deadline.after(5000));
  return times;
}
