import assert from 'node:assert/strict';
import http from 'node:http';
import fc from 'fast-check';
import { RunningApp } from './running-app';

/** Whatever is sent, the response is one of the documented ones, never a 5xx, and the next client is served. */
describe('POST /users survives random', () => {
  let app: RunningApp;
  const agent = new http.Agent({ keepAlive: true });
  before(async () => {
    app = await RunningApp.start();
  });
  after(() => {
    agent.destroy();
    return app.stop();
  });

  const send = async (body: Buffer | string, headers: Record<string, string> = {}) => {
    const options = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body, agent };
    const { status, text } = await app.serving.request('/users', options);
    assert.ok([201, 400, 413, 415, 422].includes(status), `${status}: ${text}`);
  };
  const runs = (numRuns: number) => ({ numRuns, seed: 20261125 });
  const text = fc.string({ unit: 'binary', maxLength: 300 });

  it('bytes', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), (bytes) => send(Buffer.from(bytes))),
      runs(100),
    ));

  it('JSON', () =>
    fc.assert(
      fc.asyncProperty(fc.json({ stringUnit: 'binary' }), (json) => send(json)),
      runs(100),
    ));

  it('users', () => {
    const field = fc.oneof(
      text,
      fc.emailAddress(),
      fc.constantFrom('en', 'ko'),
      fc.jsonValue(),
      fc.constant(undefined),
    );
    const user = fc.record({ email: field, name: field, locale: field }, { requiredKeys: [] });
    return fc.assert(
      fc.asyncProperty(user, (value) => send(JSON.stringify(value))),
      runs(200),
    );
  });

  it('users that are nearly valid', () => {
    const user = fc.record({ email: fc.emailAddress(), name: text, locale: fc.constantFrom('en', 'ko', null) });
    return fc.assert(
      fc.asyncProperty(user, (value) => send(JSON.stringify(value))),
      runs(100),
    );
  });

  it('headers', () => {
    const value = fc.string({ unit: 'grapheme-ascii', maxLength: 60 });
    const names = ['content-type', 'accept-language', 'content-encoding', 'x-request-id', 'authorization', 'host'];
    const headers = fc.dictionary(fc.constantFrom(...names), value);
    return fc.assert(
      fc.asyncProperty(headers, (given) => send('{"email":"a@b.co"}', given)),
      runs(100),
    );
  });

  after(() => assert.deepEqual(app.serving.errors, []));
});
