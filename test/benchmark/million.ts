import type { WatchResult } from './contender/process';
import type { Benchmark } from './harness/bench';
import { short, table } from './harness/figures';
import type { Stores } from './harness/stores';

const MILLION = 1_000_000;
const QUICK = 100_000;
/** Share of the jobs during which the processor's memory may still grow. */
const WARM_UP = 0.1;
/** Keys that may remain once every job is done: history and processes. */
const KEPT = /^catamount:/;

/** Runs a million no-op jobs, enqueued in bulk, to see whether the processor grows and what remains. */
export const million: Benchmark = {
  about:
    'a million no-op jobs: memory of the processor while it runs them, and what Postgres and Redis hold afterwards',
  peers: false,
  async run(bench) {
    const count = bench.options.quick ? QUICK : MILLION;
    const stores = await bench.stores();
    await stores.clear();
    const begun = performance.now();
    await bench.run('catamount', 0, { kind: 'fill', count });
    const filled = performance.now();
    const full = await redisMb(stores);
    const watch = { kind: 'watch', concurrency: 10, count } as const;
    const { rssMb, jobsPerSecond } = await bench.run<WatchResult>('catamount', 0, watch);
    const warm = rssMb.slice(Math.ceil(rssMb.length * WARM_UP));
    const from = warm[0] ?? Number.NaN;
    const least = Math.min(...warm);
    const most = Math.max(...warm);
    const middle = (least + most) / 2;
    const left = await whatIsLeft(stores);
    const rowsLeft = await stores.jobCount();
    bench.say(
      `\n${table(
        [`${count} jobs`, 'value'],
        [
          ['enqueued a second', short((count / (filled - begun)) * 1000)],
          ['run a second, c=10', short(jobsPerSecond)],
          ['processor RSS MB after a tenth', from.toFixed(0)],
          ['processor RSS MB from then, least–most', `${least.toFixed(0)}–${most.toFixed(0)}`],
          ['deviation from the middle', `±${(((most - middle) / middle) * 100).toFixed(1)} %`],
          ['Redis MB, all enqueued', full.toFixed(0)],
          ['Redis MB, all done', (await redisMb(stores)).toFixed(1)],
          ['rows left', String(rowsLeft)],
        ],
      )}\n`,
    );
    const sizes = left.map(({ key, size }) => [key, String(size)]);
    bench.say(table(['left in Redis', 'elements'], sizes));
    const strange = left.filter(({ key }) => !KEPT.test(key));
    if (strange.length > 0) throw new Error(`Redis still holds ${strange.map(({ key }) => key).join(', ')}`);
    if (rowsLeft > 0) throw new Error(`${rowsLeft} jobs are left`);
    return { count, rssMb, jobsPerSecond, left };
  },
};

async function redisMb({ client }: Stores): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]) / 2 ** 20;
}

async function whatIsLeft({ client }: Stores): Promise<{ readonly key: string; readonly size: number }[]> {
  const found: { key: string; size: number }[] = [];
  for await (const keys of client.scanIterator()) {
    for (const key of keys) found.push({ key, size: await sizeOf(client, key) });
  }
  return found.sort((a, b) => a.key.localeCompare(b.key));
}

/** Number of elements of a key of any type. */
async function sizeOf(client: Stores['client'], key: string): Promise<number> {
  switch (await client.type(key)) {
    case 'hash':
      return client.hLen(key);
    case 'zset':
      return client.zCard(key);
    case 'set':
      return client.sCard(key);
    case 'list':
      return client.lLen(key);
    default:
      return 1;
  }
}
