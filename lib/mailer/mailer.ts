import type { Locale } from '../core/config';
import type { ErrorHandler, ErrorMatchers, ErrorOf } from '../job/definition/retry-policy';
import { runOf } from './compose/current-run';
import type { ActionResult, Mail } from './compose/mail';
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
import { connectDelivery, type Delivery, MailMessage, type MessageSource, type SerializedMessage } from './message';

/** No params, or none that must be given. */
export type NoParams = Readonly<Record<never, never>>;

/** A subclass of `Mailer`, or a parent of such. */
type AbstractMailerClass<M> = (abstract new () => M) & { readonly name: string };

/**
 * A family of mails. Each action is a method that returns `this.mail(...)`, or nothing to send none; a static of the
 * same name makes it a lazy, typed message:
 *
 *     class UserMailer extends Mailer<{ tenant: Tenant }> {
 *       static readonly welcome = this.action('welcome')
 *       welcome(user: User) { return this.mail({ to: user.email, locals: { user, tenant: this.params.tenant } }) }
 *     }
 *     await UserMailer.with({ tenant }).welcome(user).deliverLater()
 *
 * Its templates are `user_mailer/welcome/{html,text}.ejs`, its subject the text `user_mailer.welcome.subject`. An action
 * that a subclass inherits keeps the templates and texts of the class that has the method.
 */
export abstract class Mailer<P extends object = NoParams> {
  /** Shared by all mails of this class and its subclasses. */
  static readonly defaults: MailDefaults = {};
  /** Folder below `layouts/` that wraps each part, or false for none; `{ html, text }` tells the parts apart. */
  static readonly layout: Layout = 'mailer';
  /** Where the texts of this mailer begin. Default: its name, such as `user_mailer`. */
  static readonly i18nScope: string | undefined = undefined;
  /** Of the jobs that `deliverLater` enqueues. */
  static readonly queue: string = 'mailer';
  /** false: its mails are built, and not sent. */
  static readonly performDeliveries: boolean = true;

  /**
   * Tells every mailer of this process what delivers. Called by the role at boot; `undefined` takes it away.
   * @param mailers for mails for later, which name theirs.
   */
  static connect(delivery: Delivery | undefined, mailers?: MailerLookup): void {
    connectDelivery(delivery, mailers && new MailerMessages(mailers));
  }

  protected static action<M extends AnyMailer, A extends ActionName<M>>(
    this: MailerClass<M>,
    name: A,
  ): MailAction<M, A> {
    const declaring = this;
    // Called on a subclass, it is the subclass's.
    const make = function (this: unknown, ...args: unknown[]): MailMessage {
      return new MailMessage(isMailerBelow(this, declaring) ? this : declaring, name, args, {});
    };
    return declareAction(make, name) as unknown as MailAction<M, A>;
  }

  /** The actions of this mailer with `this.params`: `UserMailer.with({ tenant }).welcome(user)`. */
  static with<C extends MailerClass>(this: C, params: ParamsOf<InstanceType<C>>): WithParams<C> {
    const given: object = Object.freeze({ ...(params as object) });
    const bound = [...actionsOf(this)].map(([key, name]) => {
      return [key, (...args: unknown[]) => new MailMessage(this, name, args, given)];
    });
    return Object.fromEntries(bound) as WithParams<C>;
  }

  /**
   * Has a handler see to these errors of building and delivering a mail, which then counts as not sent: in a static
   * block, `static { this.rescueFrom(PermanentDeliveryError, (error, mailer) => …) }`. A job that delivers it has then
   * succeeded; what the handler throws fails it. Inherited; of several rules that fit the latest counts, and the class's
   * own before its parent's.
   * @throws TypeError for what is no class of errors and no function.
   */
  static rescueFrom<const E extends ErrorMatchers, M extends AnyMailer>(
    this: AbstractMailerClass<M>,
    errors: E,
    handler: ErrorHandler<ErrorOf<E>, M>,
  ): void {
    addRescueRule(this, errors, handler as ErrorHandler);
  }

  /** What `with()` was given. */
  get params(): P {
    return runOf(this).params as P;
  }

  /** Before the action; may `cancel()`. */
  beforeAction?(action: string): unknown;

  /** After the action, which may have built a mail or none; may `cancel()`. */
  afterAction?(action: string): unknown;

  /** Before the finished mail meets the app's interceptors and is sent; may `cancel()`. What it throws is a failure. */
  beforeDeliver?(message: OutgoingMessage): unknown;

  /** When the mail is out. What it throws is reported, and changes nothing. */
  afterDeliver?(message: OutgoingMessage, receipt: Receipt): unknown;

  /** @throws InvalidMailError for an address that no mail server takes, a line break in a header, a bad attachment. */
  protected mail(options: MailOptions): Mail {
    try {
      return runOf(this).mail(options);
    } catch (thrown) {
      // From the action on: a stack has ten lines, and as many would be ours.
      if (thrown instanceof InvalidMailError) Error.captureStackTrace(thrown, Mailer.prototype.mail);
      throw thrown;
    }
  }

  /**
   * Attaches text, bytes or, by `{ path }`, a file: `this.attach('terms.pdf', { path: termsFile })`. Call it before or
   * after `mail()`. @throws InvalidMailError
   */
  protected attach(name: string, content: AttachmentContent, options?: AttachmentOptions): void {
    runOf(this).attachments.attach(name, content, options);
  }

  /**
   * Attaches what the HTML shows: `locals: { logo: this.inline('logo.png', { path: logoFile }) }`, then
   * `<img src="<%= logo %>">`; or, in the template, `cid('logo.png')`. @returns its URL. @throws InvalidMailError
   */
  protected inline(name: string, content: AttachmentContent, options?: AttachmentOptions): string {
    return runOf(this).attachments.inline(name, content, options);
  }

  /**
   * An absolute link below APP_URL: `this.urlFor('/orders/7', { from: 'mail' })`. Templates have it too.
   * @throws InvalidMailError for what leads elsewhere.
   */
  protected urlFor(path: string, query?: UrlQuery): string {
    return runOf(this).urlFor(path, query);
  }

  /** Ends the building of the mail, in the action or a callback: it is not sent, for this reason, and nothing is wrong. */
  protected cancel(reason = 'the mailer cancelled it'): never {
    throw new MailCancelled(reason);
  }
}

function isMailerBelow(value: unknown, parent: MailerClass): value is MailerClass {
  return typeof value === 'function' && (value === parent || value.prototype instanceof parent);
}

/** Makes messages of mailers that are known by name. */
export class MailerMessages implements MessageSource {
  constructor(private readonly mailers: MailerLookup) {}

  /** @throws UnknownMailerError when this app has no such mailer, or the mailer no such action. */
  messageOf({ mailer, action, args, params, locale }: SerializedMessage): MailMessage {
    const { place } = this.mailers;
    const mailerClass = this.mailers.get(mailer);
    if (!mailerClass) {
      throw new UnknownMailerError(`there is no mailer ${mailer} in this app: no file in ${place} exports it`);
    }
    if (![...actionsOf(mailerClass).values()].includes(action)) {
      throw new UnknownMailerError(
        `${mailer} has no action ${action}: static readonly ${action} = this.action('${action}') declares one`,
      );
    }
    return new MailMessage(mailerClass, action, args, params, locale);
  }
}

type Action = (...args: never[]) => ActionResult;
export type ActionArguments<A> = A extends (...args: infer P) => ActionResult ? P : never;

/** The names of a mailer's methods that build mails. */
export type ActionName<M> = { [K in keyof M]: M[K] extends Action ? K : never }[keyof M] & string;

/** A message of one action. */
export type MessageOf<M extends AnyMailer, A extends keyof M> = MailMessage<ActionArguments<M[A]>, M['params']>;

/** What `with()` takes; never for a mailer without params. */
export type ParamsOf<M extends AnyMailer> = keyof M['params'] extends never ? never : M['params'];

declare const WITH_PARAMS: unique symbol;

/** What `with()` gives. An action of a mailer that has params is called on it, and not on the class. */
interface GivenParams<P> {
  readonly [WITH_PARAMS]: P;
}

/** An action as a static of its class. */
export type MailAction<M extends AnyMailer, A extends keyof M> = object extends M['params']
  ? (...args: ActionArguments<M[A]>) => MessageOf<M, A>
  : (this: GivenParams<M['params']>, ...args: ActionArguments<M[A]>) => MessageOf<M, A>;

/** The actions of a mailer's class, given params. */
export type WithParams<C> = {
  readonly [K in keyof C as C[K] extends (this: never, ...args: never[]) => MailMessage ? K : never]: C[K] extends (
    this: never,
    ...args: infer P
  ) => infer R
    ? (...args: P) => R
    : never;
};

/** What makes an action's message, by the static that holds it. */
const actions = new WeakMap<object, string>();

/** From now on `made` is known as an action. */
export function declareAction<F extends object>(made: F, name: string): F {
  actions.set(made, name);
  return made;
}

/** The actions of a class and those it inherits: the static's name, and the method's. */
export function actionsOf(mailer: object): ReadonlyMap<string, string> {
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
 * Shows the mails of one mailer before anybody gets them, at /ops/mail. Each method is one preview; it returns a message
 * and is named as it likes, the action's own name being the usual one:
 *
 *     export default class UserMailerPreview extends MailerPreview {
 *       welcome() { return UserMailer.welcome({ email: 'ada@example.com', name: 'Ada', locale: this.locale }) }
 *     }
 *
 * Nothing is sent. What a preview writes to the database is rolled back.
 */
export abstract class MailerPreview {
  /** @param locale that the reader has chosen. The mail is rendered in it, whatever it says itself. */
  constructor(readonly locale: Locale) {}
}

export type PreviewClass = new (locale: Locale) => MailerPreview;

/** What a method of a preview may give. */
export type PreviewResult = MailMessage | Promise<MailMessage>;
