import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { JobSystem } from './job-system';

const lateness: number[] = [];

class TimedJob extends Job<[due: number]> {
  perform(due: number): void {
    lateness.push(performance.now() - due);
  }
}

/** The limits are wide: they tell a wake from a poll, not a fast machine from a slow one. */
describe('an idle processor', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
    await system.processor([TimedJob]);
  });
  after(() => system.stop());
  beforeEach(() => {
    lateness.length = 0;
  });

  const medianOf = async (count: number, enqueue: () => Promise<unknown>): Promise<number> => {
    for (let n = 0; n < count; n++) {
      await enqueue();
      await until('it ran', () => lateness.length === n + 1, { everyMs: 1 });
    }
    return lateness.sort((a, b) => a - b)[Math.floor(count / 2)] ?? Number.NaN;
  };

  it('takes a job up as soon as it is there', async () => {
    const median = await medianOf(60, () => TimedJob.performLater(performance.now()));
    assert.ok(median < 30, `${median} ms`);
  });

  it('takes it up as soon as its transaction has committed', async () => {
    const median = await medianOf(30, () => transaction(() => TimedJob.performLater(performance.now())));
    assert.ok(median < 80, `${median} ms`);
  });

  it('takes it up when it is due, and not before', async () => {
    const median = await medianOf(8, () => TimedJob.set({ wait: 250 }).performLater(performance.now() + 250));
    assert.ok((lateness[0] ?? 0) > -5, `${lateness[0]} ms`);
    assert.ok(median < 150, `${median} ms`);
  });
});
