import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { storeDead } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import SyncInvoiceJob from '../jobs/shop/jobs/sync-invoice';
import WelcomeMailJob from '../jobs/shop/jobs/welcome-mail';
import { ShopStage } from '../jobs/shop-stage';
import { OPERATOR, textOf, VIEWER, Visitor } from '../jobs/visitor';
import { SIGNED, tokenIn } from '../ops-web';

describe('the actions of operators', () => {
  let stage: ShopStage;
  let operator: Visitor;
  let viewer: Visitor;
  before(async () => {
    stage = await ShopStage.start(SIGNED);
    [operator, viewer] = await Promise.all([Visitor.signIn(stage.ops, OPERATOR), Visitor.signIn(stage.ops, VIEWER)]);
  });
  after(() => stage?.stop());
  beforeEach(async () => {
    await stage.reset();
    await stage.processor();
  });

  const order = (n: number) => ({ invoice: `inv_${n}`, amount: n, token: 't', email: 'e' });
  const confirmed = (expected: number) => ({ confirmed: '1', expected: String(expected) });
  /** Waits until the page shows such an event, which may take a second. @returns the texts of the events. */
  const eventsWith = (pattern: RegExp, who = operator, path = '/ops') =>
    until(`the page shows ${pattern}`, async () => {
      const [, events = ''] = /Recent events (.*)$/.exec(await who.read(path)) ?? [];
      return pattern.test(events) && events;
    });

  it('on jobs are shown: who did what, how many and when', async () => {
    await SyncInvoiceJob.performAllLater([1, 2, 3].map((n) => [order(n)]));
    await WelcomeMailJob.performLater(1, 'en');
    await until('they have failed', () => {
      return stage.eventsNamed('job.dead').length === 3 && stage.eventsNamed('job.retrying').length === 1;
    });
    const dead = await until('three are dead', async () => {
      const ids = await stage.deadIds();
      return ids.length === 3 && ids;
    });
    const [retried] = await stage.ops.database.query<{ id: string }>(
      "select id from job_queue where state = 'scheduled'",
    );
    await operator.act('/ops/jobs/queues/default/pause');
    await operator.act('/ops/jobs/dead/action', { action: 'retry', id: `default/${dead[0]}` });
    await operator.act('/ops/jobs/dead/action', { all: '1', action: 'delete', ...confirmed(2) });
    await operator.act('/ops/jobs/retry/action', { id: `mailer/${retried?.id}`, action: 'kill', ...confirmed(1) });
    await operator.act('/ops/jobs/queues/default/clear', confirmed(1));
    await operator.act('/ops/jobs/queues/default/resume');
    const by = '\\(requested by an operator \\(127\\.0\\.0\\.1\\)\\)';
    const clock = '\\d\\d:\\d\\d:\\d\\d';
    await eventsWith(
      new RegExp(
        [
          `^${clock} Resumed queue default ${by}`,
          `${clock} Cleared queue default, 1 job deleted ${by}`,
          `${clock} Killed 1 job waiting for a retry ${by}`,
          `${clock} Deleted 2 dead jobs ${by}`,
          `${clock} Retried 1 dead job ${by}`,
          `${clock} Paused queue default ${by}`,
        ].join(' '),
      ),
    );
    await eventsWith(/Deleted 2 dead jobs/, operator, '/ops/processes');
  });

  it('on recurring jobs are shown, to a viewer without the address', async () => {
    await until('the recurring job is listed', async () =>
      /PruneSessionsJob/.test(await operator.read('/ops/jobs/cron')),
    );
    for (const act of ['trigger', 'pause', 'resume']) await operator.act(`/ops/jobs/cron/PruneSessionsJob/${act}`);
    const told = 'recurring job PruneSessionsJob';
    await eventsWith(new RegExp(`Resumed ${told} .* Paused ${told} .* Triggered ${told} \\(requested by an operator`));
    const seen = await eventsWith(/Resumed recurring job PruneSessionsJob \(requested by an operator\)/, viewer);
    assert.doesNotMatch(seen, /127\.0\.0\.1/);
  });

  it('are carried out while Redis accepts commands but does not reply', async () => {
    const token = tokenIn((await operator.get('/ops/mail/inbox')).body);
    stage.ops.redis.pause();
    const answer = await operator
      .send('/ops/jobs/queues/default/clear', { token, ...confirmed(0) })
      .finally(() => stage.ops.redis.resume());
    assert.equal(answer.status, 303, textOf(answer.body));
  });

  it('are carried out and shown while Redis is unavailable', async () => {
    await stage.ops.database.query('delete from job_dead');
    const deadId = await storeDead(stage.database.knex, { class: 'SyncInvoiceJob' });
    fs.mkdirSync(path.join(stage.ops.folder, '.catamount/mails'), { recursive: true });
    fs.writeFileSync(path.join(stage.ops.folder, '.catamount/mails/20261127-1-a.eml'), 'Subject: Hello\r\n\r\nHi');
    const token = tokenIn((await operator.get('/ops/mail/inbox')).body);
    await stage.ops.redis.stop();
    const works = async (path: string, fields: Readonly<Record<string, string>> = {}) => {
      const answer = await operator.send(path, { token, ...fields });
      assert.equal(answer.status, 303, `${path}: ${textOf(answer.body)}`);
    };
    await works('/ops/jobs/queues/default/pause');
    await works('/ops/jobs/dead/action', { action: 'retry', id: `default/${deadId}` });
    assert.deepEqual(await stage.deadIds(), []);
    await works('/ops/jobs/queues/mailer/clear', confirmed(0));
    await works('/ops/jobs/cron/PruneSessionsJob/trigger');
    await works('/ops/jobs/cron/PruneSessionsJob/pause');
    await works('/ops/mail/inbox/20261127-1-a.eml/delete');
    await eventsWith(/Deleted 1 mail of the inbox \(requested by an operator \(127\.0\.0\.1\)\)/);
    await eventsWith(/Retried 1 dead job \(requested by an operator \(127\.0\.0\.1\)\)/);
    await eventsWith(/Triggered recurring job PruneSessionsJob \(requested by an operator \(127\.0\.0\.1\)\)/);
    const seen = await eventsWith(/Paused queue default \(requested by an operator\)/, viewer);
    assert.doesNotMatch(seen, /127\.0\.0\.1/);
  });

  it('are shown in Korean', async () => {
    // The web process may still be reconnecting to Redis.
    await until('the pages have Redis again', async () => (await operator.get('/ops/jobs/busy')).status === 200);
    await operator.act('/ops/jobs/queues/mailer/pause');
    await until('the page shows it', async () => {
      return /mailer 큐 일시 중지 · 운영자 \(127\.0\.0\.1\)/.test(await operator.read('/ops?locale=ko'));
    });
  });
});
