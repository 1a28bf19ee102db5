import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../..');

describe('npm run bench', () => {
  it('builds and loads every benchmark, with the files that are not compiled', () => {
    const run = (script: string, ...args: string[]) =>
      execFileSync(process.execPath, [path.join(ROOT, script), ...args], { cwd: ROOT, encoding: 'utf8' });
    run('.config/build.mjs', '--bench');
    const usage = run('.catamount/bench/code/test/benchmark/main.js', '--help');
    for (const name of ['boot', 'jobs', 'memory', 'growth'])
      assert.match(usage, new RegExp(`^ *${name} `, 'm'), `${name} is not listed in:\n${usage}`);
  });
});
