import assert from 'node:assert/strict';
import { ReporterElection } from '../../lib/cluster/primary/reporter-election';
import { Events } from '../../lib/core/events';

describe('the reporter of a tree', () => {
  const told: string[] = [];
  const candidate = (pid: number, isHealthy = true) => ({
    pid,
    isHealthy,
    setReporter: (on: boolean) => void told.push(`${on ? '+' : '-'}${pid}`),
  });
  beforeEach(() => {
    told.length = 0;
  });

  it('is the first healthy worker, as long as it is healthy', () => {
    let candidates = [candidate(1, false), candidate(2), candidate(3)];
    const post = new ReporterElection(() => candidates, new Events());
    post.check();
    candidates = [candidate(1), candidate(2), candidate(3)];
    post.check();
    assert.deepEqual(told, ['+2'], 'a healthy reporter is kept');
    candidates = [candidate(1), candidate(2, false), candidate(3)];
    post.check();
    assert.deepEqual(told, ['+2', '-2', '+1']);
  });

  it('is the next worker when that one is gone, and none when there are no workers', () => {
    let candidates = [candidate(1), candidate(2)];
    const post = new ReporterElection(() => candidates, new Events());
    post.check();
    candidates = [candidate(2)];
    post.check();
    candidates = [];
    post.check();
    candidates = [candidate(4)];
    post.check();
    assert.deepEqual(told, ['+1', '+2', '+4']);
  });
});
