import assert from 'node:assert/strict';
import { hiddenFields, viewOf } from '../page-view';
import { OPERATOR, Visitor } from '../visitor';
import { ShopPages } from './shop-pages';

const DEAD = '/ops/jobs/dead';
const RETRIES = '/ops/jobs/retry';
const SCHEDULED = '/ops/jobs/scheduled';
const LATER = () => Date.now() + 3 * 3_600_000;

describe('actions on jobs:', () => {
  let shop: ShopPages;
  let operator: Visitor;
  before(async () => {
    shop = await ShopPages.start();
    ({ operator } = shop);
  });
  after(() => shop?.stop());
  beforeEach(() => shop.reset());

  const ref = (id: string) => `default/${id}`;
  /** Stores as many dead jobs. @returns their ids, oldest first. */
  const storeDead = (count: number) =>
    Promise.all(
      Array.from({ length: count }, (_, n) => shop.storeDead({ args: [{ invoice: `inv_${n}` }], at: n + 1 })),
    );
  /** The confirmation page. */
  const question = async (path: string, fields?: Record<string, string | string[]>) => {
    const { status, body } = fields ? await operator.post(path, fields) : await operator.get(path);
    return { status, ...viewOf(body), fields: hiddenFields(body) };
  };

  it('selected jobs are retried, and the event says who requested it', async () => {
    const [one = '', two = '', three = ''] = await storeDead(3);
    const back = `${DEAD}?queue=default`;
    const { headings, notes } = await operator.act(`${DEAD}/action`, {
      action: 'retry',
      id: [ref(one), ref(three)],
      back,
    });
    assert.deepEqual([headings[0], notes], ['Dead jobs', ['2 jobs are back on their queues.']]);
    assert.deepEqual([await shop.waiting(), await shop.deadIds()], [2, [two]]);
    const done = { name: 'operator.jobs', action: 'retry', set: 'dead', count: 2, via: 'pages:127.0.0.1' };
    assert.deepEqual(shop.actions(), [done]);
  });

  it('an outdated form reports that its jobs have left the list', async () => {
    const [one = '', two = ''] = await storeDead(2);
    await operator.act(`${DEAD}/action`, { action: 'delete', id: ref(one), confirmed: '1', expected: '1' });
    const retry = (...ids: string[]) => operator.act(`${DEAD}/action`, { action: 'retry', id: ids.map(ref) });
    assert.deepEqual((await retry(one, two)).notes, ['1 job is back on its queue. 1 had already left the list.']);
    assert.deepEqual((await retry(one)).notes, ['Nothing was changed: the jobs had already left the list.']);
    const { headings } = await operator.view(`${DEAD}/confirm?action=delete&id=${ref(one)}`, 409);
    assert.match(headings[0] ?? '', /^These jobs have left the list/);
  });

  it('a deletion is confirmed first, says that it is final, and can be cancelled', async () => {
    const ids = (await storeDead(2)).map(ref);
    const asked = await question(`${DEAD}/action`, { action: 'delete', id: ids, back: `${DEAD}?q=inv` });
    assert.deepEqual([asked.status, asked.headings], [200, ['Delete 2 dead jobs?']]);
    assert.match(asked.text, /They cannot be restored\./);
    assert.deepEqual(asked.buttons, ['Delete 2 jobs', 'Keep them']);
    assert.equal(asked.links.get('Keep them'), `${DEAD}?q=inv`);
    assert.equal((await shop.deadIds()).length, 2);
    const { notes } = await operator.act(`${DEAD}/action`, { ...asked.fields, action: 'delete' });
    assert.deepEqual([notes, await shop.deadIds()], [['2 jobs were deleted.'], []]);
  });

  it('many matching jobs are deleted only once their number is typed; one that dies meanwhile is left', async () => {
    await storeDead(27);
    for (const name of 'ABC') await shop.storeDead({ class: name, args: ['inv_'], at: 1 });
    const choice = await question(`${DEAD}/confirm?all=1&q=inv_`);
    assert.match(choice.text, /SyncInvoiceJob 27 jobs [ABC] 1 job 2 other classes 2 jobs/);
    assert.deepEqual(choice.buttons, ['Retry 30 jobs', 'Delete 30 jobs', 'Leave them']);
    const asked = await question(`${DEAD}/action`, { ...choice.fields, action: 'delete' });
    assert.deepEqual([asked.status, asked.headings], [200, ['Delete 30 dead jobs?']]);
    const fields = { ...asked.fields, action: 'delete' };
    for (const count of ['', '29', '3O']) {
      const refused = await question(`${DEAD}/action`, { ...fields, count });
      assert.deepEqual([refused.status, refused.notes], [422, ['Type 30 to confirm.']]);
    }
    const late = await shop.storeDead({ args: [{ invoice: 'inv_30' }], at: Date.now() });
    assert.deepEqual((await operator.act(`${DEAD}/action`, { ...fields, count: '30' })).notes, [
      '30 jobs were deleted.',
    ]);
    assert.deepEqual(await shop.deadIds(), [late]);
    const done = { name: 'operator.jobs', action: 'delete', set: 'dead', count: 30, via: 'pages:127.0.0.1' };
    assert.deepEqual(shop.actions(), [done]);
  });

  it('many scheduled jobs are killed only once their number is typed', async () => {
    const asked = async (count: number) => {
      await Promise.all(Array.from({ length: count }, () => shop.store('scheduled', { at: LATER() })));
      const choice = await question(`${SCHEDULED}/confirm?all=1`);
      return question(`${SCHEDULED}/action`, { ...choice.fields, action: 'kill' });
    };
    assert.equal((await asked(25)).status, 303);
    const { fields } = await asked(26);
    const refused = await question(`${SCHEDULED}/action`, { ...fields, action: 'kill', count: '' });
    assert.deepEqual([refused.status, refused.notes], [422, ['Type 26 to confirm.']]);
    await operator.act(`${SCHEDULED}/action`, { ...fields, action: 'kill', count: '26' });
    assert.equal((await shop.deadIds()).length, 51);
  });

  it('no more matching jobs are moved than were counted, which are 10,000 at most', async () => {
    await shop.database.knex.raw(
      `insert into job_queue (queue, class, payload, state, run_at)
       select 'default', 'SyncInvoiceJob', '{}', 'scheduled', now() + interval '1 hour' from generate_series(1, 10001)`,
    );
    const { fields } = await question(`${SCHEDULED}/confirm?all=1&action=delete`);
    await operator.act(`${SCHEDULED}/action`, { ...fields, action: 'delete', count: '10000' });
    const done = { name: 'operator.jobs', action: 'delete', set: 'scheduled', count: 10_000, via: 'pages:127.0.0.1' };
    assert.deepEqual(shop.actions(), [done]);
  });

  it('many matching jobs are retried without typing their number, since nothing is lost', async () => {
    await storeDead(30);
    const asked = await question(`${DEAD}/action`, { all: '1', action: 'retry' });
    assert.equal(await shop.waiting(), 0, 'not before they are confirmed');
    assert.deepEqual(asked.buttons, ['Retry 30 jobs', 'Leave them']);
    const { notes } = await operator.act(`${DEAD}/action`, { ...asked.fields, action: 'retry' });
    assert.deepEqual([notes, await shop.waiting()], [['30 jobs are back on their queues.'], 30]);
  });

  it('matching jobs are counted again, and more of them are confirmed again', async () => {
    await Promise.all([1, 2].map(() => shop.store('scheduled', { at: LATER() })));
    const { fields } = await question(`${SCHEDULED}/confirm?all=1&action=delete`);
    await shop.store('scheduled', { at: LATER() });
    const again = await question(`${SCHEDULED}/action`, { ...fields, action: 'delete' });
    assert.deepEqual([again.status, again.headings], [422, ['Delete 3 scheduled jobs?']]);
    assert.match(again.notes.join(), /There are 3 now\. Look again/);
    const { notes } = await operator.act(`${SCHEDULED}/action`, { ...again.fields, action: 'delete' });
    assert.deepEqual(notes, ['3 jobs were deleted.']);
  });

  it('a retry is killed, and a scheduled job promoted', async () => {
    const id = await shop.store('scheduled', { errors: ['no answer'], at: LATER() });
    const kill = await question(`${RETRIES}/confirm?action=kill&id=${ref(id)}`);
    const { notes } = await operator.act(`${RETRIES}/action`, { ...kill.fields, action: 'kill' });
    assert.deepEqual(notes, ['1 job is now dead.']);
    assert.match((await operator.view(DEAD)).rows[0]?.join(' ') ?? '', /SyncInvoiceJob .* Killed no answer/);

    const later = await shop.store('scheduled', { at: LATER() });
    const promoted = await operator.act(`${SCHEDULED}/action`, { action: 'promote', id: ref(later) });
    assert.deepEqual([promoted.notes, await shop.waiting()], [['1 job was promoted and is on its queue.'], 1]);
  });

  it('the page that follows reports the outcome only as this operator was told it', async () => {
    const id = await shop.storeDead();
    const { headers } = await operator.post(`${DEAD}/action`, { action: 'retry', id: ref(id) });
    const { searchParams } = new URL(headers.location ?? '', 'http://here');
    const [text = '', signature = ''] = (searchParams.get('flash') ?? '').split('.');
    const notes = async (flash: string, who = operator) => (await who.view(`${DEAD}?flash=${flash}`)).notes;
    assert.deepEqual(await notes(`${text}.${signature}`), ['1 job is back on its queue.']);
    const forged = Buffer.from(JSON.stringify({ what: 'delete', moved: 9, asked: 9 })).toString('base64url');
    for (const flash of [text, `${text}.`, `${forged}.${signature}`, '.', 'x.y', `${text}.${signature}x`])
      assert.deepEqual(await notes(flash), [], flash);
    assert.deepEqual(await notes(`${text}.${signature}`, await Visitor.signIn(shop.ops, OPERATOR)), []);
  });

  it('invalid requests are rejected, and change nothing', async () => {
    const id = await shop.storeDead();
    const all = { action: 'delete', all: '1', confirmed: '1', expected: '1' };
    const cases: [Record<string, string>, number, RegExp][] = [
      [{ action: 'retry' }, 422, /^No job is ticked/],
      [{ action: 'retry', id: 'nonsense' }, 422, /^No job is ticked/],
      [{ action: 'retry', id: 'a b/c' }, 422, /^No job is ticked/],
      [{ action: 'retry', id: 'default/\n' }, 422, /^No job is ticked/],
      [{ action: 'explode', id: ref(id) }, 400, /^That cannot be done with these jobs/],
      [{ action: 'kill', id: ref(id) }, 400, /^That cannot be done with these jobs/],
      [{ action: 'delete', id: ref(id), confirmed: '1' }, 422, /^This form is out of date/],
      [{ ...all, asOf: '1' }, 422, /^This form is out of date/],
      [{ ...all, asOf: String(Date.now() - 86_400_000) }, 422, /^This form is out of date/],
      [{ ...all, asOf: String(Date.now() + 3_600_000) }, 422, /^This form is out of date/],
      [{ action: 'retry', all: '1', queue: 'a b' }, 400, /^That is not a queue name/],
    ];
    for (const [fields, status, title] of cases) {
      const refused = await question(`${DEAD}/action`, fields);
      assert.equal(refused.status, status, JSON.stringify(fields));
      assert.match(refused.headings[0] ?? '', title);
      assert.match(refused.text, /Nothing was changed\./);
    }
    assert.deepEqual([await shop.deadIds(), shop.actions()], [[id], []]);
  });

  it('redirects lead only to pages of jobs', async () => {
    for (const back of ['https://evil.example/', '//evil.example/ops/jobs/', '/ops/jobs/../../evil', '/ops/sign-out']) {
      const id = ref(await shop.storeDead());
      const { headers } = await operator.post(`${DEAD}/action`, { action: 'retry', id, back });
      assert.match(headers.location ?? '', /^\/ops\/jobs\/dead\?flash=[\w-]+\.[\w-]{43}$/, back);
    }
  });
});
