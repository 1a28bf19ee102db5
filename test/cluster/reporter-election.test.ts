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

  it('is told when there is another job processor, or an operator has changed something', () => {
    const events = new Events();
    const post = new ReporterElection(() => [candidate(1)], events);
    events.emit('processor.ready', { pid: 2, durationMs: 1 });
    post.check();
    events.emit('processor.exited', { pid: 2, code: 0, signal: null, expected: true });
    events.emit('operator.command', { command: 'jobs quiet', via: 'cli:ada' });
    assert.deepEqual(told, ['+1', '+1', '+1']);
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
