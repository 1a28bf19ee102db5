import assert from 'node:assert/strict';
import { startSmtpSink } from '../support/smtp';
import { inSuite } from '../support/suite';
import { startTree, type Tree } from '../support/tree';
import { until } from '../support/until';
import { signUp, signUpMany, somebody } from './sign-ups';

describe('kill -9 of a primary with embedded servers', () => {
  const sink = inSuite('stop', startSmtpSink);
  const trees: Tree[] = [];
  after(async () => {
    for (const tree of trees.reverse()) await tree.cleanup();
  });

  it('leaves no process behind; the next start has the data and sends the pending mails once', async () => {
    const env = { SMTP_URL: sink.url };
    // The orphaned job processor waits this long for its two mails, which are never answered.
    const tree = await startTree({ env: { ...env, SHUTDOWN_TIMEOUT: '3s' } });
    trees.push(tree);
    sink.hold();
    const user = somebody();
    const { accessToken } = (await signUp(tree, user)).json<{ accessToken: string }>();
    const users = [user, ...(await signUpMany(tree, 4))];
    await until('two mails are in flight', () => sink.waiting === 2);
    await tree.kill9();
    await tree.allGone();
    sink.discard();

    const next = await startTree({ env, cwd: tree.cwd });
    trees.push(next);
    const me = await next.request('GET', '/users/me', { headers: { authorization: `Bearer ${accessToken}` } });
    assert.deepEqual([me.status, me.json().email], [200, user.email]);
    await sink.waitFor(users.length);
    assert.equal((await next.stop()).code, 0);
    await next.allGone();
    const receivers = sink.messages.flatMap((mail) => mail.envelope.to);
    assert.deepEqual(receivers.sort(), users.map((one) => one.email).sort());
  });
});
