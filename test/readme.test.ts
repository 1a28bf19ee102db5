import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { loadJobs } from '../lib/job/registry';
import { removeFolder, tempFolder } from './support/temp-folder';

const root = path.resolve(__dirname, '..');
const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
const section = (title: string) => readme.split(/^## /m).find((part) => part.startsWith(title)) ?? '';

describe('README', () => {
  it('shows the two commands', () => {
    assert.match(section('Run it'), /^npm ci && npm start$/m);
    assert.match(section('Test it'), /^npm cit$/m);
  });

  it('lists every setting that is read, and none that is not', () => {
    const sources = ['settings.ts', 'redis-url.ts'].map((name) =>
      fs.readFileSync(path.join(root, 'lib/core', name), 'utf8'),
    );
    const read = new Set(
      [...sources.join('\n').matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT|HOST)'/g)].map((m) => m[1]),
    );
    const table = section('Settings')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    const listed = new Set(
      table.flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)].map((m) => m[1])),
    );
    assert.deepEqual([...listed].sort(), [...read].sort());
  });

  it('adds a job that the registry takes', () => {
    const [, code = ''] = /```ts\n(import[\s\S]*?)```/.exec(section('Add a job')) ?? [];
    const folder = tempFolder('readme');
    fs.writeFileSync(
      path.join(folder, 'greet-user.ts'),
      code.replace("'../lib'", JSON.stringify(path.join(root, 'lib/index'))),
    );
    assert.deepEqual(
      [...loadJobs(folder)].map((job) => job.name),
      ['GreetUserJob'],
    );
    removeFolder(folder);
  });

  it('names only files that are there', () => {
    const named = [...readme.matchAll(/\]\(((?!http)[^)#]+)\)/g)].map((m) => m[1] ?? '');
    assert.ok(named.length > 0);
    assert.deepEqual(
      named.filter((file) => !fs.existsSync(path.join(root, file))),
      [],
    );
  });

  it('holds no path of a machine and no placeholder', () => {
    assert.doesNotMatch(readme, /@@|\/root\/|\/home\/|\/work\//);
  });
});
