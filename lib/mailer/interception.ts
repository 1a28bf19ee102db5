import { mailboxes } from './address';
import { checkLabels } from './attachment';
import { InvalidMailError, MailCancelled } from './errors';
import { checkedHeaders, checkedLine, checkedSubject } from './headers';
import type { InterceptedMessage, MailInterceptor, MailOrigin } from './setup';
import { recipients } from './transport/mime';
import type { OutgoingMessage } from './transport/transport';

/**
 * Has each interceptor look at the message.
 * @throws MailCancelled; InvalidMailError when one has made something of it that cannot be sent; TypeError when one
 * gives no message back; what they throw.
 */
export async function intercept(
  message: OutgoingMessage,
  origin: MailOrigin,
  interceptors: readonly MailInterceptor[],
): Promise<OutgoingMessage> {
  let current = message;
  for (const interceptor of interceptors) {
    const given = await interceptor(current, origin);
    if (given === 'cancel') throw new MailCancelled('an interceptor cancelled it');
    if (typeof given !== 'object' || given === null) {
      throw new TypeError(
        `the interceptor ${interceptor.name || 'without a name'} returned ${String(given)}; return the message, as it is or changed, or 'cancel'`,
      );
    }
    current = rechecked(given, 'after the interceptors');
  }
  return current;
}

/**
 * A message that code of the app's has had in hand, and may have changed, be it in place.
 * @param when names that code in an error.
 * @throws InvalidMailError for what cannot be sent.
 */
export function rechecked(given: InterceptedMessage, when: string): OutgoingMessage {
  const [from, ...others] = mailboxes('from', given.from);
  if (!from || others.length > 0) throw new InvalidMailError(`${when} the mail needs one sender in from`);
  for (const { name, type, cid } of given.attachments ?? []) checkLabels(name, type, cid);
  const message = {
    ...given,
    messageId: checkedLine('messageId', given.messageId),
    from,
    to: mailboxes('to', given.to),
    cc: mailboxes('cc', given.cc),
    bcc: mailboxes('bcc', given.bcc),
    replyTo: mailboxes('replyTo', given.replyTo),
    subject: checkedSubject(given.subject),
    headers: checkedHeaders(given.headers ?? {}),
  };
  if (recipients(message).length === 0) {
    throw new InvalidMailError(`${when} the mail has no recipient: to send none, return 'cancel' or call cancel()`);
  }
  return message;
}
