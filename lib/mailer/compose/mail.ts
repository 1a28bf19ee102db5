import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { toError } from '../../support/to-error';
import { AttachmentError, InvalidMailError } from '../definition/errors';
import type {
  AttachmentContent,
  AttachmentOptions,
  MailAtHand,
  MailAttachment,
  MailDefaults,
  MailOptions,
} from '../definition/mail-types';
import { checkedHeaders, checkedLine, checkedSubject, mailboxes, mergedHeaders } from './headers';

/** A mail that an action has built with `this.mail()`. */
export class Mail {
  /**
   * What `attach` and `inline` have added.
   * @internal
   */
  readonly attachments: Attachments;

  /**
   * @throws InvalidMailError for an invalid address or a line break in a header.
   * @internal
   */
  constructor(
    /** The options that the action gave to `this.mail()`, without the mailer's defaults. */
    readonly options: MailOptions,
    attachments: Attachments,
  ) {
    for (const field of ['from', 'to', 'cc', 'bcc', 'replyTo'] as const) mailboxes(field, options[field]);
    if (options.subject !== undefined) checkedSubject(options.subject);
    checkedHeaders(options.headers ?? {});
    checkBodies(options);
    this.attachments = attachments;
  }
}

/** @throws InvalidMailError for a body that is no text, or one beside a template or layout, which could not both apply. */
function checkBodies(options: MailOptions): void {
  const given = (['html', 'text'] as const).filter((part) => options[part] !== undefined);
  for (const part of given) {
    const value: unknown = options[part];
    if (typeof value === 'string') continue;
    throw new InvalidMailError(
      `${part}: give the whole body as a string, not ${value === null ? 'null' : typeof value}`,
    );
  }
  const other = (['template', 'layout'] as const).find(
    (name) => options[name] !== undefined && options[name] !== false,
  );
  if (given.length > 0 && other) {
    throw new InvalidMailError(`${given[0]} is the whole body, without a template: leave out ${other}, or ${given[0]}`);
  }
}

/** The return value of an action; undefined means that no mail is sent. */
export type ActionResult = Mail | undefined | Promise<Mail | undefined>;

/** The defaults of a mailer after its functions have been called for one mail. */
type ResolvedDefaults = {
  readonly [K in keyof MailDefaults]: Exclude<MailDefaults[K], (...args: never[]) => unknown>;
};

/** Resolves the defaults of a mailer for a mail: a subclass overrides its parents, except that headers merge one by one. */
export function resolveDefaults(mailer: object, mail: MailAtHand): ResolvedDefaults {
  let merged: MailDefaults = {};
  for (let at: unknown = mailer; isMailer(at); at = Object.getPrototypeOf(at)) {
    if (!Object.hasOwn(at, 'defaults')) continue;
    const headers = mergedHeaders(at.defaults.headers, merged.headers);
    const given = Object.entries(merged).filter(([, value]) => value !== undefined);
    merged = { ...at.defaults, ...Object.fromEntries(given), headers };
  }
  const resolved = Object.entries(merged).map(([name, value]) => [
    name,
    typeof value === 'function' ? value(mail) : value,
  ]);
  return Object.fromEntries(resolved) as ResolvedDefaults;
}

function isMailer(value: unknown): value is { readonly defaults: MailDefaults } {
  return typeof value === 'function' && 'defaults' in value;
}

/**
 * Maximum total size of the attachments of one mail, bytes. Mail servers accept no more, nor should a small machine
 * buffer more.
 */
const MAX_BYTES = 50e6;

interface Entry {
  readonly name: string;
  readonly content: AttachmentContent;
  readonly type: string | undefined;
  readonly cid: string | undefined;
}

/** The attachments of one mail. Files are read only by `read()`, when the mail is sent. */
export class Attachments {
  private entries: readonly Entry[] = [];

  /** @throws InvalidMailError for a name or type that cannot stand in a header, or for content of a wrong type. */
  attach(name: string, content: AttachmentContent, { type }: AttachmentOptions = {}): void {
    this.entries = [...this.entries, checked({ name, content, type, cid: undefined })];
  }

  /**
   * Attaches content for the HTML to show. Attaching the same name and content again adds nothing.
   * @returns its `cid:` URL.
   * @throws InvalidMailError under the same conditions as `attach`.
   */
  inline(name: string, content: AttachmentContent, { type }: AttachmentOptions = {}): string {
    const entry = checked({ name, content, type, cid: contentId(name, content) });
    if (!this.entries.some(({ cid }) => cid === entry.cid)) this.entries = [...this.entries, entry];
    return `cid:${entry.cid}`;
  }

  /**
   * @returns the `cid:` URL of an inline attachment. @throws InvalidMailError when no inline attachment has the name.
   */
  url(name: string): string {
    const inline = this.entries.filter(({ cid }) => cid !== undefined);
    const found = inline.findLast((entry) => entry.name === name);
    if (found) return `cid:${found.cid}`;
    const names = inline.map((entry) => entry.name).join(', ') || 'none';
    throw new InvalidMailError(`cid: there is no inline attachment ${JSON.stringify(name)}; there is ${names}`);
  }

  /**
   * Loads all attachments into memory.
   * @param about names the mail in an error.
   * @throws AttachmentError for a file that cannot be read; InvalidMailError for more than 50 MB in total.
   */
  async read(about: string): Promise<MailAttachment[]> {
    const what = (name: string) => `${about}: the attachment ${JSON.stringify(name)}`;
    const sizes = await Promise.all(this.entries.map(({ name, content }) => readSize(content, what(name))));
    const size = sizes.reduce((sum, each) => sum + each, 0);
    if (size > MAX_BYTES) {
      const mb = Math.ceil(size / 1e6);
      throw new InvalidMailError(
        `${about}: its attachments total ${mb} MB, and the maximum is 50 MB: send a link instead`,
      );
    }
    return Promise.all(
      this.entries.map(async ({ name, content, type, cid }) => ({
        name,
        content: await readBytes(content, what(name)),
        ...(type === undefined ? {} : { type }),
        ...(cid === undefined ? {} : { cid }),
      })),
    );
  }
}

/** @throws InvalidMailError for a name, type or content id that cannot stand in a header. */
export function checkLabels(name: string, type?: string, cid = ''): void {
  if (typeof name !== 'string' || name.trim() === '') throw new InvalidMailError('attachments: give each one a name');
  for (const label of [name, cid]) checkedLine('attachments', label);
  if (type !== undefined && !/^[\w.+-]+\/[\w.+-]+( *;[^\p{Cc}]*)?$/u.test(type)) {
    throw new InvalidMailError(
      `attachments: the type of ${name} is ${JSON.stringify(type)}; give one such as image/png`,
    );
  }
}

function checked(entry: Entry): Entry {
  const { name, content, type } = entry;
  checkLabels(name, type);
  const isContent =
    typeof content === 'string' || content instanceof Uint8Array || (isFile(content) && content.path !== '');
  if (!isContent) {
    throw new InvalidMailError(`attachments: ${name} has no content; give a text, bytes, or { path } of a file`);
  }
  return entry;
}

function isFile(content: AttachmentContent): content is { readonly path: string } {
  return typeof content === 'object' && content !== null && 'path' in content && typeof content.path === 'string';
}

async function readSize(content: AttachmentContent, what: string): Promise<number> {
  if (typeof content === 'string') return Buffer.byteLength(content);
  if (!isFile(content)) return content.byteLength;
  const file = path.resolve(content.path);
  const { size } = await fs.stat(file).catch((thrown: unknown) => unreadable(file, what, thrown));
  return size;
}

async function readBytes(content: AttachmentContent, what: string): Promise<Buffer> {
  if (typeof content === 'string') return Buffer.from(content);
  if (!isFile(content)) return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const file = path.resolve(content.path);
  return fs.readFile(file).catch((thrown: unknown) => unreadable(file, what, thrown));
}

function unreadable(file: string, what: string, thrown: unknown): never {
  const { code, message } = toError(thrown) as NodeJS.ErrnoException;
  const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'that is a folder' : message;
  throw new AttachmentError(`${what} cannot be read from ${file}: ${reason}`, { cause: thrown });
}

/** The content id is derived from name and content, so that a mail rendered again is byte for byte the same. */
function contentId(name: string, content: AttachmentContent): string {
  const digest = createHash('sha256').update(name);
  digest.update('\0').update(isFile(content) ? content.path : content);
  return `${name.replace(/[^A-Za-z0-9._-]+/g, '-')}.${digest.digest('hex').slice(0, 16)}@inline`;
}
