import { createTransport } from 'nodemailer';
import type { OutgoingMessage } from '../definition/mail-types';
import { mimeOptions } from './transport';

/** Writes a message as a mail (RFC 5322). Its Bcc recipients stand in it: leave them out of what is sent to others. */
export async function composeMime(message: OutgoingMessage, newline: 'windows' | 'unix' = 'windows'): Promise<Buffer> {
  const composer = createTransport({ streamTransport: true, buffer: true, newline });
  const { message: mime } = await composer.sendMail(mimeOptions(message));
  return mime as Buffer;
}
