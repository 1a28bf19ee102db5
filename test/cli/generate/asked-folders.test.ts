import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { appFolder } from '../../support/app-folder';
import { catamount } from '../cli-process';

const appOf = (files: Readonly<Record<string, string>>, packages: readonly string[] = []) =>
  appFolder({ 'package.json': '{}', ...files }, packages);

const server = (manifest: string) => `require('catamount').boot(require('${manifest}'));`;
const manifest = (options: string) =>
  `const path = require('node:path');
const FOLDER = 'work';
console.log('an app may print when it is loaded');
module.exports = require('catamount').defineApp({ name: 'shop', ${options} });`;

/** The files that a job and its test get, in the order in which they are listed. */
async function jobIn(folder: string): Promise<string[]> {
  const { code, stdout, stderr } = await catamount(folder, ['generate', 'job', 'tidy']);
  assert.equal(code, 0, stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/^ *create {2}/, ''));
}

describe('catamount generate, in which the app itself says where its folders are', () => {
  for (const root of ['path.dirname(__dirname)', 'process.cwd()', "__dirname + '/..'", 'path.resolve(__dirname, "..")'])
    it(`root is ${root}`, async () => {
      const folder = appOf({ 'server.js': server('./lib/app'), 'lib/app.js': manifest(`root: ${root}`) });
      assert.deepEqual(await jobIn(folder), ['jobs/tidy.js', 'test/jobs/tidy.test.js']);
      const test = fs.readFileSync(path.join(folder, 'test/jobs/tidy.test.js'), 'utf8');
      assert.ok(test.includes("const app = require('../../lib/app');"), test);
    });

  it('a folder is a constant, and the manifest has a name of its own', async () => {
    const folder = appOf({
      'server.js': server('./config/tree'),
      'app.js': 'module.exports = new (class Koa {})();',
      'config/tree.js': manifest('root: path.dirname(__dirname), jobs: FOLDER'),
    });
    assert.deepEqual(await jobIn(folder), ['work/tidy.js', 'test/jobs/tidy.test.js']);
    const test = fs.readFileSync(path.join(folder, 'test/jobs/tidy.test.js'), 'utf8');
    assert.ok(test.includes("const app = require('../../config/tree');"), test);
  });

  const TYPESCRIPT = {
    'tsconfig.json': '{ "compilerOptions": { "module": "commonjs", "outDir": "dist", "rootDir": "src" } }',
    'src/server.ts': "import { boot } from 'catamount';\nimport app from './tree';\nvoid boot(app);\n",
    'src/tree.ts':
      "import { defineApp } from 'catamount';\nexport default defineApp({ name: 'shop', root: __dirname, jobs: 'work' as string });\n",
  };

  it('an app in TypeScript is asked by its sources where tsx is installed, otherwise by its build', async () => {
    const files = ['src/work/tidy.ts', 'test/jobs/tidy.test.ts'];
    assert.deepEqual(await jobIn(appOf(TYPESCRIPT, ['tsx'])), files);
    const built = appOf({
      ...TYPESCRIPT,
      'dist/server.js': server('./tree'),
      'dist/tree.js': manifest("root: __dirname, jobs: 'work'"),
    });
    assert.deepEqual(await jobIn(built), files);
  });

  it('says what is wrong with an app that cannot be asked', async () => {
    const unbuilt = await catamount(appOf(TYPESCRIPT), ['generate', 'job', 'tidy']);
    assert.equal(unbuilt.code, 64);
    assert.match(unbuilt.stderr, /^There is no dist\/server\.js, .*Build the app \(npm run build\)/);
    const broken = appOf({ 'server.js': server('./app'), 'app.js': 'require("./nowhere");' });
    const { code, stderr } = await catamount(broken, ['generate', 'job', 'tidy']);
    assert.equal(code, 1);
    assert.match(stderr, /^The app cannot be asked for its folders: server\.js has ended with code 1:\n.*nowhere/s);
    assert.equal(fs.existsSync(path.join(broken, 'jobs')), false);
  });
});
