import type { WatchResult } from './contender/process';
import type { Benchmark } from './harness/bench';
import { short, table } from './harness/figures';

/** Share of the jobs during which the processor's memory may still grow. */
const WARM_UP = 0.1;
/** Keys that may remain once every job is done: history and processes. */
const KEPT = /^catamount:/;

/** Runs a million no-op jobs, enqueued in bulk, to see whether the processor grows and what remains. */
export const million: Benchmark = {
  about: 'a million no-op jobs: memory of the processor while it runs them, and what is left afterwards',
  peers: false,
  async run(bench) {
    const count = bench.options.quick ? 100_000 : 1_000_000;
    const stores = await bench.stores();
    await stores.clear();
    await bench.run('catamount', 0, { kind: 'fill', count });
    const watch = { kind: 'watch', concurrency: 10, count } as const;
    const { rssMb, jobsPerSecond } = await bench.run<WatchResult>('catamount', 0, watch);
    const warm = rssMb.slice(Math.ceil(rssMb.length * WARM_UP));
    const [least, most] = [Math.min(...warm), Math.max(...warm)];
    const middle = (least + most) / 2;
    const strange = (await stores.client.keys('*')).filter((key) => !KEPT.test(key));
    const rowsLeft = await stores.jobCount();
    bench.say(
      `\n${table(
        [`${count} jobs`, 'value'],
        [
          ['run a second, c=10', short(jobsPerSecond)],
          ['processor RSS MB after a tenth, least–most', `${least.toFixed(0)}–${most.toFixed(0)}`],
          ['deviation from the middle', `±${(((most - middle) / middle) * 100).toFixed(1)} %`],
          ['rows left', String(rowsLeft)],
          ['keys left in Redis', strange.join(', ') || 'none but history and processes'],
        ],
      )}\n`,
    );
    if (strange.length + rowsLeft > 0) throw new Error(`${rowsLeft} jobs are left, and ${strange.join(', ')}`);
    return { count, rssMb, jobsPerSecond };
  },
};
