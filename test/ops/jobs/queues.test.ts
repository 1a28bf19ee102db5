import assert from 'node:assert/strict';
import { PROCESS_PREFIX, PROCESSES } from '../../../lib/job/hint/keys';
import { resumeQueue } from '../../../lib/job/row/pauses';
import { store } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import { SIGNED, tokenIn } from '../ops-web';
import { imports } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import PruneSessionsJob from './shop/jobs/prune-sessions';
import WelcomeMailJob from './shop/jobs/welcome-mail';
import { ShopStage } from './shop-stage';
import { OPERATOR, textOf, VIEWER, Visitor } from './visitor';

const QUEUES = '/ops/jobs/queues';
const CRON = '/ops/jobs/cron';

describe('pages of queues, running jobs and recurring jobs', () => {
  let stage: ShopStage;
  let operator: Visitor;
  let viewer: Visitor;
  before(async () => {
    stage = await ShopStage.start({ ...SIGNED, JOB_LATENCY_WARNING: '1' });
    [operator, viewer] = await Promise.all([Visitor.signIn(stage.ops, OPERATOR), Visitor.signIn(stage.ops, VIEWER)]);
  });
  after(() => stage?.stop());
  beforeEach(async () => {
    await stage.reset();
    stage.ops.operated.length = 0;
  });

  const audited = () =>
    stage.ops.operated
      .map(([name, payload]) => ({ name, ...payload, via: undefined }))
      .map((each) => JSON.stringify(each));

  /** Enqueues as many jobs on a paused queue. */
  async function fill(count: number): Promise<void> {
    await stage.pause('default');
    await stage.processor();
    await ImportRowsJob.performAllLater(Array.from({ length: count }, (_, n) => [{ import: n, from: 0 }]));
    await until('they wait', async () => (await stage.waiting('default')) === count);
  }

  it('list the queues in order, with their sizes and their processors', async () => {
    assert.match(await operator.read(QUEUES), /^Queues No job processor runs: jobs wait until one is started\./);
    await fill(3);
    const text = await until('the processor is listed', async () => {
      const page = await operator.read(QUEUES);
      return page.includes('One processor') && page;
    });
    assert.match(text, /One processor, 2 jobs at a time\. Strict order: mailer runs only when default is empty\./);
    assert.match(text, /1\. default paused 3 .* 0 0 0 Resume default 2\. mailer 0 – 0 0 0 Pause mailer/);
    assert.match(await viewer.read(QUEUES), /1\. default paused 3/);
    assert.doesNotMatch((await viewer.get(QUEUES)).body, /<button class="plain"/);
  });

  it('show a queue even if it has the name of a path or a property', async () => {
    for (const queue of ['events', 'clear', 'constructor']) {
      await store(stage.database.knex, 'ready', { queue, class: 'ImportRowsJob', args: [{ import: 1, from: 0 }] });
      assert.match(await operator.read(`${QUEUES}/${queue}`), new RegExp(`^Queues ${queue} 1 job waits\\..*import: 1`));
      assert.match(await operator.read(`${QUEUES}/${queue}/clear`), /^Delete 1 waiting job of/);
    }
  });

  it('pause and resume a queue, and the log says who requested it', async () => {
    await stage.processor();
    assert.match(await operator.act(`${QUEUES}/default/pause`), /default is paused: no more of its jobs start\./);
    await ImportRowsJob.performLater({ import: 1, from: 0 });
    await until('it is waiting', async () => (await stage.waiting('default')) === 1);
    assert.match(
      await operator.read(`${QUEUES}/default`),
      /No job of this queue starts\. Paused .* by an operator \(127\.0\.0\.1\)\./,
    );
    assert.match(await operator.act(`${QUEUES}/default/resume`), /default is resumed\./);
    await until('it is running', () => imports.held === 1);
    assert.deepEqual(audited(), [
      '{"name":"operator.queue","action":"pause","queue":"default","jobs":0}',
      '{"name":"operator.queue","action":"resume","queue":"default","jobs":0}',
    ]);
    const nowhere = await operator.post(`${QUEUES}/nowhere/pause`);
    assert.equal(nowhere.status, 404);
    assert.match(textOf(nowhere.body), /^There is no such queue No queue is named nowhere\..* Nothing was changed\./);
  });

  it('name the jobs that occupy the slots a late queue waits for', async () => {
    await store(stage.database.knex, 'ready', { class: 'ImportRowsJob', args: [{ import: 1, from: 0 }] });
    for (let n = 0; n < 2; n++) {
      const id = await store(stage.database.knex, 'ready', { class: 'ImportRowsJob' });
      await stage.database.knex.raw(
        `update job_queue set state = 'running', claimed_by = 'far', claimed_at = now() - interval '90 seconds' where id = ?`,
        [id],
      );
    }
    const info = { identity: 'far', tree: 'far', host: 'far', queues: ['default'], concurrency: 2, busyCount: 2 };
    await stage.redis.client.set(`${PROCESS_PREFIX}far`, JSON.stringify(info));
    await stage.redis.client.zAdd(PROCESSES, { value: 'far', score: Date.now() });
    const told =
      /default is late\..* All slots are taken by long jobs: 2 × ImportRowsJob, for up to 1 min 3\d s\. See what is running/;
    for (const path of [QUEUES, `${QUEUES}/default`]) {
      const text = await operator.read(path);
      assert.match(text, told, path);
      assert.doesNotMatch(text, /Jobs arrive faster/, path);
    }
  });

  it('mark a job processor that sends no heartbeats', async () => {
    const { client } = stage.redis;
    for (const [identity, ageMs] of [
      ['alive', 0],
      ['blocked', 9500],
    ] as const) {
      const info = {
        identity,
        tree: identity,
        queues: ['default'],
        concurrency: 2,
        app: identity,
        host: 'far',
        pid: 7,
        startedAt: 1,
      };
      await client.set(`${PROCESS_PREFIX}${identity}`, JSON.stringify(info));
      await client.zAdd(PROCESSES, { value: identity, score: Date.now() - ageMs });
    }
    const { body } = await operator.get('/ops/jobs/busy');
    const rows = body.split('<tr').filter((row) => row.includes('far, pid 7'));
    assert.deepEqual(rows.map((row) => `${/alive|blocked/.exec(row)} ${/no heartbeat for/.exec(row)}`).sort(), [
      'alive null',
      'blocked no heartbeat for',
    ]);
    assert.match(await operator.read('/ops/jobs/busy?locale=ko'), /\d+초 동안 응답 없음/);
  });

  it('say that a queue is late, for how long and why', async () => {
    await fill(1);
    const text = await until('it is late', async () => {
      const page = await operator.read(QUEUES);
      return page.includes('is late') && page;
    });
    assert.match(
      text,
      /default is late\. Its next job has waited for [\d.]+ s; the limit is 1\.0 s\. The queue is paused\. Resume default/,
    );
    await resumeQueue(stage.database.knex, 'default');
    await stage.stopProcessors();
    await until('nobody serves it', async () =>
      (await operator.read(QUEUES)).includes('No job processor serves it: add it to JOB_QUEUES.'),
    );
  });

  it('show the waiting jobs of a queue, the next one first, and search them', async () => {
    await fill(60);
    const text = await operator.read(`${QUEUES}/default`);
    assert.match(
      text,
      /^Queues default paused 60 jobs wait\. The next one for .* ImportRowsJob import: 0, from: 0 0 .* Next first 1–50 of 60 Previous Next$/,
    );
    assert.match(await operator.read(`${QUEUES}/default?page=2`), /51–60 of 60/);
    assert.match(await operator.read(`${QUEUES}/default?page=7`), /51–60 of 60/);
    assert.match(await operator.read(`${QUEUES}/default?q=import%22:59`), /1–1 of 1/);
    assert.match(await operator.read(`${QUEUES}/default?class=Nothing`), /60 waiting jobs are hidden by these filters/);
    assert.match(await operator.read(`${QUEUES}/default?page=x`, 400), /There is no such page/);
    assert.match(await operator.read(`${QUEUES}/nowhere`, 404), /^There is no such queue/);
    assert.match(await operator.read(`${QUEUES}/mailer`), /0 jobs wait\. Pause Nothing waits here/);
    assert.doesNotMatch((await viewer.get(`${QUEUES}/default?q=import`)).body, /import: \d|name="q"/);
  });

  it('clear a queue once the number of its jobs is typed', async () => {
    await fill(30);
    const { body } = await operator.get(`${QUEUES}/default/clear`);
    assert.match(
      textOf(body),
      /^Delete 30 waiting jobs of default\? .* Waiting 30 jobs .* Type 30 to confirm Delete 30 jobs Keep them$/,
    );
    const wrong = await operator.post(`${QUEUES}/default/clear`, { expected: '30', count: '3' });
    assert.deepEqual([wrong.status, await stage.waiting('default')], [422, 30]);
    assert.match(textOf(wrong.body), /Type 30 to confirm\./);
    await ImportRowsJob.performLater({ import: 31, from: 0 });
    await until('one more waits', async () => (await stage.waiting('default')) === 31);
    const more = await operator.post(`${QUEUES}/default/clear`, { expected: '30', count: '30' });
    assert.deepEqual([more.status, await stage.waiting('default')], [422, 31]);
    const told = await operator.act(`${QUEUES}/default/clear`, { expected: '31', count: '31' });
    assert.match(told, /^Queues default .* 31 jobs were deleted from default\./);
    assert.equal(await stage.waiting('default'), 0);
    assert.deepEqual(audited(), ['{"name":"operator.queue","action":"clear","queue":"default","jobs":31}']);
  });

  it('show running jobs, with their process, duration and progress', async () => {
    await stage.processor();
    assert.match(await operator.read('/ops/jobs/busy'), /^Busy .* Nothing runs/);
    await ImportRowsJob.performLater({ import: 771_902_345, from: 12_000 });
    const text = await until('its progress is shown', async () => {
      const page = await operator.read('/ops/jobs/busy');
      return page.includes('42 %') && page;
    });
    assert.match(
      text,
      /^Busy 1 of 2 slots are taken on one processor\..* ImportRowsJob import: 771902345, from: 12000 default \S+, pid \d+ 42 % 1 [\d.]+ m?s/,
    );
    assert.match((await operator.get('/ops/jobs/busy')).body, /<rect width="42%" height="100%"\/>/);
    const seen = await viewer.read('/ops/jobs/busy');
    assert.match(seen, /ImportRowsJob hidden default/);
    assert.doesNotMatch(seen, /771902345/);
  });

  it('describe recurring jobs, with their last and next run, and trigger, pause and resume them', async () => {
    await stage.processor();
    const text = await until('they are listed', async () => {
      const page = await operator.read(CRON);
      return page.includes('2 tasks') && page;
    });
    assert.match(text, /PruneSessionsJob On the hour, every 12 hours 0 \*\/12 \* \* \* never 0 in \d+ (s|min|h)/);
    assert.match(
      text,
      /send-digests SendDigestsJob At 07:00, Monday through Friday Europe\/Berlin 0 7 \* \* 1-5 never 0 in /,
    );
    assert.match(await operator.read(QUEUES), /Cron 2 tasks\./);
    assert.match(await operator.read(`${CRON}?locale=ko`), /12시간마다/);
    assert.doesNotMatch((await viewer.get(CRON)).body, /<button class="plain"/);

    const token = tokenIn((await operator.get(CRON)).body);
    const clicks = await Promise.all([1, 2, 3].map(() => operator.send(`${CRON}/PruneSessionsJob/trigger`, { token })));
    assert.equal(new Set(clicks.map((click) => click.headers.location)).size, 1);
    await until('it has run', () => stage.eventsNamed('job.succeeded').length === 1);
    assert.equal(stage.eventsNamed('cron.enqueued').length, 1);
    assert.match(
      await operator.act(`${CRON}/send-digests/pause`),
      /send-digests is paused: its times pass without a run\. .* send-digests paused SendDigestsJob .* never 0 – Trigger send-digests Resume send-digests/,
    );
    assert.match(await operator.act(`${CRON}/send-digests/resume`), /send-digests runs again at its times\./);
    assert.equal((await operator.post(`${CRON}/nothing/trigger`)).status, 404);
    assert.deepEqual(
      stage.ops.operated.map(([name, payload]) => [name, ...Object.values(payload).slice(0, 2)]),
      [
        ['operator.cron', 'trigger', 'PruneSessionsJob'],
        ['operator.cron', 'pause', 'send-digests'],
        ['operator.cron', 'resume', 'send-digests'],
      ],
    );
  });

  it('count the outcomes of jobs by class', async () => {
    await stage.processor();
    await PruneSessionsJob.performLater();
    await WelcomeMailJob.performLater(1, 'en');
    // The latency of a job is counted before its outcome.
    await until('the history has both', async () => {
      const text = await operator.read('/ops/jobs/classes');
      assert.match(text, /PruneSessionsJob 1 0 0 % 0 0 [\d.]+ m?s [\d.]+ m?s [\d.]+ m?s/);
      assert.match(text, /WelcomeMailJob 0 1 100 % 1 0 – – /);
      assert.match(text, /Total 1 1 50 % 1 0/);
      return true;
    });
    for (const period of ['day', 'all'])
      assert.match(await operator.read(`/ops/jobs/classes?period=${period}`), /PruneSessionsJob 1/);
  });
});
