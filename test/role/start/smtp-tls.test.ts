import assert from 'node:assert/strict';
import type { OutgoingMessage } from '../../../lib/mailer/definition/mail-types';
import { SmtpTransport } from '../../../lib/mailer/transport/smtp';

import { type SmtpSink, startSmtpSink } from '../../support/smtp';
import { type Certificate, makeCertificate } from '../certificates';

const MESSAGE: OutgoingMessage = {
  messageId: '<job-1.abc.1@shop.example>',
  date: new Date('2026-11-25T01:02:03Z'),
  from: { name: 'Shop', address: 'hello@shop.example' },
  to: [{ name: '', address: 'ada@example.com' }],
  cc: [],
  bcc: [],
  replyTo: [],
  subject: 'Hello',
  text: 'Hi\n',
  headers: {},
};

async function send(url: string): Promise<void> {
  const transport = new SmtpTransport(url);
  try {
    await transport.send(MESSAGE);
  } finally {
    await transport.close({ force: true });
  }
}

describe('mail over TLS', () => {
  let certificate: Certificate;
  let sink: SmtpSink;
  before(async () => {
    certificate = await makeCertificate();
  });
  afterEach(() => sink.stop());

  const listen = async (kind: 'implicit' | 'starttls') => {
    sink = await startSmtpSink({ tls: { kind, ...certificate } });
    return sink.url;
  };

  for (const kind of ['implicit', 'starttls'] as const) {
    describe(kind === 'implicit' ? 'smtps://' : 'smtp:// with STARTTLS', () => {
      it('rejects a certificate from an unknown authority, and names the remedy', async () => {
        const url = await listen(kind);
        await assert.rejects(send(url), (error: Error) => {
          assert.match(error.message, /self-signed certificate/);
          assert.match(error.message, /NODE_EXTRA_CA_CERTS/);
          assert.match(error.message, /\?tls\.rejectUnauthorized=false .*SMTP_URL/);
          return true;
        });
        assert.equal(sink.messages.length, 0);
      });

      it('accepts it if SMTP_URL says so', async () => {
        await send(`${await listen(kind)}?tls.rejectUnauthorized=false`);
        assert.deepEqual(
          sink.messages.map(({ subject, secure }) => [subject, secure]),
          [['Hello', true]],
        );
      });
    });
  }

  it('names the remedy when smtps:// is used with a server without TLS', async () => {
    sink = await startSmtpSink();
    await assert.rejects(send(sink.url.replace('smtp:', 'smtps:')), /smtp:\/\/.*SMTP_URL/);
  });
});
