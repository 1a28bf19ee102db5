import type { ContenderName } from './contender/contenders';
import type { DrainResult, EnqueueResult } from './contender/process';
import type { Bench, Benchmark } from './harness/bench';
import { type Goal, interleave, judged, median, pairedRatio, short, table } from './harness/figures';

/** The costs at one level in one round, by figure. */
type Costs = Readonly<Record<string, number>>;
/** Amounts by the name of their level, such as `10^3` for 1000. */
type Levels = ReadonlyMap<string, number>;

/** A cost up to this ratio to the first level's counts as flat, since a busy machine is no steadier. */
const FLAT: Goal = { atMost: 1.25 };
/** What jobs of other classes may cost that a limit holds. */
const NOTHING: Goal = { atMost: 1.03 };

/** Measures costs at growing levels. The levels take turns, so that other load on the machine affects all equally. */
export const growth: Benchmark = {
  about: 'cost of a job with 10^3 to 10^6 queued, 10^3 to 10^5 dead (--quick: to 10^5), and 10^5 held by a limit',
  peers: true,
  async run(bench) {
    return { ...(await queued(bench)), ...(await held(bench)), ...(await dead(bench)) };
  },
};

function levelsOf(bench: Bench, highest = 6): Levels {
  const exponents = [3, 4, 5, 6].filter((exponent) => exponent <= (bench.options.quick ? 5 : highest));
  return new Map(exponents.map((exponent) => [`10^${exponent}`, 10 ** exponent]));
}

/** Prints one line per level: the median of each figure and its ratio to the first level's in the same round. */
function sayLevels(
  bench: Bench,
  title: string,
  costs: Readonly<Record<string, readonly Costs[]>>,
  goal: Goal = FLAT,
): void {
  const levels = Object.keys(costs);
  const [first = ''] = levels;
  const figures = Object.keys(costs[first]?.[0] ?? {});
  const of = (level: string, figure: string) => (costs[level] ?? []).map((round) => round[figure] ?? Number.NaN);
  const lines = levels.map((level) => [
    level,
    ...figures.flatMap((figure) => {
      const ratio = pairedRatio(of(level, figure), of(first, figure));
      return [short(median(of(level, figure))), level === first ? '' : judged(ratio, goal)];
    }),
  ]);
  bench.say(`\n${table([title, ...figures.flatMap((figure) => [figure, `÷ ${first}`])], lines)}`);
}

const PERFORMED = 6000;
const WARM_UP = 1000;

/** Runs `count` jobs that are already enqueued. */
async function drain(bench: Bench, contender: ContenderName, count: number, warmUp: number, more: boolean) {
  const stores = await bench.stores();
  const before = await stores.redisCpuUs();
  const task = { kind: 'drain', concurrency: 10, count, warmUp, more } as const;
  const { jobsPerSecond, cpuUs } = await bench.run<DrainResult>(contender, 0, task);
  return { us: 1e6 / jobsPerSecond, cpuUs, redisUs: ((await stores.redisCpuUs()) - before) / count };
}

/** Number of jobs enqueued on top of the level's. */
const ENQUEUED = 2000;

/** The cost of a job while many others wait behind it. */
async function queued(bench: Bench): Promise<object> {
  if (!bench.wants('queued')) return {};
  const levels = levelsOf(bench);
  const costs = await interleave([...levels.keys()], bench.rounds, (level) =>
    costOfQueued(bench, levels.get(level) ?? 0),
  );
  sayLevels(bench, 'queued', costs);
  return { queued: costs };
}

async function costOfQueued(bench: Bench, amount: number): Promise<Costs> {
  await (await bench.stores()).clear();
  // Jobs that are performed come on top, so that `amount` still wait at the end.
  await bench.run('catamount', 0, { kind: 'fill', count: amount + PERFORMED - ENQUEUED });
  return costOfPlain(bench, PERFORMED, WARM_UP);
}

/** The cost of enqueueing more jobs, and of performing those that wait. */
async function costOfPlain(bench: Bench, count: number, warmUp: number): Promise<Costs> {
  await (await bench.stores()).database.query('vacuum analyze job_queue');
  const task = { kind: 'enqueue', mode: 'concurrent', count: ENQUEUED } as const;
  const put = await bench.run<EnqueueResult>('catamount', 0, task);
  const ran = await drain(bench, 'catamount', count, warmUp, true);
  return {
    'enqueue µs': 1e6 / put.jobsPerSecond,
    'enqueue CPU': put.cpuUs,
    'perform µs': ran.us,
    'perform CPU': ran.cpuUs,
    'Redis CPU': ran.redisUs,
  };
}

/** The more there are, the surer is a ratio of a few hundredths. */
const BESIDE_HELD = 20_000;
const HELD: Levels = new Map([
  ['none', 0],
  ['10^5', 100_000],
]);

/** The cost of a plain job beside jobs that the limit of their class holds, since one of them runs all the time. */
async function held(bench: Bench): Promise<object> {
  if (!bench.wants('held')) return {};
  const costs = await interleave([...HELD.keys()], bench.rounds, async (level) => {
    await (await bench.stores()).clear();
    await bench.run('catamount, holding', 0, { kind: 'fill', count: 1 + (HELD.get(level) ?? 0) });
    await bench.run('catamount', 0, { kind: 'fill', count: BESIDE_HELD });
    return costOfPlain(bench, BESIDE_HELD, WARM_UP);
  });
  sayLevels(bench, 'held', costs, NOTHING);
  return { held: costs };
}

const DIED = 3000;
/** Highest level, 10^5. The dead set keeps 10,000, so nine in ten of these were deleted. */
const MOST_DEAD = 5;

/** The cost of one more death, and of performing a no-op job, when many jobs have died. */
async function dead(bench: Bench): Promise<object> {
  if (!bench.wants('died')) return {};
  const levels = levelsOf(bench, MOST_DEAD);
  const run = async (contender: ContenderName, count: number, warmUp: number) => {
    await bench.run(contender, 0, { kind: 'fill', count });
    return drain(bench, contender, count, warmUp, false);
  };
  const costs = await interleave([...levels.keys()], bench.rounds, async (level) => {
    const stores = await bench.stores();
    await stores.clear();
    await run('catamount, dying', levels.get(level) ?? 0, 0);
    const died = await run('catamount, dying', DIED, WARM_UP);
    const performed = await run('catamount', PERFORMED, WARM_UP);
    return {
      'die µs': died.us,
      'die CPU': died.cpuUs,
      'Redis CPU': died.redisUs,
      'perform µs': performed.us,
      'perform CPU': performed.cpuUs,
    } satisfies Costs;
  });
  sayLevels(bench, 'died', costs);
  return { died: costs };
}
