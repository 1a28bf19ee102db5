import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import v8 from 'node:v8';
import vm from 'node:vm';
import { Batch } from '../../lib/job/batch';
import { sized } from '../support/long-form';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { BatchPartJob, BatchToldJob, OnceOnlyJob } from './child-jobs';
import { killChild, startChildProcessor } from './child-processor';
import { useJobSystem } from './job-system';

const MANY = sized(50_000, 1_000_000);
const JOBS = 10_000;
const NESTED = 20;
const OF_NESTED = 50;
const KILLS = 3;

const callbacks = (name: string) => ({
  onSuccess: BatchToldJob.prepare(`${name} success`),
  onComplete: BatchToldJob.prepare(`${name} complete`),
  onDeath: BatchToldJob.prepare(`${name} death`),
});

describe('a large batch', () => {
  const children: ChildProcess[] = [];
  const system = useJobSystem();
  afterEach(() => Promise.all(children.splice(0).map(killChild)));

  const count = async (sql: string) =>
    (await system.postgres.query<{ n: number }>(`select count(*)::int as n ${sql}`))[0]?.n ?? -1;
  const told = async () =>
    (await system.postgres.query<{ what: string }>('select what from told order by what')).map(({ what }) => what);

  /** However long all of them take: each wait is for some of them. */
  const noneIsLeft = async () => {
    for (let left = await system.jobCount(); left > 0; )
      left = (
        await until('fewer jobs are left', async () => {
          const now = await system.jobCount();
          return now < left && { now };
        })
      ).now;
  };

  it('calls each callback once and counts right, while processors are killed and Redis is emptied', async () => {
    await system.postgres.query(
      'create table effects (what text); create table told (what text); create table cured (n int)',
    );
    const start = (identity: string, dead: readonly string[]) =>
      children.push(startChildProcessor(system.urls, { lineage: { identity, dead }, concurrency: 10 }));
    const names: string[] = [];
    const batch = await Batch.create(callbacks('outer'), async (outer) => {
      for (let n = 1; n <= JOBS; n++) await outer.add(BatchPartJob.prepare(n));
      for (let b = 0; b < NESTED; b++) {
        names.push(`inner ${b}`);
        await Batch.create({ ...callbacks(`inner ${b}`), parent: outer }, async (inner) => {
          for (let n = 1; n <= OF_NESTED; n++) await inner.add(BatchPartJob.prepare(JOBS + b * OF_NESTED + n));
        });
      }
    });
    let kill = 0;
    for (; kill < KILLS; kill++) {
      start(`killed ${kill}`, kill === 0 ? [] : [`killed ${kill - 1}`]);
      const before = await count('from effects');
      await until('it has run some', async () => (await count('from effects')) > before + 1500);
      await Promise.all(children.splice(0).map(killChild));
      if (kill === 1) await system.redis.client.flushAll();
    }
    start('last', [`killed ${kill - 1}`]);
    await noneIsLeft();
    await until('the batch is complete', async () => (await batch.status())?.completedAt !== undefined);
    await noneIsLeft();
    // Of the inner ones every second has one.
    const dead = await count('from job_dead');
    assert.equal(dead, (JOBS + NESTED * OF_NESTED) / 100);
    const status = await batch.status();
    assert.equal(status?.state, 'completed');
    assert.equal(status?.dead, JOBS / 100);
    assert.deepEqual([(await told()).filter((what) => what.startsWith('outer'))], [['outer complete', 'outer death']]);
    await system.postgres.query('insert into cured values (1)');
    const open = await system.postgres.query<{ id: string }>('select distinct batch_id as id from job_dead');
    for (const { id } of open) await Batch.of(id).retryDead();
    await until('it has succeeded', async () => (await batch.status())?.state === 'succeeded');
    await noneIsLeft();
    const expected = ['outer', ...names].flatMap((name) => [`${name} complete`, `${name} success`]);
    const deaths = ['outer death', ...names.filter((_, b) => b % 2 === 1).map((name) => `${name} death`)];
    assert.deepEqual(await told(), [...expected, ...deaths].sort());
    const { total, pending, done, dead: left } = (await batch.status()) ?? {};
    const added = JOBS / 50;
    // The callbacks of the inner ones are its jobs. A job that was killed after it had added another has added it twice.
    const inner = NESTED * 2 + NESTED / 2;
    const twice = (total ?? 0) - JOBS - added - inner;
    assert.ok(twice >= 0 && twice <= 10 * KILLS, `${twice}`);
    assert.deepEqual({ pending, left, done }, { pending: 0, left: 0, done: total });
  });

  it(`holds no more of its ${MANY} jobs in memory the more are added`, async function () {
    this.timeout(sized(1, 10) * WAIT_LIMIT_MS);
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const heapMb = () => {
      system.heard.length = 0;
      collect();
      return process.memoryUsage().heapUsed / 1_000_000;
    };
    const heaps: number[] = [];
    const batch = await Batch.create({}, async (open) => {
      for (let n = 1; n <= MANY; n++) {
        await open.add(OnceOnlyJob.prepare(n));
        if (n % (MANY / 5) === 0) heaps.push(heapMb());
      }
    });
    const [first = 0, last = 0] = [heaps[0], heaps.at(-1)];
    // The jobs that are added between them would take 6 MB, and of a million 120.
    assert.ok(last < first + 3, `the heap in MB: ${heaps.map((mb) => mb.toFixed(1)).join(', ')}`);
    assert.equal((await batch.status())?.pending, MANY);
    this.runnable().title += `: ${first.toFixed(1)} MB after ${MANY / 5}, ${last.toFixed(1)} MB after all`;
  });
});
