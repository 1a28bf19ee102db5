import assert from 'node:assert/strict';
import { setTimeout as work } from 'node:timers/promises';
import { Job } from '../../lib/job/job';
import { sized } from '../support/long-form';
import { until } from '../support/until';
import { useJobSystem } from './job-system';
import { setSources, setsOf } from './sets/set-sources';

const WAITING = sized(100_000, 1_000_000);
/** How often another key has a single job. */
const SINGLES = sized(5, 50);
/** Jobs of the large key that may run before a single one, and how long that may wait, ms. */
const FEW = 25;
const PROMISED_MS = sized(Number.POSITIVE_INFINITY, 1000);

/** The keys whose jobs have run, in order, and when the last one of another key than the large one began, ms. */
const ran: string[] = [];
let singleAt = 0;

abstract class KeyedJob extends Job<[key: string]> {
  async perform(key: string): Promise<void> {
    if (key !== 'large') singleAt = performance.now();
    await work(5);
    ran.push(key);
  }
}

class LimitedJob extends KeyedJob {
  static override readonly limit = { count: 1, key: (key: string) => key };
}

class RatedJob extends KeyedJob {
  static override readonly rate = { limit: 100, per: '1s', burst: 5, key: (key: string) => key } as const;
}

describe(`${WAITING} jobs of one key delay a single job of another by few of theirs`, () => {
  const system = useJobSystem({ empty: [ran] });

  const row = (name: string) => `'default' as queue, '${name}' as class, '${name}:large' as limit_key,
    json_build_object('v', 1, 'class', '${name}', 'args', json_build_array('large')) as payload`;
  const insert = (name: string, state: string, runAt = 'clock_timestamp()') =>
    system.postgres.query(
      `insert into job_queue (queue, class, limit_key, payload, state, run_at)
       select given.*, '${state}', ${runAt} + n * interval '1 microsecond' from generate_series(1, ${WAITING}) as n, (select ${row(name)}) as given`,
    );
  /** How so many come to wait. */
  const ways = {
    'that were enqueued': (name: string) => insert(name, 'held'),
    'that become due at once': (name: string) => insert(name, 'scheduled'),
    'that an operator promotes': async (name: string) => {
      await insert(name, 'scheduled', `clock_timestamp() + interval '1 day'`);
      await setsOf(setSources(system)).scheduled.move('promote', { filter: {} });
    },
    'that an operator retries': async (name: string) => {
      await system.postgres.query(
        `insert into job_dead (queue, class, limit_key, payload, id, error, attempts, tags, messages, search)
         select given.*, gen_random_uuid(), 'Error', 1, '{}', '', '' from generate_series(1, ${WAITING}), (select ${row(name)}) as given`,
      );
      await setsOf(setSources(system)).dead.move('retry', { filter: {} });
    },
  };

  for (const [jobClass, way, redisOff] of [
    [LimitedJob, 'that were enqueued', false],
    [LimitedJob, 'that become due at once', false],
    [LimitedJob, 'that an operator promotes', false],
    [LimitedJob, 'that an operator retries', true],
    [RatedJob, 'that were enqueued', false],
    [RatedJob, 'that were enqueued', true],
    [RatedJob, 'that become due at once', false],
  ] as const)
    it(`${jobClass.name}, ${way}, ${redisOff ? 'without' : 'with'} Redis`, async function () {
      await ways[way](jobClass.name);
      await system.processor([LimitedJob, RatedJob], { jobs: { concurrency: 1 }, redisOff });
      await until('the large key runs', () => ran.length > 10);
      const waits: { readonly jobs: number; readonly ms: number }[] = [];
      for (let n = 0; n < SINGLES; n++) {
        const [before, since] = [ran.length, performance.now()];
        await jobClass.performLater(`single ${n}`);
        await until('the single job has run', () => ran.includes(`single ${n}`));
        waits.push({ jobs: ran.indexOf(`single ${n}`) - before, ms: Math.round(singleAt - since) });
        await until('the large key runs on', () => ran.at(-1) === 'large');
      }
      const [jobs, ms] = [Math.max(...waits.map((wait) => wait.jobs)), Math.max(...waits.map((wait) => wait.ms))];
      this.runnable().title += `: by at most ${jobs}, ${ms} ms`;
      assert.ok(jobs <= FEW && ms <= PROMISED_MS, `it waited for ${jobs} jobs of the other, for ${ms} ms`);
    });
});
