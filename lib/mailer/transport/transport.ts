import type { SendMailOptions } from 'nodemailer/lib/mailer';
import type { Mailbox, OutgoingMessage, Receipt } from '../definition/mail-types';

export interface Transport {
  readonly name: string;
  /** @throws PermanentDeliveryError when it is no use to try again; any other error may pass. */
  send(message: OutgoingMessage): Promise<Receipt>;
  /** Idempotent. `force` also cuts off mails that are on their way. */
  close(options?: { readonly force: boolean }): Promise<void>;
}

/** The message in nodemailer's terms. No part may pull in a file or a URL. */
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
 * nodemailer leaves ASCII as it is, and readers take `=?…?=` in it for encoded text, whoever wrote it. With an invisible
 * word joiner it is encoded like all that is not ASCII, and is read as it was written.
 */
function literal(text: string): string {
  return text.replaceAll('=?', '=\u2060?');
}

/** The bare addresses of everyone who gets the message. */
export function recipients(message: {
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
}): string[] {
  return [...message.to, ...message.cc, ...message.bcc].map((box) => box.address);
}
