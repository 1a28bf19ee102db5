import assert from 'node:assert/strict';
import path from 'node:path';
import { until } from '../support/until';
import { LoadedModules, rolesOf } from './loaded-modules';
import { assertOneMailEach, signUp } from './sign-ups';
import { Surroundings } from './surroundings';

const NOT_IN_PRIMARY = ['objection', 'knex', 'pg', 'koa', 'email-templates', 'nodemailer', 'bee-queue'];
const NOT_IN_WEB = ['email-templates', 'nodemailer', 'bee-queue', 'prom-client', 'ejs', 'throng'];
/** What the package redis would bring along. */
const NO_NEED_OF = ['@redis/bloom', '@redis/json', '@redis/search', '@redis/time-series'];

describe('what a tree in production has loaded, after it has served and mailed', () => {
  let around: Surroundings;
  let loaded: LoadedModules;
  let roles: ReturnType<typeof rolesOf>;

  before(async () => {
    around = await Surroundings.make();
    const folder = path.join(around.folder, 'coverage');
    const tree = await around.start({ env: { NODE_V8_COVERAGE: folder } });
    assert.equal((await signUp(tree)).status, 201);
    assert.equal((await tree.request('GET', '/')).status, 200);
    await assertOneMailEach(around);
    roles = await until('all have their titles', () => {
      const found = rolesOf(tree);
      return found.web && found.jobs ? found : undefined;
    });
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    loaded = new LoadedModules(folder);
  });
  after(() => around.remove());

  const assertNone = (pid: number | undefined, unwanted: readonly string[]) => {
    assert.deepEqual(
      unwanted.filter((name) => loaded.of(pid).has(name)),
      [],
    );
  };

  it('is told by each process', () => {
    assert.ok(loaded.of(roles.primary).has('throng'));
    for (const name of ['koa', 'knex', 'objection', 'pg']) assert.ok(loaded.of(roles.web).has(name), name);
    for (const name of ['bee-queue', 'email-templates', 'nodemailer', 'objection']) {
      assert.ok(loaded.of(roles.jobs).has(name), name);
    }
  });

  it('in the primary: no ORM, no web framework, no mail, no queue', () => assertNone(roles.primary, NOT_IN_PRIMARY));

  it('in a web worker: no mail, no queue, nothing that forks', () => assertNone(roles.web, NOT_IN_WEB));

  it('in the job processor: no web framework', () => assertNone(roles.jobs, ['koa', '@koa/router', 'koa-helmet']));

  it('nowhere: the embedded servers, what the Redis client does not need, or the settings twice', () => {
    for (const pid of loaded.pids) assertNone(pid, ['lib/embedded', 'catamount-local-servers', ...NO_NEED_OF]);
    for (const pid of [roles.web, roles.jobs]) assert.ok(loaded.of(pid).has('@redis/client'));
    // Read and validated once, by the primary.
    assert.ok(loaded.of(roles.primary).has('zod'));
    assertNone(roles.jobs, ['zod']);
  });
});
