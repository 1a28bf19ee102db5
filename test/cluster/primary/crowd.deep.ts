import assert from 'node:assert/strict';
import http from 'node:http';
import { request } from '../../support/http';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

const CROWD = 1000;
const WORKERS = 2;
const THREADS = 5;
/** Enough for all connections of the last test, however they are spread over the workers. */
const BACKLOG = 30;

describe('a worker whose threads are all busy', () => {
  const app = useSupervisorApp();

  it('gets no new connection while another worker has threads to spare', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '2', MAX_THREADS: '1' });
    const release = app.switchOn('hold');
    const held = request(`${tree.baseUrl}/held`);
    await until('one worker is busy', async () => {
      const { worker_status } = await statsOf(tree);
      return worker_status.some(({ last_status }) => last_status.busy_threads === 1);
    });
    const titles = () => tree.processes().all.map(({ command }) => command.trim());
    await until('its title says so', () =>
      titles().some((title) => /^catamount: web \d \[phase 0\] 1\/1$/.test(title)),
    );
    for (let served = 1; served <= 4; served++) {
      assert.equal((await request(`${tree.baseUrl}/slow?ms=0`)).status, 200);
      await until('the other worker is idle again', async () => {
        const { worker_status } = await statsOf(tree);
        const idle = worker_status.filter(({ last_status }) => last_status.busy_threads === 0);
        return idle.some(({ last_status }) => last_status.requests_count === served);
      });
    }
    release();
    assert.equal((await held).status, 200);
  });
});

describe('more requests than threads', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  before(async () => {
    tree = await app.start({
      WEB_CONCURRENCY: String(WORKERS),
      MAX_THREADS: String(THREADS),
      WEB_BACKLOG: String(BACKLOG),
    });
  });

  it(`${CROWD} at once: MAX_THREADS run in a worker, WEB_BACKLOG wait, the others get 503, and /health keeps answering`, async () => {
    const release = app.switchOn('hold');
    const statuses: number[] = [];
    const refused = () => statuses.filter((status) => status === 503).length;
    const crowd = Array.from({ length: CROWD }, async () => {
      const answer = await request(`${tree.baseUrl}/held`);
      statuses.push(answer.status);
      return answer;
    });
    const places = WORKERS * (THREADS + BACKLOG);
    await until('all requests that have no place are shed', () => refused() === CROWD - places);
    assert.equal(statuses.length, refused());
    const sumOf = async (name: 'busy_threads' | 'backlog' | 'shed_count') =>
      (await statsOf(tree)).worker_status.reduce((sum, { last_status }) => sum + (last_status[name] ?? 0), 0);
    await until('stats count all running requests', async () => (await sumOf('busy_threads')) === WORKERS * THREADS);
    await until('stats count all waiting requests', async () => (await sumOf('backlog')) === WORKERS * BACKLOG);
    await until('stats count all shed requests', async () => (await sumOf('shed_count')) === refused());
    for (let n = 0; n < 10; n++) assert.equal((await request(`${tree.baseUrl}/health`)).status, 200);
    release();
    const answers = await Promise.all(crowd);
    const served = answers.filter(({ status }) => status === 200);
    assert.equal(served.length, places);
    assert.equal(Math.max(...served.map((answer) => answer.json<{ most: number }>().most)), THREADS);
    const shed = answers.filter(({ status }) => status === 503);
    assert.ok(shed.every(({ headers }) => Number(headers['retry-after']) > 0));
  });

  it('on 32 keep-alive connections that are never idle starve none of them', async () => {
    const counts = Array.from({ length: 32 }, () => 0);
    const served = () => Math.min(...counts) >= 3;
    const ask = (agent: http.Agent) =>
      new Promise<number>((resolve, reject) => {
        const sent = http.get(`${tree.baseUrl}/slow?ms=20`, { agent }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        });
        sent.on('error', reject);
      });
    let over = false;
    const loops = counts.map(async (_, i) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      while (!over) {
        assert.equal(await ask(agent), 200);
        counts[i] = (counts[i] ?? 0) + 1;
      }
      agent.destroy();
    });
    await until('each was served three times', served).finally(() => {
      over = true;
    });
    await Promise.all(loops);
    assert.equal((await tree.stop()).code, 0);
  });
});
