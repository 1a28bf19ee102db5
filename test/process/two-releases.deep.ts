import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { JobLedger } from '../chaos/ledger';
import { buildFixtureApp } from '../support/fixture-app';
import { LANE_FOLDER } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { signUp, somebody } from './sign-ups';

const EACH = 12;
/** Log lines that no release may write about a job that only the newer one can run. */
const FAILED = /failed \(attempt|is dead/;

/** Builds the older release: its processor has no TaskJob, but its web can enqueue one. */
async function releaseBefore(entry: string): Promise<string> {
  const folder = path.join(LANE_FOLDER, 'chaos-app-before');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.cpSync(path.dirname(entry), folder, { recursive: true, verbatimSymlinks: true });
  fs.mkdirSync(path.join(folder, 'elsewhere'));
  fs.renameSync(path.join(folder, 'jobs/task.js'), path.join(folder, 'elsewhere/task.js'));
  for (const file of fs.readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.js') || file.startsWith('node_modules')) continue;
    const text = fs.readFileSync(path.join(folder, file), 'utf8');
    fs.writeFileSync(path.join(folder, file), text.replaceAll('./jobs/task"', './elsewhere/task"'));
  }
  return path.join(folder, 'server.js');
}

describe('two releases on one Redis and one Postgres', () => {
  const deployment = useDeployment();
  let older: Tree;
  let newer: Tree;
  let ledger: JobLedger;
  before(async () => {
    const entry = await buildFixtureApp('chaos-app');
    ledger = new JobLedger(path.join(deployment.folder, 'job-ledger'));
    const env = { WEB_CONCURRENCY: '1', CHAOS_RECORD: ledger.file };
    older = await deployment.start({ entry: await releaseBefore(entry), env });
    await older.waitForLine(/job processor \(pid \d+\) is ready/);
    // At first only the older release fetches its jobs, as when a deploy begins with the web.
    newer = await deployment.start({ entry, env, args: ['--only', 'web'] });
  });

  const lines = (tree: Tree, match: RegExp) => tree.linesMatching(match).map(({ text }) => text);

  it('jobs of a class that only the newer one has wait for it without failing, and each mail is sent once', async () => {
    const people: string[] = [];
    for (let n = 0; n < 2 * EACH; n++) {
      const tree = n % 2 === 0 ? older : newer;
      const kind = ['transaction', 'alone', 'later'][Math.floor(n / 2) % 3];
      const user = somebody();
      people.push(user.email);
      const [signedUp, task] = await Promise.all([
        signUp(tree, user),
        tree.request('POST', `/tasks/${kind}?id=${n + 1}`),
      ]);
      assert.deepEqual([signedUp.status, task.status], [201, 201]);
    }
    await older.waitForLine(/TaskJob is left to other processors: there is no job class TaskJob in this app/);
    const late = await deployment.start({
      entry: await buildFixtureApp('chaos-app'),
      env: { WEB_CONCURRENCY: '1', CHAOS_RECORD: ledger.file },
    });
    await until('all tasks have run', () => ledger.tasks().size === 2 * EACH);
    await until('all mails have arrived', () => deployment.sink.messages.length >= people.length);
    const left = async () => (await deployment.database.query('select id from job_queue')).length;
    await until('no job is left', async () => (await left()) === 0);
    assert.deepEqual(
      [...ledger.tasks().values()],
      Array.from({ length: 2 * EACH }, () => 1),
      'each has run once',
    );
    assert.deepEqual(deployment.sink.messages.flatMap(({ envelope }) => envelope.to).sort(), people.sort());
    assert.deepEqual(await deployment.database.query('select id from job_dead'), []);
    for (const tree of [older, newer, late]) {
      assert.deepEqual(lines(tree, FAILED), []);
      assert.deepEqual(lines(tree, /"level":"(error|fatal)"/), []);
    }
  });

  it('a job in a newer format is left by both with its payload unchanged, and both keep working', async () => {
    const payload = '{"v":2,"class":"TaskJob","args":{"id":7},"fresh":true}';
    const { database } = deployment;
    await database.query(
      `insert into job_queue (id, queue, class, payload, tags, state) values (gen_random_uuid(), 'default', 'TaskJob', $1, '{}', 'ready')`,
      [payload],
    );
    await database.query(`select pg_notify('job_queue', 'look')`);
    const told = /TaskJob is left to other processors: TaskJob was enqueued in format 2 by a newer release/;
    await until('one has logged it', () => deployment.started.some((tree) => lines(tree, told).length > 0));
    const waiting = () =>
      database.query(`select payload::text from job_queue where state = 'scheduled' and class = 'TaskJob'`);
    await until('it waits', async () => (await waiting()).length === 1);
    assert.deepEqual(await waiting(), [{ payload }]);
    const id = 2 * EACH + 1;
    assert.equal((await newer.request('POST', `/tasks/transaction?id=${id}`)).status, 201);
    await until('another job has run', () => ledger.tasks().has(id));
  });
});
