import assert from 'node:assert/strict';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { startTree, type Tree } from '../support/tree';
import { until } from '../support/until';
import { assertOneMailEach, signUp, signUpMany, somebody } from './sign-ups';
import { Surroundings } from './surroundings';

describe('kill -9 of whoever has jobs in hand', () => {
  let around: Surroundings;
  let sink: SmtpSink;
  const ends: (() => Promise<void>)[] = [];
  // Each waits most of its time, so they do it side by side.
  let processor: Promise<void>;
  let primary: Promise<void>;

  before(async () => {
    around = await Surroundings.make();
    ends.push(() => around.remove());
    sink = await startSmtpSink();
    ends.push(() => sink.stop());
    processor = killProcessor(around);
    primary = killPrimary(sink, (tree) => ends.unshift(() => tree.cleanup()));
    for (const run of [processor, primary]) run.catch(() => undefined);
  });
  after(async () => {
    await Promise.allSettled([processor, primary]);
    for (const end of ends) await end();
  });

  it('of the job processor: it is replaced, the web does not notice, both mails arrive, once', () => processor);

  it('of the primary: no process stays, the next start has the data and sends what was pending, once', () => primary);
});

async function killProcessor(around: Surroundings): Promise<void> {
  const tree = await around.start();
  const [first] = await onlyProcessor(tree);
  const web = tree.processes().webPids;
  around.sink.hold();
  await signUpMany(tree, 2);
  await until('it has two mails in hand', () => around.sink.waiting === 2);
  process.kill(first, 'SIGKILL');
  await tree.waitForLine(/job processor, pid \d+, was ended by SIGKILL/);
  // The server had not answered when the connections broke: it has not taken them.
  around.sink.discard();
  await signUpMany(tree, 2);
  // The successor knows whose jobs to take over: nobody waits for the stall check's interval.
  await assertOneMailEach(around);
  assert.equal(tree.linesMatching(/taken back from a process that died/).length, 2);
  const [second] = await onlyProcessor(tree);
  assert.notEqual(second, first);
  assert.deepEqual(tree.processes().webPids, web);
  assert.equal((await tree.stop()).code, 0);
  await tree.allGone();
}

async function killPrimary(sink: SmtpSink, started: (tree: Tree) => void): Promise<void> {
  const env = { SMTP_URL: sink.url, SHUTDOWN_TIMEOUT: '3s' };
  const tree = await startTree({ env });
  started(tree);
  sink.hold();
  const user = somebody();
  const { accessToken } = (await signUp(tree, user)).json<{ accessToken: string }>();
  const users = [user, ...(await signUpMany(tree, 4))];
  await until('two mails are on their way', () => sink.waiting === 2);
  await tree.kill9();
  await tree.allGone();
  sink.discard();

  const next = await startTree({ env, cwd: tree.cwd });
  started(next);
  const me = await next.request('GET', '/users/me', { headers: { authorization: `Bearer ${accessToken}` } });
  assert.deepEqual([me.status, me.json().email], [200, user.email]);
  await sink.waitFor(users.length);
  assert.equal((await next.stop()).code, 0);
  await next.allGone();
  const receivers = sink.messages.flatMap((mail) => mail.envelope.to);
  assert.deepEqual(receivers.sort(), users.map(({ email }) => email).sort());
}

function onlyProcessor(tree: Tree): Promise<[number]> {
  return until('there is exactly one processor', () => {
    const jobs = tree.processes().all.filter(({ command }) => command.startsWith('catamount: jobs'));
    const [one, another] = jobs;
    return one && !another ? [one.pid] : undefined;
  });
}
