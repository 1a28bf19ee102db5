import assert from 'node:assert/strict';
import { until } from '../../support/until';
import { SIGNED, tokenIn } from '../ops-web';
import { billing } from './shop/billing';
import SyncInvoiceJob from './shop/jobs/sync-invoice';
import WelcomeMailJob from './shop/jobs/welcome-mail';
import { ShopStage } from './shop-stage';
import { OPERATOR, textOf, VIEWER, Visitor } from './visitor';

const DEAD = '/ops/jobs/dead';

describe('actions on jobs:', () => {
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
    stage.ops.operated.length = 0;
  });

  const died = () => stage.eventsNamed('job.dead').length;
  const deadIds = () => stage.deadIds();
  const ref = (id: string) => `default/${id}`;
  const audited = () =>
    stage.ops.operated.filter(([name]) => name !== 'operator.sign-in').map(([name, payload]) => ({ name, ...payload }));

  /** Has as many jobs die. @returns their ids. */
  async function bury(count: number): Promise<string[]> {
    const before = died();
    await stage.processor();
    const order = (n: number) => ({ invoice: `inv_${n}`, amount: n, token: 't', email: 'e' });
    const all = await SyncInvoiceJob.performAllLater(Array.from({ length: count }, (_, n) => [order(n)]));
    await until('they have died', () => died() === before + count);
    const ids = all.map((job) => job.id);
    await until('they are dead', async () => {
      const dead = await deadIds();
      return ids.every((id) => dead.includes(id));
    });
    return ids;
  }

  it('selected jobs are retried once, and the log says who requested it', async () => {
    const [one = '', two = '', three = ''] = await bury(3);
    billing.works = true;
    const text = await operator.act(`${DEAD}/action`, {
      action: 'retry',
      id: [ref(one), ref(three)],
      back: `${DEAD}?queue=default`,
    });
    assert.match(text, /^Dead jobs .* 2 jobs are back on their queues\./);
    await until('they have run', () => billing.invoices.length === 2);
    assert.deepEqual(billing.invoices.sort(), ['inv_0', 'inv_2']);
    assert.deepEqual(await deadIds(), [two]);
    assert.deepEqual(audited(), [
      { name: 'operator.jobs', action: 'retry', set: 'dead', count: 2, via: 'pages:127.0.0.1' },
    ]);
  });

  it('a double click retries once, even if the job dies again at once, and all clicks get the same response', async () => {
    const [id = ''] = await bury(1);
    const token = tokenIn((await operator.get(DEAD)).body);
    const fields = { token, action: 'retry', id: ref(id), back: DEAD };
    const answers = await Promise.all([1, 2, 3].map(() => operator.send(`${DEAD}/action`, fields)));
    // Keep the record of the first click, so that the last one counts as a double click even on a slow machine.
    await stage.database.knex.raw(`update ops_flashes set expires_at = 'infinity'`);
    answers.push(await operator.send(`${DEAD}/action`, fields));
    assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([303]));
    assert.equal(new Set(answers.map((answer) => answer.headers.location)).size, 1);
    await until('it is dead again', async () => (await deadIds()).length === 1);
    assert.equal(died(), 2);
    assert.deepEqual(
      audited().map(({ name }) => name),
      ['operator.jobs'],
    );
    const told = await operator.get(answers[0]?.headers.location ?? '');
    assert.match(textOf(told.body), /1 job is back on its queue\./);
  });

  it('an outdated form reports that its jobs have left the list', async () => {
    const [one = '', two = ''] = await bury(2);
    await operator.act(`${DEAD}/action`, { action: 'delete', id: ref(one), confirmed: '1', expected: '1' });
    const some = await operator.act(`${DEAD}/action`, { action: 'retry', id: [ref(one), ref(two)] });
    assert.match(some, /1 job is back on its queue\. 1 had already left the list\./);
    const none = await operator.act(`${DEAD}/action`, { action: 'retry', id: ref(one) });
    assert.match(none, /Nothing was changed: the jobs had already left the list\./);
    assert.match(
      await operator.read(`${DEAD}/confirm?action=delete&id=${ref(one)}`, 409),
      /^These jobs have left the list/,
    );
  });

  it('a deletion asks for confirmation, says what is affected and that it is final, and can be cancelled', async () => {
    const [one = '', two = ''] = await bury(2);
    const asked = await operator.post(`${DEAD}/action`, {
      action: 'delete',
      id: [ref(one), ref(two)],
      back: `${DEAD}?q=inv`,
    });
    assert.equal(asked.status, 200);
    assert.match(
      textOf(asked.body),
      /^Delete 2 dead jobs\? They cannot be restored\. .* SyncInvoiceJob 2 jobs Delete 2 jobs Keep them$/,
    );
    assert.match(asked.body, /href="\/ops\/jobs\/dead\?q=inv">Keep them/);
    assert.equal((await deadIds()).length, 2);
    const fields = hiddenFields(asked.body);
    assert.match(await operator.act(`${DEAD}/action`, { ...fields, action: 'delete' }), /2 jobs were deleted\./);
    assert.deepEqual(await deadIds(), []);
  });

  it('one form applies to all matching jobs, and deleting many requires typing their number', async () => {
    await bury(30);
    const choice = await operator.get(`${DEAD}/confirm?all=1&q=inv_`);
    assert.match(
      textOf(choice.body),
      /^Retry or delete 30 dead jobs\? .* SyncInvoiceJob 30 jobs Retry 30 jobs Delete 30 jobs Leave them$/,
    );
    const question = await operator.post(`${DEAD}/action`, { ...hiddenFields(choice.body), action: 'delete' });
    assert.equal(question.status, 200);
    assert.match(
      textOf(question.body),
      /^Delete 30 dead jobs\? .* SyncInvoiceJob 30 jobs Type 30 to confirm Delete 30 jobs Keep them$/,
    );
    const fields = { ...hiddenFields(question.body), action: 'delete' };
    for (const count of ['', '29', '3O']) {
      const refused = await operator.post(`${DEAD}/action`, { ...fields, count });
      assert.equal(refused.status, 422);
      assert.match(textOf(refused.body), /Delete 30 dead jobs\? .* Type 30 to confirm\./);
    }
    // A job that dies meanwhile is not affected.
    const [late = ''] = await bury(1);
    assert.match(await operator.act(`${DEAD}/action`, { ...fields, count: '30' }), /30 jobs were deleted\./);
    assert.deepEqual(await deadIds(), [late]);
    assert.deepEqual(
      audited().map((each) => ({ ...each, via: '' })),
      [{ name: 'operator.jobs', action: 'delete', set: 'dead', count: 30, via: '' }],
    );
  });

  it('retrying all matching jobs never requires typing their number, since nothing is lost', async () => {
    await bury(30);
    billing.works = true;
    const question = await operator.get(`${DEAD}/confirm?all=1&action=retry`);
    assert.match(textOf(question.body), /^Retry 30 dead jobs\? .* SyncInvoiceJob 30 jobs Retry 30 jobs Leave them$/);
    const fields = { ...hiddenFields(question.body), action: 'retry' };
    assert.match(await operator.act(`${DEAD}/action`, fields), /30 jobs are back on their queues\./);
    await until('they have run', () => billing.invoices.length === 30);
  });

  it('the matching jobs are counted again, and confirmation is requested again when there are more', async () => {
    const schedule = async (count: number) => {
      for (let n = 0; n < count; n++) await WelcomeMailJob.set({ wait: '3h' }).performLater(n, 'en');
    };
    await schedule(2);
    const question = await operator.get('/ops/jobs/scheduled/confirm?all=1&action=delete');
    const fields = { ...hiddenFields(question.body), action: 'delete' };
    await schedule(1);
    const again = await operator.post('/ops/jobs/scheduled/action', fields);
    assert.equal(again.status, 422);
    assert.match(textOf(again.body), /Delete 3 scheduled jobs\? .* There are 3 now\. Look again/);
    assert.match(
      await operator.act('/ops/jobs/scheduled/action', { ...hiddenFields(again.body), action: 'delete' }),
      /3 jobs were deleted\./,
    );
  });

  it('scheduled jobs and retries can be promoted, rescheduled and killed', async () => {
    await stage.processor();
    await WelcomeMailJob.performLater(1, 'en');
    const [{ id = '' } = {}] = await until('it is to be retried', () => {
      const retrying = stage.eventsNamed('job.retrying');
      return retrying.length === 1 && retrying;
    });
    const retries = '/ops/jobs/retry';
    const asked = await operator.get(`${retries}/confirm?action=reschedule&id=mailer/${id}`);
    const fields = { ...hiddenFields(asked.body), action: 'reschedule' };
    for (const at of ['', 'tomorrow', '2026-02-30T10:00']) {
      const refused = await operator.post(`${retries}/action`, { ...fields, at });
      assert.match(textOf(refused.body), /Give a date and a time/, at);
    }
    const at = '2099-12-24T18:00';
    assert.match(await operator.act(`${retries}/action`, { ...fields, at }), /1 job was rescheduled\./);
    const [row] = await stage.ops.database.query<{ run_at: Date }>('select run_at from job_queue where id = $1', [id]);
    assert.equal(row?.run_at.toISOString(), `${at}:00.000Z`);
    const kill = hiddenFields((await operator.get(`${retries}/confirm?action=kill&id=mailer/${id}`)).body);
    assert.match(await operator.act(`${retries}/action`, { ...kill, action: 'kill' }), /1 job is now dead\./);
    assert.match(await operator.read(DEAD), /WelcomeMailJob .* Killed mailbox of 1 does not exist/);

    const later = await WelcomeMailJob.set({ wait: '3h' }).performLater(2, 'en');
    const told = await operator.act('/ops/jobs/scheduled/action', { action: 'promote', id: `mailer/${later.id}` });
    assert.match(told, /1 job was promoted and is on its queue\./);
    await until('it has run', () => stage.eventsNamed('job.retrying').some((job) => job.id === later.id));
  });

  it('invalid requests are rejected, and change nothing', async () => {
    const [id = ''] = await bury(1);
    const cases: [Record<string, string>, number, RegExp][] = [
      [{ action: 'retry' }, 422, /^No job is ticked/],
      [{ action: 'retry', id: 'nonsense' }, 422, /^No job is ticked/],
      [{ action: 'retry', id: 'a b/c' }, 422, /^No job is ticked/],
      [{ action: 'retry', id: 'default/\n' }, 422, /^No job is ticked/],
      [{ action: 'explode', id: ref(id) }, 400, /^That cannot be done with these jobs/],
      [{ action: 'kill', id: ref(id) }, 400, /^That cannot be done with these jobs/],
      [{ action: 'delete', id: ref(id), confirmed: '1' }, 422, /^This form is out of date/],
      [{ action: 'delete', all: '1', confirmed: '1', expected: '1', asOf: '1' }, 422, /^This form is out of date/],
      [{ action: 'retry', all: '1', queue: 'a b' }, 400, /^That is not a queue name/],
    ];
    for (const [fields, status, text] of cases) {
      const answer = await operator.post(`${DEAD}/action`, fields);
      assert.equal(answer.status, status, JSON.stringify(fields));
      assert.match(textOf(answer.body), text);
      assert.match(textOf(answer.body), /Nothing was changed\./);
    }
    assert.deepEqual(await deadIds(), [id]);
    assert.deepEqual(audited(), []);
  });

  it('redirects lead only to pages of jobs', async () => {
    const [id = ''] = await bury(1);
    for (const back of ['https://evil.example/', '//evil.example/ops/jobs/', '/ops/jobs/../../evil', '/ops/sign-out']) {
      const { headers } = await operator.post(`${DEAD}/action`, { action: 'retry', id: ref(id), back });
      assert.match(headers.location ?? '', /^\/ops\/jobs\/dead\?flash=[\w-]{12}$/, back);
      await until('it is dead again', async () => (await deadIds()).length === 1);
    }
  });

  it('only operators can act, and only with their own forms', async () => {
    const [id = ''] = await bury(1);
    const token = tokenIn((await operator.get(DEAD)).body);
    const fields = { token, action: 'retry', id: ref(id) };
    const { token: _, ...bare } = fields;
    const others = tokenIn((await viewer.get(DEAD)).body);
    const another = await Visitor.signIn(stage.ops, OPERATOR);
    const refused = [
      await operator.send(`${DEAD}/action`, bare),
      await operator.send(`${DEAD}/action`, { ...fields, token: others }),
      await operator.send(`${DEAD}/action`, fields, { Origin: 'https://evil.example' }),
      await operator.send(`${DEAD}/action`, fields, { Origin: 'null' }),
      await another.send(`${DEAD}/action`, fields),
      await viewer.send(`${DEAD}/action`, { ...fields, token: others }),
      await viewer.send('/ops/jobs/queues/default/pause', { token: others }),
      await viewer.send('/ops/jobs/cron/send-digests/trigger', { token: others }),
    ];
    assert.deepEqual(
      refused.map((answer) => answer.status),
      refused.map(() => 403),
    );
    assert.equal((await operator.get(`${DEAD}/action`)).status, 405);
    assert.deepEqual([await deadIds(), died(), audited()], [[id], 1, []]);
  });
});

/** The hidden fields of a confirmation form. */
function hiddenFields(html: string): Record<string, string | string[]> {
  const fields: Record<string, string[]> = {};
  const [, main = ''] = /<main[^>]*>([\s\S]*)<\/main>/.exec(html) ?? [];
  for (const [, name = '', value = ''] of main.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)) {
    if (name !== 'token') fields[name] = [...(fields[name] ?? []), value];
  }
  return fields;
}
