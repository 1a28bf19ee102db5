import { MAKES_TABLES } from './contender/contenders';
import type { EnqueueMode, EnqueueResult } from './contender/process';
import type { Benchmark } from './harness/bench';
import { interleave, median, pairedRatio, type Spread, short, shortSpread, spread, table } from './harness/figures';

const CONTENDERS = ['catamount', 'catamount, no Redis', 'graphile-worker', 'pg-boss', 'bee-queue', 'bullmq'] as const;
const FAR_MS = 2.5;

interface Row {
  readonly mode: EnqueueMode;
  readonly rttMs: number;
  readonly count: number;
}

const ROWS: readonly Row[] = [
  { mode: 'single', rttMs: 0, count: 2500 },
  { mode: 'concurrent', rttMs: 0, count: 10_000 },
  { mode: 'bulk', rttMs: 0, count: 50_000 },
  { mode: 'single', rttMs: FAR_MS, count: 500 },
  { mode: 'concurrent', rttMs: FAR_MS, count: 5000 },
  { mode: 'bulk', rttMs: FAR_MS, count: 50_000 },
];

/** Enqueues jobs one by one, 50 at once and in batches of 1000; in Postgres with one transaction each. */
export const enqueue: Benchmark = {
  about: 'jobs enqueued a second: one by one, 50 at once, in batches of 1000',
  peers: true,
  async run(bench) {
    const stores = await bench.stores();
    const rows = ROWS.map((row) => ({ ...row, name: `${row.mode}, rtt ${row.rttMs} ms` }));
    const results: Record<string, Record<string, Spread>> = {};
    const contenders = bench.choose(CONTENDERS);
    const [ours, ...theirs] = contenders;
    if (!ours) return results;
    const lines: string[][] = [];
    for (const { name, mode, rttMs, count: full } of rows.filter((row) => bench.wants(row.name))) {
      const count = Math.ceil(full / (bench.options.quick ? 2 : 1));
      const runs = await interleave(contenders, bench.rounds, async (contender) => {
        await stores.clear();
        if (MAKES_TABLES.has(contender)) await bench.run(contender, 0, { kind: 'fill', count: 0 });
        return bench.run<EnqueueResult>(contender, rttMs, { kind: 'enqueue', mode, count });
      });
      const samples = (one: (typeof contenders)[number]) => runs[one].map((run) => run.jobsPerSecond);
      results[name] = Object.fromEntries(contenders.map((one) => [one, spread(samples(one))]));
      lines.push([
        name,
        ...contenders.map((one) => {
          const cpuUs = median(runs[one].map((run) => run.cpuUs));
          return `${shortSpread(spread(samples(one)))} ${short(cpuUs)}`;
        }),
        ...theirs.map((one) => pairedRatio(samples(ours), samples(one)).toFixed(2)),
      ]);
    }
    const head = ['jobs/s, CPU µs', ...contenders, ...theirs.map((one) => `÷ ${one}`)];
    bench.say(`\n${table(head, lines)}`);
    return results;
  },
};
