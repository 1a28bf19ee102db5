import assert from 'node:assert/strict';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { spawnTree, type Tree } from '../support/tree';

describe('the commands that change the database', () => {
  let database: TestDatabase;
  const trees: Tree[] = [];
  before(async () => {
    database = await createDatabase();
  });
  after(async () => {
    await Promise.all(trees.map((tree) => tree.cleanup()));
    await database.drop();
  });

  const env = () => ({
    NODE_ENV: 'production',
    DATABASE_URL: database.url,
    REDIS_URL: 'redis://127.0.0.1:1',
    MAIL_DELIVERY: 'log',
  });

  /** Runs the command to its end. @returns how it ended and what it says it has done. */
  async function run(command: string, extra: Record<string, string | undefined> = {}) {
    const tree = spawnTree({ args: [command], env: { ...env(), ...extra } });
    trees.push(tree);
    const { code } = await tree.exited;
    const text = tree.lines.map((line) => line.text).join('\n');
    return { code, text, done: tree.linesMatching(/migrated (up|down): /).length };
  }

  async function tables(): Promise<string[]> {
    const rows = await database.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = 'public'`,
    );
    return rows.map((row) => row.name).filter((name) => !name.startsWith('knex_'));
  }

  it('migrate makes the tables, and is safe to run again', async () => {
    const first = await run('migrate');
    assert.equal(first.code, 0, first.text);
    assert.ok(first.done >= 3, first.text);
    for (const name of ['users', 'job_outbox', 'mail_deliveries']) assert.ok((await tables()).includes(name), name);
    assert.deepEqual({ ...(await run('migrate')), text: '' }, { code: 0, done: 0, text: '' });
  });

  it('rollback takes all of the batch back, and migrate brings it again', async () => {
    assert.equal((await run('rollback')).code, 0);
    assert.deepEqual(await tables(), []);
    assert.equal((await run('rollback')).code, 0);
    assert.equal((await run('migrate')).code, 0);
    assert.ok((await tables()).includes('users'));
  });

  it('may run side by side, as when two releases meet', async () => {
    assert.equal((await run('rollback')).code, 0);
    const both = await Promise.all([run('migrate'), run('migrate')]);
    const codes = both.map(({ code }) => code);
    assert.deepEqual(codes, [0, 0], both.map(({ text }) => text).join('\n'));
    assert.ok((await tables()).includes('users'));
  });

  it('say what is missing where there is no database', async () => {
    const unset = await run('migrate', { NODE_ENV: 'development', DATABASE_URL: undefined });
    assert.equal(unset.code, 78);
    assert.match(unset.text, /DATABASE_URL is not set/);
    const away = await run('migrate', { DATABASE_URL: 'postgres://127.0.0.1:1/none' });
    assert.ok(away.code !== 0 && away.code !== null);
    assert.match(away.text, /127\.0\.0\.1:1/);
  });
});
