import type { Config } from '../../core/config';
import type { I18n } from '../../core/i18n';
import { InvalidMailError, MailCancelled } from '../definition/errors';
import type {
  IdempotencyKey,
  InterceptedMessage,
  OutgoingMessage,
  Parts,
  RenderRequest,
} from '../definition/mail-types';
import type { MailInterceptor, MailOrigin, MailSetup } from '../definition/setup';
import { recipients } from '../transport/transport';
import { type ActionRun, urlsBelow } from './action-run';
import { createDraft, type Draft } from './draft';
import { checkedHeaders, checkedLine, checkedSubject, mailboxes } from './headers';
import { imagesAt } from './image';
import { checkLabels } from './mail';

/** The template renderer, implemented by `Renderer`. */
interface PartsRenderer {
  render(request: RenderRequest): Promise<Parts>;
  deriveText(html: string): Promise<string>;
}

interface ComposerOptions {
  readonly config: Pick<Config, 'appUrl' | 'defaultLocale'> & { readonly mail: Pick<Config['mail'], 'from'> };
  readonly i18n: I18n;
  readonly renderer: PartsRenderer;
  /** The app's own renderer, which replaces the templates, and the host of its images. */
  readonly setup?: Pick<MailSetup, 'render' | 'assetHost'> | undefined;
}

/** Turns an action into a complete message, without sending it. */
export class MailComposer {
  constructor(private readonly options: ComposerOptions) {}

  /**
   * Runs the action and checks what it built.
   * @returns undefined when the action built no mail.
   * @throws MailCancelled; InvalidMailError for a mail that cannot be sent; whatever the action throws.
   */
  async draft(run: ActionRun): Promise<Draft | undefined> {
    const { config, i18n } = this.options;
    const mail = await run.perform();
    return (
      mail && createDraft(run.message, mail, { from: config.mail.from, defaultLocale: config.defaultLocale, i18n })
    );
  }

  /** Renders the parts and reads the attachments. @throws TemplateError, MissingTemplateError, AttachmentError. */
  async compose(draft: Draft, { messageId }: Pick<IdempotencyKey, 'messageId'>): Promise<OutgoingMessage> {
    const [{ html, text }, attachments] = await Promise.all([
      this.parts(draft),
      draft.attachments.read(`${draft.mailer}#${draft.action}`),
    ]);
    return {
      messageId,
      date: new Date(),
      from: draft.from,
      to: draft.to,
      cc: draft.cc,
      bcc: draft.bcc,
      replyTo: draft.replyTo,
      subject: draft.subject,
      ...(html === undefined ? {} : { html }),
      text,
      headers: draft.headers,
      attachments,
    };
  }

  private async parts(draft: Draft): Promise<Parts> {
    const { config, renderer, setup: { render, assetHost = config.appUrl } = {} } = this.options;
    const { html: ownHtml, text: ownText } = draft.bodies;
    if (ownHtml !== undefined || ownText !== undefined) {
      return {
        ...(ownHtml === undefined ? {} : { html: ownHtml }),
        text: ownText ?? (await renderer.deriveText(ownHtml ?? '')),
      };
    }
    const { locale, t } = draft.texts;
    const { template, layout, subject, locals, attachments } = draft;
    const assetUrl = urlsBelow(assetHost, 'assetUrl', 'assetHost');
    const helpers = {
      urlFor: urlsBelow(config.appUrl),
      cid: (name: string) => attachments.url(name),
      assetUrl,
      image: imagesAt(assetUrl),
    };
    const request: RenderRequest = { template, layout, locale, t, subject, locals, helpers };
    const standard = () => renderer.render(request);
    if (!render) return standard();
    const { html, text } = await render(request, standard);
    const parts = [html, text].filter((part) => part !== undefined);
    if (parts.length === 0 || parts.some((part) => typeof part !== 'string')) {
      const what = parts.length === 0 ? 'neither html nor text' : 'html or text that is no string';
      throw new TypeError(`render of mailSetup gave ${what} for ${template}; return at least one of them`);
    }
    return { ...(html === undefined ? {} : { html }), text: text ?? (await renderer.deriveText(html ?? '')) };
  }
}

/**
 * Passes the message through the interceptors in order.
 * @throws MailCancelled when one returns 'cancel'; InvalidMailError when one returns a message that cannot be sent;
 * TypeError when one returns no message; whatever an interceptor throws.
 */
export async function intercept(
  message: OutgoingMessage,
  origin: MailOrigin,
  interceptors: readonly MailInterceptor[],
): Promise<OutgoingMessage> {
  let current = message;
  for (const interceptor of interceptors) {
    const intercepted = await interceptor(current, origin);
    if (intercepted === 'cancel') throw new MailCancelled('an interceptor cancelled it');
    if (typeof intercepted !== 'object' || intercepted === null) {
      throw new TypeError(
        `the interceptor ${interceptor.name || 'without a name'} returned ${String(intercepted)}; return the message, as it is or changed, or 'cancel'`,
      );
    }
    current = revalidate(intercepted, 'after the interceptors');
  }
  return current;
}

/**
 * Checks a message again after code of the app has handled it, since that code may have changed it, even in place.
 * @param when names that code in an error, such as `after the interceptors`.
 * @throws InvalidMailError for a message that cannot be sent.
 */
export function revalidate(edited: InterceptedMessage, when: string): OutgoingMessage {
  const [from, ...others] = mailboxes('from', edited.from);
  if (!from || others.length > 0) throw new InvalidMailError(`${when} the mail needs one sender in from`);
  for (const { name, type, cid } of edited.attachments ?? []) checkLabels(name, type, cid);
  const message = {
    ...edited,
    messageId: checkedLine('messageId', edited.messageId),
    from,
    to: mailboxes('to', edited.to),
    cc: mailboxes('cc', edited.cc),
    bcc: mailboxes('bcc', edited.bcc),
    replyTo: mailboxes('replyTo', edited.replyTo),
    subject: checkedSubject(edited.subject),
    headers: checkedHeaders(edited.headers ?? {}),
  };
  if (recipients(message).length === 0) {
    throw new InvalidMailError(`${when} the mail has no recipient: to send none, return 'cancel' or call cancel()`);
  }
  return message;
}
