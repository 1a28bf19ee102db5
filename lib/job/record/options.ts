import type { FailedRun, JobRecord } from './record';

type Options = JobRecord['options'];

/** Later than any date. */
const LAST_MS = 8.64e15;

const isText = (value: unknown) => typeof value === 'string';
const isTime = (value: unknown) => typeof value === 'number' && value >= 0 && value <= LAST_MS;
const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isListOf = (isItem: (item: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(isItem);
const isCounts = (value: unknown) => isObject(value) && Object.values(value as object).every(isCount);

/** Of what kind each field is. Others are left as they are: a newer version may have written them. */
const KINDS: { readonly [K in keyof Required<Options>]: (value: unknown) => boolean } = {
  timestamp: isTime,
  dueAt: isTime,
  stacktraces: isListOf(isText),
  failures: isListOf(isFailedRun),
  attempts: isCount,
  attemptsBy: isCounts,
  reason: isText,
  noted: (value) => typeof value === 'boolean',
  cursor: isText,
};
const FIELDS = Object.entries(KINDS);

/** Whoever can write to Redis can write nonsense: what is not of its kind counts as absent. @param given is changed. */
export function readOptions(given: unknown): Options {
  if (!isObject(given)) return {};
  const options = given as Record<string, unknown>;
  for (const [name, isOfItsKind] of FIELDS) {
    if (options[name] !== undefined && !isOfItsKind(options[name])) delete options[name];
  }
  return options;
}

export function isFailedRun(value: unknown): value is FailedRun {
  const { at, attempt, host, pid } = (value ?? {}) as Partial<FailedRun>;
  return isTime(at) && Number.isFinite(attempt) && isText(host) && Number.isFinite(pid);
}
