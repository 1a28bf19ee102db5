import { type ErrorHandler, type ErrorMatchers, matcherOfAny } from '../../job/definition/retry-policy';
import type { Layout, MailDefaults } from './mail-types';

/** A mailer's instance, whatever its params: what the code around an action asks it for. */
export interface AnyMailer {
  readonly params: object;
  beforeAction?(action: string): unknown;
  afterAction?(action: string): unknown;
  beforeDeliver?(message: never): unknown;
  afterDeliver?(message: never, receipt: never): unknown;
}

/** What delivery needs to know of the class that a mail comes from. */
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

/** Mailers by the name of their class. */
export interface MailerLookup {
  get(name: string): MailerClass | undefined;
  /** Where they come from, for messages. */
  readonly place: string;
}

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

/** Which action is to build a mail, and of what. */
export interface ActionCall {
  /** Such as `UserMailer#welcome`. */
  readonly title: string;
  readonly mailer: MailerClass;
  readonly action: string;
  readonly args: readonly unknown[];
  /** As `with()` gave them. */
  readonly params: object;
}
