import { type ErrorHandler, type ErrorMatchers, matcherOfAny } from '../../job/definition/retry-policy';
import type { Layout, MailDefaults } from './mail-types';

/** The part of a mailer instance that the code around an action uses, whatever its params. */
export interface AnyMailer {
  readonly params: object;
  beforeAction?(action: string): unknown;
  afterAction?(action: string): unknown;
  beforeDeliver?(message: never): unknown;
  afterDeliver?(message: never, receipt: never): unknown;
}

/** The static settings of a mailer class that composing and delivery read. */
interface MailerSettings {
  readonly name: string;
  readonly defaults: MailDefaults;
  readonly layout: Layout;
  readonly i18nScope: string | undefined;
  readonly queue: string;
  readonly performDeliveries: boolean;
}

/** A concrete subclass of `Mailer`, as a value. */
export type MailerClass<M extends AnyMailer = AnyMailer> = (new () => M) & MailerSettings;

/** Finds mailers by class name. */
export interface MailerLookup {
  get(name: string): MailerClass | undefined;
  /** The folder or module the mailers come from, for error messages. */
  readonly place: string;
}

interface RescueRule {
  matches(error: Error): boolean;
  readonly handler: ErrorHandler;
}

const rules = new WeakMap<object, RescueRule[]>();

/** @throws TypeError that names the mailer, when an argument is of a wrong type. */
export function addRescueRule(mailer: { readonly name: string }, errors: ErrorMatchers, handler: ErrorHandler): void {
  const at = `${mailer.name}.rescueFrom`;
  if (typeof handler !== 'function') throw new TypeError(`${at}: the handler is no function`);
  const own = rules.get(mailer) ?? [];
  rules.set(mailer, own);
  own.push({ matches: matcherOfAny(errors, at), handler });
}

/** Finds the handler of an error: the latest rule that matches, a class's own rules before its parent's. */
export function rescuerOf(mailer: object, error: Error): ErrorHandler | undefined {
  for (let owner: object | null = mailer; owner; owner = Object.getPrototypeOf(owner) as object | null) {
    const rule = rules.get(owner)?.findLast(({ matches }) => matches(error));
    if (rule) return rule.handler;
  }
  return undefined;
}

/** The call of an action: the mailer, the action and its arguments. */
export interface ActionCall {
  /** For messages and tags, such as `UserMailer#welcome`. */
  readonly title: string;
  readonly mailer: MailerClass;
  readonly action: string;
  readonly args: readonly unknown[];
  /** The params that were given to `with()`. */
  readonly params: object;
}
