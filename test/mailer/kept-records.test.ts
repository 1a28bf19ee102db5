import assert from 'node:assert/strict';
import { runInContext } from '../../lib/core/execution-context';
import { KillJob } from '../../lib/job/definition/errors';
import { Job } from '../../lib/job/job';
import { livingJobs } from '../../lib/job/sets/find-job';
import type { Draft } from '../../lib/mailer/compose/draft';
import { DeliveryRecord } from '../../lib/mailer/delivery/delivery-record';
import { IdempotencyKeys } from '../../lib/mailer/delivery/idempotency-keys';
import { transaction } from '../../lib/model/transaction';
import { JobSystem } from '../job/job-system';
import { isMoved, setSources, setsOf } from '../job/sets/set-sources';
import { until } from '../support/until';

class DoomedJob extends Job {
  static override readonly queue = 'elsewhere';
  perform(): void {
    throw new KillJob('by itself');
  }
}
class DoneJob extends Job {
  perform(): void {}
}

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
  let system: JobSystem;
  let record: DeliveryRecord;
  before(async () => {
    system = await JobSystem.start({}, { migrated: true });
    const { database } = system;
    record = new DeliveryRecord(database.knex, {
      livingJobs: (ids) => livingJobs(database.knex, ids),
    });
  });
  after(() => system.stop());

  const sentBy = async (jobId: string | undefined) => {
    const key = runInContext(jobId === undefined ? {} : { jobId, attempt: 1 }, () =>
      new IdempotencyKeys().next(DRAFT, ''),
    );
    const claim = await record.claim(key, DRAFT);
    assert.equal(claim.verdict, 'mine');
    await record.sent(key.key, { messageId: key.messageId });
    return key.key;
  };
  const kept = async () =>
    new Set((await system.postgres.query<{ key: string }>('select key from mail_deliveries')).map(({ key }) => key));

  it('are kept while their job may run again, because it is dead or scheduled far ahead', async () => {
    const done = await DoneJob.performLater();
    const doomed = await DoomedJob.performLater();
    const later = await transaction(() => DoneJob.set({ wait: '300d' }).performLater());
    await system.processor([DoneJob, DoomedJob], {
      jobs: { queues: ['default', 'elsewhere'].map((name) => ({ name, weight: 1 })) },
    });
    await until('one is done, and one dead', () => {
      assert.deepEqual(
        system.eventsNamed('job.succeeded').map(({ id }) => id),
        [done.id],
      );
      assert.deepEqual(
        system.eventsNamed('job.dead').map(({ id }) => id),
        [doomed.id],
      );
      return true;
    });
    const [ofDone, ofDoomed, ofLater, ofNone] = [
      await sentBy(done.id),
      await sentBy(doomed.id),
      await sentBy(later.id),
      await sentBy(undefined),
    ];
    await system.postgres.query(`update mail_deliveries set sent_at = now() - interval '59 days'`);
    assert.equal(await record.prune(), 0);
    await system.postgres.query(
      `update mail_deliveries set sent_at = now() - interval '170 days', created_at = now() - interval '250 days'`,
    );
    await until('the other records are pruned', async () => {
      await record.prune();
      assert.deepEqual(await kept(), new Set([ofDoomed, ofLater]));
      return true;
    });
    assert.ok(![ofDoomed, ofLater].includes(ofDone) && ofNone.startsWith('once/'));
    const { dead } = setsOf(setSources(system, ['elsewhere']));
    const [entry = assert.fail('it is not dead')] = (await dead.page()).entries;
    assert.equal(await isMoved(dead.deleteMany({ ids: [{ id: entry.id, queue: entry.queue }] })), true);
    assert.equal(await record.prune(), 1);
    assert.deepEqual(await kept(), new Set([ofLater]));
  });
});
