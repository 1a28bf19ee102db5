import { addressees, mailbox } from './api-fields';
import type { MailApi } from './http-api';

const KEY_LENGTH = 256;

/**
 * https://resend.com/docs/api-reference/emails/send-email, with an idempotency key
 * (https://resend.com/docs/dashboard/emails/idempotency-keys): for 24 hours the same mail is sent once, also when its answer was
 * lost.
 * Errors: https://resend.com/docs/api-reference/errors.
 */
export function resend(key: string, url = 'https://api.resend.com'): MailApi {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  return {
    name: 'resend',
    url,
    settings: 'RESEND_API_KEY',
    secrets: [key],
    request(message) {
      if (!message) return { path: '/emails', headers, body: '{}' };
      const { messageId, from, replyTo, subject, html, text, attachments = [] } = message;
      const body = JSON.stringify({
        ...addressees(message, 'Resend'),
        from: mailbox(from),
        reply_to: replyTo.map(mailbox),
        subject,
        html,
        text,
        headers: message.headers,
        attachments: attachments.map(({ name, content, type, cid }) => ({
          filename: name,
          content: content.toString('base64'),
          content_type: type,
          content_id: cid,
        })),
      });
      const idempotency = { 'idempotency-key': messageId.slice(1, -1).slice(0, KEY_LENGTH) };
      return { path: '/emails', headers: { ...headers, ...idempotency }, body };
    },
    /**
     * A wrong key may be a 400, too. A 409 says that the key of an earlier request comes again: passing while that is in progress,
     * but not if its mail was another, since nobody can tell here whether that was sent.
     */
    isPassing: ({ json }) =>
      json.name === 'concurrent_idempotent_requests' || /\bAPI key\b/i.test(String(json.message)),
  };
}
