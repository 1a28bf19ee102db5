import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import type { FromWorker, ToWorker } from '../../lib/cluster/messages';
import { until } from '../support/until';

const ENTRY = path.resolve(__dirname, '../fixtures/cluster/tree.ts');

/** A connection as the processes of a tree hand it to each other. */
interface Handle {
  close(): void;
}

/** A worker whose primary is the test. */
describe('a worker', () => {
  let worker: ChildProcess;
  let heard: FromWorker[];
  /** Connections that it gave back. */
  let returned: Handle[];
  let address: string;

  beforeEach(async () => {
    heard = [];
    returned = [];
    worker = fork(ENTRY, { execArgv: ['--import', 'tsx'] });
    worker.on('message', (message: FromWorker, connection) => {
      heard.push(message);
      if (message.catamount === 'hello') tell({ catamount: 'assign', slot: 0, phase: 0 });
      if (message.catamount === 'ready') ({ address } = message);
      if (connection) returned.push(connection as unknown as Handle);
    });
    await hears('ready');
  });
  afterEach(() => {
    worker.kill('SIGKILL');
    for (const connection of returned) connection.close();
  });

  const tell = (message: ToWorker) => worker.send(message);
  const hears = (name: FromWorker['catamount']) =>
    until(`the worker says ${name}`, () => heard.some(({ catamount }) => catamount === name));

  it('that has closed gives back what was on its way to it, and leaves when it is told that nothing is', async () => {
    const listener = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const client = net.connect((listener.address() as AddressInfo).port, '127.0.0.1');
    const [connection] = (await once(listener, 'connection')) as [net.Socket];
    const { _handle: handle } = connection as unknown as { readonly _handle: Handle };
    tell({ catamount: 'drain', remainingMs: 600_000, passOn: true });
    await hears('closed');
    worker.send({ catamount: 'adopt' }, handle as unknown as net.Socket, {}, () => connection.destroy());
    await until('the connection is back', () => returned.length === 1);
    const exited = once(worker, 'exit');
    tell({ catamount: 'bye' });
    assert.deepEqual(await exited, [0, null]);
    client.destroy();
    listener.close();
  });

  it('serves on when it is signalled alone, until it is told to go, and then tells what it has cut off', async () => {
    worker.kill('SIGTERM');
    await hears('leave');
    const cut = await fetch(`${address}/early?ms=600000`);
    tell({ catamount: 'drain', remainingMs: 0, passOn: false });
    await hears('closed');
    assert.deepEqual(heard.at(-1), { catamount: 'closed', cut: 1 });
    const exited = once(worker, 'exit');
    tell({ catamount: 'bye' });
    assert.deepEqual(await exited, [1, null]);
    await assert.rejects(cut.text());
  });

  it('finishes what is in flight and leaves by itself when its primary is gone', async () => {
    const slow = await fetch(`${address}/early?ms=300`);
    const exited = once(worker, 'exit');
    worker.disconnect();
    assert.match(await slow.text(), /^0 \d+$/);
    assert.deepEqual(await exited, [0, null]);
  });
});
