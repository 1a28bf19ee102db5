import assert from 'node:assert/strict';
import { didYouMean } from '../../lib/support/did-you-mean';

const KNOWN = ['retry', 'scheduled', 'dead', 'waiting', 'busy', 'WelcomeEmailJob'];

describe('the closest word', () => {
  it('is the one that was probably meant', () => {
    for (const [word, meant] of [
      ['retry', 'retry'],
      ['rtry', 'retry'],
      ['rerty', 'retry'],
      ['daed', 'dead'],
      ['DEAD', 'dead'],
      ['schedul', 'scheduled'],
      ['sheduled', 'scheduled'],
      ['wait', 'waiting'],
      ['WelcomEmailJob', 'WelcomeEmailJob'],
      ['welcome', 'WelcomeEmailJob'],
      ['we', undefined],
      ['nonsense', undefined],
      ['', undefined],
    ] as const)
      assert.equal(didYouMean(word, KNOWN), meant, word);
  });
});
