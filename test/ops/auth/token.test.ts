import assert from 'node:assert/strict';
import { readSettings } from '../../../lib/core/settings';
import { pagesAt } from '../../../lib/role/start/banner';
import { type Answer, type RequestOptions, request } from '../../support/http';
import { inSuite } from '../../support/suite';
import { cookiesOf, OpsWeb, SIGNED, tokenIn } from '../ops-web';

const OPS_TOKEN = 'token-of-this-very-start';

/** No passwords are set, as on a developer's machine. */
describe("the operator's pages without passwords", () => {
  const ops = inSuite('stop', () => OpsWeb.start({ OPS_TOKEN }));

  const ask = (path: string, options: RequestOptions = {}): Promise<Answer> => request(ops.url + path, options);
  const enter = async (path = `/ops?token=${OPS_TOKEN}`) => cookiesOf(await ask(path));
  const PATHS = '/ops /ops/jobs/queues /ops/mail/inbox /ops/mail/deliveries /ops/processes/restart /ops/events'.split(
    ' ',
  );

  it('let nobody in without the token, and say where to find it', async () => {
    for (const path of [...PATHS, '/ops/nowhere']) {
      for (const query of ['', '?token=', '?token=wrong', `?token=${OPS_TOKEN}x`, '?token=a&token=b']) {
        const answer = await ask(path + query);
        assert.equal(answer.status, path === '/ops' ? 200 : 404, path + query);
        assert.match(answer.body, /it logs a link with the token/);
        assert.match(answer.body, new RegExp(`${ops.url}/ops\\?token=…`));
        assert.doesNotMatch(answer.body, /token-of-this|type="password"/);
        assert.doesNotMatch(cookiesOf(answer), /operator/);
      }
      assert.equal((await ask(path, { headers: { Accept: 'application/json' } })).status, 404);
      assert.equal((await ask(path, { method: 'POST', headers: { Origin: ops.url } })).status, 404);
    }
    assert.match((await ask('/ops?token=wrong')).body, /not the token of the running tree/);
    assert.match((await ask('/ops?locale=ko')).body, /로그에 토큰이 든 링크가 있습니다/);
  });

  it('exchange the token of a link for a session, on every page, and remove it from the URL', async () => {
    for (const [path, to] of [
      ['/ops', '/ops'],
      ['/ops/mail/inbox', '/ops/mail/inbox'],
      ['/ops/jobs/dead?class=A%20B&page=2', '/ops/jobs/dead?class=A%20B&page=2'],
    ] as const) {
      const answer = await ask(`${path}${path.includes('?') ? '&' : '?'}token=${OPS_TOKEN}`);
      assert.deepEqual([answer.status, answer.headers.location], [303, to]);
      assert.match(String(answer.headers['set-cookie']), /; Path=\/ops; HttpOnly; SameSite=Strict/);
      assert.doesNotMatch(String(answer.headers['set-cookie']), /token-of-this/);
      const Cookie = cookiesOf(answer);
      assert.equal((await ask(to, { headers: { Cookie } })).status, 200);
      const again = await ask(`${to}${to.includes('?') ? '&' : '?'}token=${OPS_TOKEN}`, { headers: { Cookie } });
      assert.deepEqual([again.headers.location, cookiesOf(again)], [to, ''], 'the session stays');
      // A form is accepted only with the session.
      const page = await ask('/ops/jobs/queues', { headers: { Cookie } });
      const pause = (headers: Readonly<Record<string, string>>) =>
        ops.post('/ops/jobs/queues/default/pause', { token: tokenIn(page.body) }, { Authorization: '', ...headers });
      assert.equal((await pause({})).status, 404);
      assert.equal((await pause({ Cookie, 'Sec-Fetch-Site': 'cross-site' })).status, 403);
      assert.equal((await pause({ Cookie })).status, 303);
    }
    assert.deepEqual(ops.signIns.slice(-3), Array(3).fill({ role: 'operator', address: '127.0.0.1', locked: false }));
  });

  it('also accept the token in a form, and redirect to the requested page', async () => {
    const page = await ask('/ops/mail/inbox');
    const send = (key: string) =>
      ops.post(
        '/ops/sign-in',
        { token: tokenIn(page.body), key, next: '/ops/mail/inbox' },
        { Authorization: '', Cookie: cookiesOf(page) },
      );
    const wrong = await send('wrong');
    assert.equal(wrong.status, 401);
    assert.match(wrong.body, /not the token of the running tree/);
    assert.doesNotMatch(cookiesOf(wrong), /operator/);
    const right = await send(` ${OPS_TOKEN} `);
    assert.deepEqual([right.status, right.headers.location], [303, '/ops/mail/inbox']);
    assert.equal((await ask('/ops/mail/inbox', { headers: { Cookie: cookiesOf(right) } })).status, 200);
  });

  it('are open to scripts with the bearer token', async () => {
    const bear = (token: string) =>
      ask('/ops/jobs/queues', { headers: { Authorization: `Bearer ${token}`, Accept: 'application/json' } });
    assert.equal((await bear(OPS_TOKEN)).status, 200);
    assert.equal((await bear(`${OPS_TOKEN}x`)).status, 404);
  });

  it('reject sessions of an earlier start with another token, and forged ones', async () => {
    const Cookie = await enter();
    assert.equal((await ask('/ops/mail/inbox', { headers: { Cookie } })).status, 200);
    const later = await OpsWeb.start({ OPS_TOKEN: `${OPS_TOKEN}-later` });
    try {
      const again = await request(`${later.url}/ops/mail/inbox`, { headers: { Cookie } });
      assert.equal(again.status, 404);
    } finally {
      await later.stop();
    }
    const forged = Cookie.replace(/[^.=;]+(;|$)/, 'x$1');
    assert.equal((await ask('/ops/mail/inbox', { headers: { Cookie: forged } })).status, 404);
  });
});

describe('the token of the pages', () => {
  const read = (env: Readonly<Record<string, string>>) => readSettings({ env, cwd: '/srv/shop' });

  it('is random at every start, unless OPS_TOKEN is set', () => {
    const [one, other] = [read({}).opsToken, read({}).opsToken];
    assert.match(one ?? '', /^[\w-]{22}$/);
    assert.notEqual(one, other);
    assert.equal(read({ OPS_TOKEN }).opsToken, OPS_TOKEN);
    for (const wrong of ['short', 'with a space in it ...', 'a/b?c=d&e=f#g-h-i-j'])
      assert.throws(() => read({ OPS_TOKEN: wrong }), /OPS_TOKEN.*at least 16/, wrong);
  });

  it('exists only where the pages do and no passwords are set', () => {
    assert.equal(read({ ...SIGNED, OPS_TOKEN }).opsToken, null);
    const production = {
      NODE_ENV: 'production',
      DATABASE_URL: 'postgres://h/d',
      REDIS_URL: 'redis://h',
      SMTP_URL: 'smtp://h',
    };
    assert.equal(read({ ...production, OPS_TOKEN }).opsToken, null);
  });

  it('is part of the links that are logged at the start', () => {
    const config = read({ OPS_TOKEN });
    assert.deepEqual(pagesAt('http://127.0.0.1:3000', config), [
      'http://127.0.0.1:3000/',
      `http://127.0.0.1:3000/ops?token=${OPS_TOKEN}`,
      `http://127.0.0.1:3000/ops/mail/inbox?token=${OPS_TOKEN}`,
    ]);
    assert.deepEqual(pagesAt('http://127.0.0.1:3000', read(SIGNED)), [
      'http://127.0.0.1:3000/',
      'http://127.0.0.1:3000/ops',
      'http://127.0.0.1:3000/ops/mail/inbox',
    ]);
  });
});
