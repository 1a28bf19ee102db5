import assert from 'node:assert/strict';
import { judgementLines } from '../../lib/cli/top/stores';
import type { PartProgress } from '../../lib/cluster/status';
import { lastProgress } from '../../lib/health/last-progress';
import { NOW, processorOf, statusOf, treeStatusOf } from '../ops/overview/tree-statuses';
import { known, REDIS, systemStatusOf } from './system-statuses';

describe('servers of REDIS_SHARDS', () => {
  const told = (progress: readonly PartProgress[], shards: readonly (typeof REDIS & { readonly about: string })[]) => {
    const lastStatus = { ...statusOf(), quiet: false, inFlight: [], progress };
    const tree = treeStatusOf({ jobs: processorOf({ lastStatus }) });
    const status = systemStatusOf(tree, { redis: known({ ...REDIS, shards }) });
    return judgementLines(status, tree, new Date(NOW)).map(({ text }) => text.trim().replaceAll('\u00a0', ' '));
  };

  it('that are unavailable are named, with the queues that are not shown', () => {
    const away = {
      part: 'queue',
      movedMs: null,
      owedMs: 9000,
      cause: 'unreachable',
      error: 'mailer, reports at b:6379',
    };
    const [, line] = told([away as PartProgress], []);
    assert.match(String(line), /^Standing still: a queue with jobs, for 9\.0 s: the server cannot be reached, or/);
    assert.match(String(line), /\. Not shown here: mailer, reports at b:6379\.$/);
  });

  it('are not listed with their last progress', () => {
    const answers = { part: 'queue', movedMs: 900, owedMs: 0, cause: 'noAnswer', error: 'mailer at b:6379' } as const;
    const lastStatus = { ...statusOf(), quiet: false, inFlight: [], progress: [answers] };
    assert.deepEqual(lastProgress(treeStatusOf({ jobs: processorOf({ lastStatus }) })), []);
  });

  it('are named in separate warnings when they are low on memory or may evict jobs', () => {
    const full = { ...REDIS, about: 'mailer at b:6379', usedBytes: 24e6 };
    const dropping = { ...REDIS, about: 'reports at c:6379', policy: 'volatile-ttl' };
    assert.deepEqual(told([], [full, dropping]).slice(1), [
      'Redis is nearly full: 96 % of its memory is in use. mailer at b:6379',
      'Redis may drop jobs: its maxmemory-policy is volatile-ttl, not noeviction. reports at c:6379',
    ]);
    assert.deepEqual(told([], [{ ...REDIS, about: 'mailer at b:6379' }]).slice(1), []);
  });
});
