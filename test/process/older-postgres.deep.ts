import assert from 'node:assert/strict';
import { catamountWith } from '../cluster/primary/operator';
import { OlderPostgres } from '../support/older-postgres';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { signUpsThrough } from './sign-ups';

/** The tiers use the embedded Postgres; this one is the oldest that the guide supports. */
describe('on Postgres 15', () => {
  let postgres: OlderPostgres | undefined;
  const deployment = useDeployment({
    database: async () => {
      postgres = await OlderPostgres.start();
      return postgres.database;
    },
  });
  after(() => postgres?.remove());

  it('a release migrates, people sign up and get one mail each, and the status is ok', async () => {
    const [row] = await deployment.database.query<{ server_version: string }>('show server_version');
    assert.match(row?.server_version ?? '', /^15\./);
    const release = deployment.spawn({ args: ['migrate'] });
    assert.equal((await release.end()).code, 0);
    const tree = await deployment.start();
    await signUpsThrough(deployment, tree, async (stream) => {
      await stream.more(100);
      const status = async () => (await catamountWith(deployment.env, tree.cwd, 'status', '--json')).stdout;
      await until('the status is ok', async () => JSON.parse(await status()).level === 'ok');
    });
  });
});
