import assert from 'node:assert/strict';
import diagnosticsChannel from 'node:diagnostics_channel';
import { publishDiagnostics } from '../../lib/core/diagnostics';
import { Mailer } from '../../lib/mailer/mailer';
import { TestTransport } from '../../lib/mailer/transport/local-transports';
import { guideFields } from '../support/diagnostics-guide';
import { inSuite } from '../support/suite';
import { MailSystem } from './mail-system';

class NewsMailer extends Mailer {
  static readonly news = this.action('news');
  news(to?: string) {
    return to === undefined ? undefined : this.mail({ to, subject: 'News', text: 'None.' });
  }
}

describe('the diagnostics channels of mails', () => {
  const transport = new TestTransport();
  const system = inSuite('close', () => MailSystem.open({}, { transport }));
  const heard: (readonly [channel: string, message: Readonly<Record<string, unknown>>])[] = [];
  const fields = [...guideFields()].filter(([channel]) => channel.startsWith('mail.'));
  const hear = (message: unknown, name: string | symbol) =>
    heard.push([String(name).replace('catamount.', ''), message as Readonly<Record<string, unknown>>]);
  before(() => {
    publishDiagnostics(system.events);
    for (const [name] of fields) diagnosticsChannel.subscribe(`catamount.${name}`, hear);
  });
  after(() => {
    for (const [name] of fields) diagnosticsChannel.unsubscribe(`catamount.${name}`, hear);
  });

  it('tell what becomes of each, with the fields that the guide names', async () => {
    await NewsMailer.news('ada@example.com').deliverNow();
    await NewsMailer.news().deliverNow();
    transport.send = () => Promise.reject(new Error('away'));
    await assert.rejects(NewsMailer.news('bob@example.com').deliverNow(), /away/);
    assert.deepEqual(
      heard.map(([name]) => name),
      ['mail.processed', 'mail.sent', 'mail.skipped', 'mail.processed', 'mail.failed'],
    );
    for (const [name, message] of heard) {
      assert.deepEqual(Object.keys(message).sort(), new Map(fields).get(name), name);
      assert.deepEqual([message.version, message.mailer, message.action], [1, 'NewsMailer', 'news']);
    }
  });
});
