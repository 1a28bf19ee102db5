import { AssertionError } from 'node:assert';
import type { OutgoingMessage } from '../mailer/definition/mail-types';
import { mediaType } from '../mailer/transport/transport';
import type { Caller } from './assert-count';
import { currentMail } from './use-test-mail';

/**
 * Fails unless the mail has the part: `html`, `text`, or an attachment of a media type.
 *
 *     assert.match(assertPart('html'), /Hello, Ada/)
 *     assert.equal(assertPart('application/pdf', mail).length, 1024)
 *
 * @param mail default: the last one that was sent.
 * @returns the text of the part, or the bytes of the first such attachment.
 * @throws AssertionError that names the parts that there are; TypeError for another kind of part.
 */
export function assertPart(part: 'html' | 'text', mail?: OutgoingMessage): string;
/** Finds an attachment. @param part its media type, such as `application/pdf`. */
export function assertPart(part: `${string}/${string}`, mail?: OutgoingMessage): Buffer;
export function assertPart(part: string, mail?: OutgoingMessage): string | Buffer {
  const { found, names } = find(assertPart, part, mail);
  if (found !== undefined) return found;
  throw failure(assertPart, `the mail should have the part ${part}; it has ${names}`, names, part);
}

/**
 * Fails if the mail has the part: `html`, `text`, or an attachment of a media type.
 *
 *     assertNoPart('html')
 *
 * @param mail default: the last one that was sent.
 * @throws AssertionError that names the parts that there are; TypeError for another kind of part.
 */
export function assertNoPart(part: 'html' | 'text' | `${string}/${string}`, mail?: OutgoingMessage): void {
  const { found, names } = find(assertNoPart, part, mail);
  if (found === undefined) return;
  throw failure(assertNoPart, `the mail should not have the part ${part}; it has ${names}`, names, part);
}

function find(caller: Caller, part: unknown, given: OutgoingMessage | undefined) {
  if (typeof part !== 'string' || !/^(?:html|text|[^\s/]+\/[^\s/]+)$/.test(part)) {
    const wrong = `${caller.name} takes 'html', 'text' or the media type of an attachment, such as 'application/pdf'`;
    throw new TypeError(`${wrong}, but was given ${JSON.stringify(part) ?? String(part)}`);
  }
  const mail = given ?? currentMail(caller.name).messages.at(-1);
  if (!mail) throw failure(caller, `${caller.name}: no mail has been sent`, undefined, part);
  const { html, text, attachments = [] } = mail;
  const parts: readonly (readonly [string, string | Buffer | undefined])[] = [
    ['html', html],
    ['text', text],
    ...attachments.map((each) => [mediaType(each), each.content] as const),
  ];
  const present = parts.filter(([, content]) => content !== undefined);
  return { found: present.find(([name]) => name === part)?.[1], names: present.map(([name]) => name).join(', ') };
}

function failure(caller: Caller, message: string, actual: unknown, expected: unknown): AssertionError {
  return new AssertionError({ message, actual, expected, operator: caller.name, stackStartFn: caller });
}
