import fs from 'node:fs';
import path from 'node:path';
import ejs, { type TemplateFunction } from 'ejs';
import i18next from 'i18next';
import { peer } from '../contender/peer';
import { APP_URL, FROM, LOCALES, type Person, TEMPLATES } from './people';
import { type MailSender, smtpPool } from './sender';

type Juice = (html: string, options: object) => string;

/** Templates by EJS, CSS by juice, texts by i18next, all of it compiled once. */
export class HandRenderer {
  private readonly juice = peer<Juice>('juice');
  private readonly templates = new Map<string, TemplateFunction>();

  constructor() {
    const resources = (locale: string) => ({
      translation: JSON.parse(fs.readFileSync(path.join(LOCALES, `${locale}.json`), 'utf8')) as object,
    });
    void i18next.init({
      fallbackLng: 'en',
      resources: { en: resources('en'), ko: resources('ko') },
      interpolation: { escapeValue: false },
      initAsync: false,
    });
  }

  render({ email, name, locale }: Person) {
    const translate = i18next.getFixedT(locale);
    const t = (key: string, values: object = {}) => translate(key.replace(/^\./, 'email.welcome.'), { ...values });
    const subject = t('.subject', { name });
    const slots = new Map<string, string>();
    const provide = (slot: string, value: string) => void slots.set(slot, value);
    const slot = (key: string) => slots.get(key) ?? '';
    const locals = { t, locale, subject, appUrl: APP_URL, provide, slot, name, email };
    const part = (kind: string) => {
      slots.set('content', this.template(`user_mailer/welcome/${kind}`)(locals));
      return this.template(`layouts/mailer/${kind}`)(locals);
    };
    return { subject, html: this.juice(part('html'), { preserveMediaQueries: true }), text: part('text') };
  }

  private template(view: string): TemplateFunction {
    const known = this.templates.get(view);
    if (known) return known;
    const filename = path.join(TEMPLATES, `${view}.ejs`);
    const plain = view.endsWith('text') ? { escape: String } : {};
    const options = { filename, root: TEMPLATES, cache: true, ...plain };
    const compiled = ejs.compile(fs.readFileSync(filename, 'utf8'), options);
    this.templates.set(view, compiled);
    return compiled;
  }
}

/** What one would write without us: no records, no defaults, no checks. */
export class HandSender implements MailSender {
  private readonly renderer = new HandRenderer();
  private readonly pool;

  constructor(smtpUrl: string) {
    this.pool = smtpPool(smtpUrl);
  }

  send(person: Person): Promise<unknown> {
    const to = { name: person.name, address: person.email };
    return this.pool.sendMail({ from: FROM, to, ...this.renderer.render(person) });
  }

  async close(): Promise<void> {
    this.pool.close();
  }
}
