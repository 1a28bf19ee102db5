import { recordText } from '../job/sets/stored-job';

/** Records as producers write them, for the fuzzer to change. */
export const JOB_SEEDS = [
  recordText({ class: 'PlainJob', args: [1, { a: [null, 'x'] }], tags: ['fails'], requestId: 'r' }),
  recordText({ class: 'RuledJob', errors: ['first', 'second'], attributes: { tenant: 'acme' }, via: 'outbox' }),
  recordText({ class: 'PlainJob', args: [{ $date: 1_700_000_000_000 }, { $bigint: '7' }, { $model: ['User', '1'] }] }),
  '{"data":{"class":"PlainJob"},"options":{"timestamp":1,"stacktraces":[],"delay":5},"status":"created"}',
] as const;

/** What the fuzzer inserts into them. */
export const JOB_WORDS: readonly string[] = [
  ...['null', 'true', '[]', '{}', '-1', '1e999', '0.5', '"', '\\u0000', '\\ud800', '"__proto__":', '"attrs":null,'],
  ...['"v":', '"args":', '"tags":', '"unique":"executing",', '"options":', '"stacktraces":3,', '['.repeat(50)],
];
