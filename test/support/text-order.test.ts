import assert from 'node:assert/strict';
import { byText, byTextAndNumber } from '../../lib/support/text-order';

describe('the order of texts', () => {
  it('is that of their code units', () => {
    assert.deepEqual(['b', 'a10', '', 'a2', 'a'].sort(byText), ['', 'a', 'a10', 'a2', 'b']);
    assert.equal(byText('a', 'a'), 0);
  });

  it('has numbers by their size where that is asked for', () => {
    const names = ['web.10', 'web.2', 'web', 'web.2b', 'api', '7', 'web.02', 'web.2.1'];
    const sorted = ['7', 'api', 'web', 'web.02', 'web.2', 'web.2.1', 'web.2b', 'web.10'];
    assert.deepEqual(names.sort(byTextAndNumber), sorted);
    assert.equal(byTextAndNumber('web.1', 'web.1'), 0);
    assert.equal(byTextAndNumber(`a${'9'.repeat(400)}`, `a${'9'.repeat(401)}`), -1);
  });
});
