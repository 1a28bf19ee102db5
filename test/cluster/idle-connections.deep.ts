import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { until } from '../support/until';
import { ClusterProcess } from './cluster-process';

/** A client with one keep-alive connection, of which a router has many. */
class Client {
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  constructor(private readonly address: string) {}

  /** @returns the slot that answered, and whether the response came over the same connection as the one before. */
  ask() {
    const sent = this.send('GET');
    sent.request.end();
    return sent.answer;
  }

  /** @returns a request that a worker has started; it is answered when `finish` is called. */
  async hold() {
    const { request, answer } = this.send('POST', { expect: '100-continue' });
    request.flushHeaders();
    await once(request, 'continue');
    return { answer, finish: () => request.end('all of it') };
  }

  close(): void {
    this.agent.destroy();
  }

  private send(method: string, headers = {}) {
    const request = http.request(this.address, { agent: this.agent, method, headers });
    const answer = new Promise<{ readonly slot: number; readonly kept: boolean }>((resolve, reject) => {
      request.once('error', reject).once('response', (response) => {
        response.setEncoding('utf8').once('data', (body: string) => {
          resolve({ slot: Number(body.split(' ')[0]), kept: request.reusedSocket });
        });
      });
    });
    return { request, answer };
  }
}

describe('idle connections during a stop', () => {
  let cluster: ClusterProcess;
  const clients: Client[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await cluster.end();
  });

  /** Two connections to each of three workers. */
  const connect = async () => {
    const address = await cluster.address();
    const bySlot: Client[][] = [[], [], []];
    await until('each worker has two connections', async () => {
      const client = new Client(address);
      clients.push(client);
      bySlot[(await client.ask()).slot]?.push(client);
      return bySlot.every((some) => some.length >= 2);
    });
    return bySlot;
  };

  it('are handed off to the worker that stops last, which answers the requests on them', async () => {
    cluster = new ClusterProcess('3');
    const [, moved = [], [busy] = []] = await connect();
    // Until this request is answered, its worker delays the stop, and with it the last worker, in slot 0.
    const held = await busy?.hold();
    cluster.signal('SIGTERM');
    await until('the worker in slot 1 is gone', () => cluster.of('worker.exited').some(({ slot }) => slot === 1));
    const answers = await Promise.all(moved.map((client) => client.ask()));
    assert.deepEqual(
      answers,
      moved.map(() => ({ slot: 0, kept: true })),
    );
    held?.finish();
    assert.equal((await held?.answer)?.slot, 2);
    assert.deepEqual(await cluster.ended, { code: 0, signal: null });
  });

  it('are handed off to a healthy worker, although the first is blocked', async () => {
    cluster = new ClusterProcess('3', 'shutdown=15000');
    const [, , moved = []] = await connect();
    process.kill(cluster.pidOf(0), 'SIGSTOP');
    const from = performance.now();
    await until('it has been silent for more than three seconds', () => performance.now() - from > 3500);
    cluster.signal('SIGTERM');
    // The blocked one is killed shortly before the deadline, and only then does the last one stop.
    await until('the worker in slot 2 is gone', () => cluster.of('worker.exited').some(({ slot }) => slot === 2));
    const answers = await Promise.all(moved.map((client) => client.ask()));
    assert.deepEqual(
      answers,
      moved.map(() => ({ slot: 1, kept: true })),
    );
    await cluster.ended;
  });
});
