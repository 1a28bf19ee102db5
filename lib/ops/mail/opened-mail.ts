import type { Address, Attachment, Email } from 'postal-mime';

export interface OpenedAttachment {
  readonly name: string;
  readonly type: string;
  readonly content: Buffer;
  /** Of one that the HTML shows: what its `cid:` URL names. */
  readonly cid: string | null;
}

/** A message taken apart, to be looked at. */
export interface OpenedMail {
  readonly subject: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  readonly date: Date | null;
  readonly messageId: string;
  /** Of its Content-Language; empty for none. */
  readonly locale: string;
  readonly html: string | null;
  readonly text: string | null;
  /** In the order they were sent in, encoded words made readable. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly attachments: readonly OpenedAttachment[];
  readonly source: Buffer;
}

/** Deeper nesting or longer headers are no mail of ours. */
const LIMITS = { maxNestingDepth: 32, maxHeadersSize: 512 * 1024 };

/** Takes a message apart. What is broken in it is shown as well as can be. */
export async function openMail(source: Buffer): Promise<OpenedMail> {
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
    headers: headersOf(source).map(({ name, value }) => ({ name, value: decodeWords(value) })),
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

/** The head as it stands in the message, folded lines made one. */
function headersOf(source: Buffer): { name: string; value: string }[] {
  const end = source.indexOf('\r\n\r\n');
  const head = source.subarray(0, end === -1 ? 64 * 1024 : end).toString('utf8');
  const lines = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  return lines.flatMap((line) => {
    const at = line.indexOf(':');
    return at > 0 ? [{ name: line.slice(0, at), value: line.slice(at + 1).trim() }] : [];
  });
}
