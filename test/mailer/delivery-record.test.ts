import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import type { Draft } from '../../lib/mailer/compose/draft';
import type { Receipt } from '../../lib/mailer/definition/mail-types';
import { DeliveryRecord } from '../../lib/mailer/delivery/delivery-record';

import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { until } from '../support/until';
import { LONG_MS } from './mail-system';

const key = (name: string) => ({ key: name, messageId: `<${name}@shop.example>` });
const draft = {
  mailer: 'UserMailer',
  action: 'welcome',
  subject: 'Hi',
  to: [{ name: '', address: 'ada@example.com' }],
  cc: [],
  bcc: [{ name: '', address: 'log@example.com' }],
} as unknown as Draft;

describe('DeliveryRecord', () => {
  let test: TestDatabase;
  const opened: Database[] = [];
  const open = () => {
    const database = new Database(test.url, { production: false, events: new Events() });
    opened.push(database);
    return database;
  };
  before(async () => {
    test = await createDatabase({ migrated: ['lib/mailer/migrations'] });
  });
  afterEach(async () => {
    for (const database of opened.splice(0)) await database.stop(Deadline.after(LONG_MS));
  });
  after(() => test.drop());

  const row = async (name: string) => (await test.query('select * from mail_deliveries where key = $1', [name]))[0];

  it('is claimed once, and stays sent', async () => {
    const record = new DeliveryRecord(open().knex);
    const claim = await record.claim(key('once'), draft);
    assert.equal(claim.verdict, 'mine');
    assert.deepEqual(await record.claim(key('once'), draft), { verdict: 'busy' });
    await record.sent('once', { messageId: '<once@shop.example>', response: '250 ok' });
    assert.deepEqual(await record.claim(key('once'), draft), { verdict: 'sent' });
    const { state, attempts, response, recipients, subject, message_id, sent_at, error } = (await row('once')) ?? {};
    assert.deepEqual(
      { state, attempts, response, recipients, subject, message_id, error },
      {
        state: 'sent',
        attempts: 1,
        response: '250 ok',
        recipients: ['ada@example.com', 'log@example.com'],
        subject: 'Hi',
        message_id: '<once@shop.example>',
        error: null,
      },
    );
    assert.ok(sent_at instanceof Date);
  });

  it('is marked as sent or failed even if the reply of the server has bytes that Postgres cannot store', async () => {
    const record = new DeliveryRecord(open().knex);
    await record.claim(key('bytes'), draft);
    const refused = [{ address: 'log@example.com', answer: '550 \0 no' }];
    await record.sent('bytes', { messageId: '<bytes@shop.example>', response: '250 \0 ok', refused } as Receipt);
    const { state, response, error } = (await row('bytes')) ?? {};
    assert.deepEqual([state, response, error], ['sent', '250 \ufffd ok', 'log@example.com: 550 \ufffd no']);
    const claim = await record.claim(key('refusal'), draft);
    assert.ok(claim.verdict === 'mine');
    await record.failed('refusal', claim.token, Object.assign(new Error('no: 451 \0'), { response: '451 \0' }));
    const failed = (await row('refusal')) ?? {};
    assert.deepEqual([failed.state, failed.response, failed.error], ['failed', '451 \ufffd', 'no: 451 \ufffd']);
  });

  it('is claimed again after a failure', async () => {
    const record = new DeliveryRecord(open().knex);
    const first = await record.claim(key('again'), draft);
    assert.ok(first.verdict === 'mine');
    await record.failed('again', first.token, new Error('451 later, smtp://shop:hunter2@mail'));
    assert.equal((await row('again'))?.error, '451 later, smtp://shop:[FILTERED]@mail');
    const second = await record.claim(key('again'), draft);
    assert.equal(second.verdict, 'mine');
    assert.equal((await row('again'))?.attempts, 2);
    await record.failed('again', first.token, new Error('late news of the first'));
    assert.equal((await row('again'))?.state, 'claimed');
  });

  it('is claimed by exactly one of many concurrent claimants in several processes', async () => {
    const records = [open(), open(), open()].map((database) => new DeliveryRecord(database.knex));
    for (let round = 0; round < 20; round++) {
      const name = `race-${round}`;
      const claims = await Promise.all(
        Array.from({ length: 12 }, (_, n) => records[n % 3]?.claim(key(name), draft) ?? Promise.reject()),
      );
      const verdicts = claims.map((claim) => claim.verdict);
      assert.equal(verdicts.filter((verdict) => verdict === 'mine').length, 1, verdicts.join());
      assert.ok(verdicts.every((verdict) => verdict !== 'sent'));
    }
  });

  it('can be claimed again as soon as the process that holds it is gone', async () => {
    const dying = open();
    assert.equal((await new DeliveryRecord(dying.knex).claim(key('orphan'), draft)).verdict, 'mine');
    const record = new DeliveryRecord(open().knex);
    assert.equal((await record.claim(key('orphan'), draft)).verdict, 'busy');
    await dying.stop(Deadline.after(LONG_MS));
    await until('the claim of the dead process is free', async () => {
      return (await record.claim(key('orphan'), draft)).verdict === 'mine';
    });
    assert.equal((await row('orphan'))?.attempts, 2);
  });

  it('can be claimed again when another session has got the backend pid of the holder', async () => {
    const record = new DeliveryRecord(open().knex);
    await record.claim(key('reused'), draft);
    assert.equal((await record.claim(key('reused'), draft)).verdict, 'busy');
    // Postgres reuses backend pids; the start of the session tells the two apart.
    await test.query(
      `update mail_deliveries set claimed_by_since = claimed_by_since - interval '1 s' where key = 'reused'`,
    );
    assert.equal((await record.claim(key('reused'), draft)).verdict, 'mine');
  });

  it('can be claimed again when its holder is alive but has held it for too long', async () => {
    const first = new DeliveryRecord(open().knex);
    await first.claim(key('hung'), draft);
    const second = new DeliveryRecord(open().knex, { leaseMs: 0 });
    assert.equal((await second.claim(key('hung'), draft)).verdict, 'mine');
  });

  it('can be renewed by its holder until another one has claimed it', async () => {
    const record = new DeliveryRecord(open().knex);
    const claim = await record.claim(key('long'), draft);
    assert.ok(claim.verdict === 'mine');
    await test.query(
      `update mail_deliveries set claimed_at = now() - interval '1 hour', claimed_by_pid = 0 where key = 'long'`,
    );
    assert.equal(await record.renew('long', claim.token), true);
    const afterSeconds = async (seconds: number) => {
      await test.query(`update mail_deliveries set claimed_at = now() - interval '${seconds} s' where key = 'long'`);
      return (await record.claim(key('long'), draft)).verdict;
    };
    assert.deepEqual([await afterSeconds(0), await afterSeconds(25), await afterSeconds(31)], ['busy', 'busy', 'mine']);
    assert.ok(record.renewAfterMs + 20_000 < 30_000, 'a claim outlives a send, which may take 20 s');
    assert.equal(await record.renew('long', claim.token), false);
  });

  it('stays sent, whatever the slower of two runs reports later', async () => {
    const record = new DeliveryRecord(open().knex, { leaseMs: 0 });
    await record.claim(key('slow'), draft);
    const quick = await record.claim(key('slow'), draft);
    assert.ok(quick.verdict === 'mine');
    await record.sent('slow', { messageId: '<x>' });
    await record.failed('slow', quick.token, new Error('too late'));
    await record.recordPartial('slow', quick.token, ['ada@example.com'], new Error('too late'));
    await record.release('slow', quick.token);
    const { state, settled, error } = (await row('slow')) ?? {};
    assert.deepEqual({ state, settled, error }, { state: 'sent', settled: [], error: null });
    assert.equal((await record.claim(key('slow'), draft)).verdict, 'sent');
  });

  it('is given back by the run that holds it, and by no other', async () => {
    const record = new DeliveryRecord(open().knex, { leaseMs: 0 });
    const [slow, quick] = [await record.claim(key('back'), draft), await record.claim(key('back'), draft)];
    assert.ok(slow.verdict === 'mine' && quick.verdict === 'mine');
    await record.release('back', slow.token);
    assert.equal((await row('back'))?.state, 'claimed');
    await record.release('back', quick.token);
    assert.equal(await row('back'), undefined);
  });

  it('remembers settled recipients of two overlapping runs, even after a run that sends nothing', async () => {
    const record = new DeliveryRecord(open().knex, { leaseMs: 0 });
    const claim = async () => {
      const mine = await record.claim(key('partly'), draft);
      return mine.verdict === 'mine' ? mine : assert.fail(mine.verdict);
    };
    const [slow, quick] = [await claim(), await claim()];
    await record.recordPartial('partly', quick.token, ['ada@example.com', 'bob@example.com'], new Error('451'));
    await record.recordPartial('partly', slow.token, ['cy@example.com', 'ada@example.com'], new Error('451'));
    const all = ['ada@example.com', 'bob@example.com', 'cy@example.com'];
    const next = await claim();
    assert.deepEqual(next.settled, all);
    await record.release('partly', next.token);
    assert.deepEqual((await claim()).settled, all);
  });

  it('remembers settled recipients even if Postgres cannot record the failure', async () => {
    const record = new DeliveryRecord(open().knex);
    const mine = await record.claim(key('cut'), draft);
    assert.ok(mine.verdict === 'mine');
    await test.query(`alter table mail_deliveries add constraint cut check (key <> 'cut' or state <> 'failed')`);
    await assert.rejects(record.recordPartial('cut', mine.token, ['ada@example.com'], new Error('451')), /"cut"/);
    await test.query('alter table mail_deliveries drop constraint cut');
    assert.deepEqual((await row('cut'))?.settled, ['ada@example.com']);
  });

  it('is pruned when it is old', async () => {
    const record = new DeliveryRecord(open().knex);
    const names = ['old', 'new', 'old-failed', 'older-failed'];
    for (const name of names) await record.claim(key(name), draft);
    await record.sent('old', { messageId: '<x>' });
    await record.sent('new', { messageId: '<x>' });
    await test.query(`update mail_deliveries set sent_at = now() - interval '61 days' where key = 'old'`);
    await test.query(`update mail_deliveries set created_at = now() - interval '199 days' where key = 'old-failed'`);
    await test.query(
      `update mail_deliveries set created_at = now() - interval '201 days' where key in ('older-failed', 'new')`,
    );
    assert.equal(await record.prune(), 2);
    const left = await Promise.all(names.map(async (name) => (await row(name)) !== undefined));
    assert.deepEqual(left, [false, true, true, false]);
    await test.query(
      `insert into mail_deliveries select (jsonb_populate_record(d, jsonb_build_object('key', n || '/x/1',
        'sent_at', now() - interval '61 days'))).* from mail_deliveries d, generate_series(1, 1001) n where key = 'new'`,
    );
    assert.equal(await record.prune(), 1001);
  });
});
