import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import fc from 'fast-check';
import { Events } from '../../lib/core/events';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { store, storeDead } from '../job/sets/stored-job';
import { OpsWeb, SIGNED, tokenIn } from '../ops/ops-web';
import { readAnswers } from './answers';
import { cases, runs, SEED } from './campaign';
import { JOB_SEEDS, JOB_WORDS } from './job-record-seeds';
import { Mutator } from './mutator';

const JOB = '0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11';
const LISTS = 'dead retry scheduled busy queues cron classes find dead/confirm queues/default dead/action'.split(' ');
/** Previews are left out: another process renders them, which this test does not have. */
const PATHS = [
  ...'/ /users /users/me /health /ready /ops /ops/sign-in /ops/metrics /ops/assets/ops.css /ops/jobs'.split(' '),
  ...LISTS.map((name) => `/ops/jobs/${name}`),
  ...[`/ops/jobs/job/default/${JOB}`, `/ops/jobs/job/default/${JOB}/delete`],
  ...'/ops/mail/inbox /ops/mail/deliveries /ops/processes/restart /ops/charts /nothing/here'.split(' '),
];
const FOLDERS = [
  ...'/ops/jobs /ops/jobs/job/default /ops/jobs/queues /ops/mail/inbox /ops/mail/deliveries'.split(' '),
  ...'/ops/processes /ops/assets /users'.split(' '),
];
const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'];
const HEADERS = [
  ...['Content-Length: 5', 'Transfer-Encoding: chunked', 'Connection: close', 'Expect: 100-continue', 'Upgrade: h2c'],
  ...['Host: a', 'Authorization: Bearer 1:x', 'Cookie: a=b; c', 'X-Request-Id: a'],
  ...[
    'Accept-Language: ko;q=9',
    'Content-Encoding: gzip',
    'ffffffff',
    'X-Forwarded-For: 1.2.3.4, x',
    'Forwarded: for=x',
  ],
  ...['X-Forwarded-Host: evil.example', 'Host: evil.example', `Cookie: catamount_ops=${'A'.repeat(22)}.9999999999.x`],
];
const WORDS = [
  ...HEADERS.map((line) => `${line}\r\n`),
  ...['\r\n', '\r\n\r\n', ': ', '0\r\n\r\n', '5;x=y\r\nhello\r\n'],
  ...'HTTP/1.0 HTTP/2.0 %00 %2e%2e/ /../ // ? # http://other/'.split(' '),
];

/** The whole app with its operator's pages, on real servers: nothing that a client sends causes a 5xx or harms the next request. */
describe('HTTP routes, given anything', () => {
  let web: OpsWeb;
  let port: number;
  before(async () => {
    web = await OpsWeb.start({ ...SIGNED, METRICS_TOKEN: '0123456789abcdef' });
    port = Number(new URL(web.url).port);
    const mutator = new Mutator(SEED, JOB_WORDS);
    const database = new Database(web.database.url, { production: false, events: new Events() });
    const { knex } = database;
    await storeDead(knex, { id: JOB, at: 1 });
    for (let n = 0; n < 180; n++) {
      const text = mutator.mutate(JOB_SEEDS).toString('utf8');
      const payload = isJson(text) ? text : JSON.stringify(text);
      if (n % 3 === 0) await storeDead(knex, { at: n, payload });
      else await store(knex, n % 3 === 1 ? 'scheduled' : 'ready', { at: n, payload });
    }
    await database.stop(Deadline.after(10_000));
  });
  after(() => web.stop());
  afterEach(async () => {
    assert.deepEqual(
      web.errors.map(({ method, path, error }) => `${method} ${path}: ${error.stack}`),
      [],
    );
    assert.equal((await web.get('/health')).status, 200);
  });

  /** @returns what the server sent until either side closed the connection. */
  function exchange(bytes: Buffer): Promise<string> {
    return new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => socket.end(bytes));
      let text = '';
      socket.setEncoding('latin1');
      socket.on('data', (part) => {
        text += part;
        // An event stream does not end by itself.
        if (/^content-type: text\/event-stream\r$/im.test(text)) socket.destroy();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(text));
    });
  }

  it('answer any bytes without a 5xx other than 501 and 505', async () => {
    const json = '{"email":"a@b.co","name":"A"}';
    const post = `POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n${json}`;
    const chunks = `POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1d\r\n${json}\r\n0\r\n\r\n`;
    const form =
      'POST /ops/sign-in HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 21\r\n\r\nname=ada&password=sec';
    const gets = PATHS.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n`);
    const mutator = new Mutator(SEED, WORDS);
    const some = async (many: number) => {
      for (let n = many; n > 0; n--) {
        const bytes = mutator.mutate([post, post, chunks, chunks, form, post + (gets[0] ?? ''), ...gets]);
        for (const { status } of readAnswers(await exchange(bytes)))
          assert.ok(
            status < 500 || status === 501 || status === 505,
            `${status} for ${JSON.stringify(bytes.toString('latin1'))}`,
          );
      }
    };
    await Promise.all(Array.from({ length: 8 }, () => some(cases(1000) / 8)));
  });

  for (const role of ['nobody', 'an operator'] as const) {
    it(`answer every request of ${role} without a 5xx`, async () => {
      const cookie = role === 'nobody' ? '' : await web.signIn(SIGNED.OPS_PASSWORD);
      const token = tokenIn((await web.get('/ops/jobs/dead', { cookie })).body);
      const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
      await fc.assert(
        fc.asyncProperty(requests, async ({ method, folder, name, query, fields, json, type, accept }) => {
          const path = folder === undefined ? name : `${folder}/${encodeURIComponent(name)}`;
          const body = type === FORM ? new URLSearchParams({ ...fields, token }).toString() : json;
          const target = `${path}?${new URLSearchParams(query)}`;
          const headers = { accept, origin: web.url, ...(cookie && { cookie }), ...(type && { 'content-type': type }) };
          const status = await send(agent, method, target, headers, body);
          assert.ok(status >= 200 && status < 500, `${status} for ${method} ${target}`);
        }),
        runs(400),
      );
      agent.destroy();
    });
  }

  function send(agent: http.Agent, method: string, path: string, headers: http.OutgoingHttpHeaders, body: string) {
    return new Promise<number>((resolve, reject) => {
      const sent = http.request({ port, host: '127.0.0.1', method, path, headers, agent }, (answer) => {
        resolve(answer.statusCode ?? 0);
        answer.resume();
      });
      sent.on('error', reject);
      sent.end(method === 'GET' || method === 'HEAD' ? undefined : body);
    });
  }
});

const FORM = 'application/x-www-form-urlencoded';
const odd = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 20 }),
  fc.constantFrom('__proto__', '../..', '%', '-1', '1e9', '9'.repeat(30), 'NaN', 'dead', 'default', '*', "'", JOB),
);
const field = fc.oneof(
  fc.constantFrom(
    'q',
    'class',
    'queue',
    'page',
    'sort',
    'when',
    'lang',
    'id',
    'all',
    'action',
    'reason',
    'until',
    'span',
  ),
  odd,
);
/** The path of an existing page, or one below a folder. */
const target = fc.oneof(
  fc.record({ folder: fc.constant(undefined), name: fc.constantFrom(...PATHS) }),
  fc.record({ folder: fc.constantFrom(...FOLDERS), name: odd }),
);
const requests = fc
  .record({
    method: fc.constantFrom(...METHODS),
    target,
    query: fc.dictionary(field, odd, { maxKeys: 4 }),
    fields: fc.dictionary(field, odd, { maxKeys: 4 }),
    json: fc.oneof(fc.json(), odd),
    type: fc.constantFrom('application/json', FORM, 'text/plain', 'x', ''),
    accept: fc.constantFrom('text/html', 'application/json', '*/*;q=x'),
  })
  .map(({ target: { folder, name }, ...rest }) => ({ ...rest, folder, name }));

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return !/\0|\\u0000/.test(text);
  } catch {
    return false;
  }
}
