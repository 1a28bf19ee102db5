import assert from 'node:assert/strict';
import { Serving } from './serving';

/** How much later than its limit a connection may be cut off, ms: the server checks once a second, and the machine may be busy. */
const LATE_MS = 5000;

/** This test has to wait for real time: the limits are Node's own, and no clock of ours can move them. */
describe('the time limit of a connection', () => {
  let serving: Serving;
  before(async () => {
    serving = await Serving.start({ routes: (router) => void router.post('/', () => undefined) });
  });
  after(() => serving.stop());

  const LIMITS = {
    'for headers is 15 s': { limitMs: 15_000, sent: 'GET / HTTP/1.1\r\nHost: a\r\n' },
    'for a whole request is 29 s': {
      limitMs: 29_000,
      sent: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a"',
    },
  };
  /** The response to a client that stops in the middle, and after how many ms it was cut off. */
  const cutOff = async (sent: string) => {
    const socket = await serving.connect();
    const since = performance.now();
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(sent);
    await closed;
    return { text, tookMs: performance.now() - since };
  };
  // Both clients wait at the same time.
  const ends = new Map<string, ReturnType<typeof cutOff>>();
  before(() => {
    for (const { sent } of Object.values(LIMITS)) ends.set(sent, cutOff(sent));
  });

  for (const [name, { limitMs, sent }] of Object.entries(LIMITS)) {
    it(name, async () => {
      const { text = '', tookMs = 0 } = (await ends.get(sent)) ?? {};
      const [head = '', body = ''] = text.split('\r\n\r\n');
      assert.match(head, /^HTTP\/1\.1 408 [\s\S]*application\/problem\+json/);
      assert.equal((JSON.parse(body) as { status: number }).status, 408);
      assert.ok(tookMs >= limitMs - 100 && tookMs < limitMs + LATE_MS, `it was cut off after ${Math.round(tookMs)} ms`);
    });
  }
});
