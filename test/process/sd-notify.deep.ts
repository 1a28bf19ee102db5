import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { statsOf } from '../cluster/primary/operator';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { assertTellsItsLife, readTold, type Told } from './sd-notify';

/** In the place of systemd's program, which no npm package contains: notes who runs it, and with what. */
const RECORDER = `#!/bin/sh
IFS='	'
printf '%s\\t%s\\n' "$PPID" "$*" >> "$NOTIFY_SOCKET.told"
`;

describe('a tree that a manager of services has started (systemd-notify is played by a recorder)', () => {
  const app = useSupervisorApp({ each: true });
  let folder: string;
  let env: Readonly<Record<string, string>>;
  const told = (): Told[] => readTold(`${env.NOTIFY_SOCKET}.told`);
  before(() => {
    folder = tempFolder('manager');
    fs.writeFileSync(path.join(folder, 'systemd-notify'), RECORDER, { mode: 0o755 });
  });
  beforeEach(() => {
    const NOTIFY_SOCKET = path.join(folder, `${process.hrtime.bigint()}`);
    env = { NOTIFY_SOCKET, WEB_CONCURRENCY: '1', PATH: `${folder}:${process.env.PATH}` };
  });
  after(() => removeFolder(folder));

  it('says when it is ready, restarts and stops, and feeds the watchdog', async () => {
    const tree = await app.start({ ...env, WATCHDOG_USEC: '1000000' });
    const [worker] = (await statsOf(tree)).worker_status;
    assert.doesNotMatch(fs.readFileSync(`/proc/${worker?.pid}/environ`, 'utf8'), /NOTIFY_SOCKET|WATCHDOG_USEC/);
    await assertTellsItsLife(tree, told);
  });

  it('feeds no watchdog that waits for another process; a tree without a web is ready when it runs jobs', async () => {
    const tree = app.spawn({ ...env, WATCHDOG_USEC: '2', WATCHDOG_PID: '1' }, { args: ['--only', 'jobs'] });
    await until('the status is told', () => told().some(({ lines }) => lines.includes('STATUS=job processor ready')));
    assert.deepEqual(told()[0]?.lines, ['READY=1']);
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    assert.equal((await tree.stop()).code, 0);
    assert.deepEqual(
      told().filter(({ lines }) => lines.includes('WATCHDOG=1')),
      [],
    );
  });

  it('warns once where there is no systemd-notify, and serves', async () => {
    const tree = await app.start({ ...env, PATH: '/nowhere', WATCHDOG_USEC: '200000' });
    await tree.waitForLine(/NOTIFY_SOCKET is set, but systemd-notify failed with READY=1: spawn systemd-notify ENOENT/);
    assert.equal((await tree.request('GET', '/health')).status, 200);
    assert.equal((await tree.stop()).code, 0);
    assert.equal(tree.linesMatching(/systemd-notify failed/).length, 1);
  });
});
