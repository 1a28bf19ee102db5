import assert from 'node:assert/strict';
import type { ProcessorStats, Termination, TreeStatus } from '../../../lib/cluster/status';
import type { Translate } from '../../../lib/core/i18n';
import { eventLines } from '../../../lib/ops/overview/event-lines';
import { memoryView } from '../../../lib/ops/overview/memory-view';
import { type ProcessView, primaryView, workerView } from '../../../lib/ops/overview/process-cards';
import { jobsView } from '../../../lib/ops/overview/processor-card';
import { Formatter } from '../../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../../lib/ops/ui/texts';
import {
  before as ago,
  NOW,
  processorOf,
  processorStatusOf,
  slotOf,
  statusOf,
  treeStatusOf,
  workerOf,
} from './tree-statuses';

const BLOCKED: Termination = {
  at: ago(6),
  reason: 'timeout',
  message: null,
  code: null,
  signal: 'SIGKILL',
  heartbeatAgeMs: 10_000,
  activity: { what: 'POST /imports/ann' },
};
const IN_2_S = { at: new Date(Date.parse(NOW) + 1500).toISOString(), attempt: 2 };

describe('cards and events on the overview:', () => {
  let t: Translate;
  let words: Formatter;
  before(() => {
    const translate = pageTexts(TEXTS).in('en');
    // Numbers and units are joined by non-breaking spaces.
    t = (key, values) => translate(key, values).replaceAll('\u00a0', ' ');
    words = new Formatter(t, new Date(NOW));
  });

  const look = ({ tone, line, icon, phase, say }: ProcessView) => [tone, line, icon, phase, say];
  const worker = (treeStatus: TreeStatus, by = words) =>
    workerView(treeStatus, treeStatus.slots[0] ?? assert.fail(), by);

  it('events of jobs say how many, on which queue and why', () => {
    const dropped = (reason: string) => ({
      at: NOW,
      name: 'dead.dropped' as const,
      about: { queue: 'mailer', count: 3, reason },
    });
    assert.deepEqual(
      eventLines([dropped('limit'), { ...dropped('age'), at: ago(86_400) }], words, 5).map(
        ({ when, tone, text }) => `${when} ${tone}: ${text}`,
      ),
      [
        '14:02:11 warn: Deleted 3 dead jobs of queue mailer: only the newest 10,000 are kept',
        '2026-03-11 warn: Deleted 3 dead jobs of queue mailer: dead for 180 days',
      ],
    );
  });

  describe('the card of a worker', () => {
    const dead = (changes: Partial<ReturnType<typeof slotOf>>) =>
      treeStatusOf({ workers: [workerOf(1)], slots: [slotOf(0, changes), slotOf(1)] });

    it('shows that it is ready, with its figures', () => {
      const busy = workerOf(0, {
        lastStatus: statusOf({ busyThreads: 3, backlog: 4, lagP99Ms: 148 }),
        restarts: { crash: 1, phase: 2 },
      });
      const view = worker(treeStatusOf({ workers: [busy, workerOf(1)] }));
      assert.deepEqual(look(view), ['ok', 'solid', 'ok', 'ready', 'up 2 h\u00a0· 3 restarts\u00a0· pid 100']);
      assert.deepEqual([view.on, view.of, view.barPercent], [3, 5, 30]);
      assert.deepEqual(
        [view.waiting, view.lag, view.memory],
        [
          { text: '4', tone: 'warn' },
          { text: '148 ms', tone: 'warn' },
          { text: '60 MB', tone: null },
        ],
      );
    });

    it('shows why it was killed, and when it will be restarted', () => {
      assert.deepEqual(look(worker(dead({ lastTermination: BLOCKED, nextRestart: IN_2_S }))), [
        'bad',
        'cut',
        'restart',
        'restarting',
        'Loop blocked for 10 s in POST /imports/ann. Killed. Starts in 2.0 s, try 2.',
      ]);
      const crashed: Termination = {
        at: ago(1),
        reason: 'crash',
        message: null,
        code: null,
        signal: 'SIGKILL',
        heartbeatAgeMs: null,
        activity: null,
      };
      const starting = { at: ago(0), attempt: 1 };
      assert.equal(
        worker(dead({ lastTermination: crashed, nextRestart: starting })).say,
        'Ended by SIGKILL. Starting, try 1.',
      );
      const exited: Termination = { ...crashed, code: 3, signal: null };
      assert.equal(
        worker(dead({ lastTermination: exited, nextRestart: starting })).say,
        'It exited with code 3. Starting, try 1.',
      );
      const broken: Termination = { ...exited, reason: 'boot', message: 'Error: no such table' };
      assert.equal(
        worker(dead({ lastTermination: broken, nextRestart: starting })).say,
        'It died at boot: Error: no such table. Starting, try 1.',
      );
      for (const [changes, says] of [
        [{ reason: 'timeout' }, 'It was not ready in time. Killed.'],
        [{ message: 'x'.repeat(91) }, `It crashed: ${'x'.repeat(89)}….`],
        [{ code: null }, 'It crashed.'],
      ] as const)
        assert.equal(words.cause({ ...exited, ...changes }), says);
    });

    it('shows how long it may drain', () => {
      const drainUntil = new Date(Date.parse(NOW) + 17_000).toISOString();
      const old = workerOf(0, { state: 'draining', lastStatus: statusOf({ busyThreads: 2 }) });
      const slots = [slotOf(0, { outgoing: 100, drainUntil }), slotOf(1)];
      assert.deepEqual(look(worker(treeStatusOf({ workers: [old, workerOf(1)], slots }))), [
        'warn',
        'dashed',
        'drain',
        'draining',
        'Takes no new requests; 2 are in flight. Cut off in 17 s.',
      ]);
    });

    it('shows what an unresponsive worker was doing', () => {
      const doing = [{ what: 'POST /imports', id: 'r', ageMs: 8000 }];
      const silent = workerOf(0, {
        lastCheckin: ago(8),
        heartbeatAgeMs: 8000,
        lastStatus: statusOf({ inFlight: doing }),
      });
      const view = worker(treeStatusOf({ workers: [silent, workerOf(1)] }));
      assert.deepEqual([view.tone, view.phase], ['warn', 'unresponsive']);
      assert.match(view.say, /No heartbeat for 8\.0 s.*POST \/imports/);
    });

    it('warns when it uses far more memory than its siblings', () => {
      const view = worker(treeStatusOf({ workers: [workerOf(0, { pssMb: 171 }), workerOf(1)] }));
      assert.deepEqual([view.tone, view.hot, view.memory.tone, view.barPercent], ['warn', true, 'bad', 86]);
      assert.match(view.say, /171 MB, 2\.9 × its siblings/);
    });

    it('shows unknown values, not 0, before the first report', () => {
      const fresh = workerOf(0, { state: 'booting', lastStatus: {}, lastCheckin: null, pssMb: null });
      const view = worker(treeStatusOf({ workers: [fresh, workerOf(1)] }));
      assert.deepEqual([view.tone, view.phase], ['busy', 'starting']);
      assert.deepEqual([view.on, view.waiting.text, view.lag.text, view.memory.text], [null, '–', '–', '–']);
    });
  });

  describe('the card of the job processor', () => {
    const jobs = (state: ReturnType<typeof processorOf>['state'], more: Parameters<typeof treeStatusOf>[0] = {}) =>
      jobsView(treeStatusOf({ jobs: processorOf({ state }), ...more }), 17, words);

    it('shows running jobs', () => {
      const inFlight = ['ImportRows', 'WelcomeEmailJob', 'ThirdJob'].map((name, i) => ({
        what: `${name} on default`,
        job: { class: name, queue: 'default' },
        id: `${i}`,
        ageMs: 12_000,
      }));
      const status = { ...processorOf().lastStatus, inFlight: inFlight } as ReturnType<
        typeof processorOf
      >['lastStatus'];
      const view = jobsView(treeStatusOf({ jobs: processorOf({ lastStatus: status }) }), 17, words);
      assert.deepEqual([view.tone, view.on, view.of, view.waiting.text], ['ok', 3, 2, '17']);
      assert.equal(view.say, 'ImportRows 12 s, WelcomeEmailJob 12 s +1');
    });

    it('shows when each part last made progress, and how long the oldest job has been due, while it is ready', () => {
      const idle = { owedMs: 0, cause: 'noAnswer', error: '' } as const;
      const progress = (['fetch', 'dispatch', 'listen', 'cron', 'mail'] as const).map((part, index) => {
        return { ...idle, part, movedMs: part === 'cron' ? null : 400 * 60 ** (index / 2) };
      });
      const lastStatus = processorStatusOf({ progress });
      const moved = (changes: Partial<ProcessorStats>) =>
        jobsView(treeStatusOf({ jobs: processorOf({ lastStatus, ...changes }) }), 17, words).moved;
      assert.equal(moved({}), 'Last progress: fetch 1 s, due jobs 3 s, LISTEN 24 s, mail 24 min ago');
      const waiting = [41_000, 7000].map((ms) => ({ queue: 'default', ms, readMs: ms, paused: false }));
      assert.equal(
        moved({ heartbeatAgeMs: 2000, lastStatus: { ...lastStatus, waiting } }),
        'Last progress: fetch 2 s, due jobs 5 s, LISTEN 26 s, mail 24 min ago\u00a0· oldest due job waits 43 s',
        'all values are as old as its last heartbeat',
      );
      // A job that is read between its arrival and its fetch is not waiting.
      const passing = [{ queue: 'default', ms: 4000, readMs: 20, paused: false }];
      assert.equal(
        moved({ lastStatus: { ...lastStatus, waiting: passing } }),
        'Last progress: fetch 1 s, due jobs 3 s, LISTEN 24 s, mail 24 min ago',
      );
      for (const changes of [{ state: 'quiet' }, { lastStatus: processorOf().lastStatus }] as const)
        assert.equal(moved(changes), '');
    });

    it('shows every state', () => {
      const processor = { lastTermination: BLOCKED, nextRestart: { ...IN_2_S, attempt: 6 } };
      const seen = (['quiet', 'stopping', 'booting', 'backing_off', 'crash_loop'] as const).map((state) => {
        const trouble = state === 'backing_off' || state === 'crash_loop';
        const { tone, line, phase } = jobs(
          state,
          trouble ? { processor, jobs: processorOf({ state, pid: null }) } : {},
        );
        return [state, tone, line, phase];
      });
      assert.deepEqual(seen, [
        ['quiet', 'warn', 'dashed', 'quiet'],
        ['stopping', 'warn', 'dashed', 'draining'],
        ['booting', 'busy', 'dashed', 'starting'],
        ['backing_off', 'bad', 'cut', 'restarting'],
        ['crash_loop', 'bad', 'cut', 'crash loop'],
      ]);
      const open = jobs('crash_loop', { processor, jobs: processorOf({ state: 'crash_loop', pid: null }) });
      assert.equal(open.say, 'Died 6 times in a row. Starts in 2.0 s, try 6.');
      assert.deepEqual([open.memory.text, open.on], ['–', 0]);
      const beside = (state: 'stopping' | 'booting') =>
        jobs('ready', { stats: { otherJobProcessor: processorOf({ pid: 91, state }) } }).say;
      assert.match(beside('stopping'), /^Has taken over\. Its predecessor, pid 91,/);
      assert.match(beside('booting'), /^pid 90 keeps serving until its successor is ready/);
    });
  });

  it('the card of the primary shows the port, and whether the tree is stopping', () => {
    const view = primaryView(treeStatusOf({ stopping: true }), words);
    assert.equal(view.say, 'up 2 h\u00a0· pid 24\u00a0· port 3000\u00a0· sends to 2 of 2 workers');
    assert.deepEqual([view.tone, view.phase], ['warn', 'stopping']);
    assert.match(primaryView(treeStatusOf({ address: 'unix:/run/app.sock' }), words).say, /unix:\/run\/app\.sock/);
  });

  it('the memory of the tree is shown against its limit', () => {
    const { text, percent, tone, note } = memoryView(treeStatusOf(), words);
    assert.deepEqual([text, percent, tone], ['220 of 512 MB', 43, 'ok']);
    assert.match(note, /^recycles the largest worker at 85 %$/);
    const full = treeStatusOf({ stats: { memory: { pssMb: 450, limitMb: 512 } } });
    assert.equal(memoryView(full, words).tone, 'warn');
    const unlimited = treeStatusOf({
      stats: { memory: { pssMb: 220, limitMb: null } },
      limits: { recycleAboveMb: null },
    });
    const free = memoryView(unlimited, words);
    assert.deepEqual([free.text, free.percent, free.note], ['220 MB', null, 'no limit is set']);
    assert.equal(memoryView(treeStatusOf(), words, false).text, '– of 512 MB');
    assert.equal(memoryView(treeStatusOf({ stats: { workers: 0 } }), words).note, '', 'it has no worker to recycle');
  });
});
