import type { Benchmark } from './benchmarks';
import type { ContenderName } from './contender/contenders';
import type { DrainResult } from './contender/task';
import type { Bench } from './frame/bench';
import { interleave } from './frame/rounds';
import { median, pairedRatio, type Spread, spread } from './frame/statistics';
import { short, table } from './frame/table';

interface Cell {
  readonly rttMs: number;
  readonly concurrency: number;
  readonly count: number;
}

interface CellResult extends Cell {
  readonly jobsPerSecond: Readonly<Record<string, Spread>>;
  readonly cpuUs: Readonly<Record<string, number>>;
  /** Redis's. */
  readonly redisUs: Readonly<Record<string, number>>;
  readonly rssMb: Readonly<Record<string, number>>;
}

const FAR_MS = 2.5;
const STRAIGHT = ['catamount', 'bee-queue', 'bullmq'] as const;
const BY_OUTBOX = ['catamount, outbox', 'graphile-worker'] as const;

/** A second or two for the slowest, after as much that is not measured: a processor runs for weeks, so its code is hot. */
export const CELLS: readonly Cell[] = [
  { rttMs: 0, concurrency: 1, count: 60_000 },
  { rttMs: 0, concurrency: 2, count: 60_000 },
  { rttMs: 0, concurrency: 10, count: 80_000 },
  { rttMs: 0, concurrency: 50, count: 80_000 },
  { rttMs: FAR_MS, concurrency: 1, count: 800 },
  { rttMs: FAR_MS, concurrency: 2, count: 1600 },
  { rttMs: FAR_MS, concurrency: 10, count: 8000 },
  { rttMs: FAR_MS, concurrency: 50, count: 40_000 },
];

/** Jobs that do nothing, waiting in their queues, through the whole job layer. */
export const jobs: Benchmark = {
  about: 'no-op jobs a second, by concurrency and round trip, against bee-queue and BullMQ; by the outbox, too',
  peers: true,
  async run(bench) {
    const cells = CELLS.filter((cell) => bench.wants(nameOf(cell)));
    bench.say(`jobs a second: median of ${bench.rounds} interleaved rounds (lowest–highest)\n`);
    const straight = await section(bench, 'straight in Redis', cells, STRAIGHT);
    const byOutbox = await section(bench, 'from Postgres', cells, BY_OUTBOX);
    return { straight, byOutbox };
  },
};

export async function section(bench: Bench, title: string, cells: readonly Cell[], own: readonly ContenderName[]) {
  const contenders = bench.choose(own);
  const [ours, ...theirs] = contenders;
  if (!ours) return [];
  const results: CellResult[] = [];
  for (const cell of cells) results.push(await measure(bench, cell, contenders));
  const speeds = results.map((cell) => [
    nameOf(cell),
    ...contenders.map((name) => shortSpread(cell.jobsPerSecond[name])),
    ...theirs.map((name) => ratio(cell, ours, name)),
  ]);
  bench.say(`\n${table([title, ...contenders, ...theirs.map((name) => `÷ ${name}`)], speeds)}\n`);
  const costs = results.map((cell) => [
    nameOf(cell),
    ...contenders.map(
      (name) => `${short(cell.cpuUs[name] ?? 0)} ${short(cell.redisUs[name] ?? 0)} ${short(cell.rssMb[name] ?? 0)}`,
    ),
  ]);
  bench.say(`${table(['CPU µs a job, of Redis, MB', ...contenders], costs)}\n`);
  return results;
}

async function measure(bench: Bench, cell: Cell, contenders: readonly ContenderName[]): Promise<CellResult> {
  const { rttMs, concurrency } = cell;
  const count = Math.ceil(cell.count / (bench.options.quick ? 2 : 1));
  const grounds = await bench.grounds();
  const drains = await interleave(contenders, bench.rounds, async (contender) => {
    await grounds.clear();
    await bench.run(contender, 0, { kind: 'fill', count });
    const before = await grounds.redisSpent();
    const warmUp = Math.ceil(count / 3);
    const result = await bench.run<DrainResult>(contender, rttMs, { kind: 'drain', concurrency, count, warmUp });
    const { cpuUs } = await grounds.redisSpent();
    return { ...result, redisUs: (cpuUs - before.cpuUs) / count };
  });
  const each = <T>(of: (results: readonly DrainResult[]) => T): Record<string, T> =>
    Object.fromEntries(contenders.map((name) => [name, of(drains[name])]));
  const result: CellResult = {
    ...cell,
    count,
    jobsPerSecond: each((results) => spread(results.map((one) => one.jobsPerSecond))),
    cpuUs: each((results) => median(results.map((one) => one.cpuUs))),
    redisUs: each((results) => median(results.map((one) => one.redisUs ?? Number.NaN))),
    rssMb: each((results) => median(results.map((one) => one.rssMb))),
  };
  bench.say(
    `${nameOf(cell)}: ${contenders.map((name) => `${name} ${shortSpread(result.jobsPerSecond[name])}`).join(', ')}`,
  );
  return result;
}

export function nameOf({ rttMs, concurrency }: Cell): string {
  return `rtt ${rttMs} ms, c=${concurrency}`;
}

function shortSpread(value: Spread | undefined): string {
  return value ? `${short(value.median)} (${short(value.min)}–${short(value.max)})` : '–';
}

function ratio(cell: CellResult, ours: ContenderName, theirs: ContenderName): string {
  return pairedRatio(cell.jobsPerSecond[ours]?.samples ?? [], cell.jobsPerSecond[theirs]?.samples ?? []).toFixed(2);
}
