import assert from 'node:assert/strict';
import http from 'node:http';
import { isIP } from 'node:net';
import fc from 'fast-check';
import { Serving } from '../web/serving';
import { runs } from './campaign';

const FORWARDING = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-real-ip', 'forwarded', 'via'];

interface Seen {
  readonly ip: string;
  readonly host: string;
  readonly protocol: string;
  readonly forwarded: boolean;
}

/** What headers say about the way of a request: a trusted proxy has set them, or the client has made them up. */
describe('headers of requests, given anything', () => {
  const servings: Serving[] = [];
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const seen: Seen[] = [];
  const serve = async (hops: number) => {
    const serving = await Serving.start({
      trustProxy: { hops },
      routes: (router) => {
        router.get('/seen', (ctx) => {
          seen.push({ ip: ctx.ip, host: ctx.host, protocol: ctx.protocol, forwarded: ctx.forwarded });
          ctx.status = 204;
        });
      },
    });
    servings.push(serving);
    return serving;
  };
  after(async () => {
    agent.destroy();
    for (const serving of servings) await serving.stop();
  });

  // Only what Node's client accepts as the value of a header.
  const value = fc
    .oneof(
      fc.string({ maxLength: 30 }),
      fc.ipV4(),
      fc.ipV6(),
      fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('unknown', '', '::ffff:10.0.0.1', '<x>'))).map(String),
      fc.constantFrom('t=1', '0', '-1', '9'.repeat(25), 'https', 'evil.example', 'for=1.2.3.4;host=evil.example'),
    )
    .map((text) => text.replace(/[^\t\x20-\x7e]/g, ''));
  const headers = fc.dictionary(fc.constantFrom(...FORWARDING, 'x-request-id'), value);

  it('do not change the address, the host or the protocol when no proxy is trusted', async () => {
    const serving = await serve(0);
    await fc.assert(
      fc.asyncProperty(headers, async (given) => {
        seen.length = 0;
        const { status } = await serving.request('/seen', { headers: given, agent });
        assert.equal(status, 204);
        const [found] = seen;
        assert.deepEqual([found?.ip, found?.protocol], ['127.0.0.1', 'http']);
        assert.match(found?.host ?? '', /^127\.0\.0\.1:\d+$/);
        assert.equal(
          found?.forwarded,
          FORWARDING.some((name) => given[name] !== undefined),
        );
      }),
      runs(2000),
    );
  });

  it('yield a valid address when a proxy is trusted', async () => {
    const serving = await serve(1);
    await fc.assert(
      fc.asyncProperty(headers, async (given) => {
        seen.length = 0;
        const { status } = await serving.request('/seen', { headers: given, agent });
        assert.equal(status, 204);
        for (const { ip } of seen) assert.notEqual(isIP(ip), 0, ip);
      }),
      runs(2000),
    );
  });
});
