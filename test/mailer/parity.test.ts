import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { runInContext } from '../../lib/core/execution-context';
import type { Layout, MailAtHand, MailDefaults, OutgoingMessage, Render } from '../../lib/mailer/definition/mail-types';
import type { MailInterceptor, MailSetup } from '../../lib/mailer/definition/setup';
import { Mailer } from '../../lib/mailer/mailer';
import { MailerRegistry } from '../../lib/mailer/mailer-registry';

import { assertEnqueuedEmailWith, performEnqueuedEmails, travel, useFakeJobs } from '../../lib/testing';
import { type ReceivedMail, type SmtpSink, startSmtpSink } from '../support/smtp';
import { tempFolder } from '../support/temp-folder';
import { folderOf, MailSystem, textsOf } from './mail-system';

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

interface ShopParams {
  readonly customer: { readonly email: string; readonly name: string };
  readonly tenant?: string;
}

abstract class ShopMailer<P extends object = ShopParams> extends Mailer<P> {
  static override readonly defaults: MailDefaults = {
    from: { name: 'The Shop', address: 'shop@shop.example' },
    replyTo: ({ params, action }: MailAtHand) => `${action}+${params.tenant ?? 'all'}@shop.example`,
    headers: { 'X-Shop': 'yes' },
  };
  static override readonly layout: Layout = 'shop';
}

class OrderMailer extends ShopMailer {
  static override readonly defaults: MailDefaults = {
    headers: ({ params }) => ({ 'X-Tenant': String(params.tenant ?? 'none') }),
  };
  static readonly placed = this.action('placed');
  static readonly shipped = this.action('shipped');
  static readonly plain = this.action('plain');
  static readonly quiet = this.action('quiet');
  static readonly written = this.action('written');

  placed(order: number) {
    const { email, name } = this.params.customer;
    this.attach('terms.txt', 'All sales are final.\n');
    const logo = this.inline('logo.png', PIXEL);
    const link = this.urlFor(`/orders/${order}`, { from: 'mail' });
    return this.mail({ to: { name, address: email }, locals: { order, logo, link } });
  }
  async shipped(layout: Layout, subject?: string) {
    return this.mail({ to: this.params.customer.email, layout, ...(subject === undefined ? {} : { subject }) });
  }
  plain(delivery: 'log' | 'file' | 'test' | 'smtp') {
    return this.mail({ to: this.params.customer.email, layout: false, delivery });
  }
  quiet() {
    return undefined;
  }
  written(headers: Record<string, string> = {}) {
    const cc = ['Bob <bob@example.com>', { name: 'Cy, "the" Third', address: 'cy@example.com' }];
    return this.mail({ to: this.params.customer.email, cc, headers, template: 'order_mailer/shipped' });
  }
}

const steps: string[] = [];

class CarefulMailer extends OrderMailer {
  static {
    this.rescueFrom(RangeError, (error, mailer) => steps.push(`${mailer.constructor.name}: ${error.message}`));
  }
  override beforeAction(action: string) {
    steps.push(`before ${action}`);
  }
  override afterAction(action: string) {
    steps.push(`after ${action}`);
  }
  override afterDeliver(message: OutgoingMessage) {
    steps.push(`delivered ${message.subject}`);
  }
  override placed(order: number) {
    if (order < 0) throw new RangeError('no such order');
    return this.mail({ to: this.params.customer.email, subject: 'Placed', template: 'order_mailer/plain' });
  }
}

class SilentMailer extends OrderMailer {
  static override readonly performDeliveries = false;
}

const TEMPLATES = {
  'layouts/shop/html.ejs': '<html><body><i>shop</i><%- slot("content") %></body></html>',
  'layouts/shop/text.ejs': 'SHOP\n<%- slot("content") %>',
  'order_mailer/placed/html.ejs':
    '<p>Order <%= order %></p><img src="<%= logo %>"><img src="<%= cid("logo.png") %>"><a href="<%= link %>">x</a><a href="<%= urlFor("/help") %>">?</a>',
  'order_mailer/shipped/html.ejs': '<p>Shipped</p>',
  'order_mailer/shipped/text.ejs': 'Shipped',
  'order_mailer/plain/text.ejs': 'Plain',
};

const customer = { email: 'ada@example.com', name: "Ada O'Neil" };

/** The features of ActionMailer, one test each. Previews are in test/ops/mail, test helpers in test/testing/mails.test.ts, models as arguments in deliver-mail-job.test.ts. */
describe('the features of ActionMailer:', () => {
  let system: MailSystem;
  let sink: SmtpSink;
  let render: Render | undefined;
  const setup: { -readonly [K in keyof MailSetup]: MailSetup[K] } = {
    render: (request, standard) => (render ? render(request, standard) : standard()),
  };
  const dir = path.join(tempFolder('mail'), 'mails');

  before(async () => {
    sink = await startSmtpSink();
    const i18n = await textsOf({
      en: { order_mailer: { placed: { subject: 'Order {{order}} placed' } } },
      ko: { order_mailer: { placed: { subject: '주문 {{order}}' } } },
    });
    system = await MailSystem.open(
      { delivery: 'smtp', smtpUrl: sink.url, dir },
      { i18n, templatesDir: folderOf(TEMPLATES), setup },
    );
  });
  beforeEach(() => {
    sink.messages.length = 0;
    system.heard.length = 0;
    delete setup.interceptors;
    delete setup.observers;
    render = undefined;
  });
  after(async () => {
    await system.close();
    await sink.stop();
  });

  const received = (): ReceivedMail => sink.messages.at(-1) ?? assert.fail('no mail has been received');
  const shop = (tenant?: string) => OrderMailer.with({ customer, ...(tenant === undefined ? {} : { tenant }) });

  it('a class, its actions, and a folder of templates named after both', async () => {
    await shop().shipped(false).deliverNow();
    assert.deepEqual([received().html, received().text], ['<p>Shipped</p>', 'Shipped\n']);
    // A subclass without its own action uses the templates of its parent.
    class LateMailer extends OrderMailer {}
    await LateMailer.with({ customer }).shipped(false).deliverNow();
    assert.equal(received().text, 'Shipped\n');
  });

  it('with(params), and actions with arguments', async () => {
    await shop().placed(7).deliverNow();
    assert.equal(received().subject, 'Order 7 placed');
    assert.deepEqual([received().to].flat()[0]?.value, [{ name: "Ada O'Neil", address: 'ada@example.com' }]);
  });

  it('defaults: values, functions, inherited', async () => {
    await shop('acme').placed(7).deliverNow();
    const mail = received();
    assert.deepEqual(mail.from?.value, [{ name: 'The Shop', address: 'shop@shop.example' }]);
    assert.equal(mail.replyTo?.value[0]?.address, 'placed+acme@shop.example');
    assert.deepEqual([mail.headers.get('x-shop'), mail.headers.get('x-tenant')], ['yes', 'acme']);
  });

  it('a layout for HTML and text, for one of them, or for none', async () => {
    const bodies = async (layout: Layout) => {
      await shop().shipped(layout).deliverNow();
      return [/<i>shop/.test(String(received().html)), received().text?.startsWith('SHOP\n')];
    };
    assert.deepEqual(await bodies('shop'), [true, true]);
    assert.deepEqual(await bodies({ html: 'shop', text: false }), [true, false]);
    assert.deepEqual(await bodies(false), [false, false]);
  });

  it('the subject: as given, otherwise from the texts, otherwise the humanised action', async () => {
    await shop().shipped('shop', 'On its way').deliverNow();
    assert.equal(received().subject, 'On its way');
    await shop().shipped('shop').deliverNow();
    assert.equal(received().subject, 'Shipped');
    await runInContext({ locale: 'ko' }, () => shop().placed(7).deliverNow());
    assert.equal(received().subject, '주문 7');
  });

  it('deliverNow, and deliverLater with wait, waitUntil and queue, in the locale of the caller', async () => {
    Mailer.connect(system.delivery, new MailerRegistry('this test', [OrderMailer]));
    const jobs = await useFakeJobs();
    try {
      const [now, inAnHour, at] = ['now@example.com', 'in-an-hour@example.com', 'at@example.com'].map((email) =>
        OrderMailer.with({ customer: { email, name: 'Ada' } }).shipped('shop'),
      );
      const tomorrow = new Date(Date.now() + 24 * 3600 * 1000);
      await runInContext({ locale: 'ko' }, () => now?.deliverLater());
      await inAnHour?.deliverLater({ wait: '1h', queue: 'slow' });
      await at?.deliverLater({ waitUntil: tomorrow });
      assertEnqueuedEmailWith(OrderMailer, 'shipped', { at: null, queue: 'mailer', times: 1 });
      assertEnqueuedEmailWith(OrderMailer, 'shipped', { wait: '1h', queue: 'slow', times: 1 });
      assertEnqueuedEmailWith(OrderMailer, 'shipped', { at: tomorrow, queue: 'mailer', times: 1 });
      const receivers = () => sink.messages.map(({ envelope }) => envelope.to[0]?.split('@')[0]);
      await performEnqueuedEmails();
      assert.deepEqual(receivers(), ['now']);
      assert.equal(received().headers.get('content-language'), 'ko');
      await travel('2h', () => performEnqueuedEmails());
      await travel('25h', () => performEnqueuedEmails());
      assert.deepEqual(receivers(), ['now', 'in-an-hour', 'at']);
      assert.equal(received().headers.get('content-language'), 'en');
    } finally {
      await jobs.restore();
      Mailer.connect(system.delivery);
    }
  });

  it('both parts, headers and addresses with names, which must not contain line breaks', async () => {
    await shop().written({ 'X-Campaign': 'spring' }).deliverNow();
    const mail = received();
    assert.match(mail.raw, /^Content-Type: multipart\/alternative;/m);
    assert.deepEqual(
      [...mail.raw.matchAll(/^Content-Type: (text\/\w+; charset=[\w-]+)\r$/gm)].map((part) => part[1]),
      ['text/plain; charset=utf-8', 'text/html; charset=utf-8'],
    );
    assert.equal(mail.headers.get('x-campaign'), 'spring');
    assert.deepEqual([mail.cc].flat()[0]?.value, [
      { name: 'Bob', address: 'bob@example.com' },
      { name: 'Cy, "the" Third', address: 'cy@example.com' },
    ]);
    const evil = 'x\r\nBcc: evil@example.com';
    await assert.rejects(shop().written({ 'X-Campaign': evil }).deliverNow(), /X-Campaign: .* contains a line break/);
    await assert.rejects(shop().shipped('shop', evil).deliverNow(), /subject: .* contains a line break/);
    const named = OrderMailer.with({ customer: { email: 'ada@example.com', name: evil } });
    await assert.rejects(named.placed(7).deliverNow(), /to: .* contains a line break/);
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

  it('absolute links', async () => {
    await shop().placed(7).deliverNow();
    const links = [...String(received().html).matchAll(/href="([^"]+)"/g)].map((match) => match[1]);
    assert.deepEqual(links, ['https://shop.example/orders/7?from=mail', 'https://shop.example/help']);
  });

  it('an action that builds no mail sends none', async () => {
    assert.equal((await shop().quiet().deliverNow()).status, 'skipped');
    assert.equal(sink.messages.length, 0);
  });

  it('a delivery method per mail', async () => {
    await shop().plain('log').deliverNow();
    assert.deepEqual(
      system.all('mail.logged').map(({ to, subject, text }) => [to, subject, text]),
      [[['ada@example.com'], 'Plain', 'Plain\n']],
    );
    await shop().plain('file').deliverNow();
    assert.equal(fs.readdirSync(dir).length, 1);
    await shop().plain('test').deliverNow();
    assert.equal(sink.messages.length, 0);
    await shop().plain('smtp').deliverNow();
    assert.equal(sink.messages.length, 1);
    assert.deepEqual(
      system.all('mail.sent').map(({ via }) => via),
      ['log', 'file', 'test', 'smtp'],
    );
  });

  it('callbacks around the action and the delivery, and rescueFrom', async () => {
    steps.length = 0;
    await CarefulMailer.with({ customer }).placed(7).deliverNow();
    assert.deepEqual(steps.splice(0), ['before placed', 'after placed', 'delivered Placed']);
    assert.equal((await CarefulMailer.with({ customer }).placed(-1).deliverNow()).status, 'skipped');
    assert.deepEqual(steps, ['before placed', 'CarefulMailer: no such order']);
  });

  it('performDeliveries = false builds and sends nothing', async () => {
    const result = await SilentMailer.with({ customer }).plain('smtp').deliverNow();
    assert.deepEqual(result, { status: 'skipped', reason: 'performDeliveries of its mailer is false' });
  });

  it('interceptors that redirect or cancel a mail, and observers of sent mails', async () => {
    const seen: string[] = [];
    const redirect: MailInterceptor = (message) => ({
      ...message,
      to: 'Staging <staging@shop.example>',
      cc: [],
      bcc: [],
      subject: `[to ${message.to[0]?.address}] ${message.subject}`,
    });
    setup.interceptors = [redirect];
    setup.observers = [
      ({ subject }, { response }, { mailer, action }) => seen.push(`${mailer}#${action} ${subject} ${response}`),
    ];
    await shop().placed(7).deliverNow();
    assert.deepEqual(received().envelope.to, ['staging@shop.example']);
    assert.equal(received().subject, '[to ada@example.com] Order 7 placed');
    assert.match(seen[0] ?? '', /^OrderMailer#placed \[to ada@example\.com\] Order 7 placed 250 /);

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
  });
});
