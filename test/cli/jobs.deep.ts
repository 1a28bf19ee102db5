import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { listProcesses } from '../../lib/tree/processors';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { createDatabase } from '../support/postgres';
import { serverPort } from '../support/server-port';
import { useRedis } from '../support/stores';
import { tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { CLI, catamount, runNode, runProgram } from './cli-process';

const ACCOUNT = '[{"iban":"DE02120300000000202051","name":"김하늘"}]';

describe('catamount jobs on the command line', () => {
  const app = useSupervisorApp();
  const redis = useRedis(() => app.redis.url);
  let cwd: string;
  before(() => {
    cwd = appFolder();
  });
  beforeEach(async () => {
    await redis.client.flushAll();
    await app.database.query('truncate job_queue, job_pauses');
  });

  /** A folder in which the app can be started, with its own state. */
  const appFolder = () => {
    const folder = tempFolder('jobs');
    fs.writeFileSync(path.join(folder, 'server.js'), `require(${JSON.stringify(app.entryFile)});\n`);
    return folder;
  };
  /** The command does not see a tree's URLs unless the given environment has them. */
  const typed = (words: readonly string[], folder = cwd, env: Record<string, string> = app.env) =>
    catamount(folder, ['jobs', ...words], env);
  const jobs = (line: string, folder?: string, env?: Record<string, string>) => typed(line.split(' '), folder, env);
  const json = async (line: string, folder?: string, env?: Record<string, string>) => {
    const { code, stdout, stderr } = await jobs(`${line} --json`, folder, env);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as {
      readonly total?: number;
      readonly id?: string;
      readonly jobs?: { id: string; at: string }[];
    };
  };
  const totalOf = async (set: string, folder?: string, env?: Record<string, string>) =>
    (await json(`list ${set}`, folder, env)).total;

  it('also runs through the entry file, and exits cleanly when its reader closes the pipe', async () => {
    const direct = await runNode(cwd, ['server.js', 'jobs', 'stats'], app.env);
    assert.deepEqual([direct.code, direct.stderr], [0, '']);
    assert.match(direct.stdout, /^queue +waiting/m);
    const head = await runProgram('/bin/sh', cwd, ['-c', `"${process.execPath}" "${CLI}" jobs stats | true`], app.env);
    assert.deepEqual([head.code, head.stderr], [0, '']);
  });

  it('exits with 1 for unknown names, 64 for wrong usage, 69 without Postgres or tables', async () => {
    const empty = await createDatabase();
    const nowhere = `127.0.0.1:${await serverPort()}`;
    const nobody = tempFolder('nobody');
    const cases: readonly (readonly [string, number, RegExp, Record<string, string>?, string?])[] = [
      ['enqueue DyngJob', 1, /^There is no job class "DyngJob"\. Did you mean DyingJob\?/],
      ['retry --all --set dead', 0, /^$/],
      ['list daed', 64, /^There is no set of jobs "daed"\. Did you mean dead\?/, {}, nobody],
      ['stats', 0, /^$/, { REDIS_URL: `redis://${nowhere}` }],
      [
        'cron',
        69,
        new RegExp(`^Nothing done, Postgres at ${nowhere} does`),
        { DATABASE_URL: `postgres://x@${nowhere}/x` },
      ],
      ['list scheduled', 69, /lacks Catamount's tables: run catamount db migrate\.\n$/, { DATABASE_URL: empty.url }],
      [
        'stats',
        69,
        /^DATABASE_URL is not set, and no embedded Postgres runs in /,
        { NODE_ENV: 'test', DATABASE_URL: '' },
      ],
      ['stats', 78, /DATABASE_URL +is not set/, { DATABASE_URL: '' }],
    ];
    const ends = await Promise.all(cases.map(([line, , , env, folder]) => jobs(line, folder, { ...app.env, ...env })));
    await empty.drop();
    for (const [index, [line, code, message]] of cases.entries()) {
      const end = ends[index] ?? assert.fail();
      assert.equal(end.code, code, `${line}: ${end.stderr}`);
      assert.match(end.stderr, message, `${line}: ${end.stderr}`);
      assert.doesNotMatch(end.stderr, /\n {4}at /, line);
      if (code !== 0) assert.equal(end.stdout, '', line);
    }
  });

  it('moves the failed jobs of a running tree, and controls its processor', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' }, { cwd });
    await until('its processor is listed', async () => (await listProcesses(redis.client)).length === 1);
    const { code, stderr } = await typed(['enqueue', 'DyingJob', ACCOUNT]);
    assert.deepEqual([code, /No job processor/.test(stderr)], [0, false]);
    const dead = async () => (await json('list dead')).jobs?.[0];
    const { id, at: died } = await until('it is dead', dead);
    assert.equal((await jobs('quiet')).stdout, 'jobs quiet: done\n');
    const retries = await Promise.all([jobs(`retry ${id}`), jobs(`retry ${id}`), jobs('retry --all --set dead --yes')]);
    const moved = retries.filter(({ stdout }) => /^Retried 1 /.test(stdout));
    assert.equal(moved.length, 1, JSON.stringify(retries));
    await until('it is waiting', async () => (await totalOf('waiting')) === 1);
    const resumed = await jobs('resume');
    assert.equal(resumed.stdout, 'jobs resume: done; paused queues stay paused (jobs resume QUEUE)\n');
    await until('it has died once more', async () => ![undefined, died].includes((await dead())?.at));
    assert.equal((await jobs(`delete ${id}`)).stdout, 'Deleted 1 job.\n');
    assert.equal((await tree.stop()).code, 0);
    const gone = await jobs('resume');
    assert.equal(gone.code, 69);
    assert.match(gone.stderr, /^No Catamount runs here.*\n.*For a paused queue: jobs resume QUEUE\.\n$/);
  });

  describe('with embedded servers', () => {
    const env = { NODE_ENV: 'development' };
    const startHere = async (given: Record<string, string | undefined>): Promise<Tree> => {
      const folder = appFolder();
      const embedded = { NODE_ENV: 'development', DATABASE_URL: undefined, REDIS_URL: undefined, WEB_CONCURRENCY: '1' };
      return app.start({ ...embedded, ...given }, { cwd: folder });
    };
    const flags = () => ({ ...env, APP_FLAGS: app.env.APP_FLAGS ?? '' });

    it('finds the servers of the tree, whose Postgres has room for its pools, and says when they are down', async () => {
      const tree = await startHere({ DATABASE_POOL: '40' });
      // Twice the pools of one worker and of the processor with its LISTEN connection, and a reserve.
      const postgres = tree.processes().all.find(({ command }) => command.includes('bin/postgres '));
      assert.match(postgres?.command ?? '', / max_connections=182 /);
      const here = (line: string) => jobs(line, tree.cwd, flags());
      assert.equal((await typed(['enqueue', 'DyingJob', ACCOUNT], tree.cwd, flags())).code, 0);
      await until('it is dead', async () => (await totalOf('dead', tree.cwd, flags())) === 1);
      assert.match((await here('stats')).stdout, /^Dead {7}1$/m);
      assert.equal((await tree.stop()).code, 0);
      const { code, stdout, stderr } = await here('list dead');
      assert.deepEqual([code, stdout], [69, '']);
      assert.match(
        stderr,
        /^DATABASE_URL is not set, and no embedded Postgres runs in .*\.catamount\. Start the tree \(npm start\), go to its folder, or set DATABASE_URL\.\n$/,
      );
    });

    it('says so when the tree uses a server that is not embedded', async () => {
      const tree = await startHere({ DATABASE_URL: app.env.DATABASE_URL });
      const { code, stderr } = await jobs('list dead', tree.cwd, flags());
      assert.equal(code, 69);
      assert.match(
        stderr,
        new RegExp(
          `The tree that runs here, pid ${tree.pid}, has a Postgres of its own: set DATABASE_URL as it is set there\\.`,
        ),
      );
      const whole = { ...flags(), DATABASE_URL: app.env.DATABASE_URL ?? '' };
      assert.equal((await jobs('list dead', tree.cwd, whole)).code, 0);
      assert.equal((await tree.stop()).code, 0);
    });
  });
});
