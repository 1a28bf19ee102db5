import { parseDuration } from '../../support/duration';
import { checkQueue } from '../enqueue/queue-check';
import { type UniqueRule, uniqueRule } from '../enqueue/unique-key';
import { type JobClass, jobNameOf, type Performable } from '../job-class';

/** Longer, and Node's timers fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** What a class asks for, and what is to be done around its `perform`: found out once, so that who wants nothing pays nothing. */
export interface ClassPlan {
  readonly name: string;
  readonly timeoutMs: number | undefined;
  readonly unique: UniqueRule | undefined;
  readonly before: boolean;
  readonly around: boolean;
  readonly after: boolean;
  readonly afterDiscard: boolean;
  /** None of the first three. */
  readonly bare: boolean;
}

const plans = new WeakMap<JobClass, ClassPlan>();

/** @throws TypeError that names the class, for options that make no sense. */
export function planOf(jobClass: JobClass): ClassPlan {
  const known = plans.get(jobClass);
  if (known) return known;
  const name = jobNameOf(jobClass);
  const { beforePerform, aroundPerform, afterPerform, afterDiscard } = jobClass.prototype as Partial<Performable>;
  const before = beforePerform !== undefined;
  const around = aroundPerform !== undefined;
  const after = afterPerform !== undefined;
  const plan = Object.freeze({
    name,
    timeoutMs: timeoutOf(jobClass, name),
    unique: uniqueRule(jobClass, name),
    before,
    around,
    after,
    afterDiscard: afterDiscard !== undefined,
    bare: !before && !around && !after,
  });
  checkQueue({ name, queue: jobClass.queue });
  const { limit } = jobClass.retry;
  if (!(limit >= 0)) throw new TypeError(`${name}.retry: limit is ${limit}; give a number of retries, 0 for none`);
  plans.set(jobClass, plan);
  return plan;
}

function timeoutOf({ timeout }: JobClass, name: string): number | undefined {
  if (timeout === undefined) return undefined;
  const ms = parseDuration(timeout);
  if (ms !== undefined && ms > 0 && ms <= MAX_TIMEOUT_MS) return ms;
  throw new TypeError(`${name}.timeout is ${JSON.stringify(timeout)}; give a length of time up to 24d, such as '5m'`);
}
