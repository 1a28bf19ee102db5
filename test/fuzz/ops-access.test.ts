import assert from 'node:assert/strict';
import createKnex from 'knex';
import { readCookie } from '../../lib/ops/ui/shell';

import { storeDead } from '../job/sets/stored-job';
import { cookiesOf, OpsWeb, SIGNED, tokenIn } from '../ops/ops-web';
import { cases, SEED } from './campaign';
import { Mutator } from './mutator';

const WORDS = ['operator', 'guest', '.', ';', '=', ' ', 'catamount_ops=', '99999999999', 'NaN', '1e9', '%2e'];
const JOB = '0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11';

/** A session, a token or a password that is almost right lets nobody in. */
describe('the way into /ops, given anything', () => {
  let web: OpsWeb;
  before(async () => {
    web = await OpsWeb.start(SIGNED);
    const knex = createKnex({ client: 'pg', connection: web.database.url, pool: { min: 0, max: 1 } });
    await storeDead(knex, { id: JOB });
    await knex.destroy();
  });
  after(() => web.stop());
  afterEach(() => assert.deepEqual(web.errors, []));

  /** Only bytes that a client may send as the value of a header. */
  const headerOf = (bytes: Buffer) => bytes.toString('latin1').replace(/[^\t\x20-\x7e\x80-\xff]/g, '');

  it('accepts no cookie but those that were issued', async () => {
    const [operator, other] = [await web.signIn(SIGNED.OPS_PASSWORD), await web.signIn(SIGNED.OPS_PASSWORD)] as const;
    const name = 'catamount_ops';
    const given = [operator, other].map((cookies) => readCookie(cookies, name));
    assert.ok(!given.includes(undefined));
    const mutator = new Mutator(SEED, WORDS);
    let refused = 0;
    for (let n = cases(700); n > 0; n--) {
      const cookie = headerOf(mutator.mutate([operator, other]));
      const { status, body } = await web.get('/ops/jobs/dead', { cookie });
      if (given.includes(readCookie(cookie, name)?.trim())) continue;
      refused++;
      assert.ok(status === 404 && body.includes('name="password"'), `${status} for ${JSON.stringify(cookie)}`);
    }
    assert.ok(refused > cases(200), `${refused} cookies had changed`);
    assert.equal((await web.get('/ops/jobs/dead', { cookie: operator })).status, 200);
  });

  it('accepts no form token but that of the same session, and no foreign origin', async () => {
    const operator = await web.signIn(SIGNED.OPS_PASSWORD);
    const other = await web.signIn(SIGNED.OPS_PASSWORD);
    const path = `/ops/jobs/job/default/${JOB}`;
    const own = tokenIn((await web.get(path, { cookie: operator })).body);
    const others = tokenIn((await web.get('/ops', { cookie: other })).body);
    assert.ok(own !== '' && others !== '' && own !== others);
    const mutator = new Mutator(SEED, WORDS);
    for (let n = cases(300); n > 0; n--) {
      const token = mutator.mutate([own, others, '']).toString('utf8');
      if (token === own) continue;
      const { status } = await web.post(`${path}/delete`, { token }, { Cookie: operator });
      assert.equal(status, 403, JSON.stringify(token));
    }
    for (const origin of ['null', 'http://evil.example', `${web.url}.evil.example`, ''])
      assert.equal(
        (await web.post(`${path}/delete`, { token: own }, { Cookie: operator, Origin: origin })).status,
        403,
      );
    assert.equal((await web.get(path, { cookie: operator })).status, 200, 'it is still there');
  });

  it('accepts no almost-right name and password, and limits the attempts', async () => {
    const mutator = new Mutator(SEED, ['ada', 'correct horse', '\0', ' ', '\r\n', '%00', '&name=ada']);
    const page = await web.get('/ops/sign-in');
    const [Cookie, token] = [cookiesOf(page), tokenIn(page.body)];
    const seen = new Map<number, number>();
    for (let n = cases(300); n > 0; n--) {
      const name = mutator.mutate([SIGNED.OPS_USER]).toString('utf8');
      const password = mutator.mutate([SIGNED.OPS_PASSWORD]).toString('utf8');
      if (name === SIGNED.OPS_USER && password === SIGNED.OPS_PASSWORD) continue;
      const { status } = await web.post('/ops/sign-in', { name, password, token }, { Cookie });
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
    assert.deepEqual([...seen.keys()].sort(), [401, 429]);
    assert.equal(seen.get(401), 5);
  });
});
