import assert from 'node:assert/strict';
import http from 'node:http';
import { type Answer, request } from '../support/http';
import { until } from '../support/until';
import { statsOf } from './operator';
import { Stage } from './stage';

const CROWD = 1000;
const WORKERS = 2;
const THREADS = 5;
const QUEUE_TIMEOUT_S = 3;

const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

interface Timed extends Answer {
  readonly ms: number;
}

async function timed(url: string): Promise<Timed> {
  const since = performance.now();
  const answer = await request(url);
  return { ...answer, ms: performance.now() - since };
}

describe('more requests than threads', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  it(`${CROWD} at once: never more than MAX_THREADS run in a worker, the rest wait or get 503, /health answers`, async () => {
    const tree = await stage.start({
      WEB_CONCURRENCY: String(WORKERS),
      MAX_THREADS: String(THREADS),
      WEB_QUEUE_TIMEOUT: `${QUEUE_TIMEOUT_S}s`,
    });
    const crowd = Array.from({ length: CROWD }, () => timed(`${tree.baseUrl}/slow?ms=100`));
    let left = CROWD;
    for (const one of crowd) void one.then(() => left--);
    const health: number[] = [];
    let waiting = 0;
    while (left > 0) {
      const answer = await timed(`${tree.baseUrl}/health`);
      assert.equal(answer.status, 200);
      health.push(answer.ms);
      for (const { last_status } of (await statsOf(tree)).worker_status) {
        waiting = Math.max(waiting, last_status.backlog_max ?? 0);
        assert.ok((last_status.busy_threads ?? 0) <= THREADS);
      }
    }
    const answers = await Promise.all(crowd);
    const served = answers.filter(({ status }) => status === 200);
    const turnedAway = answers.filter(({ status }) => status === 503);
    assert.equal(served.length + turnedAway.length, CROWD);
    assert.ok(turnedAway.every(({ headers }) => Number(headers['retry-after']) > 0));
    assert.equal(Math.max(...served.map((answer) => answer.json<{ most: number }>().most)), THREADS);
    assert.ok(served.length >= 2 * WORKERS * THREADS && waiting > 0, `${served.length} served, ${waiting} waited`);
    // A probe that had to queue would wait as long as the others.
    const [usual, longest] = [
      percentile(health, 0.5),
      percentile(
        served.map(({ ms }) => ms),
        0.5,
      ),
    ];
    assert.ok(usual < longest / 10, `/health took ${usual} ms, the others ${longest} ms`);
    const shed = async () =>
      (await statsOf(tree)).worker_status.reduce((sum, { last_status }) => sum + (last_status.shed_count ?? 0), 0);
    await until('stats count who was turned away', async () => (await shed()) === turnedAway.length);
    assert.equal((await tree.stop()).code, 0);
  });

  it('32 keep-alive connections share 10 threads: none starves, none waits twice its fair share', async () => {
    const [connections, each, ms] = [32, 4, 200];
    const tree = await stage.start({ WEB_CONCURRENCY: String(WORKERS), MAX_THREADS: String(THREADS) });
    const alone = await Promise.all([1, 2, 3].map(() => timed(`${tree.baseUrl}/slow?ms=${ms}`)));
    const counts: number[] = [];
    const waits: number[] = [];
    const end = performance.now() + each * ((connections / (WORKERS * THREADS)) * ms);
    const ask = (agent: http.Agent): Promise<void> =>
      new Promise((resolve, reject) => {
        const since = performance.now();
        const sent = http.get(`${tree.baseUrl}/slow?ms=${ms}`, { agent }, (response) => {
          response.resume().on('end', () => {
            waits.push(performance.now() - since);
            if (response.statusCode === 200) resolve();
            else reject(new Error(`status ${response.statusCode}`));
          });
        });
        sent.on('error', reject);
      });
    const loops = Array.from({ length: connections }, async (_, i) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      counts[i] = 0;
      while (performance.now() < end) {
        await ask(agent);
        counts[i] = (counts[i] ?? 0) + 1;
      }
      agent.destroy();
    });
    await Promise.all(loops);
    const fairMs =
      (percentile(
        alone.map((one) => one.ms),
        0.5,
      ) *
        connections) /
      (WORKERS * THREADS);
    const p99 = percentile(waits, 0.99);
    assert.ok(p99 <= 2 * fairMs, `p99 is ${p99} ms, the fair wait ${fairMs} ms`);
    // Round robin may deal a burst of connections 10 to 22; the many must still get more than half of an even share.
    assert.ok(Math.min(...counts) > each / 2, `requests by connection: ${counts}`);
    assert.equal((await tree.stop()).code, 0);
  });
});
