import { connectDelivery, type Delivery } from './connection';
import { type ActionResult, Mail, type MailDefaults, type MailOptions } from './mail';
import { type MailerSettings, MailMessage } from './message';

type Action = (...args: never[]) => ActionResult;
type ActionName<M> = { [K in keyof M]: M[K] extends Action ? K : never }[keyof M] & string;
type Arguments<A> = A extends (...args: infer P) => ActionResult ? P : never;
type MailerClass<M> = (new () => M) & MailerSettings;

/**
 * A family of mails. Each action is a method that returns `this.mail(...)`, or nothing to send none; a static of the
 * same name makes it a lazy, typed message:
 *
 *     class UserMailer extends Mailer {
 *       static readonly welcome = this.action('welcome')
 *       welcome(user: User) { return this.mail({ to: user.email, locals: { user } }) }
 *     }
 *     await UserMailer.welcome(user).deliverNow()
 *
 * Its templates are `user_mailer/welcome/{html,text}.ejs`, its subject the text `user_mailer.welcome.subject`.
 */
export abstract class Mailer {
  /** Shared by all mails of this class and its subclasses. */
  static readonly defaults: MailDefaults = {};
  /** Folder below `layouts/` that wraps each part, or false for none. */
  static readonly layout: string | false = 'mailer';
  /** Where the texts of this mailer begin. Default: its name, such as `user_mailer`. */
  static readonly i18nScope: string | undefined = undefined;

  /** Tells every mailer of this process what delivers. Called by the role at boot; `undefined` takes it away. */
  static connect(delivery: Delivery | undefined): void {
    connectDelivery(delivery);
  }

  protected static action<M extends Mailer, A extends ActionName<M>>(
    this: MailerClass<M>,
    name: A,
  ): (...args: Arguments<M[A]>) => MailMessage {
    return (...args) =>
      new MailMessage(this, name, () => {
        const mailer = new this();
        const action = mailer[name] as (...args: Arguments<M[A]>) => ActionResult;
        return action.apply(mailer, args);
      });
  }

  protected mail(options: MailOptions): Mail {
    return new Mail(options);
  }
}
