import assert from 'node:assert/strict';
import { TABLES, useSchema } from '../../lib/core/config';

describe('the tables of a schema', () => {
  afterEach(() => useSchema('public'));

  it('are qualified with it, and have their own channels, of at most 63 bytes; public relies on the search path', () => {
    const names = { ...TABLES };
    const longest = 's'.repeat(63);
    useSchema('user');
    const ofUser = { ...TABLES };
    assert.equal(ofUser.jobs, '"user".job_queue');
    useSchema(longest);
    const channels = [names, ofUser, TABLES].flatMap((each) => [each.channel, each.echoChannel, each.leaderChannel]);
    assert.equal(new Set(channels).size, 9);
    // LISTEN takes them unquoted.
    for (const channel of channels) assert.match(channel, /^[a-z0-9_]{1,63}$/);
    useSchema('public');
    assert.deepEqual(TABLES, names);
  });
});
