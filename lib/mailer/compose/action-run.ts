import { NotConnectedError } from '../../core/errors';
import { runAround, runCallbacks } from '../definition/callbacks';
import { InvalidMailError, MailCancelled } from '../definition/errors';
import type { MailOptions, UrlFor } from '../definition/mail-types';
import type { ActionCall } from '../definition/mailer-class';
import { type AnyMailer, findRescuer } from '../definition/mailer-class';
import type { MailerRun } from './current-run';
import { attachRun } from './current-run';
import { type ActionResult, Attachments, Mail } from './mail';

/** One run of an action. It has a mailer instance of its own, so that runs cannot disturb each other. */
export class ActionRun implements MailerRun {
  readonly mailer: AnyMailer;
  readonly attachments = new Attachments();
  readonly urlFor: UrlFor;

  /** @param appUrl base of the links that `urlFor` makes. undefined: `urlFor` throws NotConnectedError. */
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

  /**
   * Runs the action between its callbacks.
   * @returns undefined when the action built no mail.
   * @throws MailCancelled; whatever the action or a callback throws.
   */
  async perform(): Promise<Mail | undefined> {
    const { mailer, action, message } = this;
    let mail: Mail | undefined;
    await runCallbacks(mailer, 'beforeAction', action, action);
    const method = (mailer as unknown as Record<string, (...args: readonly unknown[]) => ActionResult>)[action];
    const act = async () => {
      mail = await method?.apply(mailer, message.args as unknown[]);
    };
    await runAround(mailer, 'aroundAction', action, act, action);
    await runCallbacks(mailer, 'afterAction', action, action);
    return mail;
  }

  /** Does the same as `perform`, but returns undefined for a cancelled mail. */
  async build(): Promise<Mail | undefined> {
    try {
      return await this.perform();
    } catch (thrown) {
      if (thrown instanceof MailCancelled) return undefined;
      throw thrown;
    }
  }

  /**
   * Calls the handler that `rescueFrom` has registered for an error.
   * @returns false when no rule matches the error.
   * @throws whatever the handler throws.
   */
  async rescue(error: Error): Promise<boolean> {
    const handler = findRescuer(this.message.mailer, error);
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
 * Makes absolute links below APP_URL, since a mail has no page that a relative link could start from.
 * @param appUrl may have a path of its own; all links then stay below it.
 * @param caller names the function in an error, and `setting` what it starts from.
 * @returns a function that throws InvalidMailError for a path that leaves APP_URL.
 */
export function urlsBelow(appUrl: string, caller = 'urlFor', setting = 'APP_URL'): UrlFor {
  return (path, query = {}) => {
    const url = resolve(new URL(appUrl), path);
    if (!url) {
      throw new InvalidMailError(
        `${caller}: ${JSON.stringify(path)} is not below ${setting}, which is ${appUrl}; give a path such as /orders/7`,
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

/** @returns undefined for a URL outside the base, or one that a laxer URL parser could read as outside. */
function resolve(base: URL, path: string): URL | undefined {
  // Browsers read a backslash as a slash and skip control characters.
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
