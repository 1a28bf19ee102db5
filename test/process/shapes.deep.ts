import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { order } from '../cluster/primary/operator';
import { Load } from '../support/load';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, signUp } from './sign-ups';

describe('the shapes of a tree', () => {
  const deployment = useDeployment();
  let web: Tree;
  let jobs: Tree;

  /** A process gets its title shortly after it starts. */
  const assertConsistsOf = async (tree: Tree, ...wanted: readonly string[]) => {
    const titles = () => {
      const rows = tree.processes().all;
      return rows.map(({ command }) => /^catamount: \w+( \d+)?(?=$| )/.exec(command)?.[0] ?? command).sort();
    };
    await until('all have their titles', () => titles().every((title) => title.startsWith('catamount: ')));
    assert.deepEqual(
      titles(),
      wanted.map((title) => `catamount: ${title}`),
    );
  };

  it('--only web: workers and no job processor', async () => {
    web = await deployment.start({ args: ['--only', 'web'] });
    await assertConsistsOf(web, 'primary', 'web 0', 'web 1');
    assert.equal((await signUp(web)).status, 201);
  });

  it('--only jobs: the job processor and no web; it runs what another tree has enqueued', async () => {
    jobs = deployment.spawn({ args: ['--only', 'jobs'] });
    await jobs.waitForLine(/job processor \(pid \d+\) is ready/);
    await assertConsistsOf(jobs, 'jobs', 'primary');
    await assertOneMailEach(deployment);
    assert.equal(deployment.sink.messages.length, 1);
    assert.deepEqual(jobs.linesMatching(/Listening/), []);
  });

  it('both stop in order', async () => {
    for (const tree of [jobs, web]) {
      assert.equal((await tree.stop()).code, 0);
      await tree.allGone();
    }
  });

  it('--only jobs with PROBE_PORT: it says whether it lives and has a job processor that is ready', async () => {
    const tree = deployment.spawn({
      args: ['--only', 'jobs'],
      env: { PROBE_PORT: '0', STATE_FILE: '.catamount/state.json' },
    });
    const [, base = ''] = /Probes at (\S+)\/health/.exec((await tree.waitForLine(/Probes at /)).text) ?? [];
    const ask = async (path: string, method = 'GET') => {
      const response = await fetch(`${base}${path}`, { method });
      assert.equal(response.headers.get('connection'), 'close', 'the next request reaches the next primary');
      return { status: response.status, text: await response.text() };
    };
    assert.equal((await ask('/health')).status, 200);
    await until('it is ready', async () => (await ask('/ready')).status === 200);
    assert.deepEqual([(await ask('/metrics')).status, (await ask('/ready', 'POST')).status], [404, 405]);
    const processor = tree.processes().all.find(({ command }) => command.startsWith('catamount: jobs'));
    process.kill(processor?.pid ?? assert.fail(), 'SIGKILL');
    const refused = await until('it is not ready', async () => {
      const answer = await ask('/ready');
      return answer.status === 503 && answer;
    });
    assert.match(refused.text, /"reason":"there is no job processor that is ready: /);
    assert.equal((await ask('/health')).status, 200, 'the primary lives');
    await until('another processor is ready', async () => (await ask('/ready')).status === 200);

    const load = new Load(base, 2, () => '/ready', { allFresh: true });
    await order(tree, 'restart');
    await load.more(20);
    await load.stop();
    assert.deepEqual([load.failures, tree.linesMatching(/Probes at /).length], [{}, 2]);

    const { port } = new URL(base);
    const rival = deployment.spawn({ args: ['--only', 'jobs'], env: { PROBE_PORT: port } });
    await rival.waitForLine(new RegExp(`port ${port} on .* is taken.*PROBE_PORT`));
    await tree.stop();
    await tree.allGone();
    await rival.allGone();
  });

  describe('HOST=unix:path', () => {
    const folder = tempFolder('unix');
    after(() => removeFolder(folder));

    const statusOf = (socketPath: string, path = '/health') =>
      new Promise<number | undefined>((resolve, reject) => {
        const request = http.get({ socketPath, path, agent: false }, (response) => {
          response.resume();
          response.once('end', () => resolve(response.statusCode));
        });
        request.once('error', reject);
      });

    it('listens on the socket, replaces the file of a killed tree, and refuses to start beside a running one', async () => {
      const file = path.join(folder, 'web.sock');
      const options = { args: ['--only', 'web'], env: { HOST: `unix:${file}` } };
      const first = deployment.spawn(options);
      await first.waitForLine(/Listening on unix:/);
      assert.equal(await statusOf(file), 200);
      await until('its stores answer', async () => (await statusOf(file, '/ready')) === 200);
      await first.kill9();
      await first.allGone();
      // A worker that outlives its primary may have removed the file, so leave one as a power cut would.
      if (!fs.existsSync(file)) await leaveStaleSocket(file);

      const second = deployment.spawn(options);
      await second.waitForLine(/Listening on unix:/);
      assert.equal(await statusOf(file), 200);
      const rival = deployment.spawn(options);
      assert.equal((await rival.exited).code, 69);
      assert.match(rival.lines.map((line) => line.text).join('\n'), /web\.sock is taken/);
      assert.equal(await statusOf(file), 200);
      assert.equal((await second.stop()).code, 0);
      await second.allGone();
      assert.equal(fs.existsSync(file), false);
      fs.writeFileSync(file, 'precious');
      await deployment.spawn(options).waitForLine(/web\.sock is taken/);
      assert.equal(fs.readFileSync(file, 'utf8'), 'precious');
    });
  });
});

/** Leaves a socket file that nothing listens on: it is renamed while in use, so that closing does not remove it. */
async function leaveStaleSocket(file: string): Promise<void> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(`${file}.used`, resolve));
  fs.renameSync(`${file}.used`, file);
  await new Promise((resolve) => server.close(resolve));
}
