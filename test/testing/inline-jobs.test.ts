import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { DiscardJob, KillJob } from '../../lib/job/perform/verdict';
import {
  assertEnqueued,
  assertNoEnqueued,
  assertPerformed,
  performEnqueuedJobs,
  performedJobs,
  type TestJobs,
  useInlineJobs,
} from '../../lib/testing';

const log: string[] = [];

class NoteJob extends Job<[at: Date, options?: { readonly big: bigint }]> {
  perform(at: Date, options?: { readonly big: bigint }) {
    log.push(`${at.toISOString()} ${options?.big} ${this.context.attempt}`);
  }
}

class OuterJob extends Job<[left: number]> {
  async perform(left: number) {
    log.push(`begin ${left}`);
    if (left > 0) await OuterJob.performLater(left - 1);
    log.push(`end ${left}`);
  }
}

class FailJob extends Job<[how: 'error' | 'discard' | 'kill' | 'gone']> {
  perform(how: 'error' | 'discard' | 'kill' | 'gone') {
    log.push(how);
    if (how === 'discard') throw new DiscardJob('not needed');
    if (how === 'kill') throw new KillJob('never');
    throw how === 'gone' ? new TypeError('gone') : new RangeError('failed');
  }
}
FailJob.discardOn(TypeError);

describe('inline jobs', () => {
  let jobs: TestJobs;
  beforeEach(async () => {
    log.length = 0;
    jobs = await useInlineJobs();
  });
  afterEach(() => jobs.restore());

  it('are performed before performLater resolves, with what their arguments travel as', async () => {
    await NoteJob.performLater(new Date(0), { big: 7n });
    assert.deepEqual(log, ['1970-01-01T00:00:00.000Z 7 1']);
    assertPerformed(NoteJob, { args: [new Date(0), { big: 7n }], times: 1 });
    assertNoEnqueued();
    await performEnqueuedJobs();
    assert.equal(log.length, 1);
  });

  it('do not wait', async () => {
    await NoteJob.set({ wait: '3d' }).performLater(new Date(0));
    assert.equal(log.length, 1);
  });

  it('enqueued by jobs are performed inside them', async () => {
    await OuterJob.performLater(1);
    assert.deepEqual(log, ['begin 1', 'begin 0', 'end 0', 'end 1']);
  });

  it('fail whoever enqueues them, and are not retried', async () => {
    await assert.rejects(FailJob.performLater('error'), RangeError);
    await assert.rejects(FailJob.performLater('kill'), KillJob);
    assert.deepEqual(log, ['error', 'kill']);
    assertNoEnqueued();
    assertPerformed(FailJob, { args: ['error'], outcome: 'failed' });
    assertPerformed(FailJob, { args: ['kill'], outcome: 'dead' });
  });

  it('are discarded where their class says so', async () => {
    await FailJob.performLater('discard');
    await FailJob.performLater('gone');
    assert.deepEqual(
      performedJobs().map(({ outcome, error }) => [outcome, error?.message]),
      [
        ['discarded', 'not needed'],
        ['discarded', 'gone'],
      ],
    );
  });

  it('never stay enqueued, which an assertion says', async () => {
    await NoteJob.performLater(new Date(0));
    assert.throws(
      () => assertEnqueued(NoteJob),
      /found none\nPerformed:\n {2}NoteJob\(1970-01-01T00:00:00.000Z\) on default\n\(useInlineJobs performs every job at once/,
    );
  });
});
