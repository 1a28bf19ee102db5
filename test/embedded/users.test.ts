import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { postgresUser } from '../../lib/embedded/postgres-user';
import { removeFolder } from '../support/temp-folder';
import { OwnerProcess } from './owner-process';
import { assertBothAnswer, assertNothingRuns, countUp, startServers, stateFolder } from './servers-under-test';

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;

describe('whoever starts the embedded servers', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = stateFolder();
  });
  afterEach(() => removeFolder(path.dirname(stateDir)));

  it('owns the data', async () => {
    const run = await startServers(stateDir);
    await assertBothAnswer(run.urls);
    await run.stop();
    for (const part of ['claims', 'postgres', 'postgres/data', 'redis', 'redis/data']) {
      assert.equal(fs.statSync(path.join(stateDir, part)).uid, process.getuid?.(), part);
    }
  });

  if (isRoot) {
    it('is root, where user namespaces are forbidden: Postgres runs as nobody', async () => {
      const forbidden = async () => false;
      assert.deepEqual(await postgresUser(stateDir, undefined, forbidden), {
        wrapper: [],
        user: { uid: NOBODY, gid: NOBODY },
      });
    });
  }
  if (isRoot && othersMayRead(path.resolve(__dirname, '../..'))) {
    it('is another user, in a folder of theirs with mode 0700, and root after them', async () => {
      const home = path.dirname(stateDir);
      fs.chmodSync(home, 0o700);
      fs.chownSync(home, NOBODY, NOBODY);
      const theirs = OwnerProcess.start(stateDir, { uid: NOBODY });
      assert.equal(await countUp((await theirs.ready()).databaseUrl), 1);
      await theirs.stop();

      const ours = await startServers(stateDir);
      assert.equal(await countUp(ours.urls.databaseUrl), 2);
      await ours.stop();

      const again = OwnerProcess.start(stateDir, { uid: NOBODY });
      assert.equal(await countUp((await again.ready()).databaseUrl), 3);
      await again.stop();
      assertNothingRuns(stateDir);
    });

    it('is another user after root, in a folder of root: told so', async () => {
      const ours = await startServers(stateDir);
      await ours.stop();
      fs.chmodSync(path.dirname(stateDir), 0o755);
      const theirs = OwnerProcess.start(stateDir, { uid: NOBODY });
      await assert.rejects(theirs.ready(), {
        message: new RegExp(
          `^UserError: This user \\(id ${NOBODY}\\) may not use ${stateDir}/.* Start as the user who`,
        ),
      });
      await theirs.stop();
    });

    it('is another user who may write, but not use the data of root: told so', async () => {
      const ours = await startServers(stateDir);
      await ours.stop();
      for (const folder of [path.dirname(stateDir), stateDir, path.join(stateDir, 'claims')])
        fs.chmodSync(folder, 0o777);
      const theirs = OwnerProcess.start(stateDir, { uid: NOBODY });
      await assert.rejects(theirs.ready(), { message: /^UserError: .*(belongs to user id 0|may not use)/ });
      await theirs.stop();
      assertNothingRuns(stateDir);
    });
  }
});

/** Whether another user gets through to the checkout: not when it lies in a closed folder. */
function othersMayRead(folder: string): boolean {
  const parent = path.dirname(folder);
  return (fs.statSync(folder).mode & 0o005) === 0o005 && (parent === folder || othersMayRead(parent));
}
