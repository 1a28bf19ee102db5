import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { createDatabase } from '../support/postgres';
import { serverPort } from '../support/server-port';
import { useDeployment } from './deployment';

const run = promisify(execFile);
const ROOT = path.resolve(__dirname, '../..');

/** The command of each process type, parsed as Heroku does. */
function procfile(): Readonly<Record<string, string>> {
  const lines = fs.readFileSync(path.join(ROOT, 'Procfile'), 'utf8').split('\n');
  const found = lines.map((line) => /^([A-Za-z0-9_-]+):\s*(.+)$/.exec(line)).filter((match) => match !== null);
  return Object.fromEntries(found.map(([, type, command]) => [type, command]));
}

describe('the Procfile', () => {
  const deployment = useDeployment({ database: createDatabase });
  before(() => {
    // This is the slug, in whose folder a dyno runs the commands.
    for (const name of ['dist', 'node_modules'])
      fs.symlinkSync(path.join(ROOT, name), path.join(deployment.folder, name));
  });

  it('migrates in the release phase, serves at PORT and sends mail, and ends without a kill when every process is sent SIGTERM', async () => {
    const { release = assert.fail('no release:'), web = assert.fail('no web:'), ...others } = procfile();
    assert.deepEqual(others, {});
    const port = String(await serverPort());
    const dyno = { ...deployment.env, APP_URL: 'https://shop.herokuapp.com' };
    const env = { ...dyno, PORT: port, DYNO: 'release.1', PATH: process.env.PATH };
    const { stdout } = await run('/bin/sh', ['-c', release], { cwd: deployment.folder, env });
    assert.match(stdout, /applied migration \d+_create_users/);

    const tree = await deployment.start({
      node: '/bin/sh',
      entry: '-c',
      args: [web],
      cwd: deployment.folder,
      env: { ...dyno, PORT: port, DYNO: 'web.1', HOST: undefined, LOG_FORMAT: undefined },
    });
    assert.equal(tree.baseUrl, `http://0.0.0.0:${port}`);
    // Heroku's router appends the client's address to what the client has made up.
    const routed = {
      'X-Forwarded-For': '198.51.100.1, 203.0.113.7',
      'X-Forwarded-Proto': 'https',
    };
    const json = { email: 'ada@example.com', name: 'Ada' };
    const answer = await tree.request('POST', '/users', { json, headers: routed });
    assert.equal(answer.status, 201, answer.body);
    const [welcome] = await deployment.sink.waitFor(1);
    assert.deepEqual(welcome?.envelope.to, ['ada@example.com']);
    assert.match(welcome?.text ?? '', /https:\/\/shop\.herokuapp\.com/);
    await tree.waitForLine(
      /"path":"\/users".*"remoteAddress":"203\.0\.113\.7"|"remoteAddress":"203\.0\.113\.7".*"path":"\/users"/,
    );

    tree.signalAll('SIGTERM');
    // The shell gets the signal as well, so its exit code says nothing about the tree; the tree's last line does.
    await tree.waitForLine(/"stopped in .*, 0 killed"/);
    await tree.allGone();
    assert.deepEqual(tree.linesMatching(/"level":"(?:error|fatal)"/), []);
  });
});
