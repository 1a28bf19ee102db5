import assert from 'node:assert/strict';
import { MemoryWatch, type MemoryWatchOptions } from '../../lib/cluster/primary/memory-watch';
import type { ProcessorHandle } from '../../lib/cluster/primary/processor-handle';
import { Slot } from '../../lib/cluster/primary/slot';
import type { WorkerHandle } from '../../lib/cluster/primary/worker-handle';
import type { ReplaceOrder } from '../../lib/cluster/primary/worker-pool';
import { Events } from '../../lib/core/events';
import { deferred } from '../../lib/support/deferred';

/** A worker is recycled when the tree uses more than 85 % of it. */
const LIMIT_MB = 1000;
const PRIMARY = 1;

/** A tree whose processes have the given sizes. The worker in slot n has pid 10 + n, its successor 20 + n, and so on. */
class FakeTree {
  readonly sizes = new Map<number, number>();
  readonly slots: Slot[];
  readonly replaced: [slot: number, order: ReplaceOrder][] = [];
  readonly told: { readonly totalMb: number; readonly workerMb: number }[] = [];
  readonly watch: MemoryWatch;
  now = 0;
  /** Memory of a new worker, MB. */
  freshMb = 100;
  /** Number of measurements. */
  measured = 0;
  /** A replacement lasts until this resolves. */
  meanwhile = Promise.resolve();

  private readonly events = new Events();

  constructor(
    primaryMb: number,
    workersMb: readonly number[],
    private readonly limitMb: number | null = LIMIT_MB,
  ) {
    this.events.on('memory.high', (event) => this.told.push(event));
    this.sizes.set(PRIMARY, primaryMb);
    this.slots = workersMb.map((_, index) => new Slot(index, {}));
    for (const [index, mb] of workersMb.entries()) this.place(this.slot(index), 10 + index, mb);
    this.watch = this.watching([PRIMARY]);
  }

  watching(others: readonly number[], processor?: MemoryWatchOptions['processor']): MemoryWatch {
    const { limitMb } = this;
    const options = { limitMb, otherPids: () => others, now: () => this.now, ...(processor && { processor }) };
    return new MemoryWatch(this, this.events, { ...options, measure: (pids) => this.measure(pids) });
  }

  get handles(): WorkerHandle[] {
    return this.slots.flatMap((slot) => slot.handles);
  }

  slot(index: number): Slot {
    return this.slots[index] ?? assert.fail();
  }

  place(slot: Slot, pid: number, mb: number, state: WorkerHandle['state'] = 'ready'): void {
    this.sizes.set(pid, mb);
    slot.handle = { pid, state } as WorkerHandle;
  }

  async replace(slot: Slot, _reason: string, order: ReplaceOrder) {
    this.replaced.push([slot.index, order]);
    slot.replacing = this.meanwhile;
    await this.meanwhile;
    slot.replacing = undefined;
    const pid = slot.handle?.pid ?? 0;
    this.sizes.delete(pid);
    this.place(slot, pid + 10, this.freshMb);
    return { replaced: true as const };
  }

  /** The slots whose workers were recycled. */
  recycled(): number[] {
    return this.replaced.map(([slot]) => slot);
  }

  private measure(pids: readonly number[]) {
    this.measured++;
    const byPid = new Map([...this.sizes].filter(([pid]) => pids.includes(pid)));
    return { byPid, totalMb: byPid.size === 0 ? null : [...byPid.values()].reduce((sum, mb) => sum + mb, 0) };
  }
}

describe('the memory of a tree', () => {
  it('is left alone up to 85 % of the limit', async () => {
    const tree = new FakeTree(250, [300, 300]);
    await tree.watch.check();
    assert.deepEqual(tree.recycled(), []);
    tree.sizes.set(PRIMARY, 251);
    await tree.watch.check();
    assert.deepEqual(tree.told, [{ totalMb: 851, limitMb: LIMIT_MB, slot: 0, workerMb: 300 }]);
  });

  it('is brought below the limit by recycling the largest worker, repeatedly if necessary', async () => {
    const tree = new FakeTree(100, [200, 400, 300]);
    await tree.watch.check();
    await tree.watch.check();
    assert.deepEqual(tree.replaced, [[1, 'stop-first']]);
    tree.sizes.set(10, 600);
    await tree.watch.check();
    assert.deepEqual(tree.recycled(), [1, 0]);
  });

  it('is not reclaimed from a worker that boots, nor from any while one is being replaced', async () => {
    const tree = new FakeTree(100, [300, 400, 500]);
    tree.place(tree.slot(2), 12, 500, 'booting');
    const replacement = deferred();
    tree.meanwhile = replacement.promise;
    // By an operator or a phased restart.
    const other = tree.replace(tree.slot(0), 'phase', 'start-first');
    await tree.watch.check();
    assert.deepEqual(tree.recycled(), [0]);
    replacement.resolve();
    await other;
    await tree.watch.check();
    assert.deepEqual(tree.recycled(), [0, 1]);
  });

  it('is left alone for a minute when recycling did not bring it below 85 % of the limit', async () => {
    const tree = new FakeTree(700, [100, 100]);
    await tree.watch.check();
    tree.now = 59_999;
    await tree.watch.check();
    assert.equal(tree.recycled().length, 1);
    tree.now = 60_000;
    await tree.watch.check();
    assert.equal(tree.recycled().length, 2);
  });

  for (const [state, count, restarts] of [
    ['ready', 1, 1],
    ['ready', 2, 0],
    ['quiet', 1, 0],
    ['booting', 1, 0],
  ] as const)
    it(`is reclaimed from the job processor of a tree without workers only if there is one and it is ready: ${count} × ${state}`, async () => {
      const tree = new FakeTree(100, []);
      tree.sizes.set(10, 751);
      const orders: ReplaceOrder[] = [];
      const processor = {
        handles: Array.from({ length: count }, () => ({ pid: 10, state }) as ProcessorHandle),
        restart: async (orderFor: (pid: number) => ReplaceOrder) => {
          orders.push(orderFor(10));
          throw new Error('it cannot boot');
        },
      };
      const watch = tree.watching([PRIMARY, 10], () => processor);
      await Promise.allSettled([watch.check()]);
      await watch.check();
      assert.deepEqual(orders, Array(restarts).fill('stop-first'));
      assert.deepEqual(tree.told, Array(restarts).fill({ totalMb: 851, limitMb: LIMIT_MB, slot: null, workerMb: 751 }));
    });

  it('is never reclaimed without a limit or when it cannot be measured', async () => {
    const unlimited = new FakeTree(9000, [9000, 9000], null);
    const untold = new FakeTree(9000, [9000, 9000]);
    untold.sizes.clear();
    for (const tree of [unlimited, untold]) {
      await tree.watch.check();
      assert.deepEqual(tree.recycled(), []);
      assert.equal(tree.watch.orderFor(tree.slot(0)), 'start-first');
    }
  });

  it('decides the order of a replacement: the successor starts first if it fits beside the old worker, or if that is the only one', () => {
    // A successor may take 1.2 times as much for a while.
    const orderIn = (primaryMb: number, workersMb: number[]) => {
      const tree = new FakeTree(primaryMb, workersMb);
      return tree.watch.orderFor(tree.slot(0));
    };
    assert.equal(orderIn(330, [100, 300]), 'start-first');
    assert.equal(orderIn(331, [100, 300]), 'stop-first');
    assert.equal(orderIn(700, [500]), 'start-first');
    // Of the job processor there is one, so a second one may use what is left up to the limit itself.
    for (const [workerMb, order] of [
      [780, 'start-first'],
      [781, 'stop-first'],
    ] as const)
      assert.equal(new FakeTree(100, [workerMb]).watch.orderForProcessor(PRIMARY), order);
  });

  it('is measured again on request only after ten seconds', () => {
    const tree = new FakeTree(100, [100]);
    assert.equal(tree.watch.recent().totalMb, 200);
    tree.now = 9999;
    tree.watch.recent();
    assert.equal(tree.measured, 1);
    tree.now = 10_000;
    tree.watch.recent();
    assert.equal(tree.measured, 2);
  });
});
