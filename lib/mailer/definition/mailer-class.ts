import type { JobClass } from '../../job/definition/job-class';
import type { ErrorHandler, ErrorMatchers } from '../../job/definition/retry-policy';
import { matcherOfAny } from '../../job/definition/retry-policy';
import type { Layout, MailDefaults } from './mail-types';

/** The part of a mailer instance that the code around an action uses, whatever its params. */
export interface AnyMailer {
  /** The params that were given to `with()`; empty without them. */
  readonly params: object;
  /** Called before the action. */
  beforeAction?(action: string): unknown;
  /** Called around the action. */
  aroundAction?(run: () => Promise<void>, action: string): unknown;
  /** Called after the action. */
  afterAction?(action: string): unknown;
  /** Called with the finished mail. */
  beforeDeliver?(message: never): unknown;
  /** Called around the sending. */
  aroundDeliver?(deliver: () => Promise<void>, message: never): unknown;
  /** Called once the mail is sent. */
  afterDeliver?(message: never, receipt: never): unknown;
}

/** A concrete subclass of `Mailer`, as a value, with its static settings. */
export interface MailerClass<M extends AnyMailer = AnyMailer> {
  /** A mailer is created without arguments: those of an action are passed to the action. */
  new (): M;
  /** The class's name, by which enqueued mails find it. */
  readonly name: string;
  /** Defaults of all its mails. */
  readonly defaults: MailDefaults;
  /** Layout of its mails. */
  readonly layout: Layout;
  /** Prefix of its text keys; undefined: its name in snake case. */
  readonly i18nScope: string | undefined;
  /** Queue of its enqueued mails. */
  readonly queue: string;
  /** false: its mails are built but not sent. */
  readonly performDeliveries: boolean;
  /** true: the jobs of its mails store their arguments encrypted. Default false. */
  readonly encrypt?: boolean;
  /** The class of the jobs that `deliverLater` enqueues: one that extends `MailDeliveryJob`. Default: Catamount's own. */
  readonly deliveryJob?: JobClass | undefined;
}

/** Finds mailers by class name. */
export interface MailerLookup {
  get(name: string): MailerClass | undefined;
  /** The folder or module that the mailers are loaded from, for error messages. */
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
  if (typeof handler !== 'function') throw new TypeError(`${at}: the handler is not a function`);
  const own = rules.get(mailer) ?? [];
  rules.set(mailer, own);
  own.push({ matches: matcherOfAny(errors, at), handler });
}

/** Finds the handler of an error: the latest rule that matches, a class's own rules before its parent's. */
export function findRescuer(mailer: object, error: Error): ErrorHandler | undefined {
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
