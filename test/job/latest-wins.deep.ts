import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { performAllLater } from '../../lib/job/job';
import { until } from '../support/until';
import { LatestNoteJob, OrderedNoteJob } from './child-jobs';
import { killChild, startChildProcessor } from './child-processor';
import { useJobSystem } from './job-system';

const KEYS = Array.from({ length: 20 }, (_, n) => `key ${n}`);
const ROUNDS = 30;
const KILLS = 6;

describe('jobs that are replaced or wait for their turn, while processors are killed and Redis is emptied', () => {
  const children: ChildProcess[] = [];
  const system = useJobSystem();
  afterEach(() => Promise.all(children.splice(0).map(killChild)));

  it('end with the latest arguments, and in order, each once', async () => {
    await system.postgres.query('create table effects (id serial, what text, n int)');
    const effects = async () => {
      const [row] = await system.postgres.query<{ n: number }>('select count(*)::int as n from effects');
      return row?.n ?? 0;
    };
    let enqueued = 0;
    const enqueue = async () => {
      for (; enqueued < ROUNDS; enqueued++) {
        const n = enqueued;
        await performAllLater(
          KEYS.flatMap((key) => [
            LatestNoteJob.prepare(`latest ${key}`, n),
            OrderedNoteJob.prepare(`ordered ${key}`, n),
          ]),
        );
      }
    };
    const enqueuing = enqueue();
    let lost = 0;
    for (let kill = 0; kill <= KILLS; kill++) {
      const dead = kill === 0 ? [] : [`killed ${kill - 1}`];
      const child = startChildProcessor(system.urls, {
        lineage: { identity: `killed ${kill}`, dead },
        concurrency: 10,
      });
      children.push(child);
      if (kill === KILLS) break;
      const before = await effects();
      await until('it has made some effects', async () => (await effects()) > before + 40);
      await killChild(child);
      const running = `select count(*)::int as n from job_queue where state = 'running'`;
      lost += (await system.postgres.query<{ n: number }>(running))[0]?.n ?? 0;
      if (kill % 4 === 1) await system.redis.client.flushAll();
    }
    await enqueuing;
    assert.ok(lost > 0, 'kills have hit jobs that ran');
    await until('no job is left', async () => (await system.jobCount()) === 0);
    const found = await system.postgres.query<{ what: string; ns: number[] }>(
      'select what, array_agg(n order by id) as ns from effects group by what',
    );
    const of = new Map(found.map(({ what, ns }) => [what, ns]));
    const all = Array.from({ length: ROUNDS }, (_, n) => n);
    for (const key of KEYS) {
      assert.deepEqual(of.get(`ordered ${key}`), all);
      const latest = of.get(`latest ${key}`) ?? [];
      assert.equal(latest.at(-1), ROUNDS - 1);
      assert.deepEqual(
        latest,
        [...new Set(latest)].sort((a, b) => a - b),
        'none runs after a later one, or twice',
      );
    }
    assert.deepEqual(await system.deadIds(), []);
  });
});
