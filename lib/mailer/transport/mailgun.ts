import type { OutgoingMessage } from '../definition/mail-types';
import { envelope } from './api-fields';
import type { ApiAnswer, ApiRequest, MailApi } from './http-api';
import { composeMime } from './mime';

/** Wordings of a 400 about the account or the domain. */
const ABOUT_US = /not allowed to send|not activated|disabled|suspended|limit|exceeded|verify|authorized recipients/i;

/**
 * https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages/post-v3--domain-name--messages-mime, with
 * the mail as we write it. It knows no idempotency keys: a mail whose answer was lost is sent again, with the same Message-ID.
 * Errors: https://documentation.mailgun.com/docs/mailgun/quickstart-guide/responses.
 */
export class Mailgun implements MailApi {
  readonly name = 'mailgun';
  readonly settings = 'MAILGUN_API_KEY, MAILGUN_DOMAIN and MAIL_API_URL (https://api.eu.mailgun.net in the EU)';
  readonly secrets: readonly string[];

  constructor(
    private readonly key: string,
    private readonly domain: string,
    readonly url = 'https://api.mailgun.net',
  ) {
    this.secrets = [key];
  }

  async request(message: OutgoingMessage | undefined): Promise<ApiRequest> {
    const body = new FormData();
    if (message) {
      const mime = await composeMime({ ...message, bcc: [] });
      body.append('to', envelope(message).join(', '));
      body.append('message', new Blob([mime]), 'message.mime');
    }
    const authorization = `Basic ${Buffer.from(`api:${this.key}`).toString('base64')}`;
    return { path: `/v3/${this.domain}/messages.mime`, headers: { authorization }, body };
  }

  isPassing({ text }: ApiAnswer): boolean {
    return ABOUT_US.test(text);
  }
}
