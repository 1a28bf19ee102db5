import type { Address, Attachment, Email } from 'postal-mime';

interface OpenedAttachment {
  readonly name: string;
  readonly type: string;
  readonly content: Buffer;
  /** Content id that `cid:` URLs in the HTML refer to; null without one. */
  readonly cid: string | null;
}

/** A parsed message, for display. */
export interface ParsedMail {
  readonly subject: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  readonly date: Date | null;
  readonly messageId: string;
  /** Its Content-Language; empty for none. */
  readonly locale: string;
  readonly html: string | null;
  readonly text: string | null;
  /** Headers in their order, encoded words decoded. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly attachments: readonly OpenedAttachment[];
  readonly source: Buffer;
}

/** Limits of the parser against malicious mails; no mail of the product exceeds them. */
const LIMITS = { maxNestingDepth: 32, maxHeadersSize: 512 * 1024 };

/** Parses a message. Malformed parts are kept as far as the parser understands them. */
export async function openMail(source: Buffer): Promise<ParsedMail> {
  const { default: PostalMime, decodeWords } = await import('postal-mime');
  const email: Email = await PostalMime.parse(source, { ...LIMITS, attachmentEncoding: 'arraybuffer' });
  const header = (name: string) => email.headers.find(({ key }) => key === name)?.value ?? '';
  const date = email.date === undefined ? Number.NaN : Date.parse(email.date);
  return {
    subject: email.subject ?? '',
    from: list(email.from ? [email.from] : []).join(', '),
    to: list(email.to),
    cc: list(email.cc),
    bcc: list(email.bcc),
    replyTo: list(email.replyTo),
    date: Number.isNaN(date) ? null : new Date(date),
    messageId: email.messageId ?? '',
    locale: header('content-language').split(/[,\s]/)[0] ?? '',
    html: email.html ?? null,
    text: email.text ?? null,
    headers: readHeaders(source).map(({ name, value }) => ({ name, value: decodeWords(value) })),
    attachments: email.attachments.map(opened),
    source,
  };
}

function list(addresses: readonly Address[] = []): string[] {
  return addresses.flatMap((entry) => {
    if (entry.group) return list(entry.group);
    const address = entry.address ?? '';
    return [entry.name === '' ? address : `${entry.name} <${address}>`];
  });
}

function opened({ filename, mimeType, content, contentId }: Attachment): OpenedAttachment {
  return {
    name: filename ?? 'unnamed',
    type: mimeType,
    content: typeof content === 'string' ? Buffer.from(content) : Buffer.from(content as ArrayBuffer),
    cid: contentId === undefined ? null : contentId.replace(/^<|>$/g, ''),
  };
}

/** The headers of the message in their order, folded lines unfolded. */
function readHeaders(source: Buffer): { name: string; value: string }[] {
  const end = source.indexOf('\r\n\r\n');
  const head = source.subarray(0, end === -1 ? 64 * 1024 : end).toString('utf8');
  const lines = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  return lines.flatMap((line) => {
    const at = line.indexOf(':');
    return at > 0 ? [{ name: line.slice(0, at), value: line.slice(at + 1).trim() }] : [];
  });
}

/** Elements whose content is not text of the mail. */
const UNREAD = /^<(head|style|script|title)\b/i;
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  zwnj: '\u200c',
  shy: '\u00ad',
};

/**
 * The text in HTML, hidden or not, with spaces for tags. It takes linear time, since the HTML may be malicious; an
 * unclosed comment or tag swallows the rest.
 * @param most stops after about this many characters. Default: all.
 */
export function htmlToText(html: string, most = Number.POSITIVE_INFINITY): string {
  const lower = html.toLowerCase();
  const words: string[] = [];
  let length = 0;
  let at = 0;
  while (at < html.length && length < most) {
    const open = html.indexOf('<', at);
    const text = html.slice(at, open === -1 ? html.length : open);
    if (text !== '') words.push(decoded(text));
    length += text.length;
    if (open === -1) break;
    at = endOfTag(html, lower, open);
  }
  return words.join(' ');
}

/** Index after the tag that begins at `open`, or after the whole element when its content is not text. */
function endOfTag(html: string, lower: string, open: number): number {
  const behind = (closing: string, from: number) => {
    const end = lower.indexOf(closing, from);
    return end === -1 ? html.length : end + closing.length;
  };
  if (html.startsWith('<!--', open)) return behind('-->', open + 4);
  const [, unread] = UNREAD.exec(html.slice(open, open + 8)) ?? [];
  return unread === undefined ? behind('>', open) : behind('>', behind(`</${unread.toLowerCase()}`, open));
}

function decoded(text: string): string {
  return text.replace(
    /&(?:#(\d{1,8})|#x([\da-f]{1,6})|(\w{1,8}));/gi,
    (whole, decimal, hex, name: string | undefined) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code <= 0x10ffff ? String.fromCodePoint(code) : '';
    },
  );
}

/** Maximum length of a preview line, characters. */
const MAX_PREVIEW = 140;
/** Characters of the mail that are searched for its first words. */
const MAX_SCANNED = 20_000;
/** Invisible characters with which templates pad a short preview line. */
const FILLER = /\u034f|[\u00ad\u200b-\u200f\u2060\ufeff]/g;

/** The preview that mail clients show after the subject: the first words of the mail, hidden or not. */
export function previewLine(html: string | null, text: string | null): string {
  const words = html === null ? (text ?? '').slice(0, MAX_SCANNED) : beforeFiller(htmlToText(html, MAX_SCANNED));
  const line = words.replace(FILLER, '').replace(/\s+/g, ' ').trim();
  return line.length <= MAX_PREVIEW ? line : `${line.slice(0, MAX_PREVIEW).replace(/\s+\S*$/, '')}…`;
}

/** The words before the padding, which templates insert to keep the mail's body out of the preview. */
function beforeFiller(words: string): string {
  const [before = ''] = words.split(/(?:(?:\u034f|[\u200b-\u200f])\s*){4}/, 1);
  return before.trim() === '' ? words : before;
}
