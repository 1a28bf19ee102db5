import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { useDeployment } from './deployment';

const run = promisify(execFile);
const ROOT = path.resolve(__dirname, '../..');
/** Runs a program as process 1 of a new namespace, on machines that permit it without root. */
const AS_FIRST = ['--user', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'];

describe('off Heroku', () => {
  const deployment = useDeployment();
  const folder = tempFolder('host');
  after(() => removeFolder(folder));

  it('systemd accepts the units of the guide', async () => {
    const guide = fs.readFileSync(path.join(ROOT, 'lib/cluster/hosts.md'), 'utf8');
    const [service = '', socket = ''] = [...guide.matchAll(/```ini\n(.*?)```/gs)].map(([, unit = '']) => unit);
    assert.match(service, /^ExecStart=/m);
    assert.match(socket, /^ListenStream=/m);
    const files = ['shop.service', 'shop.socket'].map((name) => path.join(folder, name));
    for (const [i, unit] of [service, socket].entries())
      fs.writeFileSync(files[i] ?? '', unit.replace('/srv/shop', folder));
    // It exits with 1 for directives that it does not know and files that it cannot find.
    await run('systemd-analyze', ['verify', '--man=no', '--generators=no', ...files]);
  });

  it('a tree that is process 1 serves, and exits with 0 when its container is stopped', async () => {
    const script = path.join(folder, 'first.sh');
    fs.writeFileSync(script, `#!/bin/sh\nexec unshare ${AS_FIRST.join(' ')} ${process.execPath} "$@"\n`, {
      mode: 0o755,
    });
    const tree: Tree = await deployment.start({ node: script, env: { WEB_CONCURRENCY: '1' } });
    const answer = await tree.request('POST', '/users', { json: { email: 'first@example.com', name: 'First' } });
    assert.equal(answer.status, 201);
    await deployment.sink.waitFor(1);
    const [line] = tree.linesMatching(/\* Node\.js: .*pid 1\b/);
    assert.ok(line, 'the banner names another pid');
    const [, first = ''] = /^(\d+)/m.exec((await run('pgrep', ['-P', String(tree.pid)])).stdout) ?? [];
    process.kill(Number(first), 'SIGTERM');
    assert.equal((await tree.exited).code, 0);
  });
});
