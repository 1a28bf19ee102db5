import { type ErrorHandler, type ErrorMatchers, matcherOfAny } from '../job/perform/retry-rules';

interface RescueRule {
  matches(error: Error): boolean;
  readonly handler: ErrorHandler;
}

const rules = new WeakMap<object, RescueRule[]>();

/** @throws TypeError that names the mailer. */
export function addRescueRule(mailer: { readonly name: string }, errors: ErrorMatchers, handler: ErrorHandler): void {
  const at = `${mailer.name}.rescueFrom`;
  if (typeof handler !== 'function') throw new TypeError(`${at}: the handler is no function`);
  const own = rules.get(mailer) ?? [];
  rules.set(mailer, own);
  own.push({ matches: matcherOfAny(errors, at), handler });
}

/** What is to see to the error: the latest rule that fits, the mailer's own before its parent's. */
export function rescuerOf(mailer: object, error: Error): ErrorHandler | undefined {
  for (let owner: object | null = mailer; owner; owner = Object.getPrototypeOf(owner) as object | null) {
    const rule = rules.get(owner)?.findLast(({ matches }) => matches(error));
    if (rule) return rule.handler;
  }
  return undefined;
}
