import assert from 'node:assert/strict';
import { FreshCallers } from '../../support/fresh-callers';
import { serverPort } from '../../support/server-port';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { Gateway } from './gateway';
import { Stage } from './stage';

/** Time that a stop may take in addition to its work in flight, s; measured by `npm run chaos`. */
export const PROMISED_S = 2;
const WORK_MS = 300;

/** @returns how long the stop took, s, according to the tree's own last log line. */
async function stopAndTime(tree: Tree): Promise<number> {
  assert.deepEqual({ ...(await tree.stop()), durationMs: 0 }, { code: 0, signal: null, durationMs: 0 });
  await tree.allGone();
  const { text } = await tree.waitForLine(/stopped in/);
  const [, took = '', unit] = /stopped in ([\d.]+) (m?s), 0 killed/.exec(text) ?? assert.fail(text);
  return unit === 's' ? Number(took) : Number(took) / 1000;
}

function assertPrompt(seconds: readonly number[], longestS: number): void {
  const late = seconds.filter((one) => one > longestS + WORK_MS / 1000);
  assert.deepEqual(late, [], `stops took ${seconds.join(', ')} s`);
}

/** The figures, for the title. */
function figures(seconds: readonly number[]): string {
  const sorted = seconds.toSorted((a, b) => a - b);
  return `: half took ${sorted[Math.floor(sorted.length / 2)]} s at most, the slowest ${sorted.at(-1)} s`;
}

export function stopsAndStarts(times: number, longestS = Number.POSITIVE_INFINITY): void {
  describe(`${times} stops and starts behind a router that tries again`, () => {
    let stage: Stage;
    before(async () => {
      stage = await Stage.make();
    });
    after(() => stage.remove());

    it('lose no request in flight, and none is slow', async function () {
      const PORT = String(await serverPort());
      const took: number[] = [];
      let tree = await stage.start({ PORT });
      const gateway = new Gateway(tree.baseUrl, 12, '/slow?ms=20');
      try {
        for (let n = 0; n < times; n++) {
          await gateway.more(50);
          took.push(await stopAndTime(tree));
          tree = await stage.start({ PORT });
        }
        await gateway.more(50);
      } finally {
        await gateway.close();
      }
      assert.deepEqual(gateway.result.lost, {});
      assertPrompt(took, longestS);
      await stopAndTime(tree);
      this.runnable().title += `${figures(took)}; ${gateway.result.answered} requests`;
    });
  });
}

export function stopsInARow(times: number, longestS = Number.POSITIVE_INFINITY): void {
  describe(`${times} stops in a row`, () => {
    let stage: Stage;
    before(async () => {
      stage = await Stage.make();
    });
    after(() => stage.remove());

    it('take little longer than their work in flight, whether the tree is idle, busy or under constant load', async function () {
      const took: number[] = [];
      for (let n = 0; n < times; n++) {
        const tree = await stage.start({ WEB_CONCURRENCY: n % 2 === 0 ? '1' : '2' });
        const work = [];
        if (n % 3 === 1) work.push(tree.request('GET', `/slow?ms=${WORK_MS}`));
        const gateway = n % 3 === 2 ? new Gateway(tree.baseUrl, 8, `/slow?ms=${WORK_MS}`) : undefined;
        try {
          await gateway?.more(8);
          took.push(await stopAndTime(tree));
        } finally {
          await gateway?.close();
        }
        assert.deepEqual(
          (await Promise.all(work)).map(({ status }) => status),
          work.map(() => 200),
        );
        assert.deepEqual(gateway?.result.lost ?? {}, {});
      }
      assertPrompt(took, longestS);
      this.runnable().title += figures(took);
    });
  });
}

/** Two workers serve 10 of them at once (MAX_THREADS), and the others wait. */
const CALLERS = 16;

export function stopsUnderFreshCallers(times: number): void {
  describe(`${times} stops under ${CALLERS} clients that open a new connection for each request`, () => {
    let stage: Stage;
    before(async () => {
      stage = await Stage.make();
    });
    after(() => stage.remove());

    it('reset none of them', async function () {
      const lost: Record<string, number>[] = [];
      const took: number[] = [];
      let answered = 0;
      for (let n = 0; n < times; n++) {
        const tree = await stage.start();
        const callers = new FreshCallers(tree.baseUrl, CALLERS, (sent) => `/slow?ms=${40 + (sent % 30)}`);
        await until('all are served', () => callers.answered >= 4 * CALLERS);
        took.push(await stopAndTime(tree));
        await callers.end();
        lost.push(callers.lost);
        answered += callers.answered;
      }
      assert.deepEqual(
        lost,
        lost.map(() => ({})),
      );
      this.runnable().title += `${figures(took)}; ${answered} requests`;
    });
  });
}
