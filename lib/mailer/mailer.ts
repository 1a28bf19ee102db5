import type { Locale } from '../core/config';
import type { ErrorHandler, ErrorMatchers, ErrorOf } from '../job/definition/retry-policy';
import { currentRun } from './compose/current-run';
import type { ActionResult, Mail } from './compose/mail';
import { addCallback, type CallbackOptions, type MailerCallbacks } from './definition/callbacks';
import { InvalidMailError, MailCancelled, UnknownMailerError } from './definition/errors';
import type {
  AttachmentContent,
  AttachmentOptions,
  Layout,
  MailDefaults,
  MailOptions,
  OutgoingMessage,
  Receipt,
  UrlQuery,
} from './definition/mail-types';
import { type AnyMailer, addRescueRule, type MailerClass, type MailerLookup } from './definition/mailer-class';
import {
  connectDelivery,
  type Delivery,
  type MailDeliveryJob,
  type MessageSource,
  type SerializedMessage,
} from './deliver-mail-job';
import { MailMessage } from './message';

/** The params of a mailer that needs none; optional ones may be added. */
export type NoParams = Readonly<Record<never, never>>;

/** A subclass of `Mailer`, or an abstract class between. */
export type AbstractMailerClass<M> = (abstract new () => M) & Pick<MailerClass, 'name'>;

/**
 * A group of related mails. Each action is a method that returns `this.mail(...)`, or nothing to send none. A static of
 * the same name creates a lazy, typed message:
 *
 *     class UserMailer extends Mailer<{ tenant: Tenant }> {
 *       static readonly welcome = this.action('welcome')
 *       welcome(user: User) { return this.mail({ to: user.email, locals: { user, tenant: this.params.tenant } }) }
 *     }
 *     await UserMailer.with({ tenant }).welcome(user).deliverLater()
 *
 * Its templates are `user_mailer/welcome/{html,text}.ejs`, its subject is the text `user_mailer.welcome.subject`. An
 * inherited action keeps the templates and texts of the class that declares the method.
 */
export abstract class Mailer<P extends object = NoParams> {
  /** Defaults of all mails of this class and its subclasses. */
  static readonly defaults: MailDefaults = {};
  /** Folder below `layouts/` that wraps each part, or false for none. */
  static readonly layout: Layout = 'mailer';
  /** Prefix of this mailer's text keys. Default: its name in snake case, such as `user_mailer`. */
  static readonly i18nScope: string | undefined = undefined;
  /** Queue of the jobs that `deliverLater` enqueues. */
  static readonly queue: string = 'mailer';
  /** false: mails of this class are built but not sent. */
  static readonly performDeliveries: boolean = true;
  /** true: the jobs that `deliverLater` enqueues store arguments and params encrypted, as `encrypt` of a job class says. */
  static readonly encrypt: boolean = false;
  /** The class of the jobs that `deliverLater` enqueues, which extends `MailDeliveryJob`. Default: Catamount's own. */
  static readonly deliveryJob: typeof MailDeliveryJob | undefined = undefined;

  /**
   * Sets the delivery that all mailers of this process use. The role calls it at boot; `undefined` disconnects.
   * @param mailers finds the mailers of enqueued mails, which name theirs. Only a process that performs such
   * jobs needs it.
   * @internal
   */
  static connect(delivery: Delivery | undefined, mailers?: MailerLookup): void {
    connectDelivery(delivery, mailers && new MailerMessages(mailers));
  }

  /**
   * Declares the action of this name: `static readonly welcome = this.action('welcome')`.
   * @returns a function of the action's arguments that makes a message, which is built when it is delivered.
   */
  protected static action<M extends AnyMailer, A extends ActionName<M>>(
    this: MailerClass<M>,
    name: A,
  ): MailAction<M, A> {
    const declaring = this;
    // Called on a subclass, the static creates a message of the subclass.
    const make = function (this: unknown, ...args: unknown[]): MailMessage {
      return new MailMessage(isMailerBelow(this, declaring) ? this : declaring, name, args, {});
    };
    return declareAction(make, name) as unknown as MailAction<M, A>;
  }

  /** Returns the actions of this mailer with `this.params` set: `UserMailer.with({ tenant }).welcome(user)`. */
  static with<C extends MailerClass>(this: C, params: ParamsOf<InstanceType<C>>): WithParams<C> {
    const frozen: object = Object.freeze({ ...(params as object) });
    const bound = [...collectActions(this)].map(([key, name]) => {
      return [key, (...args: unknown[]) => new MailMessage(this, name, args, frozen)];
    });
    return Object.fromEntries(bound) as WithParams<C>;
  }

  /**
   * Registers a handler for errors of building and delivering a mail, in a static block: `static {
   * this.rescueFrom(PermanentDeliveryError, (error, mailer) => …) }`. The mail then counts as not sent, and its job succeeds
   * unless the handler throws. Rules are inherited. If several match, the latest applies, and a class's own come before its
   * parent's.
   * @throws TypeError for a matcher that is no error class, or a handler that is no function.
   */
  static rescueFrom<const E extends ErrorMatchers, M extends AnyMailer>(
    this: AbstractMailerClass<M>,
    errors: E,
    handler: ErrorHandler<ErrorOf<E>, M>,
  ): void {
    addRescueRule(this, errors, handler as ErrorHandler);
  }

  /**
   * Adds a callback, for all actions or for some, in a static block: `static { this.callback('beforeAction', (mailer) => …, {
   * only: ['invoice'] }) }`. Callbacks are inherited. The parents' run first, then a class's own in their order, then its method
   * of that name; those that run after something, in the opposite order.
   * @param callback gets the mailer, then what the method of that name gets.
   * @throws TypeError for an unknown kind, an action that the mailer does not have, or a callback that is no function.
   */
  static callback<M extends AnyMailer, K extends keyof MailerCallbacks>(
    this: AbstractMailerClass<M>,
    kind: K,
    callback: MailerCallbacks<M>[K],
    options: CallbackOptions<ActionName<M>> = {},
  ): void {
    addCallback(this as AbstractMailerClass<M> & { readonly prototype: object }, kind, callback, options);
  }

  /** The params that were given to `with()`. */
  get params(): P {
    return currentRun(this).params as P;
  }

  /** Runs before the action; may `cancel()`. */
  beforeAction?(action: string): unknown;

  /** Runs around the action, which `await run()` runs, before `afterAction`. Without that call no mail is built. */
  aroundAction?(run: () => Promise<void>, action: string): unknown;

  /** Runs after the action, whether it built a mail or not; may `cancel()`. */
  afterAction?(action: string): unknown;

  /** Runs on the finished mail, before the app's interceptors; may `cancel()`. If it throws, the delivery fails. */
  beforeDeliver?(message: OutgoingMessage): unknown;

  /**
   * Runs around the sending, after the interceptors: `await deliver()` sends the mail, records that, and runs `afterDeliver`. It
   * throws what the sending throws, which fails the delivery even if it is caught here; `rescueFrom` handles it. Without that
   * call nothing is sent. Once the mail is out, an error is reported and does not affect the delivery.
   */
  aroundDeliver?(deliver: () => Promise<void>, message: OutgoingMessage): unknown;

  /** Runs once the mail is sent. An error it throws is reported and does not affect the delivery. */
  afterDeliver?(message: OutgoingMessage, receipt: Receipt): unknown;

  /**
   * Builds the mail of the action.
   * @throws InvalidMailError for an invalid address or a line break in a header.
   */
  protected mail(options: MailOptions): Mail {
    try {
      return currentRun(this).mail(options);
    } catch (thrown) {
      // The stack starts at the action, since frames of ours would use up the ten lines that a stack has.
      if (thrown instanceof InvalidMailError) Error.captureStackTrace(thrown, Mailer.prototype.mail);
      throw thrown;
    }
  }

  /**
   * Attaches text, bytes or, by `{ path }`, a file: `this.attach('terms.pdf', { path: termsFile })`. Call it before or
   * after `mail()`.
   * @throws InvalidMailError for an invalid name, type or content.
   */
  protected attach(name: string, content: AttachmentContent, options?: AttachmentOptions): void {
    currentRun(this).attachments.attach(name, content, options);
  }

  /**
   * Attaches an image that the HTML shows: `locals: { logo: this.inline('logo.png', { path: logoFile }) }`, then
   * `<img src="<%= logo %>">`; or, in the template, `cid('logo.png')`.
   * @returns its `cid:` URL.
   * @throws InvalidMailError for an invalid name, type or content.
   */
  protected inline(name: string, content: AttachmentContent, options?: AttachmentOptions): string {
    return currentRun(this).attachments.inline(name, content, options);
  }

  /**
   * Makes an absolute link below APP_URL: `this.urlFor('/orders/7', { from: 'mail' })`. Templates have it too.
   * @throws InvalidMailError for a path that leaves APP_URL.
   */
  protected urlFor(path: string, query?: UrlQuery): string {
    return currentRun(this).urlFor(path, query);
  }

  /**
   * Stops building or delivering the mail, in the action or a callback. It is skipped with this reason, which
   * is no error.
   */
  protected cancel(reason = 'the mailer cancelled it'): never {
    throw new MailCancelled(reason);
  }
}

function isMailerBelow(value: unknown, parent: MailerClass): value is MailerClass {
  return typeof value === 'function' && (value === parent || value.prototype instanceof parent);
}

/** Recreates the messages of enqueued mails, which name their mailer. */
export class MailerMessages implements MessageSource {
  constructor(private readonly mailers: MailerLookup) {}

  /** @throws UnknownMailerError when the app has no such mailer, or the mailer no such action. */
  recreateMessage({ mailer, action, args, params, locale }: SerializedMessage): MailMessage {
    const { place } = this.mailers;
    const mailerClass = this.mailers.get(mailer);
    if (!mailerClass) {
      throw new UnknownMailerError(`there is no mailer ${mailer} in this app: no file in ${place} exports it`);
    }
    if (![...collectActions(mailerClass).values()].includes(action)) {
      throw new UnknownMailerError(
        `${mailer} has no action ${action}: static readonly ${action} = this.action('${action}') declares one`,
      );
    }
    return new MailMessage(mailerClass, action, args, params, locale);
  }
}

/** An action: a method that builds a mail, or none. */
export type Action = (...args: never[]) => ActionResult;
/** The arguments of an action. */
export type ActionArguments<A> = A extends (...args: infer P) => ActionResult ? P : never;

/** The names of a mailer's methods that build mails. */
export type ActionName<M> = { [K in keyof M]: M[K] extends Action ? K : never }[keyof M] & string;

/** The message type of one action. */
export type MessageOf<M extends AnyMailer, A extends keyof M> = MailMessage<ActionArguments<M[A]>, M['params']>;

/** The parameter type of `with()`: never for a mailer without params. */
export type ParamsOf<M extends AnyMailer> = keyof M['params'] extends never ? never : M['params'];

declare const WITH_PARAMS: unique symbol;

/** The result type of `with()`. An action of a mailer with params can only be called on it, not on the class. */
export interface GivenParams<P> {
  /** @internal */
  readonly [WITH_PARAMS]: P;
}

/** The type of an action's static. */
export type MailAction<M extends AnyMailer, A extends keyof M> = object extends M['params']
  ? (...args: ActionArguments<M[A]>) => MessageOf<M, A>
  : (this: GivenParams<M['params']>, ...args: ActionArguments<M[A]>) => MessageOf<M, A>;

/** The statics of a mailer class that create messages. */
export type WithParams<C> = {
  readonly [K in keyof C as C[K] extends (this: never, ...args: never[]) => MailMessage ? K : never]: C[K] extends (
    this: never,
    ...args: infer P
  ) => infer R
    ? (...args: P) => R
    : never;
};

/** Maps the static that creates an action's messages to the action's name. */
const actions = new WeakMap<object, string>();

/** Registers `made` as the static of an action. */
export function declareAction<F extends object>(made: F, name: string): F {
  actions.set(made, name);
  return made;
}

/** Returns the actions of a class and its parents: static name to method name. */
export function collectActions(mailer: object): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (let owner: object | null = mailer; owner; owner = Object.getPrototypeOf(owner) as object | null) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      const action = typeof value === 'function' ? actions.get(value) : undefined;
      if (action !== undefined && !found.has(name)) found.set(name, action);
    }
  }
  return found;
}

/**
 * Previews the mails of one mailer at /ops/mail. Each method is one preview and returns a message; its name is free,
 * and usually that of the action:
 *
 *     export default class UserMailerPreview extends MailerPreview {
 *       welcome() { return UserMailer.welcome({ email: 'ada@example.com', name: 'Ada', locale: this.locale }) }
 *     }
 *
 * Nothing is sent. Database writes of a preview are rolled back.
 */
export abstract class MailerPreview {
  /** @param locale chosen by the reader. The mail is rendered in it, even when the message names another. */
  constructor(readonly locale: Locale) {}
}

export type PreviewClass = new (locale: Locale) => MailerPreview;
