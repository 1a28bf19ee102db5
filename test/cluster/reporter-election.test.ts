import assert from 'node:assert/strict';
import { type ReporterCandidate, ReporterElection } from '../../lib/cluster/primary/child-handle';
import { Events } from '../../lib/core/events';

describe("who keeps a tree's place in Redis", () => {
  const told: string[] = [];
  const candidate = (pid: number, healthy = true): ReporterCandidate => ({
    pid,
    healthy,
    appoint: (on) => told.push(`${on ? '+' : '-'}${pid}`),
  });
  beforeEach(() => {
    told.length = 0;
  });

  it('is the first that is fit, as long as it is', () => {
    let candidates = [candidate(1, false), candidate(2), candidate(3)];
    const post = new ReporterElection(() => candidates, new Events());
    post.check();
    candidates = [candidate(1), candidate(2), candidate(3)];
    post.check();
    assert.deepEqual(told, ['+2'], 'nobody is relieved without need');
    candidates = [candidate(1), candidate(2, false), candidate(3)];
    post.check();
    assert.deepEqual(told, ['+2', '-2', '+1']);
  });

  it('is another when that one is gone, and nobody when there is none', () => {
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
