import assert from 'node:assert/strict';
import { closest } from '../../lib/support/closest';

const KNOWN = ['retry', 'scheduled', 'dead', 'waiting', 'busy', 'WelcomeEmailJob'];

describe('the closest word', () => {
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
    it(`to "${word}" is ${meant ?? 'none'}`, () => assert.equal(closest(word, KNOWN), meant));
});
