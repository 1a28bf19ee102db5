import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { lists } from './mutation/mutation';

const ROOT = path.resolve(__dirname, '..');

describe('each mutation', () => {
  const mutations = lists().flatMap((list) => list.mutations);

  it('has a text that occurs once in its file, and names existing tests', () => {
    const stale = mutations.flatMap(({ promise, file, find, killedBy }) => {
      const target = path.join(ROOT, file);
      const count = fs.existsSync(target) ? fs.readFileSync(target, 'utf8').split(find).length - 1 : 'no file,';
      const missing = killedBy.filter((test) => !fs.existsSync(path.join(ROOT, test)));
      return count === 1 && missing.length === 0 ? [] : [`${promise} (${file}): ${count} times ${missing.join(', ')}`];
    });
    assert.deepEqual(stale, []);
    assert.ok(mutations.length >= 40);
  });
});
