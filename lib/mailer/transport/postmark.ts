import { addressees, mailbox } from './api-fields';
import type { MailApi } from './http-api';

/**
 * ErrorCodes of a 422 about our server, sender or account, not about the mail
 * (https://postmarkapp.com/developer/api/overview#error-codes). Somebody can change them while the mail waits.
 */
const ABOUT_US = new Set([10, 100, 400, 401, 405, 412, 413, 1223, 1226, 1235]);

/**
 * https://postmarkapp.com/developer/api/email-api. It knows no idempotency keys: a mail whose answer was lost is sent again.
 * @param stream the message stream. Default: the server's own for transactions, `outbound`.
 */
export function postmark(token: string, stream: string | undefined, url = 'https://api.postmarkapp.com'): MailApi {
  const headers = { 'x-postmark-server-token': token, 'content-type': 'application/json', accept: 'application/json' };
  return {
    name: 'postmark',
    url,
    settings: 'POSTMARK_API_TOKEN',
    secrets: [token],
    request(message) {
      if (!message) return { path: '/email', headers, body: '{}' };
      const { messageId, from, replyTo, subject, html, text, attachments = [] } = message;
      const { to, cc, bcc } = addressees(message, 'Postmark');
      // It replaces the Message-ID, unless it is asked to keep it.
      const own = { ...message.headers, 'Message-ID': messageId, 'X-PM-KeepID': 'true' };
      const body = JSON.stringify({
        From: mailbox(from),
        To: to.join(', '),
        Cc: cc.join(', '),
        Bcc: bcc.join(', '),
        ReplyTo: replyTo.map(mailbox).join(', '),
        Subject: subject,
        HtmlBody: html,
        TextBody: text,
        MessageStream: stream,
        Headers: Object.entries(own).map(([Name, Value]) => ({ Name, Value })),
        Attachments: attachments.map(({ name, content, type = 'application/octet-stream', cid }) => ({
          Name: name,
          Content: content.toString('base64'),
          ContentType: type,
          ContentID: cid === undefined ? undefined : `cid:${cid}`,
        })),
      });
      return { path: '/email', headers, body };
    },
    isPassing: ({ json }) => ABOUT_US.has(Number(json.ErrorCode)),
    /** Inactive ones: Postmark has had a bounce or a complaint from them. If all are, it refuses the mail. */
    refused({ json }) {
      const [, list = ''] =
        /will not deliver to these inactive addresses: (\S+@\S+?(?:, \S+@\S+?)*)\.?(?:\s|$)/.exec(
          String(json.Message),
        ) ?? [];
      return list
        .split(', ')
        .filter((address) => address !== '')
        .map((address) => ({ address, answer: 'inactive at Postmark' }));
    },
  };
}
