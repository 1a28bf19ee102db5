import assert from 'node:assert/strict';
import { catamountWith } from '../cluster/primary/operator';
import { OlderPostgres } from '../support/older-postgres';
import { until } from '../support/until';
import { signUpsThrough } from './sign-ups';
import { Surroundings } from './surroundings';

/** The tiers use the embedded Postgres; this one is the oldest that the guide supports. */
describe('on Postgres 15', () => {
  let postgres: OlderPostgres;
  let around: Surroundings;
  before(async () => {
    postgres = await OlderPostgres.start();
    around = await Surroundings.make(postgres.database);
  });
  after(async () => {
    await around?.remove();
    await postgres?.remove();
  });

  it('a release migrates, people sign up and get one mail each, and the status is ok', async () => {
    const [row] = await around.database.query<{ server_version: string }>('show server_version');
    assert.match(row?.server_version ?? '', /^15\./);
    const release = around.spawn({ args: ['migrate'] });
    assert.equal((await release.end()).code, 0);
    const tree = await around.start();
    await signUpsThrough(around, tree, async (stream) => {
      await stream.more(100);
      const status = async () => (await catamountWith(around.env, tree.cwd, 'status', '--json')).stdout;
      await until('the status is ok', async () => JSON.parse(await status()).level === 'ok');
    });
  });
});
