import type { DrainResult, EnqueueResult } from '../contender/task';
import type { Bench } from '../frame/bench';
import { interleave } from '../frame/rounds';
import { type Costs, levelName, levelsOf, tellLevels } from './levels';

interface Road {
  readonly title: string;
  readonly contender: 'catamount' | 'catamount, outbox';
  /** How many are enqueued with all the others there. */
  readonly enqueued: number;
  /** As many more are copied ahead into the queue: those that wait are the others. */
  readonly ahead: number;
  /** How many are performed. Those before `warmUp` are not measured: the relay first copies what goes ahead. */
  readonly performed: number;
  readonly warmUp: number;
}

const ROADS: readonly Road[] = [
  { title: 'queued in Redis', contender: 'catamount', enqueued: 5000, ahead: 0, performed: 6000, warmUp: 1000 },
  {
    title: 'queued in the outbox',
    contender: 'catamount, outbox',
    enqueued: 2000,
    ahead: 10_000,
    performed: 9000,
    warmUp: 4000,
  },
];

/** What a job costs while so many others wait behind it. */
export async function queued(bench: Bench): Promise<object> {
  const results: Record<string, Record<string, readonly Costs[]>> = {};
  for (const road of ROADS.filter(({ title }) => bench.wants(title))) {
    const amounts = Object.fromEntries(levelsOf(bench).map((amount) => [levelName(amount), amount]));
    const costs = await interleave(Object.keys(amounts), bench.rounds, (level) =>
      measure(bench, road, amounts[level] ?? 0),
    );
    tellLevels(bench, road.title, costs);
    results[road.title] = costs;
  }
  return results;
}

async function measure(bench: Bench, road: Road, amount: number): Promise<Costs> {
  const { contender, enqueued, ahead, performed, warmUp } = road;
  const grounds = await bench.grounds();
  await grounds.clear();
  // As many as are performed come on top, so that `amount` are still there at the end.
  await bench.run(contender, 0, { kind: 'fill', count: amount + ahead + performed - enqueued });
  await grounds.database.query('vacuum analyze job_outbox');
  const put = await bench.run<EnqueueResult>(contender, 0, { kind: 'enqueue', mode: 'concurrent', count: enqueued });
  const before = await grounds.redisSpent();
  const ran = await bench.run<DrainResult>(contender, 0, {
    kind: 'drain',
    concurrency: 10,
    count: performed,
    warmUp,
    more: true,
  });
  const after = await grounds.redisSpent();
  return {
    'enqueue µs': 1e6 / put.jobsPerSecond,
    'enqueue CPU': put.cpuUs,
    'perform µs': 1e6 / ran.jobsPerSecond,
    'perform CPU': ran.cpuUs,
    'Redis CPU': (after.cpuUs - before.cpuUs) / performed,
  };
}
