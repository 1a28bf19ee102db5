import addressparser from 'nodemailer/lib/addressparser';
import { isAddress } from '../../support/email-address';
import { InvalidMailError } from '../definition/errors';
import type { Address, Addresses, Mailbox, MailHeaders } from '../definition/mail-types';

/**
 * Parses and checks the addresses of one header field.
 * @param field names the header in an error.
 * @throws InvalidMailError for an invalid address or a line break.
 */
export function mailboxes(field: string, addresses: Addresses | undefined): Mailbox[] {
  if (addresses === undefined) return [];
  const list = isList(addresses) ? addresses : [addresses];
  return list.flatMap((entry) => (typeof entry === 'string' ? parse(field, entry) : [checked(field, entry)]));
}

function isList(addresses: Addresses): addresses is readonly Address[] {
  return Array.isArray(addresses);
}

function parse(field: string, text: string): Mailbox[] {
  const ends = text.split(/[,;]/).map((part) => part.trim());
  return addressparser(checkedLine(field, text, Number.POSITIVE_INFINITY), { flatten: true }).map((entry) => {
    const mailbox = checked(field, entry);
    // The parser takes a second address for a name. Only an address in brackets may have one before it, as its name.
    const others = mailbox.name.match(/\S@\S/g)?.length ?? 0;
    if (others > 1 || (others === 1 && !ends.some((end) => end.endsWith(`<${mailbox.address}>`)))) {
      const shown = JSON.stringify(`${mailbox.address} ${mailbox.name}`);
      throw new InvalidMailError(
        `${field}: ${shown} is more than one address: put a comma between them, or give a list`,
      );
    }
    return mailbox;
  });
}

/** @param entry unknown, because an untyped caller may pass anything. */
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

/** Headers that the mail's own options set; a second one would make the mail ambiguous. */
const OWN = new Set(
  'from to cc bcc reply-to subject date message-id mime-version content-type content-transfer-encoding'.split(' '),
);
/** Maximum length of a line without its line break, in characters (RFC 5322, 2.1.1). */
const MAX_LINE_LENGTH = 998;

/**
 * Refuses a line break, which would let the value add headers of its own. nodemailer would fold it away silently.
 * @param longest in characters. Default 998, since no mail server must accept a longer line.
 * @throws InvalidMailError for anything but a string, for a line break and for a text that is too long.
 */
export function checkedLine(field: string, value: unknown, longest: number = MAX_LINE_LENGTH): string {
  if (typeof value !== 'string') throw new InvalidMailError(`${field}: ${String(value)} is not a text`);
  if (/[\r\n\0]/.test(value)) throw new InvalidMailError(`${field}: ${JSON.stringify(value)} contains a line break`);
  if (value.length > longest) {
    throw new InvalidMailError(`${field}: a text of ${value.length} characters is too long; the maximum is ${longest}`);
  }
  return value;
}

/** @returns the subject without surrounding white space. @throws InvalidMailError as `checkedLine` does. */
export function checkedSubject(subject: unknown): string {
  return checkedLine('subject', typeof subject === 'string' ? subject.trim() : subject);
}

/** @throws InvalidMailError for an invalid header name, or one that an option of the mail sets. */
export function checkedHeaders(headers: MailHeaders): MailHeaders {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[A-Za-z0-9-]+$/.test(name))
      throw new InvalidMailError(`headers: ${JSON.stringify(name)} is not a header name`);
    if (OWN.has(name.toLowerCase())) throw new InvalidMailError(`headers: ${name} is set by an option of the mail`);
    // nodemailer folds a header between words, so only each word must fit on a line.
    for (const word of checkedLine(name, value, Number.POSITIVE_INFINITY).split(' ')) checkedLine(name, word);
  }
  return headers;
}

/** Merges headers, comparing names without regard to case; later ones win. */
export function mergedHeaders(...all: readonly (MailHeaders | undefined)[]): MailHeaders {
  const merged = new Map<string, readonly [string, string]>();
  for (const headers of all) {
    for (const entry of Object.entries(headers ?? {})) merged.set(entry[0].toLowerCase(), entry);
  }
  return Object.fromEntries(merged.values());
}
