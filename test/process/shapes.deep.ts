import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
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
