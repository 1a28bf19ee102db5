import { addressKey, readDomain } from '../../support/email-address';
import { InvalidMailError } from '../definition/errors';
import type { Mailbox, OutgoingMessage } from '../definition/mail-types';
import { recipients } from './transport';

/** The addresses of those who are still to get a mail, with their domains in ASCII. */
export function envelope(message: OutgoingMessage): string[] {
  return (message.envelopeTo ?? recipients(message)).map(ascii);
}

/** `"Ada" <ada@example.com>`. */
export function mailbox({ name, address }: Mailbox): string {
  return name === '' ? ascii(address) : `"${name.replace(/["\\]/g, '\\$&')}" <${ascii(address)}>`;
}

/**
 * The recipients of an API that needs somebody in `to`: of a mail without any, those of Cc, or the only one of Bcc.
 * @throws InvalidMailError for several in Bcc alone, who would see each other.
 */
export function addressees(
  message: OutgoingMessage,
  provider: string,
): Readonly<Record<'to' | 'cc' | 'bcc', string[]>> {
  const left = new Set(envelope(message).map(addressKey));
  const of = (boxes: readonly Mailbox[]) => boxes.filter(({ address }) => left.has(addressKey(address))).map(mailbox);
  const [to, cc, bcc] = [of(message.to), of(message.cc), of(message.bcc)];
  if (to.length > 0) return { to, cc, bcc };
  if (cc.length > 0) return { to: cc, cc: [], bcc };
  if (bcc.length === 1) return { to: bcc, cc: [], bcc: [] };
  throw new InvalidMailError(`${provider} sends no mail to Bcc alone: give it a to, such as the sender`);
}

export function ascii(address: string): string {
  return address.slice(0, address.lastIndexOf('@') + 1) + readDomain(address);
}
