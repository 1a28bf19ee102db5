import assert from 'node:assert/strict';
import net, { type AddressInfo } from 'node:net';
import { mailServer } from '../../../lib/role/checks/mail-server';
import { startSmtpSink } from '../../support/smtp';
import { inTest } from '../../support/suite';

describe('what catamount doctor finds about the mail server', () => {
  const sink = inTest('stop', () => startSmtpSink());

  const found = async (smtpUrl: string, limitMs?: number) => {
    const findings = await mailServer({ delivery: 'smtp', smtpUrl }, limitMs);
    return findings.map(({ id, severity, text, remedy }) => `${severity} ${id}: ${text}: ${remedy}`);
  };
  const withUser = () => sink.url.replace('//', '//shop:secret-of-mail@');

  it('is nothing about one that lets us in, to which no mail is sent', async () => {
    assert.deepEqual(await found(sink.url), []);
    assert.deepEqual(await found(withUser()), []);
    assert.equal(sink.messages.length, 0);
  });

  it('is a wrong password', async () => {
    sink.failNext(535, '5.7.8 who are you?', 'auth');
    const [only = '', ...more] = await found(withUser());
    assert.match(
      only,
      /^error smtp_login: The mail server at 127\.0\.0\.1:\d+ rejects the login \(.*535.*\): correct the user and password/,
    );
    assert.deepEqual(more, []);
    assert.doesNotMatch(only, /secret-of-mail/);
  });

  it('is a server that is not there, and one that never answers, after the time limit', async () => {
    const { port } = sink;
    await sink.stop();
    const [refused = ''] = await found(`smtp://127.0.0.1:${port}`);
    assert.match(
      refused,
      /^error smtp_unreachable: The mail server at 127\.0\.0\.1:\d+ cannot be used \(.*ECONNREFUSED.*\): /,
    );
    const silent = net.createServer().listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => silent.once('listening', resolve));
      const [hole = ''] = await found(`smtp://127.0.0.1:${(silent.address() as AddressInfo).port}`, 50);
      assert.match(hole, /^error smtp_unreachable: The mail server at .* cannot be used \(no answer within 50 ms\): /);
    } finally {
      silent.close();
    }
  });
});
