import type { OutgoingMessage } from '../../../lib/mailer/definition/mail-types';

export const box = (address: string, name = '') => ({ name, address });

/** A mail with what every one has. */
export function message(more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return {
    messageId: '<job-1.abc.1@shop.example>',
    date: new Date('2026-11-25T01:02:03Z'),
    from: box('hello@shop.example', 'Shop'),
    to: [box('ada@example.com', 'Ada "the" Countess, Lovelace')],
    cc: [],
    bcc: [],
    replyTo: [],
    subject: 'Grüße 👋',
    text: 'Hello',
    html: '<p>Hello</p>',
    headers: {},
    ...more,
  };
}
