import assert from 'node:assert/strict';
import { once } from 'node:events';
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

  it('are limited in number, and free their place when the client disconnects', async () => {
    // One by one: the first one loads the modules of the pages, and others would wait only a limited time for that.
    const streams: Awaited<ReturnType<OpsWeb['stream']>>[] = [];
    while (streams.length < 50) streams.push(await ops.stream(EVENTS));
    for (const { statusCode, headers } of streams.map(({ answer }) => answer)) {
      assert.deepEqual([statusCode, headers['content-type']], [200, 'text/event-stream; charset=utf-8']);
      assert.match(String(headers['cache-control']), /no-transform/);
    }
    const refused = await request(ops.url + EVENTS, { headers: BEARER });
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '30']);
    // Streams occupy no slot, so pages are still served.
    assert.equal((await ops.get('/ops/mail/inbox')).status, 200);
    streams[0]?.close();
    const again = await until('there is a free place again', async () => {
      const stream = await ops.stream(EVENTS);
      return stream.answer.statusCode === 200 && stream;
    });
    for (const stream of [...streams, again]) stream.close();
  });

  it('end when the process stops', async () => {
    const { answer, text } = await ops.stream(EVENTS);
    await until('the stream has begun', () => text().includes('event: tick'));
    const ended = once(answer, 'end');
    assert.equal(await ops.leave(), 0, 'the stream was not cut at the deadline');
    await ended;
  });
});
