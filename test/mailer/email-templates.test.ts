import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { loadI18n } from '../../lib/core/i18n';
import { TemplateError } from '../../lib/mailer/definition/errors';
import type { MailOptions } from '../../lib/mailer/definition/mail-types';

import { Mailer } from '../../lib/mailer/mailer';
import { type ReceivedMail, type SmtpSink, startSmtpSink } from '../support/smtp';
import { folderOf, MailSystem } from './mail-system';

const UNSET = { name: 'Ada', cache: '', settings: '', delimiter: '', filename: '' };

class TrapMailer extends Mailer {
  static readonly note = this.action('note');
  static readonly broken = this.action('broken');
  static readonly untold = this.action('untold');
  static readonly missing = this.action('missing');
  note(locals: MailOptions['locals'] = {}, options: MailOptions = {}) {
    return this.mail({ to: 'ada@example.com', locals: { ...UNSET, ...locals }, ...options });
  }
  broken() {
    return this.mail({ to: 'ada@example.com', subject: 'Broken' });
  }
  untold() {
    return this.mail({ to: 'ada@example.com', subject: 'Untold' });
  }
  missing() {
    return this.mail({ to: 'ada@example.com', subject: 'Nobody wrote it' });
  }
}

const CSS = '<style>p { color: red } @media (max-width: 480px) { p { color: blue !important } }</style>';
const NAMES = ['cache', 'locale', 'subject', 'appUrl', 'settings', 'delimiter', 'filename'] as const;
const SHOWN = `${NAMES.map((name) => `${name}=<%= ${name} %>`).join(' ')} <%= t('.hello', { name }) %>`;
const TEMPLATES = {
  'layouts/mailer/html.ejs': `<html><head>${CSS}</head><body><%- slot('content') %></body></html>`,
  'layouts/mailer/text.ejs': "<%- slot('content') %>",
  'trap_mailer/note/html.ejs': `<p>${SHOWN}</p>`,
  'trap_mailer/note/text.ejs': `${CSS} ${SHOWN}`,
  'trap_mailer/broken/html.ejs': '<p>\n<%= nothing.here %></p>',
  'trap_mailer/untold/text.ejs': "<%= t('.nothing') %>",
};
const TEXTS = { 'en.json': '{"trap_mailer":{"note":{"subject":"For {{name}}","hello":"Hello, {{name}}"}}}' };

/** Each is a known trap of email-templates, reported by its users. */
describe('email-templates, whose known traps are avoided:', () => {
  let sink: SmtpSink;
  let system: MailSystem;
  let texts: string;
  before(async () => {
    sink = await startSmtpSink();
    texts = folderOf(TEXTS);
    const i18n = await loadI18n([texts], 'en', { strict: true });
    const templatesDir = folderOf(TEMPLATES);
    system = await MailSystem.open({ delivery: 'smtp', smtpUrl: sink.url }, { i18n, templatesDir });
  });
  afterEach(() => {
    sink.messages.length = 0;
  });
  after(async () => {
    await system.close();
    await sink.stop();
  });

  const received = (): ReceivedMail => sink.messages.at(-1) ?? assert.fail('no mail has arrived');
  const note = async (...given: Parameters<typeof TrapMailer.note>) => {
    await TrapMailer.note(...given).deliverNow();
    return received();
  };

  it('1: a template error leaves no rejection unhandled, which would end the process', async () => {
    await assert.rejects(
      TrapMailer.broken().deliverNow(),
      (error) => error instanceof TemplateError && error.line === 2,
    );
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    await note();
  });

  it('3: the inlining and escaping of HTML leave the subject and the text alone', async () => {
    const { subject, text } = await note({ name: 'Bob <b> & co' });
    assert.equal(subject, 'For Bob <b> & co');
    assert.ok(text?.startsWith(CSS) && text.trimEnd().endsWith('Hello, Bob <b> & co'), text);
  });

  it("4: the mail's own locals take precedence", async () => {
    const { html, text } = await note(Object.fromEntries(NAMES.map((name) => [name, `my ${name}`])));
    const shown = NAMES.map((name) => `${name}=my ${name}`).join(' ');
    assert.ok(String(html).includes(shown) && text?.includes(shown), text);
  });

  it('6: locale files are neither written nor read again for each mail', async () => {
    await assert.rejects(TrapMailer.untold().deliverNow(), /no locale file has the text trap_mailer\.untold\.nothing/);
    assert.deepEqual(fs.readdirSync(texts), ['en.json']);
    assert.equal(fs.readFileSync(`${texts}/en.json`, 'utf8'), TEXTS['en.json']);
    fs.rmSync(texts, { recursive: true });
    assert.equal((await note()).subject, 'For Ada');
  });

  it('7: a value in a text is escaped once in HTML, and never elsewhere', async () => {
    const name = `O'Brien <b> & "co" &amp;`;
    const { subject, html, text } = await note({ name });
    assert.ok(String(html).includes('Hello, O&#39;Brien &lt;b&gt; &amp; &#34;co&#34; &amp;amp;</p>'), String(html));
    assert.equal(subject, `For ${name}`);
    assert.ok(text?.trimEnd().endsWith(`Hello, ${name}`), text);
  });

  const within = createRequire(require.resolve('email-templates'));

  it('9: it uses our nodemailer, and no other copy', () => {
    assert.equal(within.resolve('nodemailer'), require.resolve('nodemailer'));
    const { version } = require('nodemailer/package.json') as { version: string };
    assert.ok(Number.parseInt(version, 10) >= 10, version);
  });

  it('10: preview-email and its i18n are stubs', () => {
    assert.equal(within.resolve('preview-email'), require.resolve('preview-email'));
    assert.throws(() => (require('preview-email') as () => void)(), /left out/);
    const { dependencies } = require('preview-email/package.json') as { dependencies?: object };
    assert.equal(dependencies, undefined);
    const Translations = within('@ladjs/i18n') as new () => object;
    assert.throws(() => new Translations(), /left out/);
  });

  it('11: it uses our EJS, which takes no options from the locals', async () => {
    const [folder = ''] = /^.*node_modules\/ejs\//.exec(require.resolve('ejs')) ?? [];
    const { version } = JSON.parse(fs.readFileSync(`${folder}package.json`, 'utf8')) as { version: string };
    assert.ok(Number.parseInt(version, 10) >= 7, version);
    const options = {
      client: true,
      openDelimiter: '[',
      escape: 'no',
      'view options': { outputFunctionName: 'x;throw' },
    };
    const { html } = await note({ ...options, delimiter: '?', settings: options, name: '<' });
    assert.ok(String(html).includes('delimiter=?') && String(html).includes('Hello, &lt;</p>'), String(html));
  });
});
