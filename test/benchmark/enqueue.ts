import type { Benchmark } from './benchmarks';
import type { EnqueueMode, EnqueueResult } from './contender/task';
import { interleave } from './frame/rounds';
import { median, pairedRatio, type Spread, spread } from './frame/statistics';
import { short, table } from './frame/table';

const IN_REDIS = ['catamount', 'bee-queue', 'bullmq'] as const;
const IN_POSTGRES = ['catamount, outbox', 'graphile-worker'] as const;
const FAR_MS = 2.5;

interface Row {
  readonly mode: EnqueueMode;
  readonly rttMs: number;
  readonly count: number;
}

const ROWS: readonly Row[] = [
  { mode: 'single', rttMs: 0, count: 10_000 },
  { mode: 'concurrent', rttMs: 0, count: 20_000 },
  { mode: 'bulk', rttMs: 0, count: 50_000 },
  { mode: 'single', rttMs: FAR_MS, count: 500 },
  { mode: 'concurrent', rttMs: FAR_MS, count: 5000 },
  { mode: 'bulk', rttMs: FAR_MS, count: 50_000 },
];

/** One after the other, 50 at once, and in batches of a thousand. Into Postgres: a transaction each. */
export const enqueue: Benchmark = {
  about: 'jobs enqueued a second: one by one, 50 at once, in batches of 1000; in Redis and in Postgres',
  peers: true,
  async run(bench) {
    const grounds = await bench.grounds();
    const rows = ROWS.map((row) => ({ ...row, name: `${row.mode}, rtt ${row.rttMs} ms` }));
    const results: Record<string, Record<string, Spread>> = {};
    for (const [title, own] of [
      ['into Redis', IN_REDIS],
      ['into Postgres', IN_POSTGRES],
    ] as const) {
      const contenders = bench.choose(own);
      const [ours, ...theirs] = contenders;
      if (!ours) continue;
      const lines: string[][] = [];
      for (const { name, mode, rttMs, count: full } of rows.filter((row) => bench.wants(row.name))) {
        // A transaction costs more than a command.
        const count = Math.ceil(full / (bench.options.quick ? 2 : 1) / (own === IN_POSTGRES && rttMs === 0 ? 4 : 1));
        const runs = await interleave(contenders, bench.rounds, async (contender) => {
          await grounds.clear();
          if (contender === 'graphile-worker') await bench.run(contender, 0, { kind: 'fill', count: 0 });
          return bench.run<EnqueueResult>(contender, rttMs, { kind: 'enqueue', mode, count });
        });
        const speeds = Object.fromEntries(
          contenders.map((one) => [one, spread(runs[one].map((run) => run.jobsPerSecond))]),
        );
        results[`${title}, ${name}`] = speeds;
        lines.push([
          name,
          ...contenders.map((one) => {
            const { median: middle = 0, min = 0, max = 0 } = speeds[one] ?? {};
            return `${short(middle)} (${short(min)}–${short(max)}) ${short(median(runs[one].map((run) => run.cpuUs)))}`;
          }),
          ...theirs.map((one) => pairedRatio(speeds[ours]?.samples ?? [], speeds[one]?.samples ?? []).toFixed(2)),
        ]);
      }
      const head = [`${title}: jobs/s, CPU µs`, ...contenders, ...theirs.map((one) => `÷ ${one}`)];
      bench.say(`\n${table(head, lines)}`);
    }
    return results;
  },
};
