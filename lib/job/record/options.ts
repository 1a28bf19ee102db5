import { isCount, isObject, isText, isTexts, isTime } from './kinds';
import type { FailedRun, JobRecord } from './record';

type Options = JobRecord['options'];

/** Of what kind each field is. Others are left as they are: a newer version may have written them. */
const KINDS: { readonly [K in keyof Required<Options>]: (value: unknown) => boolean } = {
  timestamp: isTime,
  dueAt: isTime,
  stacktraces: isTexts,
  failures: (value) => Array.isArray(value) && value.every(isFailedRun),
  attempts: isCount,
  attemptsBy: (value) => isObject(value) && Object.values(value).every(isCount),
  reason: isText,
  noted: (value) => typeof value === 'boolean',
  cursor: isText,
};
const FIELDS = Object.entries(KINDS);

/** Whoever can write to Redis can write nonsense: what is not of its kind counts as absent. @param given is changed. */
export function readOptions(given: unknown): Options {
  if (!isObject(given)) return {};
  const options: Record<string, unknown> = given as Record<string, unknown>;
  for (const [name, isOfItsKind] of FIELDS) {
    if (options[name] !== undefined && !isOfItsKind(options[name])) delete options[name];
  }
  return options;
}

function isFailedRun(value: unknown): value is FailedRun {
  const { at, attempt, host, pid } = (value ?? {}) as Partial<FailedRun>;
  return isTime(at) && isCount(attempt) && isText(host) && isCount(pid);
}
