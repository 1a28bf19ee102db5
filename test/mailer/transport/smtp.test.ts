import assert from 'node:assert/strict';
import net from 'node:net';
import { mustUpgrade } from '../../../lib/core/tls';
import { PermanentDeliveryError } from '../../../lib/mailer/definition/errors';
import { SmtpTransport } from '../../../lib/mailer/transport/smtp';

import { type FailureStage, type SmtpSink, startSmtpSink } from '../../support/smtp';
import { until } from '../../support/until';
import { LONG_MS } from '../mail-system';
import { box, message } from './message';

/** Temporary limits, in the words of real servers. */
const PASSING = [
  [550, '4.2.2 The email account that you tried to reach is over quota'],
  [550, 'quota exceeded'],
  [552, 'Requested mail action aborted: exceeded storage allocation'],
  [550, '5.4.5 Daily user sending quota exceeded'],
  [550, '5.7.1 Our system has detected an unusual rate of unsolicited mail'],
  [554, '5.7.1 Message rate limit exceeded'],
  [550, '5.7.0 Too many messages per hour from your account'],
  [550, '5.7.28 Your domain has sent too many emails, try again later'],
  [552, 'Mailbox is full'],
  [554, '5.7.1 Hourly limit reached'],
  [554, '5.0.0 Sending limit exceeded'],
  [550, '5.7.1 Connection throttled'],
] as const;
/** Refusals that waiting does not change. */
const FOR_GOOD = [
  [550, '5.7.1 unwanted'],
  [550, '5.7.26 this mail is unauthenticated'],
  [552, '5.3.4 Message size exceeds fixed limit'],
  [552, 'Message size exceeds the limit of our quota'],
  [554, 'no'],
] as const;

/** A relay between transport and server, to observe and cut connections. */
async function relayTo(target: number) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    const onward = net.connect(target, '127.0.0.1');
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => onward.destroy());
    onward.on('error', () => undefined).on('close', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `smtp://127.0.0.1:${port}`, sockets, stop };
}

describe('SmtpTransport', () => {
  let sink: SmtpSink;
  let transport: SmtpTransport;
  beforeEach(async () => {
    sink = await startSmtpSink();
    transport = new SmtpTransport(sink.url);
  });
  afterEach(async () => {
    await transport.close({ force: true });
    await sink.stop();
  });

  it('sends both parts with all headers', async () => {
    const { messageId, response } = await transport.send(
      message({
        cc: [box('c@example.com')],
        bcc: [box('b@example.com')],
        replyTo: [box('help@shop.example')],
        subject: `민지 님 🐈 O'Brien <b> & co`,
        text: '안녕하세요 🐈\n',
        html: '<p>안녕하세요 🐈</p>',
        headers: { 'X-Shop': 'seven' },
      }),
    );
    assert.equal(messageId, '<job-1.abc.1@shop.example>');
    assert.match(response ?? '', /^250 /);
    const [mail] = sink.messages;
    assert.equal(mail?.subject, `민지 님 🐈 O'Brien <b> & co`);
    assert.equal(mail?.text?.trim(), '안녕하세요 🐈');
    assert.equal(mail?.html, '<p>안녕하세요 🐈</p>');
    assert.equal(mail?.messageId, messageId);
    assert.deepEqual(mail?.date, new Date('2026-11-25T01:02:03Z'));
    assert.deepEqual(mail?.from?.value, [box('hello@shop.example', 'Shop')]);
    assert.deepEqual([mail?.to].flat()[0]?.value, [box('ada@example.com', 'Ada "the" Countess, Lovelace')]);
    assert.deepEqual(mail?.replyTo?.value, [box('help@shop.example')]);
    assert.equal(mail?.headers.get('x-shop'), 'seven');
    // ASCII lines that every server accepts.
    assert.match(mail?.raw ?? '', /^[\t\r\n\x20-\x7e]*$/);
    assert.ok(mail?.raw.split('\r\n').every((line) => line.length <= 998 && !line.includes('\n')));
    assert.equal(mail?.bcc, undefined);
    assert.equal(mail?.headers.has('x-mailer'), false);
    assert.deepEqual(mail?.envelope.to, ['ada@example.com', 'c@example.com', 'b@example.com']);
  });

  it('keeps mail clients from decoding texts that look like encoded words', async () => {
    const name = '=?utf-8?Q?a=0D=0AX-Evil:_1?= Ada';
    await transport.send(message({ subject: name, to: [box('ada@example.com', name)] }));
    const [mail] = sink.messages;
    const shown = [mail?.subject, [mail?.to].flat()[0]?.value[0]?.name].map((text) => text?.replaceAll('\u2060', ''));
    assert.deepEqual(shown, [name, name]);
  });

  it('reads no file and no URL that an interceptor in plain JavaScript may name as a part', async () => {
    for (const html of [{ path: __filename }, { href: 'http://127.0.0.1:9/' }])
      await assert.rejects(transport.send(message({ html: html as never })), /access rejected/);
  });

  it('opens at most two connections and reuses them', async () => {
    const relay = await relayTo(sink.port);
    const relayed = new SmtpTransport(relay.url);
    await Promise.all(Array.from({ length: 20 }, () => relayed.send(message())));
    assert.equal(sink.messages.length, 20);
    assert.equal(relay.sockets.size, 2);
    await relayed.close();
    await relay.stop();
  });

  it('fails for good, with the reply, on a 5xx about the mail; anything that waiting may change is retried', async () => {
    const refusals: readonly (readonly [stage: FailureStage, code: number, text: string, isForGood: boolean])[] = [
      // These two are about the server as a whole, and about our login.
      ['connect', 554, 'no', false],
      ...[530, 534, 535, 538].map((code) => ['mail', code, '5.7.0 log in', false] as const),
      ...(['mail', 'rcpt', 'data'] as const).flatMap((stage) => [
        [stage, 550, '5.1.1 no such user, whatever her quota', true] as const,
        [stage, 451, '4.2.1 busy', false] as const,
        [stage, 552, '5.2.2 Mailbox full', false] as const,
      ]),
      ['mail', 421, '4.3.2 closing', false],
      ...FOR_GOOD.map(([code, text]) => ['rcpt', code, text, true] as const),
      ...PASSING.map(([code, text]) => ['rcpt', code, text, false] as const),
    ];
    for (const [stage, code, text, isForGood] of refusals) {
      sink.failNext(code, text, stage);
      // On a new connection: after a 421 on a kept one, another is tried at once.
      const fresh = new SmtpTransport(sink.url);
      const error: unknown = await fresh.send(message()).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      await fresh.close({ force: true });
      assert.ok(error instanceof Error && error.message.includes(`${code} ${text}`), String(error));
      assert.equal(error instanceof PermanentDeliveryError, isForGood, `${code} ${text} at ${stage}`);
    }
    await transport.send(message());
    assert.equal(sink.messages.length, 1);
  });

  it('sends over a new connection when the kept one is stale', async () => {
    const relay = await relayTo(sink.port);
    const relayed = new SmtpTransport(relay.url);
    await relayed.send(message());
    for (const socket of relay.sockets) socket.resetAndDestroy();
    await relayed.send(message());
    assert.equal(sink.messages.length, 2);
    await relayed.close();
    await relay.stop();
  });

  it('reports the recipients that were refused while others were accepted, each with its reply', async () => {
    sink.failNext(552, '5.2.2 mailbox full', 'rcpt');
    sink.failNext(550, 'no such user', 'rcpt');
    const to = ['full', 'gone', 'ada'].map((name) => box(`${name}@example.com`));
    const { refused } = await transport.send(message({ to }));
    assert.deepEqual(
      refused?.map(({ address, permanent, answer }) => [address, permanent, answer.slice(0, 3)]),
      [
        ['full@example.com', false, '552'],
        ['gone@example.com', true, '550'],
      ],
    );
    assert.deepEqual(sink.messages[0]?.envelope.to, ['ada@example.com']);
  });

  it('times out on a silent server, and on one that trickles', async () => {
    const sockets = new Set<net.Socket>();
    const cases = [
      { trickle: false, limits: { socketMs: 50, sendMs: LONG_MS }, told: /[Tt]imeout/ },
      { trickle: true, limits: { socketMs: LONG_MS, sendMs: 100 }, told: /within 100 ms/ },
    ];
    for (const { trickle, limits, told } of cases) {
      const server = net.createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined).resume();
        socket.write('220 slow\r\n');
        const timer = setInterval(() => trickle && socket.write('250-still here\r\n'), 20);
        socket.on('close', () => clearInterval(timer));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as net.AddressInfo;
      const slow = new SmtpTransport(`smtp://127.0.0.1:${port}`, limits);
      await assert.rejects(slow.send(message()), told);
      await slow.close({ force: true });
      await until('the sockets are closed', () => [...sockets].every((socket) => socket.destroyed));
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('logs in with the credentials of the URL', async () => {
    const other = new SmtpTransport(sink.url.replace('//', '//user:p%40ss@'));
    sink.failNext(535, '5.7.8 who are you?', 'auth');
    await assert.rejects(other.send(message()), /535/);
    await other.send(message());
    await other.close();
    assert.equal(sink.messages.length, 1);
  });

  it('requires TLS before it sends a password to another machine, or where the query of the URL says so', async () => {
    assert.equal(mustUpgrade('smtp://user:secret@mail.shop.example:587'), true);
    assert.equal(mustUpgrade('smtp://mail.shop.example:25'), false);
    assert.equal(mustUpgrade('smtp://user:secret@127.0.0.1:1025'), false);
    assert.equal(mustUpgrade('smtp://user:secret@mail.shop.example:25?requireTLS=false'), false);
    assert.equal(mustUpgrade('smtps://user:secret@mail.shop.example'), false);
    // 0.0.0.0 is this machine, under a name that does not tell.
    for (const url of [`smtp://user:secret@0.0.0.0:${sink.port}`, `${sink.url}?requireTLS=true`]) {
      const other = new SmtpTransport(url);
      await assert.rejects(other.send(message()), /STARTTLS/);
      await other.close({ force: true });
    }
  });
});
