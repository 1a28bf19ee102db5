import assert from 'node:assert/strict';
import type { ProcessorStats } from '../../lib/cluster/status';
import { processorsIn } from '../../lib/tree/processors';
import { NOW, processorOf, processorStatusOf, treeStatusOf } from '../ops/overview/tree-statuses';

const RUN = { what: 'a job', id: 'x', ageMs: 5 };

describe('the list of job processors', () => {
  const ofTree = (id: string, jobs: ProcessorStats, other?: ProcessorStats) => ({
    treeStatus: treeStatusOf({ id, jobs, stats: { otherJobProcessor: other } }),
    heartbeatAgeMs: 400,
  });
  const named = (...trees: readonly ReturnType<typeof ofTree>[]) => processorsIn(trees).map(({ identity }) => identity);

  it('has what the last status of its tree says of each', () => {
    const lastStatus = processorStatusOf({ inFlight: [RUN, RUN] });
    const busy = processorOf({ identity: 'a-1', pid: 7, startedAt: NOW, heartbeatAgeMs: 300, lastStatus });
    assert.deepEqual(processorsIn([ofTree('a', busy)]), [
      {
        identity: 'a-1',
        tree: 'a',
        app: 'shop',
        version: '0.1.0',
        host: 'vm',
        pid: 7,
        startedAt: Date.parse(NOW),
        queues: ['default', 'mailer'],
        concurrency: 2,
        quiet: false,
        stopping: false,
        busyCount: 2,
        rssMb: 80,
        lagP99Ms: 12,
        utilization: 0.1,
        heartbeatAgeMs: 700,
      },
    ]);
  });

  it('is sorted by tree, then by age, and shows the predecessor that finishes its jobs', () => {
    const old = processorOf({ identity: 'b-0', state: 'stopping', startedAt: '2026-03-01T00:00:00.000Z' });
    const successor = processorOf({ identity: 'b-1', state: 'quiet' });
    const trees = [ofTree('b', successor, old), ofTree('a', processorOf({ identity: 'a-0' }))];
    assert.deepEqual(
      processorsIn(trees).map(({ identity, quiet, stopping }) => [identity, quiet, stopping]),
      [
        ['a-0', false, false],
        ['b-0', false, true],
        ['b-1', true, false],
      ],
    );
  });

  it('has none that boots, and none of a tree that has no job processor', () => {
    const nobody = processorOf({ identity: null, pid: null, state: 'backing_off', startedAt: null, lastStatus: {} });
    assert.deepEqual(named(ofTree('a', nobody), ofTree('b', processorOf({ state: 'booting', lastStatus: {} }))), []);
  });

  it('has one that has not reported yet, with nothing running', () => {
    const [listed] = processorsIn([ofTree('a', processorOf({ lastStatus: {} }))]);
    assert.deepEqual([listed?.busyCount, listed?.rssMb], [0, 0]);
  });
});
