import assert from 'node:assert/strict';
import WelcomeEmailJob from '../../jobs/welcome-email';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import type { OutgoingMessage } from '../../lib/mailer/definition/mail-types';
import { TestTransport } from '../../lib/mailer/transport/local-transports';

import { Model } from '../../lib/model/model';
import { inSuite } from '../support/suite';
import { MailSystem } from './mail-system';

type Reader = Parameters<typeof UserMailer.welcome>[0];

describe('UserMailer#welcome', () => {
  const transport = new TestTransport();
  const system = inSuite('close', () => MailSystem.open({}, { transport }));

  async function welcome(user: Partial<Reader>): Promise<OutgoingMessage> {
    await UserMailer.welcome({ email: 'ada@example.com', name: 'Ada', locale: 'en', ...user }).deliverNow();
    const sent = transport.messages.at(-1);
    assert.ok(sent);
    return sent;
  }

  it('is in the language of the user', async () => {
    const en = await welcome({});
    assert.equal(en.subject, 'Welcome to Catamount');
    assert.match(en.html ?? '', /<html lang="en"/);
    assert.equal(en.headers['Content-Language'], 'en');
    const ko = await welcome({ name: '민지', locale: 'ko' });
    assert.equal(ko.subject, 'Catamount에 오신 것을 환영합니다');
    assert.match(ko.html ?? '', /<html lang="ko"/);
    assert.match(ko.html ?? '', /word-break: keep-all/);
    assert.match(ko.text, /^민지 님, 반갑습니다\.\n/);
  });

  it('addresses a user without a name by the local part of the address, and keeps a name on one line', async () => {
    const greeting = async (name: string | null) => (await welcome({ name })).text.split('\n')[0];
    assert.equal(await greeting(null), 'Welcome, ada.');
    assert.equal(await greeting(' \u2028 '), 'Welcome, ada.');
    assert.equal(await greeting('Ada  \u2028 Lovelace'), 'Welcome, Ada Lovelace.');
  });

  it('has a text part that reads well, and links only to the app', async () => {
    const { html = '', text } = await welcome({});
    assert.equal(
      text,
      [
        'Welcome, Ada.',
        '',
        'Your account is ready. The access token you got when you signed up is its key. It is shown only once, so keep it somewhere safe.',
        '',
        'Open Catamount:',
        'https://shop.example',
        '',
        'Glad you are here,',
        'Catamount',
        '',
        '--',
        'You get this mail because someone signed up with ada@example.com. If it was not you, you can ignore it.',
        '',
      ].join('\n'),
    );
    assert.deepEqual(
      new Set(html.match(/https?:\/\/[^"<\s]+/g)),
      new Set(['http://www.w3.org/1999/xhtml', 'https://shop.example']),
    );
    assert.doesNotMatch(html, /confirm/i);
  });

  it('has inline styles, and adapts to dark mode and phones where style sheets are supported', async () => {
    const { html = '' } = await welcome({});
    assert.match(html, /<a class="btn" href="https:\/\/shop\.example" style="[^"]*background-color: #a34f17/);
    assert.match(html, /@media \(prefers-color-scheme: dark\)/);
    assert.match(html, /@media \(max-width: 480px\)/);
    assert.match(html, /\[data-ogsc\]/);
    assert.doesNotMatch(html, /data-embed/);
    assert.ok(Buffer.byteLength(html) < 20_000, `${Buffer.byteLength(html)} bytes`);
  });

  it('is not sent to a user without an address', async () => {
    const before = transport.messages.length;
    const result = await UserMailer.welcome({ email: '', name: 'Ada', locale: 'en' }).deliverNow();
    assert.deepEqual(result, { status: 'skipped', reason: 'the action built no mail' });
    assert.equal(transport.messages.length, before);
    assert.deepEqual(system.all('mail.skipped').at(-1), {
      mailer: 'UserMailer',
      action: 'welcome',
      reason: 'the action built no mail',
    });
  });
});

describe('WelcomeEmailJob', () => {
  const transport = new TestTransport();
  const system = inSuite('close', () => MailSystem.open({}, { transport, migrated: true }));
  before(() => Model.knex(system.database.knex));

  const insert = async (email: string, locale: string) => {
    const [row] = await system.testDatabase.query<{ id: string }>(
      `insert into users (email, name, locale, token_digest) values ($1, $2, $3, '') returning id`,
      [email, '민지', locale],
    );
    return row?.id ?? assert.fail();
  };

  it('welcomes the user in the language of the user', async () => {
    await new WelcomeEmailJob().perform(await insert('minji@example.com', 'ko'));
    const [mail] = transport.messages;
    assert.equal(mail?.subject, 'Catamount에 오신 것을 환영합니다');
    assert.deepEqual(mail?.to, [{ name: '민지', address: 'minji@example.com' }]);
  });

  it('does nothing for a user who is gone or has no address', async () => {
    transport.messages.length = 0;
    await new WelcomeEmailJob().perform('4711');
    await new WelcomeEmailJob().perform(await insert('', 'en'));
    assert.deepEqual(transport.messages, []);
  });
});
