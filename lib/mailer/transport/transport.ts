import type { SendMailOptions } from 'nodemailer/lib/mailer';
import { detectMimeType } from 'nodemailer/lib/mime-funcs/mime-types';
import type { MailAttachment, Mailbox, OutgoingMessage } from '../definition/mail-types';

/** Converts a message to nodemailer's options. No part may load a file or a URL. */
export function mimeOptions(message: OutgoingMessage): SendMailOptions {
  return {
    messageId: message.messageId,
    date: message.date,
    from: box(message.from),
    to: message.to.map(box),
    cc: message.cc.map(box),
    bcc: message.bcc.map(box),
    replyTo: message.replyTo.map(box),
    subject: literal(message.subject),
    text: message.text,
    ...(message.html === undefined ? {} : { html: message.html }),
    headers: { ...message.headers },
    attachments: (message.attachments ?? []).map(({ name, content, type, cid }) => ({
      filename: literal(name),
      content,
      ...(type === undefined ? {} : { contentType: type }),
      ...(cid === undefined ? {} : { cid, contentDisposition: 'inline' as const }),
    })),
    ...(message.envelopeTo && { envelope: { from: message.from.address, to: [...message.envelopeTo] } }),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

function box({ name, address }: Mailbox): Mailbox {
  return { name: literal(name), address };
}

/**
 * nodemailer sends ASCII unchanged, and mail readers decode any `=?…?=` in it as an encoded word, even one that a
 * stranger wrote. An invisible word joiner makes the text non-ASCII, so that nodemailer encodes it and it is shown
 * as written.
 */
function literal(text: string): string {
  return text.replaceAll('=?', '=\u2060?');
}

/** Returns the media type of an attachment: its own, or that of its name. */
export function mediaType({ name, type }: Pick<MailAttachment, 'name' | 'type'>): string {
  return type ?? detectMimeType(name);
}

export function recipients(message: {
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
}): string[] {
  return [...message.to, ...message.cc, ...message.bcc].map((box) => box.address);
}

/** The server's answer in an error or its causes, such as `450 4.2.1 mailbox busy`; undefined when it did not answer. */
export function answerIn(error: Error): string | undefined {
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    const { response } = one as { readonly response?: unknown };
    if (typeof response === 'string') return response;
  }
  return undefined;
}
