import assert from 'node:assert/strict';
import { checkMailers } from '../../lib/mailer/check/check-mailers';
import { InvalidMailError } from '../../lib/mailer/definition/errors';
import type { Layout, MailOptions, Render } from '../../lib/mailer/definition/mail-types';
import type { MailInterceptor, MailSetup } from '../../lib/mailer/definition/setup';
import { Mailer } from '../../lib/mailer/mailer';
import { MailerRegistry } from '../../lib/mailer/mailer-registry';
import { Previews } from '../../lib/mailer/preview/preview-registry';
import { type ReceivedMail, startSmtpSink } from '../support/smtp';
import { inSuite } from '../support/suite';
import { folderOf, MailSystem, textsOf } from './mail-system';

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

class OrderMailer extends Mailer<{ readonly customer: { readonly email: string; readonly name: string } }> {
  static override readonly layout: Layout = 'shop';
  static readonly placed = this.action('placed');
  static readonly shipped = this.action('shipped');
  static readonly plain = this.action('plain');
  static readonly note = this.action('note');
  static readonly picture = this.action('picture');
  picture() {
    this.inline('logo.png', PIXEL);
    return this.mail({ to: this.params.customer.email, layout: false, locals: { alt: '"<Ada>"' } });
  }

  placed(order: number) {
    const { email, name } = this.params.customer;
    this.attach('terms.txt', 'All sales are final.\n');
    const logo = this.inline('logo.png', PIXEL);
    return this.mail({ to: { name, address: email }, locals: { order, logo } });
  }
  async shipped(layout: Layout) {
    return this.mail({ to: this.params.customer.email, bcc: 'log@shop.example', replyTo: 'help@shop.example', layout });
  }
  plain() {
    return this.mail({ to: this.params.customer.email, layout: false });
  }
  note(bodies: Pick<MailOptions, 'html' | 'text' | 'template' | 'layout'>) {
    return this.mail({ to: this.params.customer.email, ...bodies });
  }
}

class NoteMailer extends Mailer {
  static readonly note = this.action('note');
  static readonly page = this.action('page');
  static readonly mixed = this.action('mixed');
  mixed() {
    // Words that are no options of the mail: html, text.
    const text = { html: 'a', text: 'b', template: 'c' };
    return this.mail({ to: 'ada@example.com', locals: { text, html: text.html } });
  }
  note() {
    return this.mail({ to: 'ada@example.com', text: 'Note' });
  }
  page() {
    return this.mail({ to: 'ada@example.com' });
  }
}

class SilentMailer extends OrderMailer {
  static override readonly performDeliveries = false;
}

const TEMPLATES = {
  'layouts/shop/html.ejs': '<html><body><i>shop</i><%- slot("content") %></body></html>',
  'layouts/shop/text.ejs': 'SHOP\n<%- slot("content") %>',
  'order_mailer/placed/html.ejs': '<p>Order <%= order %></p><img src="<%= logo %>"><img src="<%= cid("logo.png") %>">',
  'order_mailer/shipped/html.ejs': '<p>Shipped</p>',
  'order_mailer/shipped/text.ejs': 'Shipped',
  'order_mailer/plain/text.ejs': 'Plain',
  'order_mailer/picture/html.ejs': `<%- image('logo.png', { alt, width: 120, title: null }) %>
<%- image(cid('logo.png')) %><i><%= assetUrl('/mail.css') %></i>`,
};

const customer = { email: 'ada@example.com', name: "Ada O'Neil" };

describe('a mail through a real SMTP server:', () => {
  const sink = inSuite('stop', startSmtpSink);
  let render: Render | undefined;
  const setup: { -readonly [K in keyof MailSetup]: MailSetup[K] } = {
    render: (request, standard) => (render ? render(request, standard) : standard()),
  };

  const system = inSuite('close', async () => {
    const i18n = await textsOf({ en: { order_mailer: { placed: { subject: 'Order {{order}} placed' } } } });
    return MailSystem.open({ delivery: 'smtp', smtpUrl: sink.url }, { i18n, templatesDir: folderOf(TEMPLATES), setup });
  });
  beforeEach(() => {
    sink.messages.length = 0;
    system.heard.length = 0;
    delete setup.interceptors;
    delete setup.observers;
    delete setup.assetHost;
    render = undefined;
  });

  const received = (): ReceivedMail => sink.messages.at(-1) ?? assert.fail('no mail has been received');
  const shop = () => OrderMailer.with({ customer });

  it('sends html and text of the mail itself, without template, layout or render', async () => {
    render = () => assert.fail('render is for templates');
    await shop().note({ text: 'Only text', html: '<style>b{color:red}</style><b>Only HTML</b>' }).deliverNow();
    assert.match(received().raw, /Only text/);
    assert.match(received().raw, /<b>Only HTML<\/b>/);
    assert.doesNotMatch(received().raw, /SHOP|<i>shop/);

    await shop().note({ text: 'Only text' }).deliverNow();
    assert.doesNotMatch(received().raw, /text\/html/);

    await shop().note({ html: '<p>Derived</p>' }).deliverNow();
    assert.match(received().raw, /^Derived\r?$/m);
  });

  it('the check asks for a template only where the mail has no body of its own', async () => {
    const folder = folderOf({});
    const found = checkMailers({
      mailers: new MailerRegistry('mailers', [NoteMailer]),
      previews: new Previews(),
      folders: { previewsDir: folder, templatesDirs: [folder], localesDir: folder },
      i18n: await textsOf({ en: {} }),
      defaultLocale: 'en',
      usesTemplates: true,
      jobs: [],
    });
    const about = (action: string) =>
      found.filter((finding) => JSON.stringify(finding).includes(`NoteMailer#${action} `));
    assert.equal(about('page').length, 1);
    assert.equal(about('mixed').length, 1);
    assert.equal(about('note').length, 0);
  });

  it('refuses a body beside a template or layout, and one that is no string', async () => {
    const text = 5 as unknown as string;
    for (const bodies of [{ text: 'a', template: 'x/y' }, { html: 'a', layout: 'shop' as const }, { text }]) {
      await assert.rejects(shop().note(bodies).deliverNow(), InvalidMailError);
    }
    assert.equal(sink.messages.length, 0);
  });

  it('a layout, or none', async () => {
    const bodies = async (layout: Layout) => {
      await shop().shipped(layout).deliverNow();
      return [/<i>shop/.test(String(received().html)), received().text?.startsWith('SHOP\n')];
    };
    assert.deepEqual(await bodies('shop'), [true, true]);
    assert.deepEqual(await bodies(false), [false, false]);
    assert.deepEqual(received().envelope.to, ['ada@example.com', 'log@shop.example']);
    assert.equal(received().replyTo?.text, 'help@shop.example');
  });

  it('attachments, and inline images', async () => {
    await shop().placed(7).deliverNow();
    const named = (name: string) => received().attachments.find(({ filename }) => filename === name);
    const [terms, logo] = [named('terms.txt'), named('logo.png')];
    assert.deepEqual(
      [terms?.filename, terms?.contentType, terms?.content.toString(), terms?.contentDisposition],
      ['terms.txt', 'text/plain', 'All sales are final.\n', 'attachment'],
    );
    assert.deepEqual([logo?.filename, logo?.contentType, logo?.related], ['logo.png', 'image/png', true]);
    assert.deepEqual(logo?.content, PIXEL);
    // mailparser replaces each cid: with the image.
    assert.equal(String(received().html).match(/src="data:image\/png;base64/g)?.length, 2);
  });

  it('images of the asset host, or else of the app itself', async () => {
    setup.assetHost = 'https://cdn.shop.example/mail/';
    await shop().picture().deliverNow();
    const html = String(received().html);
    const alt = '&#34;&#60;Ada&#62;&#34;';
    assert.match(html, new RegExp(`<img alt="${alt}" width="120" src="https://cdn\\.shop\\.example/mail/logo\\.png">`));
    assert.match(html, /<img alt src="data:image\/png;base64/);
    assert.match(html, /<i>https:\/\/cdn\.shop\.example\/mail\/mail\.css<\/i>/);
    delete setup.assetHost;
    await shop().picture().deliverNow();
    assert.match(String(received().html), /src="https:\/\/shop\.example\/logo\.png"/);
  });

  it('performDeliveries = false builds and sends nothing', async () => {
    const result = await SilentMailer.with({ customer }).plain().deliverNow();
    assert.deepEqual(result, { status: 'skipped', reason: 'performDeliveries of its mailer is false' });
  });

  it('interceptors that redirect or cancel a mail, and observers of sent mails', async () => {
    const seen: string[] = [];
    const redirect: MailInterceptor = (message, { mailer, action }) => ({
      ...message,
      to: 'Staging <staging@shop.example>',
      cc: [],
      bcc: [],
      subject: `[${mailer}#${action} to ${message.to[0]?.address}] ${message.subject}`,
    });
    setup.interceptors = [redirect, (message) => ({ ...message, subject: `${message.subject}!` })];
    setup.observers = [
      ({ subject }, { response }, { mailer, action }) => seen.push(`${mailer}#${action} ${subject} ${response}`),
    ];
    await shop().placed(7).deliverNow();
    assert.deepEqual(received().envelope.to, ['staging@shop.example']);
    assert.equal(received().subject, '[OrderMailer#placed to ada@example.com] Order 7 placed!');
    assert.match(seen[0] ?? '', /^OrderMailer#placed \[.* Order 7 placed! 250 /);
    assert.deepEqual((await system.records()).at(-1)?.recipients, ['staging@shop.example']);

    setup.interceptors = [redirect, () => 'cancel'];
    assert.deepEqual(await shop().placed(7).deliverNow(), {
      status: 'skipped',
      reason: 'an interceptor cancelled it',
    });
    assert.deepEqual([sink.messages.length, seen.length], [1, 1]);
  });

  it('the app’s own renderer, with the text derived from its HTML', async () => {
    render = ({ template, subject, locals }, standard) =>
      template === 'order_mailer/placed'
        ? { html: `<h1>${subject}</h1><p>${String(locals.order)} &amp; more</p>` }
        : standard();
    await shop().placed(7).deliverNow();
    assert.equal(received().html, '<h1>Order 7 placed</h1><p>7 &amp; more</p>');
    assert.match(received().text ?? '', /Order 7 placed\s+7 & more/i);
    await shop().shipped('shop').deliverNow();
    assert.match(received().text ?? '', /^SHOP\nShipped/);
    render = () => ({});
    await assert.rejects(shop().placed(7).deliverNow(), /gave neither html nor text for order_mailer\/placed/);
    render = () => ({ html: 7 as never, text: '7' });
    await assert.rejects(shop().placed(7).deliverNow(), /gave html or text that is no string for order_mailer\/placed/);
  });
});
