import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { EventStream } from '../../../lib/ops/ui/event-stream';
import { livePage } from '../../../lib/ops/ui/live-page';
import type { OpsContext, PageContext } from '../../../lib/ops/ui/page-types';
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

  it('send a reader who fell behind all that has changed since', async () => {
    const body = new PassThrough({ highWaterMark: 1, encoding: 'utf8' });
    let [text, shown, looks] = ['', 1, 0];
    const handlers = new Map<string, (ctx: OpsContext) => void>();
    const site = {
      router: { get: (path: string, handler: (ctx: OpsContext) => void) => handlers.set(path, handler) },
      streams: { begin: () => new EventStream(body, () => false) },
      layout: { part: async () => `same\nline ${shown}` },
      counts: async () => ({ dead: shown }),
    };
    const look = async () => ({ locals: { title: `${++looks}` }, json: {} });
    livePage(site as unknown as PageContext, '/page', 'view', look);
    body.on('data', (chunk: string) => {
      text += chunk;
    });
    handlers.get('/page/events')?.({ state: { t: String } } as unknown as OpsContext);
    await until('the page is sent', () => text.includes('line 1'));
    body.pause();
    await until('the reader is behind', () => body.writableNeedDrain);
    shown = 2;
    const from = looks;
    await until('updates have been dropped', () => looks > from + 2);
    text = '';
    body.resume();
    await until('the next update is sent', () => text.includes('event: parts'));
    const behind = looks;
    await until('another is sent', () => looks > behind + 1);
    body.destroy();
    assert.match(text, /line 2/);
    assert.match(text, /event: counts\ndata: {"dead":"2"}/);
  });

  it('end when the process stops', async () => {
    const { answer, text } = await ops.stream(EVENTS);
    await until('the stream has begun', () => text().includes('event: tick'));
    const ended = once(answer, 'end');
    assert.equal(await ops.leave(), 0, 'the stream was not cut at the deadline');
    await ended;
  });
});
