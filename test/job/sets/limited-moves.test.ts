import assert from 'node:assert/strict';
import { setTimeout as work } from 'node:timers/promises';
import fc from 'fast-check';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { Jobs } from '../../../lib/job/jobs';
import { InvalidRequestError } from '../../../lib/job/sets/query';
import { runs } from '../../fuzz/campaign';
import { until } from '../../support/until';
import { CommandLine } from '../cli/command-line';
import { useJobSystem } from '../job-system';
import { recordStarts } from '../starts';

const KEYS = ['a', 'b'];
const JOBS_OF_KEY = 20;
const LIMIT = 2;
const RATE = { limit: 100, burst: 2 };

let isHealed = false;
/** Ids of jobs whose runs have succeeded. */
const done: string[] = [];
const running = new Map<string, number>();
let most = 0;

abstract class MoodyJob extends Job<[key: string, n: number]> {
  static override retryIn = () => '30d' as const;

  async perform(_: string, n: number): Promise<void> {
    await work(5);
    if (!isHealed && n % 3 === 1) throw new Error('not yet');
    if (!isHealed && n % 3 === 2) throw new KillJob('not now');
    done.push(this.context.id);
  }
}

class LimitedJob extends MoodyJob {
  static override readonly limit = { count: LIMIT, key: (key: string) => key };

  override async perform(key: string, n: number): Promise<void> {
    running.set(key, (running.get(key) ?? 0) + 1);
    most = Math.max(most, running.get(key) ?? 0);
    await super.perform(key, n).finally(() => running.set(key, (running.get(key) ?? 0) - 1));
  }
}

class RatedJob extends MoodyJob {
  static override readonly rate = { ...RATE, per: '1s', key: (key: string) => key } as const;
}

const CLASSES = [LimitedJob, RatedJob];
const MOVES = ['retry', 'promote', 'kill', 'delete', 'cancel'] as const;
const COMMANDS = [
  'retry --all --set dead --yes',
  'retry --all --set retry --yes',
  'promote --all --limit 10 --yes',
  'kill --all --set scheduled --limit 5 --yes',
  'pause default',
  'resume default',
];
type Move = { readonly move: (typeof MOVES)[number]; readonly nth: number } | { readonly command: string };
const move = fc.oneof<[fc.WeightedArbitrary<Move>, fc.WeightedArbitrary<Move>]>(
  { weight: 4, arbitrary: fc.record({ move: fc.constantFrom(...MOVES), nth: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ command: fc.constantFrom(...COMMANDS) }) },
);

describe('operators who move jobs with limits and rates while these run', () => {
  const system = useJobSystem({
    empty: [done],
    reset: () => {
      isHealed = false;
      running.clear();
      most = 0;
    },
  });

  it('leave no key stuck, exceed no limit, and lose no job', async () => {
    const startsOf = await recordStarts(system.postgres);
    for (const redisOff of [false, true]) await system.processor(CLASSES, { redisOff, jobs: { concurrency: 5 } });
    const commandLine = new CommandLine(system, CLASSES);
    const ids: string[] = [];
    /** Jobs that left without a run, and those that may have. */
    const gone = new Set<string>();
    const asked = new Set<string>();
    const perform = async (given: Move) => {
      if ('command' in given) {
        await commandLine.run(given.command);
        return;
      }
      const id = ids[given.nth % ids.length] ?? '';
      if (given.move === 'cancel') {
        const became = await Job.cancel(id);
        if (became === 'cancelled') gone.add(id);
        if (became === 'requested') asked.add(id);
      } else if ((await Jobs[given.move](id)) && given.move === 'delete') gone.add(id);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 40, maxLength: 40 }), async (moves) => {
        isHealed = false;
        for (const jobClass of CLASSES) {
          const jobs = KEYS.flatMap((key) => Array.from({ length: JOBS_OF_KEY }, (_, n) => [key, n] as const));
          const [now, later] = [jobs.filter(([, n]) => n % 4 > 0), jobs.filter(([, n]) => n % 4 === 0)];
          const enqueued = [
            ...(await jobClass.performAllLater(now)),
            ...(await jobClass.set({ wait: '1h' }).performAllLater(later)),
          ];
          ids.push(...enqueued.map(({ id }) => id));
        }
        for (let n = 0; n < moves.length; n += 4)
          await Promise.all(
            moves.slice(n, n + 4).map((one) =>
              perform(one).catch((error: unknown) => {
                assert.ok(error instanceof InvalidRequestError, `${error}`);
              }),
            ),
          );
        isHealed = true;
        await Jobs.queues.resume('default');
        await until('nothing is left', async () => {
          await Jobs.all('promote', 'scheduled', {});
          for (const set of ['retry', 'dead'] as const) await Jobs.all('retry', set, {});
          return (await system.jobCount()) === 0 && (await Jobs.count('dead')) === 0;
        });
      }),
      runs(5),
    );
    assert.ok(most <= LIMIT, `${most} of a key ran at once`);
    for (const key of KEYS) {
      const at = await startsOf(`RatedJob:${key}`);
      const inSecond = at.map((from) => at.filter((ms) => ms >= from && ms < from + 1000).length);
      assert.ok(Math.max(...inSecond) <= RATE.limit + RATE.burst, `${Math.max(...inSecond)} started in a second`);
    }
    const runsOf = (id: string) => done.filter((other) => other === id).length;
    const wrong = ids.filter((id) => !asked.has(id) && runsOf(id) !== (gone.has(id) ? 0 : 1));
    assert.deepEqual(wrong, []);
  });
});
