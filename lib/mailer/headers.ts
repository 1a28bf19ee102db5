import { InvalidMailError } from './errors';

/** Set from the mail itself; a second one would make the mail ambiguous. */
const OWN = new Set(
  'from to cc bcc reply-to subject date message-id mime-version content-type content-transfer-encoding'.split(' '),
);

/**
 * A line break would begin a header of someone else's choosing. nodemailer would fold it away; refusing shows the fault.
 * @throws InvalidMailError
 */
export function refuseLineBreak(field: string, value: string): void {
  if (/[\r\n\0]/.test(value)) throw new InvalidMailError(`${field}: ${JSON.stringify(value)} holds a line break`);
}

/** @throws InvalidMailError for a name that is no header's, or one that an option of the mail sets. */
export function checkedHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[A-Za-z0-9-]+$/.test(name)) throw new InvalidMailError(`headers: ${JSON.stringify(name)} is no header name`);
    if (OWN.has(name.toLowerCase())) throw new InvalidMailError(`headers: ${name} is set by an option of the mail`);
    refuseLineBreak(name, value);
  }
  return headers;
}
