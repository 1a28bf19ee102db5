import { type Addresses, mailboxes } from './address';
import { InvalidMailError, MailCancelled } from './errors';
import { checkedHeaders, refuseLineBreak } from './headers';
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
    current = given === current ? current : checked(given);
  }
  return current;
}

function checked(given: InterceptedMessage): OutgoingMessage {
  const boxes = (field: 'to' | 'cc' | 'bcc' | 'replyTo', addresses: Addresses) => mailboxes(field, addresses);
  const [from, ...others] = mailboxes('from', given.from);
  if (!from || others.length > 0)
    throw new InvalidMailError('after the interceptors the mail needs one sender in from');
  const message = {
    ...given,
    from,
    to: boxes('to', given.to),
    cc: boxes('cc', given.cc),
    bcc: boxes('bcc', given.bcc),
    replyTo: boxes('replyTo', given.replyTo),
    headers: checkedHeaders(given.headers),
  };
  refuseLineBreak('subject', message.subject);
  if (recipients(message).length === 0) {
    throw new InvalidMailError("after the interceptors the mail has no recipient: return 'cancel' to send none");
  }
  return message;
}
