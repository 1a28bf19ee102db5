import { type ContenderName, MAKES_TABLES } from './contender/contenders';
import type { ReceiveResult } from './contender/process';
import type { Bench, Benchmark } from './harness/bench';
import { interleave, percentile, short, table } from './harness/figures';

const CONTENDERS = ['catamount', 'catamount, no Redis', 'graphile-worker', 'pg-boss', 'bee-queue', 'bullmq'] as const;
const FAR_MS = 2.5;

interface Row {
  readonly name: string;
  readonly rttMs: number;
  readonly count: number;
  readonly laterMs?: number;
}

const ROWS: readonly Row[] = [
  { name: 'idle, rtt 0 ms', rttMs: 0, count: 200 },
  { name: `idle, rtt ${FAR_MS} ms`, rttMs: FAR_MS, count: 200 },
  { name: 'delayed 1–2 s, rtt 0 ms', rttMs: 0, count: 100, laterMs: 1000 },
];

/** Time from the call that enqueues in one process to `perform` in another, idle one. */
export const pickup: Benchmark = {
  about: 'ms from enqueue to perform of an idle worker, and how late delayed jobs are',
  peers: true,
  async run(bench) {
    const results: Record<string, Record<string, readonly number[]>> = {};
    for (const row of ROWS.filter(({ name }) => bench.wants(name))) {
      const contenders = bench.choose(CONTENDERS);
      const late = await interleave(contenders, bench.rounds, (contender) => measure(bench, contender, row));
      const all = Object.fromEntries(contenders.map((name) => [name, late[name].flat()]));
      results[row.name] = all;
      const lines = Object.entries(all).map(([name, values]) => [
        name,
        ...[50, 90, 99, 100].map((p) => short(percentile(values, p))),
        String(values.length),
      ]);
      bench.say(`\n${table([`${row.name}: ms`, 'p50', 'p90', 'p99', 'max', 'jobs'], lines)}`);
    }
    return results;
  },
};

async function measure(bench: Bench, contender: ContenderName, row: Row): Promise<ReceiveResult> {
  const { rttMs, laterMs } = row;
  const count = bench.options.quick ? Math.ceil(row.count / 2) : row.count;
  await (await bench.stores()).clear();
  if (MAKES_TABLES.has(contender)) await bench.run(contender, 0, { kind: 'fill', count: 0 });
  const receiver = await bench.fork(contender, rttMs, { kind: 'receive', concurrency: 2, count });
  try {
    await receiver.next<'working'>();
    await bench.run(contender, rttMs, { kind: 'send', count, ...(laterMs !== undefined && { laterMs }) });
    return await receiver.next<ReceiveResult>();
  } finally {
    await receiver.ended();
  }
}
