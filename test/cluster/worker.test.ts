import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import type { FromWorker, ToWorker } from '../../lib/cluster/messages';
import { until } from '../support/until';

const ENTRY = path.resolve(__dirname, '../fixtures/cluster/tree.ts');

/** A connection that one process of a tree hands to another. */
interface Handle {
  close(): void;
}

/** A worker whose primary is the test. */
describe('a worker', () => {
  let worker: ChildProcess;
  let heard: FromWorker[];
  /** Connections that it handed back. */
  let returned: Handle[];
  let listener: net.Server;
  let address: string;

  beforeEach(async () => {
    heard = [];
    returned = [];
    listener = net.createServer({ pauseOnConnect: true }, (socket) => {
      worker.send({ catamount: 'connection' }, socket, { keepOpen: true }, () => socket.destroy());
    });
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    address = `http://127.0.0.1:${port()}`;
    worker = fork(ENTRY, { execArgv: ['--import', 'tsx'] });
    worker.on('message', (message: FromWorker, connection) => {
      heard.push(message);
      if (message.catamount === 'online') tell({ catamount: 'assign', slot: 0, phase: 0 });
      if (connection) returned.push(connection as unknown as Handle);
    });
    await receives('ready');
  });
  afterEach(() => {
    worker.kill('SIGKILL');
    listener.close();
    for (const connection of returned) connection.close();
  });

  const port = () => (listener.address() as AddressInfo).port;
  const tell = (message: ToWorker) => worker.send(message);
  const receives = (name: FromWorker['catamount']) =>
    until(`the worker says ${name}`, () => heard.some(({ catamount }) => catamount === name));

  it('acknowledges a connection, hands it back when it drains, counts what it finishes, and exits when the primary tells it to', async () => {
    const client = net.connect(port(), '127.0.0.1');
    await receives('taken');
    await fetch(`${address}/early?ms=300`);
    tell({ catamount: 'stop', remainingMs: 600_000, handOff: true });
    await receives('drained');
    assert.deepEqual(
      heard.map(({ catamount }) => catamount).filter((name) => ['taken', 'handoff', 'drained'].includes(name)),
      ['taken', 'taken', 'handoff', 'handoff', 'drained'],
    );
    const last = heard.at(-1);
    assert.ok(last?.catamount === 'drained' && last.status?.requestsCount === 1, JSON.stringify(last));
    assert.equal(returned.length, 2);
    const exited = once(worker, 'exit');
    tell({ catamount: 'exit' });
    assert.deepEqual(await exited, [0, null]);
    client.destroy();
  });

  it('asks to be replaced when it alone gets SIGTERM, serves until the primary stops it, and reports what it cut off', async () => {
    worker.kill('SIGTERM');
    await receives('replace-me');
    const cut = await fetch(`${address}/early?ms=600000`);
    tell({ catamount: 'stop', remainingMs: 0, handOff: false });
    await receives('drained');
    const last = heard.at(-1);
    assert.ok(last?.catamount === 'drained' && last.aborted === 1 && last.status !== null, JSON.stringify(last));
    const exited = once(worker, 'exit');
    tell({ catamount: 'exit' });
    assert.deepEqual(await exited, [1, null]);
    await assert.rejects(cut.text());
  });

  it('finishes what is in flight and exits by itself when its primary is gone', async () => {
    const slow = await fetch(`${address}/early?ms=300`);
    const exited = once(worker, 'exit');
    worker.disconnect();
    assert.match(await slow.text(), /^0 \d+$/);
    assert.deepEqual(await exited, [0, null]);
  });
});
