import { HandSender } from './by-hand';
import { CatamountSender } from './catamount';
import { NodemailerSender } from './nodemailer';
import type { MailSender, MailStores } from './sender';

export const SENDERS = {
  nodemailer: async ({ smtpUrl }: MailStores): Promise<MailSender> => new NodemailerSender(smtpUrl),
  catamount: (stores: MailStores): Promise<MailSender> => CatamountSender.open(stores, true),
  'catamount, no records': (stores: MailStores): Promise<MailSender> => CatamountSender.open(stores, false),
  'ejs + juice': async ({ smtpUrl }: MailStores): Promise<MailSender> => new HandSender(smtpUrl),
} as const;

export type SenderName = keyof typeof SENDERS;
