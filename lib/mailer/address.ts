import { domainToASCII } from 'node:url';
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
const ATOM = String.raw`[^\s@<>(),;:"\\[\].\p{Cc}\p{Cs}]+`;
const LOCAL = new RegExp(String.raw`^${ATOM}(\.${ATOM})*$`, 'u');
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
/** One label is enough, for `root@localhost`; the last one is never a number. */
const DOMAIN = new RegExp(String.raw`^(?=.{1,253}$)(${LABEL}\.)*(?!\d+$)${LABEL}$`, 'i');
const LONGEST_LOCAL = 64;

/**
 * @param field names the header in an error.
 * @throws InvalidMailError for an address that no mail server takes, and for a line break.
 */
export function mailboxes(field: string, given: Addresses | undefined): Mailbox[] {
  if (given === undefined) return [];
  const list = isList(given) ? given : [given];
  return list.flatMap((entry) => (typeof entry === 'string' ? parse(field, entry) : [checked(field, entry)]));
}

/** Whether it is an address as mail servers take them: a dot-atom of at most 64 bytes at a domain name. */
export function isAddress(address: string): boolean {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(at, 0));
  const domain = address.slice(at + 1);
  if (!LOCAL.test(local) || Buffer.byteLength(local) > LONGEST_LOCAL) return false;
  return DOMAIN.test(asciiOf(domain));
}

/** The same for two ways to write one address: of the domain, the case and the script count for nothing. */
export function addressKey(address: string): string {
  const at = address.lastIndexOf('@') + 1;
  const domain = address.slice(at);
  return address.slice(0, at) + (asciiOf(domain) || domain).toLowerCase();
}

/** Empty for what is no domain name. `domainToASCII` alone takes ports, escapes and numbers for one, too. */
function asciiOf(domain: string): string {
  if (/^[a-z0-9.-]*$/i.test(domain)) return domain;
  return /^[\p{L}\p{N}\p{M}.-]+$/u.test(domain) ? domainToASCII(domain) : '';
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
  if (!isAddress(address)) {
    throw new InvalidMailError(`${field}: ${JSON.stringify(entry.address || entry.name)} is not an e-mail address`);
  }
  return { name, address };
}
