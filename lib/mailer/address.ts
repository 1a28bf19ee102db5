import addressparser from 'nodemailer/lib/addressparser';
import { InvalidMailError } from './errors';
import { refuseLineBreak } from './headers';

export interface Mailbox {
  /** Empty for none. */
  readonly name: string;
  readonly address: string;
}

/** `ada@example.com`, `Ada <ada@example.com>` (several with commas), or an object, whose address is never parsed. */
export type Address = string | { readonly name?: string | null | undefined; readonly address: string };
export type Addresses = Address | readonly Address[];

/** Spaces, lists and quoting do not belong into one address, so none can be smuggled into it. */
const SINGLE = /^[^\s@<>(),;:"\\[\]]+@[^\s@<>(),;:"\\[\]]+$/;
const LONGEST = 320;

/**
 * @param field names the header in an error.
 * @throws InvalidMailError for an address that is none, and for a line break.
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
  refuseLineBreak(field, text);
  return addressparser(text, { flatten: true }).map((entry) => checked(field, entry));
}

function checked(
  field: string,
  entry: { readonly name?: string | null | undefined; readonly address: string },
): Mailbox {
  const name = entry.name?.trim() ?? '';
  const address = entry.address.trim();
  refuseLineBreak(field, name);
  if (!SINGLE.test(address) || address.length > LONGEST) {
    throw new InvalidMailError(`${field}: ${JSON.stringify(entry.address || entry.name)} is not an e-mail address`);
  }
  return { name, address };
}
