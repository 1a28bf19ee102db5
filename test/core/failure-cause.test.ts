import assert from 'node:assert/strict';
import { causeOf, causeText, FAILURE_CAUSES, partText, STALLED_PARTS } from '../../lib/core/failure-cause';

const coded = (message: string, code: string) => Object.assign(new Error(message), { code });
const named = (message: string, name: string) => Object.assign(new Error(message), { name });

describe('the cause of a failure', () => {
  const CASES: readonly (readonly [Error, string])[] = [
    [new Error("READONLY You can't write against a read only replica."), 'redisReadOnly'],
    [
      new Error('READONLY Write commands are not allowed on a replica. script: 12, on @user_script:3.'),
      'redisReadOnly',
    ],
    [coded("OOM command not allowed when used memory > 'maxmemory'.", 'OOM'), 'redisFull'],
    [new Error('WRONGPASS invalid username-password pair or user is disabled.'), 'password'],
    [new Error("NOPERM User default has no permissions to run the 'evalsha' command"), 'redisDenied'],
    [new Error('MISCONF Redis is configured to save RDB snapshots'), 'redisDisk'],
    [new Error("CROSSSLOT Keys in request don't hash to the same slot"), 'redisCluster'],
    [new Error('LOADING Redis is loading the dataset in memory'), 'redisBusy'],
    [new Error('NOREPLICAS Not enough good replicas to write.'), 'redisReplicas'],
    [coded('password authentication failed for user "app"', '28P01'), 'password'],
    [coded('sorry, too many clients already', '53300'), 'postgresConnections'],
    [coded('could not extend file: No space left on device', '53100'), 'postgresDisk'],
    [coded('cannot execute UPDATE in a read-only transaction', '25006'), 'postgresReadOnly'],
    [coded('canceling statement due to lock timeout', '55P03'), 'locked'],
    [named('Knex: Timeout acquiring a connection. The pool is probably full.', 'KnexTimeoutError'), 'poolEmpty'],
    [coded('connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'), 'unreachable'],
    [new Error('Socket closed unexpectedly'), 'unreachable'],
    [coded('Greeting never received', 'ETIMEDOUT'), 'noAnswer'],
    [coded('ENOSPC: no space left on device, write', 'ENOSPC'), 'diskFull'],
    [named('another process holds the row of nightly', 'RowLockedError'), 'cronLocked'],
    [new Error('outer', { cause: coded('inner', 'ENOSPC') }), 'diskFull'],
    [new Error('something else'), 'other'],
    [new Error('ERR Error running script (call to f_1): @user_script:5: -READONLY You can’t write'), 'redisReadOnly'],
    [new Error('Ready check failed: NOAUTH Authentication required.', { cause: coded('', 'NOAUTH') }), 'password'],
    [new Error('Connection terminated unexpectedly (in: select set_config($1, timeout))'), 'unreachable'],
    [coded('relation "jobs" does not exist (in: select lock_timeout, no_answer from jobs)', '42P01'), 'other'],
    [coded('a BUSY period is over, Connection terminated', 'P0001'), 'other'],
    [coded('Message failed: 451 4.4.2 timed out, Socket closed', 'EMESSAGE'), 'other'],
    [new Error('the hotel is BUSY, and timed out'), 'other'],
  ];
  for (const [error, cause] of CASES)
    it(`${cause}: ${error.message.slice(0, 50)}`, () => {
      assert.equal(causeOf(error), cause);
    });

  it('has a sentence for each cause and part', () => {
    for (const cause of FAILURE_CAUSES) assert.match(causeText(cause), / /, cause);
    for (const part of STALLED_PARTS) assert.match(partText(part), / /, part);
  });
});
