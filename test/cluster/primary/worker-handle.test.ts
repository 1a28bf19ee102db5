import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { once } from 'node:events';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { type PoolCallbacks, WorkerHandle } from '../../../lib/cluster/primary/worker-handle';
import { Events } from '../../../lib/core/events';
import type { Connection } from '../../../lib/internals/socket-handoff';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

/** A worker that loses the first and the last connection, as one without a file descriptor, and is slow to read the second. */
const WORKER = `
let [seen, taken, unread] = [0, 0, false];
const take = () => process.send({ catamount: 'taken' }, () => undefined, (taken += 1));
process.on('message', ({ catamount }, connection) => {
  connection?.destroy();
  if (catamount === 'connection' && ++seen > 1 && seen < 4) {
    if (seen === 2) unread = true;
    else take();
  }
  if (catamount === 'count') {
    if (unread) take();
    unread = false;
    process.send({ catamount: 'count', taken });
  }
});
process.send({ catamount: 'ready' });`;

const NEVER_MS = 600_000;

describe('a worker, as the primary sees it,', () => {
  it('that has lost a connection is believed to have got those after it, however late it reads them', async () => {
    const exec = path.join(tempFolder('worker'), 'worker.js');
    fs.writeFileSync(exec, WORKER);
    cluster.setupPrimary({ exec, execArgv: [] });
    const waiting: Connection[] = [];
    const returned: Connection[] = [];
    const pool: PoolCallbacks = {
      redispatch: (connection) => returned.push(connection),
      free: () => {
        const next = waiting.shift();
        if (next) handle.take(next);
      },
      answer: () => assert.fail(),
      mayLoad: async () => undefined,
      treeServed: () => undefined,
      relay: () => undefined,
      reported: () => undefined,
      requestReplacement: () => undefined,
    };
    const handle = new WorkerHandle(cluster.fork(), 0, 0, pool, new Events());
    const server = net.createServer({ pauseOnConnect: true });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const connect = async () => {
      const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
      clients.push(client);
      return (await once(server, 'connection'))[0] as net.Socket;
    };
    const clients: net.Socket[] = [];
    try {
      const [lost, late, next, last] = [await connect(), await connect(), await connect(), await connect()];
      const look = () => {
        handle.watch({ timeoutMs: NEVER_MS, bootTimeoutMs: NEVER_MS });
        return returned;
      };
      await handle.ready.promise;
      handle.take(lost);
      await until('the first is returned', () => look().length > 0);
      waiting.push(next);
      handle.take(late);
      await until('the others are confirmed', () => look() && waiting.length === 0 && !handle.awaited);
      assert.deepEqual(returned, [lost]);
      handle.take(last);
      await until('the last is returned', () => look().length > 1);
    } finally {
      handle.kill('the test is over');
      await handle.exited.promise;
      server.close();
      for (const each of [...clients, ...returned]) (each as net.Socket).destroy();
    }
  });
});
