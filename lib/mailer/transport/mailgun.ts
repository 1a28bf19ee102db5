import { envelope } from './api-fields';
import type { MailApi } from './http-api';
import { composeMime } from './mime';

/** Wordings of a 400 about the account or the domain. */
const ABOUT_US = /not allowed to send|not activated|disabled|suspended|limit|exceeded|verify|authorized recipients/i;

/**
 * https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages/post-v3--domain-name--messages-mime, with
 * the mail as we write it. It knows no idempotency keys: a mail whose answer was lost is sent again, with the same Message-ID.
 * Errors: https://documentation.mailgun.com/docs/mailgun/quickstart-guide/responses.
 */
export function mailgun(key: string, domain: string, url = 'https://api.mailgun.net'): MailApi {
  const authorization = `Basic ${Buffer.from(`api:${key}`).toString('base64')}`;
  return {
    name: 'mailgun',
    url,
    settings: 'MAILGUN_API_KEY, MAILGUN_DOMAIN and MAIL_API_URL (https://api.eu.mailgun.net in the EU)',
    secrets: [key],
    async request(message) {
      const body = new FormData();
      if (message) {
        body.append('to', envelope(message).join(', '));
        body.append('message', new Blob([await composeMime({ ...message, bcc: [] })]), 'message.mime');
      }
      return { path: `/v3/${domain}/messages.mime`, headers: { authorization }, body };
    },
    isPassing: ({ text }) => ABOUT_US.test(text),
  };
}
