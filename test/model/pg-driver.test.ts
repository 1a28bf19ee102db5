import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { tempFolder } from '../support/temp-folder';

const ROOT = path.resolve(__dirname, '../..');

describe('the driver of Postgres', () => {
  it('loads without what Node has for the web, and leaves no trace', () => {
    const folder = tempFolder('driver');
    const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    const flags = ['--noCheck', '--module', 'commonjs', '--target', 'es2022', '--outDir', folder];
    execFileSync(process.execPath, [tsc, '--ignoreConfig', ...flags, path.join(ROOT, 'lib/model/pg-driver.ts')]);
    const script = `
      const before = 'navigator' in globalThis;
      const { pg } = require(${JSON.stringify(path.join(folder, 'pg-driver.js'))});
      console.log(JSON.stringify({
        client: typeof pg.Client,
        same: pg === require('pg'),
        undici: process.moduleLoadList.some((name) => name.includes('undici')),
        left: ('navigator' in globalThis) !== before,
      }));`;
    const env = { PATH: process.env.PATH ?? '', NODE_PATH: path.join(ROOT, 'node_modules') };
    const told = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', env });
    assert.deepEqual(JSON.parse(told), { client: 'function', same: true, undici: false, left: false });
  });
});
