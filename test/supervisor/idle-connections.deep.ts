import assert from 'node:assert/strict';
import http from 'node:http';
import { order } from './operator';
import { Stage } from './stage';

const CONNECTIONS = 6;

/** As a router keeps them: a worker that leaves gives them to another, which may be the next to leave. */
describe('connections that are kept alive and say nothing', () => {
  let stage: Stage;
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  before(async () => {
    stage = await Stage.make();
  });
  after(async () => {
    agent.destroy();
    await stage.remove();
  });

  const ask = (url: string) =>
    new Promise<string>((resolve, reject) => {
      const request = http.get(url, { agent }, (response) => {
        const kept = request.reusedSocket ? 'kept' : 'new';
        response.resume().on('end', () => resolve(`${response.statusCode} on a ${kept} connection`));
      });
      request.on('error', reject);
    });
  const all = async (url: string) => [
    ...new Set(await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(url)))),
  ];

  it('outlast phased restarts, and hold up neither these nor a stop', async () => {
    // Whoever waited for them would wait for longer than this test.
    const tree = await stage.start({ WEB_CONCURRENCY: '2', SHUTDOWN_TIMEOUT: '10m' });
    const url = `${tree.baseUrl}/slow?ms=20`;
    assert.deepEqual(await all(url), ['200 on a new connection']);
    for (let n = 0; n < 2; n++) await order(tree, 'phased-restart');
    assert.deepEqual(await all(url), ['200 on a kept connection']);
    assert.equal((await tree.stop()).code, 0);
  });
});
