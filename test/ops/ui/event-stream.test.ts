import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { request } from '../../support/http';
import { until } from '../../support/until';
import { BEARER, OpsWeb } from '../ops-web';

const EVENTS = '/ops/counts';

describe('event streams', () => {
  let ops: OpsWeb;
  before(async () => {
    ops = await OpsWeb.start();
  });
  after(() => ops?.stop());

  const open = () =>
    new Promise<http.IncomingMessage>((resolve, reject) => {
      http.get(ops.url + EVENTS, { headers: BEARER, agent: false }, resolve).once('error', reject);
    });

  it('are limited in number, and free their place when the client disconnects', async () => {
    // One by one: the first one loads the modules of the pages, and others would wait only a limited time for that.
    const streams: http.IncomingMessage[] = [];
    while (streams.length < 50) streams.push(await open());
    for (const { statusCode, headers } of streams) {
      assert.deepEqual([statusCode, headers['content-type']], [200, 'text/event-stream; charset=utf-8']);
      assert.match(String(headers['cache-control']), /no-transform/);
    }
    const refused = await request(ops.url + EVENTS, { headers: BEARER });
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '30']);
    // Streams occupy no slot, so pages are still served.
    assert.equal((await ops.get('/ops/mail/inbox')).status, 200);
    streams[0]?.destroy();
    const again = await until('there is a free place again', async () => {
      const stream = await open();
      return stream.statusCode === 200 && stream;
    });
    for (const stream of [...streams, again]) stream.destroy();
  });

  it('end when the process stops', async () => {
    const stream = await open();
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await until('the stream has begun', () => text.includes('event: tick'));
    const ended = once(stream, 'end');
    assert.equal(await ops.leave(), 0, 'the stream was not cut at the deadline');
    await ended;
  });
});
