import assert from 'node:assert/strict';
import { byTextAndNumber, compareText } from '../../lib/support/text-order';

describe('the order of strings', () => {
  it('follows their code units', () => {
    assert.deepEqual(['b', 'a10', '', 'a2', 'a'].sort(compareText), ['', 'a', 'a10', 'a2', 'b']);
    assert.equal(compareText('a', 'a'), 0);
  });

  it('sorts numbers by value in byTextAndNumber', () => {
    const names = ['web.10', 'web.2', 'web', 'web.2b', 'api', '7', 'web.02', 'web.2.1'];
    const sorted = ['7', 'api', 'web', 'web.02', 'web.2', 'web.2.1', 'web.2b', 'web.10'];
    assert.deepEqual(names.sort(byTextAndNumber), sorted);
    assert.equal(byTextAndNumber('web.1', 'web.1'), 0);
    assert.equal(byTextAndNumber(`a${'9'.repeat(400)}`, `a${'9'.repeat(401)}`), -1);
  });
});
