import assert from 'node:assert/strict';
import { FreshCallers } from '../support/fresh-callers';
import { request } from '../support/http';
import { until } from '../support/until';
import { ClusterProcess } from './cluster-process';

const CALLERS = 16;
const STOPS = 3;

describe('the listening socket', () => {
  let cluster: ClusterProcess;
  afterEach(() => cluster.end());

  it(`is closed in a stop without resetting any of ${CALLERS} callers who always open new connections`, async () => {
    for (let n = 1; n <= STOPS; n++) {
      cluster = new ClusterProcess('2');
      const callers = new FreshCallers(await cluster.address(), CALLERS, (sent) => `/?ms=${40 + (sent % 30)}`);
      await until('callers are served', () => callers.answered >= 2 * CALLERS);
      cluster.signal('SIGTERM');
      await callers.end();
      assert.deepEqual({ lost: callers.lost, stop: n }, { lost: {}, stop: n });
      assert.deepEqual(await cluster.ended, { code: 0, signal: null });
    }
  });

  it('has what was sent to a killed worker, and never taken, go to another; one caller at most waits for a blocked one', async () => {
    cluster = new ClusterProcess('2');
    const address = await cluster.address();
    process.kill(cluster.pidOf(0), 'SIGSTOP');
    const bodies: string[] = [];
    const callers = Array.from({ length: 10 }, async () => bodies.push((await request(address)).body));
    await until('all are served but one', () => bodies.length === callers.length - 1);
    process.kill(cluster.pidOf(0), 'SIGKILL');
    await Promise.all(callers);
    const servedBy = new Set([cluster.pidOf(1), cluster.pidOf(0)].map(String));
    assert.ok(
      bodies.every((body) => servedBy.has(body.split(' ')[1] ?? '')),
      bodies.join(),
    );
  });

  it('stays when the only worker is killed: callers wait for its successor, on the same port', async () => {
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
