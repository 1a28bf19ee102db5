import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { AppFolder, EVERYTHING, ROOT } from './app-folder';

const run = promisify(execFile);
const PACKAGES = path.join(ROOT, 'node_modules');

/** Runs a script of node in the app, with nothing of the run in its environment that tests look at. */
async function node(app: AppFolder, ...args: readonly string[]): Promise<string> {
  const { TEST_DATABASE_URL: _, ...env } = process.env;
  const { stdout } = await run(process.execPath, args, { cwd: app.folder, env }).catch(
    (error: { readonly stdout: string }) => assert.fail(error.stdout),
  );
  return stdout;
}

/** An app beside which the packages of this checkout are, and the checkout itself as its package. */
function appWithPackages(typescript: boolean): AppFolder {
  const app = new AppFolder({ typescript, esm: false });
  fs.mkdirSync(path.join(app.folder, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(app.folder, 'node_modules/catamount'));
  for (const name of ['typescript', 'tsx', 'knex', '@types'])
    fs.symlinkSync(path.join(PACKAGES, name), path.join(app.folder, 'node_modules', name));
  for (const line of EVERYTHING) app.catamount(`generate ${line}`);
  return app;
}

describe('what catamount generate writes', () => {
  it('compiles strictly, and its own tests pass, on the embedded Postgres', async () => {
    const app = appWithPackages(true);
    app.write('routes.ts', "export { postsRoutes as default } from './routes/posts.js';\n");
    await node(app, path.join(PACKAGES, 'typescript/bin/tsc'), '-p', '.');
    const tests = app.files().filter((file) => /^test\/.*\.test\.ts$/.test(file));
    assert.equal(tests.length, 5);
    const flags = ['--import=tsx', '--test', '--test-reporter=tap', '--test-concurrency=1'];
    assert.match(await node(app, ...flags, ...tests), /^# pass 6$/m);
  });

  it('passes its own tests in JavaScript', async () => {
    const app = appWithPackages(false);
    assert.match(await node(app, '--test', '--test-reporter=tap', '--test-concurrency=1'), /^# pass 6$/m);
  });
});
