import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readNewUser } from '../../lib/app/routes/users';
import { parseToken } from '../../lib/app/services/access-token';
import { isAddress } from '../../lib/support/email-address';
import { parseJson } from '../../lib/web/body';
import { ProblemError } from '../../lib/web/context';
import { cases, runs, SEED, withShortStacks } from './campaign';
import { Mutator } from './mutator';

const BODIES = [
  '{"email":"new.user@example.com","name":"New User","locale":"ko"}',
  '{"email":"a+b@x.co","name":null}',
  '[{"email":["a@b.co"],"name":{"first":"\\u0041"}},1e5,-0,true]',
] as const;
const WORDS = '"__proto__": "constructor":{"prototype":1} \\u0000 \\ud83d \ud83d\ude00 [ {"a": null 1e999'.split(' ');

/** What clients send is read as a valid value, or rejected with a problem that says what is wrong. */
describe('the readers of requests, given anything', () => {
  withShortStacks();

  /** @returns the value that `read` returns, or the status of its problem. */
  function orProblem<T>(read: () => T): T | number {
    try {
      return read();
    } catch (thrown) {
      if (thrown instanceof ProblemError) return thrown.status;
      throw thrown;
    }
  }

  function checkUser(body: unknown): void {
    const user = orProblem(() => readNewUser({ request: { body, type: 'application/json' } as never }));
    if (typeof user === 'number') {
      assert.ok([400, 422].includes(user));
      return;
    }
    const { address } = user.email;
    assert.ok(isAddress(address), address);
    assert.doesNotMatch(address, /[\s\r\n<>",]/);
    assert.ok(user.name === null || (user.name !== '' && [...user.name].length <= 80 && !/[\r\n\0]/.test(user.name)));
    assert.ok(user.locale === undefined || ['en', 'ko'].includes(user.locale));
  }

  it('parse a body of any bytes, or reject it with 400', () => {
    const mutator = new Mutator(SEED, WORDS);
    for (let n = cases(20_000); n > 0; n--) {
      const value = orProblem(() => parseJson(mutator.mutate(BODIES)));
      assert.equal(Object.hasOwn(Object.prototype, 'a'), false);
      if (value !== 400) checkUser(value);
    }
  });

  it('read a user of any shape as a valid one, or reject it with 400 or 422', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 260 }), fc.string({ maxLength: 30 }));
    const field = fc.oneof(text, fc.emailAddress(), fc.constantFrom('en', 'ko', null, 0, true), fc.jsonValue());
    const user = fc.record({ email: field, name: field, locale: field }, { requiredKeys: [] });
    return fc.assert(fc.property(fc.oneof({ weight: 5, arbitrary: user }, fc.jsonValue()), checkUser), runs(8000));
  });

  it('reject a name that mail programs turn into a link, with 422', () => {
    const host = fc.oneof(
      fc.domain({ size: 'xsmall' }),
      fc.constantFrom('evil.example', 'EVIL.co', 'e-v.i1.example', 'evil.xn--p1ai', '악.한국'),
    );
    const path = fc.constantFrom('', '/', '/pay', '/?a=1', ':8080/pay', '?pay', '#pay', ':443');
    const link = fc.oneof(
      fc
        .tuple(fc.constantFrom('http://', 'HTTPS://', 'ftp://', 'x-y://', 'www.', 'Www.'), host)
        .map((all) => all.join('')),
      fc.tuple(host, path).map((all) => all.join('')),
    );
    const word = fc.constantFrom('', 'renew at', 'Ada', '(', '홍길동 ', '<', '1', '지금');
    fc.assert(
      fc.property(word, link, word, fc.constantFrom(' ', '\u00a0', ' - '), (before, address, behind, gap) => {
        const name = [before, address, behind].join(gap).trim();
        fc.pre([...name].length <= 80);
        const user = orProblem(() =>
          readNewUser({ request: { body: { email: 'a@b.co', name }, type: 'application/json' } as never }),
        );
        assert.equal(user, 422, name);
      }),
      runs(4000),
    );
  });

  it('accept an almost valid address only if it is safe in a mail', () => {
    const mutator = new Mutator(SEED, ['.', '@', '..', '"', '<', '\r\n', ' ', '%00', '\u202e', 'xn--', '[1.2.3.4]']);
    for (let n = cases(10_000); n > 0; n--) {
      checkUser({ email: mutator.mutate(['new.user+tag@mail.example.com', "o'brien@x-y.co.uk"]).toString('utf8') });
    }
  });

  it('read an access token with a well-formed user id and secret, or none', () => {
    const seeds = ['1:IvK8iK5tehikMxNftugfPwd4qvELrrih1k27xSaq4hg', `9223372036854775807:${'a'.repeat(43)}`] as const;
    const mutator = new Mutator(SEED, [':', '-', '_', '=', '+', '9'.repeat(30), '0', '\n']);
    for (let n = cases(10_000); n > 0; n--) {
      const token = parseToken(mutator.mutate(seeds).toString('latin1'));
      if (token) assert.ok(BigInt(token.userId) > 0n && BigInt(token.userId) < 2n ** 63n && token.secret.length === 43);
    }
  });
});
