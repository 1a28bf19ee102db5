import assert from 'node:assert/strict';
import { order, statsOf } from '../cluster/primary/operator';
import { cookiesOf, SIGNED, signInTo } from '../ops/ops-web';
import { Load } from '../support/load';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { useJobsApp } from './jobs-app';
import { assertOneMailEach, openSignUp, SignUpStream, signUp, signUpMany } from './sign-ups';

/** However slow the machine, no request may be shed. */
const INLINE = { WEB_CONCURRENCY: '0', JOB_PROCESSOR: 'inline', WEB_QUEUE_TIMEOUT: '10m' };
const READY = /job processor \(pid \d+\) is ready/;

/** Each test may leave an incomplete list behind until the check of the start has ended. */
const consistsOf = (tree: Tree, ...wanted: readonly RegExp[]) =>
  until(`it consists of ${wanted.join(' and ')}`, () => {
    const commands = tree.processes().all.map(({ command }) => command);
    return commands.length === wanted.length && wanted.every((each) => commands.some((command) => each.test(command)));
  });

describe('WEB_CONCURRENCY=0 and JOB_PROCESSOR=inline', () => {
  const deployment = useDeployment({ each: true });
  const start = async (env: Readonly<Record<string, string>> = {}) => {
    const tree = await deployment.start({ env: { ...INLINE, ...env } });
    await tree.waitForLine(READY);
    return tree;
  };

  it('one process serves sign-ups on many connections, sends their mails, shows its pages and stops with 0', async () => {
    const tree = await start(SIGNED);
    await consistsOf(tree, /^catamount: primary, web \d\/5, jobs \d\/2$/);
    await signUpMany(tree, 40, 16);
    await assertOneMailEach(deployment);
    const ready = await tree.request('GET', '/ready');
    assert.equal(ready.status, 200);
    const visitor = { Cookie: cookiesOf(await signInTo(tree, SIGNED.OPS_PASSWORD)) };
    for (const page of ['/ops', '/ops/jobs/busy'])
      assert.equal((await tree.request('GET', page, { headers: visitor })).status, 200, page);
    const stats = await statsOf(tree);
    assert.deepEqual(
      [stats.worker_status.map(({ pid }) => pid), stats.job_processor.pid, stats.job_processor.state],
      [[tree.pid], tree.pid, 'ready'],
    );
    const own = stats.memory.pss_mb ?? 0;
    assert.deepEqual([stats.worker_status[0]?.pss_mb, stats.job_processor.pss_mb, own > 0], [null, null, true]);
    assert.deepEqual(Object.keys(stats.totals.cpu_seconds), ['primary']);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });

  it('SIGTERM finishes the request and the mail in flight, and each connection that has arrived', async () => {
    const tree = await start();
    const open = await openSignUp(tree);
    deployment.sink.hold();
    await signUp(tree);
    await until('a mail is being sent', () => deployment.sink.waiting === 1);
    const load = new Load(tree.baseUrl, 4, () => '/health', { whenRefused: 'end' });
    await load.more(20);
    const stopped = tree.stop();
    await tree.waitForLine(/stopping/);
    assert.equal(await open.finish(), 201);
    // The web has nothing left, and the mail is still under way.
    await load.stop();
    deployment.sink.release();
    assert.equal((await stopped).code, 0);
    assert.deepEqual(load.failures, {});
    await start();
    await assertOneMailEach(deployment);
  });

  it('kill -9, again and again, loses nothing that was answered: the next start runs the jobs that were begun, too', async () => {
    const accepted: string[] = [];
    for (let round = 0; round < 3; round++) {
      const tree = await start();
      await signUpMany(tree, 5);
      // Every mail before is recorded, so none of them is sent again.
      await assertOneMailEach(deployment);
      deployment.sink.hold();
      const stream = new SignUpStream(tree, 2);
      await stream.more(5);
      await until('two mails are being sent', () => deployment.sink.waiting === 2);
      await tree.kill9();
      deployment.sink.discard();
      await stream.stop();
      accepted.push(...stream.accepted);
      await tree.allGone();
    }
    await start();
    await assertOneMailEach(deployment);
    const users = new Set(await deployment.users());
    assert.deepEqual(
      accepted.filter((email) => !users.has(email)),
      [],
    );
  });

  it('without Redis, and while Redis is away', async () => {
    const without = await start({ REDIS: 'off', REDIS_URL: '' });
    await signUpMany(without, 5);
    await assertOneMailEach(deployment);
    assert.equal((await without.stop()).code, 0);
    const tree = await start();
    await deployment.redis.stop();
    await signUpMany(tree, 5);
    await assertOneMailEach(deployment);
    await deployment.redis.start();
    await signUpMany(tree, 5);
    await assertOneMailEach(deployment);
    assert.equal((await tree.stop()).code, 0);
  });

  it('refuses what needs a second process, and goes on', async () => {
    const tree = await start();
    for (const [command, ...args] of [['phased-restart'], ['restart'], ['recycle', 0], ['worker-count-up']] as const)
      await assert.rejects(
        order(tree, command, ...args),
        /WEB_CONCURRENCY=0 and JOB_PROCESSOR=inline has none/,
        command,
      );
    assert.match(JSON.stringify(await order(tree, 'stacks')), /it runs in the primary/);
    assert.deepEqual(await order(tree, 'jobs quiet'), { status: 'ok' });
    await until('it is quiet', async () => (await statsOf(tree)).job_processor.state === 'quiet');
    await signUp(tree);
    assert.deepEqual(await order(tree, 'jobs resume'), { status: 'ok' });
    await assertOneMailEach(deployment);
  });
});

describe('an uncaught error in the only process', () => {
  const app = useJobsApp();
  const runs = (kind: string) => app.entries().filter(({ stray }) => stray === kind);

  it('fails the job whose code threw it, and the process goes on', async () => {
    const tree = await app.start(INLINE);
    await tree.request('POST', '/strays?kinds=rejection,timer');
    await until('both have run twice', () => runs('rejection').length + runs('timer').length === 4);
    assert.deepEqual(new Set(app.entries().map(({ pid }) => pid)), new Set([tree.pid]));
    assert.equal((await tree.stop()).code, 0);
  });

  it('that belongs to no job ends the process with 1, and the job is dead after three deliveries', async () => {
    for (let delivery = 1; delivery <= 3; delivery++) {
      const tree = await app.start(INLINE);
      if (delivery === 1) await tree.request('POST', '/strays?kinds=untold');
      assert.equal((await tree.end()).code, 1);
    }
    const tree = await app.start(INLINE);
    await tree.waitForLine(/StrayJob is dead/);
    assert.deepEqual(
      runs('untold').map(({ deliveries }) => deliveries),
      [1, 2, 3],
    );
  });
});

describe('one part in the primary', () => {
  const deployment = useDeployment();

  it('WEB_CONCURRENCY=0: the web is; a job processor that is killed is replaced, and no request fails', async () => {
    const tree = await deployment.start({ env: { WEB_CONCURRENCY: '0' } });
    await tree.waitForLine(READY);
    await consistsOf(tree, /^catamount: primary, web \d\/5$/, /^catamount: jobs/);
    const stream = new SignUpStream(tree);
    await stream.more(10);
    const killed = tree.processes().jobs ?? 0;
    process.kill(killed, 'SIGKILL');
    await tree.waitForLine(new RegExp(`job processor \\(pid (?!${killed}\\b)\\d+\\) is ready`));
    await stream.more(10);
    await stream.stop();
    assert.deepEqual(stream.failures, []);
    await assertOneMailEach(deployment);
    await assert.rejects(order(tree, 'phased-restart'), /WEB_CONCURRENCY=0 has none/);
    assert.equal((await tree.stop()).code, 0);
  });

  it('JOB_PROCESSOR=inline with --only jobs: they are; with workers it is refused', async () => {
    const env = { JOB_PROCESSOR: 'inline' };
    const web = await deployment.start({ args: ['--only', 'web'] });
    await signUpMany(web, 3);
    const jobs = deployment.spawn({ args: ['--only', 'jobs'], env });
    await jobs.waitForLine(READY);
    await consistsOf(jobs, /^catamount: primary, jobs \d\/2$/);
    await assertOneMailEach(deployment);
    assert.equal((await jobs.stop()).code, 0);
    const refused = deployment.spawn({ env });
    assert.equal((await refused.end()).code, 78);
    assert.match(refused.lines.map(({ text }) => text).join('\n'), /JOB_PROCESSOR +is "inline".*WEB_CONCURRENCY=0/);
  });
});
