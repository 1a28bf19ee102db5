import { isPromise } from 'node:util/types';
import { Job } from '../job/job';
import type { MailerClass } from '../mailer/definition/mailer-class';
import { Mailer } from '../mailer/mailer';
import { didYouMean } from '../support/did-you-mean';

// Checks for arguments that TypeScript would reject, but that a test in plain JavaScript can pass. Each TypeError names
// the function, what it was given, and what it takes. Without these checks an assertion that no job can meet would
// pass, or fail for a misleading reason.

/** @throws TypeError for anything but a subclass of Job. */
export function requireJobClass(caller: string, value: unknown): void {
  if (typeof value === 'function' && value.prototype instanceof Job) return;
  throw new TypeError(`${caller} takes a job class, such as WelcomeEmailJob, but was given ${describeGiven(value)}`);
}

/** @throws TypeError for anything but a mailer, or for an action that the mailer does not have. */
export function requireAction(caller: string, mailer: unknown, action: unknown): void {
  if (!isMailer(mailer)) {
    throw new TypeError(`${caller} takes a mailer, such as UserMailer, but was given ${describeGiven(mailer)}`);
  }
  const actions = Object.getOwnPropertyNames(mailer.prototype).filter((name) => name !== 'constructor');
  if (typeof action === 'string' && typeof Reflect.get(mailer.prototype, action) === 'function') return;
  const meant = typeof action === 'string' ? didYouMean(action, actions) : undefined;
  const remedy = meant ? `write '${meant}'` : `it has ${actions.join(', ') || 'none'}`;
  const name = typeof action === 'string' ? `'${action}'` : describeGiven(action);
  throw new TypeError(`${caller}: ${mailer.name} has no action ${name}: ${remedy}`);
}

const IS: Readonly<Record<string, readonly [what: string, is: (value: unknown) => boolean]>> = {
  args: ['an array of the arguments', Array.isArray],
  params: ['an object, as passed to with()', (value) => typeof value === 'object' && value !== null],
  queue: ['the name of a queue', (value) => typeof value === 'string'],
  times: ['a whole number', isCount],
  at: ['a Date, or null for at once', (value) => value === null || value instanceof Date],
  where: ['a function of the job', (value) => typeof value === 'function'],
  outcome: [
    'succeeded, discarded, dead, failed, cancelled or expired',
    (value) => /^(?:succeeded|discarded|dead|failed|cancelled|expired)$/.test(String(value)),
  ],
};

/**
 * @param known the properties that the caller compares.
 * @throws TypeError for any other property, or for a value that it cannot have.
 */
export function requireMatch(caller: string, match: unknown, known: readonly string[]): void {
  if (typeof match !== 'object' || match === null) {
    throw new TypeError(
      `${caller} takes an object as its second argument, such as { ${known[0]}: … }, but was given ${describeGiven(match)}`,
    );
  }
  for (const [name, value] of Object.entries(match)) {
    if (value === undefined) continue;
    if (!known.includes(name)) {
      const meant = didYouMean(name, known);
      throw new TypeError(
        `${caller} does not compare ${name}: ${meant ? `write ${meant}` : `it compares ${known.join(', ')}`}`,
      );
    }
    const [what, is] = IS[name] ?? ['', () => true];
    if (!is(value)) throw new TypeError(`${caller}: ${name} is ${describeGiven(value)}; give ${what}`);
  }
}

/** @throws TypeError for anything but a number of jobs or mails. */
export function requireCount(caller: string, count: unknown): void {
  if (!isCount(count))
    throw new TypeError(`${caller} takes a whole number as its first argument, but was given ${describeGiven(count)}`);
}

/** @throws TypeError for anything but a function or undefined: a promise has begun before it can be watched. */
export function requireDuring(caller: string, during: unknown): void {
  if (during === undefined || typeof during === 'function') return;
  const remedy = isPromise(during) ? ': give the function that creates it, () => …' : '';
  throw new TypeError(
    `${caller} takes the code to watch as a function, but was given ${describeGiven(during)}${remedy}`,
  );
}

/** @throws TypeError for anything but what `defineApp` returns. */
export function requireApp(caller: string, app: unknown): void {
  if (typeof app === 'object' && app !== null && 'routes' in app && 'localesDir' in app) return;
  throw new TypeError(
    `${caller} takes the app that defineApp returns, as app.js exports it, but was given ${describeGiven(app)}`,
  );
}

/** @throws TypeError for a filter with anything but job classes. */
export function requireFilter(caller: string, filter: object): void {
  for (const classes of [Reflect.get(filter, 'only'), Reflect.get(filter, 'except')]) {
    for (const each of classes === undefined ? [] : [classes].flat())
      requireJobClass(`${caller}: only or except`, each);
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0;
}

function isMailer(value: unknown): value is MailerClass & { readonly prototype: object } {
  return typeof value === 'function' && value.prototype instanceof Mailer;
}

function describeGiven(value: unknown): string {
  if (value === undefined) return 'undefined: is it exported, and imported by that name?';
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return `the text ${JSON.stringify(value)}`;
  if (isPromise(value)) return 'a promise';
  if (Array.isArray(value)) return 'an array';
  if (typeof value !== 'function') return `an object of ${value.constructor?.name ?? 'no class'}`;
  const isClass = /^class\b/.test(Function.prototype.toString.call(value));
  if (!isClass) return `the function ${value.name || 'without a name'}`;
  return isMailer(value) ? `the mailer ${value.name}` : `the class ${value.name}`;
}
