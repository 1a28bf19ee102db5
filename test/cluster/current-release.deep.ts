import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { order, statsOf } from './primary/operator';
import { useSupervisorApp } from './primary/supervisor-app';

const OWN = 'pid: process.pid';

describe('releases behind a link, as Capistrano makes them', () => {
  const app = useSupervisorApp();
  let folder: string;
  before(() => {
    folder = tempFolder('releases');
  });
  after(() => removeFolder(folder));

  /** A copy of the app, which names itself in the place of its pid. */
  function release(name: string): void {
    const to = path.join(folder, 'releases', name);
    fs.cpSync(path.dirname(app.entryFile), to, { recursive: true, verbatimSymlinks: true });
    for (const file of ['routes.js', 'jobs/waiting.js'].map((one) => path.join(to, one))) {
      const text = fs.readFileSync(file, 'utf8');
      assert.ok(text.includes(OWN));
      fs.writeFileSync(file, text.replaceAll(OWN, `pid: '${name}'`));
    }
  }

  /** Replaces the link in one step. */
  function point(name: string): void {
    fs.symlinkSync(path.join(folder, 'releases', name), path.join(folder, 'next'));
    fs.renameSync(path.join(folder, 'next'), path.join(folder, 'current'));
  }

  it('are followed by a phased restart and by a restart: web and jobs run the code to which the link leads', async () => {
    for (const name of ['first', 'second', 'third']) release(name);
    point('first');
    const tree = await app.start({ WEB_CONCURRENCY: '1' }, { entry: path.join(folder, 'current/server.js') });
    const runs = async (name: string) => {
      const { pid } = (await tree.request('GET', '/slow')).json() as { pid: string };
      assert.equal(pid, name);
      await tree.request('POST', `/waiting-job?name=${name}&flag=none`);
      const begun = () => app.notes('jobs').find((note) => note.job === name && note.does === 'begins');
      assert.equal((await until(`the job of ${name} runs`, begun)).pid, name);
    };
    await runs('first');
    point('second');
    await order(tree, 'phased-restart');
    await runs('second');
    point('third');
    const { pid } = await statsOf(tree);
    await order(tree, 'restart');
    assert.notEqual((await statsOf(tree)).pid, pid);
    await runs('third');
    assert.equal((await tree.stop()).code, 0);
  });
});
