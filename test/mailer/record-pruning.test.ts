import assert from 'node:assert/strict';
import { runInContext } from '../../lib/core/execution-context';
import { livingJobs } from '../../lib/job/sets/find-job';
import type { Draft } from '../../lib/mailer/compose/draft';
import { DeliveryRecord } from '../../lib/mailer/delivery/delivery-record';
import { IdempotencyKeys } from '../../lib/mailer/delivery/idempotency-keys';
import { jobId, store, storeDead } from '../job/sets/stored-job';
import { useDatabase, usePostgres } from '../support/stores';

const DRAFT = {
  mailer: 'NoteMailer',
  action: 'note',
  subject: 'Hi',
  from: { name: '', address: 'notes@shop.example' },
  to: [{ name: '', address: 'ada@example.com' }],
  cc: [],
  bcc: [],
} as unknown as Draft;

describe('the records of sent mails', () => {
  const testDatabase = usePostgres({ migrated: true });
  const database = useDatabase(testDatabase);

  it('are kept while their job may run again, because it is dead or scheduled far ahead', async () => {
    const { knex } = database;
    const record = new DeliveryRecord(knex, { livingJobs: (ids) => livingJobs(knex, ids) });
    const sentBy = async (id: string | undefined) => {
      const key = runInContext(id === undefined ? {} : { jobId: id, attempt: 1 }, () =>
        new IdempotencyKeys().next(DRAFT, ''),
      );
      assert.equal((await record.claim(key, DRAFT)).verdict, 'mine');
      await record.sent(key.key, { messageId: key.messageId });
      return key.key;
    };
    const kept = async () => {
      const rows = await testDatabase.query<{ key: string }>('select key from mail_deliveries');
      return new Set(rows.map(({ key }) => key));
    };
    const dead = await storeDead(knex, {});
    const later = await store(knex, 'scheduled', { at: Date.now() + 300 * 86_400_000 });
    const [ofDead, ofLater] = [await sentBy(dead), await sentBy(later)];
    await sentBy(jobId(1));
    assert.match(await sentBy(undefined), /^once\//);
    // Some were tried for a long time.
    await testDatabase.query(
      `update mail_deliveries set sent_at = now() - interval '59 days', created_at = now() - interval '100 days'`,
    );
    assert.equal(await record.prune(), 0);
    await testDatabase.query(
      `update mail_deliveries set sent_at = now() - interval '170 days', created_at = now() - interval '250 days'`,
    );
    assert.equal(await record.prune(), 2);
    assert.deepEqual(await kept(), new Set([ofDead, ofLater]));
    await testDatabase.query('delete from job_dead');
    assert.equal(await record.prune(), 1);
    assert.deepEqual(await kept(), new Set([ofLater]));
  });
});
