import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { listProcesses } from '../../lib/job/processes/process-list';
import { Deadline } from '../../lib/support/async';
import { until } from '../support/until';
import { CONTENDERS, type ContenderName } from './contender/contenders';
import type { DrainResult } from './contender/process';
import { now } from './fleet-process';
import { type Processors, startInProcess, startProcesses } from './fleet-processors';
import { beside, insertRow, measureRows, type RowCosts } from './fleet-rows';
import type { Bench, Benchmark } from './harness/bench';
import { interleave, median, percentile, short, table } from './harness/figures';

/** Numbers of real processes. IN_PROCESS processors share this process, since a machine of two cores has no room for 50. */
const PROCESSES = [1, 10];
const IN_PROCESS = 50;
const FULL = [1, 10];
/**
 * Time after which the start no longer costs anything, ms: it is known which dispatcher leads, and each LISTEN connection has sent its first statement.
 */
const SETTLED_MS = 35_000;
/** Time before and after the work in which the cost of what is asked without a job is counted, ms: every 10 s at least. */
const POLLS_MS = 10_000;

interface Costs extends RowCosts {
  readonly redisCalls: number;
  /** Calls of all processors together, which are not included in `redisCalls`. */
  readonly redisPollsPerSecond: number;
  readonly pickupP50Ms: number;
  readonly pickupP99Ms: number;
}

/** The cost of a job for the stores by the number of processors, and the time of a takeover when the leading dispatcher dies. */
export const fleet: Benchmark = {
  about:
    'a lone job with 1, 10 and 50 processors: calls of Redis, transactions, pickup; a full queue; the death of the leading dispatcher',
  peers: false,
  async run(bench) {
    const costs: Record<string, Costs> = {};
    for (const count of PROCESSES)
      if (bench.wants(`${count}`)) costs[count] = await measure(bench, () => startProcesses(bench, count));
    if (bench.wants(`${IN_PROCESS}`))
      costs[IN_PROCESS] = await measure(bench, (redis) => startInProcess(bench, IN_PROCESS, redis));
    tell(bench, costs);
    const jobsPerSecond: Record<string, Record<string, number>> = {};
    if (bench.wants('full queue')) for (const count of FULL) jobsPerSecond[count] = await drain(bench, count);
    const contenders = Object.keys(Object.values(jobsPerSecond)[0] ?? {});
    const speeds = Object.entries(jobsPerSecond).map(([count, by]) => [count, ...Object.values(by).map(short)]);
    if (speeds.length > 0) bench.say(`\n${table(['full queue, jobs a second, processors', ...contenders], speeds)}`);
    const takeOverMs = bench.wants('take-over') ? await takeOvers(bench) : [];
    bench.say(`\ntake-over after kill -9 of the dispatcher that leads: ${takeOverMs.map(short).join(', ')} ms`);
    return { costs, jobsPerSecond, takeOverMs };
  },
};

function tell(bench: Bench, costs: Readonly<Record<string, Costs>>): void {
  const measured = Object.entries(costs);
  if (measured.length === 0) return;
  const jobs = measured.map(([count, figures]) => {
    const { redisCalls, pickupP50Ms, pickupP99Ms, transactions, notificationsRead, postgresCpuMs } = figures;
    const stores = [redisCalls, transactions, notificationsRead, postgresCpuMs];
    return [count, ...[...stores, pickupP50Ms, pickupP99Ms].map(short)];
  });
  const heads = [
    'Redis calls',
    'without a hint: transactions',
    'notifications read',
    'Postgres CPU, ms',
    'pickup p50',
    'p99, ms',
  ];
  bench.say(`\n${table(['a lone job, processors', ...heads], jobs)}`);
  const polls = measured.map(([count, { redisPollsPerSecond, pollsPerSecond }]) => {
    return [count, short(redisPollsPerSecond), short(pollsPerSecond)];
  });
  bench.say(`\n${table(['asked a second beside it, processors', 'Redis calls', 'transactions'], polls)}`);
}

async function measure(bench: Bench, start: (redis: Redis) => Promise<Processors>): Promise<Costs> {
  const stores = await bench.stores();
  const { database } = stores;
  await stores.clear();
  const redis = new Redis((await stores.urls(0)).redisUrl, new Events());
  await redis.start();
  await until('redis is connected', () => redis.client.isReady);
  const processors = await start(redis);
  const producer = await CONTENDERS.catamount(await stores.urls(0)).produce();
  const { pickups } = processors;
  const blocked = async () => Number(/^blocked_clients:(\d+)/m.exec(await redis.client.info('clients'))?.[1]);
  const allWait = () =>
    until('all processors wait', async () => (await blocked()) === processors.count, { everyMs: 2 });
  const calls = async () => {
    const info = await redis.client.info('commandstats');
    const of = (name: string) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return [of('evalsha') + of('eval') + of('brpop')];
  };
  const lone = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const expected = pickups.length + 1;
      await producer.add(now());
      await until('the job has run', () => pickups.length >= expected, { everyMs: 1 });
      await allWait();
    }
  };
  await allWait();
  await lone(10);
  await wait(SETTLED_MS);
  const count = bench.options.quick ? 50 : 200;
  const from = pickups.length;
  // For a minute after a row the dispatchers look as often as those of a busy tree, so the pace is the same before, during and after.
  await insertRow((sql) => database.query(sql));
  const counted = await beside(calls, POLLS_MS, () => lone(count));
  const measured = pickups.slice(from);
  const ofRows = await measureRows(bench, redis, processors.count);
  await producer.close();
  await processors.end();
  await redis.stop(Deadline.after(5000));
  const [pickupP50Ms, pickupP99Ms] = [percentile(measured, 50), percentile(measured, 99)];
  const [redisCalls = Number.NaN] = counted.added.map((calls) => calls / count);
  const [redisPollsPerSecond = Number.NaN] = counted.perSecond;
  return { redisCalls, redisPollsPerSecond, ...ofRows, pickupP50Ms, pickupP99Ms };
}

/** @returns the speed of all processors together by contender, with `--against` also that of the other checkout. */
async function drain(bench: Bench, processes: number): Promise<Record<string, number>> {
  const stores = await bench.stores();
  const count = bench.options.quick ? 20_000 : 80_000;
  // Each runs less than its share, so that all are busy until the last one has been measured.
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

/** Kills the process with the leading dispatcher. @returns the times until Redis has a hint at the next row, ms. */
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
  await listener.query(`LISTEN ${TABLES.leaderChannel}`);
  const length = () => redis.client.lLen('bq:unserved:waiting');
  const times: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const { children, end } = await startProcesses(bench, 3);
    await wait(SETTLED_MS);
    const before = await length();
    leader = '';
    await insertRow((sql) => stores.database.query(sql));
    await until('Redis has a hint at the row', async () => (await length()) === before + 1);
    const child = await until('the leading dispatcher is known', async () => {
      const found = (await listProcesses(redis.client)).find(({ identity }) => identity === leader);
      return children.find(({ pid }) => pid === found?.pid);
    });
    await child.kill();
    const begun = performance.now();
    await insertRow((sql) => stores.database.query(sql));
    await until('another dispatcher has taken over', async () => (await length()) === before + 2);
    times.push(performance.now() - begun);
    await end();
  }
  await listener.end();
  await redis.stop(Deadline.after(5000));
  return times;
}
