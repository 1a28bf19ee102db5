import assert from 'node:assert/strict';
import { Batch } from '../../../lib/job/batch';
import { Cron } from '../../../lib/job/cron/run-time-cron';
import { resumeQueue } from '../../../lib/job/row/pauses';
import { until } from '../../support/until';
import { processorOf, treeStatusOf } from '../overview/tree-statuses';
import type { Visitor } from '../visitor';
import { imports } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import PruneSessionsJob from './shop/jobs/prune-sessions';
import WelcomeMailJob from './shop/jobs/welcome-mail';
import { ShopPages } from './shop-pages';

const QUEUES = '/ops/jobs/queues';
const CRON = '/ops/jobs/cron';

describe('pages of queues, running jobs and recurring jobs', () => {
  let shop: ShopPages;
  let operator: Visitor;
  before(async () => {
    shop = await ShopPages.start({ JOB_LATENCY_WARNING: '1' });
    ({ operator } = shop);
  });
  after(() => shop?.stop());
  beforeEach(() => shop.reset());

  const via = 'pages:127.0.0.1';
  /** Stores jobs that wait in the default queue. */
  const fill = async (count: number) => {
    for (let n = 0; n < count; n++)
      await shop.store('ready', { class: 'ImportRowsJob', args: [{ import: n, from: 0 }], at: Date.now() - count + n });
  };
  it('list the queues in order, with their sizes and their processors', async () => {
    assert.match(await operator.read(QUEUES), /No job processor runs: jobs wait until one is started\./);
    await shop.pause('default');
    await fill(3);
    await shop.processor();
    const { rows, buttons, text } = await until('the processor is listed', async () => {
      const page = await operator.view(QUEUES);
      return page.text.includes('One processor') && page;
    });
    assert.match(text, /One processor, 2 jobs at a time\. Strict order: mailer runs only when default is empty\./);
    assert.deepEqual(rows[0]?.slice(0, 2), ['1. default paused', '3']);
    assert.deepEqual(rows[1]?.slice(0, 6), ['2. mailer', '0', '–', '0', '0', '0']);
    // Once the jobs have waited for a second, the warning of them has a button, too.
    assert.deepEqual([...new Set(buttons)].slice(0, 2), ['Resume default', 'Pause mailer']);
  });

  it('show a queue even if it has the name of a path or a property', async () => {
    for (const queue of ['events', 'clear', 'constructor']) {
      await shop.store('ready', { queue });
      assert.equal((await operator.view(`${QUEUES}/${queue}`)).rows.length, 1, queue);
      assert.match(await operator.read(`${QUEUES}/${queue}/clear`), /^Delete 1 waiting job of/);
    }
  });

  it('pause and resume a queue, and the event says who requested it', async () => {
    await shop.processor();
    assert.match(
      (await operator.act(`${QUEUES}/default/pause`)).notes.join(),
      /default is paused: no more of its jobs/,
    );
    await ImportRowsJob.performLater({ import: 1, from: 0 });
    const { notes } = await operator.view(`${QUEUES}/default`);
    assert.match(notes.join(), /No job of this queue starts\. Paused .* by operator 127\.0\.0\.1\./);
    assert.equal(await shop.waiting(), 1);
    assert.deepEqual((await operator.act(`${QUEUES}/default/resume`)).notes.slice(0, 1), ['default is resumed.']);
    await until('it is running', () => imports.held === 1);
    const events = ['pause', 'resume'].map((action) => ({
      name: 'operator.queue',
      action,
      queue: 'default',
      jobs: 0,
      via,
    }));
    assert.deepEqual(shop.actions(), events);
    assert.equal((await operator.post(`${QUEUES}/nowhere/pause`)).status, 404);
  });

  it('name the jobs that occupy the slots a late queue waits for', async () => {
    await shop.store('ready', { class: 'ImportRowsJob' });
    for (let n = 0; n < 2; n++) {
      const id = await shop.store('ready', { class: 'ImportRowsJob' });
      await shop.database.knex.raw(
        `update job_queue set state = 'running', claimed_by = 'far', claimed_at = now() - interval '90 seconds' where id = ?`,
        [id],
      );
    }
    await shop.trees.publishProcessor({ identity: 'far', busy: 2 });
    for (const path of [QUEUES, `${QUEUES}/default`]) {
      const { notes } = await operator.view(path);
      assert.match(
        notes.join(),
        /default is late.* All slots are taken by long jobs: 2 × ImportRowsJob, for up to 1 min/,
      );
      assert.doesNotMatch(notes.join(), /Jobs arrive faster/, path);
    }
  });

  it('mark a job processor that sends no heartbeats', async () => {
    for (const [app, ageMs] of Object.entries({ alive: 0, blocked: 9500 }))
      await shop.trees.publish(
        treeStatusOf({ id: app, app, host: 'far', jobs: processorOf({ identity: `${app}-0`, pid: 7 }) }),
        ageMs,
      );
    const { rows } = await operator.view('/ops/jobs/busy');
    const names = rows.map(([name = '']) => name.replace(/for .* s /, '')).sort();
    assert.deepEqual(names, ['far, pid 7 alive', 'far, pid 7 no heartbeat blocked']);
    const busy = rows.map(([, , taken = '']) => taken.split('/')[0]?.trim());
    assert.deepEqual(busy.sort(), ['0', '–']);
    assert.match(await operator.read('/ops/jobs/busy?locale=ko'), /\d+초 동안 응답 없음/);
  });

  it('say that a queue is late, for how long and why', async () => {
    await shop.pause('default');
    await shop.store('ready');
    const { notes, buttons } = await operator.view(QUEUES);
    assert.match(
      notes.join(),
      /default is late\. Its next job has waited for .*; the limit is 1\.0 s\. The queue is paused/,
    );
    assert.equal(buttons[0], 'Resume default');
    await resumeQueue(shop.database.knex, 'default');
    assert.match((await operator.view(QUEUES)).notes.join(), /No job processor serves it: add it to JOB_QUEUES\./);
  });

  it('show the waiting jobs of a queue, the next one first, and search them', async () => {
    await fill(60);
    const { rows, text } = await operator.view(`${QUEUES}/default`);
    assert.deepEqual(rows[0]?.slice(0, 2), ['ImportRowsJob import: 0, from: 0', '0']);
    assert.match(text, /60 jobs wait\. .* Next first 1–50 of 60/);
    for (const [query, found] of Object.entries({
      'page=2': /51–60 of 60/,
      'page=7': /51–60 of 60/,
      'q=import%22:59': /1–1 of 1/,
      'class=Nothing': /60 waiting jobs are hidden by these filters/,
    }))
      assert.match(await operator.read(`${QUEUES}/default?${query}`), found);
    assert.match(await operator.read(`${QUEUES}/default?page=x`, 400), /There is no such page/);
    assert.match(await operator.read(`${QUEUES}/nowhere`, 404), /^There is no such queue/);
    assert.match(await operator.read(`${QUEUES}/mailer`), /Nothing waits here/);
  });

  it('clear a queue once the number of its jobs is typed', async () => {
    await fill(30);
    const clear = `${QUEUES}/default/clear`;
    const { headings, buttons } = await operator.view(clear);
    assert.deepEqual([headings[0], buttons], ['Delete 30 waiting jobs of default?', ['Delete 30 jobs', 'Keep them']]);
    assert.equal((await operator.post(clear, { expected: '30', count: '3' })).status, 422);
    const more = await shop.store('ready');
    await shop.database.knex.raw(`update job_queue set state = 'held' where id = ?`, [more]);
    assert.equal((await operator.post(clear, { expected: '30', count: '30' })).status, 422, 'one waits for its limit');
    await until('the header counts it', async () => /data-count="queues">31</.test((await operator.get(clear)).body));
    assert.equal(await shop.waiting(), 30);
    const { notes } = await operator.act(clear, { expected: '31', count: '31' });
    assert.deepEqual([notes, await shop.waiting()], [['31 jobs were deleted from default.'], 0]);
    assert.deepEqual(shop.actions(), [{ name: 'operator.queue', action: 'clear', queue: 'default', jobs: 31, via }]);
    await fill(25);
    await operator.act(clear, { expected: '25' });
    assert.equal(await shop.waiting(), 0, 'a number of up to 25 is not typed');
  });

  it('show running jobs, with their process, duration and progress', async () => {
    await shop.processor();
    assert.match(await operator.read('/ops/jobs/busy'), /Nothing runs/);
    await ImportRowsJob.performLater({ import: 771_902_345, from: 12_000 });
    const { rows, text } = await until('its progress is shown', async () => {
      const page = await operator.view('/ops/jobs/busy');
      return page.text.includes('42 %') && page;
    });
    assert.match(text, /Slots taken on one processor: 1 of 2\./);
    const [job, queue, process, progress, attempt] = rows[0] ?? [];
    assert.deepEqual([job, queue], ['ImportRowsJob import: 771902345, from: 12000', 'default']);
    assert.match(process ?? '', /^\S+, pid \d+$/);
    assert.deepEqual([progress, attempt], ['42 %', '1']);
  });

  it('describe recurring jobs, with their last and next run, and trigger, pause and resume them', async () => {
    await shop.processor();
    const rows = await until('they are listed', async () => {
      const page = await operator.view(CRON);
      return page.rows.length === 2 && page.rows;
    });
    assert.deepEqual(rows[0]?.slice(0, 4), [
      'PruneSessionsJob',
      'On the hour, every 12 hours 0 */12 * * *',
      'never',
      '0',
    ]);
    const [name, when] = rows[1] ?? [];
    assert.deepEqual(
      [name, when],
      ['send-digests SendDigestsJob', 'At 07:00, Monday through Friday Europe/Berlin 0 7 * * 1-5'],
    );
    assert.match(await operator.read(`${CRON}?locale=ko`), /12시간마다/);

    await operator.act(`${CRON}/PruneSessionsJob/trigger`);
    await until('it has run', () => shop.eventsNamed('job.succeeded').length === 1);
    assert.equal(shop.eventsNamed('cron.enqueued').length, 1);
    const paused = await operator.act(`${CRON}/send-digests/pause`);
    assert.match(paused.notes.join(), /send-digests is paused: its times pass without a run\./);
    assert.deepEqual(paused.buttons.slice(-2), ['Trigger send-digests', 'Resume send-digests']);
    await operator.act(`${CRON}/send-digests/resume`);
    assert.equal((await operator.post(`${CRON}/nothing/trigger`)).status, 404);
    await shop.database.knex.raw(
      `update job_cron set refreshed_at = now() - interval '2 days', spec = 'odd' where class = name`,
    );
    const [gone = []] = (await operator.view(CRON)).rows;
    assert.deepEqual([gone[1], gone.at(-1)], ['odd', 'Forget PruneSessionsJob']);
    assert.equal((await operator.act(`${CRON}/PruneSessionsJob/forget`)).rows.length, 1);
    const acts = ['trigger PruneSessionsJob', 'pause send-digests', 'resume send-digests', 'forget PruneSessionsJob'];
    const done = acts.map((text) => text.split(' '));
    assert.deepEqual(
      shop.actions(),
      done.map(([action, job]) => ({ name: job, action, via })),
    );
  });

  it('forget a recurring job that was declared at run time, after a question', async () => {
    await Cron.upsert('send/7%', { class: ImportRowsJob, at: '0 7 * * *', args: [{ import: 7, from: 0 }] });
    const { rows, links } = await operator.view(CRON);
    assert.match(rows[0]?.at(-1) ?? '', /Trigger .* Pause .* Forget… send\/7%/);
    const href = links.get('Forget… send/7%') ?? assert.fail('no link');
    const question = await operator.view(href);
    assert.match(question.text, /send\/7% 0 7 \* \* \*/);
    assert.equal((await operator.view(CRON)).rows.length, 1, 'the question changes nothing');
    assert.deepEqual((await operator.act(href)).rows, []);
    assert.equal((await operator.get(href)).status, 404);
  });

  it('count the outcomes of jobs by class', async () => {
    await shop.processor();
    await PruneSessionsJob.performLater();
    await WelcomeMailJob.performLater(1, 'en');
    // The latency of a job is counted before its outcome.
    const rows = await until('the history has both outcomes', async () => {
      const page = await operator.view('/ops/jobs/classes');
      return page.rows.at(-1)?.slice(0, 3).join(' ') === 'Total 1 1' && page.rows;
    });
    assert.deepEqual(
      rows.map((row) => row.slice(0, 6).join(' ')),
      ['PruneSessionsJob 1 0 0 % 0 0', 'WelcomeMailJob 0 1 100 % 1 0', 'Total 1 1 50 % 1 0'],
    );
    for (const period of ['day', 'all'])
      assert.match(await operator.read(`/ops/jobs/classes?period=${period}`), /PruneSessionsJob 1/);
  });

  it('list batches with what is left of them, retry what is dead, and cancel one after a question', async () => {
    const BATCHES = '/ops/jobs/batches';
    assert.match(await operator.read(BATCHES), /No batches/);
    const { id } = await Batch.create({ description: 'import of May', tags: ['may'] }, (batch) =>
      batch.add(PruneSessionsJob.prepare(), PruneSessionsJob.prepare(), PruneSessionsJob.prepare()),
    );
    await shop.ops.database.query(
      `with gone as (delete from job_queue where id = (select id from job_queue where batch_id = $1 limit 1) returning *)
       insert into job_dead (id, queue, class, payload, error, attempts, tags, messages, search, batch_id)
       select id, queue, class, payload, 'Error', 1, tags, '', '', batch_id from gone`,
      [id],
    );
    const { rows, buttons } = await operator.view(BATCHES);
    assert.deepEqual(rows[0]?.slice(1, 5), ['running', '0 / 3', '2', '1']);
    assert.ok(buttons.includes('Retry dead import of May'), buttons.join());
    assert.match((await operator.act(`${BATCHES}/${id}/retry`)).notes.join(), /1 job is back on its queue/);
    assert.match(await operator.read(`${BATCHES}/${id}/cancel`), /Cancel this batch\?.*3 jobs of it are cancelled/);
    assert.match((await operator.act(`${BATCHES}/${id}/cancel`)).notes.join(), /is cancelled, with its jobs/);
    assert.deepEqual((await operator.view(BATCHES)).rows[0]?.slice(1, 5), ['cancelled', '3 / 3', '0', '0']);
    assert.equal((await operator.get(`${BATCHES}/${id}/cancel`)).status, 404);
  });
});
