import assert from 'node:assert/strict';
import { readSettings } from '../../../lib/core/settings';
import { DeployLog } from '../../../lib/ops/deploys/deploy-log';
import { inSuite } from '../../support/suite';
import { useShopPages } from '../jobs/shop-pages';

interface DeploysJson {
  readonly deploys: readonly {
    readonly release: string;
    readonly errors_per_hour: number | null;
    readonly new_errors: readonly { readonly message: string; readonly count: number }[];
  }[];
}

describe('deploys', () => {
  const shop = useShopPages();
  const operator = inSuite(undefined, () => shop.operator);
  const sql = (statement: string) => shop.ops.database.query(statement);
  beforeEach(() => sql('truncate ops_deploys, ops_log'));

  it('say which release made errors rise, and which errors are new with it', async () => {
    await sql(
      `insert into ops_deploys (release, at) values ('v41', now() - interval '4 hours'), ('v42', now() - interval '1 hour')`,
    );
    const error = (hoursAgo: number, msg: string, id: string) =>
      sql(`insert into ops_log (at, request_id, level, line)
        values (now() - ${hoursAgo} * interval '1 hour', '${id}', 'error', '${JSON.stringify({ msg })}')`);
    for (const hours of [3.5, 2.5, 1.5, 0.5]) await error(hours, 'GET /slow failed: timeout of 30 s', 'old');
    await error(0.4, 'POST /pay 17 failed: no such column', 'req-7');
    await error(0.3, 'POST /pay 18 failed: no such column', 'req-8');
    // The end of that request, and that of one which was shed and has no other line.
    const ended = (id: string, path: string) =>
      sql(`insert into ops_log (at, request_id, level, status, line) values (now() - interval '0.2 hours', '${id}', 'error', 500,
        '${JSON.stringify({ msg: `POST ${path} 500 in 12 ms` })}')`);
    await ended('req-8', '/pay 18');
    await ended('req-9', '/shed');
    const { deploys } = await operator.json<DeploysJson>('/ops/deploys');
    assert.deepEqual(
      deploys.map(({ release, errors_per_hour, new_errors }) => [
        release,
        Math.round((errors_per_hour ?? -1) * 10) / 10,
        new_errors.map(({ message, count }) => [message, count]),
      ]),
      [
        [
          'v42',
          4,
          [
            ['POST /pay 18 failed: no such column', 2],
            ['POST /shed 500 in 12 ms', 1],
          ],
        ],
        // The log begins within its time, so it is not known what is new.
        ['v41', 1.2, []],
      ],
    );
    const page = await operator.view('/ops/deploys');
    assert.equal(page.links.get('POST /pay 18 failed: no such column'), '/ops/search?q=req-8');
  });

  it('are recorded once, by whichever process begins first', async () => {
    assert.match(await operator.read('/ops/deploys'), /No release is known/);
    const log = new DeployLog(shop.database.knex);
    await Promise.all(['v43', 'v43', 'v44'].map((release) => log.begun(release)));
    assert.deepEqual((await log.since(new Date(0))).map(({ release }) => release).sort(), ['v43', 'v44']);
    assert.deepEqual(await log.since(new Date(Date.now() + 60_000)), []);
    const { deploys } = await operator.json<DeploysJson>('/ops/deploys');
    assert.deepEqual(
      deploys.map(({ errors_per_hour }) => errors_per_hour),
      [null, null],
    );
  });

  it('that have just begun are not said to fail once a minute for one error', async () => {
    await sql(`insert into ops_deploys (release, at) values ('v45', now() - interval '1 minute')`);
    await sql(`insert into ops_log (at, level, line) values (now() - interval '30 seconds', 'error', '{"msg":"no"}')`);
    const [deploy] = (await operator.json<DeploysJson>('/ops/deploys')).deploys;
    assert.equal(Math.round(deploy?.errors_per_hour ?? -1), 6);
  });

  it('have the name that the app gives them, else that of Heroku', () => {
    const release = (env: Readonly<Record<string, string>>) => readSettings({ cwd: '/tmp', env }).release;
    const heroku = { HEROKU_RELEASE_VERSION: 'v7', SOURCE_VERSION: '0123456789abcdef' };
    assert.deepEqual(
      [
        release({}),
        release({ SOURCE_VERSION: '0123456789abcdef' }),
        release(heroku),
        release({ ...heroku, APP_RELEASE: 'x' }),
      ],
      [null, '0123456789ab', 'v7', 'x'],
    );
    assert.throws(() => release({ APP_RELEASE: 'a b' }), /APP_RELEASE/);
  });
});
