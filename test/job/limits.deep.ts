import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { until } from '../support/until';
import { JobSystem } from './job-system';
import { createTimeline, FreeJob, LimitedJob, mostAtOnce, noteDeath, timelineOf } from './limited-job';
import { startLimitedProcessor } from './limited-processor';

describe('a class with a limit', () => {
  let system: JobSystem;
  const children = new Map<string, ChildProcess>();
  before(async () => {
    system = await JobSystem.start();
    await createTimeline(system.database.knex);
  });
  after(async () => {
    for (const name of [...children.keys()]) await kill(name);
    await system.stop();
  });

  const startChild = (identity: string, dead = '') => {
    const urls = { database: system.postgres.url, redis: system.redisServer.url };
    children.set(identity, startLimitedProcessor(urls, identity, dead));
  };
  const kill = async (identity: string) => {
    const child = children.get(identity);
    children.delete(identity);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  const nothingLeft = () => until('no job is left', async () => (await system.jobCount()) === 0);

  it('never runs more jobs at once in three processes, of which some are killed while Redis restarts', async () => {
    const { knex } = system.database;
    LimitedJob.knex = knex;
    LimitedJob.processName = 'here';
    const count = 400;
    await system.processor([LimitedJob, FreeJob], { lineage: { identity: 'here', dead: [] } });
    startChild('child-1');
    startChild('child-2');
    for (let n = 0; n < count; n += 20) {
      for (let i = n; i < n + 20; i++) {
        await LimitedJob.set({ queue: i % 3 ? 'default' : 'mailer' }).performLater(i);
        await FreeJob.performLater(i);
      }
    }
    const ended = async () => new Set((await timelineOf(knex)).filter((m) => m.what === 'end').map((m) => m.n)).size;
    const isAt = async (name: string) => (await timelineOf(knex)).some((m) => m.process === name && m.what === 'begin');
    for (const [round, victim] of ['child-1', 'child-2', 'child-3'].entries()) {
      await until(`${victim} works`, async () => (await isAt(victim)) || (await ended()) === count);
      await kill(victim);
      await noteDeath(knex, victim);
      startChild(`child-${round + 3}`, victim);
      if (round !== 1) continue;
      await system.redisServer.kill();
      await system.redisServer.start();
    }
    await until('all jobs have ended', async () => (await ended()) === count);
    await nothingLeft();
    const timeline = await timelineOf(knex);
    assert.equal(mostAtOnce(timeline), 2);
    assert.equal(new Set(timeline.filter((m) => m.what === 'free').map((m) => m.n)).size, count);
  });
});
