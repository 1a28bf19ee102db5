import assert from 'node:assert/strict';
import { frame } from '../../../lib/cli/top/frame';
import { NO_RATES } from '../../../lib/cli/top/rates';
import { NO_STORES, type Stores } from '../../../lib/cli/top/stores';
import { redraw } from '../../../lib/cli/top/top';
import { line, type Size, type Tone, type View } from '../../../lib/cli/top/view';
import type { QueueStatus } from '../../../lib/job/row/queue-status';
import { width } from '../../../lib/support/text-table';
import { known, queueOf, systemStatusOf } from '../../health/system-statuses';
import { NOW as AT, statusOf, treeStatusOf, workerOf } from '../../ops/overview/tree-statuses';

const NOW = Date.parse(AT);
const SIZE: Size = { columns: 80, rows: 24 };

const queue = (name: string, about: Partial<QueueStatus> = {}): QueueStatus => ({
  name,
  waiting: 0,
  active: 0,
  blocked: 0,
  delayed: 0,
  latencyMs: 0,
  next: undefined,
  paused: undefined,
  ...about,
});
const stores = (...queues: QueueStatus[]): Stores => ({ ...NO_STORES, queues, retry: 3, scheduled: 12, dead: 128 });

const view = (about: Partial<View>): View => ({
  treeStatus: treeStatusOf(),
  rates: NO_RATES,
  stores: NO_STORES,
  silence: undefined,
  ...about,
});

const drawn = (shown: View, size = SIZE) => frame(shown, size, NOW).map(({ text }) => text);
const fits = (lines: readonly string[], { columns, rows }: Size) => {
  assert.ok(lines.length <= rows, `${lines.length} lines`);
  for (const text of lines) assert.ok(width(text) <= columns, `${width(text)} columns: ${text}`);
};

describe('a frame of top', () => {
  const workers = [
    workerOf(0, {
      lastStatus: statusOf({
        busyThreads: 3,
        backlog: 7,
      }),
      restarts: { crash: 1, phase: 2 },
    }),
    workerOf(1, { state: 'draining' }),
  ];
  const busy = treeStatusOf({ workers });

  it('shows the whole tree in 80 columns and 24 rows', () => {
    const lines = drawn(view({ treeStatus: busy, stores: stores(queue('default', { waiting: 12, latencyMs: 3400 })) }));
    fits(lines, SIZE);
    const text = lines.join('\n');
    assert.match(lines[0] ?? '', /^shop on web\.1, pid 24, up 2 h 0 min, phase 0 {2}\d\d:\d\d:\d\d$/);
    assert.match(text, /^Memory {4}220 MB of 512 MB \(43 %\)$/m);
    assert.match(text, /^ {2}web 0 +100 +ready +3\/5 +7 .* 60 MB +3 \(1 crash\)$/m);
    assert.match(text, /^ {2}web 1 +101 +draining /m);
    assert.match(text, /^ {2}jobs +90 +ready +0\/2 /m);
    assert.match(text, /^ {2}primary +24 +ready /m);
    assert.match(text, /^ {2}default +12 +0 +0 +3 s {2}open$/m);
    assert.match(text, /^Retry 3, scheduled 12, dead 128$/m);
  });

  it('shows issues first on the smallest screen', () => {
    const paused = Array.from({ length: 8 }, (_, n) =>
      queueOf(`queue-${n}`, { paused: { since: new Date(NOW), by: 'ada' } }),
    );
    const size = { columns: 40, rows: 8 };
    const systemStatus = systemStatusOf(busy, { queues: known(paused) });
    const lines = drawn(view({ treeStatus: busy, stores: { ...NO_STORES, systemStatus } }), size);
    fits(lines, size);
    assert.match(
      lines.join('\n'),
      /^! 8 things need you:\n {2}Queue queue-0 is paused .*\n(?: {2}Queue .*\n){3} {2}… 4 more\n/m,
    );
  });

  it('says in its second line what is wrong', () => {
    const well = treeStatusOf();
    const known = { ...NO_STORES, systemStatus: systemStatusOf(well) };
    const verdict = (shown: Partial<View>) => drawn(view({ treeStatus: well, stores: known, ...shown }))[1];
    assert.equal(verdict({}), 'All is well.');
    assert.match(
      verdict({ silence: 'the tree ended' }) ?? '',
      /^! The data below is out of date, asking the tree again: the tree ended$/,
    );
    assert.match(verdict({ treeStatus: { ...well, stopping: true } }) ?? '', /stopping/);
    assert.match(verdict({ treeStatus: { ...well, phasedRestart: true } }) ?? '', /phased restart is under way/);
    const nextRestart = { at: new Date(NOW + 5000).toISOString(), attempt: 3 };
    const lastTermination = {
      at: new Date(NOW).toISOString(),
      reason: 'boot',
      message: 'no',
      code: 1,
      signal: null,
      heartbeatAgeMs: null,
      activity: null,
    } as const;
    const jobProcessor = { ...well.stats.jobProcessor, state: 'backing_off' } as const;
    const dead = { ...well, stats: { ...well.stats, jobProcessor }, processor: { lastTermination, nextRestart } };
    assert.match(verdict({ treeStatus: dead }) ?? '', /^! One thing needs you:$/);
    assert.match(
      drawn(view({ treeStatus: dead, stores: known }))[2] ?? '',
      /^ {2}The job processor restarts, try 3\. It died at boot: no\.$/,
    );
    assert.match(verdict({ stores: NO_STORES }) ?? '', /^~ Not everything is known at the moment\.$/);
  });

  it('shows a primary that serves the web itself, and one without jobs', () => {
    const whole = treeStatusOf({ workers: [], stats: { workers: 0 } });
    const single = statusOf({ busyThreads: 2, backlog: 1, inFlight: [{ what: 'GET /', id: 'a', ageMs: 7 }] });
    const limits = { ...whole.limits, jobConcurrency: 0 };
    const jobProcessor = { ...whole.stats.jobProcessor, pid: null, state: 'disabled' } as const;
    const alone = { ...whole, limits, stats: { ...whole.stats, single, jobProcessor } };
    const text = drawn(
      view({ treeStatus: alone, stores: { ...stores(queue('default')), systemStatus: systemStatusOf(alone) } }),
    ).join('\n');
    assert.match(text, /^All is well\.$/m);
    assert.match(text, /^ {2}primary +24 +ready +2\/5 +1 /m);
    assert.doesNotMatch(text, /^. (web|jobs) /m);
  });

  it('shows the workers with problems when there is no room for all', () => {
    const workers = Array.from({ length: 64 }, (_, i) => workerOf(i, i === 63 ? { state: 'booting' } : {}));
    const lines = drawn(view({ treeStatus: treeStatusOf({ workers }), stores: stores(queue('default')) }));
    fits(lines, SIZE);
    const text = lines.join('\n');
    assert.match(text, /^ {2}web 63 +\d+ +booting/m);
    assert.match(text, /… \d+ more workers/);
    assert.match(text, /^ {2}primary/m);
    assert.match(text, /Retry 3/);
  });

  it('shows the queues that are furthest behind when there is no room for all', () => {
    const queues = Array.from({ length: 40 }, (_, i) => queue(`q${i}`, { latencyMs: i * 1000 }));
    const lines = drawn(view({ treeStatus: busy, stores: stores(...queues) }));
    fits(lines, SIZE);
    assert.match(lines.join('\n'), /^ {2}q39 /m);
    assert.doesNotMatch(lines.join('\n'), /^ {2}q0 /m);
    assert.match(lines.join('\n'), /… \d+ more queues/);
  });

  it('aligns columns with East Asian wide characters, and escapes control characters in what it shows', () => {
    const shown = view({ stores: stores(queue('메일', { waiting: 1234 }), queue('default'), queue('\x1b[2J\x07')) });
    const lines = drawn(shown);
    fits(lines, SIZE);
    const text = lines.join('\n');
    assert.ok(!text.includes('\x1b') && !text.includes('\x07'));
    assert.match(text, /\\x1b\[2J\\x07/);
    const [hangul = '', latin = ''] = lines.filter((one) => /메일|default/.test(one));
    const end = (one: string) => width(one.slice(0, one.indexOf('open')));
    assert.equal(end(hangul), end(latin), 'the columns are aligned');
  });

  it('fits a terminal of any size', () => {
    const shown = view({ treeStatus: busy, stores: stores(queue('default'), queue('mailer')) });
    for (const columns of [1, 39, 40, 60, 80, 200]) {
      for (const rows of [1, 2, 8, 12, 15, 24, 50]) fits(drawn(shown, { columns, rows }), { columns, rows });
    }
    assert.match(drawn(shown, { columns: 80, rows: 16 }).join('\n'), /Retry 3/);
  });

  it('shows unknown values as unknown', () => {
    const text = drawn(
      view({ treeStatus: treeStatusOf({ workers: [workerOf(0, { lastStatus: {}, pssMb: null })] }) }),
    ).join('\n');
    assert.match(text, /^ {2}web 0 +100 +ready +– +– +– +– +– +– +0$/m);
    assert.match(text, /^Requests {2}–\/s {2}p50 – {2}p99 – /m);
    assert.match(text, /^Queues: asking …$/m);
    const failed = { ...NO_STORES, trouble: 'Redis does not answer' };
    assert.match(drawn(view({ treeStatus: busy, stores: failed })).join('\n'), /^Queues: Redis does not answer$/m);
    const long = { ...NO_STORES, trouble: `REDIS_URL is not set. ${'Advice, and more advice. '.repeat(4)}The end.` };
    const lines = drawn(view({ treeStatus: busy, stores: long }));
    fits(lines, SIZE);
    assert.match(lines.join('\n'), /^Queues: REDIS_URL is not set.*\n.*The end\.$/m);
  });

  it('lists every worker in a pipe', () => {
    const workers = Array.from({ length: 64 }, (_, i) => workerOf(i));
    const shown = view({ treeStatus: treeStatusOf({ workers }), stores: stores(queue('default')) });
    const lines = drawn(shown, { columns: 160, rows: 200 });
    assert.equal(lines.filter((text) => /^ {2}web \d+ /.test(text)).length, 64);
  });
});

describe('the style of top', () => {
  const tones: Tone[] = ['plain', 'strong', 'faint', 'warn', 'bad'];
  const styles = (isColoured: boolean) => tones.map((tone) => redraw([line('x', tone)], isColoured));

  it('uses colours', () => {
    assert.equal(new Set(styles(true)).size, tones.length);
    assert.equal(redraw([line('x', 'warn')], true), '\x1b[H\x1b[33mx\x1b[0m\x1b[K\n\x1b[J');
  });

  it('uses none when NO_COLOR is set', () => {
    for (const text of styles(false)) assert.ok(!text.includes('33m') && !text.includes('31m'), JSON.stringify(text));
  });
});
