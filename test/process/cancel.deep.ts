import assert from 'node:assert/strict';
import type { CancelOutcome } from '../../lib/job/definition/job-class';
import { cookiesOf, postForm, SIGNED, signInTo, tokenIn } from '../ops/ops-web';
import { dice } from '../support/dice';
import { LONG_SEED, sized } from '../support/long-form';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { useJobsApp } from './jobs-app';

/** A run hears of its cancel within this time, ms. Only the long form asks for it: other tests assert no times. */
const HEARD_MS = sized(Number.POSITIVE_INFINITY, 1000);
const { rounds, seed } = sized({ rounds: 40, seed: 2 }, { rounds: 1500, seed: LONG_SEED });
const OF_ROUND = 8;
const CANCELLERS = 3;
/** What a cancel was told, and what became of the job. */
const OUTCOMES = [
  'cancelled, BriefJob cancelled: race',
  'requested, BriefJob cancelled: race',
  'requested, done',
  'gone, done',
  'not asked, done',
];

describe('jobs that are cancelled from another tree', () => {
  const app = useJobsApp();
  /** Runs none of these jobs. */
  const asked = inSuite(undefined, () => app.start({ ...SIGNED, JOB_QUEUES: 'mailer', LOG_LEVEL: 'debug' }));
  const runner = inSuite(undefined, () =>
    app.start({ JOB_QUEUES: 'default', JOB_THREADS: '2', JOB_CONCURRENCY: '10', LOG_LEVEL: 'debug' }),
  );

  const post = async <T>(target: string) => {
    const answer = await asked.request('POST', target);
    assert.equal(answer.status, 200, answer.body);
    return answer.json<T>();
  };
  const enqueue = async (query: string) => (await post<{ id: string }>(`/watchful?${query}`)).id;
  const runs = (id: string) =>
    until('it runs', () => app.entries().some(({ watches, job }) => watches !== undefined && job === id));
  const cancel = async (id: string, reason: string) =>
    (await post<{ outcome: CancelOutcome }>(`/cancel?id=${id}&reason=${reason}`)).outcome;
  /** What both trees have said of what became of jobs, by their ids. */
  const told = () => {
    const lines = new Map<unknown, string[]>();
    for (const { json } of [...asked.lines, ...runner.lines]) {
      if (json.jobId === undefined || /^enqueued|started, attempt/.test(String(json.msg))) continue;
      lines.set(json.jobId, [...(lines.get(json.jobId) ?? []), String(json.msg)]);
    }
    return lines;
  };
  const noneLeft = () => until('no job is left', async () => (await app.unfinished()).length === 0);

  const ways: Readonly<Record<string, typeof cancel>> = {
    'by code': cancel,
    'by command': async (id, reason) => {
      const { code, stdout, stderr } = await app.type('jobs', 'cancel', id, '--reason', reason, '--json');
      assert.equal(code, 0, stdout + stderr);
      const { jobs } = JSON.parse(stdout) as { readonly jobs: readonly { readonly outcome: CancelOutcome }[] };
      return jobs[0]?.outcome ?? 'gone';
    },
    'on a page': async (id, reason) => {
      const Cookie = cookiesOf(await signInTo(asked, SIGNED.OPS_PASSWORD));
      const job = `/ops/jobs/job/default/${id}`;
      const page = await asked.request('GET', `${job}/cancel`, { headers: { Cookie } });
      const answer = await postForm(asked, `${job}/cancel`, { reason, token: tokenIn(page.body) }, { Cookie });
      assert.equal(answer.status, 303, answer.body);
      return answer.headers.location?.includes(job) ? 'requested' : 'cancelled';
    },
  };
  for (const [way, cancelBy] of Object.entries(ways))
    it(`${way} end by their signals, in a thread, too, or leave at once while they are held or scheduled; each is told once`, async function () {
      for (const [thread, name] of [
        ['', 'WatchfulJob'],
        ['&thread=yes', 'ThreadedWatchfulJob'],
      ] as const) {
        const running = await enqueue(`key=a${thread}`);
        await runs(running);
        const held = await enqueue(`key=a${thread}`);
        const scheduled = await enqueue(`key=a${thread}&wait=3600000`);
        for (const id of [held, scheduled]) assert.equal(await cancelBy(id, 'too-early'), 'cancelled');
        const from = Date.now();
        assert.equal(await cancelBy(running, 'too-late'), 'requested');
        const { aborted = 0 } = await until('its signal is aborted', () =>
          app.entries().find((entry) => entry.aborted !== undefined && entry.job === running),
        );
        await noneLeft();
        const next = await enqueue(`key=a${thread}`);
        await runs(next);
        await cancelBy(next, 'enough');
        await noneLeft();
        await until('the last is told', () => told().has(next));
        // A command is a process of its own, whose log is not that of a tree.
        const early = way === 'by command' ? undefined : [`${name} cancelled: too-early`];
        assert.deepEqual(
          [held, scheduled, running, next].map((id) => told().get(id)),
          [early, early, [`${name} cancelled: too-late`], [`${name} cancelled: enough`]],
        );
        const tookMs = aborted - from;
        this.runnable().title += `, ${name} after ${tookMs} ms`;
        // A command needs time to start.
        if (way !== 'by command') assert.ok(tookMs <= HEARD_MS, `${tookMs} ms`);
      }
    });

  it(`while they end are either done or cancelled, and both trees say the same (seed ${seed})`, async function () {
    this.timeout(WAIT_LIMIT_MS * sized(3, 30));
    const roll = dice(seed);
    const replies = new Map<string, CancelOutcome | 'not asked'>();
    const canceller = async () => {
      for (let round = 0; round < rounds / CANCELLERS; round++) {
        const moments = Array.from({ length: OF_ROUND }, () => roll(30));
        const { ids } = await post<{ ids: readonly string[] }>(`/brief?moments=${moments}`);
        for (const id of ids) replies.set(id, 'not asked');
        const chosen = ids.filter(() => roll(4) > 0);
        // At once they meet the claims of the jobs; one after the other, their ends.
        const atOnce = roll(2) === 0;
        const ask = async (id: string) => replies.set(id, await cancel(id, 'race'));
        if (atOnce) await Promise.all(chosen.map(ask));
        else for (const id of chosen) await ask(id);
      }
    };
    /** How many jobs got which reply and which end. */
    const outcomes = async () => {
      await noneLeft();
      const ends = await until('all are told', () => {
        const lines = told();
        return [...replies.keys()].every((id) => lines.has(id)) && lines;
      });
      const counts: Record<string, number> = {};
      for (const [id, reply] of replies) {
        const lines = ends.get(id) ?? [];
        assert.equal(lines.length, 1, `${reply}: ${lines}`);
        const end = lines[0]?.startsWith('BriefJob done') ? 'done' : lines[0];
        assert.ok(end !== undefined && OUTCOMES.includes(`${reply}, ${end}`), `${reply}, ${end}`);
        counts[`${reply}, ${end}`] = (counts[`${reply}, ${end}`] ?? 0) + 1;
      }
      return counts;
    };
    let counts: Record<string, number>;
    // How fast jobs run decides in which states cancels meet them.
    do {
      await Promise.all(Array.from({ length: CANCELLERS }, canceller));
      counts = await outcomes();
    } while (!OUTCOMES.every((outcome) => outcome in counts));
    this.runnable().title += `: ${JSON.stringify(counts)}`;
  });
});
