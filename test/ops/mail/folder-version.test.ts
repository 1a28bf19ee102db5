import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { folderVersion } from '../../../lib/ops/mail/preview-process';
import { removeFolder, tempFolder } from '../../support/temp-folder';

describe('folderVersion', () => {
  let folder: string;
  beforeEach(() => {
    folder = tempFolder('version');
    fs.mkdirSync(path.join(folder, 'deep'));
    fs.writeFileSync(path.join(folder, 'deep/html.ejs'), 'one');
    fs.writeFileSync(path.join(folder, 'mailer.js'), 'one');
  });
  afterEach(() => removeFolder(folder));
  const version = () => folderVersion([folder, path.join(folder, 'missing')]);

  it('changes when a file is changed, added, renamed or removed; that of the code only when code changes', async () => {
    const seen = [await version()];
    const after = async (change: () => void) => {
      change();
      seen.push(await version());
    };
    await after(() => fs.writeFileSync(path.join(folder, 'deep/html.ejs'), 'longer'));
    await after(() => fs.writeFileSync(path.join(folder, 'deep/text.ejs'), 'new'));
    await after(() => fs.renameSync(path.join(folder, 'deep/text.ejs'), path.join(folder, 'deep/other.ejs')));
    await after(() => fs.rmSync(path.join(folder, 'deep'), { recursive: true }));
    assert.equal(new Set(seen.map(({ all }) => all)).size, 5);
    assert.equal(new Set(seen.map(({ code }) => code)).size, 1);
    await after(() => fs.utimesSync(path.join(folder, 'mailer.js'), 1, 1));
    assert.notEqual(seen[5]?.code, seen[4]?.code);
    assert.deepEqual(await version(), seen[5]);
  });
});
