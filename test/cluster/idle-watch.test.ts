import assert from 'node:assert/strict';
import { IdleWatch } from '../../lib/cluster/primary/idle-watch';
import type { ProcessorHandle } from '../../lib/cluster/primary/processor-handle';
import type { WorkerHandle } from '../../lib/cluster/primary/worker-handle';
import { Events } from '../../lib/core/events';

const REST = { requestsCount: 7, busyThreads: 0, backlog: 0 };
const NO_JOBS = { inFlight: [], waiting: [] };

/** A tree whose processes have reported this, and its time. */
class ReportingTree {
  now = 0;
  web: object | undefined = REST;
  jobs: (object | undefined)[] = [NO_JOBS];
  finished = 0;
  readonly reasons: string[] = [];
  private readonly watch: IdleWatch;

  constructor() {
    const tree = this;
    this.watch = new IdleWatch({
      timeoutMs: 60_000,
      workers: {
        get handles() {
          return [{ status: tree.web } as WorkerHandle];
        },
      },
      processor: {
        get handles() {
          return tree.jobs.map((status) => ({ status }) as ProcessorHandle);
        },
        get finished() {
          return tree.finished;
        },
      },
      events: new Events(),
      stop: (reason) => this.reasons.push(reason),
      now: () => this.now,
    });
  }

  async stopsAt(now: number): Promise<boolean> {
    this.now = now;
    await this.watch.check();
    return this.reasons.splice(0).length > 0;
  }
}

describe('IDLE_TIMEOUT', () => {
  it('is over when there was no request and no job for that long', async () => {
    const tree = new ReportingTree();
    assert.deepEqual(
      [await tree.stopsAt(0), await tree.stopsAt(59_999), await tree.stopsAt(60_000)],
      [false, false, true],
    );
  });

  const ACTIVITY: Readonly<Record<string, (tree: ReportingTree) => void>> = {
    'a request that has been answered': (tree) => {
      tree.web = { ...REST, requestsCount: 8 };
    },
    'a job that has run': (tree) => {
      tree.finished++;
    },
  };
  for (const [title, act] of Object.entries(ACTIVITY))
    it(`begins again with ${title}`, async () => {
      const tree = new ReportingTree();
      await tree.stopsAt(0);
      act(tree);
      assert.deepEqual(
        [await tree.stopsAt(30_000), await tree.stopsAt(89_999), await tree.stopsAt(90_000)],
        [false, false, true],
      );
    });

  const BUSY: Readonly<Record<string, Partial<Pick<ReportingTree, 'web' | 'jobs'>>>> = {
    'a request is in flight': { web: { ...REST, busyThreads: 1 } },
    'a request waits': { web: { ...REST, backlog: 1 } },
    'a worker has not reported yet': { web: undefined },
    'a job runs': { jobs: [{ ...NO_JOBS, inFlight: [{}] }] },
    'a job of a processor that is being replaced runs': { jobs: [NO_JOBS, { ...NO_JOBS, inFlight: [{}] }] },
    'a job is due': { jobs: [{ ...NO_JOBS, waiting: [{}] }] },
    'the job processor has not reported yet': { jobs: [undefined] },
    'there is no job processor': { jobs: [] },
  };
  for (const [title, change] of Object.entries(BUSY))
    it(`does not begin while ${title}`, async () => {
      const tree = Object.assign(new ReportingTree(), change);
      assert.deepEqual([await tree.stopsAt(0), await tree.stopsAt(100_000)], [false, false]);
      Object.assign(tree, { web: REST, jobs: [NO_JOBS] });
      assert.deepEqual([await tree.stopsAt(100_000), await tree.stopsAt(159_999)], [false, false]);
      assert.equal(await tree.stopsAt(160_000), true);
    });
});
