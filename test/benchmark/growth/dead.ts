import type { ContenderName } from '../contender/contenders';
import type { DrainResult } from '../contender/task';
import type { Bench } from '../frame/bench';
import type { Grounds } from '../frame/grounds';
import { interleave } from '../frame/rounds';
import { type Costs, levelName, levelsOf, tellLevels } from './levels';

const BURIED = 3000;
const PERFORMED = 6000;
const WARM_UP = 1000;
/** The set keeps 10,000: of the highest level it has let go of nine in ten. */
const HIGHEST = 100_000;

/** What it costs to bury one more, and to perform a job that does nothing, when so many have died. */
export async function dead(bench: Bench): Promise<object> {
  if (!bench.wants('died')) return {};
  const amounts = Object.fromEntries(levelsOf(bench, HIGHEST).map((amount) => [levelName(amount), amount]));
  const costs = await interleave(Object.keys(amounts), bench.rounds, async (level) => {
    const grounds = await bench.grounds();
    await grounds.clear();
    await run(bench, grounds, 'catamount, dying', amounts[level] ?? 0, 0);
    // The ids of those that the set has let go of: a processor's first look would sweep them up, at the next one's expense.
    await grounds.client.del('bq:default:finished');
    const buried = await run(bench, grounds, 'catamount, dying', BURIED, WARM_UP);
    const performed = await run(bench, grounds, 'catamount', PERFORMED, WARM_UP);
    return {
      'bury µs': buried.us,
      'bury CPU': buried.cpuUs,
      'Redis CPU': buried.redisUs,
      'perform µs': performed.us,
      'perform CPU': performed.cpuUs,
    } satisfies Costs;
  });
  tellLevels(bench, 'died', costs);
  return { died: costs };
}

async function run(bench: Bench, grounds: Grounds, contender: ContenderName, count: number, warmUp: number) {
  await bench.run(contender, 0, { kind: 'fill', count });
  const before = await grounds.redisSpent();
  const { jobsPerSecond, cpuUs } = await bench.run<DrainResult>(contender, 0, {
    kind: 'drain',
    concurrency: 10,
    count,
    warmUp,
  });
  const after = await grounds.redisSpent();
  return { us: 1e6 / jobsPerSecond, cpuUs, redisUs: (after.cpuUs - before.cpuUs) / count };
}
