import assert from 'node:assert/strict';
import { PermanentDeliveryError } from '../../../lib/mailer/definition/errors';
import type { OutgoingMessage } from '../../../lib/mailer/definition/mail-types';
import { SmtpTransport } from '../../../lib/mailer/transport/smtp';

import { type FailureStage, type SmtpSink, startSmtpSink } from '../../support/smtp';

const box = (address: string) => ({ name: '', address });
function message(to: readonly string[], more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return {
    messageId: '<1@shop.example>',
    date: new Date('2026-11-25T01:02:03Z'),
    from: box('hello@shop.example'),
    to: to.map(box),
    cc: [],
    bcc: [],
    replyTo: [],
    subject: 'Hello',
    text: 'Hi\n',
    headers: {},
    ...more,
  };
}

/** Temporary limits, in the words of real servers. */
const PASSING = [
  [550, '4.2.2 The email account that you tried to reach is over quota'],
  [552, '5.2.2 Mailbox full'],
  [550, 'quota exceeded'],
  [552, 'Requested mail action aborted: exceeded storage allocation'],
  [550, '5.4.5 Daily user sending quota exceeded'],
  [550, '5.7.1 Our system has detected an unusual rate of unsolicited mail'],
  [554, '5.7.1 Message rate limit exceeded'],
  [550, '5.7.0 Too many messages per hour from your account'],
  [550, '5.7.28 Your domain has sent too many emails, try again later'],
] as const;

/** Refusals that waiting does not change. */
const FOR_GOOD = [
  [550, '5.1.1 no such user, whatever her quota'],
  [550, '5.7.1 unwanted'],
  [550, '5.7.26 this mail is unauthenticated'],
  [552, '5.3.4 Message size exceeds fixed limit'],
  [552, 'Message size exceeds the limit of our quota'],
  [554, 'no'],
] as const;

describe('a 5xx reply of an SMTP server', () => {
  let sink: SmtpSink;
  beforeEach(async () => {
    sink = await startSmtpSink();
  });
  afterEach(() => sink.stop());

  const errorOf = async (stage: FailureStage, code: number, text: string) => {
    sink.failNext(code, text, stage);
    const transport = new SmtpTransport(sink.url);
    const error: unknown = await transport.send(message(['ada@example.com'])).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    await transport.close({ force: true });
    assert.ok(error instanceof Error, text);
    return error;
  };

  it('is temporary if it mentions a quota or a rate limit', async () => {
    for (const [code, text] of PASSING) {
      for (const stage of ['mail', 'rcpt', 'data'] as const) {
        const error = await errorOf(stage, code, text);
        assert.ok(!(error instanceof PermanentDeliveryError), text);
        assert.ok(error.message.includes(text), error.message);
      }
    }
  });

  it('is permanent otherwise', async () => {
    for (const [code, text] of FOR_GOOD)
      assert.ok((await errorOf('rcpt', code, text)) instanceof PermanentDeliveryError, text);
  });

  it('is judged for each recipient separately when others were accepted', async () => {
    const transport = new SmtpTransport(sink.url);
    sink.failNext(552, '5.2.2 mailbox full', 'rcpt');
    sink.failNext(550, '5.1.1 no such user', 'rcpt');
    const { refused } = await transport.send(message(['full@example.com', 'gone@example.com', 'ada@example.com']));
    await transport.close({ force: true });
    assert.deepEqual(
      refused?.map(({ address, permanent }) => [address, permanent]),
      [
        ['full@example.com', false],
        ['gone@example.com', true],
      ],
    );
  });
});
