import assert from 'node:assert/strict';
import { EnqueueDeadlockError } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { deferred } from '../../../lib/support/deferred';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

class SyncJob extends Job<[page: string, n: number]> {
  static override readonly unique = { by: (page: string) => page, onConflict: 'replace' } as const;
  perform(_page: string, _n: number): void {}
}

describe('bulks of jobs that replace others', () => {
  const system = useJobSystem({ poolMax: 8 });
  const waiting = (count: number) =>
    until(`${count} wait for a lock`, async () => {
      const rows = await system.postgres.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.length === count;
    });
  const enqueue = (n: number, ...pages: readonly string[]) =>
    SyncJob.performAllLater(pages.map((page) => [page, n] as const));
  const stored = async () => {
    const rows = await system.postgres.query<{ of: string }>(
      `select (payload -> 'args' ->> 0) || (payload -> 'args' ->> 1) as of from job_queue where unique_key is not null order by 1`,
    );
    return rows.map((row) => row.of);
  };
  const lock = `select from job_queue where payload #>> '{args,0}' = ? for update`;

  it('do not deadlock when a job begins between them', async () => {
    const [, b] = await enqueue(0, 'a', 'b');
    const { knex } = system.database;
    const holder = await knex.transaction();
    await holder.raw(lock, ['a']);
    const first = transaction(() => enqueue(1, 'a', 'b'));
    await waiting(1);
    await system.postgres.query(`update job_queue set state = 'running', claimed_by = 'other' where id = $1`, [b?.id]);
    const second = transaction(() => enqueue(2, 'a', 'b'));
    await waiting(2);
    await holder.commit();
    await Promise.all([first, second]);
    assert.deepEqual(await stored(), ['a2', 'b2']);
    assert.equal(await system.jobCount(), 3);
  });

  it('are enqueued in spite of a deadlock with a transaction of the app, which goes on', async () => {
    await enqueue(0, 'a', 'c');
    const app = await system.database.knex.transaction();
    // Only the other one looks for a deadlock.
    await app.raw(`set local deadlock_timeout = '1h'`);
    // The key of c is the last of the bulk.
    await app.raw(lock, ['c']);
    const bulk = enqueue(1, 'a', 'c');
    await waiting(1);
    await Promise.all([bulk, app.raw(lock, ['a']).then(() => app.commit())]);
    assert.deepEqual(await stored(), ['a1', 'c1']);
  });

  it('of two transactions that enqueue in opposite orders, one is told to run again', async () => {
    const both = async (n: number, ...pages: readonly string[]) => {
      for (const page of pages) {
        await enqueue(n, page);
        met.arrive();
        await met.bothHaveOne;
      }
    };
    const met = meeting();
    const ends = await Promise.allSettled([transaction(() => both(1, 'a', 'b')), transaction(() => both(2, 'b', 'a'))]);
    const lost = ends.findIndex(({ status }) => status === 'rejected');
    assert.equal(ends[1 - lost]?.status, 'fulfilled');
    const { reason } = ends[lost] as PromiseRejectedResult;
    assert.ok(reason instanceof EnqueueDeadlockError, String(reason));
    assert.equal(reason.jobName, 'SyncJob');
    await transaction(() => both(3, 'a', 'b'));
    assert.deepEqual(await stored(), ['a3', 'b3']);
  });
});

/** Two meet when both have arrived once. */
function meeting() {
  let missing = 2;
  const { promise, resolve } = deferred();
  return { bothHaveOne: promise, arrive: () => void (--missing === 0 && resolve()) };
}
