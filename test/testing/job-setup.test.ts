import assert from 'node:assert/strict';
import type { JobSetup } from '../../lib/job/definition/setup';
import { Job } from '../../lib/job/job';
import { defineApp } from '../../lib/role/app/app-definition';
import { assertEnqueued, assertNoEnqueued, performEnqueuedJobs, type TestJobs, useFakeJobs } from '../../lib/testing';

const log: string[] = [];

class SecretJob extends Job<[{ readonly pin: string }]> {
  perform(_secret: { readonly pin: string }) {
    log.push('performed');
  }
}

class SilentJob extends Job<[text: string]> {
  static override logArguments = false;
  perform(_text: string) {}
}

class AwkwardJob extends Job {
  static override retry = { limit: 0 };

  perform() {
    throw new RangeError('of the job');
  }

  override afterDiscard() {
    throw new TypeError('of the hook');
  }
}

const SETUP: JobSetup = {
  filterArguments: ['pin'],
  performMiddleware: [
    async (run, next) => {
      log.push(`around ${run.class}`);
      await next();
    },
  ],
};

describe("the app's job setup in its tests", () => {
  let jobs: TestJobs | undefined;
  beforeEach(() => {
    log.length = 0;
  });
  afterEach(async () => {
    await jobs?.restore();
    jobs = undefined;
  });

  const app = (setup: unknown) =>
    defineApp({
      name: 'shop',
      root: __dirname,
      routes: async () => ({ default: () => undefined }),
      jobSetup: async () => ({ default: setup as JobSetup }),
    });

  it('comes from its manifest', async () => {
    jobs = await useFakeJobs({ app: app(SETUP) });
    await SecretJob.performLater({ pin: '1234' });
    await performEnqueuedJobs();
    assert.deepEqual(log, ['around SecretJob', 'performed']);
  });

  it('can be replaced by the test', async () => {
    jobs = await useFakeJobs({ app: app(SETUP), setup: {} });
    await SecretJob.performLater({ pin: '1234' });
    await performEnqueuedJobs();
    assert.deepEqual(log, ['performed']);
  });

  it('is rejected when it is invalid', async () => {
    await assert.rejects(useFakeJobs({ app: app({ performMiddleware: 'none' }) }), /performMiddleware is a string/);
  });

  it('redacts arguments in messages', async () => {
    jobs = await useFakeJobs({ setup: SETUP });
    await SecretJob.performLater({ pin: '1234' });
    await SilentJob.performLater('hush');
    assertEnqueued(SecretJob, { args: [{ pin: '1234' }] });
    assert.throws(
      () => assertNoEnqueued(),
      (error: Error) => /pin: '\[FILTERED\]'/.test(error.message) && /SilentJob\(…\) on default/.test(error.message),
    );
  });

  it('fails the test when a callback throws an error that would otherwise only be logged', async () => {
    jobs = await useFakeJobs();
    await AwkwardJob.performLater();
    await assert.rejects(performEnqueuedJobs(), /afterDiscard of AwkwardJob: of the hook/);
  });

  it('ends when the test jobs are restored', async () => {
    jobs = await useFakeJobs({ setup: SETUP });
    await jobs.restore();
    jobs = await useFakeJobs();
    await SecretJob.performLater({ pin: '1234' });
    await performEnqueuedJobs();
    assert.deepEqual(log, ['performed']);
  });
});
