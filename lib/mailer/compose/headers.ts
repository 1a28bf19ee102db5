import addressparser from 'nodemailer/lib/addressparser';
import { isAddress } from '../../support/email-address';
import { InvalidMailError } from '../definition/errors';
import type { Address, Addresses, Mailbox, MailHeaders } from '../definition/mail-types';

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

/** Set from the mail itself; a second one would make the mail ambiguous. */
const OWN = new Set(
  'from to cc bcc reply-to subject date message-id mime-version content-type content-transfer-encoding'.split(' '),
);
/** What mail servers take as one line. */
const LONGEST_LINE = 998;

/**
 * A line break would begin a header of someone else's choosing. nodemailer would fold it away; refusing shows the fault.
 * @param longest in characters. Default 998, for no mail server must take a longer line.
 * @throws InvalidMailError
 */
export function checkedLine(field: string, value: unknown, longest: number = LONGEST_LINE): string {
  if (typeof value !== 'string') throw new InvalidMailError(`${field}: ${String(value)} is no text`);
  if (/[\r\n\0]/.test(value)) throw new InvalidMailError(`${field}: ${JSON.stringify(value)} holds a line break`);
  if (value.length > longest) {
    throw new InvalidMailError(`${field}: a text of ${value.length} characters is too long; ${longest} are the most`);
  }
  return value;
}

/** Without white space around it. @throws InvalidMailError as `checkedLine`. */
export function checkedSubject(subject: unknown): string {
  return checkedLine('subject', typeof subject === 'string' ? subject.trim() : subject);
}

/** @throws InvalidMailError for a name that is no header's, or one that an option of the mail sets. */
export function checkedHeaders(headers: MailHeaders): MailHeaders {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[A-Za-z0-9-]+$/.test(name)) throw new InvalidMailError(`headers: ${JSON.stringify(name)} is no header name`);
    if (OWN.has(name.toLowerCase())) throw new InvalidMailError(`headers: ${name} is set by an option of the mail`);
    // It is folded between words.
    for (const word of checkedLine(name, value, Number.POSITIVE_INFINITY).split(' ')) checkedLine(name, word);
  }
  return headers;
}

/** One of each name, however it is written; the later ones win. */
export function mergedHeaders(...all: readonly (MailHeaders | undefined)[]): MailHeaders {
  const merged = new Map<string, readonly [string, string]>();
  for (const headers of all) {
    for (const entry of Object.entries(headers ?? {})) merged.set(entry[0].toLowerCase(), entry);
  }
  return Object.fromEntries(merged.values());
}
