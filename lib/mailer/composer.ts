import type { Config } from '../core/config';
import type { I18n } from '../core/i18n';
import type { ActionRun } from './action-run';
import type { DeliveryKey } from './delivery-key';
import { type Draft, draftOf } from './draft';
import type { Parts, Render, RenderRequest } from './render-request';
import type { OutgoingMessage } from './transport/transport';
import { urlsBelow } from './url-for';

/** What renders with templates: `Renderer`. */
export interface PartsRenderer {
  render(request: RenderRequest): Promise<Parts>;
  /** A mail's text, when all that is known of it is its HTML. */
  textOf(html: string): Promise<string>;
}

export interface ComposerOptions {
  readonly config: Pick<Config, 'appUrl' | 'defaultLocale'> & { readonly mail: Pick<Config['mail'], 'from'> };
  readonly i18n: I18n;
  readonly renderer: PartsRenderer;
  /** The app's own. */
  readonly render?: Render | undefined;
}

/** From an action to the whole message, sending nothing. */
export class MailComposer {
  constructor(private readonly options: ComposerOptions) {}

  /** Runs the action. @returns undefined when it built no mail. @throws MailCancelled, InvalidMailError … */
  async draft(run: ActionRun): Promise<Draft | undefined> {
    const { config, i18n } = this.options;
    const mail = await run.perform();
    return mail && draftOf(run.message, mail, { from: config.mail.from, defaultLocale: config.defaultLocale, i18n });
  }

  /** Renders the parts and reads the attachments. @throws TemplateError, AttachmentError … */
  async compose(draft: Draft, { messageId }: Pick<DeliveryKey, 'messageId'>): Promise<OutgoingMessage> {
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
    const { config, renderer, render } = this.options;
    const { locale, t } = draft.texts;
    const { template, layout, subject, locals, attachments } = draft;
    const helpers = { urlFor: urlsBelow(config.appUrl), cid: (name: string) => attachments.url(name) };
    const request: RenderRequest = { template, layout, locale, t, subject, locals, helpers };
    const standard = () => renderer.render(request);
    if (!render) return standard();
    const { html, text } = await render(request, standard);
    const given = [html, text].filter((part) => part !== undefined);
    if (given.length === 0 || given.some((part) => typeof part !== 'string')) {
      const what = given.length === 0 ? 'neither html nor text' : 'html or text that is no string';
      throw new TypeError(`render of mailSetup gave ${what} for ${template}; return at least one of them`);
    }
    return { ...(html === undefined ? {} : { html }), text: text ?? (await renderer.textOf(html ?? '')) };
  }
}
