import type { Address, Attachment, Email } from 'postal-mime';

interface OpenedAttachment {
  readonly name: string;
  readonly type: string;
  readonly content: Buffer;
  /** Content id that `cid:` URLs in the HTML refer to; null without one. */
  readonly cid: string | null;
}

export interface ParsedMail {
  readonly subject: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  readonly date: Date | null;
  readonly messageId: string;
  /** The mail's Content-Language; empty for none. */
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
