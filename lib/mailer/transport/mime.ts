import type { SendMailOptions } from 'nodemailer/lib/mailer';
import type { Mailbox } from '../address';
import type { OutgoingMessage } from './transport';

/** The message in nodemailer's terms. No part may pull in a file or a URL. */
export function mimeOptions(message: OutgoingMessage): SendMailOptions {
  return {
    messageId: message.messageId,
    date: message.date,
    from: message.from,
    to: [...message.to],
    cc: [...message.cc],
    bcc: [...message.bcc],
    replyTo: [...message.replyTo],
    subject: message.subject,
    text: message.text,
    ...(message.html === undefined ? {} : { html: message.html }),
    headers: { ...message.headers },
    attachments: (message.attachments ?? []).map(({ name, content, type, cid }) => ({
      filename: name,
      content,
      ...(type === undefined ? {} : { contentType: type }),
      ...(cid === undefined ? {} : { cid, contentDisposition: 'inline' as const }),
    })),
    ...(message.envelopeTo && { envelope: { from: message.from.address, to: [...message.envelopeTo] } }),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

/** The bare addresses of everyone who gets the message. */
export function recipients(message: {
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
}): string[] {
  return [...message.to, ...message.cc, ...message.bcc].map((box) => box.address);
}
