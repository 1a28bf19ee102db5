import { type Duration, parseDuration } from '../support/duration';

type DateClass = typeof Date;

/** The original Date class; undefined while the clock is real. */
let real: DateClass | undefined;

/**
 * Stops the clock at a moment: `new Date()` and `Date.now()` return it until the next call or `travelBack()`. Jobs
 * scheduled up to that moment are due. Timers and the clocks of Postgres and Redis are not affected.
 *
 *     await ReminderJob.set({ wait: '3d' }).performLater(user.id)
 *     await travelTo(new Date(Date.now() + 3 * 86_400_000), () => performEnqueuedJobs())
 *
 * @param moment a Date, or text that `new Date` parses.
 * @throws TypeError for an invalid date.
 */
export function travelTo(moment: Date | string): void;
/**
 * Stops the clock at a moment while one piece of code runs.
 * @param during the clock stands still until this ends.
 * @returns the result of `during`.
 * @throws TypeError for an invalid date.
 */
export function travelTo<T>(moment: Date | string, during: () => PromiseLike<T> | T): Promise<T>;
export function travelTo<T>(moment: Date | string, during?: () => PromiseLike<T> | T): Promise<T> | undefined {
  const at = new Date(moment).getTime();
  if (Number.isNaN(at)) throw new TypeError(`travelTo: "${moment}" is not a date; give a valid Date`);
  if (!during) {
    stopClock(at);
    return undefined;
  }
  return stay(at, during);
}

/**
 * Stops the clock, as `travelTo` does, at a duration from its present time: `travel('5m')`.
 * @throws TypeError for an invalid duration.
 */
export function travel(duration: Duration): void;
export function travel<T>(duration: Duration, during: () => PromiseLike<T> | T): Promise<T>;
export function travel<T>(duration: Duration, during?: () => PromiseLike<T> | T): Promise<T> | undefined {
  const ms = parseDuration(duration);
  if (ms === undefined) {
    throw new TypeError(`travel: ${JSON.stringify(duration)} is not a duration; give ms, or text such as '5m'`);
  }
  const moment = new Date(Date.now() + ms);
  if (during) return travelTo(moment, during);
  travelTo(moment);
  return undefined;
}

/** Restores the real clock. Does nothing if the clock has not been stopped. */
export function travelBack(): void {
  if (real) globalThis.Date = real;
  real = undefined;
}

async function stay<T>(at: number, during: () => PromiseLike<T> | T): Promise<T> {
  const before = { date: globalThis.Date, real };
  stopClock(at);
  try {
    return await during();
  } finally {
    globalThis.Date = before.date;
    real = before.real;
  }
}

/**
 * Replaces Date in the global object that loaded this module. Jest gives each test file a global object of its own, which the
 * mock timers of node:test do not reach.
 */
function stopClock(at: number): void {
  real ??= globalThis.Date;
  const now = () => at;
  globalThis.Date = new Proxy(real, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length > 0 ? args : [at], newTarget),
    apply: (target) => new target(at).toString(),
    get: (target, key, receiver) => (key === 'now' ? now : Reflect.get(target, key, receiver)),
  });
}
