import addressparser from 'nodemailer/lib/addressparser';
import { isAddress } from '../support/email-address';
import { InvalidMailError } from './errors';
import { checkedLine } from './headers';

export interface Mailbox {
  /** Empty for none. */
  readonly name: string;
  readonly address: string;
}

/** `ada@example.com`, `Ada <ada@example.com>` (several with commas), or an object, whose address is never parsed. */
export type Address = string | { readonly name?: string | null | undefined; readonly address: string };
export type Addresses = Address | readonly Address[];

/**
 * @param field names the header in an error.
 * @throws InvalidMailError for an address that no mail server takes, and for a line break.
 */
export function mailboxes(field: string, given: Addresses | undefined): Mailbox[] {
  if (given === undefined) return [];
  const list = isList(given) ? given : [given];
  return list.flatMap((entry) => (typeof entry === 'string' ? parse(field, entry) : [checked(field, entry)]));
}

function isList(given: Addresses): given is readonly Address[] {
  return Array.isArray(given);
}

function parse(field: string, text: string): Mailbox[] {
  return addressparser(checkedLine(field, text, Number.POSITIVE_INFINITY), { flatten: true }).map((entry) =>
    checked(field, entry),
  );
}

/** @param entry of a caller without types it may be anything. */
function checked(field: string, entry: unknown): Mailbox {
  const { name: givenName, address: givenAddress }: { name?: unknown; address?: unknown } = Object(entry);
  const address = typeof givenAddress === 'string' ? givenAddress.trim() : '';
  const name = checkedLine(field, givenName ?? '').trim();
  if (!isAddress(address)) {
    const shown = JSON.stringify(address || name || entry) ?? String(entry);
    throw new InvalidMailError(`${field}: ${shown} is not an e-mail address`);
  }
  return { name, address };
}
