import assert from 'node:assert/strict';
import net from 'node:net';
import type { RequestOptions } from '../support/http';
import type { Tree } from '../support/tree';
import { signUp, somebody } from './sign-ups';
import { Surroundings } from './surroundings';

interface Case {
  readonly status: number;
  readonly method?: string;
  readonly target?: string;
  readonly options: Omit<RequestOptions, 'method'>;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const text = (body: string | Buffer): Case['options'] => ({ body, headers: JSON_TYPE });
const bearer = (token: string): Case => ({
  status: 401,
  method: 'GET',
  target: '/users/me',
  options: { headers: { authorization: token } },
});
const email = 'mallory@example.com';

const CASES: Readonly<Record<string, Case>> = {
  'no body': { status: 415, options: {} },
  'a form': {
    status: 415,
    options: { body: 'email=a', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  },
  'a compressed body': { status: 415, options: { body: 'x', headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } } },
  'half an object': { status: 400, options: text('{"email":"a@b.c"') },
  'invalid UTF-8': { status: 400, options: text(Buffer.from('7b22656d61696c223a22c328227d', 'hex')) },
  'a lone surrogate': { status: 422, options: text('{"email":"a@example.com","name":"\\ud800"}') },
  'a NUL': { status: 422, options: { json: { email, name: 'a\0b' } } },
  'keys named __proto__': { status: 400, options: text(`{"email":"${email}","__proto__":{"locale":"ko"}}`) },
  'a constructor with a prototype': {
    status: 400,
    options: text(`{"email":"${email}","constructor":{"prototype":{"x":1}}}`),
  },
  'brackets without end': { status: 422, options: text('['.repeat(49_000) + ']'.repeat(49_000)) },
  'more than 100 kB': { status: 413, options: { json: { email, name: 'x'.repeat(110_000) } } },
  'an array': { status: 422, options: { json: [] } },
  'a bare null': { status: 422, options: text('null') },
  'no address': { status: 422, options: { json: { name: 'Mallory' } } },
  'an address that is none': { status: 422, options: { json: { email: 'mallory@' } } },
  'a header in the address': { status: 422, options: { json: { email: `${email}\r\nBcc: all@example.com` } } },
  'an object for an address': { status: 422, options: { json: { email: { toString: 'x' } } } },
  'a locale that there is not': { status: 422, options: { json: { email, locale: 'xx' } } },
  'no token': { status: 401, method: 'GET', target: '/users/me', options: {} },
  'a token of nobody': bearer(`Bearer 999999999:${'A'.repeat(43)}`),
  'a token with a number past all': bearer(`Bearer ${'9'.repeat(40)}:${'A'.repeat(43)}`),
  'a token that is none': bearer('Bearer 1%00:x'),
  'another scheme': bearer('Basic YTpi'),
  'a path that there is not': { status: 404, method: 'GET', target: '/nowhere', options: {} },
  'a path with a NUL': { status: 404, method: 'GET', target: '/users/%00', options: {} },
  'a path that cannot be decoded': { status: 400, method: 'GET', target: '/%E0%A4%A', options: {} },
  'a method that fits no path': { status: 405, method: 'DELETE', target: '/users', options: {} },
  'a method that nobody knows': { status: 405, method: 'PROPFIND', target: '/users', options: {} },
};

const RAW: Readonly<Record<string, { bytes: string; status: RegExp }>> = {
  'huge headers': {
    bytes: `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
    status: /^HTTP\/1\.1 431 /,
  },
  'no HTTP at all': { bytes: '\u0016\u0003\u0001\u0002\r\n\r\n', status: /^HTTP\/1\.1 400 / },
  'two lengths': {
    bytes: 'POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    status: /^HTTP\/1\.1 400 /,
  },
};

describe('bad input to a whole tree', () => {
  let around: Surroundings;
  let tree: Tree;
  let pidsAtFirst: readonly number[];
  const pids = () => tree.processes().all.map(({ pid }) => pid);

  before(async () => {
    around = await Surroundings.make();
    tree = await around.start();
    await tree.waitForLine(/job processor is ready/);
    pidsAtFirst = pids();
  });
  after(() => around.remove());

  for (const [name, { status, method = 'POST', target = '/users', options }] of Object.entries(CASES)) {
    it(`${status} for ${name}`, async () => {
      const answer = await tree.request(method, target, options);
      assert.equal(answer.status, status, answer.body);
      assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
      assert.equal(answer.json().status, status);
    });
  }

  it('422 for an address that is taken, in any case', async () => {
    const user = somebody();
    assert.equal((await signUp(tree, user)).status, 201);
    const answer = await signUp(tree, { ...user, email: user.email.toUpperCase() });
    assert.equal(answer.status, 422);
    assert.deepEqual(answer.json().errors, [{ pointer: '/email', detail: 'is already taken' }]);
  });

  for (const [name, { bytes, status }] of Object.entries(RAW)) {
    it(`a refusal for ${name}`, async () => assert.match(await raw(tree, bytes), status));
  }

  it('makes no 5xx, no user and no crash', async () => {
    assert.equal((await around.users()).length, 1);
    assert.deepEqual(pids(), pidsAtFirst);
    const errors = tree.linesMatching(({ json }) => ['error', 'fatal'].includes(String(json.level)));
    assert.deepEqual(errors, []);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});

/** Sends bytes as they are. @returns all that comes back. */
function raw(tree: Tree, bytes: string): Promise<string> {
  const { hostname, port } = new URL(tree.baseUrl);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = net.connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', (error) => (chunks.length > 0 ? undefined : reject(error)));
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}
