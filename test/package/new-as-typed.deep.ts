import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { useDeployment } from '../process/deployment';
import { createDatabase } from '../support/postgres';
import { serverPort } from '../support/server-port';
import { pack, ROOT, removeInstalled, withoutNpm } from './npm';
import { LocalRegistry } from './registry';

const run = promisify(execFile);

/** A new user with Node, npm and an empty folder types the commands of the guide. */
describe('npx catamount new', () => {
  // The database is empty: the release phase migrates it.
  const deployment = useDeployment({ database: createDatabase });
  let registry: LocalRegistry;
  before(async () => {
    const { tarball, manifest } = await pack(deployment.folder);
    registry = await LocalRegistry.start(tarball, manifest, deployment.folder, ROOT);
  });
  after(async () => {
    await registry.stop();
    await removeInstalled(path.join(deployment.folder, 'home'));
  });

  it('installs the app, whose Procfile migrates, serves and mails', async () => {
    const home = path.join(deployment.folder, 'home');
    fs.mkdirSync(home);
    const env = { ...withoutNpm(process.env), ...registry.env };
    const shell = (folder: string, line: string, more: object = {}) =>
      run('/bin/sh', ['-c', line], { cwd: folder, env: { ...env, ...more } }).catch(
        (error: { readonly stdout: string; readonly message: string }) =>
          assert.fail(`${line}: ${error.stdout}\n${error.message}`),
      );
    const { stdout } = await shell(home, 'npx --yes catamount new shop');
    assert.match(stdout, /^added \d+ packages/m, 'npm has reported its work');
    assert.match(stdout, /^Created the app shop\. Next: cd shop && npm start$/m);
    const shop = path.join(home, 'shop');
    const { dependencies } = JSON.parse(fs.readFileSync(path.join(shop, 'package.json'), 'utf8'));
    assert.match(dependencies.catamount, /^\^\d/, 'from the registry, like the running package');
    assert.equal(fs.lstatSync(path.join(shop, 'node_modules/catamount')).isSymbolicLink(), false);

    // A platform runs the build script, then the lines of the Procfile.
    await shell(shop, 'npm run build');
    const lines = fs.readFileSync(path.join(shop, 'Procfile'), 'utf8').trim().split('\n');
    const { release = '', web = '', ...others } = Object.fromEntries(lines.map((line) => line.split(': ')));
    assert.deepEqual(others, {});
    const port = String(await serverPort());
    const dyno = { ...deployment.env, PORT: port };
    const released = await shell(shop, release, { ...dyno, DYNO: 'release.1' });
    assert.match(released.stdout, /applied migration \d+_create_users/);
    const tree = await deployment.start({
      node: '/bin/sh',
      entry: '-c',
      args: [web],
      cwd: shop,
      env: { PORT: port, DYNO: 'web.1', HOST: undefined },
    });
    const answer = await tree.request('POST', '/users', { json: { email: 'ada@example.com', name: 'Ada' } });
    assert.equal(answer.status, 201, answer.body);
    const [welcome] = await deployment.sink.waitFor(1);
    assert.deepEqual([welcome?.envelope.to, welcome?.subject], [['ada@example.com'], 'Welcome to shop']);
    // The shell would not forward the signal; a platform sends it to every process.
    process.kill(tree.processes().primary ?? assert.fail('no primary'), 'SIGTERM');
    await tree.waitForLine(/"stopped in .*, 0 killed"/);
    await tree.allGone();
  });
});
