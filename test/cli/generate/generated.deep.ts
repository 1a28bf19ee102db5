import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { newApp } from '../../../lib/cli/generate/new-app';
import { AppFolder, EVERYTHING, ROOT, type Shape } from './app-folder';

const run = promisify(execFile);
/** Both languages in both module systems. */
const SHAPES: readonly Shape[] = [true, false].flatMap((typescript) =>
  [false, true].map((esm) => ({ typescript, esm })),
);
const PACKAGES = path.join(ROOT, 'node_modules');

/** Runs Node in the app, without the variables of this run that tests read. @returns everything that it printed. */
async function node(app: AppFolder, ...args: readonly string[]): Promise<string> {
  const { TEST_DATABASE_URL: _, ...env } = process.env;
  const { stdout, stderr } = await run(process.execPath, args, { cwd: app.folder, env }).catch(
    (error: { readonly stdout: string; readonly stderr: string }) => assert.fail(error.stdout + error.stderr),
  );
  return stdout + stderr;
}

/** An app that also resolves what its compiler needs. */
async function appWithPackages(shape: Shape): Promise<AppFolder> {
  const app = new AppFolder(shape);
  for (const name of ['typescript', '@types'])
    fs.symlinkSync(path.join(PACKAGES, name), path.join(app.folder, 'node_modules', name));
  for (const line of EVERYTHING) await app.catamount(`generate ${line}`);
  return app;
}

/** The linter's settings in a new app. */
function lintSettings(app: AppFolder, shape: Shape): string {
  const files = newApp({ ...shape, name: 'shop', folder: app.folder, manager: 'npm', now: new Date() });
  return files.find(({ file }) => file === '.biome.json')?.content ?? assert.fail('no .biome.json');
}

describe('what catamount generate writes', () => {
  for (const shape of SHAPES) {
    const { typescript, esm } = shape;
    const [language, ending] = typescript ? ['TypeScript, compiles strictly', 'ts'] : ['JavaScript', 'js'];
    it(`in ${language}, as ${esm ? 'ES modules' : 'CommonJS'}, passes the linter and its own tests`, async () => {
      const app = await appWithPackages(shape);
      if (typescript) app.write('routes.ts', 'export default () => undefined;\n');
      app.write('.biome.json', lintSettings(app, shape));
      const folders = [...new Set(app.files().map((file) => file.split('/')[0] ?? ''))];
      const written = folders.filter((name) => fs.statSync(path.join(app.folder, name)).isDirectory());
      assert.ok(written.includes('jobs') && written.includes('migrations') && written.includes('test'));
      const clean = await node(app, path.join(PACKAGES, '@biomejs/biome/bin/biome'), 'check', ...written);
      assert.match(clean, /^Checked \d+ files? in .*\. No fixes applied\.$/m);
      if (typescript) await node(app, path.join(PACKAGES, 'typescript/bin/tsc'), '-p', '.');
      const tests = app.files().filter((file) => file.startsWith('test/') && file.endsWith(`.test.${ending}`));
      assert.equal(tests.length, 5);
      const loader = typescript ? ['--import=tsx'] : [];
      const flags = ['--test', '--test-reporter=tap', '--test-concurrency=1'];
      assert.match(await node(app, ...loader, ...flags, ...tests), /^# pass 6$/m);
    });
  }
});
