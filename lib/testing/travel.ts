import { type Duration, parseDuration } from '../support/duration';

type DateClass = typeof Date;

/** The clock as it was before the first trip. */
let real: DateClass | undefined;

/**
 * Stops the clock at a moment: from now on `new Date()` and `Date.now()` give it, until the next trip or
 * `travelBack()`. Jobs that were to wait until then are due. Timers, and the clocks of Postgres and Redis, go on.
 *
 *     await ReminderJob.set({ wait: '3d' }).performLater(user.id)
 *     await travelTo(new Date(Date.now() + 3 * 86_400_000), () => performEnqueuedJobs())
 *
 * @param moment a Date, or text that names one.
 * @param during the clock stands still while this runs; afterwards it is what it was before.
 * @throws TypeError for what is no moment.
 */
export function travelTo(moment: Date | string): void;
export function travelTo<T>(moment: Date | string, during: () => PromiseLike<T> | T): Promise<T>;
export function travelTo<T>(moment: Date | string, during?: () => PromiseLike<T> | T): Promise<T> | undefined {
  const at = new Date(moment).getTime();
  if (Number.isNaN(at)) throw new TypeError(`travelTo: "${moment}" is no moment; give a valid Date`);
  if (!during) {
    stopClock(at);
    return undefined;
  }
  return stay(at, during);
}

/**
 * As `travelTo`, by a length of time from what the clock says: `travel('5m')`.
 * @throws TypeError for what is no length of time.
 */
export function travel(duration: Duration): void;
export function travel<T>(duration: Duration, during: () => PromiseLike<T> | T): Promise<T>;
export function travel<T>(duration: Duration, during?: () => PromiseLike<T> | T): Promise<T> | undefined {
  const ms = parseDuration(duration);
  if (ms === undefined) {
    throw new TypeError(`travel: ${JSON.stringify(duration)} is no length of time; give ms, or text such as '5m'`);
  }
  const moment = new Date(Date.now() + ms);
  if (during) return travelTo(moment, during);
  travelTo(moment);
  return undefined;
}

/** Lets the clock go on, at the real time. Where nobody has travelled it does nothing. */
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
 * Of the global object that loaded us: what jest gives its tests is not Node's own, which is all that the timers of
 * node:test know.
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
