import assert from 'node:assert/strict';
import net from 'node:net';
import { MAX_TRIES, PAUSE_SECONDS } from '../../../lib/ops/auth/sign-in-throttle';
import { request } from '../../support/http';
import { BEARER, cookiesOf, OpsWeb, SIGNED, tokenIn } from '../ops-web';

const PRODUCTION = { NODE_ENV: 'production', APP_URL: 'http://127.0.0.1' };

async function signIn(ops: OpsWeb, fields: Readonly<Record<string, string>>) {
  const page = await ops.get('/ops/sign-in');
  return ops.post('/ops/sign-in', { token: tokenIn(page.body), ...fields }, { Cookie: cookiesOf(page) });
}

describe("the operator's pages, with passwords set", () => {
  let ops: OpsWeb;
  before(async () => {
    ops = await OpsWeb.start({ ...PRODUCTION, ...SIGNED });
  });
  after(() => ops?.stop());

  const tryToSignIn = (fields: Readonly<Record<string, string>>) => signIn(ops, fields);
  const right = { name: SIGNED.OPS_USER, password: SIGNED.OPS_PASSWORD };

  it('show unauthenticated visitors the sign-in page at every path, and nothing else', async () => {
    const first = await ops.get('/ops');
    assert.equal(first.status, 200);
    assert.match(first.body, /type="password"/);
    for (const path of ['/ops/mail', '/ops/nowhere', '/ops/mail/inbox', '/ops/mail/inbox/events', '/ops/events']) {
      const answer = await ops.get(path);
      assert.equal(answer.status, 404, path);
      assert.match(answer.body, /type="password"/);
      assert.match(answer.body, new RegExp(`name="next" value="${path}"`));
      assert.equal((await ops.get(path, { Accept: 'application/json' })).status, 404, path);
      assert.equal((await ops.post(path, {})).status, 404, path);
    }
    assert.equal((await ops.get('/ops/mail.json')).status, 404);
    // A link on another site omits the session's cookie, a reload sends it.
    const linked = async (site: string) => (await ops.get('/ops/mail?x=1', { 'Sec-Fetch-Site': site })).headers.refresh;
    assert.deepEqual([await linked('cross-site'), await linked('same-origin')], ['0; url=/ops/mail?x=1', undefined]);
  });

  it('keep the language and the colours that a visitor has chosen', async () => {
    const Cookie = cookiesOf(await ops.get('/ops?locale=ko&theme=dark'));
    assert.match((await ops.get('/ops/mail', { Cookie })).body, /<html lang="ko" data-theme="dark">/);
    assert.match((await ops.get('/ops/mail')).body, /<html lang="en">/);
  });

  it('redirect to the requested path after the right password', async () => {
    const page = await ops.get('/ops/nowhere');
    const fields = { ...right, token: tokenIn(page.body), next: '/ops/nowhere' };
    const answer = await ops.post('/ops/sign-in', fields, { Cookie: cookiesOf(page) });
    assert.equal(answer.status, 303, answer.body);
    assert.equal(answer.headers.location, '/ops/nowhere');
    const gone = await ops.get('/ops/nowhere', { Cookie: cookiesOf(answer) });
    assert.equal(gone.status, 404);
    assert.match(gone.body, /There is nothing here/);
    assert.match(gone.body, /Sign out/);
    assert.equal((await ops.get('/ops/sign-in', { Cookie: cookiesOf(answer) })).headers.location, '/ops');
  });

  it('never redirect outside the pages after the sign-in', async () => {
    for (const next of [
      ...[
        'https://evil.example/',
        '//evil.example/',
        '/\\evil.example',
        '/opsevil',
        '/ops\\..\\x',
        'javascript:alert(1)',
      ],
      ...['/ops//evil.example\r\nSet-Cookie: x=1', '/users', '', '/ops/sign-in', 'ops'],
    ]) {
      const answer = await tryToSignIn({ ...right, next });
      assert.deepEqual([answer.status, answer.headers.location], [303, '/ops'], next);
      assert.doesNotMatch(cookiesOf(answer), /x=1/);
    }
  });

  it('keep the session in an HttpOnly, SameSite=Strict cookie, and invalidate its copies on sign-out', async () => {
    const answer = await tryToSignIn(right);
    const [cookie = ''] = (answer.headers['set-cookie'] ?? []).filter((one) => one.startsWith('catamount_ops='));
    assert.match(cookie, /; Path=\/ops; HttpOnly; SameSite=Strict$/);
    assert.match(cookie, /; Max-Age=43200;/);
    const Cookie = cookiesOf(answer);
    const page = await ops.get('/ops/mail/deliveries', { Cookie });
    assert.equal(page.status, 200);
    const left = await ops.post('/ops/sign-out', { token: tokenIn(page.body) }, { Cookie });
    assert.equal(left.headers.location, '/ops/sign-in?signed=out');
    // A copy of the cookie is invalid, too.
    assert.equal((await ops.get('/ops/mail/deliveries', { Cookie })).status, 404);
  });

  it('have JSON at every address, also /ops.json, with the cookies that a browser sends there', async () => {
    const signedIn = await tryToSignIn(right);
    // RFC 6265, 5.1.4: the path itself, or one below it.
    const sent = (answer: typeof signedIn, path: string) =>
      (answer.headers['set-cookie'] ?? []).flatMap((cookie) => {
        const at = /; Path=([^;]+)/.exec(cookie)?.[1] ?? '/';
        return path === at || path.startsWith(`${at}/`) ? (cookie.split(';')[0] ?? []) : [];
      });
    for (const path of ['/ops.json', '/ops/jobs/dead.json', '/ops/charts.json']) {
      const Cookie = sent(signedIn, path).join('; ');
      assert.equal((await ops.get(path, { Cookie })).status, 200, path);
      assert.equal((await ops.get(path)).status, 404, path);
    }
    const left = await ops.post('/ops/sign-out', {}, { Cookie: cookiesOf(signedIn) });
    assert.equal(left.status, 403, 'the form has no token');
    assert.deepEqual(sent(signedIn, '/'), []);
  });

  it('are read by programs with Basic authentication, as JSON only', async () => {
    const basic = (password: string, name = SIGNED.OPS_USER) => ({
      Authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
    });
    const paths = ['/ops.json', '/ops/jobs/dead.json', '/ops/mail/deliveries.json'];
    ops.signIns.length = 0;
    for (const path of paths) assert.equal((await ops.get(path, basic(SIGNED.OPS_PASSWORD))).status, 200, path);
    assert.equal((await ops.get('/ops/mail/inbox.json', basic(SIGNED.OPS_PASSWORD))).status, 200);
    const accept = { Accept: 'application/json', ...basic(SIGNED.OPS_PASSWORD) };
    assert.equal((await ops.get('/ops', accept)).json<{ level: string }>().level.length > 0, true);
    assert.match((await ops.get('/ops/jobs/dead', basic(SIGNED.OPS_PASSWORD))).body, /type="password"/);
    const post = await ops.post('/ops/jobs/queues/default/pause.json', {}, basic(SIGNED.OPS_PASSWORD));
    assert.deepEqual([post.status, ops.signIns], [404, []], 'a program that reads every second fills no log');
    for (const wrong of [basic('wrong'), basic(SIGNED.OPS_PASSWORD, 'eve'), basic('')]) {
      const answer = await ops.get('/ops.json', wrong);
      assert.deepEqual([answer.status, answer.headers['www-authenticate']?.split(',')[0]], [401, 'Basic realm="ops"']);
      assert.doesNotMatch(answer.body, /level/);
    }
    assert.equal((await ops.get('/ops.json', basic(SIGNED.OPS_PASSWORD))).status, 200, 'which forgets the wrong ones');
    assert.deepEqual(ops.signIns, Array(3).fill({ role: null, address: '127.0.0.1', locked: false }));
  });

  it('accept a form only with the token of its page, from their own origin', async () => {
    const page = await ops.get('/ops/sign-in');
    const fields = { ...right, token: tokenIn(page.body) };
    const Cookie = cookiesOf(page);
    for (const [forged, headers] of [
      [{ ...fields, token: '' }, { Cookie }],
      [{ ...fields, token: tokenIn((await ops.get('/ops/sign-in')).body) }, { Cookie }],
      [fields, {}],
      [fields, { Cookie, Origin: 'http://evil.example' }],
      [fields, { Cookie, Origin: ops.url.replace(/:\d+$/, ':1') }],
      [fields, { Cookie, Origin: 'null' }],
      [fields, { Cookie, Origin: '' }],
    ] as const) {
      const answer = await ops.post('/ops/sign-in', forged, headers);
      assert.equal(answer.status, 403, JSON.stringify(headers));
      assert.doesNotMatch(cookiesOf(answer), /catamount_ops=/);
    }
    const json = { 'Content-Type': 'application/json' };
    assert.equal((await ops.post('/ops/sign-in', fields, { Cookie, ...json })).status, 415);
    const large = await ops.post('/ops/sign-in', { ...fields, name: 'x'.repeat(200_000) }, { Cookie });
    assert.equal(large.status, 413);
  });

  it('are served while many senders of a form stall', async () => {
    const { host, port } = new URL(ops.url);
    const head = `POST /ops/sign-in HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${ops.url}\r\n`;
    const form = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nto';
    // More than the slots of the pages and their backlog.
    const stalled = Array.from({ length: 40 }, () => net.connect(Number(port), '127.0.0.1'));
    try {
      await Promise.all(stalled.map((socket) => new Promise((sent) => socket.write(head + form, sent))));
      assert.equal((await ops.get('/ops/sign-in')).status, 200);
    } finally {
      for (const socket of stalled) socket.destroy();
    }
  });

  it('send security headers', async () => {
    for (const path of ['/ops', '/ops/sign-in', '/ops/nowhere']) {
      const { headers } = await ops.get(path);
      assert.equal(
        headers['content-security-policy'],
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-src 'self'; " +
          "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; connect-src 'self'",
      );
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['x-robots-tag'], 'noindex, nofollow');
    }
  });

  it('serve their assets, and no other files', async () => {
    const page = await ops.get('/ops/sign-in');
    const [, url = ''] = /href="(\/ops\/assets\/ops\.css\?v=[^"]+)"/.exec(page.body) ?? [];
    const css = await ops.get(url);
    assert.deepEqual([css.status, css.headers['content-type']], [200, 'text/css; charset=utf-8']);
    assert.match(String(css.headers['cache-control']), /immutable/);
    assert.equal((await ops.get(url, { 'If-None-Match': String(css.headers.etag) })).status, 304);
    assert.equal((await ops.get(`${url}x`)).headers['cache-control'], 'no-cache', 'it is of another version');
    for (const name of '..%2Fsite.js %2e%2e%2fsite.js ..%5Csite.js nothing.css uPlot.d.ts . %2e%2e ops.css%00'.split(
      ' ',
    ))
      assert.notEqual((await ops.get(`/ops/assets/${name}`)).status, 200, name);
  });

  // This test must be the last: all of them use one address.
  it('lock an address out after wrong passwords, even concurrent ones, and even with the right password', async () => {
    for (let n = 1; n < MAX_TRIES; n++) {
      const answer = await tryToSignIn({ name: 'ada', password: `wrong ${n}` });
      assert.equal(answer.status, 401);
      assert.match(answer.body, /After 5 wrong ones an address must pause for 15 min\./);
      assert.doesNotMatch(answer.body, /wrong \d/);
    }
    const page = await ops.get('/ops/sign-in');
    const Cookie = cookiesOf(page);
    for (const round of [0, 1]) {
      const flood = Array.from({ length: 25 }, (_, n) => {
        const password = round > 0 && n === 12 ? SIGNED.OPS_PASSWORD : `guess ${n}`;
        // X-Forwarded-For is ignored when the client is not a trusted proxy.
        const from = { 'X-Forwarded-For': `10.0.${round}.${n}` };
        return ops.post('/ops/sign-in', { name: 'ada', password, token: tokenIn(page.body) }, { Cookie, ...from });
      });
      const statuses = (await Promise.all(flood)).map(({ status }) => status);
      assert.deepEqual(
        statuses.filter((status) => status !== 429),
        round === 0 ? [401] : [],
      );
    }
    const locked = await tryToSignIn(right);
    assert.equal(locked.status, 429);
    const basic = Buffer.from(`${right.name}:${right.password}`).toString('base64');
    const byProgram = await ops.get('/ops.json', { Authorization: `Basic ${basic}` });
    assert.equal(byProgram.status, 429);
    assert.ok(Number(byProgram.headers['retry-after']) > 0);
    const wait = Number(locked.headers['retry-after']);
    assert.ok(wait > 0 && wait <= PAUSE_SECONDS, String(wait));
    assert.ok(ops.signIns.some(({ locked, role }) => locked && role === null));
  });
});

describe('guessing the password of the pages', () => {
  it('starts anew only after the right one', async () => {
    const ops = await OpsWeb.start({ ...PRODUCTION, ...SIGNED });
    const trial = async (password: string) => (await signIn(ops, { name: SIGNED.OPS_USER, password })).status;
    try {
      for (let n = 1; n < MAX_TRIES; n++) assert.equal(await trial(`slip ${n}`), 401);
      assert.equal(await trial(SIGNED.OPS_PASSWORD), 303);
      for (let n = 1; n < MAX_TRIES; n++) assert.equal(await trial(`guess ${n}`), 401);
      assert.equal(await trial('the fifth guess'), 401);
      assert.equal(await trial(SIGNED.OPS_PASSWORD), 429);
    } finally {
      await ops.stop();
    }
  });
});

describe("the operator's pages, while Redis does not answer", () => {
  it('keep sessions valid, and still count wrong passwords', async () => {
    const ops = await OpsWeb.start({ ...PRODUCTION, ...SIGNED });
    try {
      const Cookie = await ops.signIn(SIGNED.OPS_PASSWORD);
      await ops.redis.stop();
      assert.equal((await ops.get('/ops/mail/deliveries', { Cookie })).status, 200);
      const statuses: number[] = [];
      for (let n = 0; n <= MAX_TRIES; n++) {
        const password = n < MAX_TRIES ? 'wrong' : SIGNED.OPS_PASSWORD;
        statuses.push((await signIn(ops, { name: 'ada', password })).status);
      }
      assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429]);
    } finally {
      await ops.stop();
    }
  });
});

describe("the operator's pages, behind TLS", () => {
  it('send their cookies over TLS only', async () => {
    const ops = await OpsWeb.start({ ...PRODUCTION, APP_URL: 'https://shop.example', ...SIGNED, TRUST_PROXY: '1' });
    try {
      const isSecure = async (headers: Readonly<Record<string, string>>) =>
        /; HttpOnly; SameSite=Strict; Secure$/.test(
          String((await ops.get('/ops/sign-in', headers)).headers['set-cookie']),
        );
      assert.ok(await isSecure({ Host: 'shop.example' }));
      assert.ok(await isSecure({ 'X-Forwarded-Proto': 'https' }));
      assert.ok(!(await isSecure({})), 'a browser would drop it');
    } finally {
      await ops.stop();
    }
  });
});

describe("the operator's pages, in production without a password", () => {
  it('do not exist', async () => {
    const ops = await OpsWeb.start(PRODUCTION);
    try {
      const elsewhere = await ops.get('/nowhere');
      for (const path of ['/ops', '/ops/mail', '/ops/sign-in', '/ops/assets/ops.css', '/ops/mail/inbox', '/ops.json']) {
        const answer = await ops.get(path);
        assert.deepEqual(
          [answer.status, answer.headers['content-type']],
          [404, elsewhere.headers['content-type']],
          path,
        );
        assert.doesNotMatch(answer.body, /ops|password/i);
      }
    } finally {
      await ops.stop();
    }
  });
});

describe("the operator's pages, on a developer's machine", () => {
  it('reject requests that came through a proxy, and forms from other sites', async () => {
    const ops = await OpsWeb.start({ TRUST_PROXY: '1' });
    try {
      for (const header of 'X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto Forwarded X-Real-IP Via'.split(' ')) {
        for (const path of ['/ops', '/ops/mail/deliveries', '/ops/metrics'])
          assert.equal((await ops.get(path, { [header]: '127.0.0.1', Host: 'localhost' })).status, 403, header + path);
      }
      const page = await ops.get('/ops/jobs/queues');
      const Cookie = cookiesOf(page);
      for (const site of ['cross-site', 'same-site'])
        assert.equal(
          (await ops.get('/ops/mail/inbox', { 'Sec-Fetch-Site': site })).status,
          200,
          'links from other sites work',
        );
      const pause = (site: string) =>
        ops.post('/ops/jobs/queues/default/pause', { token: tokenIn(page.body) }, { Cookie, 'Sec-Fetch-Site': site });
      for (const site of ['cross-site', 'same-site']) assert.equal((await pause(site)).status, 403, site);
      assert.equal((await pause('same-origin')).status, 303);
    } finally {
      await ops.stop();
    }
  });

  it('answer only to host names of this machine', async () => {
    const ops = await OpsWeb.start();
    const { port } = new URL(ops.url);
    const open = (host: string) => request(`${ops.url}/ops/mail/deliveries`, { headers: { ...BEARER, Host: host } });
    try {
      for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, 'shop.localhost', '127.9.9.9'])
        assert.equal((await open(host)).status, 200, host);
      for (const host of [
        'evil.example',
        `evil.example:${port}`,
        'localhost.evil.example',
        'localhost:99999',
        '127.0.0.1.evil.example',
        '10.0.0.1',
      ]) {
        const answer = await open(host);
        assert.equal(answer.status, 403, host);
        assert.match(answer.body, /Requested under an unknown host name/);
      }
    } finally {
      await ops.stop();
    }
  });
});
