import assert from 'node:assert/strict';
import { frame, snapshot } from '../../../lib/cli/top/frame';
import { NO_RATES } from '../../../lib/cli/top/rates';
import { stylerFor, UNSTYLED } from '../../../lib/cli/top/screen';
import { NO_STORES, type Stores } from '../../../lib/cli/top/stores';
import { line, type Size, type Tone, type View } from '../../../lib/cli/top/view';
import type { ListedQueue } from '../../../lib/job/admin/queues';
import { width } from '../../../lib/support/text-table';
import { known, queueOf, systemStatusOf } from '../../health/system-statuses';
import { NOW as AT, slotOf, statusOf, treeStatusOf, workerOf } from '../../ops/overview/tree-statuses';

const NOW = Date.parse(AT);
const SIZE: Size = { columns: 80, rows: 24 };

const queue = (name: string, about: Partial<ListedQueue> = {}): ListedQueue => ({
  name,
  waiting: 0,
  active: 0,
  blocked: 0,
  delayed: 0,
  dead: 0,
  latencyMs: 0,
  next: undefined,
  paused: undefined,
  ...about,
});
const stores = (...queues: ListedQueue[]): Stores => ({ ...NO_STORES, queues, retry: 3, scheduled: 12, dead: 128 });

const view = (about: Partial<View>): View => ({
  treeStatus: undefined,
  rates: NO_RATES,
  stores: NO_STORES,
  silence: undefined,
  selected: 0,
  message: undefined,
  question: undefined,
  help: false,
  ...about,
});

const drawn = (shown: View, size = SIZE) => frame(shown, size, NOW).map(({ text }) => text);
const fits = (lines: readonly string[], { columns, rows }: Size) => {
  assert.equal(lines.length, rows);
  for (const text of lines) assert.ok(width(text) <= columns, `${width(text)} columns: ${text}`);
};

describe('a frame of top', () => {
  const workers = [
    workerOf(0, {
      lastStatus: statusOf({
        busyThreads: 3,
        backlog: 7,
        inFlight: [
          { what: 'GET /slow', id: 'a', ageMs: 1200 },
          { what: 'POST /users', id: 'b', ageMs: 40 },
        ],
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
    assert.match(text, /^› web 0 +100 +ready +3\/5 +7 .* 60 MB +3 \(1 crash\)$/m);
    assert.match(text, /^ {2}web 1 +101 +draining /m);
    assert.match(text, /^ {2}jobs +90 +ready +0\/2 /m);
    assert.match(text, /^ {2}primary +24 +ready /m);
    assert.match(text, /^ {2}default +12 +0 +0 +3 s {2}open$/m);
    assert.match(text, /^Retry 3, scheduled 12, dead 128$/m);
    assert.match(text, /^ {2}web 0 +1\.2 s {2}GET \/slow$/m);
    assert.match(lines.at(-1) ?? '', /^q quit .* h help$/);
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
      /^! 8 things need you:\n {2}Queue queue-0 is paused .*\n(?: {2}Queue .*\n){3} {2}… 4 more\nq quit/m,
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
    assert.match(
      drawn(view({ treeStatus: dead })).join('\n'),
      /^! \d\d:\d\d:\d\d {2}the job processor died \(try 3 is next\): no$/m,
    );
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
    assert.match(text, /^ {2}primary +7 ms {2}GET \/$/m);
    assert.doesNotMatch(text, /^. (web|jobs) /m);
  });

  it('keeps the selected one of many workers visible', () => {
    const many = treeStatusOf({ workers: Array.from({ length: 64 }, (_, i) => workerOf(i)) });
    for (const selected of [0, 1, 30, 62, 63]) {
      const lines = drawn(view({ treeStatus: many, selected, stores: stores(queue('default')) }));
      fits(lines, SIZE);
      assert.equal(lines.filter((text) => text.startsWith(`› web ${selected} `)).length, 1, String(selected));
      assert.match(lines.join('\n'), /… \d+ more workers/);
      assert.match(lines.join('\n'), /^ {2}primary/m);
      assert.match(lines.join('\n'), /Retry 3/);
    }
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
    const message = '\x1b[2J\x07결제 서비스가 응답하지 않습니다 '.repeat(5);
    const lastTermination = {
      at: new Date(NOW).toISOString(),
      reason: 'crash',
      message,
      code: 1,
      signal: null,
      heartbeatAgeMs: null,
      activity: null,
    } as const;
    const slots = [slotOf(0, { lastTermination, nextRestart: { at: lastTermination.at, attempt: 1 } })];
    const inFlight = [{ what: `GET /상품/${'가'.repeat(60)}`, id: 'a', ageMs: 5 }];
    const shown = view({
      treeStatus: treeStatusOf({ workers: [workerOf(0, { lastStatus: statusOf({ inFlight: inFlight }) })], slots }),
      stores: stores(queue('메일', { waiting: 1234 }), queue('default')),
    });
    const lines = drawn(shown);
    fits(lines, SIZE);
    const text = lines.join('\n');
    assert.ok(!text.includes('\x1b') && !text.includes('\x07'));
    assert.match(text, /died \(try 1 is next\): \\x1b\[2J\\x07결제 서비스가/);
    const [hangul = '', latin = ''] = lines.filter((one) => /메일|default/.test(one));
    const end = (one: string) => width(one.slice(0, one.indexOf('open')));
    assert.equal(end(hangul), end(latin), 'the columns are aligned');
  });

  it('fits a terminal of any size', () => {
    const shown = view({ treeStatus: busy, stores: stores(queue('default'), queue('mailer')), selected: 1 });
    for (const columns of [1, 39, 40, 60, 80, 200]) {
      for (const rows of [1, 2, 8, 12, 15, 24, 50]) fits(drawn(shown, { columns, rows }), { columns, rows });
    }
    assert.deepEqual(drawn(shown, { columns: 39, rows: 24 })[0], 'enlarge to 40×8');
    assert.match(drawn(shown, { columns: 80, rows: 16 }).join('\n'), /Retry 3/);
  });

  it('shows unknown values as unknown', () => {
    const text = drawn(
      view({ treeStatus: treeStatusOf({ workers: [workerOf(0, { lastStatus: {}, pssMb: null })] }) }),
    ).join('\n');
    assert.match(text, /^› web 0 +100 +ready +– +– +– +– +– +– +0$/m);
    assert.match(text, /^Requests {2}–\/s {2}p50 – {2}p99 – /m);
    assert.match(text, /^Queues: asking …$/m);
    const failed = { ...NO_STORES, trouble: 'Redis does not answer' };
    assert.match(drawn(view({ treeStatus: busy, stores: failed })).join('\n'), /^Queues: Redis does not answer$/m);
    const long = { ...NO_STORES, trouble: `REDIS_URL is not set. ${'Advice, and more advice. '.repeat(4)}The end.` };
    const lines = drawn(view({ treeStatus: busy, stores: long }));
    fits(lines, SIZE);
    assert.match(lines.join('\n'), /^Queues: REDIS_URL is not set.*\n.*The end\.$/m);
    assert.match(drawn(view({})).join('\n'), /Asking the tree/);
  });

  it('shows questions and messages in the last line', () => {
    assert.equal(drawn(view({ treeStatus: busy, question: 'Recycle worker 0?' })).at(-1), 'Recycle worker 0? y/n');
    assert.equal(drawn(view({ treeStatus: busy, message: line('Workers: 3') })).at(-1), 'Workers: 3');
    const help = drawn(view({ treeStatus: busy, help: true }));
    fits(help, SIZE);
    assert.ok(!help.some((text) => text.endsWith('…')), 'no line of the help is cut');
    assert.equal(help.at(-1), 'any key: back');
  });

  it('lists every worker when there is no terminal', () => {
    const many = treeStatusOf({ workers: Array.from({ length: 64 }, (_, i) => workerOf(i)) });
    const lines = snapshot(view({ treeStatus: many, stores: stores(queue('default')) }), 160, NOW).map(
      ({ text }) => text,
    );
    assert.equal(lines.filter((text) => /^ {2}web \d+ /.test(text)).length, 64);
    assert.ok(!lines.some((text) => text.startsWith('›') || /q quit/.test(text)));
  });
});

describe('the style of top', () => {
  const tones: Tone[] = ['plain', 'strong', 'faint', 'selected', 'warn', 'bad'];

  it('uses colours', () => {
    const styled = tones.map((tone) => stylerFor(true)('x', tone));
    assert.equal(new Set(styled).size, tones.length);
    assert.equal(stylerFor(true)('x', 'warn'), '\x1b[33mx\x1b[0m');
  });

  it('uses none when NO_COLOR is set, but still marks the selection', () => {
    for (const tone of tones) {
      const codes = stylerFor(false)('x', tone)
        .split('\x1b[')
        .slice(1)
        .map((code) => code.split('m')[0]);
      assert.ok(
        codes.every((code) => /^[0127]$/.test(code ?? '')),
        `${tone}: ${codes}`,
      );
    }
    assert.notEqual(stylerFor(false)('x', 'selected'), 'x');
    assert.equal(UNSTYLED('x', 'bad'), 'x');
  });
});
