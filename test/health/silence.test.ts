import assert from 'node:assert/strict';
import { treeIssues } from '../../lib/health/issues';
import { NOW, processorOf, treeStatusOf, workerOf } from '../ops/overview/tree-statuses';

const HOUR_MS = 3_600_000;
const hours = (count: number) => new Date(new Date(NOW).getTime() + count * HOUR_MS).toISOString();

describe('the silence of a process', () => {
  const codesOf = (heard: { readonly lastCheckin: string; readonly heartbeatAgeMs: number }) =>
    treeIssues(treeStatusOf({ workers: [workerOf(0, heard)], jobs: processorOf(heard) })).map(({ code }) => code);

  it('does not begin when the clock is set forward', () => {
    assert.deepEqual(codesOf({ lastCheckin: hours(-1), heartbeatAgeMs: 700 }), []);
  });

  it('does not end when the clock is set back', () => {
    assert.deepEqual(codesOf({ lastCheckin: hours(1), heartbeatAgeMs: 8000 }), ['unresponsive', 'jobsUnresponsive']);
  });
});
