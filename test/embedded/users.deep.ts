import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { removeFolder } from '../support/temp-folder';
import { OwnerProcess } from './owner-process';
import { assertNothingRuns, countUp, startServers, stateFolder } from './servers-under-test';

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;

describe('the user who starts the embedded servers', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = stateFolder();
  });
  afterEach(() => removeFolder(path.dirname(stateDir)));

  if (isRoot && othersMayRead(path.resolve(__dirname, '../..'))) {
    it('can be root, then another user, then root again, in a folder of that user with mode 0700', async () => {
      const home = path.dirname(stateDir);
      fs.chmodSync(home, 0o700);
      fs.chownSync(home, NOBODY, NOBODY);
      fs.mkdirSync(stateDir);
      const ours = await startServers(stateDir);
      assert.equal(await countUp(ours.urls.databaseUrl), 1);
      await ours.stop();

      const theirs = OwnerProcess.start(stateDir, { uid: NOBODY });
      assert.equal(await countUp((await theirs.ready()).databaseUrl), 2);
      await theirs.stop();

      const again = await startServers(stateDir);
      assert.equal(await countUp(again.urls.databaseUrl), 3);
      await again.stop();
      assertNothingRuns(stateDir);
    });

    it('is told the reason if it is another user after root, in a folder of root', async () => {
      const ours = await startServers(stateDir);
      await ours.stop();
      const refused = async (reason: RegExp) => {
        const theirs = OwnerProcess.start(stateDir, { uid: NOBODY });
        await assert.rejects(theirs.ready(), { message: reason });
        await theirs.stop();
      };
      fs.chmodSync(path.dirname(stateDir), 0o755);
      await refused(/^UserError: This user \(id 65534\) may not use .*\.catamount.* Start as the user who/);
      // The other user can write there, but does not own the data.
      fs.chmodSync(stateDir, 0o777);
      await refused(/^UserError: .*(belongs to user id 0|may not use).* Start as the user who/);
      assertNothingRuns(stateDir);
    });
  }
});

/** @returns whether another user can read the checkout, which is not so if a folder above is closed. */
function othersMayRead(folder: string): boolean {
  const parent = path.dirname(folder);
  return (fs.statSync(folder).mode & 0o005) === 0o005 && (parent === folder || othersMayRead(parent));
}
