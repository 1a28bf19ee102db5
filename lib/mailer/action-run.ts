import { NotConnectedError } from '../core/errors';
import { Attachments } from './attachment';
import { MailCancelled } from './errors';
import { type ActionResult, Mail, type MailOptions } from './mail';
import type { AnyMailer } from './mailer-class';
import { attachRun, type MailerRun } from './mailer-run';
import type { MailMessage } from './message';
import { rescuerOf } from './rescue-rules';
import { type UrlFor, urlsBelow } from './url-for';

/** One run of an action, on a mailer of its own. */
export class ActionRun implements MailerRun {
  readonly mailer: AnyMailer;
  readonly attachments = new Attachments();
  readonly urlFor: UrlFor;

  /** @param appUrl undefined: the action may make no links. */
  constructor(
    readonly message: MailMessage,
    appUrl?: string,
  ) {
    this.urlFor = appUrl === undefined ? noUrls : urlsBelow(appUrl);
    this.mailer = new message.mailer();
    attachRun(this.mailer, this);
  }

  get action(): string {
    return this.message.action;
  }

  get params(): object {
    return this.message.params;
  }

  mail(options: MailOptions): Mail {
    return new Mail(options, this.attachments);
  }

  /** With the callbacks around it. @returns undefined when it built no mail. @throws MailCancelled */
  async perform(): Promise<Mail | undefined> {
    const { mailer, action, message } = this;
    await mailer.beforeAction?.(action);
    const method = (mailer as unknown as Record<string, (...args: readonly unknown[]) => ActionResult>)[action];
    const mail = await method?.apply(mailer, message.args as unknown[]);
    await mailer.afterAction?.(action);
    return mail;
  }

  /** As `perform`, where a cancelled mail is none. */
  async build(): Promise<Mail | undefined> {
    try {
      return await this.perform();
    } catch (thrown) {
      if (thrown instanceof MailCancelled) return undefined;
      throw thrown;
    }
  }

  /** Has the mailer see to an error. @returns false when it has no rule for it. @throws what its handler throws. */
  async rescue(error: Error): Promise<boolean> {
    const handler = rescuerOf(this.message.mailer, error);
    if (!handler) return false;
    await handler(error, this.mailer);
    return true;
  }
}

function noUrls(): never {
  throw new NotConnectedError(
    'urlFor knows no APP_URL here: it is known where mails are delivered, or in build(appUrl)',
  );
}
