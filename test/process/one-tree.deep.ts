import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import type { RequestOptions } from '../support/http';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { LoadedModules, rolesOf } from './loaded-modules';
import { assertOneMailEach, signUpMany, subjectFor } from './sign-ups';

const MANY = 200;

interface Refused {
  readonly status: number;
  readonly method?: string;
  readonly target?: string;
  readonly options?: Omit<RequestOptions, 'method'>;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const email = 'mallory@example.com';

/** One of each kind; the others are tested in their layers, in test/app and test/web. */
const REFUSED: Readonly<Record<string, Refused>> = {
  'no body': { status: 415 },
  'a truncated object': { status: 400, options: { body: '{"email":"a@b.c"', headers: JSON_TYPE } },
  'deeply nested brackets': {
    status: 422,
    options: { body: '['.repeat(49_000) + ']'.repeat(49_000), headers: JSON_TYPE },
  },
  'more than 100 kB': { status: 413, options: { json: { email, name: 'x'.repeat(110_000) } } },
  'a header in the address': { status: 422, options: { json: { email: `${email}\r\nBcc: all@example.com` } } },
  'an unknown token': {
    status: 401,
    method: 'GET',
    target: '/users/me',
    options: { headers: { authorization: `Bearer 999999999:${'A'.repeat(43)}` } },
  },
  'a path that cannot be decoded': { status: 400, method: 'GET', target: '/%E0%A4%A' },
  'a path with a NUL': { status: 404, method: 'GET', target: '/users/%00' },
  'an unknown method': { status: 405, method: 'PROPFIND' },
};

/** Bytes that no client of Node would send. */
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

const NOT_IN_PRIMARY = ['objection', 'knex', 'pg', 'koa', 'email-templates', 'nodemailer', 'bee-queue'];
const NOT_IN_WEB = ['email-templates', 'nodemailer', 'bee-queue', 'prom-client', 'ejs', 'throng'];
const NOT_IN_JOBS = ['koa', '@koa/router', 'koa-helmet', 'zod'];
/** Embedded servers, and the packages that the package redis would load. */
const NOWHERE = [
  'lib/embedded',
  'catamount-local-servers',
  '@redis/bloom',
  '@redis/json',
  '@redis/search',
  '@redis/time-series',
];

describe('a tree in production', () => {
  const deployment = useDeployment();
  let tree: Tree;
  let coverage: string;
  let pidsAtFirst: readonly number[];
  const pids = () => tree.processes().all.map(({ pid }) => pid);

  before(async () => {
    coverage = path.join(deployment.folder, 'coverage');
    tree = await deployment.start({ env: { NODE_V8_COVERAGE: coverage } });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    pidsAtFirst = pids();
  });

  it(`brings each of ${MANY} users one welcome in their language`, async () => {
    const users = await signUpMany(tree, MANY);
    await deployment.sink.waitFor(MANY);
    await assertOneMailEach(deployment);
    const received = deployment.sink.messages.map((mail) => `${mail.envelope.to}: ${mail.subject}`);
    const expected = users.map((user) => `${user.email}: ${subjectFor(user)}`);
    assert.deepEqual(received.sort(), expected.sort());
    assert.equal(received.filter((line) => line.includes('환영')).length, MANY / 2);
    assert.equal((await tree.request('GET', '/')).status, 200);
  });

  it('rejects invalid input with a problem document', async () => {
    for (const [name, { status, method = 'POST', target = '/users', options = {} }] of Object.entries(REFUSED)) {
      const answer = await tree.request(method, target, options);
      assert.equal(answer.status, status, `${name}: ${answer.body}`);
      assert.match(String(answer.headers['content-type']), /^application\/problem\+json/, name);
      assert.equal(answer.json().status, status, name);
    }
    for (const [name, { bytes, status }] of Object.entries(RAW)) assert.match(await raw(tree, bytes), status, name);
  });

  it('has created no user from invalid input, has lost no process and has logged no warning', async () => {
    assert.equal((await deployment.users()).length, MANY);
    assert.deepEqual(pids(), pidsAtFirst);
    assert.deepEqual(
      tree.linesMatching(({ json }) => ['warn', 'error', 'fatal'].includes(String(json.level))),
      [],
    );
  });

  describe('loads in its processes', () => {
    let loaded: LoadedModules;
    let roles: ReturnType<typeof rolesOf>;
    before(async () => {
      roles = await until('all have their titles', () => {
        const found = rolesOf(tree);
        return found.web && found.jobs ? found : undefined;
      });
      assert.equal((await tree.stop()).code, 0);
      await tree.allGone();
      loaded = new LoadedModules(coverage);
    });

    const assertNone = (pid: number | undefined, unwanted: readonly string[]) => {
      assert.deepEqual(
        unwanted.filter((name) => loaded.of(pid).has(name)),
        [],
      );
    };

    it('what each needs', () => {
      const needed = {
        primary: ['throng', 'zod'],
        web: ['koa', 'knex', 'objection', 'pg', '@redis/client'],
        jobs: ['bee-queue', 'email-templates', 'nodemailer', 'objection', '@redis/client'],
      };
      for (const role of ['primary', 'web', 'jobs'] as const) {
        for (const name of needed[role]) assert.ok(loaded.of(roles[role]).has(name), `${name} in ${role}`);
      }
    });

    it('no ORM, web framework, mail or queue code in the primary', () => assertNone(roles.primary, NOT_IN_PRIMARY));

    it('no mail or queue code and nothing that forks in a web worker', () => assertNone(roles.web, NOT_IN_WEB));

    it('no web framework and no validator of settings in the job processor', () => assertNone(roles.jobs, NOT_IN_JOBS));

    it('no embedded servers and no unused Redis packages in any process', () => {
      for (const pid of loaded.pids) assertNone(pid, NOWHERE);
    });
  });
});

/** Sends raw bytes. @returns everything that comes back. */
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
