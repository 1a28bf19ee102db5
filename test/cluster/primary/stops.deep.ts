import assert from 'node:assert/strict';
import { Load } from '../../support/load';
import { sized } from '../../support/long-form';
import { serverPort } from '../../support/server-port';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { useSupervisorApp } from './supervisor-app';

/** Time that a stop may take in addition to its work in flight, s; measured by `npm run chaos -- long`. */
const LONGEST_S = sized(Number.POSITIVE_INFINITY, 2);
const TIMES = sized(
  { behindRouter: 1, inARow: 3, freshClients: 4 },
  { behindRouter: 20, inARow: 100, freshClients: 20 },
);
const WORK_MS = 300;
const ROUTED = { routed: true, whenRefused: 'try again' } as const;

/** @returns how long the stop took, s, according to the tree's own last log line. */
async function stopAndTime(tree: Tree): Promise<number> {
  assert.deepEqual({ ...(await tree.stop()), durationMs: 0 }, { code: 0, signal: null, durationMs: 0 });
  await tree.allGone();
  const { text } = await tree.waitForLine(/stopped in/);
  const [, took = '', unit] = /stopped in ([\d.]+) (m?s), 0 killed/.exec(text) ?? assert.fail(text);
  return unit === 's' ? Number(took) : Number(took) / 1000;
}

function assertPrompt(seconds: readonly number[]): void {
  const late = seconds.filter((one) => one > LONGEST_S + WORK_MS / 1000);
  assert.deepEqual(late, [], `stops took ${seconds.join(', ')} s`);
}

/** The figures, for the title. */
function figures(seconds: readonly number[]): string {
  const sorted = seconds.toSorted((a, b) => a - b);
  return `: half took ${sorted[Math.floor(sorted.length / 2)]} s at most, the slowest ${sorted.at(-1)} s`;
}

describe(`${TIMES.behindRouter} stops and starts behind a router that tries again`, () => {
  const app = useSupervisorApp();

  it('lose no request in flight, and none is slow', async function () {
    const PORT = String(await serverPort());
    const took: number[] = [];
    let tree = await app.start({ PORT });
    const gateway = new Load(tree.baseUrl, 12, () => '/slow?ms=20', ROUTED);
    try {
      for (let n = 0; n < TIMES.behindRouter; n++) {
        await gateway.more(50);
        took.push(await stopAndTime(tree));
        tree = await app.start({ PORT });
      }
      await gateway.more(50);
    } finally {
      await gateway.stop();
    }
    assert.deepEqual(gateway.failures, {});
    assertPrompt(took);
    await stopAndTime(tree);
    this.runnable().title += `${figures(took)}; ${gateway.answered} requests`;
  });
});

describe(`${TIMES.inARow} stops in a row`, () => {
  const app = useSupervisorApp();

  it('take little longer than their work in flight, whether the tree is idle, busy or under constant load', async function () {
    const took: number[] = [];
    for (let n = 0; n < TIMES.inARow; n++) {
      const tree = await app.start({ WEB_CONCURRENCY: n % 2 === 0 ? '1' : '2' });
      const work = [];
      if (n % 3 === 1) work.push(tree.request('GET', `/slow?ms=${WORK_MS}`));
      const gateway = n % 3 === 2 ? new Load(tree.baseUrl, 8, () => `/slow?ms=${WORK_MS}`, ROUTED) : undefined;
      try {
        await gateway?.more(8);
        took.push(await stopAndTime(tree));
      } finally {
        await gateway?.stop();
      }
      assert.deepEqual(
        (await Promise.all(work)).map(({ status }) => status),
        work.map(() => 200),
      );
      assert.deepEqual(gateway?.failures ?? {}, {});
    }
    assertPrompt(took);
    this.runnable().title += figures(took);
  });
});

/** Two workers serve 10 of them at once (MAX_THREADS), and the others wait. */
const CALLERS = 16;

describe(`${TIMES.freshClients} stops under ${CALLERS} clients that open a new connection for each request`, () => {
  const app = useSupervisorApp();

  it('reset none of them', async function () {
    const lost: Record<string, number>[] = [];
    const took: number[] = [];
    let answered = 0;
    for (let n = 0; n < TIMES.freshClients; n++) {
      const tree = await app.start();
      const fresh = { allFresh: true, whenRefused: 'end' } as const;
      const callers = new Load(tree.baseUrl, CALLERS, (sent) => `/slow?ms=${40 + (sent % 30)}`, fresh);
      await until('all are served', () => callers.answered >= 4 * CALLERS);
      took.push(await stopAndTime(tree));
      await callers.ended();
      lost.push(callers.failures);
      answered += callers.answered;
    }
    assert.deepEqual(
      lost,
      lost.map(() => ({})),
    );
    this.runnable().title += `${figures(took)}; ${answered} requests`;
  });
});
