import type { ContenderName } from './contender/contenders';
import type { DrainResult } from './contender/process';
import type { Bench, Benchmark } from './harness/bench';
import { interleave, median, pairedRatio, type Spread, short, shortSpread, spread, table } from './harness/figures';

interface Cell {
  readonly rttMs: number;
  readonly concurrency: number;
  readonly count: number;
}

/** The figures of a cell by contender. */
interface CellResult extends Cell {
  readonly jobsPerSecond: Readonly<Record<string, Spread>>;
  readonly cpuUs: Readonly<Record<string, number>>;
  readonly redisUs: Readonly<Record<string, number>>;
  readonly rssMb: Readonly<Record<string, number>>;
}

const FAR_MS = 2.5;
const CONTENDERS = ['catamount', 'catamount, no Redis', 'graphile-worker', 'bee-queue', 'bullmq'] as const;

/**
 * The slowest contender takes a second or two, after a warm-up of about half as many jobs that is not measured, since a
 * processor runs for weeks and its code is hot.
 */
const CELLS: readonly Cell[] = [
  { rttMs: 0, concurrency: 1, count: 6000 },
  { rttMs: 0, concurrency: 2, count: 9000 },
  { rttMs: 0, concurrency: 10, count: 15_000 },
  { rttMs: 0, concurrency: 50, count: 30_000 },
  { rttMs: FAR_MS, concurrency: 1, count: 600 },
  { rttMs: FAR_MS, concurrency: 2, count: 1200 },
  { rttMs: FAR_MS, concurrency: 10, count: 6000 },
  { rttMs: FAR_MS, concurrency: 50, count: 30_000 },
];

/** Runs no-op jobs that already wait in their queues through the whole job layer. */
export const jobs: Benchmark = {
  about: 'no-op jobs a second, by concurrency and round trip, against Graphile Worker, bee-queue and BullMQ',
  peers: true,
  async run(bench) {
    bench.say(`jobs a second: median of ${bench.rounds} interleaved rounds (lowest–highest)\n`);
    const contenders = bench.choose(CONTENDERS);
    const [ours, ...theirs] = contenders;
    if (!ours) return [];
    const results: CellResult[] = [];
    for (const cell of CELLS) if (bench.wants(nameOf(cell))) results.push(await measure(bench, cell, contenders));
    const speeds = results.map((cell) => {
      const samples = (contender: ContenderName) => cell.jobsPerSecond[contender]?.samples ?? [];
      return [
        nameOf(cell),
        ...contenders.map((name) => speedOf(cell, name)),
        ...theirs.map((name) => pairedRatio(samples(ours), samples(name)).toFixed(2)),
      ];
    });
    bench.say(`\n${table(['jobs a second', ...contenders, ...theirs.map((name) => `÷ ${name}`)], speeds)}\n`);
    const costs = results.map(({ cpuUs, redisUs, rssMb, ...cell }) => [
      nameOf(cell),
      ...contenders.map((name) => [cpuUs, redisUs, rssMb].map((figure) => short(figure[name] ?? 0)).join(' ')),
    ]);
    bench.say(`${table(['CPU µs a job, of Redis, MB', ...contenders], costs)}\n`);
    return results;
  },
};

async function measure(bench: Bench, cell: Cell, contenders: readonly ContenderName[]): Promise<CellResult> {
  const { rttMs, concurrency } = cell;
  const count = Math.ceil(cell.count / (bench.options.quick ? 2 : 1));
  const stores = await bench.stores();
  const runs = await interleave(contenders, bench.rounds, async (contender) => {
    await stores.clear();
    await bench.run(contender, 0, { kind: 'fill', count });
    const before = await stores.redisCpuUs();
    const warmUp = Math.ceil(count / 3);
    const result = await bench.run<DrainResult>(contender, rttMs, { kind: 'drain', concurrency, count, warmUp });
    return { ...result, redisUs: ((await stores.redisCpuUs()) - before) / count };
  });
  const byContender = <T>(figure: keyof (typeof runs)[ContenderName][number], sum: (values: readonly number[]) => T) =>
    Object.fromEntries(contenders.map((name) => [name, sum(runs[name].map((run) => run[figure]))]));
  const result: CellResult = {
    ...cell,
    count,
    jobsPerSecond: byContender('jobsPerSecond', spread),
    cpuUs: byContender('cpuUs', median),
    redisUs: byContender('redisUs', median),
    rssMb: byContender('rssMb', median),
  };
  bench.say(`${nameOf(cell)}: ${contenders.map((name) => `${name} ${speedOf(result, name)}`).join(', ')}`);
  return result;
}

function nameOf({ rttMs, concurrency }: Pick<Cell, 'rttMs' | 'concurrency'>): string {
  return `rtt ${rttMs} ms, c=${concurrency}`;
}

function speedOf({ jobsPerSecond }: CellResult, contender: ContenderName): string {
  const speed = jobsPerSecond[contender];
  return speed ? shortSpread(speed) : '–';
}
