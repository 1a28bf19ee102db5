import assert from 'node:assert/strict';
import { cookiesOf, OpsWeb, SIGNED, tokenIn } from './ops-web';

describe("the operator's pages, signed in to", () => {
  let ops: OpsWeb;
  before(async () => {
    ops = await OpsWeb.start({ NODE_ENV: 'production', APP_URL: 'http://127.0.0.1', ...SIGNED });
  });
  after(() => ops?.stop());

  it('show strangers the sign-in page at every address, and nothing else', async () => {
    const first = await ops.get('/ops');
    assert.equal(first.status, 200);
    assert.match(first.body, /type="password"/);
    for (const path of ['/ops/mail', '/ops/nowhere', '/ops/mail/inbox']) {
      const answer = await ops.get(path);
      assert.equal(answer.status, 404, path);
      assert.match(answer.body, /type="password"/);
      assert.match(answer.body, new RegExp(`name="next" value="${path}"`));
    }
    assert.equal((await ops.get('/ops/mail.json')).status, 404);
  });

  it('let in with the right password, to where one wanted to go', async () => {
    const page = await ops.get('/ops/nowhere');
    const fields = { name: 'ada', password: 'correct horse', token: tokenIn(page.body), next: '/ops/nowhere' };
    const answer = await ops.post('/ops/sign-in', fields, { Cookie: cookiesOf(page) });
    assert.equal(answer.status, 303, answer.body);
    assert.equal(answer.headers.location, '/ops/nowhere');
    const gone = await ops.get('/ops/nowhere', { Cookie: cookiesOf(answer) });
    assert.equal(gone.status, 404);
    assert.match(gone.body, /There is nothing here/);
    assert.match(gone.body, /Sign out/);
  });
});
