import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { Serving } from './serving';

const LIMIT = 100_000;

describe('a JSON body', () => {
  let bodies: unknown[] = [];

  const serving = inSuite('stop', () =>
    Serving.start({
      routes(router) {
        router.post('/echo', (ctx) => {
          bodies.push(ctx.request.body);
          ctx.body = { type: typeof ctx.request.body };
        });
        // Like an app that reads bodies itself: by events, by a pipe, by iteration.
        router.put('/length/data', async (ctx) => {
          let length = 0;
          ctx.req.on('data', (chunk: Buffer) => {
            length += chunk.length;
          });
          await new Promise((resolve) => ctx.req.once('end', resolve));
          ctx.body = { length };
        });
        router.put('/length/pipe', async (ctx) => {
          const through = ctx.req.pipe(new PassThrough());
          ctx.body = { length: (await buffer(through)).length };
        });
        router.put('/length/iteration', async (ctx) => {
          let length = 0;
          for await (const chunk of ctx.req) length += (chunk as Buffer).length;
          ctx.body = { length };
        });
        router.put('/unread', (ctx) => {
          ctx.body = 'unread';
        });
      },
    }),
  );
  beforeEach(() => {
    bodies = [];
    serving.errors.length = 0;
    serving.finished.length = 0;
  });

  it('is parsed for the route', async () => {
    assert.equal((await serving.post('/echo', '{"a":[1,"é",null]}')).status, 200);
    const odd = { 'content-type': 'application/vnd.shop+json; charset=utf-8', 'content-encoding': 'identity' };
    await serving.post('/echo', '{"a":2}', odd);
    assert.deepEqual(bodies, [{ a: [1, 'é', null] }, { a: 2 }]);
  });

  it('of another type, or a missing one, is left to the route', async () => {
    await serving.post('/echo', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' });
    await serving.request('/echo', { method: 'POST' });
    assert.deepEqual(bodies, [undefined, undefined]);
  });

  const malformed: Readonly<Record<string, string | Buffer>> = {
    nothing: '',
    blanks: ' \n',
    'half an object': '{"a":',
    'a trailing comma': '{"a":1,}',
    'single quotes': "{'a':1}",
    'two values': '{} {}',
    NaN: 'NaN',
    HTML: '<html>',
    NUL: '\0',
    'a raw control character': '{"a":"\u0001"}',
    'a lone byte': Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    'an overlong slash': Buffer.from([0x22, 0xc0, 0xaf, 0x22]),
    'an encoded surrogate': Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
    'half a character': Buffer.from([0x22, 0xe2, 0x82]),
    'UTF-16': Buffer.from('{"a":1}', 'utf16le'),
    __proto__: '{"__proto__":{"polluted":1}}',
    '__proto__ in escapes': '{"a":[{"\\u005f_proto__":{"polluted":1}}]}',
    'constructor.prototype': '{"constructor":{"prototype":{"polluted":1}}}',
  };
  for (const [name, body] of Object.entries(malformed)) {
    it(`400 for ${name}`, async () => {
      const { status, json } = await serving.post('/echo', body);
      assert.equal(status, 400);
      assert.equal(json.title, 'Malformed JSON');
      assert.equal(Reflect.get({}, 'polluted'), undefined);
      assert.deepEqual(bodies, []);
    });
  }

  it('may have a key that only looks dangerous', async () => {
    assert.equal((await serving.post('/echo', '{"constructor":"Acme","proto":1}')).status, 200);
  });

  it('may be deeply nested, valid or not', async () => {
    const depth = LIMIT / 2;
    assert.equal((await serving.post('/echo', '['.repeat(depth) + ']'.repeat(depth))).status, 200);
    assert.equal((await serving.post('/echo', '['.repeat(LIMIT))).status, 400);
    assert.equal((await serving.post('/echo', '{"a":'.repeat(19_999))).status, 400);
  });

  it('may have exactly the size of the limit, and not a byte more', async () => {
    const body = (size: number) => `"${'x'.repeat(size - 2)}"`;
    assert.equal((await serving.post('/echo', body(LIMIT))).status, 200);
    assert.equal((await serving.post('/echo', body(LIMIT + 1))).status, 413);
    const chunked = (size: number) => serving.post('/echo', body(size), { 'transfer-encoding': 'chunked' });
    assert.equal((await chunked(LIMIT)).status, 200);
    for (const size of [LIMIT + 1, LIMIT * 5]) {
      const { status, json } = await chunked(size);
      assert.deepEqual([status, json.detail], [413, `The body must not be larger than ${LIMIT} bytes.`]);
    }
  });

  it('is requested with 100 Continue, unless its Content-Length is too large', async () => {
    const head = 'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n';
    assert.match(await serving.raw(`${head}Content-Length: 5000000\r\n\r\n`), /^HTTP\/1\.1 413 /);
    for (const type of ['application/json', 'text/plain']) {
      const socket = await serving.connect();
      let text = '';
      socket.on('data', (chunk) => {
        text += String(chunk);
      });
      socket.write(`${head.replace('application/json', type)}Content-Length: 2\r\n\r\n`);
      await until('100 Continue has arrived', () => text === 'HTTP/1.1 100 Continue\r\n\r\n');
      socket.write('{}');
      await until('the response has arrived', () => /Continue\r\n\r\nHTTP\/1\.1 200 /.test(text));
      socket.destroy();
    }
  });

  it('is cut off if it never ends', async () => {
    const socket = await serving.connect();
    let closed = false;
    socket.once('close', () => {
      closed = true;
    });
    socket.resume();
    socket.write(
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    await until('the server has closed the connection', () => {
      if (!closed) socket.write(chunk);
      return closed;
    });
    assert.equal(serving.errors.length, 0);
  });

  it('is rejected with 415 if it is compressed, since it could be huge', async () => {
    const { status, headers } = await serving.post('/echo', gzipSync('{}'), { 'content-encoding': 'gzip' });
    assert.deepEqual([status, headers['accept-encoding']], [415, 'identity']);
  });

  it('occupies no slot while it is received, and leaves nothing behind when the client aborts', async () => {
    const head = 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n';
    const senders = await Promise.all(Array.from({ length: 20 }, () => serving.connect()));
    for (const sender of senders) sender.write(`${head}{"a"`);
    assert.equal((await serving.post('/echo', '{}')).status, 200);
    assert.equal(serving.limit.snapshot().inFlight, 0);
    for (const [index, sender] of senders.entries()) index % 2 === 0 ? sender.destroy() : sender.end();
    await until('all aborts have been noticed', () => serving.finished.length === 21);
    assert.equal(serving.finished.filter(({ status }) => status === 499).length, 20);
    for (const sender of senders) sender.destroy();
    assert.equal(serving.errors.length, 0);
    assert.deepEqual(bodies, [{}]);
  });

  it('of another type can be read completely, in whatever pieces it arrives', async () => {
    for (const reader of ['data', 'pipe', 'iteration']) {
      for (const size of [0, 1, 100_000, 3_000_000]) {
        for (const coding of [{ 'content-length': size }, { 'transfer-encoding': 'chunked' }]) {
          const options = {
            method: 'PUT',
            body: Buffer.alloc(size),
            headers: { 'content-type': 'text/plain', ...coding },
          };
          const { status, json } = await serving.request(`/length/${reader}`, options);
          assert.deepEqual([status, json.length], [200, size], `${reader}, ${size}, ${JSON.stringify(coding)}`);
        }
      }
      const head = `PUT /length/${reader} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n`;
      for (const [pieces, length] of [
        [['0\r\n\r\n'], 0],
        [['2\r\nab\r\n', '1\r\nc\r\n0\r\n\r\n'], 3],
      ] as const) {
        const socket = await serving.connect();
        let text = '';
        socket.on('data', (chunk) => {
          text += String(chunk);
        });
        socket.write(head);
        for (const piece of pieces) {
          // Separate packets: once another request is answered, the server has received the previous piece.
          await serving.request('/unread', { method: 'PUT' });
          socket.write(piece);
        }
        await until('the response has arrived', () => text.includes(`{"length":${length}}`));
        socket.destroy();
      }
    }
    assert.equal((await serving.request('/unread', { method: 'PUT', body: 'a'.repeat(200_000) })).text, 'unread');
    assert.equal(serving.errors.length, 0);
  });

  it('of another type occupies no slot while it is received, nor when the client aborts', async () => {
    const head = 'PUT /length/data HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n';
    const senders = await Promise.all(Array.from({ length: 20 }, () => serving.connect()));
    for (const sender of senders) sender.write(`${head}half`);
    const first = await serving.connect();
    first.write(`${head}half`);
    for (let n = 0; n < 3; n++) await serving.request('/unread', { method: 'PUT' });
    await until('the slot of the last is free', () => serving.limit.snapshot().inFlight === 0);
    first.write('x'.repeat(96));
    assert.match(
      await new Promise((resolve) => first.once('data', (chunk) => resolve(String(chunk)))),
      /^HTTP\/1\.1 200 /,
    );
    for (const sender of senders) sender.destroy();
    await until(
      'all aborts have been noticed',
      () => serving.finished.filter(({ status }) => status === 499).length === 20,
    );
    first.destroy();
    assert.equal(serving.errors.length, 0);
  });
});

describe('bodies that are never completed', () => {
  const serving = inSuite('stop', () =>
    Serving.start({
      web: { bodyLimitBytes: 2_000_000 },
      routes: (router) => {
        router.post('/echo', async (ctx) => {
          for await (const chunk of ctx.req) void chunk;
          ctx.status = 204;
        });
      },
    }),
  );

  const head = (type: string, bytes: number) =>
    `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: ${bytes}\r\n\r\n`;
  /** Clients that send this and pause. @returns them, and how many of them have got a 503 with Retry-After. */
  const pausing = async (count: number, bytes: string) => {
    const senders = await Promise.all(Array.from({ length: count }, () => serving.connect()));
    let refused = 0;
    for (const sender of senders) {
      sender.on('data', (answer) => {
        if (/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: 2\r\n/.test(String(answer))) refused++;
      });
      sender.write(bytes);
    }
    return { senders, refused: () => refused };
  };
  const accepted = async () => (await serving.post('/echo', '{}')).status === 204;

  it('count while they arrive: those beyond 16 MB get 503, and the others theirs back when they end', async () => {
    for (let round = 0; round < 2; round++) {
      const bytes = `${head('application/json', 1_990_000)}"${'x'.repeat(1_900_000)}`;
      const { senders, refused } = await pausing(20, bytes);
      await until('at most 8 are held', () => refused() >= 12);
      for (const sender of senders) sender.destroy();
      await until('a body is accepted again', accepted);
      await until('all have ended', () => serving.finished.filter(({ status }) => status === 499).length >= 8);
      serving.finished.length = 0;
    }
    assert.deepEqual(serving.errors, []);
  });

  it('count once, too, when they were refused as too large after a part of them was held', async () => {
    const chunk = `${(100_000).toString(16)}\r\n${'x'.repeat(100_000)}\r\n`;
    const chunked =
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n';
    for (let n = 0; n < 10; n++) {
      const answer = await serving.raw(`${chunked}Connection: close\r\n\r\n${chunk.repeat(21)}0\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 413 /);
    }
    const { senders, refused } = await pausing(20, `${head('application/json', 1_990_000)}"${'x'.repeat(1_900_000)}`);
    await until('at most 8 are held', () => refused() >= 12);
    for (const sender of senders) sender.destroy();
    await until('a body is accepted again', accepted);
  });

  it('of another type are not buffered further beyond 16 MB: they wait for a slot', async () => {
    const { senders } = await pausing(20, `${head('text/plain', 999_000)}${'x'.repeat(998_000)}`);
    await until('those that are not buffered have slots', () => serving.limit.snapshot().inFlight >= 4);
    for (const sender of senders) sender.destroy();
    await until('a body is accepted again', accepted);
  });

  it('of another type are read to their end after a refusal, so that nothing is kept and the next request is served', async () => {
    const busy = await Serving.start({
      web: { maxThreads: 1, backlog: 0 },
      routes: (router) => {
        router.post('/echo', () => new Promise(() => undefined));
      },
    });
    try {
      const holder = await busy.connect();
      holder.write('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
      await until('the slot is taken', () => busy.limit.snapshot().inFlight === 1);
      const sender = await busy.connect();
      let answers = '';
      sender.on('data', (chunk) => {
        answers += String(chunk);
      });
      sender.write(`${head('text/plain', 3_000_000)}${'x'.repeat(2_000_000)}`);
      await until('it is refused', () => answers.startsWith('HTTP/1.1 503 '));
      sender.write(`${'x'.repeat(1_000_000)}GET /health HTTP/1.1\r\nHost: a\r\n\r\n`);
      await until('the next request is answered', () => answers.includes('"status":"ok"'));
      sender.destroy();
      holder.destroy();
    } finally {
      await busy.stop();
    }
  });

  it('are refused before they are sent if they announce too much', async () => {
    const { senders } = await pausing(8, `${head('application/json', 1_990_000)}"${'x'.repeat(1_900_000)}`);
    const eager = head('application/json', 1_990_000).replace('Host: a', 'Host: a\r\nExpect: 100-continue');
    await until('one of the same size is refused', async () => (await serving.raw(eager)).startsWith('HTTP/1.1 503 '));
    assert.ok(await accepted(), 'a small one has room');
    for (const sender of senders) sender.destroy();
  });

  it('of single bytes count for what they take', async () => {
    const chunked = head('application/json', 0).replace('Content-Length: 0', 'Transfer-Encoding: chunked');
    const { senders, refused } = await pausing(8, `${chunked}${'1\r\nx\r\n'.repeat(10_000)}`);
    await until('at most 6 are held', () => refused() >= 2);
    for (const sender of senders) sender.destroy();
  });
});
