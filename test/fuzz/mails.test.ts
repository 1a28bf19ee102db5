import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { MissingValueError, UserError } from '../../lib/core/errors';
import { type I18n, loadI18n } from '../../lib/core/i18n';
import { TemplateError } from '../../lib/mailer/definition/errors';
import { Views } from '../../lib/mailer/render/views';
import { TestTransport } from '../../lib/mailer/transport/local-transports';
import { openMail } from '../../lib/ops/mail/parsed-mail';
import { APP_TEMPLATES, folderOf, MailSystem, textsOf } from '../mailer/mail-system';
import { cases, runs, SEED, withShortStacks } from './campaign';
import { Mutator } from './mutator';

const HTML = fs.readFileSync(path.join(APP_TEMPLATES, 'user_mailer/welcome/html.ejs'), 'utf8');
const EJS_WORDS = ['\n', ..."<% %> <%= <%- <%_ _%> <%# -%> include('/x') t( ) } { `".split(' ')];

/** Texts and templates, and the values that are inserted into them. */
describe('mails, given anything', () => {
  withShortStacks();

  it('load a file of texts, or reject it by its name', async () => {
    const seeds = [
      '{"a":{"b":"x {{name}} $t(a.c)","c":"y","n_one":"1","n_other":"{{count}}"}}',
      '{"a":["b"]}',
    ] as const;
    const words = '{{ }} $t(a.b) $t( ) "a": [] null {{name,}} _other __proto__'.split(' ');
    const mutator = new Mutator(SEED, words);
    const folder = folderOf({});
    const file = path.join(folder, 'en.json');
    for (let n = cases(400); n > 0; n--) {
      fs.writeFileSync(file, mutator.mutate(seeds));
      let texts: I18n | undefined;
      try {
        texts = await loadI18n([folder], 'en', { strict: n % 2 === 0 });
      } catch (thrown) {
        assert.ok(thrown instanceof UserError && thrown.message.startsWith(file));
      }
      for (const key of ['a', 'a.b', 'a.c', 'a.n', 'a.b.c', '', '.', 'constructor', '__proto__.x'])
        for (const values of [undefined, { name: '$t(a.c) {{count}}' }, { count: 2 }]) lookUp(texts, key, values);
    }
  });

  function lookUp(texts: I18n | undefined, key: string, values: Readonly<Record<string, unknown>> | undefined): void {
    try {
      texts?.has(key, 'en');
      assert.equal(typeof (texts?.in('ko')(key, values) ?? ''), 'string', key);
    } catch (thrown) {
      if (!(thrown instanceof MissingValueError)) throw thrown;
    }
  }

  it('insert values into texts literally', async () => {
    const i18n = await textsOf({ en: { hello: 'Hello, {{name}}: {{name}}', bye: 'bye' } });
    const t = i18n.in('en');
    const odd = fc.constantFrom('{{name}}', '$t(hello)', '$t(bye)', '{{', '}}', '$&', '$1', '__proto__');
    const name = fc
      .array(fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 10 })), { maxLength: 4 })
      .map((all) => all.join(''));
    fc.assert(
      fc.property(name, (given) => assert.equal(t('hello', { replace: { name: given } }), `Hello, ${given}: ${given}`)),
      runs(6000),
    );
  });

  it('render a template, or reject it with the name of its file', () => {
    const folder = folderOf({ 'x.ejs': 'x' });
    const file = path.join(folder, 'shop/html.ejs');
    fs.mkdirSync(path.dirname(file));
    const mutator = new Mutator(SEED, EJS_WORDS);
    const values = { email: 'a@b.co', name: '<b>', appUrl: 'https://x' };
    const locals = { ...values, t: (key: string) => key, provide: () => undefined };
    const seeds = [HTML, '<% if (name) { %><p><%= name %></p><% } %>\n', "<%- include('/x') %>"] as const;
    for (let n = cases(600); n > 0; n--) {
      fs.writeFileSync(file, mutator.mutate(seeds));
      try {
        assert.equal(typeof new Views([folder], { cache: false }).render('shop/html', locals), 'string');
      } catch (thrown) {
        if (!(thrown instanceof TemplateError)) throw thrown;
        assert.ok(thrown.message.startsWith(thrown.template) && thrown.template.endsWith('.ejs'));
      }
    }
  });

  it('open a received mail, whatever is broken in it', async () => {
    const words = '--b --b-- =?utf-8?B? ?= =ZZ Content-Type: charset=x ; "'.split(' ');
    const mutator = new Mutator(SEED, ['\r\n', '\r\n\r\n', ...words]);
    const mail = [
      'From: "A" <a@b.co>, G: c@d.co;\r\nTo: =?utf-8?B?7Jik?= <e@f.co>\r\nSubject: =?utf-8?Q?=41?=\r\nDate: Thu, 26 Nov 2026 00:00:00 +0000',
      'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8',
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C3=A9</p>\r\n--b\r\nContent-Type: image/png; name*=utf-8''a%20b\r\n",
      'Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n',
    ].join('\r\n');
    for (let n = cases(700); n > 0; n--) {
      const opened = await openMail(mutator.mutate([mail]));
      assert.equal(typeof opened.subject, 'string');
      JSON.stringify(opened);
    }
  });

  it('show any name as plain text in the welcome mail', async () => {
    const transport = new TestTransport();
    const system = await MailSystem.open({}, { transport });
    const words = '<script> </p> &amp; {{name}} " \' <!-- \\u0000'.split(' ');
    const odd = fc.constantFrom('\u2028', ' data-inline ', '<%= 1 %>', ...words);
    const name = fc
      .array(fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 20 })), { maxLength: 5 })
      .map((all) => all.join(' ').replace(/\p{Cc}/gu, ''));
    const plain = { email: 'ada@example.com', name: 'NAME', locale: 'en' } as const;
    await UserMailer.welcome(plain).deliverNow();
    const tagsOf = (html = '') => html.match(/<[a-z/!][^>]*>/gi)?.join('') ?? '';
    const expected = tagsOf(transport.messages[0]?.html);
    await fc.assert(
      fc.asyncProperty(name, async (given) => {
        await UserMailer.welcome({ ...plain, name: given }).deliverNow();
        const { subject, html, text } = transport.messages.at(-1) ?? assert.fail();
        assert.equal(tagsOf(html), expected);
        assert.doesNotMatch(subject, /[\r\n]/);
        assert.ok(text.length > 0);
        transport.messages.length = 0;
      }),
      runs(120),
    );
    await system.close();
  });
});
