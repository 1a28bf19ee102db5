import { setTimeout as wait } from 'node:timers/promises';
import { TABLES } from '../../lib/core/config';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Consumer } from '../../lib/job/fetch/consumer';
import { ClassLimits } from '../../lib/job/fetch/fetch-call';
import { OutboxService } from '../../lib/job/outbox/service';
import { dispatch } from '../../lib/job/queue/dispatch';
import { newRecord } from '../../lib/job/record/record';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/async';
import { until } from '../support/until';
import type { Bench, Benchmark } from './harness/bench';
import { percentile, short, table } from './harness/figures';

const PROCESSORS = [1, 10, 50];
/** Relays have Postgres connections of their own, of which a server has a hundred. */
const MOST_RELAYS = 20;
const PAYLOAD = '{"v":1,"class":"AnyJob","args":[],"via":"outbox"}';
/** Polls are counted by the idle row, not by that of a job. */
const NO_POLL = 3_600_000;

interface Costs {
  readonly redisCalls: number;
  readonly transactions: number;
  readonly pickupP50Ms: number;
  readonly pickupP99Ms: number;
  readonly jobsPerSecond: number;
}

/** What a job costs the stores, by the number of processors that have nothing to do. All are in this process. */
export const fleet: Benchmark = {
  about: 'a lone job with 1, 10 and 50 processors: calls of Redis, transactions of Postgres, pickup; and a full queue',
  peers: false,
  async run(bench) {
    const results: Record<string, Costs> = {};
    for (const count of PROCESSORS) results[count] = await measure(bench, count);
    const lines = Object.entries(results).map(([count, costs]) => [
      count,
      ...Object.values(costs).map((value: number) => short(value)),
    ]);
    const head = ['processors', 'Redis calls', 'transactions', 'pickup p50', 'p99, ms', 'jobs a second'];
    bench.say(`\n${table(head, lines)}`);
    return results;
  },
};

async function measure(bench: Bench, count: number): Promise<Costs> {
  const stores = await bench.stores();
  await stores.clear();
  const { redisUrl, databaseUrl } = await stores.urls(0);
  const events = new Events();
  const redis = new Redis(redisUrl, events);
  await redis.start();
  await until('redis is connected', () => redis.client.isReady);
  let ran = 0;
  let ranAt = 0;
  const consumers = Array.from({ length: count }, () => {
    return new Consumer({
      redisUrl,
      queues: [{ name: 'fleet', weight: 1 }],
      weighted: false,
      budget: 2,
      limits: new ClassLimits(),
      stallInterval: 30_000,
      pollMs: NO_POLL,
      handler: async () => {
        ran++;
        ranAt = performance.now();
        return { outcome: { op: 'complete', markers: '' }, recorded: () => undefined };
      },
      onStalled: () => undefined,
      onError: (error) => bench.say(String(error)),
    });
  });
  for (const consumer of consumers) await consumer.start();
  const waiting = async () => Number(/^blocked_clients:(\d+)/m.exec(await redis.client.info('clients'))?.[1]);
  const allWait = () => until('all wait', async () => (await waiting()) === count, { everyMs: 2 });
  await allWait();
  const record = newRecord(PAYLOAD);
  const runs = (expected: number) => until('they ran', () => ran >= expected, { everyMs: 1 });
  const lone = bench.options.quick ? 50 : 200;

  const calls = async () => {
    const info = await redis.client.info('commandstats');
    const of = (name: string) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return of('evalsha') + of('eval') + of('blmove');
  };
  const pickups: number[] = [];
  const before = await calls();
  for (let n = 0; n < lone; n++) {
    const expected = ran + 1;
    const begun = performance.now();
    await dispatch(redis.client, [{ id: `lone-${n}`, queue: 'fleet', record }]);
    await runs(expected);
    pickups.push(ranAt - begun);
    await allWait();
  }
  const redisCalls = ((await calls()) - before) / lone;

  const full = bench.options.quick ? 5000 : 20_000;
  const jobs = Array.from({ length: full }, (_, n) => ({ id: `full-${n}`, queue: 'fleet', record }));
  await redis.client.set('bq:fleet:paused', '1');
  await dispatch(redis.client, jobs);
  const expected = ran + full;
  await redis.client.del('bq:fleet:paused');
  const begun = performance.now();
  await redis.client.publish('catamount:wake', 'bq:fleet:');
  await runs(expected);
  const jobsPerSecond = (full * 1000) / (performance.now() - begun);
  for (const consumer of consumers) consumer.close();
  const transactions = await rows(bench, Math.min(count, MOST_RELAYS), redis, databaseUrl);
  await redis.stop(Deadline.after(5000));
  const [pickupP50Ms, pickupP99Ms] = [percentile(pickups, 50), percentile(pickups, 99)];
  return { redisCalls, transactions, pickupP50Ms, pickupP99Ms, jobsPerSecond };
}

/** @returns the transactions of all relays that one row costs, its INSERT and notification left out. */
async function rows(bench: Bench, count: number, redis: Redis, databaseUrl: string): Promise<number> {
  const { database: postgres } = await bench.stores();
  const events = new Events();
  let transactions = 0;
  const trees = Array.from({ length: count }, () => {
    const database = new Database(databaseUrl, { production: false, events, poolMax: 1 });
    database.knex.on('query', ({ sql, __knexTxId: trx }: { sql: string; __knexTxId?: string }) => {
      if (trx === undefined || sql.startsWith('BEGIN')) transactions++;
    });
    const options = { database, redis, events, production: false, queues: [], isRunning: () => false };
    return { database, outbox: new OutboxService(options) };
  });
  for (const { outbox } of trees) outbox.start();
  const insert = async () => {
    await postgres.query(
      `insert into job_outbox (id, queue, class, payload) values (gen_random_uuid(), 'unserved', 'AnyJob', '${PAYLOAD}')`,
    );
    await postgres.query(`select pg_notify('${TABLES.channel}', '')`);
  };
  const waiting = () => redis.client.lLen('bq:unserved:waiting');
  const dispatched = (expected: number) =>
    until('the row is in Redis', async () => (await waiting()) === expected, { everyMs: 2 });
  await insert();
  await dispatched(1);
  // What the start costs is over, and the reconcilers have compared.
  await wait(6000);
  const quiet = transactions;
  await wait(4000);
  const idle = transactions - quiet;
  const before = transactions;
  const begun = performance.now();
  const lone = 20;
  for (let n = 0; n < lone; n++) {
    await insert();
    await dispatched(n + 2);
    await wait(60);
  }
  const background = (idle * (performance.now() - begun)) / 4000;
  const perRow = (transactions - before - background) / lone;
  for (const { outbox, database } of trees) {
    await outbox.stop(Deadline.after(5000));
    await database.stop(Deadline.after(5000));
  }
  return perRow;
}
