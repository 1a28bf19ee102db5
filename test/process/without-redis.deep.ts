import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type CliEnd, catamount, runNode } from '../cli/cli-process';
import { cookiesOf, postForm, SIGNED, signInTo, tokenIn } from '../ops/ops-web';
import { buildFixtureApp } from '../support/fixture-app';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { spawnTree, type Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, signUp, signUpMany } from './sign-ups';

const ROOT = path.resolve(__dirname, '../..');
/** An empty variable is unset. */
const OFF = { REDIS: 'off', REDIS_URL: '' };
const METRICS_TOKEN = 'a-token-for-prometheus';
const KEY = Buffer.alloc(32, 'key').toString('base64');

/** No process may have tried to reach a Redis, or have missed it. */
function assertNoRedis(tree: Tree): void {
  const aboutRedis = tree.linesMatching(/redis/i).filter(({ text }) => !text.includes('Redis off'));
  assert.deepEqual(
    aboutRedis.map(({ text }) => text),
    [],
  );
}

describe('a tree in production with REDIS=off', () => {
  const deployment = useDeployment();
  let tree: Tree;
  let env: Record<string, string>;
  let record: string;
  let visitor: { Cookie: string };
  before(async () => {
    const entry = await buildFixtureApp('chaos-app');
    record = path.join(deployment.folder, 'record');
    const own = {
      METRICS_TOKEN,
      CHAOS_RECORD: record,
      WEB_CONCURRENCY: '1',
      JOB_ENCRYPTION_KEYS: `a:${KEY}`,
      JOB_THREADS: '1',
    };
    env = { ...deployment.env, ...OFF, ...SIGNED, ...own };
    tree = await deployment.start({ entry, env });
    fs.writeFileSync(path.join(tree.cwd, 'server.js'), `require(${JSON.stringify(entry)});\n`);
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    visitor = { Cookie: cookiesOf(await signInTo(tree, SIGNED.OPS_PASSWORD)) };
  });

  const lines = () => (fs.existsSync(record) ? fs.readFileSync(record, 'utf8').split('\n').filter(Boolean) : []);
  const read = (target: string) => tree.request('GET', target, { headers: visitor });
  const typed = (...words: string[]): Promise<CliEnd> => catamount(tree.cwd, words, env);
  const post = async (kind: string, id: number) =>
    assert.equal((await tree.request('POST', `/tasks/${kind}?id=${id}`)).status, 201);
  const ran = (id: number) => until(`task ${id} has run`, () => lines().includes(`{"task":${id}}`));

  it('brings each user a welcome, and runs jobs, scheduled ones, blocked ones, retries and recurring ones', async () => {
    await signUpMany(tree, 20);
    await assertOneMailEach(deployment);
    for (const [id, kind] of ['alone', 'transaction', 'later', 'limited', 'limited', 'retried'].entries())
      await post(kind, id);
    for (const id of [0, 1, 2, 3, 4, 5]) await ran(id);
    const ticks = () => lines().filter((line) => line.includes('tick'));
    await until('three ticks have run', () => ticks().length >= 3);
    assert.equal(new Set(ticks()).size, ticks().length, 'each ran once');
  });

  it('limits sign-ups, in each process', async () => {
    const user = { email: 'flood@example.com', name: 'Flood' };
    const statuses = await Promise.all(Array.from({ length: 4 }, () => signUp(tree, { ...user, locale: 'en' })));
    assert.equal(statuses.filter(({ status }) => status === 201).length, 1);
  });

  it('replaces a killed worker, and a killed job processor, whose jobs and mails its successor takes over', async () => {
    const worker = tree.processes().web.get(0) ?? 0;
    process.kill(worker, 'SIGKILL');
    await tree.waitForLine(new RegExp(`worker 0 \\(pid (?!${worker}\\b)\\d+\\) is ready`));
    deployment.sink.hold();
    await signUpMany(tree, 2);
    await until('two mails are being sent', () => deployment.sink.waiting === 2);
    const from = tree.lines.length;
    process.kill(tree.processes().jobs ?? 0, 'SIGKILL');
    await tree.waitForLine(/job processor \(pid \d+\) was killed by SIGKILL/, { from });
    deployment.sink.discard();
    await assertOneMailEach(deployment);
    assert.equal(tree.linesMatching(/rescued a job of queue \w+ from a process that died/).length, 2);
  });

  it('is ready, and well for everybody who asks', async () => {
    const ready = await tree.request('GET', '/ready');
    assert.equal(ready.status, 200);
    assert.doesNotMatch(ready.body, /redis|degraded/i);
    const page = await until('the overview has calmed down', async () => {
      const answer = await read('/ops');
      return answer.body.includes('All is well') && answer.body;
    });
    assert.match(page, /id="redis" data-state="ok"/);
    for (const words of [
      'This tree runs without Redis.',
      'This tree runs without Redis, which would keep the history.',
    ])
      assert.ok(page.includes(words), words);
    assert.doesNotMatch(page, /Other trees are unknown/);
    const metrics = await tree.request('GET', '/ops/metrics', {
      headers: { Authorization: `Bearer ${METRICS_TOKEN}` },
    });
    assert.match(metrics.body, /^catamount_postgres_up\S* 1$/m);
    assert.doesNotMatch(metrics.body, /^catamount_(redis_up\S* |issues\S* [1-9])/m);
    assert.match(metrics.body, /^catamount_scrape_errors\S* 0$/m);
    const { code, stdout } = await typed('status');
    assert.deepEqual([code, /All is well/.test(stdout)], [0, true], stdout);
    const top = await typed('top');
    assert.equal(top.code, 0, top.stderr);
    assert.doesNotMatch(top.stdout, /does not answer/);
  });

  it('shows its jobs on the pages, says what is missing, and does what an operator clicks', async () => {
    await post('long', 90);
    const busy = await until('the job is shown', async () => {
      const { body } = await read('/ops/jobs/busy');
      return body.includes('LongJob') && body;
    });
    assert.match(busy, /This tree runs without Redis, so the job processors of other trees are not known/);
    assert.match(busy, /data-count="busy">[1-9]/);
    for (const page of ['queues', 'queues/default', 'scheduled', 'retry', 'dead', 'cron', 'classes/LongJob'])
      assert.equal((await read(`/ops/jobs/${page}`)).status, 200, page);
    await until('the history has a class', async () => (await read('/ops/jobs/classes')).body.includes('TaskJob'));
    const token = tokenIn((await read('/ops/jobs/queues')).body);
    const clicked = await postForm(tree, '/ops/jobs/cron/TickJob/trigger', { token }, visitor);
    const one = String(clicked.headers.location);
    assert.match(one, /flash=/);
    assert.equal(tree.linesMatching(/triggered recurring job TickJob/i).length, 1);
    assert.match((await read(one)).body, /TickJob/);
    await until('the overview tells of it', async () => (await read('/ops')).body.includes('Triggered recurring job'));
    const recycled = await postForm(tree, '/ops/processes/recycle?slot=0', { token }, visitor);
    assert.equal(recycled.status, 303, recycled.body);
    await ran(90);
  });

  it('is served by the commands, which need Redis only for the list of job processors', async () => {
    await post('dying', 91);
    const dead = await until('the job is dead', async () => {
      const { stdout } = await typed('jobs', 'list', 'dead', '--json');
      return (JSON.parse(stdout) as { jobs: { id: string }[] }).jobs[0]?.id;
    });
    const stats = await typed('jobs', 'stats');
    assert.deepEqual([stats.code, /^Done {7}[1-9]/m.test(stats.stdout)], [0, true], stats.stderr);
    for (const words of [
      `show ${dead}`,
      'list busy',
      'pause default',
      'resume default',
      `delete ${dead}`,
      'clear default',
    ]) {
      const { code, stderr } = await typed('jobs', ...words.split(' '));
      assert.deepEqual([code, /redis|error/i.test(stderr)], [0, false], `${words}: ${stderr}`);
    }
    const enqueued = await typed('jobs', 'enqueue', 'TaskJob', '[92]');
    assert.equal(enqueued.code, 0, enqueued.stderr);
    await ran(92);
    const script = path.join(tree.cwd, 'hello.js');
    fs.writeFileSync(script, 'module.exports = async () => console.log("hello");\n');
    assert.deepEqual(await typed('run', script), { code: 0, stdout: 'hello\n', stderr: '' });
    for (const words of [['doctor'], ['check']])
      assert.match((await typed(...words)).stdout, /^Redis is off: each process counts rate limits for itself/m);
    const migrated = await runNode(tree.cwd, ['server.js', 'migrate'], env);
    assert.equal(migrated.code, 0, migrated.stderr);
  });

  it('has lost no word about Redis, and stops', async () => {
    assertNoRedis(tree);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});

describe('a start in development on a machine for which no Redis comes along', () => {
  let machine: string;
  let tree: Tree | undefined;
  before(() => {
    machine = tempFolder('machine');
    // Everything of this machine but Redis.
    fs.cpSync(path.join(ROOT, 'dist'), path.join(machine, 'dist'), { recursive: true });
    fs.cpSync(path.join(ROOT, 'package.json'), path.join(machine, 'package.json'));
    linkAll(path.join(ROOT, 'node_modules'), path.join(machine, 'node_modules'), (name) => name === '@falkordblite');
    for (const folder of (process.env.PATH ?? '').split(path.delimiter).reverse())
      if (fs.existsSync(folder)) linkAll(folder, path.join(machine, 'bin'), (name) => /^(redis|valkey)-/.test(name));
  });
  after(async () => {
    await tree?.cleanup();
    removeFolder(machine);
  });

  it('works, says in one line what that costs and how to have one, and its commands know', async () => {
    const env = { PATH: path.join(machine, 'bin'), LOG_FORMAT: 'pretty', MAIL_DELIVERY: 'file' };
    tree = await spawnTree({ entry: path.join(machine, 'dist/server.js'), env }).ready();
    const said = tree.linesMatching(/Redis/).map(({ text }) => text);
    assert.equal(said.length, 2, said.join('\n'));
    assert.equal(said[0], '* Data:    Postgres embedded, Redis off');
    assert.match(
      said[1] ?? '',
      /WARN: \[primary\] No redis-server 6\.2 or newer for \S+\. Install one \(.+\).*, or set REDIS_URL to .*\. Until then Redis is off: each process counts rate limits for itself, /,
    );
    assert.equal((await signUp(tree)).status, 201);
    await tree.waitForLine(/mail UserMailer#welcome sent by file/);
    fs.writeFileSync(
      path.join(tree.cwd, 'server.js'),
      `require(${JSON.stringify(path.join(machine, 'dist/server.js'))});\n`,
    );
    const { code, stderr } = await catamount(tree.cwd, ['jobs', 'list', 'dead']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal((await tree.stop()).code, 0);
  });
});

/** Fills a folder with links to what is in another one. */
function linkAll(from: string, to: string, leftOut: (name: string) => boolean): void {
  fs.mkdirSync(to, { recursive: true });
  for (const name of fs.readdirSync(from)) {
    const link = path.join(to, name);
    if (leftOut(name)) continue;
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.join(from, name), link);
  }
}
