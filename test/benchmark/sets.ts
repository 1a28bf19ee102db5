import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { JobSets } from '../../lib/job/set/job-sets';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import type { Benchmark } from './benchmarks';
import type { Grounds } from './frame/grounds';
import { interleave } from './frame/rounds';
import { median, spread } from './frame/statistics';
import { short, table } from './frame/table';
import { DEAD, fillDeadSets, QUEUES } from './sets/dead-jobs';
import { QUESTIONS } from './sets/questions';

const PER_PAGE = 50;
const GOAL_MS = 300;

interface Answer {
  readonly ms: number;
  readonly redisCpuMs: number;
  /** Script calls, and the mean of how long Redis served nobody else. */
  readonly calls: number;
  readonly callMs: number;
  readonly total: number;
}

/** An operator looks through full dead sets: a page and how many there are, from the call to the entries. */
export const sets: Benchmark = {
  about: `a page of ${DEAD} dead jobs, listed and filtered: ms of the call, and of Redis's CPU`,
  peers: false,
  async run(bench) {
    const grounds = await bench.grounds();
    await grounds.clear();
    const { dead, fill, end } = await connect(grounds);
    try {
      await fill();
      // Redis does not know the script yet.
      await answer(grounds, dead, 'list');
      const asked = Object.keys(QUESTIONS).filter((name) => bench.wants(name));
      const results = await interleave(asked, bench.rounds, (name) => answer(grounds, dead, name));
      bench.say(
        `\n${table(
          [`${DEAD} dead jobs`, 'found', 'ms', 'least–most', 'Redis CPU ms', 'calls', 'ms a call', `≤ ${GOAL_MS} ms`],
          asked.map((name) => lineOf(name, results[name] ?? [])),
        )}`,
      );
      return results;
    } finally {
      await end();
    }
  },
};

function lineOf(name: string, answers: readonly Answer[]): string[] {
  const of = (figure: keyof Answer) => answers.map((one) => one[figure]);
  const { median: ms, min, max } = spread(of('ms'));
  const figures = [short(ms), `${short(min)}–${short(max)}`, short(median(of('redisCpuMs')))];
  const calls = [String(median(of('calls'))), short(median(of('callMs')))];
  return [name, String(answers[0]?.total), ...figures, ...calls, ms <= GOAL_MS ? '✓' : '✗'];
}

async function answer(grounds: Grounds, dead: JobSets['dead'], name: string): Promise<Answer> {
  await grounds.client.configResetStat();
  const before = await grounds.redisSpent();
  const begun = performance.now();
  const { total = Number.NaN } = await dead.page({ ...QUESTIONS[name], limit: PER_PAGE });
  const ms = performance.now() - begun;
  const after = await grounds.redisSpent();
  const stats = await grounds.client.info('commandstats');
  const [, calls, us] = (/^cmdstat_evalsha:calls=(\d+),usec=(\d+)/m.exec(stats) ?? []).map(Number);
  const callMs = (us ?? 0) / (calls ?? Number.NaN) / 1000;
  return { ms, redisCpuMs: (after.cpuUs - before.cpuUs) / 1000, calls: calls ?? 0, callMs, total };
}

/** As an operator's process reads them. */
async function connect(grounds: Grounds) {
  const { redisUrl, databaseUrl } = await grounds.stores(0);
  const events = new Events();
  const database = new Database(databaseUrl, { production: false, events, poolMax: 1 });
  const redis = new Redis(redisUrl, events);
  const ready = events.next('redis.ready');
  await redis.start();
  await ready;
  const { dead } = new JobSets({
    redis: redis.client,
    knex: database.knex,
    events,
    queues: [...QUEUES],
    via: 'benchmark',
  });
  const end = async () => {
    await redis.stop(Deadline.after(1000));
    await database.stop(Deadline.after(1000));
  };
  return { dead, fill: () => fillDeadSets(redis.client), end };
}
