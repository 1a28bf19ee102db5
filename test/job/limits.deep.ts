import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { until } from '../support/until';
import { killChild, startChildProcessor } from './child-processor';
import { useJobSystem } from './job-system';
import { connect, createTimeline, FreeJob, LimitedJob, mostAtOnce, noteDeath, timelineOf } from './limited-job';

describe('a class with a limit', () => {
  const children = new Map<string, ChildProcess>();
  after(async () => {
    for (const child of children.values()) await killChild(child);
  });
  const system = useJobSystem();
  before(async () => {
    await createTimeline(system.database.knex);
  });

  const startChild = (identity: string, ...dead: string[]) => {
    const lineage = { identity, dead };
    children.set(identity, startChildProcessor(system.urls, { jobs: require.resolve('./limited-job'), lineage }));
  };
  const nothingLeft = () => until('no job is left', async () => (await system.jobCount()) === 0);

  it('never runs more jobs at once in three processes, of which some are killed while Redis restarts', async () => {
    const { knex } = system.database;
    connect(knex, 'here');
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
      await killChild(children.get(victim) ?? assert.fail());
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
