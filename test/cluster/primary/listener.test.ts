import assert from 'node:assert/strict';
import type net from 'node:net';
import { Listener, type Taker } from '../../../lib/cluster/primary/listener';
import { Events } from '../../../lib/core/events';
import { Deadline } from '../../../lib/support/async';
import { FreshCallers } from '../../support/fresh-callers';
import { until } from '../../support/until';

const CALLERS = 8;

/** A worker that answers as soon as it is given a connection. */
class PromptWorker implements Taker {
  readonly takes = true;
  readonly full = false;
  readonly awaited = false;
  taken = 0;

  take(connection: net.Socket): void {
    this.taken++;
    connection.once('data', () => connection.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'));
    connection.resume();
  }
}

describe('the listener', () => {
  it('holds new connections while it closes the socket, until every client has reconnected, and then has them served', async () => {
    const worker = new PromptWorker();
    const listener = new Listener({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => [worker], new Events());
    const callers = new FreshCallers(await listener.listen(), CALLERS, () => '/');
    await until('clients are served', () => callers.answered >= 4 * CALLERS);
    const before = worker.taken;
    await listener.close(Deadline.after(10_000));
    await callers.end();
    assert.deepEqual(callers.lost, {});
    assert.ok(worker.taken - before <= CALLERS, `${worker.taken - before} connections of ${CALLERS} callers`);
    assert.equal(callers.answered, worker.taken);
  });
});
