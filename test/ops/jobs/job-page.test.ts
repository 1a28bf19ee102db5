import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { runInContext, withAttributes } from '../../../lib/core/execution-context';
import { KILLED } from '../../../lib/job/row/dead';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { hiddenFields, viewOf } from '../page-view';
import { billing } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import SyncInvoiceJob from './shop/jobs/sync-invoice';
import { useShopPages } from './shop-pages';

const ORDER = { invoice: 'inv_29Q1', amount: 12_900, token: 'tok_secret', email: 'ada@example.com' };

describe("a job's page", () => {
  const shop = useShopPages();
  const operator = inSuite(undefined, () => shop.operator);
  beforeEach(() => shop.reset());

  const page = (id: string, queue = 'default') => `/ops/jobs/job/${queue}/${id}`;

  /** Has a job die that a request has enqueued. @returns its id. */
  async function die(): Promise<string> {
    await shop.processor();
    const { id } = await runInContext({ requestId: 'req-42', locale: 'ko' }, () =>
      withAttributes({ tenant: 'acme', token: 'tok_other' }, () => SyncInvoiceJob.performLater(ORDER)),
    );
    await until('it is dead', async () => (await shop.deadIds()).includes(id));
    return id;
  }

  it("shows a dead job's error with its stack, its arguments, its context and its history", async () => {
    const id = await die();
    const { body } = await operator.get(page(id));
    const { headings, buttons, facts, links, text } = viewOf(body);
    assert.deepEqual(headings, [
      'SyncInvoiceJob dead',
      ...['Error', 'Attempts', '1. Died', 'Enqueued', 'Arguments', 'Context'],
    ]);
    assert.deepEqual(buttons, ['Retry now', 'Delete…']);
    assert.match(text, /BillingTimeout: No answer from billing\.example\.com in 15 s/);
    assert.match(body, /<b>at postInvoice \(test\/ops\/jobs\/shop\/billing\.ts:\d+:\d+\)<\/b>/);
    assert.match(body, /<b>at SyncInvoiceJob\.perform \(test\/ops\/jobs\/shop\/jobs\/sync-invoice\.ts:\d+:\d+\)<\/b>/);
    assert.match(body, /<span>at \S+ \(lib\/job\/perform\/[\w-]+\.ts:\d+:\d+\)<\/span>/);
    assert.match(text, /caused by Error: The operation was aborted/);
    assert.match(text, /BillingTimeout after \d+ ms on \S+, pid \d+ Enqueued .* by request req-42/);
    const { Enqueued: _, 'Ran on': ranOn, ...others } = Object.fromEntries(facts);
    assert.match(ranOn ?? '', /^\S+, pid \d+$/);
    assert.deepEqual(others, {
      invoice: '"inv_29Q1"',
      amount: '12900',
      token: 'filtered',
      email: 'filtered',
      Class: 'SyncInvoiceJob',
      Queue: 'default',
      'By request': 'req-42',
      tenant: '"acme"',
      Locale: 'ko',
      Tag: 'billing',
    });
    assert.equal(links.get('SyncInvoiceJob'), '/ops/jobs/classes/SyncInvoiceJob');
    assert.doesNotMatch(body, /tok_secret|tok_other|ada@example/);
  });

  it('shows the result and the lines of a finished job, which can be run again and deleted', async () => {
    const run = { at: Date.now(), attempt: 2, ms: 12, host: 'h1', pid: 7 };
    const fields = { rows: 3, token: 'tok_secret' };
    const ending = {
      run,
      result: JSON.stringify({ paid: true, token: 'tok_secret' }),
      log: [{ at: 0, text: 'sent <it>', fields }],
    };
    const id = await shop.storeFinished({ args: [ORDER], at: Date.now(), tags: ['billing'] }, ending);
    const lost = await shop.storeFinished({ at: Date.now() }, { run, lost: 'it is a function' });
    const list = await operator.view('/ops/jobs/finished?tag=billing');
    assert.equal(list.headings[0], 'Finished jobs');
    assert.match(list.text, /SyncInvoiceJob billing invoice: "inv_29Q1"/);
    const { headings, buttons, facts, text } = await operator.view(page(id));
    assert.deepEqual(headings.slice(0, 3), ['SyncInvoiceJob done', 'Result', 'Log']);
    assert.deepEqual([facts.get('paid'), facts.get('token')], ['true', 'filtered']);
    assert.match(text, /00:00:00\.000 sent <it> \{"rows":3,"token":"\[FILTERED\]"\}/);
    assert.match(text, /2\. Done .* after 12 ms on h1, pid 7/);
    assert.deepEqual(buttons, ['Run again…', 'Delete…']);
    assert.match((await operator.view(page(lost))).text, /None is shown: it is a function\./);
    const asked = hiddenFields((await operator.get(`/ops/jobs/finished/confirm?action=rerun&id=default/${id}`)).body);
    const { notes } = await operator.act('/ops/jobs/finished/action', { ...asked, action: 'rerun' });
    assert.deepEqual([notes, await shop.waiting()], [['1 copy is on its queue.'], 1]);
    const { ending: shown } = await operator.json<{ ending: { result: unknown } }>(page(id));
    assert.deepEqual(shown.result, { paid: true, token: '[FILTERED]' });
  });

  it('shows when a job that has not begun expires', async () => {
    const before = Date.now();
    const { id } = await ImportRowsJob.set({ expiresIn: '10m' }).performLater({ import: 1, from: 0 });
    assert.ok((await operator.view(page(id))).facts.has('Expires'));
    const { expires_at } = await operator.json<{ readonly expires_at: string }>(page(id));
    assert.equal(Math.round((Date.parse(expires_at) - before) / 60_000), 10);
  });

  it('shows the priority of a job where it is not 0, and that it waits for others', async () => {
    const { id: plain } = await SyncInvoiceJob.performLater(ORDER);
    assert.equal((await operator.view(page(plain))).facts.has('Priority'), false);
    const { id } = await SyncInvoiceJob.set({ priority: 10 }).performLater(ORDER);
    const { facts, text } = await operator.view(page(id));
    assert.equal(facts.get('Priority'), '10');
    assert.match(text, /Waiting on default .* until no job of a smaller priority waits there/);
    const { id: urgent } = await SyncInvoiceJob.set({ priority: -3 }).performLater(ORDER);
    assert.match((await operator.view(page(urgent))).text, /Waiting on default .* 0 ahead of it/);
    assert.match((await operator.view('/ops/jobs/queues/default')).text, /Priority -3/);
  });

  it('can show a long value in full, but still redacts what is in it', async () => {
    const text = 'long '.repeat(300);
    const items = Array.from({ length: 60 }, (_, n) => n);
    const id = await shop.storeDead({ args: [{ text, items, inner: { token: 'tok_secret' } }] });
    const { body } = await operator.get(page(id));
    assert.ok(body.includes(text), 'the whole text');
    assert.match(body, /57, 58, 59\]/);
    assert.doesNotMatch(body, /tok_secret/);
    assert.doesNotMatch(await operator.read('/ops/jobs/dead'), /58, 59/);
  });

  it('hides the arguments of a class with logArguments = false, and of an unknown class', async () => {
    for (const [name, reason] of [
      ['SecretJob', /The class says logArguments = false/],
      ['UnknownJob', /This app has no such class/],
    ] as const) {
      const text = await operator.read(page(await shop.storeDead({ class: name, args: ['sesame'] })));
      assert.match(text, reason);
      assert.doesNotMatch(text, /sesame/);
    }
    const broken = await operator.view(page(await shop.storeDead({ payload: '"no payload"' })));
    assert.ok(broken.headings.includes('This job cannot be read'));
    assert.match(broken.text, /"no payload"/);
  });

  it('shows where the job is now: waiting, running or to be retried', async () => {
    const first = await ImportRowsJob.performLater({ import: 1, from: 0 });
    const next = await ImportRowsJob.performLater({ import: 2, from: 0 });
    const waits = await operator.view(page(next.id));
    assert.equal(waits.headings[0], 'ImportRowsJob waiting');
    assert.match(waits.text, /Waiting on default .* 1 ahead of it\./);
    await shop.processor({ concurrency: 1 });
    const runs = await until('it is running', async () => {
      const view = await operator.view(page(first.id));
      return view.facts.get('Progress') === '42 %' && /1\. Running .* on \S+, pid \d+/.test(view.text) && view;
    });
    assert.equal(runs.headings[0], 'ImportRowsJob running');
    const failed = await shop.store('scheduled', { errors: ['no answer'], at: Date.now() + 90_000 });
    const retry = await operator.view(page(failed));
    assert.equal(retry.headings[0], 'SyncInvoiceJob failed');
    assert.match(retry.text, /runs again in \d+.* after 1 attempt/);
    assert.deepEqual(retry.buttons, ['Retry now', 'Kill…', 'Delete…', 'Cancel…']);
    const later = await shop.store('scheduled', { at: Date.now() + 90_000 });
    const held = await shop.store('ready');
    const killed = await shop.storeDead({ reason: KILLED });
    await shop.database.knex.raw(`update job_queue set state = 'held' where id = ?`, [held]);
    await shop.database.knex.raw('update job_dead set attempts = 7 where id = ?', [killed]);
    await shop.database.knex.raw('alter table mail_deliveries rename to away');
    for (const [id, told] of [
      [later, /scheduled .* runs in .* Runs in .* as soon as a job processor has a free slot/],
      [held, /Blocked .* by the limit of its class/],
      [killed, /Killed .* by an operator\..* 7\. Failed .* Earlier attempts 6 more\./],
    ] as const)
      assert.match(await operator.read(page(id)), told);
    await shop.database.knex.raw('alter table away rename to mail_deliveries');
  });

  it('says that a job is unknown when it has ended or never existed', async () => {
    const gone = randomUUID();
    const { headings, text } = await operator.view(page(gone), 404);
    assert.deepEqual(headings, ['Job', 'This job is not known']);
    assert.match(text, new RegExp(`${gone} .* It has succeeded`));
    assert.equal((await operator.get(page(gone), { Accept: 'application/json' })).status, 404);
    for (const id of ['nowhere', '%00', 'a%20b', '%ED%95%9C', 'x'.repeat(300)])
      assert.equal((await operator.get(page(id))).status, 404, id);
    assert.equal((await operator.get(page('x', 'a%20b'))).status, 404);
  });

  it('retries the job, and confirms it even if the job has already ended', async () => {
    const id = await die();
    billing.works = true;
    const fields = { action: 'retry', id: `default/${id}`, back: page(id) };
    const answer = await operator.post('/ops/jobs/dead/action', fields);
    await until('it is gone', async () => (await operator.get(page(id))).status === 404);
    const { notes, headings } = await operator.view(answer.headers.location ?? '', 404);
    assert.deepEqual([notes, headings[1]], [['1 job is back on its queue.'], 'This job is not known']);
  });

  it('keeps showing the earlier death of a job that was retried', async () => {
    const id = await die();
    await operator.act('/ops/jobs/dead/action', { action: 'retry', id: `default/${id}` });
    await until('it is dead again', () => shop.eventsNamed('job.dead').length === 2);
    const { headings } = await operator.view(page(id));
    assert.deepEqual(headings.slice(3, 6), ['1. Died', '1. Failed', 'Enqueued']);
  });

  it('deletes a waiting job', async () => {
    const id = await shop.store('ready', { args: [{ invoice: 'inv_1' }] });
    const { headings, buttons, text } = await operator.view(`${page(id)}/delete`);
    assert.deepEqual([headings, buttons], [['Delete this job?'], ['Delete 1 job', 'Keep it']]);
    assert.match(text, /invoice: "inv_1"/);
    const { notes } = await operator.act(`${page(id)}/delete`);
    assert.deepEqual([notes, await shop.waiting()], [['1 job was deleted.'], 0]);
    assert.match(await operator.read(`${page(id)}/delete`, 409), /have left the list/);
    const again = await operator.act(`${page(id)}/delete`, { again: '1' });
    assert.match(again.notes.join(), /Nothing was changed/);
  });

  it('cancels a job that waits, and asks one that runs', async () => {
    const id = await shop.store('ready', { args: [{ invoice: 'inv_1' }] });
    assert.ok((await operator.view(page(id))).buttons.includes('Cancel…'));
    const cancelOf = async (path: string) => (await operator.view(path)).links.get('Cancel…');
    assert.equal(await cancelOf('/ops/jobs/queues/default'), `${page(id)}/cancel`);
    const { headings, buttons } = await operator.view(`${page(id)}/cancel`);
    assert.deepEqual([headings, buttons], [['Cancel this job?'], ['Cancel the job', 'Leave it']]);
    const { notes } = await operator.act(`${page(id)}/cancel`, { reason: 'no more' });
    assert.deepEqual([notes, await shop.waiting()], [['1 job was cancelled.'], 0]);
    assert.match(await operator.read(`${page(id)}/cancel`, 409), /have left the list/);
    assert.match((await operator.act(`${page(id)}/cancel`, { again: '1' })).notes.join(), /Nothing was changed/);

    const running = await shop.store('ready');
    await shop.database.knex.raw(`update job_queue set state = 'running', claimed_by = 'one', claimed_at = now()`);
    assert.equal(await cancelOf('/ops/jobs/busy'), `${page(running)}/cancel`);
    const asked = await operator.act(`${page(running)}/cancel`, { reason: 'too long' });
    assert.deepEqual(asked.notes, ['The job is asked to end.', 'Asked to end. too long']);
    assert.match(await operator.read('/ops/jobs/busy'), /Asked to end/);
    assert.match(await operator.read(`${page(running)}/cancel`), /It is asked to end/);
    assert.equal((await operator.post(`${page(running)}/cancel`, { reason: 'x'.repeat(1001) })).status, 400);
  });
});
