import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './npm';

const KINDS = ['classes', 'functions', 'variables'];
const built = (name: string) => require(path.join(ROOT, 'dist/lib', name)) as object;

describe('the API reference', () => {
  const folder = path.join(ROOT, '.catamount/reference');
  let output: { readonly stdout: string; readonly stderr: string };
  before(async () => {
    fs.rmSync(folder, { recursive: true, force: true });
    const command = path.join(ROOT, '.config/reference.mjs');
    output = await promisify(execFile)(process.execPath, [command], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: '1' },
    });
  });

  it('is built without warnings: everything public is documented, and uses only public types', () => {
    assert.match(output.stdout, /html generated/);
    assert.doesNotMatch(output.stdout + output.stderr, /\[(warning|error)\]/);
  });

  it('has a page for every export of the package and of its test helpers', () => {
    for (const [door, file] of [
      ['catamount', 'index.js'],
      ['testing', 'testing/index.js'],
    ] as const) {
      const names = Object.keys(built(file));
      assert.ok(names.length > 20, names.join());
      const missing = names.filter(
        (name) => !KINDS.some((kind) => fs.existsSync(path.join(folder, kind, `${door}.${name}.html`))),
      );
      assert.deepEqual(missing, [], door);
    }
  });

  it('shows the comments of a class, but not its internals', () => {
    const job = fs.readFileSync(path.join(folder, 'classes/catamount.Job.html'), 'utf8');
    for (const name of ['performlater', 'retryon', 'checkpoint', 'timeout']) {
      assert.ok(job.includes(`id="${name}"`), name);
    }
    assert.match(job, /make <code>perform<\/code> idempotent/);
    assert.ok(!job.includes('id="connect"'));
  });
});
