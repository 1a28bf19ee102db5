import assert from 'node:assert/strict';
import { readSettings } from '../../../lib/core/settings';
import { memory, procfile } from '../../../lib/role/checks/machine';
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
    for (const others of ['', '# migrate by hand\n', 'worker: node migrate-slowly.js\n'])
      assert.deepEqual(findingsIn(`web: node server.js\n${others}`), ['warning'], others);
  });
});

it('a plan of more memory than there may be is warned of', () => {
  const findingsWith = (MEMORY_LIMIT_MB: string, only?: string) =>
    memory({ config: readSettings({ env: { MEMORY_LIMIT_MB, WEB_CONCURRENCY: '2' }, cwd: '/nowhere', only }) });
  const [{ text } = assert.fail()] = findingsWith('128');
  const [, planned = ''] = /planned to use (\d+) MB/.exec(text) ?? [];
  assert.deepEqual([findingsWith(planned).length, findingsWith(String(Number(planned) - 1)).length], [0, 1], text);
  assert.deepEqual(
    ['web', 'jobs'].flatMap((half) => findingsWith('128', half)),
    [],
    'its other half runs elsewhere',
  );
});
