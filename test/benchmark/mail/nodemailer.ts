import { HandRenderer } from './by-hand';
import { FROM, type Person } from './people';
import { type MailSender, smtpPool } from './sender';

/** Only sends: mails of the same size, rendered beforehand. */
export class NodemailerSender implements MailSender {
  private readonly parts: Readonly<Record<Person['locale'], { readonly html: string; readonly text: string }>>;
  private readonly pool;

  constructor(smtpUrl: string) {
    const renderer = new HandRenderer();
    const partsOf = (locale: Person['locale'], name: string) => {
      const { html, text } = renderer.render({ email: 'user1000@example.com', name, locale });
      return { html, text };
    };
    this.parts = { en: partsOf('en', `O'Brien <b> 1000`), ko: partsOf('ko', '김민지 1000 🐈') };
    this.pool = smtpPool(smtpUrl);
  }

  send({ email, name, locale }: Person): Promise<unknown> {
    const subject = locale === 'ko' ? `${name} 님, Catamount에 오신 것을 환영합니다` : `Welcome to Catamount, ${name}`;
    return this.pool.sendMail({ from: FROM, to: { name, address: email }, subject, ...this.parts[locale] });
  }

  async close(): Promise<void> {
    this.pool.close();
  }
}
