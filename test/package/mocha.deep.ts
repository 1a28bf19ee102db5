import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { assignedTo } from '../guide-blocks';
import { appFolder } from '../support/app-folder';
import { usePostgres } from '../support/stores';
import { removeFolder } from '../support/temp-folder';
import { withoutNpm } from './npm';
import { APP, testOf } from './typescript-app';

const run = promisify(execFile);
/** The app's packages besides the checkout, which is its `catamount`. */
const PACKAGES = ['mocha', 'tsx', '@types', 'knex', 'pg'];

describe('an app of ES modules in TypeScript, tested by mocha with tsx', () => {
  const folder = appFolder({ ...APP, 'test/greet.test.ts': testOf('mocha') }, PACKAGES);
  const database = usePostgres();
  after(() => removeFolder(folder));

  /** Runs mocha like a developer with a test database. @returns its exit code and output. */
  async function mocha(settings: string): Promise<{ readonly code: number; readonly printed: string }> {
    fs.writeFileSync(path.join(folder, '.mocharc.json'), settings);
    const { NODE_OPTIONS: _, ...own } = withoutNpm(process.env);
    const options = { cwd: folder, env: { ...own, TEST_DATABASE_URL: database.url } };
    const args = [path.join(folder, 'node_modules/mocha/bin/mocha.js'), '--timeout=0'];
    return run(process.execPath, args, options).then(
      ({ stdout, stderr }) => ({ code: 0, printed: stdout + stderr }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        code,
        printed: stdout + stderr,
      }),
    );
  }

  it('loads each class once, with the settings of the guide', async () => {
    const { code, printed } = await mocha(assignedTo('test/package/mocha.deep.ts', '{ "node-option"'));
    assert.equal(code, 0, printed);
    assert.match(printed, /^ *1 passing/m);
  });

  it('says what to do when mocha requires its files, which would load classes twice', async () => {
    const { code, printed } = await mocha('{ "node-option": ["import=tsx"], "spec": "test/**/*.test.ts" }');
    assert.equal(code, 1, printed);
    const said =
      /mailers\/user-mailer\.ts: it was required before it was imported, and its classes exist twice: .*"no-experimental-require-module"/;
    assert.match(printed, said);
  });
});
