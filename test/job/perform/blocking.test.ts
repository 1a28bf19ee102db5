import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import { BlockingJob, LongJob, startDoomedProcessor } from '../doomed-processor';
import { JobSystem } from '../job-system';

/** Of the real 30 s and 20 s. */
const SCALE = 1 / 20;
const STALL_MS = 30_000 * SCALE;
const BLOCK_MS = 20_000 * SCALE;

interface Span {
  readonly from: number;
  readonly to: number;
}

describe('a job that holds the event loop for 20 s (scaled)', () => {
  let system: JobSystem;
  const children: ChildProcess[] = [];
  before(async () => {
    system = await JobSystem.start();
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await system.stop();
  });

  it('cannot miss a whole interval of the stall check: marks are answered within a sixth, 20 s fit into the rest', async () => {
    const { client } = system.redis;
    const stallInterval = 6000;
    const processor = await system.processor([LongJob], { tuning: { stallInterval } });
    const { id } = await LongJob.performLater('held');
    await until('it runs', () => processor.snapshot().running.length === 1);
    for (let mark = 0; mark < 4; mark++) {
      const markedAt = performance.now();
      await client.sAdd('bq:default:stalling', id);
      await until('the mark is gone', async () => !(await client.sIsMember('bq:default:stalling', id)));
      const tookMs = performance.now() - markedAt;
      assert.ok(tookMs < stallInterval / 3, `${tookMs} ms`);
    }
    await processor.stop(Deadline.after(1000));
    await system.reset();
  });

  it('lets the process show that it lives before the next one begins, even if both were fetched at once', async () => {
    const turns: number[] = [];
    const spans: Span[] = [];
    class SpanJob extends Job {
      perform(): void {
        const from = performance.now();
        while (performance.now() < from + 600);
        spans.push({ from, to: performance.now() });
      }
    }
    for (let i = 0; i < 3; i++) await SpanJob.performLater();
    const timer = setInterval(() => turns.push(performance.now()), 5);
    await system.processor([SpanJob], { jobs: { concurrency: 3 } });
    await until('all three ran', () => spans.length === 3);
    clearInterval(timer);
    const [a, b, c] = spans as [Span, Span, Span];
    for (const [before, after] of [
      [a, b],
      [b, c],
    ] as const) {
      assert.ok(turns.some((at) => at >= before.to && at <= after.from));
    }
    await system.reset();
  });

  it('is not run twice at once, whenever it begins, although another process is there for it', async () => {
    const begun: string[] = [];
    // Takes for dead nobody: what is tested is the stall check.
    const tuning = { stallInterval: STALL_MS, silenceMs: 600_000 };
    for (const identity of ['one', 'another']) {
      const child = startDoomedProcessor(
        { database: system.postgres.url, redis: system.redisServer.url },
        identity,
        tuning,
      );
      child.on('message', (name: string) => begun.push(name));
      children.push(child);
    }
    const expected: string[] = [];
    // Against the stall check's marks, each begins at another moment.
    for (let i = 0; i < 10; i++) {
      expected.push(`job ${i}`);
      await BlockingJob.performLater(`job ${i}`, BLOCK_MS);
      await until(`job ${i} is over`, async () => (await system.redis.client.hLen('bq:default:jobs')) === 0);
    }
    assert.deepEqual(begun, expected);
  });
});
