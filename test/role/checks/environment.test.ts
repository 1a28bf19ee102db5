import assert from 'node:assert/strict';
import { procfile } from '../../../lib/role/checks/environment';
import { appFolder } from '../../support/app-folder';
import { removeFolder } from '../../support/temp-folder';

const MIGRATES = 'release: node server.js migrate\n';

/** @returns the severity of each finding. */
function findingsIn(text: string): string[] {
  const root = appFolder({ Procfile: text });
  try {
    return procfile({ root }).map(({ severity }) => severity);
  } finally {
    removeFolder(root);
  }
}

describe('a Procfile', () => {
  it('whose processes a package manager starts is a mistake, since it may not pass signals on', () => {
    for (const line of ['web: npm start', 'web: yarn start', 'worker: npm run jobs'])
      assert.deepEqual(findingsIn(`${line}\n${MIGRATES}`), ['error'], line);
    assert.deepEqual(findingsIn(`web: node server.js\n${MIGRATES}`), []);
  });

  it('without a release that migrates is warned of', () => {
    assert.deepEqual(findingsIn('web: node server.js\n'), ['warning']);
  });
});
