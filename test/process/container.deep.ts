import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { createDatabase } from '../support/postgres';
import type { Tree } from '../support/tree';
import { theDockerfile, theManifest } from './container-guide';
import { useDeployment } from './deployment';

const run = promisify(execFile);
const ROOT = path.resolve(__dirname, '../..');
/** The id of the user `node` in Node's images. */
const NODE = 1000;
/** The devices of a container that a program needs. */
const DEVICES = ['null', 'zero', 'random', 'urandom'].map((name) => `dev/${name}`);
/** The folders of this checkout that are in the image; links in node_modules lead to .config. */
const APP = ['dist', 'node_modules', '.config'];

/**
 * The guide's Dockerfile as far as it can be tested without Docker: a root file system with Node, the libraries that it
 * loads, the app and its packages, and nothing else. It is read-only except for /tmp. Only the tree runs in it, with the
 * command, user and environment of the Dockerfile.
 */
describe("the guide's Dockerfile", () => {
  if (process.getuid?.() !== 0) {
    it('is only tested as root, who can make a root file system: sudo npm run test:deep -- --only container');
    return;
  }
  const image = theDockerfile();
  const deployment = useDeployment({ database: createDatabase });
  let root: string;
  before(async () => {
    root = path.join(deployment.folder, 'root');
    await makeRoot();
  });

  async function makeRoot(): Promise<void> {
    const inRoot = (file: string) => path.join(root, file);
    const app = inRoot(image.workdir);
    const folders = ['proc', 'tmp', 'dev', 'etc', 'home/node', ...APP.map((name) => path.join(image.workdir, name))];
    for (const folder of folders) fs.mkdirSync(inRoot(folder), { recursive: true });
    for (const device of DEVICES) fs.writeFileSync(inRoot(device), '');
    fs.writeFileSync(inRoot('etc/passwd'), `node:x:${NODE}:${NODE}::/home/node:/bin/sh\n`);
    const { stdout } = await run('ldd', [process.execPath]);
    const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, file = '']) => file);
    for (const file of libraries) fs.cpSync(fs.realpathSync(file), inRoot(file), { recursive: true });
    fs.cpSync(fs.realpathSync(process.execPath), inRoot('usr/local/bin/node'), { recursive: true });
    fs.copyFileSync(path.join(ROOT, 'package.json'), path.join(app, 'package.json'));
    for (const { folder, user } of image.owned) {
      assert.equal(user, 'node');
      fs.mkdirSync(path.join(app, folder));
      fs.chownSync(path.join(app, folder), NODE, NODE);
    }
  }

  /** Runs the image's command with further arguments, as a container would. */
  function contained(...args: readonly string[]): Tree {
    assert.equal(image.user, 'node');
    const into = (from: string, to: string) => `mount --bind ${from} ${path.join(root, to)}`;
    const closed = (folder: string) => `mount -o remount,bind,ro ${path.join(root, folder)}`;
    const lines = [
      into(root, ''),
      ...APP.map((name) => into(path.join(ROOT, name), path.join(image.workdir, name))),
      ...APP.map((name) => closed(path.join(image.workdir, name))),
      ...DEVICES.map((device) => into(`/${device}`, device)),
      `mount -t tmpfs -o mode=1777 tmpfs ${root}/tmp`,
      `mount -t proc proc ${root}/proc`,
      closed(''),
      'exec setpriv --no-new-privs --clear-groups \\',
      `  unshare --root=${root} --wd=${image.workdir} --setgid=${NODE} --setuid=${NODE} ${[...image.command, ...args].join(' ')}`,
    ];
    const file = path.join(deployment.folder, 'contain.sh');
    fs.writeFileSync(file, `#!/bin/sh -e\n${lines.join('\n')}\n`, { mode: 0o755 });
    const machine = { HOST: undefined, TMPDIR: undefined, LOG_FORMAT: undefined, NODE_V8_COVERAGE: undefined };
    return deployment.spawn({
      node: 'unshare',
      entry: '--mount',
      args: ['--pid', '--fork', '--kill-child', file],
      // PATH and HOME come from the base image.
      env: { ...machine, PATH: '/usr/local/bin:/usr/bin:/bin:/sbin', HOME: '/home/node', ...image.env },
    });
  }

  /** Each file of the root file system with its size and time, to detect writes. */
  const files = () =>
    fs.readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => {
      const { size, mtimeMs } = fs.lstatSync(path.join(root, name));
      return `${name} ${size} ${mtimeMs}`;
    });

  it('makes an image that migrates, serves, sends mail and stops, as a user that can only write to /tmp', async () => {
    const before = files();
    const migration = contained('migrate');
    assert.equal((await migration.end()).code, 0, migration.lines.map(({ text }) => text).join('\n'));
    assert.ok(migration.linesMatching(/applied migration \d+_create_users/).length > 0);

    const tree = await contained().ready();
    assert.ok(tree.linesMatching(/\* Node\.js: .*pid 1\b/).length > 0, 'it is process 1');
    const json = { email: 'ada@example.com', name: 'Ada' };
    const answer = await tree.request('POST', '/users', { json });
    assert.equal(answer.status, 201, answer.body);
    const [welcome] = await deployment.sink.waitFor(1);
    assert.deepEqual(welcome?.envelope.to, ['ada@example.com']);
    const probes = [...theManifest().matchAll(/path: (\/\w+), port/g)].map(([, target = '']) => target);
    assert.ok(probes.length > 0);
    for (const target of probes) assert.equal((await tree.request('GET', target)).status, 200, target);

    const { stdout } = await run('pgrep', ['-P', String(tree.pid)]);
    const first = Number(stdout);
    const all = tree.processes().all.filter(({ pid }) => pid !== tree.pid);
    assert.ok(all.length >= 3, 'the primary, a worker and the job processor');
    for (const { pid } of all) {
      const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
      for (const line of [`Uid:\t${NODE}\t${NODE}\t${NODE}\t${NODE}`, 'CapEff:\t0000000000000000', 'NoNewPrivs:\t1'])
        assert.ok(status.includes(`${line}\n`), `${line}\n${status}`);
      const mounts = fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
      const writable = mounts.map((line) => line.split(' ')).filter(([, , , , , options]) => options?.startsWith('rw'));
      const places = writable.map(([, , , , place]) => place).filter((place) => !DEVICES.includes(`${place}`.slice(1)));
      assert.deepEqual(places, ['/tmp', '/proc']);
    }
    assert.deepEqual(fs.readdirSync(`/proc/${first}/root/tmp`).sort(), ['control.sock', 'state.json']);

    process.kill(first, 'SIGTERM');
    assert.equal((await tree.exited).code, 0);
    await tree.allGone();
    assert.deepEqual(
      tree.linesMatching(/"level":"(?:warn|error|fatal)"/).map(({ text }) => text),
      [],
    );
    assert.deepEqual(files(), before);
  });
});
