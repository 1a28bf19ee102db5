import assert from 'node:assert/strict';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe("the app's own beforeFork", () => {
  const app = useSupervisorApp();
  const heard = () => app.notes('hooks').map(({ hook }) => hook);

  const forks = () => heard().filter((hook) => hook === 'beforeFork').length;

  it('is awaited once, before anything is forked, and a stop does not wait for it', async () => {
    const mend = app.switchOn('before-fork');
    const stopped = app.spawn({ WEB_CONCURRENCY: '1' });
    await until('it has begun', () => forks() === 1);
    assert.equal((await stopped.stop()).code, 0);
    const started = app.start({ WEB_CONCURRENCY: '1' });
    await until('it has begun again', () => forks() === 2);
    mend();
    const tree = await started;
    await until('the job processor has booted', () => heard().filter((hook) => hook === 'ownBoot').length === 2);
    await order(tree, 'phased-restart');
    await tree.stop();
    assert.deepEqual(
      heard()
        .filter((hook) => /^(beforeFork|forkMayBegin|workerBoot|ownBoot)$/.test(String(hook)))
        .slice(0, 4),
      ['beforeFork', 'beforeFork', 'forkMayBegin', 'workerBoot'],
    );
    assert.equal(forks(), 2);
    assert.equal(app.notes('hooks')[0]?.environment, 'production');
  });

  it('ends the start with an error that names it', async () => {
    const mend = app.switchOn('no-fork');
    const tree = app.spawn({ WEB_CONCURRENCY: '1' });
    await tree.waitForLine(/cannot start: beforeFork of defineApp failed: no secrets/);
    assert.equal((await tree.exited).code, 1);
    mend();
  });
});

describe("the app's own beforeRestart", () => {
  const app = useSupervisorApp();
  const heard = () =>
    app.notes('hooks').filter(({ hook }) => /^(beforeRestart|restartMayBegin|workerBoot)$/.test(`${hook}`));

  it('is awaited before a restart of either kind replaces anything, and ends it by an error', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    const { pid, worker_status: first } = await statsOf(tree);
    const refuse = app.switchOn('no-restart');
    const refusal = /nothing is replaced: beforeRestart of defineApp failed: no window/;
    for (const command of ['phased-restart', 'restart']) await assert.rejects(order(tree, command), refusal);
    const kept = await statsOf(tree);
    assert.deepEqual([kept.pid, kept.phase, kept.worker_status[0]?.pid], [pid, 0, first[0]?.pid]);
    assert.match(kept.last_phase?.reason ?? '', refusal);
    refuse();
    const before = heard().length;
    for (const command of ['phased-restart', 'restart']) {
      const goOn = app.switchOn('before-restart');
      const count = heard().length;
      const restarted = order(tree, command);
      await until('it has begun', () => heard().length > count);
      goOn();
      await restarted;
    }
    assert.deepEqual(
      heard()
        .slice(before)
        .map(({ hook, command }) => [hook, command].flat()),
      [
        ['beforeRestart', 'phased-restart'],
        ['restartMayBegin', undefined],
        ['workerBoot', undefined],
        ['beforeRestart', 'restart'],
        ['restartMayBegin', undefined],
        ['workerBoot', undefined],
      ],
    );
    assert.notEqual((await statsOf(tree)).pid, pid);
    assert.equal((await tree.stop()).code, 0);
  });
});

describe("the app's own workerBoot and workerStop", () => {
  const app = useSupervisorApp();

  it('log an error in workers and in the job processor', async () => {
    const mend = app.switchOn('own-boot');
    for (const only of ['web', 'jobs']) {
      const tree = app.spawn({ WEB_CONCURRENCY: '1' }, { args: ['--only', only] });
      await tree.waitForLine(new RegExp(`the pool of ${only} is broken`));
      await tree.stop();
    }
    mend();
  });

  it('know the slot of their worker, which its successor has again', async () => {
    const boots = () => app.notes('hooks').filter(({ hook }) => hook === 'ownBoot');
    const before = boots().length;
    const slots = () =>
      boots()
        .slice(before)
        .map(({ role, slot }) => `${role} ${slot}`)
        .sort();
    const tree = await app.start({ WEB_CONCURRENCY: '2' });
    await until('all have booted', () => slots().length === 3);
    assert.deepEqual(slots(), ['jobs null', 'web 0', 'web 1']);
    await order(tree, 'recycle', 1);
    await until('the successor has booted', () => slots().length === 4);
    assert.deepEqual(slots(), ['jobs null', 'web 0', 'web 1', 'web 1']);
    assert.equal((await tree.stop()).code, 0);
  });

  it('may enqueue a job at the end', async () => {
    const mend = app.switchOn('last-job');
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    assert.equal((await tree.stop()).code, 0);
    const jobs = await app.database.query(`delete from job_queue returning payload #>> '{args,0}' as role`);
    assert.deepEqual(jobs.map(({ role }) => role).sort(), ['jobs', 'web']);
    mend();
  });

  it('hold up no stop when they hang, which the log names', async () => {
    const mend = app.switchOn('own-stop');
    const tree = await app.start({ WEB_CONCURRENCY: '1', SHUTDOWN_TIMEOUT: '3s' });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    assert.equal((await tree.stop()).code, 1);
    await tree.waitForLine(/stopped in/);
    const named = tree.linesMatching(/workerStop of defineApp did not end in time/).map(({ json }) => json.process);
    assert.deepEqual(named.sort(), ['jobs', 'web.0']);
    mend();
  });
});
