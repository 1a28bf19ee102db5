import assert from 'node:assert/strict';
import { request } from '../support/http';
import { until } from '../support/until';
import { ClusterProcess } from './cluster-process';

const TOGETHER = 8;
const KILLS = 3;

describe('the listening socket', () => {
  let cluster: ClusterProcess;
  afterEach(() => cluster.end());

  /** Suspends workers, and sends requests until each of them has been sent one that it does not take. */
  const sendToStopped = async (slots: readonly number[]) => {
    for (const slot of slots) process.kill(cluster.pidOf(slot), 'SIGSTOP');
    const address = await cluster.address();
    const bodies: string[] = [];
    const callers = Array.from({ length: 5 * slots.length + 5 }, async () =>
      bodies.push((await request(address)).body),
    );
    await until(
      'all requests are served but one per suspended worker',
      () => bodies.length === callers.length - slots.length,
    );
    return { served: Promise.all(callers).then(() => bodies.map((body) => Number(body.split(' ')[1]))) };
  };
  const killAll = (slots: readonly number[]) => {
    for (const slot of slots) process.kill(cluster.pidOf(slot), 'SIGKILL');
  };

  it('sends a connection that a killed worker never took to another worker, and at most one to a blocked worker', async () => {
    cluster = new ClusterProcess('2');
    await cluster.address();
    const { served } = await sendToStopped([0]);
    killAll([0]);
    const pids = await served;
    assert.ok(
      pids.every((pid) => [cluster.pidOf(0), cluster.pidOf(1)].includes(pid)),
      pids.join(),
    );
  });

  it('sends it to another worker even while a child process of the app holds the killed worker’s channel open', async () => {
    cluster = new ClusterProcess('2');
    const [slot = 0, heir = 0] = (await request(`${await cluster.address()}/heir`)).body.split(' ').map(Number);
    try {
      const { served } = await sendToStopped([slot]);
      killAll([slot]);
      await served;
    } finally {
      process.kill(heir, 'SIGKILL');
    }
  });

  it(`sends the connections of ${TOGETHER} workers that are killed at once to others`, async () => {
    cluster = new ClusterProcess(String(TOGETHER + 1));
    await cluster.address();
    const slots = Array.from({ length: TOGETHER }, (_, slot) => slot);
    for (let round = 1; round <= KILLS; round++) {
      const { served } = await sendToStopped(slots);
      killAll(slots);
      await served;
      await cluster.nth('worker.ready', TOGETHER + 1 + round * TOGETHER);
    }
  });

  it('stays open when the only worker is killed: clients wait for its successor on the same port', async () => {
    cluster = new ClusterProcess('1');
    const address = await cluster.address();
    process.kill(cluster.pidOf(0), 'SIGKILL');
    await cluster.nth('worker.exited');
    const answers = await Promise.all(Array.from({ length: 20 }, () => request(address)));
    const { pid } = await cluster.nth('worker.ready', 2);
    assert.deepEqual(
      answers.map(({ body }) => body),
      answers.map(() => `0 ${pid}`),
    );
  });
});
