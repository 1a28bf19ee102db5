import assert from 'node:assert/strict';
import os from 'node:os';
import { catamount, order, statsOf } from './cluster/primary/operator';
import { SIGNED } from './ops/ops-web';
import { OperatorWindow } from './ops/overview/operator-window';
import { useDeployment } from './process/deployment';
import { signUpMany, somebody, subjectFor } from './process/sign-ups';
import { launchBrowser } from './support/browser';
import { Load } from './support/load';
import { inSuite } from './support/suite';
import { until } from './support/until';

/** One thin path of each promise that needs a whole tree, all on one tree. `npm run test:deep` tests each in depth. */
describe('one tree, as on a dyno', () => {
  const deployment = useDeployment();
  const tree = inSuite(undefined, () =>
    deployment.start({ env: { ...SIGNED, WEB_CONCURRENCY: '2', APP_URL: undefined } }),
  );

  const receivers = () => deployment.sink.messages.flatMap((mail) => mail.envelope.to).sort();
  const eachHasOneMail = async () => {
    const users = await deployment.users();
    await deployment.sink.waitFor(users.length);
    const rows = () => deployment.database.query('select id from job_queue');
    await until('every job has ended', async () => (await rows()).length === 0);
    assert.deepEqual(receivers(), users);
  };

  it('is a primary, two web workers and a job processor', async () => {
    await until(
      'the workers and the job processor are running',
      () => tree.processes().jobs !== undefined && tree.processes().web.size === 2,
    );
    assert.equal(tree.processes().primary, tree.pid);
    await until('the tree is ready', async () => (await tree.request('GET', '/ready')).status === 200);
    const { web, jobs = 0 } = tree.processes();
    assert.ok(
      [...web.values()].every((pid) => os.getPriority(pid) < os.getPriority(jobs)),
      'requests come before jobs',
    );
  });

  it('accepts a sign-up, whose welcome mail arrives once, in the language of the user', async () => {
    const users = [somebody(), somebody()];
    for (const user of users) assert.equal((await tree.request('POST', '/users', { json: user })).status, 201);
    assert.equal((await tree.request('POST', '/users', { json: users[0] })).status, 422);
    await eachHasOneMail();
    const received = deployment.sink.messages.map(({ envelope, subject }) => `${envelope.to}: ${subject}`);
    assert.deepEqual(received.sort(), users.map((user) => `${user.email}: ${subjectFor(user)}`).sort());
    // The tree listens on a free port, which its links contain.
    const link = `http://localhost:${new URL(tree.baseUrl).port}`;
    for (const { raw } of deployment.sink.messages) assert.ok(raw.includes(link), `no ${link} in\n${raw}`);
  });

  it('shows its state to an operator, in a browser and in a terminal', async () => {
    const browser = await launchBrowser();
    try {
      const operator = await OperatorWindow.open(browser, tree);
      for (const id of ['worker-0', 'worker-1', 'jobs']) await operator.waitForCard(id, { tone: 'ok', phase: 'ready' });
      assert.deepEqual(operator.troubles, []);
    } finally {
      await browser.close();
    }
    const typed = await catamount(tree.cwd, 'stats');
    assert.equal(typed.code, 0, typed.stderr);
    assert.match(typed.stdout, /Workers: 2 of 2 ready/);
  });

  it('replaces a killed worker', async () => {
    const killed = tree.processes().web.get(0);
    assert.ok(killed);
    process.kill(killed, 'SIGKILL');
    const revived = async () => {
      const { booted_workers, worker_status } = await statsOf(tree);
      return booted_workers === 2 && worker_status.every(({ pid }) => pid !== killed);
    };
    await until('there are two workers again', revived);
    await until('the tree is ready', async () => (await tree.request('GET', '/ready')).status === 200);
  });

  it('sends the mails of a killed job processor by its successor', async () => {
    deployment.sink.hold();
    await signUpMany(tree, 2);
    await until('two mails are being sent', () => deployment.sink.waiting === 2);
    const killed = tree.processes().jobs;
    assert.ok(killed);
    process.kill(killed, 'SIGKILL');
    await tree.waitForLine(new RegExp(`job processor \\(pid ${killed}\\) was killed by SIGKILL`));
    // The server had not replied when the connections broke, so it has not accepted them.
    deployment.sink.discard();
    await eachHasOneMail();
  });

  it('accepts sign-ups and sends their mails while Redis is down', async () => {
    await deployment.redis.stop();
    await signUpMany(tree, 2);
    await eachHasOneMail();
    await deployment.redis.start();
    await until('the tree is ready', async () => (await tree.request('GET', '/ready')).status === 200);
  });

  it('loses no request during a phased restart', async () => {
    const before = (await statsOf(tree)).worker_status.map(({ pid }) => pid);
    const { failures } = await Load.during(new Load(tree.baseUrl, 4, () => '/health'), async (load) => {
      await load.more(20);
      await order(tree, 'phased-restart');
      await load.more(20);
    });
    assert.deepEqual(failures, {});
    const { worker_status, last_phase } = await statsOf(tree);
    assert.equal(last_phase?.completed, true);
    assert.ok(worker_status.every(({ pid }) => !before.includes(pid)));
  });

  it('stops gracefully: work in flight is finished, no process is killed, and nothing is left behind', async () => {
    deployment.sink.hold();
    await signUpMany(tree, 1);
    await until('its mail is being sent', () => deployment.sink.waiting === 1);
    const end = tree.stop();
    await tree.waitForLine(/stopping|SIGTERM/i);
    deployment.sink.release();
    const { code, signal } = await end;
    assert.deepEqual([code, signal], [0, null]);
    await tree.waitForLine(/stopped in .*, 0 killed/);
    await tree.allGone();
    await eachHasOneMail();
  });
});
