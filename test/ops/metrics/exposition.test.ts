import assert from 'node:assert/strict';
import type { ProcessorStatus } from '../../../lib/cluster/tree-status';
import { ClassStats, Outcomes } from '../../../lib/job/stats/class-stats';
import { OTHER_CLASSES } from '../../../lib/job/stats/collector';
import { expose } from '../../../lib/ops/metrics/exposition';
import { FAMILIES, type Scrape } from '../../../lib/ops/metrics/scrape';
import { NOW, processorOf, statusOf, treeStatusOf, workerOf } from '../overview/tree-statuses';
import { assertConventions } from './conventions';
import { ScrapedText } from './scrape';

const NOTHING: Scrape = {
  tree: undefined,
  treeName: 'web.1',
  queues: undefined,
  sets: { retry: undefined, scheduled: undefined, dead: undefined },
  history: undefined,
  processors: undefined,
  issues: undefined,
  tellsShared: false,
  missing: 9,
  redisAnswers: false,
  postgresAnswers: false,
};

const HOSTILE = ['a"b', 'back\\slash', 'new\nline', '\\n', '{le="1"} 5', '</script>', '이메일 🐆', "o'clock", ' '];

describe('the text of metrics', () => {
  it('omits unknown values instead of reporting 0', async () => {
    const { metrics } = new ScrapedText(await expose(FAMILIES, NOTHING));
    assert.equal(metrics.get('catamount_redis_up')?.lines[0]?.labels.tree, 'web.1');
    assert.deepEqual([...metrics.keys()], ['catamount_scrape_errors', 'catamount_redis_up', 'catamount_postgres_up']);
  });

  it('escapes names with any characters', async () => {
    const tally = new ClassStats();
    tally.processed = 1;
    const mails = { sent: 1, failed: 0, skipped: 0 };
    const history = new Outcomes();
    for (const name of [...HOSTILE, OTHER_CLASSES]) {
      history.classes.set(name, tally);
      history.mailers.set(name, mails);
    }
    const scrape = new ScrapedText(await expose(FAMILIES, { ...NOTHING, history }));
    for (const name of [...HOSTILE, 'other']) {
      assert.equal(scrape.sum('catamount_jobs_total', { class: name, outcome: 'succeeded' }), 1, name);
      assert.equal(scrape.sum('catamount_mails_total', { mailer: name, outcome: 'sent' }), 1, name);
    }
    assertConventions(scrape.metrics);
  });

  it('has base units, and sums up the two processes of a place while one is replaced', async () => {
    const workers = [workerOf(0), workerOf(0, { pid: 7, lastStatus: statusOf({ lagP99Ms: 48 }) })];
    const scrape = new ScrapedText(await expose(FAMILIES, { ...NOTHING, tree: treeStatusOf({ workers }) }));
    const told = (names: string, labels = {}) =>
      names.split(' ').map((name) => scrape.sum(`catamount_${name}`, labels));
    const ofTree = told('start_time_seconds memory_bytes memory_limit_bytes');
    assert.deepEqual(ofTree, [Date.parse(NOW) / 1000 - 7200, 220 * 2 ** 20, 512 * 2 ** 20]);
    const memory = told('process_proportional_memory_bytes process_resident_memory_bytes', { process: 'web.0' });
    assert.deepEqual(memory, [120 * 2 ** 20, 160 * 2 ** 20]);
    const lag = told('process_event_loop_lag_p99_seconds process_event_loop_utilization_ratio', { process: 'web.0' });
    assert.deepEqual([...lag, ...told('postgres_pool_limit', { process: 'jobs' })], [0.048, 0.1, 5]);
  });

  it('counts each duration of a job in cumulative buckets', async () => {
    const tally = new ClassStats();
    const times = [0, 0.4, 1, 3, 3.4, 40, 999, 60_000, 3_600_000, 1e12];
    for (const ms of times) tally.duration.observe(ms);
    const history = new Outcomes();
    history.classes.set('AJob', tally);
    const scrape = new ScrapedText(await expose(FAMILIES, { ...NOTHING, history }));
    const below = (le: string) => scrape.sum('catamount_job_duration_seconds_bucket', { class: 'AJob', le });
    const bounds = (scrape.metrics.get('catamount_job_duration_seconds')?.lines ?? []).flatMap(({ labels }) =>
      labels.le === undefined ? [] : [labels.le],
    );
    assert.equal(bounds.length, 16);
    for (const le of bounds.filter((bound) => bound !== '+Inf')) {
      // Buckets include their lower bound, as in the history.
      assert.equal(below(le), times.filter((ms) => ms < Number(le) * 1000).length, le);
    }
    assert.equal(below('+Inf'), times.length);
  });

  it('lists at most a hundred queues, and sums up the others', async () => {
    const queues = Array.from({ length: 250 }, (_, i) => ({
      name: `q${i}`,
      waiting: 1,
      active: 0,
      blocked: 2,
      delayed: 0,
      dead: 0,
      latencyMs: i,
      next: undefined,
      paused: i === 249 ? { since: new Date(NOW), by: 'ada' } : undefined,
    }));
    const scrape = new ScrapedText(await expose(FAMILIES, { ...NOTHING, queues }));
    assert.equal(scrape.metrics.get('catamount_queue_paused')?.lines.length, 101);
    assert.equal(scrape.sum('catamount_queue_jobs', { state: 'waiting' }), 250);
    assert.equal(scrape.sum('catamount_queue_jobs', { queue: 'other', state: 'blocked' }), 300);
    assert.equal(scrape.sum('catamount_queue_latency_seconds', { queue: 'other' }), 0.249);
    assert.equal(scrape.sum('catamount_queue_paused', { queue: 'other' }), 1);
    assert.equal(scrape.sum('catamount_queue_paused'), 1);
  });

  it('reports how long the jobs of a tree have stood still: 0 while they progress, nothing without a processor', async () => {
    const told = async (changes: Partial<ProcessorStatus>) => {
      const { lastStatus } = processorOf();
      const tree = treeStatusOf({
        jobs: processorOf({ lastStatus: { ...lastStatus, ...changes } as ProcessorStatus }),
      });
      const scrape = new ScrapedText(await expose(FAMILIES, { ...NOTHING, tree }));
      return scrape.sum('catamount_job_standstill_seconds');
    };
    const dispatch = { part: 'dispatch', movedMs: 1, cause: 'other', error: '' } as const;
    assert.equal(await told({ progress: [{ ...dispatch, owedMs: 900 }] }), 0);
    const waiting = [{ queue: 'mailer', ms: 41_000, readMs: 41_000, paused: true }];
    assert.equal(await told({ progress: [{ ...dispatch, owedMs: 12_500 }] }), 12.5);
    assert.equal(await told({ progress: [{ ...dispatch, owedMs: 12_500 }], waiting }), 41);
    const none = new ScrapedText(await expose(FAMILIES, NOTHING));
    assert.equal(none.metrics.get('catamount_job_standstill_seconds')?.lines.length ?? 0, 0);
  });

  it('reports when each part of a job processor last made progress, and omits one that never has', async () => {
    const { lastStatus } = processorOf();
    const idle = { owedMs: 0, cause: 'noAnswer', error: '' } as const;
    const progress = [
      { ...idle, part: 'dispatch', movedMs: 2500 },
      { ...idle, part: 'mail', movedMs: 3_600_000 },
      { ...idle, part: 'cron', movedMs: null },
    ];
    // Its report is as old as its last heartbeat.
    const jobs = processorOf({ heartbeatAgeMs: 12_000, lastStatus: { ...lastStatus, progress } as ProcessorStatus });
    const scrape = new ScrapedText(await expose(FAMILIES, { ...NOTHING, tree: treeStatusOf({ jobs }) }));
    const name = 'catamount_job_last_moved_timestamp_seconds';
    const told = scrape.metrics.get(name)?.lines.map(({ labels, value }) => [labels.part, value]);
    const now = Date.parse(NOW) / 1000;
    assert.deepEqual(told, [
      ['dispatch', now - 14.5],
      ['mail', now - 3612],
    ]);
    const none = new ScrapedText(await expose(FAMILIES, NOTHING));
    assert.equal(none.metrics.has(name), false);
  });
});
