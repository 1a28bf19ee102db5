import assert from 'node:assert/strict';
import { RunningApp } from './running-app';

/** The welcome mail goes to any address that is entered, so a stranger must not be able to write a message into it. */
describe('a name at sign-up', () => {
  let app: RunningApp;
  before(async () => {
    app = await RunningApp.start();
  });
  after(() => app.stop());
  beforeEach(() => app.clear());

  it('is rejected, with the reason, if it is a message or contains a web address', async () => {
    for (const name of [
      'your payment failed, renew at https://evil.example/pay now',
      'ftp://evil.example',
      'www.evil.example',
      'Ada evil.example/pay',
      'Ada\nLovelace',
      'Ada\u2028Lovelace',
      'x'.repeat(81),
    ]) {
      const { status, json } = await app.signUp({ email: 'ada@example.com', name });
      assert.equal(status, 422, name);
      const [{ pointer, detail } = assert.fail()] = json.errors as { pointer: string; detail: string }[];
      assert.equal(pointer, '/name');
      assert.match(detail, /80 characters.*web address/);
    }
    assert.deepEqual(await app.users(), []);
  });

  it('is accepted if it is a name', async () => {
    for (const [n, name] of ["O'Brien", 'Dr. A. Müller', '홍길동', 'J.R.R. Tolkien', 'x'.repeat(80), 'A/B'].entries())
      assert.equal((await app.signUp({ email: `user${n}@example.com`, name })).status, 201, name);
  });
});
