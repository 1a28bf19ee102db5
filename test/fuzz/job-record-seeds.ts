import { payloadText } from '../job/sets/stored-job';

/** Payloads as producers write them, for the fuzzer to change. */
export const JOB_SEEDS = [
  payloadText({ class: 'PlainJob', args: [1, { a: [null, 'x'] }], tags: ['fails'], requestId: 'r' }),
  payloadText({ class: 'RuledJob', attributes: { tenant: 'acme' } }),
  payloadText({ class: 'PlainJob', args: [{ $date: 1_700_000_000_000 }, { $bigint: '7' }, { $model: ['User', '1'] }] }),
  '{"class":"PlainJob"}',
] as const;

/** What the fuzzer inserts into them. */
export const JOB_WORDS: readonly string[] = [
  ...['null', 'true', '[]', '{}', '-1', '1e999', '0.5', '"', '\\u0000', '\\ud800', '"__proto__":', '"attrs":null,'],
  ...['"v":', '"args":', '"tags":', '"unique":"executing",', '['.repeat(50)],
];
