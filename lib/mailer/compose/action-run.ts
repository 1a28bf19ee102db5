import { NotConnectedError } from '../../core/errors';
import { InvalidMailError, MailCancelled } from '../definition/errors';
import type { MailOptions, UrlFor } from '../definition/mail-types';
import type { ActionCall } from '../definition/mailer-class';
import { type AnyMailer, rescuerOf } from '../definition/mailer-class';
import { Attachments } from './attachment';
import type { MailerRun } from './current-run';
import { attachRun } from './current-run';
import { type ActionResult, Mail } from './mail';

/** One run of an action, on a mailer of its own. */
export class ActionRun implements MailerRun {
  readonly mailer: AnyMailer;
  readonly attachments = new Attachments();
  readonly urlFor: UrlFor;

  /** @param appUrl undefined: the action may make no links. */
  constructor(
    readonly message: ActionCall,
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

/**
 * Absolute links below APP_URL: a mail has no page that a relative link could start from.
 * @param appUrl may have a path of its own, which paths are then below.
 */
export function urlsBelow(appUrl: string): UrlFor {
  return (path, query = {}) => {
    const url = resolve(new URL(appUrl), path);
    if (!url) {
      throw new InvalidMailError(
        `urlFor: ${JSON.stringify(path)} is not below APP_URL, which is ${appUrl}; give a path such as /orders/7`,
      );
    }
    for (const [name, value] of Object.entries(query)) {
      url.searchParams.delete(name);
      for (const each of [value].flat()) {
        if (each !== undefined && each !== null) url.searchParams.append(name, String(each));
      }
    }
    return url.toString();
  };
}

/** @returns undefined for what leads elsewhere, or may do so in a reader less strict than ours. */
function resolve(base: URL, path: string): URL | undefined {
  // Browsers read a backslash as a slash, and skip control characters.
  if (typeof path !== 'string' || /[\\\p{Cc}]/u.test(path) || path.trimStart().startsWith('//')) return undefined;
  const absolute = /^\s*[a-z][a-z0-9+.-]*:/i.test(path);
  const folder = base.pathname.replace(/\/+$/, '');
  const target = absolute ? path : `${base.origin}${folder}${/^[/?#]|^$/.test(path) ? '' : '/'}${path}`;
  if (!URL.canParse(target)) return undefined;
  const url = new URL(target);
  const foreign = url.origin !== base.origin || url.username !== '' || url.password !== '';
  const outside = folder !== '' && url.pathname !== folder && !url.pathname.startsWith(`${folder}/`);
  return foreign || outside ? undefined : url;
}
