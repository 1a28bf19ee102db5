import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { runInContext, withAttributes } from '../../../lib/core/execution-context';
import { storeDead } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import { SIGNED } from '../ops-web';
import { billing } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import SecretJob from './shop/jobs/secret';
import SyncInvoiceJob from './shop/jobs/sync-invoice';
import WelcomeMailJob from './shop/jobs/welcome-mail';
import { ShopStage } from './shop-stage';
import { OPERATOR, textOf, VIEWER, Visitor } from './visitor';

const ORDER = { invoice: 'inv_29Q1', amount: 12_900, token: 'tok_secret', email: 'ada@example.com' };

describe("a job's page", () => {
  let stage: ShopStage;
  let operator: Visitor;
  let viewer: Visitor;
  before(async () => {
    stage = await ShopStage.start(SIGNED);
    [operator, viewer] = await Promise.all([Visitor.signIn(stage.ops, OPERATOR), Visitor.signIn(stage.ops, VIEWER)]);
  });
  after(() => stage?.stop());
  beforeEach(() => stage.reset());

  const page = (id: string, queue = 'default') => `/ops/jobs/job/${queue}/${id}`;

  /** Has a job die that a request has enqueued. @returns its id. */
  async function bury(): Promise<string> {
    await stage.processor();
    const { id } = await runInContext({ requestId: 'req-42', locale: 'ko' }, () =>
      withAttributes({ tenant: 'acme', token: 'tok_other' }, () => SyncInvoiceJob.performLater(ORDER)),
    );
    await until('it is dead', async () => (await stage.deadIds()).includes(id));
    return id;
  }

  it("shows a dead job's error with its stack, its arguments, its context and its history", async () => {
    const id = await bury();
    const { body } = await operator.get(page(id));
    const text = textOf(body);
    assert.match(text, new RegExp(`^Dead jobs SyncInvoiceJob dead ${id} · died .* after 1 attempt Retry now Delete…`));
    assert.match(text, /Error attempt 1, [\d:]{8} BillingTimeout: No answer from billing\.example\.com in 15 s/);
    assert.match(body, /<b>at postInvoice \(test\/ops\/jobs\/shop\/billing\.ts:\d+:\d+\)<\/b>/);
    assert.match(body, /<b>at SyncInvoiceJob\.perform \(test\/ops\/jobs\/shop\/jobs\/sync-invoice\.ts:\d+:\d+\)<\/b>/);
    assert.match(body, /<span>at \S+ \(lib\/job\/perform\/[\w-]+\.ts:\d+:\d+\)<\/span>/);
    assert.match(text, /caused by Error: The operation was aborted/);
    assert.match(
      text,
      /Attempts 1 of 1 failed 1\. Died .* BillingTimeout after \d+ ms on \S+, pid \d+ Enqueued .* by request req-42/,
    );
    assert.match(
      text,
      /Arguments invoice "inv_29Q1" amount 12900 token filtered email filtered Filtered values never leave/,
    );
    assert.match(
      text,
      /Queue default .* By request req-42 tenant "acme" token filtered Locale ko Ran on \S+, pid \d+ Tag billing$/,
    );
    assert.doesNotMatch(body, /tok_secret|tok_other|ada@example/);
  });

  it('shows a viewer neither arguments nor messages nor attributes, and no actions', async () => {
    const { body } = await viewer.get(page(await bury()));
    assert.doesNotMatch(body, /inv_29|12900|No answer|aborted|acme|"btn main"|\/confirm/);
    assert.match(
      textOf(body),
      /BillingTimeout: hidden at postInvoice .* Arguments hidden Only operators see arguments\./,
    );
    const json = JSON.stringify(await viewer.json(page('x').replace('x', await bury())));
    assert.doesNotMatch(json, /inv_29|No answer|aborted|acme/);
  });

  it('can show a long value in full, but still redacts what is in it', async () => {
    const text = 'long '.repeat(300);
    const items = Array.from({ length: 60 }, (_, n) => n);
    const args = [{ text, items, inner: { token: 'tok_secret' } }];
    const id = await storeDead(stage.database.knex, { class: 'SyncInvoiceJob', args, errors: ['x'] });
    const { body } = await operator.get(page(id));
    assert.ok(body.includes(text), 'the whole text');
    assert.match(textOf(body), /show all 1 502 characters/);
    assert.match(body, /57, 58, 59\]/);
    assert.doesNotMatch(body, /tok_secret/);
    assert.doesNotMatch(await operator.read('/ops/jobs/dead'), /58, 59/);
  });

  it('links to its class', async () => {
    const { body } = await operator.get(page(await bury()));
    assert.match(body, /href="\/ops\/jobs\/classes\/SyncInvoiceJob">SyncInvoiceJob</);
  });

  it('hides the arguments of a class with logArguments = false, and of an unknown class', async () => {
    await stage.processor();
    const { id } = await SecretJob.performLater('sesame');
    await until('it is dead', () => stage.eventsNamed('job.dead').length === 1);
    const secret = await operator.get(page(id));
    assert.match(textOf(secret.body), /Arguments not shown The class says logArguments = false/);
    const stranger = await storeDead(stage.database.knex, { class: 'Stranger', args: ['sesame'], errors: ['x'] });
    const other = await operator.get(page(stranger));
    assert.match(textOf(other.body), /Arguments not shown This app has no such class/);
    assert.doesNotMatch(secret.body + other.body, /sesame/);
    const broken = await storeDead(stage.database.knex, { class: 'SyncInvoiceJob', payload: '"no payload"' });
    assert.match(
      await operator.read(page(broken)),
      /^Dead jobs SyncInvoiceJob dead .* This job cannot be read .* "no payload"/,
    );
  });

  it('shows where the job is now: waiting, running or to be retried', async () => {
    const waiting = await ImportRowsJob.performLater({ import: 1, from: 0 });
    const [{ id: next } = { id: '' }] = await Promise.all([ImportRowsJob.performLater({ import: 2, from: 0 })]);
    await stage.pause('default');
    await stage.processor({ concurrency: 1 });
    await until('it is waiting', async () => /Waiting on default/.test(await operator.read(page(next))));
    assert.match(
      await operator.read(page(next)),
      /^default ImportRowsJob waiting .* Waiting on default .* 1 ahead of it\./,
    );
    await operator.act('/ops/jobs/queues/default/resume');
    const running = await until('it is running', async () => {
      const text = await operator.read(page(waiting.id));
      return /1\. Running .* on \S+, pid \d+/.test(text) && /Progress 42 %/.test(text) && text;
    });
    assert.match(running, /^Busy ImportRowsJob running/);
    await stage.stopProcessors();

    await stage.processor();
    const failing = await WelcomeMailJob.performLater(4812, 'ko');
    await until('it has failed', () => stage.eventsNamed('job.retrying').length === 1);
    const text = await operator.read(page(failing.id, 'mailer'));
    assert.match(
      text,
      /^Retries WelcomeMailJob failed .* runs again in \d+.* after 1 attempt Retry now Reschedule… Kill… Delete…/,
    );
  });

  it('says that a job is unknown when it has ended or never existed', async () => {
    const gone = randomUUID();
    assert.match(
      await operator.read(page(gone), 404),
      new RegExp(`^Job ${gone} This job is not known It has succeeded`),
    );
    assert.equal((await operator.get(page(gone), { Accept: 'application/json' })).status, 404);
    for (const id of ['nowhere', '%00', 'a%20b', '%ED%95%9C', 'x'.repeat(300)]) {
      const { status, body } = await operator.get(page(id));
      assert.equal(status, 404, body);
    }
    assert.match(await operator.read(page('x', 'a%20b'), 404), /is not known|nothing here/);
  });

  it('retries the job, and confirms it even if the job has already ended', async () => {
    const id = await bury();
    billing.works = true;
    const answer = await operator.post('/ops/jobs/dead/action', {
      action: 'retry',
      id: `default/${id}`,
      back: page(id),
    });
    await until('it has succeeded', () => billing.invoices.length === 1);
    await until('it is gone', async () => (await operator.get(page(id))).status === 404);
    const told = await operator.get(answer.headers.location ?? '');
    assert.match(textOf(told.body), /1 job is back on its queue\. This job is not known It has succeeded/);
  });

  it('keeps showing the earlier death of a job that was retried', async () => {
    const id = await bury();
    await operator.act('/ops/jobs/dead/action', { action: 'retry', id: `default/${id}` });
    await until('it is dead again', () => stage.eventsNamed('job.dead').length === 2);
    assert.match(await operator.read(page(id)), /1\. Died .* 1\. Failed .* Enqueued/);
  });

  it('deletes a waiting job', async () => {
    await stage.pause('default');
    await stage.processor();
    const { id } = await ImportRowsJob.performLater({ import: 1, from: 0 });
    await until('it is waiting', async () => (await stage.waiting('default')) === 1);
    assert.match(
      await operator.read(`${page(id)}/delete`),
      /^Delete this job\? .* import: 1, from: 0 Delete 1 job Keep it$/,
    );
    assert.match(await operator.act(`${page(id)}/delete`), /^Queues default .*1 job was deleted\./);
    assert.equal(await stage.waiting('default'), 0);
    assert.match(await operator.read(`${page(id)}/delete`, 409), /have left the list/);
    assert.match(await operator.act(`${page(id)}/delete`, { again: '1' }), /Nothing was changed/);
  });

  it('is found by the id of its request', async () => {
    await bury();
    const find = '/ops/jobs/find?q=req-42';
    assert.match(await operator.read(find), /^“req-42” .* Dead jobs 1 job$/);
    const id = (await stage.deadIds())[0] ?? '';
    const straight = await operator.get(`/ops/jobs/find?q=${id}`);
    assert.deepEqual([straight.status, straight.headers.location], [302, page(id)]);
    assert.match(await operator.read('/ops/jobs/find?q=nothing'), /No job contains it\./);
    assert.match(await operator.read('/ops/jobs/find', 400), /cannot be searched for/);
  });
});
