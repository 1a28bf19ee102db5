import assert from 'node:assert/strict';
import { runInContext } from '../../lib/core/execution-context';
import { PartialDeliveryError, PermanentDeliveryError } from '../../lib/mailer/definition/errors';
import type { MailInterceptor } from '../../lib/mailer/definition/setup';
import { Mailer } from '../../lib/mailer/mailer';
import { startSmtpSink } from '../support/smtp';
import { inTest } from '../support/suite';
import { folderOf, MailSystem } from './mail-system';

class NewsMailer extends Mailer {
  static override readonly layout = false;
  static readonly news = this.action('news');
  news(to: string, cc: string[] = []) {
    return this.mail({ to, cc, subject: 'News' });
  }
}

const ALL = ['ada@example.com', 'bob@example.com', 'cy@example.com'];

describe('a mail that the server accepts for some of its recipients only', () => {
  const interceptors: MailInterceptor[] = [];
  const sink = inTest('stop', startSmtpSink);
  const system = inTest('close', () => {
    interceptors.length = 0;
    return MailSystem.open(
      { delivery: 'smtp', smtpUrl: sink.url },
      { templatesDir: folderOf({ 'news_mailer/news/text.ejs': 'Hello' }), setup: { interceptors } },
    );
  });

  const run = (attempt: number, ...[to = '', ...cc]: readonly string[]) =>
    runInContext({ jobId: 'job-1', attempt }, () => NewsMailer.news(to, cc).deliverNow());
  const envelopes = () => sink.messages.map(({ envelope }) => envelope.to);
  const record = async () => (await system.records())[0] ?? assert.fail('there is no record');

  it('is sent again only to those that were refused temporarily', async () => {
    sink.failNext(451, 'greylisted', 'rcpt');
    await assert.rejects(run(1, ...ALL), (error) => {
      assert.ok(error instanceof PartialDeliveryError);
      assert.match(error.message, /for the others, but not yet for ada@example\.com: 451 .*greylisted/);
      return true;
    });
    const { state, settled, error } = await record();
    assert.deepEqual([state, settled], ['failed', ['bob@example.com', 'cy@example.com']]);
    assert.match(String(error), /ada@example\.com: 451/);

    sink.failNext(450, 'still greylisted', 'rcpt');
    await assert.rejects(run(2, ...ALL), /450 .*still greylisted/);
    assert.equal((await run(3, ...ALL)).status, 'sent');
    assert.equal((await run(4, ...ALL)).status, 'skipped');
    assert.deepEqual(envelopes(), [['bob@example.com', 'cy@example.com'], ['ada@example.com']]);

    // It is one mail: the Message-ID is the same, and each copy lists all recipients.
    const [first, second] = sink.messages;
    assert.equal(first?.messageId, second?.messageId);
    assert.deepEqual(
      [second?.to, second?.cc].flat().map((list) => list?.text),
      ['ada@example.com', 'bob@example.com, cy@example.com'],
    );
    const after = await record();
    assert.deepEqual([after.state, after.recipients, after.error, after.attempts], ['sent', ALL, null, 3]);
    assert.deepEqual(
      system.all('mail.sent').map(({ to }) => to),
      [['bob@example.com', 'cy@example.com'], ['ada@example.com']],
    );
  });

  it('is not retried for those that were refused for good, but for the rest', async () => {
    sink.failNext(550, 'unknown', 'rcpt');
    sink.failNext(451, 'later', 'rcpt');
    await assert.rejects(run(1, ...ALL), PartialDeliveryError);
    assert.match(system.all('mail.failed')[0]?.error.message ?? '', /not for ada@example\.com: 550 .*unknown/);
    await run(2, ...ALL);
    assert.deepEqual(envelopes(), [['cy@example.com'], ['bob@example.com']]);
  });

  it('counts as sent, and reports the refusals, if none of them is temporary', async () => {
    sink.failNext(550, 'unknown', 'rcpt');
    const result = await run(1, ...ALL);
    assert.ok(result.status === 'sent');
    assert.deepEqual(
      result.refused?.map(({ address, permanent }) => [address, permanent]),
      [['ada@example.com', true]],
    );
    assert.equal((await run(2, ...ALL)).status, 'skipped');
    assert.equal(sink.messages.length, 1);
  });

  it('fails for good, with the reply of the server, when the rest is refused for good later', async () => {
    sink.failNext(451, 'later', 'rcpt');
    await assert.rejects(run(1, ...ALL), PartialDeliveryError);
    sink.failNext(550, 'unknown', 'rcpt');
    await assert.rejects(run(2, ...ALL), PermanentDeliveryError);
    assert.match(String((await record()).error), /550 .*unknown/);
    assert.equal(sink.messages.length, 1);
  });

  it('is sent to nobody again when an interceptor leaves only those who have got it', async () => {
    sink.failNext(451, 'later', 'rcpt');
    await assert.rejects(run(1, ...ALL), PartialDeliveryError);
    interceptors.push((message) => ({ ...message, to: 'bob@example.com', cc: [] }));
    assert.equal((await run(2, ...ALL)).status, 'skipped');
    assert.equal(sink.messages.length, 1);
  });

  it('recognizes recipients whose domain has another form on the server', async () => {
    sink.failNext(451, 'later', 'rcpt');
    await assert.rejects(run(1, 'ada@MÜNCHEN.example', 'bob@Example.COM'), PartialDeliveryError);
    await run(2, 'ada@MÜNCHEN.example', 'bob@Example.COM');
    assert.deepEqual(
      envelopes().map((to) => to.map((address) => address.split('@')[0])),
      [['bob'], ['ada']],
    );
  });

  it('is not retried outside a job, and the refusals are reported', async () => {
    sink.failNext(451, 'later', 'rcpt');
    const result = await NewsMailer.news('ada@example.com', ['bob@example.com']).deliverNow();
    assert.ok(result.status === 'sent');
    assert.deepEqual(
      result.refused?.map(({ address, permanent }) => [address, permanent]),
      [['ada@example.com', false]],
    );
    assert.equal(system.all('mail.failed').length, 1);
  });
});
