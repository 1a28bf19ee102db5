import assert from 'node:assert/strict';
import { runInContext } from '../../lib/core/execution-context';
import type { I18n } from '../../lib/core/i18n';
import { createDraft, type Draft, humanise, underscore } from '../../lib/mailer/compose/draft';
import { InvalidMailError } from '../../lib/mailer/definition/errors';
import type { MailDefaults, MailOptions } from '../../lib/mailer/definition/mail-types';

import { Mailer } from '../../lib/mailer/mailer';
import type { MailMessage } from '../../lib/mailer/message';
import { textsOf } from './mail-system';

class BaseMailer extends Mailer {
  static override readonly defaults = {
    from: 'Base <base@shop.example>',
    replyTo: 'help@shop.example',
    headers: { 'X-Base': 'base', 'X-Both': 'base' },
  };
}
class BillMailer extends BaseMailer {
  static override readonly defaults: typeof BaseMailer.defaults = {
    ...BaseMailer.defaults,
    from: 'Bills <bills@shop.example>',
    headers: { 'X-Base': 'base', 'X-Both': 'bill' },
  };
  static readonly lastReminder = this.action('lastReminder');
  lastReminder(options: MailOptions) {
    return this.mail({ to: 'ada@example.com', ...options });
  }
}
class PartMailer extends BaseMailer {
  static override readonly defaults = Object.assign(
    {},
    { headers: { 'X-Both': 'part' } },
  ) as typeof BaseMailer.defaults;
  static readonly note = this.action('note');
  note(options: MailOptions = {}) {
    return this.mail({ to: 'ada@example.com', subject: 'Hi', ...options });
  }
}
class PlainMailer extends Mailer<{ readonly shop?: string }> {
  static readonly note = this.action('note');
  note(options: MailOptions) {
    return this.mail(options);
  }
}

class ListMailer extends PlainMailer {
  static override readonly defaults: MailDefaults = {
    to: ({ params, action }) => `${action}@${String(params.shop)}`,
    subject: ({ params }) => `From ${String(params.shop)}`,
    from: () => assert.fail('an overridden default is not called'),
  };
  static readonly list = this.action('list');
  list(options: MailOptions = {}) {
    return this.mail(options);
  }
}
class SublistMailer extends ListMailer {
  static override readonly defaults: MailDefaults = { from: 'sub@shop.example', cc: [], subject: undefined } as object;
}

describe('draft', () => {
  let i18n: I18n;
  before(async () => {
    i18n = await textsOf({
      en: { bill_mailer: { last_reminder: { subject: 'Bill {{number}} for {{name}}' } }, only: { en: 'English' } },
      'pt-BR': {},
      ko: { bill_mailer: { last_reminder: { subject: '{{name}} 님의 청구서 {{number}}' } } },
    });
  });

  async function draft(message: MailMessage, defaultLocale = 'en'): Promise<Draft> {
    const mail = await message.build();
    assert.ok(mail);
    return createDraft(message, mail, { from: 'Shop <hello@shop.example>', defaultLocale, i18n });
  }
  const subject = async (options: MailOptions) => (await draft(BillMailer.lastReminder(options))).subject;

  it('derives the template folder and the texts from the class and the action', async () => {
    assert.equal(underscore('UserMailer'), 'user_mailer');
    assert.equal(underscore('SMSMailer'), 'sms_mailer');
    assert.equal(underscore('twoFactorV2'), 'two_factor_v2');
    assert.equal(humanise('passwordReset'), 'Password reset');
    assert.equal((await draft(BillMailer.lastReminder({}))).template, 'bill_mailer/last_reminder');
    assert.equal((await draft(PartMailer.note({ template: 'other/place', layout: false }))).template, 'other/place');
    assert.equal(await subject({ locals: { number: 7, name: 'Ada' } }), 'Bill 7 for Ada');
    assert.equal((await draft(PlainMailer.note({ to: 'ada@example.com' }))).subject, 'Note');
  });

  it('takes values literally, even if they look like options or syntax of i18next', async () => {
    const locals = { number: '{{name}}', name: '$t(only.en)', lng: 'ko', context: 'x', defaultValue: 'y', replace: {} };
    assert.equal(await subject({ locals }), 'Bill {{name}} for $t(only.en)');
    assert.equal(await subject({ subject: ' Pay! ', locals }), 'Pay!');
  });

  it('takes the locale of the mail, otherwise of the context, otherwise the default, which also replaces an unknown one', async () => {
    const locale = async (options: MailOptions, ambient?: string, fallback = 'en') =>
      runInContext(ambient === undefined ? {} : { locale: ambient }, async () => {
        return (await draft(BillMailer.lastReminder(options), fallback)).texts.locale;
      });
    assert.equal(await locale({ locale: 'ko' }, 'en'), 'ko');
    assert.equal(await locale({}, 'ko'), 'ko');
    assert.equal(await locale({ locale: undefined }, 'ko'), 'ko');
    assert.equal(await locale({}), 'en');
    assert.equal(await locale({}, undefined, 'ko'), 'ko');
    assert.equal(await locale({ locale: 'ko-KR' }), 'ko');
    assert.equal(await locale({ locale: 'tlh' }, 'ko'), 'en');
    assert.equal(await locale({ locale: '__proto__' }), 'en');
    assert.equal(await locale({ locale: 'KO_kr' }), 'ko');
    assert.equal(await locale({ locale: 'pt' }), 'pt-BR');
    assert.equal(await locale({ locale: 'de-AT' }, undefined, 'de'), 'de');
  });

  it('inherits defaults; headers are merged one by one', async () => {
    const bill = await draft(BillMailer.lastReminder({}));
    assert.deepEqual(bill.from, { name: 'Bills', address: 'bills@shop.example' });
    assert.deepEqual(bill.replyTo, [{ name: '', address: 'help@shop.example' }]);
    const part = await draft(PartMailer.note());
    assert.equal(part.from.address, 'base@shop.example');
    assert.deepEqual(part.headers, { 'Content-Language': 'en', 'X-Base': 'base', 'X-Both': 'part' });
    const own = await draft(
      PartMailer.note({ from: 'x@shop.example', replyTo: 'y@shop.example', headers: { 'X-Both': 'mail' } }),
    );
    assert.equal(own.from.address, 'x@shop.example');
    assert.equal(own.replyTo[0]?.address, 'y@shop.example');
    assert.equal(own.headers['X-Both'], 'mail');
    const other = await draft(PartMailer.note({ headers: { 'content-language': 'fr', 'X-BOTH': 'mail' } }));
    assert.deepEqual(other.headers, { 'content-language': 'fr', 'X-Base': 'base', 'X-BOTH': 'mail' });
    assert.equal((await draft(PlainMailer.note({ to: 'a@example.com' }))).from.address, 'hello@shop.example');
  });

  it('overrides the defaults of a parent one by one, and calls those that are functions for each mail', async () => {
    const list = await draft(SublistMailer.with({ shop: 'acme.example' }).list());
    assert.deepEqual(
      [list.to[0]?.address, list.subject, list.from.address, list.mailer],
      ['list@acme.example', 'From acme.example', 'sub@shop.example', 'SublistMailer'],
    );
    const own = await draft(SublistMailer.list({ to: 'ada@example.com', subject: 'Mine' }));
    assert.deepEqual([own.to[0]?.address, own.subject], ['ada@example.com', 'Mine']);
  });

  it('uses the templates and texts of the class that defines the action', async () => {
    assert.equal((await draft(SublistMailer.list({ to: 'ada@example.com' }))).template, 'list_mailer/list');
    class OtherMailer extends SublistMailer {
      override list() {
        return super.list({ to: 'ada@example.com' });
      }
    }
    assert.equal((await draft(OtherMailer.list())).template, 'other_mailer/list');
  });

  it('rejects a mail without a recipient, or without exactly one sender', async () => {
    for (const options of [{}, { to: '' }, { to: [] }]) {
      await assert.rejects(draft(PlainMailer.note(options)), /PlainMailer#note has no recipient/);
    }
    await assert.rejects(draft(PlainMailer.note({ to: 'a@example.com', from: '' })), InvalidMailError);
    await assert.rejects(
      draft(PlainMailer.note({ to: 'a@example.com', from: 'a@x.example, b@x.example' })),
      /one sender/,
    );
    assert.equal((await draft(PlainMailer.note({ bcc: 'a@example.com' }))).bcc.length, 1);
  });
});
